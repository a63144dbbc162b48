//! Level B: the production driver, HTTP edge and log format in turmoil, crashed and restarted on a
//! simulated disk, watched by oracles from outside. Real HTTP clients run inside the simulation.
//!
//! [`scenario`] tells a story about an agent, [`cluster`] several about servers that [`fault`]s
//! happen to, [`datacenter`] one about client agents, and [`wan`] several about datacenters; [`host`]
//! is the agent, [`disk`] what it stands on, [`oracle`] what must hold, and [`zone`] what it says over
//! DNS. [`stories`] has all of them by name.

pub mod checks;
pub mod client;
pub mod cluster;
pub mod datacenter;
pub mod disk;
pub mod fault;
pub mod host;
pub mod net;
pub mod oracle;
pub mod scenario;
pub mod stories;
pub mod tap;
pub mod trace;
pub mod wan;
pub mod writer;
pub mod zone;
