//! The same agents under a simulated network and disk, with one seed deciding everything.
//!
//! [`turmoil`] is level B: the production driver, HTTP edge and log format in turmoil, crashed and
//! restarted on a simulated disk, watched by oracles from outside.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!(
    "turmoil can seed tokio's generator only under `--cfg tokio_unstable`: see .cargo/config.toml"
);

pub mod turmoil;
