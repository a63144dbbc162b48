//! A seed becomes a plan: explicit, timed faults and client scripts, each of which can be left out
//! without changing what the others mean.
//!
//! # The swarm rule
//!
//! A run does not suffer everything at a medium level: each draws a subset of faults, with extreme
//! values, and leaves the others out (`reliability`, section 3.1). What is never drawn together is
//! never tested together, so every fault is off in some runs and on in others.

mod agents;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_raft::Config;

use crate::moment::Moment;
use crate::workload::{self, Script};

/// Everything that decides a run, besides the code.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What everything random follows from.
    pub seed: u64,
    /// How many servers begin the cluster.
    pub servers: usize,
    /// How many client agents there are. Where places are counted, they follow the servers.
    pub agents: usize,
    /// Whether the last client agent has the name of the first.
    pub twins: bool,
    /// What does not change during the run.
    pub knobs: Knobs,
    /// What goes wrong, and when.
    pub items: Vec<Item>,
    /// What clients do.
    pub scripts: Vec<Script>,
    /// When everything that is wrong is put right.
    pub heal_at: Moment,
    /// Whether only a quorum is put right, and the rest stays broken for ever.
    pub core_only: bool,
}

/// What is drawn once for a run.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// Consensus.
    pub raft: Config,
    /// Messages lost, out of a thousand.
    pub loss: u64,
    /// Messages that arrive again, out of a thousand.
    pub duplicate: u64,
    /// How late the second copy may be.
    pub duplicate_delay_max: Duration,
    /// How long a message may take.
    pub latency_max: Duration,
    /// Messages that take twenty times as long, out of a thousand.
    pub tail: u64,
    /// Whether messages of one link stay in order.
    pub fifo: bool,
    /// Messages on one link at once. More are dropped.
    pub in_flight_max: u32,
    /// What arrives within such a span arrives together, and shares a log batch.
    pub quantum: Duration,
    /// How long a log write may take.
    pub disk_max: Duration,
    /// Log writes that take fifty times as long, out of a thousand.
    pub disk_tail: u64,
    /// How long an answer may be in the making.
    pub render_max: Duration,
    /// How fast each server's clock goes, in thousandths.
    pub rates: Vec<u64>,
    /// Whether the clocks differ by more than leases allow for: then only reads that ask a quorum
    /// are promised to be fresh.
    pub beyond_drift: bool,
    /// How often agents compare themselves with the catalog, and how soon they try again.
    pub sync: (Duration, Duration),
    /// How often the pool tries to reach those who have failed.
    pub reconnect: Duration,
    /// Whether messages go through their bytes.
    pub through_bytes: bool,
    /// Whether disks confirm what is not durable. Never drawn: it must be noticed.
    pub lying_disks: bool,
}

/// Something that goes wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// When.
    pub at: Moment,
    /// What.
    pub what: Fault,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The agents whose bits are set cannot talk with the others.
    Split {
        /// One side.
        side: u64,
        /// How long.
        length: Duration,
    },
    /// One agent cannot talk with the others.
    Isolate {
        /// Which.
        target: Target,
        /// Whether it still hears them, or they still hear it.
        direction: Direction,
        /// How long.
        length: Duration,
    },
    /// Only one server in the middle is heard by everybody.
    Bridge {
        /// Which.
        middle: usize,
        /// How long.
        length: Duration,
    },
    /// Nothing arrives on a link, and then everything at once.
    Clog {
        /// From whom.
        from: usize,
        /// To whom.
        to: usize,
        /// How long.
        length: Duration,
    },
    /// An agent loses its memory and whatever its disk had not confirmed.
    Crash {
        /// Which.
        target: Target,
        /// When it comes back; never, until everything is put right, if it is [`FOREVER`].
        down: Duration,
    },
    /// An agent stands still, and then everything is late.
    Pause {
        /// Which.
        target: Target,
        /// How long.
        length: Duration,
    },
    /// A server's clock changes its speed.
    Rate {
        /// Which.
        server: usize,
        /// The new speed, in thousandths.
        rate: u64,
    },
    /// A disk confirms nothing for a while.
    Stall {
        /// Whose.
        target: Target,
        /// How long.
        length: Duration,
    },
    /// A disk is full for a while.
    Full {
        /// Whose.
        target: Target,
        /// How long.
        length: Duration,
    },
    /// An operator has the leader hand over.
    Transfer {
        /// To whom; to whoever is best if nobody.
        to: Option<usize>,
    },
    /// An operator changes the group.
    Change {
        /// How.
        change: Change,
        /// Which server is concerned.
        server: usize,
    },
}

/// Who suffers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// This server, or this client agent: those are counted after the servers.
    Server(usize),
    /// Whoever leads then; this server, if nobody does.
    Leader(usize),
}

