//! What a node can be told.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::{ChangeSeq, CheckOutcome, RunId};
use tribune_api::agent::AgentCall;
use tribune_api::event::{EventList, Fire};
use tribune_api::http::{OwnedRequest, Response};
use tribune_api::keyring::{KeyringCall, KeysOrWhy};
use tribune_api::operator::OperatorCall;
use tribune_api::plan::{Read, Remote, Write};
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Duration;
use tribune_raft::{PersistSeq, SnapshotMeta};
use tribune_state::Store;

use crate::area::Area;
use crate::request::RequestId;
use crate::wire::{Inquiry, Wire};

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A client wants something that the [view](crate::View) could not answer by itself.
    Request {
        /// Answers it. Never used before, never used again.
        id: RequestId,
        /// What it wants.
        call: Call,
    },
    /// The client is gone: nobody waits for this answer any more.
    Cancel(RequestId),
    /// The answer rendered at `index` is the one these clients already have.
    Unchanged {
        /// Who was to be served.
        ids: Vec<RequestId>,
        /// The state it was rendered from.
        index: Index,
    },
    /// These clients have been answered.
    Served {
        /// Which.
        ids: Vec<RequestId>,
        /// With what, if some of them are not clients of this shell: they wait elsewhere, and the
        /// node tells them.
        response: Option<Response>,
    },
    /// Another agent says something.
    Message {
        /// Who.
        from: ServerId,
        /// What.
        message: Wire,
    },
    /// A packet of a pool has come in.
    Packet {
        /// Of which.
        area: Area,
        /// From where.
        from: SocketAddr,
        /// What.
        packet: Bytes,
    },
    /// [`Output::Keys`](crate::Output::Keys) has been carried out, or has not.
    KeysDone {
        /// In which pool.
        area: Area,
        /// Which order it was.
        order: u64,
        /// The keys there are, if they were asked for, the primary one first. Why not, otherwise.
        outcome: KeysOrWhy,
    },
    /// A question of this node's has not left it: nobody listens where it was to go.
    Undelivered(Inquiry),
    /// A connection that carried messages of this node's is gone, and with it perhaps some of them.
    Lost {
        /// Where it went, as [`Output::Send`](crate::Output::Send) said it.
        to: Arc<str>,
    },
    /// The piece of a snapshot that [`ReadSnapshot`](crate::Output::ReadSnapshot) asked for.
    SnapshotRead {
        /// Who it is for.
        to: ServerId,
        /// Which snapshot.
        last: LogId,
        /// Where the piece begins.
        offset: u64,
        /// The piece, and whether the snapshot ends with it; `None` if there is no such snapshot.
        piece: Option<(Bytes, bool)>,
    },
    /// The piece of [`WriteSnapshot`](crate::Output::WriteSnapshot) is in the temporary file.
    SnapshotWritten {
        /// Which snapshot.
        last: LogId,
        /// Where the piece ends.
        end: u64,
    },
    /// The snapshot of [`InstallSnapshot`](crate::Output::InstallSnapshot) is durable.
    SnapshotInstalled {
        /// Which snapshot.
        last: LogId,
        /// The state it holds.
        store: Box<Store>,
    },
    /// The file of [`InstallSnapshot`](crate::Output::InstallSnapshot) is damaged. What was there
    /// before still is.
    SnapshotDamaged {
        /// Which snapshot.
        last: LogId,
    },
    /// The agent is to stop: say [`Stop`](crate::Output::Stop) when others can go on without it.
    Stop,
    /// Every log batch up to and including this one is durable.
    Persisted(PersistSeq),
    /// The disk is full: what is proposed from now on would wait for room. The text tells an
    /// operator which disk, and what to do.
    NoSpace(String),
    /// There is room again.
    Space,
    /// A snapshot of the state is durable.
    SnapshotSaved(SnapshotMeta),
    /// A health check has run.
    Checked {
        /// Which run of which check.
        run: RunId,
        /// How it went.
        outcome: CheckOutcome,
    },
    /// Everything this agent registered, up to this change, is durable.
    Saved(ChangeSeq),
}

/// What a client may want of a node.
#[derive(Debug)]
pub enum Call {
    /// Change the state.
    Write(Write),
    /// See the state.
    Read {
        /// What of it, and how fresh.
        read: Read,
        /// A hash of the answer the client already has, where a change of the state need not be a
        /// change of the answer.
        seen: Option<u64>,
    },
    /// Something about this agent itself.
    Agent(AgentCall),
    /// Take over what the configuration says now, as far as the node has a part in it.
    Reload(Box<tribune_agent::Reload>),
    /// Have this agent join others.
    Join {
        /// In which pool.
        area: Area,
        /// Where they are.
        addrs: Vec<SocketAddr>,
    },
    /// Whether nobody else is alive in a pool, as far as this agent knows: `true` or `false`.
    Alone {
        /// In which.
        area: Area,
    },
    /// Have a member that has failed be gone for good.
    ForceLeave {
        /// Of which pool.
        area: Area,
        /// Its name.
        node: String,
        /// Whether it is to be forgotten at once.
        prune: bool,
    },
    /// Tell everybody that something happened.
    Fire(Fire),
    /// See what happened, or wait until something does.
    Events(EventList),
    /// What the members of the pools have for keys, or what they do with one.
    Keyring(KeyringCall),
    /// Something that a client agent asks a server.
    Forward {
        /// As it came.
        request: OwnedRequest,
        /// Whether it changes anything.
        changes: bool,
        /// How long an answer may take.
        patience: Duration,
    },
    /// Something that another datacenter answers.
    Across {
        /// As it came.
        request: OwnedRequest,
        /// Which datacenter, and what it is.
        there: Remote,
    },
    /// Something about the servers.
    Operator {
        /// What.
        call: OperatorCall,
        /// As it came, for the leader if that is somebody else.
        request: OwnedRequest,
    },
}
