//! What an operator may want to know. Core knows no logger; the shell turns these into lines.

use std::net::SocketAddr;

use tribune_base::id::{Index, ServerId, Term};
use tribune_raft::{Change, Role};

use crate::area::Area;

/// Something worth a line in the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// This server plays a different part.
    RoleChanged {
        /// The new part.
        role: Role,
        /// The term it is played in.
        term: Term,
        /// Who leads, if anybody is known to.
        leader: Option<ServerId>,
    },
    /// This server leads, and everything committed before is applied: it answers from now on.
    Established {
        /// The term.
        term: Term,
    },
    /// This server and others have begun a cluster.
    Founded {
        /// How many they are.
        servers: usize,
    },
    /// This server may join the cluster that there is.
    Welcomed,
    /// Two servers claim to be one, or to be in one place: one of them was copied, or has another's
    /// address. What was known before stands.
    Conflict {
        /// Who is known, and where.
        known: (ServerId, String),
        /// Who is not believed, and where.
        claimed: (ServerId, String),
    },
    /// Somebody is not let into the pool, or does not let this agent in.
    Refused {
        /// Whose name it gives.
        name: String,
        /// Where it is.
        other: SocketAddr,
        /// Why, for people.
        reason: String,
    },
    /// A member of a pool came or went.
    Member {
        /// Of which.
        area: Area,
        /// Its name.
        name: String,
        /// Where it is.
        addr: SocketAddr,
        /// What has become of it.
        change: tribune_gossip::Change,
    },
    /// Who belongs to the cluster changes.
    MembersChanged {
        /// How.
        change: Change,
    },
    /// The state was replaced by the leader's.
    SnapshotInstalled {
        /// The last entry in it.
        index: Index,
    },
    /// A snapshot of the state is durable.
    SnapshotSaved {
        /// The last entry in it.
        index: Index,
    },
    /// The disk is full.
    NoSpace {
        /// Which, and what to do.
        advice: String,
    },
    /// There is room on the disk again.
    Space,
    /// Something about local services and checks.
    Agent(tribune_agent::Event),
}

impl Event {
    pub(crate) fn member(area: Area, event: &tribune_gossip::MemberEvent) -> Self {
        let (member, change) = (&event.member, event.change);
        Self::Member { area, name: member.name.to_string(), addr: member.addr, change }
    }
}
