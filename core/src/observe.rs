//! What may be seen of a node from outside, and done to it: by oracles, and by whoever has no HTTP.

use tribune_agent::Local;
use tribune_base::id::{LogId, ServerId};
use tribune_base::time::Instant;
use tribune_gossip::Member;
use tribune_raft as raft;
use tribune_state::Store;

use crate::node::Node;
use crate::request::RequestId;

impl Node {
    /// Change who belongs to the group.
    ///
    /// # Errors
    ///
    /// As [`raft::Node::propose_configuration`].
    pub fn change_group(
        &mut self,
        now: Instant,
        change: raft::Change,
    ) -> Result<LogId, raft::ChangeError> {
        self.raft.propose_configuration(now, change)
    }

    /// Hand leadership to `to`, or to the voter that is furthest.
    ///
    /// # Errors
    ///
    /// As [`raft::Node::transfer`].
    pub fn transfer(
        &mut self,
        now: Instant,
        to: Option<ServerId>,
    ) -> Result<(), raft::TransferError> {
        self.raft.transfer(now, to)
    }

    /// Consensus, to look at.
    pub const fn raft(&self) -> &raft::Node {
        &self.raft
    }

    /// The state, to look at.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// This agent's own services and checks, to look at.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Everybody in the pool, as far as this server knows.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.gossip.members()
    }

    /// Whether a request waits for a change, and for nothing else: no leader, no quorum.
    pub fn is_parked(&self, id: RequestId) -> bool {
        self.ledger.is_parked(id)
    }

    /// How many requests are not answered yet.
    pub fn waiting(&self) -> usize {
        self.ledger.len()
    }
}
