//! Pools of gossiping members in one heap of events, watched by oracles that know the truth.
//!
//! Members are real [`Pool`](tribune_gossip::Pool)s, and packets are bytes; only sockets and clocks
//! are missing. What ten thousand members agree about is kept once (see
//! [`Roster`](tribune_gossip::Roster)), and so they fit into a process.
//!
//! [`network`] moves packets and time, [`oracle`] knows what must be true, [`swarm`] draws what goes
//! wrong from a seed, and [`measure`] says how soon, how wrong and how loud.

pub mod measure;
pub mod network;
pub mod oracle;
pub mod swarm;

pub use network::{Network, Slow, Weather, identity};
pub use oracle::{Oracle, Sighting, Violation};
