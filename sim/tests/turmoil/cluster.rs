//! Several servers, and what happens to them.

use std::panic::{self, AssertUnwindSafe};

use tribune_sim::turmoil::cluster::{SCENARIOS, Scenario};
use tribune_sim::turmoil::disk::Disk;

use crate::for_each_seed;

#[test]
fn what_clients_were_told_holds_in_every_story() {
    for scenario in SCENARIOS {
        for_each_seed(3, |seed| {
            let outcome = scenario.run(seed);
            assert!(0 < outcome.acknowledged, "{} {seed}: nothing was written", scenario.name);
        });
    }
}

/// What a test never meets it does not test.
#[test]
fn snapshots_travel() {
    let scenario = Scenario::find("crash5").expect("the list has it");
    let installed: u32 = (0..5).map(|seed| scenario.run(seed).installed).sum();
    assert!(0 < installed);
}

#[test]
fn equal_seeds_are_equal_stories() {
    let scenario = Scenario::find("all5").expect("the list has it");
    for_each_seed(2, |seed| {
        let (first, second) = (scenario.run(seed), scenario.run(seed));
        let differs = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    });
}

/// A harness counts after it has caught a bug put in on purpose (W05 of the catalogue): here it
/// takes a power failure of a majority.
#[test]
fn disks_that_lie_are_caught() {
    let scenario = Scenario::find("crash3").expect("the list has it");
    let caught = (0..40).any(|seed| {
        let run = AssertUnwindSafe(|| scenario.run_on(seed, Disk::start_lying));
        panic::catch_unwind(run).is_err()
    });
    assert!(caught, "forty runs on lying disks, and nobody noticed");
}
