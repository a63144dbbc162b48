//! Several servers, and what happens to them.

use std::panic::{self, AssertUnwindSafe};
use std::thread;

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
    let scenario = Scenario::find("split5").expect("the list has it");
    assert!((0..20).any(|seed| 0 < scenario.run(seed).installed));
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

/// The runtime below numbers tasks through the whole process: nothing may follow from that.
#[test]
fn a_story_does_not_hear_of_another_beside_it() {
    let scenario = Scenario::find("crash3").expect("the list has it");
    let alone: Vec<_> = (0..12).map(|seed| scenario.run(seed).hash).collect();
    let beside: Vec<_> = thread::scope(|scope| {
        let stories: Vec<_> = (0..12).map(|seed| scope.spawn(move || scenario.run(seed))).collect();
        stories.into_iter().map(|it| it.join().expect("it ran alone")).map(|it| it.hash).collect()
    });
    assert_eq!(alone, beside);
}

/// A harness counts after it has caught a bug put in on purpose (W05 of the catalogue): here it
/// takes a power failure of a majority.
#[test]
fn disks_that_lie_are_caught() {
    let scenario = Scenario::find("crash3").expect("the list has it");
    let caught = (0..10).any(|seed| {
        let run = AssertUnwindSafe(|| scenario.run_on(seed, Disk::start_lying));
        panic::catch_unwind(run).is_err()
    });
    assert!(caught, "ten runs on lying disks, and nobody noticed");
}
