//! What agents say to each other.
//!
//! Messages, not calls: each may be lost, and whoever waits for an answer has a deadline of its own.

mod codec;

use bytes::Bytes;
use tribune_api::error::Error;
use tribune_api::http::{OwnedRequest, Response};
use tribune_base::id::{Index, ServerId};
use tribune_base::time::Duration;
use tribune_raft as raft;
use tribune_state::{Outcome, Registration};

use crate::area::Area;

pub use codec::DecodeError;

/// One message from one agent to another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wire {
    /// Consensus.
    Raft(raft::Message),
    /// Who I am, and whom I know. Said to every known address now and then.
    Hello(Box<Hello>),
    /// Shall we begin a cluster of exactly these servers? Said by the first of them.
    Gather {
        /// Everybody who is to vote, in order.
        servers: Vec<Founder>,
    },
    /// Answers a [`Wire::Gather`]: yes, and to nobody else for a while.
    Gathered {
        /// The servers agreed to.
        servers: Vec<Founder>,
    },
    /// It is agreed: this is the cluster.
    Found {
        /// Everybody who votes.
        servers: Vec<Founder>,
    },
    /// You are to join, whatever you may have been before: listen to the leader.
    Welcome,
    /// Propose these commands: you lead, I do not.
    Propose(Vec<Proposal>),
    /// What became of them.
    Proposed(Vec<Proposed>),
    /// Somebody asks an agent what that cannot answer by itself.
    Ask {
        /// To be returned.
        serial: u64,
        /// What was asked.
        request: OwnedRequest,
        /// Whether the recipient is asked because it leads: if it does not, it asks nobody else.
        /// Two that do not could go on for ever.
        last: bool,
    },
    /// What to tell whoever asked.
    Answer {
        /// Which question.
        serial: u64,
        /// The answer. `None`, if others are to give it: nothing was done.
        response: Option<Box<Response>>,
    },
    /// Nobody waits for this answer any more.
    Forget {
        /// Which question.
        serial: u64,
    },
    /// Answers to me go to this address, as `ip:port`. Said before the first question to a server,
    /// which may not have heard of me.
    Here {
        /// Where I listen.
        address: String,
    },
    /// What does the catalog have of this node?
    ReadRows {
        /// To be returned.
        serial: u64,
        /// The node's name.
        node: String,
    },
    /// Answers a [`Wire::ReadRows`].
    Rows {
        /// Which.
        serial: u64,
        /// The node, its services and its checks; no name, if there is no such node. `None`, if
        /// this server cannot say: it knows no leader.
        rows: Option<Box<Registration>>,
    },
    /// A request for your datacenter, from another one. Whoever hears this asks no third one: two that
    /// do not agree on where it belongs could go on for ever.
    Forward {
        /// To be returned.
        serial: u64,
        /// Where the answer goes, as `ip:port`: two servers need not have heard of each other.
        from: String,
        /// The datacenter that is meant.
        datacenter: String,
        /// How long the answer is waited for.
        patience: Duration,
        /// As it came.
        request: OwnedRequest,
    },
    /// Answers a [`Wire::Forward`].
    Forwarded {
        /// Which.
        serial: u64,
        /// What to tell whoever asked. `None`: nothing was done here, and others may do it.
        response: Option<Box<Response>>,
    },
    /// Nobody waits any more for the answer to a [`Wire::Forward`].
    Retract {
        /// Which.
        serial: u64,
    },
    /// Gossip that does not fit a packet, or that packets do not carry through.
    Exchange {
        /// Of which pool.
        area: Area,
        /// To be returned.
        serial: u64,
        /// Where the answer goes, as `ip:port`: two that gossip need not know each other.
        from: String,
        /// What gossip has to say.
        request: Bytes,
    },
    /// Answers a [`Wire::Exchange`].
    Exchanged {
        /// Of which pool.
        area: Area,
        /// Which.
        serial: u64,
        /// What gossip has to say.
        answer: Bytes,
    },
}

/// What a server says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// Who it is.
    pub server: Founder,
    /// What it is called.
    pub name: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its release, as `1.2.3`.
    pub version: String,
    /// The oldest and the newest version of this protocol it speaks.
    pub protocol: (u64, u64),
    /// How many servers it waits for before it begins a cluster; zero if it does not.
    pub expect: u64,
    /// Whether it has no log, and so does not know what it may have promised.
    pub fresh: bool,
    /// Whether it is on its way out of the cluster.
    pub leaving: bool,
    /// Whether the other side is to answer with its own.
    pub wants_answer: bool,
    /// Its port in the LAN pool.
    pub lan_port: u16,
    /// The addresses of the servers it knows.
    pub known: Vec<String>,
}

/// A server and where it is.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Founder {
    /// Who.
    pub id: ServerId,
    /// Where it listens for other servers, as `host:port`.
    pub address: String,
}

/// A command on its way to the leader.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposal {
    /// To be returned. Never used twice by one sender.
    pub serial: u64,
    /// A [`Command`](tribune_state::Command), encoded.
    pub command: Bytes,
}

