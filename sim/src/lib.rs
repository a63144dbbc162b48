//! The same agents under a simulated network and disk, with one seed deciding everything.
//!
//! This is level B: the production driver, HTTP edge and log format in turmoil, crashed and
//! restarted on a simulated disk, watched by oracles from outside. Real HTTP clients run inside the
//! simulation.
//!
//! # Where to start reading
//!
//! [`scenario`] tells a story about an agent; [`host`] is the agent, [`disk`] what it stands on,
//! [`oracle`] what must hold.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!(
    "turmoil can seed tokio's generator only under `--cfg tokio_unstable`: see .cargo/config.toml"
);

pub mod checks;
pub mod client;
pub mod disk;
pub mod host;
pub mod net;
pub mod oracle;
pub mod scenario;
pub mod trace;
