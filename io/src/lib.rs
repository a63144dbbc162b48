//! The shell: sockets, disk, clock, entropy and processes around a pure [`Node`](tribune_core::Node).
//!
//! It turns outputs into effects and effects into inputs, and decides nothing. It is generic over
//! the world: with [`net::TokioNet`] and [`wal::MappedWal`] it is production, with a simulated
//! network and disk it is a test, and nothing else differs.
//!
//! ```text
//!   connections ──> [ http ] ──┐   view    ┌── [ dns ] <── packets
//!                              ├──<─────<──┤
//!                              └──> queue ─┴──> [ driver ] ──> Node
//!                                                  │
//!                     [ wal ] <── batches ─────────┼──> [ check ], [ storage ]
//! ```
//!
//! # Where to start reading
//!
//! [`driver`] is the loop, [`handle`] how everybody else talks to it, [`http`] and [`dns`] the edges.

#![deny(unsafe_code)]

pub mod check;
pub mod clock;
pub mod dns;
pub mod driver;
pub mod entropy;
pub mod gossip;
pub mod handle;
pub mod http;
pub mod join;
mod limit;
pub mod lock;
pub mod log;
pub mod net;
pub mod raft_log;
pub mod rpc;
pub mod serve;
pub mod shelf;
pub mod snapshot;
pub mod storage;
pub mod tail;
pub mod wal;
