//! What a pool wants done, and what it has found out.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::time::{Duration, Instant};

use crate::lamport::LTime;
use crate::member::Member;

/// One thing for the caller to do or to know.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a packet. Loss, duplication and reordering are all fine.
    Packet {
        /// To whom.
        to: SocketAddr,
        /// What.
        bytes: Bytes,
    },

    /// Open a stream, send the request, and read the answer; then call
    /// [`Pool::exchanged`](crate::Pool::exchanged).
    Exchange {
        /// Comes back with the answer.
        id: ExchangeId,
        /// With whom.
        to: SocketAddr,
        /// What to send.
        request: Bytes,
        /// How long all of it may take.
        timeout: Duration,
    },

    /// What became of one address of [`Pool::join`](crate::Pool::join).
    Joined {
        /// Which.
        addr: SocketAddr,
        /// How many members were learnt of there.
        result: Result<usize, JoinError>,
    },

    /// This member has left: others know it, as far as can be, and nothing more comes from it.
    Left,

    /// Something has changed about a member.
    Member(MemberEvent),

    /// Somebody fired an event; also if it was us.
    Event(UserEvent),

    /// Somebody is not let in, or says that it is somebody else. To be shown to people.
    Conflict {
        /// Whose name it gives.
        name: Arc<str>,
        /// Where it is.
        other: SocketAddr,
        /// What is wrong with it.
        reason: Refusal,
    },

    /// Somebody asks. [`Pool::answer`](crate::Pool::answer) answers, or nobody does.
    Query(Query),

    /// Somebody has answered a query of ours.
    Answer {
        /// Which.
        query: QueryId,
        /// Who.
        from: Arc<str>,
        /// What.
        payload: Bytes,
    },

    /// No more answers are waited for.
    QueryEnded {
        /// To which query.
        query: QueryId,
    },
}

/// Numbers exchanges.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ExchangeId(pub u64);

/// What has changed about a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberEvent {
    /// In which way.
    pub change: Change,
    /// The member, as it is now.
    pub member: Member,
}

/// In which way a member has changed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Change {
    /// It is there, for the first time or again.
    Join,
    /// It has left.
    Leave,
    /// It has failed.
    Failed,
    /// It has other tags or another address.
    Update,
    /// It is forgotten.
    Reap,
}

/// Something that somebody wanted everybody to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserEvent {
    /// When it was fired.
    pub ltime: LTime,
    /// What happened.
    pub name: Arc<str>,
    /// The rest of it.
    pub payload: Bytes,
    /// Whether only the last of several with this name is of interest.
    pub coalesce: bool,
}

/// A question that somebody has asked everybody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// When it was asked, and which of that time it is.
    pub id: QueryId,
    /// Who asks.
    pub from: Arc<str>,
    /// Where answers go.
    pub addr: SocketAddr,
    /// What is asked.
    pub name: Arc<str>,
    /// The rest of it.
    pub payload: Bytes,
    /// Until when answers are of use.
    pub deadline: Instant,
    /// Through how many others answers also go.
    pub relays: usize,
}

/// Names a query.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct QueryId {
    /// When it was asked.
    pub ltime: LTime,
    /// Tells it from others of the same time.
    pub id: u64,
}

/// Why an address could not be joined.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinError {
    /// Nobody answered. Try again, or elsewhere.
    #[error("no answer")]
    Unreachable,
    /// Whoever is there does not speak our language. Try elsewhere.
    #[error("the answer makes no sense")]
    Malformed,
    /// We are not let in, or we do not want those who are there. The operator has to do something.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Too many exchanges are under way. Try again.
    #[error("too many exchanges are under way")]
    Busy,
}

/// Why a member and a pool do not go together. The operator of one of the two is at fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// They speak versions that the other does not understand.
    #[error("{name} speaks gossip version {version}, which is not understood here")]
    Version {
        /// The member.
        name: Arc<str>,
        /// What it speaks.
        version: u64,
    },
    /// They are different pools.
    #[error("{name} belongs to pool '{pool}'")]
    Pool {
        /// The member.
        name: Arc<str>,
        /// Its pool.
        pool: Arc<str>,
    },
    /// The member is in another datacenter.
    #[error("Member '{name}' part of wrong datacenter '{datacenter}'")]
    Datacenter {
        /// The member.
        name: Arc<str>,
        /// Its datacenter.
        datacenter: Arc<str>,
    },
    /// Only servers of datacenters are let in, under the names that they have among all of them.
    #[error("Member '{name}' is not a server of any datacenter")]
    NotServer {
        /// The member.
        name: Arc<str>,
    },
    /// Another member has the same id.
    #[error("Member '{name}' has conflicting node ID with member '{other}'")]
    NodeId {
        /// The member.
        name: Arc<str>,
        /// Who has it.
        other: Arc<str>,
    },
    /// Another member has the same name.
    #[error("Node name '{name}' is taken by the member at {addr}")]
    Name {
        /// The name.
        name: Arc<str>,
        /// Who has it.
        addr: SocketAddr,
    },
}

/// Why an event or a query was not sent. Nothing has changed; the caller sends less.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EventError {
    /// It is too long.
    #[error("{len} bytes exceed the limit of {max}")]
    TooLarge {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// The query has ended, or was never asked.
    #[error("the query has ended")]
    Ended,
}

/// What a pool has done and seen since it began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets and messages that made no sense.
    pub malformed: u64,
    /// Packets of other pools.
    pub strangers: u64,
    /// Packets in a version that is not understood.
    pub versions: u64,
    /// Members that were not let in.
    pub refused: u64,
    /// Exchanges begun.
    pub exchanges_begun: u64,
    /// Bytes of requests and answers sent over streams.
    pub exchange_bytes_sent: u64,
    /// Exchanges answered with more than that all is known.
    pub exchanges_differed: u64,
    /// Probes begun.
    pub probes: u64,
    /// Probes that needed others, or a stream.
    pub probes_indirect: u64,
    /// Probes without an answer.
    pub probes_failed: u64,
    /// Probes given another chance, because we were not there ourselves.
    pub stalls: u64,
    /// Members suspected.
    pub suspected: u64,
    /// Members declared failed because their time was over.
    pub declared_failed: u64,
    /// How often we had to say that we live.
    pub refuted: u64,
}
