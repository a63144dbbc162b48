//! `/v1/operator/*`: the servers themselves, and how the leader takes care of them.
//!
//! Autopilot's settings are ordinary state: a read and a write. Everything else is an
//! [`OperatorCall`], which only a node can answer: it gathers what it knows about the servers, and
//! the functions here make a response of that.

mod render;
mod settings;

use std::collections::BTreeMap;
use std::fmt;

use tribune_base::id::{Index, LogId, NodeId, ServerId};
use tribune_base::time::{Duration, WallTime};

pub use self::render::{health, peer_removed, raft_configuration, state, transferred};
pub(crate) use self::settings::{evaluate, set};
use crate::error::Error;
use crate::http::Method;
use crate::plan::{Call, Plan, Query};
use crate::route::OperatorEndpoint;

/// A request about the servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum OperatorCall {
    /// Which servers there are: answer with [`raft_configuration`].
    RaftConfiguration {
        /// Whether any server may answer. Otherwise the leader does.
        stale: bool,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// The leader removes a server from consensus, and answers with [`peer_removed`] when that is
    /// settled.
    RemovePeer(PeerName),
    /// The leader hands over, to `to` or to whoever is furthest, and answers with [`transferred`].
    TransferLeader {
        /// To whom.
        to: Option<ServerId>,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// How the servers are: the leader answers with [`health`].
    AutopilotHealth {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// The same and what follows from it: the leader answers with [`state`].
    AutopilotState {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// How the keys are that are kept as another datacenter has them: the leader answers with
    /// [`replication::status`](crate::replication::status).
    KvReplication {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
}

/// What an operator calls a server.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PeerName {
    /// By its id.
    Id(ServerId),
    /// By where it listens for other servers, as `ip:port`.
    Address(String),
}

/// A member of consensus, as any server knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// Who it is.
    pub id: ServerId,
    /// Its node's name. `None` if nobody alive answers to that id.
    pub name: Option<String>,
    /// Where it listens for other servers, as `ip:port`.
    pub address: String,
    /// Whether it leads.
    pub leader: bool,
    /// Whether it has a vote.
    pub voter: bool,
    /// How far its log is known to reach.
    pub last_index: Index,
}

/// A member of consensus, as the leader sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerHealth {
    /// Who it is.
    pub server: Server,
    /// Whether it is there at all.
    pub status: SerfStatus,
    /// The release it runs; empty if it never said.
    pub version: String,
    /// How long ago it was heard, zero for the leader. `None` if it never was.
    pub last_contact: Option<Duration>,
    /// The end of its log, as far as it is known.
    pub last_log: LogId,
    /// Whether it is well.
    pub healthy: bool,
    /// Since when `healthy` is what it is.
    pub stable_since: WallTime,
    /// What its node says of itself.
    pub meta: BTreeMap<String, String>,
}

/// Whether an agent is there, in the words of the original.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The words are those of the API.
pub enum SerfStatus {
    None,
    Alive,
    Leaving,
    Left,
    Failed,
}

/// All servers, as the leader sees them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Health {
    /// Whether all of them are well.
    pub healthy: bool,
    /// How many voters may fail before nothing can be committed any more.
    pub failure_tolerance: usize,
    /// Each of them, in any order.
    pub servers: Vec<ServerHealth>,
}

impl OperatorCall {
    /// Whether only the leader can answer.
    pub const fn needs_leader(&self) -> bool {
        match self {
            Self::RaftConfiguration { stale, .. } => !*stale,
            Self::RemovePeer(_)
            | Self::TransferLeader { .. }
            | Self::KvReplication { .. }
            | Self::AutopilotHealth { .. }
            | Self::AutopilotState { .. } => true,
        }
    }

    /// Whether this does something, rather than look.
    pub const fn changes(&self) -> bool {
        match self {
            Self::RemovePeer(_) | Self::TransferLeader { .. } => true,
            Self::RaftConfiguration { .. }
            | Self::KvReplication { .. }
            | Self::AutopilotHealth { .. }
            | Self::AutopilotState { .. } => false,
        }
    }
}

impl PeerName {
    /// Whether this is what the server `id` at `address` is called.
    pub fn is(&self, id: ServerId, address: &str) -> bool {
        match self {
            Self::Id(name) => *name == id,
            Self::Address(name) => name == address,
        }
    }

    /// What an operator is told if no server is called this.
    pub fn unknown(&self) -> Error {
        match self {
            Self::Id(id) => Error::unknown_peer("id", &NodeId::from(*id).to_string()),
            Self::Address(address) => Error::unknown_peer("address", address),
        }
    }
}

impl fmt::Display for SerfStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Alive => "alive",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Failed => "failed",
        })
    }
}

pub(crate) fn plan(endpoint: OperatorEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    let pretty = call.pretty();
    let operator = match endpoint {
        OperatorEndpoint::AutopilotConfiguration if call.request.method == Method::Put => {
            return set(call);
        }
        OperatorEndpoint::AutopilotConfiguration => return call.read(Query::Autopilot),
        OperatorEndpoint::RaftConfiguration => {
            OperatorCall::RaftConfiguration { stale: call.params.has("stale"), pretty }
        }
        OperatorEndpoint::RaftPeer => OperatorCall::RemovePeer(peer(call)?),
        OperatorEndpoint::TransferLeader => {
            OperatorCall::TransferLeader { to: heir(call)?, pretty }
        }
        OperatorEndpoint::AutopilotHealth => OperatorCall::AutopilotHealth { pretty },
        OperatorEndpoint::AutopilotState => OperatorCall::AutopilotState { pretty },
        OperatorEndpoint::KvReplication => OperatorCall::KvReplication { pretty },
    };
    Ok(call.remote().unwrap_or(Plan::Operator(operator)))
}

/// Which server to remove.
fn peer(call: &Call<'_>) -> Result<PeerName, Error> {
    match (call.params.get("id"), call.params.get("address")) {
        (Some(id), None) => server_id(id).map(PeerName::Id),
        (None, Some(address)) => Ok(PeerName::Address(address.to_owned())),
        (Some(_), Some(_)) => {
            Err(Error::bad("Bad request: Must specify only one of ?id or ?address"))
        }
        (None, None) => Err(Error::bad(
            "Bad request: Must specify either ?id with the server's ID or ?address with IP:port \
             of peer to remove",
        )),
    }
}

/// Who shall lead.
fn heir(call: &Call<'_>) -> Result<Option<ServerId>, Error> {
    call.params.filled("id").map(server_id).transpose()
}

/// What no server can be called is what none is called.
fn server_id(text: &str) -> Result<ServerId, Error> {
    let id = text.parse().map_err(|_| Error::unknown_peer("id", text))?;
    Ok(ServerId::from(NodeId(id)))
}
