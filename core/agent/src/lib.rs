//! The local agent as a pure state machine: the services and checks registered here, what the
//! checks say, and the work of keeping the catalog informed.
//!
//! ```text
//!   register, deregister ────┐                      ┌─> Output::RunCheck    (then: checked)
//!   update_check ────────────┤                      ├─> Output::Save        (then: saved)
//!   checked, saved, synced ──┼──> [ Local ] ────────┼─> Output::Sync        (then: synced)
//!   catalog_read ────────────┤                      ├─> Output::ReadCatalog (then: catalog_read)
//!   handle_timeout(now) ─────┘                      └─> Output::Event
//! ```
//!
//! The agent is the authority on its own node: whatever the catalog says about the node is made to
//! agree with what is registered here (*anti-entropy*), and no other node's rows are ever touched.
//! Nothing here waits for a server. A registration counts once it is known locally;
//! [`Local::is_settled`] says how far it has come.
//!
//! # The contract with the caller
//!
//! 1. After every call that takes `&mut self`, or after a few of them, drain
//!    [`Local::poll_output`] until it is `None`.
//! 2. Outputs are independent of each other. Where one must wait for another, it is held back
//!    until the completion comes in: there is never more than one `Save`, and never more than one
//!    of `Sync` and `ReadCatalog`, outstanding.
//! 3. `now` never goes backwards.
//! 4. Every `Save`, `Sync`, `ReadCatalog` and `RunCheck` is answered, unless a `StopCheck` says
//!    that nobody waits. An answer that never comes is a crash, not an error.
//!
//! # Where to start reading
//!
//! [`Local`] holds the tables. When a check runs and what its outcome changes is in `check`, what
//! the catalog is told and when in `sync`, what people may write in [`definition`].

#![forbid(unsafe_code)]

pub mod definition;

mod alias;
mod check;
mod config;
mod local;
mod maintenance;
mod output;
mod persist;
mod sync;
mod table;
mod ttl;

pub use config::{Capabilities, Config, ScriptChecks};
pub use definition::{CheckDefinition, CheckSpec, ServiceDefinition};
pub use local::{Local, MaintenanceError, RegisterError, Reload, ServiceHealth, UpdateCheckError};
pub use output::{
    CatalogRows, ChangeSeq, CheckOutcome, Event, Output, PersistedFile, RunId, Settled, SyncFailed,
    SyncId,
};
pub use table::Origin;
