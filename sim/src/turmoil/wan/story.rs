//! The stories of this world: what they are called, and what happens in them.

use std::fmt;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::weather::Dc;
use super::world;
use super::{DATACENTERS, Progress, Run, Size, dc_name};
use crate::turmoil::tap::Tap;

/// A story.
#[derive(Clone, Copy, Debug)]
pub struct Story {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens in it, in a line.
    pub what: &'static str,
    plan: fn(&mut Rng, Size) -> Vec<Step>,
}

/// Something that happens, and for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Step {
    pub(super) act: Act,
    pub(super) lasts: Duration,
}

/// Something that happens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Act {
    /// Nothing.
    Calm,
    /// A datacenter and all others do not hear of each other.
    Cut(Dc),
    /// What a datacenter says is not heard by any other; or, if it is not mute, it hears nothing.
    OneWay {
        /// Which.
        dc: Dc,
        /// Whether it is heard, or hears.
        mute: bool,
    },
    /// A datacenter has no power.
    Dark(Dc),
    /// In every datacenter, whoever leads is cut off from everybody.
    Behead,
    /// The link between these comes and goes.
    Flap(Dc, Dc),
    /// All links between datacenters take so long.
    Slow(Duration),
    /// A minority of the servers of a datacenter and the rest of it do not hear of each other.
    Split(Dc),
    /// A server of each datacenter is started again.
    Restart(usize),
    /// Many clients come at once.
    Storm,
}

/// All there are.
pub const STORIES: &[Story] = &[
    Story { name: "wan-calm", what: "three datacenters, and nothing happens", plan: calm },
    Story { name: "wan-cut", what: "one datacenter's links to the others are cut", plan: cut },
    Story {
        name: "wan-asymmetric",
        what: "one datacenter is not heard by the others, or does not hear them",
        plan: one_way,
    },
    Story { name: "dark", what: "a whole datacenter loses power, and comes back", plan: dark },
    Story {
        name: "headless",
        what: "in every datacenter at once, whoever leads is cut off from everybody",
        plan: |rng, _| vec![step(Act::Behead, seconds(rng, 10, 25))],
    },
    Story {
        name: "flapping",
        what: "a link between two datacenters comes and goes",
        plan: flapping,
    },
    Story {
        name: "slow-wan",
        what: "all links between datacenters take 300 ms one way",
        plan: |rng, _| vec![step(Act::Slow(SLOW), seconds(rng, 15, 30))],
    },
    Story {
        name: "lan-split",
        what: "the servers of a datacenter fall into two groups, under a healthy WAN",
        plan: |rng, _| vec![step(Act::Split(any(rng)), seconds(rng, 10, 30))],
    },
    Story { name: "rolling", what: "all servers are started again, one by one", plan: rolling },
    Story {
        name: "storm",
        what: "after a datacenter was cut off, crowds of clients come at once",
        plan: storm,
    },
    Story { name: "worst-day", what: "three of all this, one after the other", plan: worst_day },
];

impl Story {
    /// The one called `name`.
    pub fn find(name: &str) -> Option<Self> {
        STORIES.iter().find(|it| it.name == name).copied()
    }

    /// Run it with everything as `seed` wants it. `progress` is told now and then; who tells whom is
    /// noted by `tap`.
    pub fn run(
        &self,
        seed: u64,
        size: Size,
        tap: &Tap,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Run {
        let mut rng = Rng::stream(seed, self.name);
        let plan = (self.plan)(&mut rng, size);
        world::run(seed, size, (&plan, rng), tap, progress)
    }
}

fn calm(_: &mut Rng, _: Size) -> Vec<Step> {
    vec![step(Act::Calm, Duration::from_secs(20))]
}

fn cut(rng: &mut Rng, _: Size) -> Vec<Step> {
    // Long enough to be taken for dead, or not.
    let long = rng.chance(1, 4);
    let lasts = if long { seconds(rng, 70, 100) } else { seconds(rng, 5, 25) };
    vec![step(Act::Cut(any(rng)), lasts)]
}

fn one_way(rng: &mut Rng, _: Size) -> Vec<Step> {
    let (dc, mute) = (any(rng), rng.chance(1, 2));
    vec![step(Act::OneWay { dc, mute }, seconds(rng, 10, 30))]
}

fn dark(rng: &mut Rng, _: Size) -> Vec<Step> {
    let long = rng.chance(1, 4);
    let lasts = if long { seconds(rng, 70, 100) } else { seconds(rng, 5, 20) };
    vec![step(Act::Dark(any(rng)), lasts)]
}

fn flapping(rng: &mut Rng, _: Size) -> Vec<Step> {
    let one = any(rng);
    let other = (one + 1 + rng.below(DATACENTERS as u64 - 1) as Dc) % DATACENTERS;
    vec![step(Act::Flap(one, other), seconds(rng, 15, 30))]
}

fn rolling(_: &mut Rng, size: Size) -> Vec<Step> {
    (0..size.servers).map(|it| step(Act::Restart(it), Duration::from_secs(8))).collect()
}

fn storm(rng: &mut Rng, _: Size) -> Vec<Step> {
    let lasts = seconds(rng, 10, 20);
    vec![step(Act::Cut(any(rng)), lasts), step(Act::Storm, Duration::from_secs(8))]
}

fn worst_day(rng: &mut Rng, size: Size) -> Vec<Step> {
    let bad: Vec<_> = STORIES.iter().filter(|it| !UNFIT.contains(&it.name)).collect();
    let draw = |rng: &mut Rng| (bad[rng.below(bad.len() as u64) as usize].plan)(rng, size);
    (0..3).flat_map(|_| draw(rng)).collect()
}

const fn step(act: Act, lasts: Duration) -> Step {
    Step { act, lasts }
}

fn any(rng: &mut Rng) -> Dc {
    rng.below(DATACENTERS as u64) as Dc
}

fn seconds(rng: &mut Rng, min: u64, max: u64) -> Duration {
    Duration::from_millis(min * 1_000 + rng.below((max - min) * 1_000))
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calm => f.write_str("calm"),
            Self::Cut(dc) => write!(f, "{} is cut off", dc_name(*dc)),
            Self::OneWay { dc, mute: true } => write!(f, "nobody hears {}", dc_name(*dc)),
            Self::OneWay { dc, mute: false } => write!(f, "{} hears nobody", dc_name(*dc)),
            Self::Dark(dc) => write!(f, "{} is dark", dc_name(*dc)),
            Self::Behead => f.write_str("leaders are cut off"),
            Self::Flap(one, other) => {
                write!(f, "{}-{} comes and goes", dc_name(*one), dc_name(*other))
            }
            Self::Slow(latency) => write!(f, "the WAN takes {latency:?}"),
            Self::Split(dc) => write!(f, "{} is split", dc_name(*dc)),
            Self::Restart(server) => write!(f, "server {} restarts everywhere", server + 1),
            Self::Storm => f.write_str("crowds come"),
        }
    }
}

/// How long a slow link takes.
const SLOW: Duration = Duration::from_millis(300);

/// What has no place in a longer story.
const UNFIT: &[&str] = &["wan-calm", "storm", "rolling", "worst-day"];

#[test]
fn names_are_unique_and_plans_follow_from_seeds() {
    let names: std::collections::BTreeSet<_> = STORIES.iter().map(|it| it.name).collect();
    assert_eq!(names.len(), STORIES.len());
    for story in STORIES {
        let plan = |seed| (story.plan)(&mut Rng::stream(seed, story.name), Size::default());
        assert_eq!(plan(7), plan(7), "{}", story.name);
        assert!(!plan(1).is_empty(), "{}", story.name);
    }
}
