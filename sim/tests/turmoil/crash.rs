//! A server that is crashed again and again.

use std::panic::{self, AssertUnwindSafe};

use tribune_sim::turmoil::disk::Disk;
use tribune_sim::turmoil::scenario;

use crate::for_each_seed;

#[test]
fn nothing_acknowledged_is_lost() {
    for_each_seed(20, |seed| {
        scenario::crash_restart(seed);
    });
}

#[test]
fn equal_seeds_are_equal_runs() {
    for_each_seed(3, |seed| {
        let (first, second) = (scenario::crash_restart(seed), scenario::crash_restart(seed));
        let differs = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    });
}

/// A harness counts after it has caught a bug put in on purpose (W05 of the catalogue).
#[test]
fn a_disk_that_lies_is_caught() {
    let caught = (0..20).any(|seed| {
        let disk = Disk::new(seed);
        disk.start_lying();
        let run = AssertUnwindSafe(|| scenario::crash_restart_on(seed, disk));
        panic::catch_unwind(run).is_err()
    });
    assert!(caught, "twenty runs on a lying disk, and nobody noticed");
}
