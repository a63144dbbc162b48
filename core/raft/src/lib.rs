//! Raft consensus as a pure state machine.
//!
//! [`Node`] holds the state of one server in one Raft group. It reads no clock, draws no entropy
//! of its own and touches no disk or socket: the caller hands in messages, completions and the
//! time, and takes out [`Output`]s until there are none.
//!
//! ```text
//!   step(now, from, message) ─┐                     ┌─> Output::Persist   (then: persisted)
//!   handle_timeout(now) ──────┤                     ├─> Output::Send
//!   propose(now, payload) ────┼─> [ raft::Node ] ───┼─> Output::Commit
//!   read_index(now, id) ──────┤                     ├─> Output::ReadReady, Output::ReadFailed
//!   persisted(now, seq) ──────┤                     ├─> Output::RoleChanged
//!   snapshot_saved(now, ..) ──┘                     └─> Output::TakeSnapshot, Output::ForgetLog
//! ```
//!
//! # The contract with the caller
//!
//! 1. After every call that takes `&mut self`, or after a few of them, drain
//!    [`Node::poll_output`] until it is `None`.
//! 2. Outputs are independent of each other. An answer that promises durability is not emitted
//!    until [`Node::persisted`] has confirmed it, so the caller may send and write in any order.
//!    Outputs of one kind come in order: batches are written, and entries applied, as they come.
//! 3. `now` never goes backwards.
//! 4. Confirm [`Persist`] batches in order. Losing an unconfirmed one is a crash, not an error.
//!
//! # Batches
//!
//! Proposals only enter the log. It is the poll that finds nothing else to hand out which turns
//! whatever has gathered into one [`Persist`] and one message per peer. A caller that proposes
//! sixty-four entries and then drains pays for one write; while that write runs, the next batch
//! gathers.
//!
//! # Where to start reading
//!
//! [`Node::step`] is the whole protocol on one screen. Elections are in `election`, the leader's
//! side of the log in `replication`, everybody else's in `follower`; what must be on disk before
//! what is said is in `disk`; the numbers they agree on are in [`quorum`].

#![forbid(unsafe_code)]

mod codec;
mod config;
mod configuration;
mod disk;
mod election;
mod entry;
mod error;
mod follower;
mod knowledge;
mod log;
mod membership;
mod message;
mod node;
mod output;
mod pressure;
mod progress;
pub mod quorum;
mod read;
mod recovery;
mod replication;
mod snapshot;
mod status;
mod transfer;

pub use config::{Config, ConfigError};
pub use configuration::Configuration;
pub use entry::{Entry, Payload};
pub use error::{BootstrapError, ChangeError, ProposeError, RecoverError, TransferError};
pub use membership::Change;
pub use message::{Appended, Message, Round};
pub use node::{Node, Restored};
pub use output::{HardState, Output, Persist, PersistSeq, ReadId, Role, SnapshotMeta};
pub use status::{PeerState, PeerStatus};
