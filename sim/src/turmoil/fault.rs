//! What happens to a cluster in turmoil, drawn from a seed: who crashes, and who cannot reach whom.

use std::collections::BTreeSet;
use std::fmt;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use turmoil::Sim;

use super::host::Host;

/// What may happen in a run. Each kind is drawn as often as the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Some servers lose power, a minority of them or all, and start again.
    Crash,
    /// The servers fall into two groups that do not hear of each other.
    Split,
    /// One server hears everybody, and nobody hears it; or the other way round.
    OneWay,
    /// Two groups, and one server that hears both.
    Bridge,
    /// Everything from and to one server takes its time.
    Slow,
    /// What two servers say to each other is held up, and arrives later, all at once.
    Hold,
}

/// Something that happens to the servers of these numbers, from zero on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// These have no power.
    Crash(BTreeSet<usize>),
    /// What the first of each pair says does not reach the second.
    Cut(BTreeSet<(usize, usize)>),
    /// What the one with this number says takes up to so long, and what is said to it.
    Slow {
        /// Which.
        server: usize,
        /// Of how many.
        count: usize,
        /// How long.
        latency: Duration,
    },
    /// What these two say to each other arrives later.
    Hold(usize, usize),
}

impl Fault {
    /// One of `kinds`, for a cluster of `count` servers.
    pub fn draw(rng: &mut Rng, kinds: &[Kind], count: usize) -> Self {
        let mut servers: Vec<_> = (0..count).collect();
        rng.shuffle(&mut servers);
        let (one, minority) = (servers[0], 1 + rng.below((count as u64 - 1) / 2) as usize);
        match kinds[rng.below(kinds.len() as u64) as usize] {
            // Now and then the lights go out everywhere.
            Kind::Crash if rng.chance(1, 5) => Self::Crash(servers.into_iter().collect()),
            Kind::Crash => Self::Crash(servers.into_iter().take(minority).collect()),
            Kind::Split => {
                let (some, others) = servers.split_at(minority);
                Self::Cut(cuts(some, others))
            }
            Kind::OneWay => {
                let mute = rng.chance(1, 2);
                let pair = |it| if mute { (one, it) } else { (it, one) };
                Self::Cut(servers[1..].iter().map(|it| pair(*it)).collect())
            }
            Kind::Bridge => {
                let (some, others) = servers[1..].split_at(count / 2);
                Self::Cut(cuts(some, others))
            }
            Kind::Slow => {
                let latency = Duration::from_millis(50 + rng.below(500));
                Self::Slow { server: one, count, latency }
            }
            Kind::Hold => Self::Hold(one, servers[1]),
        }
    }

    /// Let it happen to these.
    pub fn strike(&self, sim: &mut Sim<'_>, hosts: &[Host]) {
        match self {
            Self::Crash(servers) => servers.iter().for_each(|it| hosts[*it].crash(sim)),
            Self::Cut(pairs) => {
                pairs.iter().for_each(|(from, to)| sim.partition_oneway(name(*from), name(*to)));
            }
            Self::Slow { server, count, latency } => delay(sim, (*server, *count), *latency),
            Self::Hold(one, other) => sim.hold(name(*one), name(*other)),
        }
    }

    /// Let it be over.
    pub fn heal(&self, sim: &mut Sim<'_>) {
        match self {
            Self::Crash(servers) => servers.iter().for_each(|it| sim.bounce(name(*it))),
            Self::Cut(pairs) => {
                pairs.iter().for_each(|(from, to)| sim.repair_oneway(name(*from), name(*to)));
            }
            Self::Slow { server, count, .. } => delay(sim, (*server, *count), LATENCY_MAX),
            Self::Hold(one, other) => sim.release(name(*one), name(*other)),
        }
    }
}

/// No pair across two groups hears of each other.
fn cuts(some: &[usize], others: &[usize]) -> BTreeSet<(usize, usize)> {
    let pairs = some.iter().flat_map(|one| others.iter().map(|other| (*one, *other)));
    pairs.flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

fn delay(sim: &Sim<'_>, (slow, count): (usize, usize), latency: Duration) {
    for other in (0..count).filter(|it| *it != slow) {
        sim.set_link_max_message_latency(name(slow), name(other), latency);
    }
}

/// What server `number` is called on the network.
pub fn name(number: usize) -> String {
    format!("n{}", number + 1)
}

/// The latency of links that nothing is wrong with.
pub const LATENCY_MAX: Duration = Duration::from_millis(10);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(servers) => {
                f.write_str("crash")?;
                servers.iter().try_for_each(|it| write!(f, " {}", name(*it)))
            }
            Self::Cut(pairs) => {
                f.write_str("cut")?;
                pairs.iter().try_for_each(|(from, to)| write!(f, " {}>{}", name(*from), name(*to)))
            }
            Self::Slow { server, latency, .. } => {
                write!(f, "slow {} by {latency:?}", name(*server))
            }
            Self::Hold(one, other) => write!(f, "hold {}-{}", name(*one), name(*other)),
        }
    }
}