/// What became of a [`Proposal`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proposed {
    /// Which.
    pub serial: u64,
    /// Its place in the log and its outcome, or why there is none.
    pub result: Result<(Index, Outcome), Rejected>,
}

/// Why a proposal has no outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejected {
    /// This server does not lead. Nothing was proposed: ask another.
    #[error("this server does not lead")]
    NotLeader,
    /// More waits than the quorum keeps up with. Nothing was proposed: back off.
    #[error("the quorum does not keep up")]
    Overloaded,
    /// The leader's log cannot grow. Nothing was proposed.
    #[error("the leader's log cannot grow")]
    DiskFull,
    /// Proposed, and then leadership was lost: nobody knows.
    #[error("leadership was lost")]
    LeadershipLost,
    /// These bytes are no command this release knows. Nothing was proposed.
    #[error("the command is unknown")]
    Unknown,
}

/// Which of three streams to a peer a message travels on, so that what is long does not delay what is
/// urgent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// Small, and late if it waits.
    Urgent,
    /// Anything that may be long.
    Bulk,
    /// To and from servers of other datacenters, and nothing else: what is far away delays nothing
    /// that is near.
    Across,
}

/// A message that somebody is to answer: if it is known that nobody has heard it, others may.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Inquiry {
    /// A [`Wire::Propose`], with the serials of its proposals.
    Propose(Vec<u64>),
    /// A [`Wire::Ask`], with its serial.
    Ask(u64),
    /// A [`Wire::ReadRows`], with its serial.
    ReadRows(u64),
    /// A [`Wire::Forward`], with its serial.
    Forward(u64),
    /// A [`Wire::Exchange`], with its pool and its serial.
    Exchange(Area, u64),
}

impl Wire {
    /// What this asks, if it asks anything.
    pub fn inquiry(&self) -> Option<Inquiry> {
        match self {
            Self::Propose(proposals) => {
                Some(Inquiry::Propose(proposals.iter().map(|it| it.serial).collect()))
            }
            Self::Ask { serial, .. } => Some(Inquiry::Ask(*serial)),
            Self::ReadRows { serial, .. } => Some(Inquiry::ReadRows(*serial)),
            Self::Forward { serial, .. } => Some(Inquiry::Forward(*serial)),
            Self::Exchange { area, serial, .. } => Some(Inquiry::Exchange(*area, *serial)),
            Self::Raft(_)
            | Self::Hello(_)
            | Self::Gather { .. }
            | Self::Gathered { .. }
            | Self::Found { .. }
            | Self::Welcome
            | Self::Proposed(_)
            | Self::Answer { .. }
            | Self::Forget { .. }
            | Self::Here { .. }
            | Self::Rows { .. }
            | Self::Forwarded { .. }
            | Self::Retract { .. }
            | Self::Exchanged { .. } => None,
        }
    }

    /// Whether this answers a question, which its serial names: to say it twice changes nothing, and
    /// not to say it leaves somebody waiting.
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::Proposed(_)
            | Self::Answer { .. }
            | Self::Rows { .. }
            | Self::Forwarded { .. }
            | Self::Exchanged { .. } => true,
            Self::Raft(_)
            | Self::Hello(_)
            | Self::Gather { .. }
            | Self::Gathered { .. }
            | Self::Found { .. }
            | Self::Welcome
            | Self::Propose(_)
            | Self::Ask { .. }
            | Self::Forget { .. }
            | Self::Here { .. }
            | Self::ReadRows { .. }
            | Self::Forward { .. }
            | Self::Retract { .. }
            | Self::Exchange { .. } => false,
        }
    }

    /// The stream this belongs on.
    pub const fn lane(&self) -> Lane {
        match self {
            Self::Forward { .. }
            | Self::Forwarded { .. }
            | Self::Retract { .. }
            | Self::Exchange { area: Area::Wan, .. }
            | Self::Exchanged { area: Area::Wan, .. } => Lane::Across,
            Self::Raft(raft::Message::InstallSnapshot { .. })
            | Self::Answer { .. }
            | Self::Rows { .. }
            | Self::Exchange { .. }
            | Self::Exchanged { .. } => Lane::Bulk,
            Self::Raft(_)
            | Self::Hello(_)
            | Self::Gather { .. }
            | Self::Gathered { .. }
            | Self::Found { .. }
            | Self::Welcome
            | Self::Propose(_)
            | Self::Proposed(_)
            | Self::Ask { .. }
            | Self::Forget { .. }
            | Self::Here { .. }
            | Self::ReadRows { .. } => Lane::Urgent,
        }
    }
}

impl From<Rejected> for Error {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::NotLeader => Self::NoClusterLeader,
            Rejected::Overloaded => Self::Overloaded,
            Rejected::DiskFull => Self::DiskFull,
            Rejected::LeadershipLost => Self::LeadershipLost,
            Rejected::Unknown => Self::bad("the leader does not know this command; upgrade it"),
        }
    }
}
