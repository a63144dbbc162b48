//! Random clusters in a random world: messages are lost, repeated and overtaken, disks are slow,
//! servers crash and come back with what they had persisted, the network splits, leadership moves
//! and members come and go. The [`oracle`](oracle::Oracle) watches what Raft promises (paper,
//! figure 3), and when the world is healed, everything must go on.
//!
//! A failure names its seed. `RAFT_SEED=7` runs one, `RAFT_SEEDS=1000` that many.

#![allow(clippy::unwrap_used)] // The whole file is a test.
#![allow(clippy::disallowed_methods)] // A test may be told its seed.

#[cfg(feature = "planted-bugs")]
mod bugs;
mod oracle;
mod server;
mod world;

use std::env;

use tribune_base::time::Duration;
use world::{Faults, World};

/// Nothing bad happens, and in the end something good does.
#[test]
fn one_history_survives_everything() {
    for seed in seeds(20) {
        run(seed, Faults::swarm(seed));
    }
}

/// Without changes of the group the oracle can also check every commit against the disks.
#[test]
fn what_is_committed_is_on_a_quorum_of_disks() {
    for seed in seeds(10) {
        run(seed, Faults { changes: false, ..Faults::swarm(seed) });
    }
}

/// A minority that is told to go on alone keeps what was committed and one of it had.
#[test]
fn a_minority_goes_on_when_it_is_told_to() {
    for (voters, survivors) in [(3, 1), (5, 2)] {
        for seed in seeds(10) {
            let faults = Faults { changes: false, voters: Some(voters), ..Faults::swarm(seed) };
            let mut world = World::new(seed, faults);
            world.run(Duration::from_secs(15));
            world.lose_all_but(survivors);
            world.run(Duration::from_secs(20));
            world.heal();
            world.run(Duration::from_secs(15));
            world.expect_progress();
        }
    }
}

/// A healthy cluster elects one leader and keeps it.
#[test]
fn without_faults_there_is_one_election() {
    for seed in seeds(5) {
        let mut world = World::new(seed, Faults::none());
        world.run(Duration::from_secs(20));
        world.expect_progress();
        assert_eq!(world.oracle.leaders(), 1, "seed {seed}");
    }
}

/// Servers that wake at the same moment, over links that all take equally long, do not get in each
/// other's way for ever.
#[test]
fn twins_elect_somebody() {
    for seed in seeds(5) {
        twins(seed);
    }
}

/// A server that nobody could hear for a while is not noticed when it comes back.
#[test]
fn isolation_costs_no_election() {
    for seed in seeds(5) {
        isolation(seed);
    }
}

fn twins(seed: u64) {
    let instantly = Duration::ZERO;
    let faults = Faults { latency_max: instantly, disk_max: instantly, ..Faults::none() };
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(20));
    world.expect_progress();
}

fn isolation(seed: u64) {
    // Nobody writes: a log that lags would be reason enough not to elect who comes back.
    let faults = Faults { clients: false, voters: Some(3), ..Faults::none() };
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(5));
    world.isolate();
    world.run(Duration::from_secs(10));
    world.heal();
    world.run(Duration::from_secs(5));
    assert_eq!(world.oracle.leaders(), 1, "seed {seed}: who came back made an election");
    world.expect_progress();
}

/// Equal seeds give equal traces.
#[test]
fn a_seed_decides_everything() {
    let trace = |seed| {
        let mut world = World::new(seed, Faults::swarm(seed));
        world.run(Duration::from_secs(5));
        (world.oracle.committed(), world.events())
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

fn run(seed: u64, faults: Faults) {
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(30));
    world.heal();
    world.run(Duration::from_secs(15));
    world.expect_progress();
}

fn seeds(default: u64) -> Vec<u64> {
    let number = |name| env::var(name).ok().and_then(|it| it.parse().ok());
    match number("RAFT_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RAFT_SEEDS").unwrap_or(default)).collect(),
    }
}
