//! Thousands of seeds in the core world, and whether the world would notice.

#![allow(clippy::print_stderr)] // A seed that fails must be named.

use std::env;
use std::thread;

use tribune_sim::plan::Plan;
use tribune_sim::shrink::{self, Cutting};
use tribune_sim::swarm::Swarm;
use tribune_sim::world;

/// `SIM_SEEDS` says how many otherwise.
#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = env::var("SIM_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(5_000);
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let swarm = Swarm {
        first: 0,
        seeds,
        servers: None,
        agents: None,
        threads,
        failures_max: 3,
        longest: None,
    };
    let summary = swarm.run(|_| {});
    for (seed, it) in &summary.failures {
        eprintln!("seed {seed}: {} at {}: {}", it.id, it.at, it.text);
    }
    assert!(summary.failures.is_empty(), "`sim run --seed {}`", summary.failures[0].0);
    // A swarm in which nothing happens finds nothing.
    assert!(seeds < summary.crashes, "crashes: {}", summary.crashes);
    assert!(seeds * 10 < summary.acknowledged, "writes: {}", summary.acknowledged);
    assert!(seeds * 10 < summary.read, "reads: {}", summary.read);
}

/// The canary: a world that must be found broken. If it is not, nothing above means anything.
#[test]
fn disks_that_lie_are_noticed() {
    let noticed = (0..20).filter(|seed| {
        let mut plan = Plan::with_servers(*seed, 5);
        plan.knobs.lying_disks = true;
        let violation = world::run(&plan, false).violation;
        violation.is_some_and(|it| it.id == "RI-7" || it.id == "RI-6")
    });
    assert_eq!(noticed.count(), 20, "of twenty");
}

#[test]
fn equal_plans_are_equal_runs() {
    for seed in 0..30 {
        let plan = Plan::new(seed);
        let (quiet, told) = (world::run(&plan, false), world::run(&plan, true));
        assert_eq!(quiet.hash, told.hash, "seed {seed}: looking changes it");
        assert_eq!(quiet.checkpoints, told.checkpoints, "seed {seed}");
        assert_ne!(quiet.hash, world::run(&Plan::new(seed + 1_000), false).hash);
    }
}

/// What a seed stands for is found again in what is left of it: the same invariant breaks, and what
/// had nothing to do with it is gone.
#[test]
fn what_fails_can_be_made_small() {
    let plan = Plan::with_servers(17, 5);
    let play = |it: &Plan| {
        let mut plan = it.clone();
        plan.knobs.lying_disks = true;
        world::run(&plan, false).violation
    };
    let small = shrink::shrink_with(&plan, 1_000, |_| {}, play).expect("a lie is noticed");
    assert!(small.items.is_empty(), "no fault is needed: {small}");
    assert!(small.ops.is_empty(), "no client is needed: {small}");
    let read: Cutting = small.to_string().parse().expect("what is written can be read");
    assert_eq!(play(&read.plan()).map(|it| it.id), Some(small.breaks));
    assert_eq!(
        shrink::shrink(&plan, 10, |_| {}),
        None,
        "a sound plan has nothing to be cut down to"
    );
}
