//! What can be seen of a node from outside.

use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::time::Instant;

use crate::config::Config;
use crate::configuration::Configuration;
use crate::entry::Entry;
use crate::node::{Node, Part};
use crate::output::{HardState, Role, SnapshotMeta};
use crate::progress::State;

/// A peer as its leader sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerStatus {
    /// Who it is.
    pub id: ServerId,
    /// Whether it has a vote.
    pub voter: bool,
    /// How it is being brought up to date.
    pub state: PeerState,
    /// Its log agrees with the leader's up to here, durably.
    pub matched: Index,
    /// When it was last heard, if ever in this term.
    pub contact: Option<Instant>,
    /// Appends it has not answered.
    pub in_flight_count: usize,
    /// Bytes of entries in those.
    pub in_flight_bytes: usize,
}

/// How a peer is being brought up to date.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PeerState {
    /// The leader does not know yet where the logs agree, or has lost touch.
    Probe,
    /// Entries flow.
    Replicate,
    /// A snapshot is on its way.
    Snapshot,
}

impl Node {
    /// This server.
    pub const fn id(&self) -> ServerId {
        self.id
    }

    /// Times and limits.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The latest term heard of.
    pub const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The part this server plays.
    pub const fn role(&self) -> Role {
        match &self.part {
            Part::Follower { .. } => Role::Follower,
            Part::PreCandidate { .. } | Part::Candidate { .. } => Role::Candidate,
            Part::Leader(_) => Role::Leader,
        }
    }

    /// Whether this server leads.
    pub const fn is_leader(&self) -> bool {
        matches!(self.part, Part::Leader(_))
    }

    /// Who leads, if it is known; possibly this server.
    pub const fn leader(&self) -> Option<ServerId> {
        match &self.part {
            Part::Follower { leader } => *leader,
            Part::PreCandidate { .. } | Part::Candidate { .. } => None,
            Part::Leader(_) => Some(self.id),
        }
    }

    /// Everything up to here has been handed out with [`Output::Commit`](crate::Output::Commit),
    /// or is in the snapshot that this server started from or installed.
    pub const fn commit(&self) -> Index {
        self.commit
    }

    /// The last entry of the log, committed or not.
    pub fn last(&self) -> LogId {
        self.log.last()
    }

    /// The vote and term in memory. They may be ahead of the disk; nobody is told before they are
    /// not.
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The entry before the first one that is kept.
    pub const fn base(&self) -> LogId {
        self.log.base()
    }

    /// The entry at `index`, if it is kept.
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    /// The last durable snapshot; the default if there is none.
    pub const fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// The configuration in force: the last one in the log, committed or not.
    pub fn configuration(&self) -> &Configuration {
        self.log.configuration()
    }

    /// The entry that the configuration in force comes from.
    pub fn configuration_index(&self) -> Index {
        self.log.configuration_index()
    }

    /// Whether the configuration in force is committed, and final. One that was given to
    /// [`Node::recover`] is not until a leader has had it committed.
    pub fn is_configuration_settled(&self) -> bool {
        let forced = self.log.forced().is_some();
        !forced && self.log.configuration_index() <= self.commit && !self.configuration().is_joint()
    }

    /// Until when this leader may answer reads from its own state, once that has applied
    /// [`Self::commit`]: no other server can lead before. `None` if it does not lead, has not
    /// committed anything in its term, or is handing over; [`Instant::NEVER`] for a lone voter.
    /// May be in the past.
    pub fn lease_until(&self) -> Option<Instant> {
        let Part::Leader(leader) = &self.part else { return None };
        let handing_over = leader.transfer.is_some() && !bug!(R38);
        if self.commit < leader.opened || handing_over {
            return None;
        }
        if self.configuration().is_lone_voter(self.id) {
            return Some(Instant::NEVER);
        }
        let round = self.quorum_round(leader);
        let lease = if bug!(R39) { self.config.election_timeout } else { self.config.lease };
        (leader.lease_floor < round.serial).then(|| round.sent + lease)
    }

    /// Since when the oldest write has been on its way to the disk, if one is.
    pub fn disk_waits_since(&self) -> Option<Instant> {
        self.disk.waiting_since()
    }

    /// The term of the entry at `index`, as far as this log knows it.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.log.term(index)
    }

    /// When a leader was last heard. `None` if never since the start.
    pub const fn leader_contact(&self) -> Option<Instant> {
        self.leader_contact
    }

    /// As of when everything that was committed is known here, and so is that it was; by this
    /// server's clock, and what is on the way to it apart. `None` if not since the start, and of no
    /// meaning while this server leads.
    pub const fn informed_at(&self) -> Option<Instant> {
        self.knowledge.as_of()
    }

    /// Who leadership is being handed to.
    pub fn transferring_to(&self) -> Option<ServerId> {
        let Part::Leader(leader) = &self.part else { return None };
        leader.transfer.as_ref().map(|it| it.to)
    }

    /// The other members, as this leader sees them; nobody if this server does not lead.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let Part::Leader(leader) = &self.part else { return Vec::new() };
        let status = |(&id, progress): (&ServerId, &crate::progress::Progress)| {
            let (in_flight_count, in_flight_bytes) = progress.in_flight();
            PeerStatus {
                id,
                voter: self.configuration().is_voter(id),
                state: match progress.state {
                    State::Probe => PeerState::Probe,
                    State::Replicate => PeerState::Replicate,
                    State::Snapshot(_) => PeerState::Snapshot,
                },
                matched: progress.matched,
                contact: progress.contact,
                in_flight_count,
                in_flight_bytes,
            }
        };
        leader.progress.iter().map(status).collect()
    }
}