/// Which messages do not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Neither.
    Both,
    /// Those from the server.
    From,
    /// Those to the server.
    To,
}

/// How a group can be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// A vote for the server, whatever it was.
    AddVoter,
    /// A vote for a server that had none.
    Promote,
    /// No vote any more.
    Demote,
    /// No member any more.
    Remove,
}

impl Plan {
    /// The plan that `seed` stands for.
    pub fn new(seed: u64) -> Self {
        Self::of(seed, None, None)
    }

    /// The same, with so many servers and client agents, where somebody else is to decide that.
    pub fn of(seed: u64, servers: Option<usize>, agents: Option<usize>) -> Self {
        let mut rng = Rng::stream(seed, "plan");
        let drawn = pick(&mut rng, &[1, 3, 3, 5, 5, 5, 5, 5]);
        Self::with(seed, servers.unwrap_or(drawn), agents.unwrap_or_else(|| agents::count(seed)))
    }

    /// The plan that `seed` stands for, with this many servers.
    pub fn with_servers(seed: u64, servers: usize) -> Self {
        Self::with(seed, servers, agents::count(seed))
    }

    /// The plan that `seed` stands for, with this many servers and client agents. Without any of
    /// those, it is what it would be if there were no such thing.
    pub fn with(seed: u64, servers: usize, agents: usize) -> Self {
        let rng = &mut Rng::stream(seed, "plan items");
        let length = Duration::from_secs(pick(rng, &[8, 12, 20, 60]));
        let heal_at = Moment::default() + length;
        let mut knobs = Knobs::draw(rng, servers);
        // Long enough for something to happen meanwhile.
        let renders = &mut Rng::stream(seed, "renders");
        knobs.render_max = millis(renders, &[2, 2, 30]);
        let mut items = Vec::new();
        draw_network(rng, servers, heal_at, &mut items);
        draw_process(rng, servers, heal_at, &mut items);
        draw_clocks(rng, servers, heal_at, &knobs, &mut items);
        let changes = draw_operators(rng, servers, heal_at, &mut items);
        let core_only = !changes && rng.chance(1, 2);
        let twins =
            agents != 0 && agents::draw(seed, (servers, agents), heal_at, &mut knobs, &mut items);
        items.sort_by_key(|it| it.at);
        let scripts = workload::draw(seed, length, servers, agents);
        Self { seed, servers, agents, twins, knobs, items, scripts, heal_at, core_only }
    }

    /// The same, with nothing going wrong.
    pub fn calm(seed: u64, servers: usize, length: Duration) -> Self {
        Self::calm_with(seed, servers, 0, length)
    }

    /// The same, with so many client agents.
    pub fn calm_with(seed: u64, servers: usize, agents: usize, length: Duration) -> Self {
        Self {
            seed,
            servers,
            agents,
            twins: false,
            knobs: Knobs::calm(servers),
            items: Vec::new(),
            scripts: workload::draw(seed, length, servers, agents),
            heal_at: Moment::default() + length,
            core_only: false,
        }
    }
}

impl Knobs {
    fn calm(servers: usize) -> Self {
        Self {
            raft: Config::lan(1),
            loss: 0,
            duplicate: 0,
            duplicate_delay_max: Duration::ZERO,
            latency_max: Duration::from_millis(2),
            tail: 0,
            fifo: true,
            in_flight_max: u32::MAX,
            quantum: Duration::from_nanos(1),
            disk_max: Duration::from_millis(2),
            disk_tail: 0,
            render_max: Duration::from_millis(2),
            rates: vec![1_000; servers],
            beyond_drift: false,
            sync: (Duration::from_secs(60), Duration::from_secs(15)),
            reconnect: Duration::from_secs(30),
            through_bytes: false,
            lying_disks: false,
        }
    }

    fn draw(rng: &mut Rng, servers: usize) -> Self {
        let (rates, beyond_drift) = draw_rates(rng, servers);
        let millis = Duration::from_millis;
        Self {
            raft: draw_raft(rng),
            loss: pick(rng, &[0, 0, 20, 100, 300]),
            duplicate: pick(rng, &[0, 0, 10, 100, 300]),
            duplicate_delay_max: pick(rng, &[millis(10), millis(500), millis(20_000)]),
            latency_max: pick(rng, &[millis(1), millis(20), millis(20), millis(100)]),
            tail: pick(rng, &[0, 0, 20, 200]),
            fifo: rng.chance(1, 3),
            in_flight_max: pick(rng, &[u32::MAX, u32::MAX, 20, 4]),
            quantum: pick(rng, &[Duration::from_nanos(1), millis(1), millis(10)]),
            disk_max: pick(rng, &[millis(1), millis(5), millis(30), millis(200)]),
            disk_tail: pick(rng, &[0, 0, 20]),
            render_max: millis(2),
            rates,
            beyond_drift,
            sync: (Duration::from_secs(60), Duration::from_secs(15)),
            reconnect: Duration::from_secs(30),
            through_bytes: rng.chance(1, 8),
            lying_disks: false,
        }
    }
}

