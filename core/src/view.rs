//! What may be read of a node without asking it.

use std::sync::Arc;

use tribune_api::coordinate::Places;
use tribune_api::http::{Effective, ReadMeta};
use tribune_api::plan::Consistency;
use tribune_base::bug;
use tribune_base::id::{Index, ServerId, Term};
use tribune_base::time::{Duration, Instant};
use tribune_state::Snapshot;

/// A server at one moment: its state, and how far that can be trusted.
///
/// The shell publishes one after every step that changed something. Most requests are reads, and
/// most reads can be answered from here, wherever the connection's task runs.
#[derive(Clone, Debug)]
pub struct View {
    /// The state.
    pub snapshot: Snapshot,
    /// How far it can be trusted.
    pub freshness: Freshness,
    /// Where the leader is, if one is known.
    pub leader_addr: Option<Arc<str>>,
    /// Where the servers are that vote.
    pub peers: Arc<[String]>,
    /// Where all agents are, as far as round-trip times can tell.
    pub places: Arc<Places>,
}

/// How far a server's state can be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Freshness {
    /// Whether this server leads, and has applied everything its predecessors committed.
    pub leads: bool,
    /// Until when no other server can lead (Raft dissertation, section 6.4.1). `None` unless this
    /// server leads.
    pub lease_until: Option<Instant>,
    /// As of when this server knows everything that was committed. `None` if it has not since it
    /// started.
    pub informed_at: Option<Instant>,
}

/// What a view depends on. Two views of one node with the same are the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the view, and of consensus.
pub struct Shown {
    pub applied: Index,
    pub term: Term,
    pub leads: bool,
    pub leader: Option<ServerId>,
    pub lease_until: Option<Instant>,
    pub informed_at: Option<Instant>,
    pub placed: u64,
}

impl Freshness {
    /// Whether an answer at `now` is as fresh as `consistency` promises; and if that is nothing, no
    /// more than `max_stale` behind, where that matters.
    pub fn satisfies(
        &self,
        now: Instant,
        consistency: Consistency,
        max_stale: Option<Duration>,
    ) -> bool {
        let holds_lease = self.lease_until.is_some_and(|it| now < it);
        match consistency {
            Consistency::Stale => {
                let behind = self.informed_at.map(|at| now.since(at));
                self.leads || behind.is_some_and(|it| max_stale.is_none_or(|max| it <= max))
            }
            Consistency::Default => holds_lease,
            // Nobody else votes: nobody else can have been elected meanwhile.
            Consistency::Consistent => self.lease_until == Some(Instant::NEVER),
        }
    }
}

impl View {
    /// Whether an answer from here, at `now`, is as fresh as `consistency` promises.
    pub fn satisfies(
        &self,
        now: Instant,
        consistency: Consistency,
        max_stale: Option<Duration>,
    ) -> bool {
        self.freshness.satisfies(now, consistency, max_stale)
    }

    /// What to say about the freshness of an answer given at `now`.
    pub fn meta(&self, now: Instant, index: Index, consistency: Consistency) -> ReadMeta {
        let last_contact = match self.freshness.informed_at {
            _ if self.freshness.leads || bug!(K13) => Duration::ZERO,
            Some(at) => now.since(at),
            None => Duration::ZERO,
        };
        let effective = match consistency {
            Consistency::Default => Effective::Leader,
            Consistency::Consistent => Effective::Consistent,
            Consistency::Stale => Effective::Stale,
        };
        ReadMeta {
            index: index.max(Index(1)),
            known_leader: self.leader_addr.is_some(),
            last_contact,
            effective: Some(effective),
        }
    }
}
