//! The network: what becomes of a message.

use tribune_base::time::Duration;

use crate::dice::Dice;
use crate::moment::Moment;
use crate::plan::Knobs;

/// All links between servers.
#[derive(Debug)]
pub(crate) struct Network {
    seed: u64,
    servers: usize,
    links: Vec<Link>,
    /// Whether nothing goes wrong any more.
    healed: bool,
}

/// One direction between two servers.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// Messages ever sent: what their fates are drawn from.
    count: u64,
    in_flight: u32,
    /// How many faults cut it now.
    cuts: u32,
    clogged_until: Moment,
    /// When the last message arrives.
    last: Moment,
}

/// When a message arrives, and when again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Fate {
    pub(crate) first: Option<Moment>,
    pub(crate) again: Option<Moment>,
}

impl Network {
    pub(crate) fn new(seed: u64, servers: usize) -> Self {
        Self { seed, servers, links: vec![Link::default(); servers * servers], healed: false }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.servers + to]
    }

    /// Decide about the next message on a link.
    pub(crate) fn fate(&mut self, now: Moment, from: usize, to: usize, knobs: &Knobs) -> Fate {
        let (seed, healed) = (self.seed, self.healed);
        let link = self.link(from, to);
        link.count += 1;
        let mut dice = Dice::about(seed, &[MESSAGE, from as u64, to as u64, link.count]);
        let (lost, twice) = (dice.permille(knobs.loss), dice.permille(knobs.duplicate));
        let tail = if dice.permille(knobs.tail) && !healed { 20 } else { 1 };
        let latency_max = if healed { knobs.latency_max.min(HEALED) } else { knobs.latency_max };
        let latency = LATENCY_MIN + dice.up_to(latency_max) * tail;
        if link.cuts != 0 || !healed && (lost || knobs.in_flight_max <= link.in_flight) {
            return Fate::default();
        }
        let mut at = (now + latency).max(link.clogged_until);
        if knobs.fifo {
            at = at.max(link.last);
        }
        at = round_up(at, knobs.quantum);
        link.last = at;
        link.in_flight += 1;
        let again = (twice && !healed).then(|| {
            link.in_flight += 1;
            round_up(at + dice.up_to(knobs.duplicate_delay_max), knobs.quantum)
        });
        Fate { first: Some(at), again }
    }

    /// A message arrives. False, if there is no way through any more.
    pub(crate) fn arrive(&mut self, from: usize, to: usize) -> bool {
        let link = self.link(from, to);
        link.in_flight -= 1;
        link.cuts == 0
    }

    /// The second copy of the last message is not sent.
    pub(crate) fn withdraw(&mut self, from: usize, to: usize) {
        self.link(from, to).in_flight -= 1;
    }

    /// Cut a link once more, or once less.
    pub(crate) fn cut(&mut self, from: usize, to: usize, cut: bool) {
        let link = self.link(from, to);
        link.cuts = if cut { link.cuts + 1 } else { link.cuts.saturating_sub(1) };
    }

    /// Hold everything on a link back.
    pub(crate) fn clog(&mut self, from: usize, to: usize, until: Moment) {
        let link = self.link(from, to);
        link.clogged_until = link.clogged_until.max(until);
    }

    /// Put everything right between the servers that `well` says, and cut the others off.
    pub(crate) fn heal(&mut self, now: Moment, well: impl Fn(usize) -> bool) {
        self.healed = true;
        for from in 0..self.servers {
            for to in 0..self.servers {
                let cut = !(well(from) && well(to));
                let link = self.link(from, to);
                link.clogged_until = now;
                link.last = now;
                link.cuts = u32::from(cut);
            }
        }
    }
}

fn round_up(at: Moment, quantum: Duration) -> Moment {
    Moment(at.0.next_multiple_of(quantum.as_nanos() as u64))
}

/// What decisions about messages are about.
const MESSAGE: u64 = 1;

/// Nothing is faster.
const LATENCY_MIN: Duration = Duration::from_micros(50);

/// How long a message takes at most once everything is put right.
const HEALED: Duration = Duration::from_millis(20);

#[test]
fn a_cut_link_delivers_nothing_and_a_clogged_one_later() {
    let knobs = crate::plan::Plan::calm(1, 3, Duration::ZERO).knobs;
    let mut network = Network::new(1, 3);
    network.cut(0, 1, true);
    assert_eq!(network.fate(Moment(0), 0, 1, &knobs), Fate::default());
    assert!(network.fate(Moment(0), 1, 0, &knobs).first.is_some());
    network.cut(0, 1, false);
    let until = Moment::default() + Duration::from_secs(1);
    network.clog(0, 1, until);
    assert_eq!(network.fate(Moment(0), 0, 1, &knobs).first, Some(until));
    network.heal(until, |it| it != 2);
    assert!(network.fate(until, 0, 1, &knobs).first.is_some());
    assert_eq!(network.fate(until, 0, 2, &knobs), Fate::default());
}
