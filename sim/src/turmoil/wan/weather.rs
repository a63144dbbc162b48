//! What is wrong in a world of datacenters, and since when: who must be answered follows from it, and
//! by whom.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tribune_base::time::Duration;

/// The number of a datacenter, from zero on.
pub type Dc = usize;

/// What is wrong, and for how long. A clone is of the same world.
#[derive(Clone, Debug, Default)]
pub struct Weather(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    /// Since when each datacenter has been well in itself. Later than now: when it will be.
    fine: BTreeMap<Dc, Duration>,
    /// Since when the first can reach the second.
    linked: BTreeMap<(Dc, Dc), Duration>,
    /// Since when the first cannot be answered by the second.
    severed: BTreeMap<(Dc, Dc), Duration>,
    /// Who must not be asked.
    away: BTreeSet<String>,
    /// Datacenters without power.
    dark: BTreeSet<Dc>,
    /// Which services are well, by the number of their port, and since when.
    well: BTreeMap<u16, (bool, Duration)>,
    /// Whether something is happening to somebody.
    foul: bool,
    /// When many clients come at once.
    storm: Option<Duration>,
    /// Since when everything has been well, for good.
    healed: Option<Duration>,
}

impl Weather {
    /// A datacenter is well in itself from `since` on.
    pub fn set_fine(&self, dc: Dc, since: Duration) {
        self.0.borrow_mut().fine.insert(dc, since);
    }

    /// A datacenter has trouble of its own.
    pub fn set_troubled(&self, dc: Dc) {
        self.0.borrow_mut().fine.remove(&dc);
    }

    /// `from` reaches `to` from `since` on.
    pub fn set_linked(&self, from: Dc, to: Dc, since: Duration) {
        let mut state = self.0.borrow_mut();
        state.severed.remove(&(from, to));
        state.linked.insert((from, to), since);
    }

    /// `from` may not reach `to`.
    pub fn set_doubtful(&self, from: Dc, to: Dc) {
        let mut state = self.0.borrow_mut();
        state.severed.remove(&(from, to));
        state.linked.remove(&(from, to));
    }

    /// `from` gets no answer of `to` from `since` on.
    pub fn set_severed(&self, from: Dc, to: Dc, since: Duration) {
        let mut state = self.0.borrow_mut();
        state.linked.remove(&(from, to));
        state.severed.insert((from, to), since);
    }

    /// Nobody asks `host`, or everybody may again.
    pub fn set_away(&self, host: &str, away: bool) {
        let mut state = self.0.borrow_mut();
        if away {
            state.away.insert(host.to_owned());
        } else {
            state.away.remove(host);
        }
    }

    /// A datacenter has no power, or has it back.
    pub fn set_dark(&self, dc: Dc, dark: bool) {
        let mut state = self.0.borrow_mut();
        if dark {
            state.dark.insert(dc);
        } else {
            state.dark.remove(&dc);
        }
    }

    /// The service at `port` is well or not, as everybody knows from `since` on.
    pub fn set_well(&self, port: u16, well: bool, since: Duration) {
        self.0.borrow_mut().well.insert(port, (well, since));
    }

    /// Something happens to somebody, or is over.
    pub fn set_foul(&self, foul: bool) {
        self.0.borrow_mut().foul = foul;
    }

    /// Many clients come at `at`.
    pub fn set_storm(&self, at: Duration) {
        self.0.borrow_mut().storm = Some(at);
    }

    /// Everything is well, and nothing happens any more.
    pub fn set_healed(&self, at: Duration) {
        self.0.borrow_mut().healed = Some(at);
    }

    /// Whether a datacenter has been well in itself since `begin`.
    pub fn is_fine_since(&self, dc: Dc, begin: Duration) -> bool {
        self.0.borrow().fine.get(&dc).is_some_and(|it| *it <= begin)
    }

    /// Whether `from` has reached `to` since `begin`, both being well.
    pub fn is_linked_since(&self, from: Dc, to: Dc, begin: Duration) -> bool {
        let linked = self.0.borrow().linked.get(&(from, to)).is_some_and(|it| *it <= begin);
        (from == to || linked) && self.is_fine_since(from, begin) && self.is_fine_since(to, begin)
    }

    /// Whether `from`, being well, could get no answer of `to` since `begin`.
    pub fn is_severed_since(&self, from: Dc, to: Dc, begin: Duration) -> bool {
        let severed = self.0.borrow().severed.get(&(from, to)).is_some_and(|it| *it <= begin);
        severed && self.is_fine_since(from, begin)
    }

    /// Whether something is happening to somebody.
    pub fn is_foul(&self) -> bool {
        self.0.borrow().foul
    }

    /// Whether `host` may be asked.
    pub fn is_there(&self, host: &str) -> bool {
        !self.0.borrow().away.contains(host)
    }

    /// Whether a datacenter has no power.
    pub fn is_dark(&self, dc: Dc) -> bool {
        self.0.borrow().dark.contains(&dc)
    }

    /// The ports of services of which it has been certain since `begin` whether they are well.
    pub fn well_since(&self, begin: Duration) -> BTreeMap<u16, bool> {
        let state = self.0.borrow();
        let certain = state.well.iter().filter(|(_, (_, since))| *since <= begin);
        certain.map(|(port, (well, _))| (*port, *well)).collect()
    }

    /// Since when it has been certain whether the service at `port` is well, or when it will be.
    pub fn well_from(&self, port: u16) -> Duration {
        self.0.borrow().well.get(&port).map_or(Duration::ZERO, |it| it.1)
    }

    /// When many clients come at once, if they do.
    pub fn storm(&self) -> Option<Duration> {
        self.0.borrow().storm
    }

    /// Since when everything has been well, for good.
    pub fn healed(&self) -> Option<Duration> {
        self.0.borrow().healed
    }
}

#[test]
fn what_began_before_the_weather_changed_is_not_judged_by_it() {
    let (weather, at) = (Weather::default(), Duration::from_secs);
    (0..2).for_each(|dc| weather.set_fine(dc, at(1)));
    weather.set_linked(0, 1, at(5));
    assert!(!weather.is_linked_since(0, 1, at(4)));
    assert!(weather.is_linked_since(0, 1, at(5)));
    weather.set_severed(0, 1, at(10));
    assert!(!weather.is_linked_since(0, 1, at(6)));
    assert!(!weather.is_severed_since(0, 1, at(9)));
    assert!(weather.is_severed_since(0, 1, at(10)));
    weather.set_troubled(0);
    assert!(!weather.is_severed_since(0, 1, at(10)), "what is asked there may fail anyhow");
}
