//! Pools of gossiping members: small ones in which everything goes wrong, and larger ones that must
//! be quick.

#![allow(clippy::print_stderr, clippy::unwrap_used)] // A seed that fails must be named.

use std::env;

use tribune_sim::pool::swarm;

#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = env::var("SIM_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(200);
    let mut failed = Vec::new();
    for seed in 0..seeds {
        if let Some(it) = swarm::run(seed).violation {
            eprintln!("seed {seed}: {} at {:?}: {}", it.id, it.at, it.text);
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn the_seed_decides() {
    for seed in 0..10 {
        let (a, b) = (swarm::run(seed), swarm::run(seed));
        assert_eq!((a.hash, a.simulated), (b.hash, b.simulated), "seed {seed}");
    }
}
