//! The same agents in a simulated world, with one seed deciding everything.
//!
//! Two levels, and what they share:
//!
//! * [`world`] is level A: whole clusters of pure nodes in one heap of events, watched by
//!   [`oracle`]s that see every log, disk and message. Thousands of simulated seconds in one.
//! * [`turmoil`] is level B: the production driver, HTTP edge and log format under turmoil, crashed
//!   and restarted on simulated disks, and seen through real HTTP clients.
//!
//! Beside them, [`pool`] has gossip alone, up to tens of thousands of members.
//!
//! # Where to start reading
//!
//! [`plan`]: a seed becomes a list of what goes wrong. [`world::run`] plays it. `sim --help` says
//! what can be done with that from a command line.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!(
    "turmoil can seed tokio's generator only under `--cfg tokio_unstable`: see .cargo/config.toml"
);

pub mod bugs;
pub mod chart;
mod client;
pub mod dice;
pub mod linearize;
pub mod moment;
pub mod oracle;
pub mod plan;
pub mod pool;
pub mod register;
pub mod shrink;
pub mod swarm;
pub mod trace;
pub mod turmoil;
pub mod workload;
pub mod world;

pub use client::Record;
