//! One agent, composed: the machines of Tribune wired to each other.
//!
//! [`Node`] holds everything a server knows, [`Client`] what an agent knows that is none; [`Agent`] is
//! either, and whoever drives one need not know which. One input goes in, all its consequences come out, in
//! one order. It reads no clock, draws no entropy, opens no file and no socket, starts no thread and
//! never waits.
//!
//! ```text
//!   handle(now, input) ────┐                  ┌─> Persist, Send      (the log, the peers)
//!   handle_timeout(now) ───┼──> [   Node   ] ─┼─> Reply, Serve       (clients)
//!                          │     raft         ├─> RunCheck, Save     (this machine)
//!                          │     state        ├─> SaveSnapshot, ForgetLog
//!                          │     agent        ├─> Packet             (the pool)
//!                          │     gossip       └─> Event              (operators)
//! ```
//!
//! # The contract with the caller
//!
//! 1. Feed any number of inputs, then drain [`Node::poll_output`] until it is `None`. Inputs fed
//!    together share their consequences: one log batch, one message to each peer.
//! 2. Outputs are independent of each other: perform them in any order and at the same time. What
//!    is shown is not an output: publish [`Node::view`] after every drain that changed
//!    [`Node::shown`], before a reply leaves. Who has read an acknowledgement may read again.
//! 3. `now` never goes backwards.
//! 4. Every output that asks for something is answered by an input; an answer that never comes is a
//!    crash, not an error.
//!
//! # Where to start reading
//!
//! [`Node::handle`], then [`apply`], where a committed entry has its effects. In a client agent, the
//! `ask` of `client` is where most things go. No protocol's rule is
//! written in this crate: every file here is a wire, named after what it connects.

#![forbid(unsafe_code)]

mod across;
mod agent;
pub mod apply;
mod area;
mod bootstrap;
mod client;
pub mod config;
pub mod event;
mod failover;
mod fired;
mod forward;
mod gossip;
pub mod input;
mod keys;
mod leader;
mod leave;
mod local;
pub mod node;
mod observe;
mod operator;
pub mod output;
mod request;
mod roster;
mod router;
mod serve;
pub mod view;
mod wan;
pub mod wire;

pub use agent::Agent;
pub use area::Area;
pub use client::Client;
pub use config::{Config, Encryption};
pub use event::Event;
pub use input::{Call, Input};
pub use node::{Node, Restored};
pub use output::{Output, Serve};
pub use request::RequestId;
pub use view::{Freshness, Shown, View};
pub use wire::Wire;
