//! The replicated state: what every server knows, and every server knows alike.
//!
//! A [`Store`] is one value. Committed commands go in, in the order of the log; each comes back as
//! an [`Outcome`] for whoever asked and as [`Touch`]es for whoever waits. Readers never meet the
//! writer: a [`Snapshot`] is taken in constant time and stays as it was.
//!
//! ```text
//!   apply(index, stamp, command) ──> [ Store ] ──> Applied { outcome, touched }
//!                                        │                            │
//!                             snapshot() │                            v
//!                                        v                       [ Watches ] ──> who may ask again
//!                                   [ Snapshot ] ──> (index, rows)
//! ```
//!
//! # The contract with the caller
//!
//! 1. `apply` never fails, and indexes only grow. A condition that does not hold is an outcome.
//! 2. The store does not know where an index comes from, and reads no clock.
//! 3. If the answer to a question changes, its index grows and its [`Topic`] is touched. If the
//!    answer stays the same, nobody is woken.
//! 4. The index of a question never goes backwards, whatever is deleted, reaped or restored from a
//!    snapshot of the same store.
//!
//! # Where to start reading
//!
//! [`Store::apply`], then [`Snapshot`] for the questions, [`watch`] for how they wait, and
//! [`kv`], [`catalog`], [`prepared_query`] and [`autopilot`] for the tables. The format of snapshots is in [`snapshot`].

#![forbid(unsafe_code)]

pub mod autopilot;
pub mod catalog;
pub mod command;
pub mod coordinate;
mod definition;
pub mod health;
mod instance;
pub mod kv;
pub mod outcome;
pub mod prepared_query;
mod row;
pub mod snapshot;
pub mod store;
pub mod types;
pub mod watch;

#[cfg(test)]
mod script;

pub use autopilot::{Autopilot, SetAutopilot};
pub use catalog::{HealthInstance, Instance, NodeServices};
pub use command::{Command, DecodeError, Deregistration, Registration};
pub use coordinate::SetCoordinate;
pub use definition::Definition;
pub use health::aggregate;
pub use instance::OwnedInstance;
pub use outcome::{NameReserved, Outcome, Refusal};
pub use prepared_query::{PreparedQuery, QueryRefusal, ServiceQuery};
pub use snapshot::RestoreError;
pub use store::{Applied, Snapshot, Store};
pub use types::{Check, Node, Service, ServiceAddress, Status, Weights};
pub use watch::{Topic, Touch, WatchId, Watches};
