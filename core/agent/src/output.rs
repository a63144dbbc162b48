//! What a [`Local`](crate::Local) wants done.

use bytes::Bytes;
use tribune_base::time::Duration;
use tribune_state::{Check, Command, Node, Service, Status};

use crate::definition::CheckSpec;

/// One thing for the caller to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Perform a check, then call [`Local::checked`](crate::Local::checked) with what came out,
    /// whatever that is: a check that takes longer than `timeout` came out critical.
    RunCheck {
        /// The check, for logs.
        check: String,
        /// Hand this back.
        run: RunId,
        /// What to do.
        spec: CheckSpec,
        /// For how long.
        timeout: Duration,
    },

    /// Nobody waits for this run any more. Its outcome may still come in.
    StopCheck {
        /// The run to give up.
        run: RunId,
    },

    /// Make these files so, under the data directory, then call
    /// [`Local::saved`](crate::Local::saved). The next one is held back until then.
    Save {
        /// Hand this back.
        seq: ChangeSeq,
        /// Relative paths, and what the files contain from now on; `None` removes one.
        writes: Vec<(String, Option<Bytes>)>,
    },

    /// Commit these commands in their order, then call
    /// [`Local::synced`](crate::Local::synced). The next one is held back until then.
    Sync {
        /// Hand this back.
        id: SyncId,
        /// Changes to this node's rows.
        commands: Vec<Command>,
    },

    /// Read this node's rows, not stale ones, then call
    /// [`Local::catalog_read`](crate::Local::catalog_read), or
    /// [`Local::synced`](crate::Local::synced) if that failed.
    ReadCatalog {
        /// Hand this back.
        id: SyncId,
    },

    /// Something an operator may want to know.
    Event(Event),
}

/// One run of one check. No two runs have the same.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct RunId(pub u64);

/// Numbers the changes to an agent's services and checks.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ChangeSeq(pub u64);

/// One exchange with the catalog. There is only ever one at a time.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct SyncId(pub u64);

/// What a check found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckOutcome {
    /// Passing, warning or critical.
    pub status: Status,
    /// Why, for people. What is longer than the check's limit is cut.
    pub output: String,
}

/// The commands could not be committed, or the rows could not be read: no leader, no server, no
/// answer in time. Whether they were committed is unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no server could be reached that knows a leader")]
pub struct SyncFailed;

/// This node's rows, as the catalog has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CatalogRows {
    /// The node itself, if it is there.
    pub node: Option<Node>,
    /// Its services.
    pub services: Vec<Service>,
    /// Its checks.
    pub checks: Vec<Check>,
}

/// One file as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersistedFile {
    /// The path relative to the data directory, as in [`Output::Save`].
    pub name: String,
    /// What is in it.
    pub bytes: Bytes,
    /// How long ago it was written.
    pub age: Duration,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settled {
    /// It survives a restart of the agent. Always true if nothing is to be written down.
    pub saved: bool,
    /// The catalog knows, or has refused to.
    pub synced: bool,
}

/// Something an operator may want to know.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are what the names say.
pub enum Event {
    /// A check wants to run more often than is allowed.
    IntervalRaised { check: String, from: Duration, to: Duration },
    /// A service wants to go sooner than is allowed.
    DeregisterAfterRaised { check: String, from: Duration, to: Duration },
    /// A check's status is another now.
    StatusChanged { check: String, from: Status, to: Status },
    /// A service was critical for too long, and is no more.
    Reaped { service: String, check: String },
    /// A file does not make sense. It stays where it is.
    FileSkipped { name: String, reason: String },
    /// A file was removed: what it says comes from the configuration now, or belongs to nothing.
    FilePurged { name: String },
    /// A definition of the configuration or of a file was refused.
    DefinitionRefused { id: String, reason: String },
    /// Somebody changed a service's tags in the catalog, as they may.
    TagsAdopted { service: String },
    /// The catalog had a service of this node that nobody here knows.
    ServiceForgotten { service: String },
    /// The catalog had a check of this node that nobody here knows.
    CheckForgotten { check: String },
    /// The catalog could not be reached. Tried again after a while.
    SyncFailed { retry_after: Duration },
    /// The catalog refused a change. Tried again when everything is compared next.
    SyncRefused { what: String, reason: String },
}
