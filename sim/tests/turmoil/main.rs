//! The production shell under turmoil.

#![allow(clippy::print_stderr)] // A seed that fails must be named.

use std::env;

mod cluster;
mod crash;
mod datacenter;
mod wan;

/// Run `count` seeds, or the one that `SIM_SEED` names.
fn for_each_seed(count: u64, run: impl Fn(u64)) {
    let wanted = env::var("SIM_SEED").ok().and_then(|it| it.parse::<u64>().ok());
    for seed in wanted.map_or(0..count, |it| it..it + 1) {
        // Whoever fails here is found again with this line.
        eprintln!("SIM_SEED={seed}");
        run(seed);
    }
}
