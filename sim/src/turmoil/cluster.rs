//! Stories about several servers: they find each other, begin a cluster, and lose power or sight of
//! each other while clients write and read. Nothing acknowledged is lost, every read shows what was
//! acknowledged before it began, and when all is well again, everybody serves.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::disk::Disk;
use super::fault::{Fault, Kind, LATENCY_MAX, name};
use super::host::Host;
use super::oracle::Oracle;
use super::scenario::{Outcome, network, step_until};
use super::trace::Trace;
use super::writer::Writer;

/// What a story is about.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// How many servers there are.
    pub servers: usize,
    /// What happens to them.
    pub kinds: &'static [Kind],
}

/// All there are.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "calm3", servers: 3, kinds: &[] },
    Scenario { name: "calm5", servers: 5, kinds: &[] },
    Scenario { name: "crash3", servers: 3, kinds: &[Kind::Crash] },
    Scenario { name: "crash5", servers: 5, kinds: &[Kind::Crash] },
    Scenario { name: "split3", servers: 3, kinds: &[Kind::Split] },
    Scenario { name: "split5", servers: 5, kinds: &[Kind::Split] },
    Scenario { name: "one-way", servers: 5, kinds: &[Kind::OneWay] },
    Scenario { name: "bridge", servers: 5, kinds: &[Kind::Bridge] },
    Scenario { name: "slow", servers: 5, kinds: &[Kind::Slow, Kind::Hold] },
    Scenario { name: "all3", servers: 3, kinds: ALL },
    Scenario { name: "all5", servers: 5, kinds: ALL },
];

const ALL: &[Kind] =
    &[Kind::Crash, Kind::Split, Kind::OneWay, Kind::Bridge, Kind::Slow, Kind::Hold];

impl Scenario {
    /// The one called `name`.
    pub fn find(name: &str) -> Option<Self> {
        SCENARIOS.iter().find(|it| it.name == name).copied()
    }

    /// Run it.
    ///
    /// # Panics
    ///
    /// If something does not hold that must.
    pub fn run(&self, seed: u64) -> Outcome {
        self.run_on(seed, |_| {})
    }

    /// The same, on disks that something was done to.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub fn run_on(&self, seed: u64, prepare: impl Fn(&Disk)) -> Outcome {
        let mut rng = Rng::stream(seed, "scenario");
        let (trace, oracle) = (Trace::default(), Rc::new(RefCell::new(Oracle::default())));
        let healed = Rc::new(Cell::new(false));
        let mut sim =
            network(seed, Duration::from_secs(600), LATENCY_MAX).tick_duration(TICK).build();
        let mut hosts = Vec::new();
        for server in 0..self.servers {
            let host = self.host(server, seed, &mut rng);
            prepare(&host.disk);
            hosts.push(host.clone());
            sim.host(name(server), move || host.clone().run());
        }
        for number in 0..WRITERS {
            let writer = Writer {
                number,
                count: WRITERS,
                servers: self.servers,
                seed,
                healed: Rc::clone(&healed),
                oracle: Rc::clone(&oracle),
                trace: trace.clone(),
            };
            sim.client(format!("c{number}"), writer.run());
        }
        let crashes = self.strike(&mut sim, &hosts, &mut rng, &trace);
        healed.set(true);
        trace.note(sim.elapsed(), "all", format_args!("healed"));
        sim.run().unwrap_or_else(|error| panic!("{} {seed}: {error}", self.name));
        let acknowledged = oracle.borrow().acknowledged();
        let (hash, lines, elapsed) = (trace.hash(), trace.lines(), sim.elapsed());
        let installed = hosts.iter().map(|it| it.disk.installed()).sum();
        Outcome { hash, lines, acknowledged, crashes, installed, elapsed }
    }

    /// Let things happen, one after the other and sometimes two at once, and be over.
    fn strike(
        &self,
        sim: &mut turmoil::Sim<'_>,
        hosts: &[Host],
        rng: &mut Rng,
        trace: &Trace,
    ) -> u32 {
        let mut crashes = 0;
        // Time to begin.
        let start = sim.elapsed() + Duration::from_secs(8);
        step_until(sim, start);
        for _ in 0..4 + rng.below(4) {
            let fault =
                (!self.kinds.is_empty()).then(|| Fault::draw(rng, self.kinds, self.servers));
            if let Some(fault) = &fault {
                trace.note(sim.elapsed(), "all", format_args!("{fault}"));
                fault.strike(sim, hosts);
                crashes += u32::from(matches!(fault, Fault::Crash(_)));
            }
            let until = sim.elapsed() + rng.up_to(Duration::from_secs(8));
            step_until(sim, until);
            if let Some(fault) = &fault {
                trace.note(sim.elapsed(), "all", format_args!("over: {fault}"));
                fault.heal(sim);
            }
            let until = sim.elapsed() + rng.up_to(Duration::from_secs(5));
            step_until(sim, until);
        }
        crashes
    }

    fn host(&self, server: usize, seed: u64, rng: &mut Rng) -> Host {
        Host {
            snapshot_entries_max: 5 + rng.below(60),
            trailing_entries_max: rng.below(30),
            servers: (0..self.servers).map(name).collect(),
            ..Host::new(name(server), seed)
        }
    }
}

/// How many clients write, each its own key.
const WRITERS: u64 = 3;

/// The grain of simulated time. Most of what a run costs is a price per grain and host.
const TICK: Duration = Duration::from_millis(4);
