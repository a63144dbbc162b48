//! What a node asks of its shell.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::{self as agent, ChangeSeq, CheckSpec, RunId, SyncId};
use tribune_api::http::Response;
use tribune_api::keyring::KeyOrder;
use tribune_api::plan::{Consistency, Query};
use tribune_api::prepared::Asker;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Duration;
use tribune_raft::{Persist, SnapshotMeta};
use tribune_state::{Command, Snapshot};

use crate::area::Area;
use crate::event::Event;
use crate::request::RequestId;
use crate::wire::Wire;

/// One thing for the shell to do. None needs another to happen first; replies and renderings need
/// the view to be published, which is no output.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // A snapshot is a handful of pointers; boxing them buys nothing.
pub enum Output {
    /// Make this durable, then say [`Persisted`](crate::Input::Persisted).
    Persist(Persist),
    /// Deliver a message to another agent. Loss and reordering are fine; so is a second copy of
    /// what consensus says. A second copy of a [`Wire::Propose`] is another proposal.
    Send {
        /// Where the recipient listens, as `host:port`.
        to: Arc<str>,
        /// What to say.
        message: Wire,
    },
    /// Send a packet of a pool. Loss and reordering are fine, and so is a second copy.
    Packet {
        /// Of which.
        area: Area,
        /// To whom.
        to: SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// Do something with the keys of a pool, then say [`KeysDone`](crate::Input::KeysDone).
    Keys {
        /// Of which.
        area: Area,
        /// To be returned.
        order: u64,
        /// What to do.
        what: KeyOrder,
    },
    /// Read a piece of a durable snapshot, then say [`SnapshotRead`](crate::Input::SnapshotRead).
    ReadSnapshot {
        /// Who it is for.
        to: ServerId,
        /// Which snapshot: the last entry it includes.
        last: LogId,
        /// The first byte to read.
        offset: u64,
        /// How many bytes, unless the snapshot ends before.
        len: u64,
    },
    /// Write a piece of a snapshot into a temporary file, then say
    /// [`SnapshotWritten`](crate::Input::SnapshotWritten). Offset zero starts a new file. Pieces
    /// come in order and are written in order.
    WriteSnapshot {
        /// Which snapshot: the last entry it includes.
        last: LogId,
        /// Where the piece belongs.
        offset: u64,
        /// The piece.
        data: Bytes,
    },
    /// The temporary file is complete: make it durable, make it *the* snapshot, read the state from
    /// it and say [`SnapshotInstalled`](crate::Input::SnapshotInstalled).
    InstallSnapshot(SnapshotMeta),
    /// Answer a client.
    Reply {
        /// Which.
        id: RequestId,
        /// With what.
        response: Response,
    },
    /// Evaluate a query once and answer all these clients with it.
    Serve(Serve),
    /// Answer a DNS request of another agent's client, then say [`Served`](crate::Input::Served), with
    /// the packet as the response's body; or empty, if nothing is to be said.
    Resolve {
        /// Whose.
        id: RequestId,
        /// The request, as it came.
        packet: Bytes,
        /// Whether it came in a stream.
        stream: bool,
        /// Who asks.
        asker: Asker,
    },
    /// Write a snapshot to disk, then say [`SnapshotSaved`](crate::Input::SnapshotSaved).
    SaveSnapshot {
        /// What it covers.
        meta: SnapshotMeta,
        /// The state.
        snapshot: Snapshot,
    },
    /// Entries up to and including this one are in a durable snapshot: the log may forget them.
    ForgetLog {
        /// The last of them.
        through: Index,
    },
    /// Run a health check, then say [`Checked`](crate::Input::Checked), whatever happens.
    RunCheck {
        /// Which run.
        run: RunId,
        /// What to do.
        spec: CheckSpec,
        /// How long it may take; passing it is an outcome.
        timeout: Duration,
    },
    /// Nobody waits for this run any more: it may be given up.
    StopCheck {
        /// Which run.
        run: RunId,
    },
    /// Make this agent's registrations durable, then say [`Saved`](crate::Input::Saved).
    Save {
        /// The last change in it.
        seq: ChangeSeq,
        /// Files to write, or to remove, relative to the data directory.
        writes: Vec<(String, Option<Bytes>)>,
    },
    /// The log says what [`Restored::recover`](crate::Restored::recover) said: do not say it again.
    Recovered,
    /// Tell the operator.
    Event(Event),
    /// Stop: this agent was asked to leave, and every promise is kept.
    Stop,
}

/// What the local agent wants that is no shell's business: the catalog is the servers'.
#[derive(Debug)]
pub(crate) enum Wish {
    /// Commit these.
    Sync { id: SyncId, commands: Vec<Command> },
    /// Read its rows.
    ReadCatalog { id: SyncId },
}

impl Output {
    /// What the local agent wants of the shell, or else of the servers.
    pub(crate) fn of_local(wanted: agent::Output) -> Result<Self, Wish> {
        Ok(match wanted {
            agent::Output::RunCheck { run, spec, timeout, .. } => {
                Self::RunCheck { run, spec, timeout }
            }
            agent::Output::StopCheck { run } => Self::StopCheck { run },
            agent::Output::Save { seq, writes } => Self::Save { seq, writes },
            agent::Output::Event(event) => Self::Event(Event::Agent(event)),
            agent::Output::Sync { id, commands } => return Err(Wish::Sync { id, commands }),
            agent::Output::ReadCatalog { id } => return Err(Wish::ReadCatalog { id }),
        })
    }
}

/// A query to evaluate once, for everybody who waits for the same answer.
#[derive(Clone, Debug)]
pub struct Serve {
    /// Who waits.
    pub ids: Vec<RequestId>,
    /// For what.
    pub query: Query,
    /// How they want it written.
    pub pretty: bool,
    /// How fresh they wanted it.
    pub consistency: Consistency,
    /// A hash of the answer they have: if it is the same, say
    /// [`Unchanged`](crate::Input::Unchanged) instead of answering.
    pub seen: Option<u64>,
}