/// Small limits, so that every one of them is met.
fn draw_raft(rng: &mut Rng) -> Config {
    let chunk_len_max = pick(rng, &[512, 4_096, 1 << 20]);
    Config {
        append_entries_max: pick(rng, &[1, 2, 16, 256]),
        append_bytes_max: pick(rng, &[100, 10_000, 1 << 20]),
        window_messages_max: pick(rng, &[1, 2, 64]),
        window_bytes_max: pick(rng, &[1_000, 8 << 20]),
        uncommitted_entries_max: pick(rng, &[4, 64, 65_536, 65_536]),
        reads_max: pick(rng, &[2, 65_536, 65_536]),
        snapshot_entries_max: pick(rng, &[5, 20, 100, 16_384]),
        trailing_entries_max: pick(rng, &[0, 0, 10, 1_000]),
        chunk_len_max,
        chunk_window_max: chunk_len_max * pick(rng, &[1, 4]),
        ..Config::lan(1)
    }
}

fn draw_rates(rng: &mut Rng, servers: usize) -> (Vec<u64>, bool) {
    match rng.below(8) {
        // A lease is half an election timeout: twice the speed of another clock is too much.
        0 => ((0..servers).map(|_| 800 + rng.below(500)).collect(), false),
        // As much as it allows for: a slow leader, and all others fast.
        1 => ((0..servers).map(|_| pick(rng, &[800, 1_299])).collect(), false),
        2 => ((0..servers).map(|_| pick(rng, &[500, 1_000, 2_000])).collect(), true),
        _ => (vec![1_000; servers], false),
    }
}

fn draw_network(rng: &mut Rng, servers: usize, end: Moment, items: &mut Vec<Item>) {
    if servers < 2 || rng.chance(1, 3) {
        return;
    }
    let shape = rng.below(7);
    let length = millis(rng, &[50, 500, 3_000]);
    let gap = millis(rng, &[300, 1_000, 5_000]);
    for at in moments(rng, gap + length, end) {
        let length = length / 2 + rng.up_to(length);
        let target = draw_target(rng, servers);
        let one = rng.below(servers as u64) as usize;
        let direction = pick(rng, &[Direction::Both, Direction::From, Direction::To]);
        let what = match shape {
            0 => Fault::Split { side: rng.draw(), length },
            1 => Fault::Isolate { target: Target::Server(one), direction: Direction::Both, length },
            2 => Fault::Isolate { target: Target::Leader(one), direction: Direction::Both, length },
            3 => Fault::Isolate { target, direction, length },
            4 => Fault::Bridge { middle: one, length },
            5 => {
                swizzle(rng, servers, at, length, items);
                continue;
            }
            _ => match rng.below(3) {
                0 => Fault::Split { side: rng.draw(), length },
                1 => Fault::Isolate { target, direction, length },
                _ => Fault::Bridge { middle: one, length },
            },
        };
        items.push(Item { at, what });
    }
}

/// Clog the links of some servers one by one, and unclog them in another order.
fn swizzle(rng: &mut Rng, servers: usize, at: Moment, length: Duration, items: &mut Vec<Item>) {
    for from in 0..servers {
        for to in 0..servers {
            if from != to && rng.chance(1, 2) {
                let at = at + rng.up_to(length);
                let length = rng.up_to(length * 2);
                items.push(Item { at, what: Fault::Clog { from, to, length } });
            }
        }
    }
}

fn draw_process(rng: &mut Rng, servers: usize, end: Moment, items: &mut Vec<Item>) {
    if rng.chance(2, 3) {
        let gap = millis(rng, &[300, 1_000, 5_000, 20_000]);
        let down = pick(rng, &[1, 50, 500, 5_000]);
        let forever = rng.chance(1, 8);
        for at in moments(rng, gap, end) {
            let target = draw_target(rng, servers);
            let down = if forever && rng.chance(1, 4) {
                FOREVER
            } else {
                Duration::from_millis(1) + rng.up_to(Duration::from_millis(down * 2))
            };
            items.push(Item { at, what: Fault::Crash { target, down } });
        }
    }
    if rng.chance(1, 4) {
        let (gap, length) = (millis(rng, &[1_000, 5_000]), millis(rng, &[100, 1_500, 10_000]));
        for at in moments(rng, gap + length, end) {
            let (target, length) = (draw_target(rng, servers), rng.jitter(length / 2));
            items.push(Item { at, what: Fault::Pause { target, length } });
        }
    }
    if rng.chance(1, 4) {
        let (gap, length) = (millis(rng, &[500, 5_000]), millis(rng, &[100, 1_000, 5_000]));
        let full = rng.chance(1, 3);
        for at in moments(rng, gap + length, end) {
            let (target, length) = (draw_target(rng, servers), rng.jitter(length / 2));
            let what = if full && rng.chance(1, 2) {
                Fault::Full { target, length }
            } else {
                Fault::Stall { target, length }
            };
            items.push(Item { at, what });
        }
    }
}

fn draw_clocks(rng: &mut Rng, servers: usize, end: Moment, knobs: &Knobs, items: &mut Vec<Item>) {
    if knobs.rates.iter().all(|it| *it == 1_000) || rng.chance(1, 2) {
        return;
    }
    let gap = millis(rng, &[1_000, 5_000]);
    for at in moments(rng, gap, end) {
        let server = rng.below(servers as u64) as usize;
        let rate = if knobs.beyond_drift { pick(rng, &[500, 2_000]) } else { 800 + rng.below(500) };
        items.push(Item { at, what: Fault::Rate { server, rate } });
    }
}

/// Returns whether the group changes.
fn draw_operators(rng: &mut Rng, servers: usize, end: Moment, items: &mut Vec<Item>) -> bool {
    if servers < 2 {
        return false;
    }
    if rng.chance(1, 4) {
        let gap = millis(rng, &[1_000, 5_000]);
        for at in moments(rng, gap, end) {
            let to = rng.chance(1, 2).then(|| rng.below(servers as u64) as usize);
            items.push(Item { at, what: Fault::Transfer { to } });
        }
    }
    if !rng.chance(1, 4) {
        return false;
    }
    let gap = millis(rng, &[500, 2_000, 5_000]);
    for at in moments(rng, gap, end) {
        let server = rng.below(servers as u64) as usize;
        let changes = [
            Change::AddVoter,
            Change::AddVoter,
            Change::Promote,
            Change::Promote,
            Change::Demote,
            Change::Remove,
        ];
        let change = pick(rng, &changes);
        items.push(Item { at, what: Fault::Change { change, server } });
    }
    true
}

fn draw_target(rng: &mut Rng, servers: usize) -> Target {
    let one = rng.below(servers as u64) as usize;
    if rng.chance(1, 2) { Target::Leader(one) } else { Target::Server(one) }
}

/// Moments about `gap` apart, from soon after the beginning until `end`.
fn moments(rng: &mut Rng, gap: Duration, end: Moment) -> Vec<Moment> {
    let mut at = Moment::default() + rng.up_to(gap * 2);
    let mut moments = Vec::new();
    while at < end {
        moments.push(at);
        at = at + gap / 2 + rng.up_to(gap);
    }
    moments
}

fn millis(rng: &mut Rng, choices: &[u64]) -> Duration {
    Duration::from_millis(pick(rng, choices))
}

fn pick<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u64) as usize].clone()
}

/// Until everything is put right.
pub const FOREVER: Duration = Duration::MAX;

#[test]
fn a_seed_is_a_plan() {
    let plan = |seed| format!("{:?}", Plan::new(seed));
    assert_eq!(plan(3), plan(3));
    assert_ne!(plan(3), plan(4));
}

#[cfg(test)]
type Kind = (&'static str, fn(&Fault) -> bool);

/// Every fault is in some plans, and not in others.
#[test]
fn plans_differ_in_kind() {
    let plans: Vec<_> = (0..200).map(Plan::new).collect();
    let with = |wanted: fn(&Fault) -> bool| {
        plans.iter().filter(|it| it.items.iter().any(|it| wanted(&it.what))).count()
    };
    let cases: [Kind; 9] = [
        ("split", |it| matches!(it, Fault::Split { .. })),
        ("isolate", |it| matches!(it, Fault::Isolate { .. })),
        ("bridge", |it| matches!(it, Fault::Bridge { .. })),
        ("clog", |it| matches!(it, Fault::Clog { .. })),
        ("crash", |it| matches!(it, Fault::Crash { .. })),
        ("pause", |it| matches!(it, Fault::Pause { .. })),
        ("rate", |it| matches!(it, Fault::Rate { .. })),
        ("transfer", |it| matches!(it, Fault::Transfer { .. })),
        ("change", |it| matches!(it, Fault::Change { .. })),
    ];
    for (name, wanted) in cases {
        let count = with(wanted);
        assert!((5..190).contains(&count), "{name} is in {count} of 200 plans");
    }
}
