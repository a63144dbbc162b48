//! Changing who belongs to the group.
//!
//! Operators change one server at a time. A change that touches the voters goes through a joint
//! phase (dissertation, section 4.3), which the leader ends by itself. A configuration is in force
//! from the moment it is in the log, and no longer if it is truncated.

use tribune_base::bug;
use tribune_base::id::{LogId, ServerId};
use tribune_base::time::Instant;

use crate::configuration::Configuration;
use crate::entry::Payload;
use crate::error::ChangeError;
use crate::message::Message;
use crate::node::{Node, Part};

/// One change of the group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A new server that receives the log and has no say, or a new address of one.
    AddNonVoter {
        /// Who.
        id: ServerId,
        /// Where, for operators.
        address: String,
    },
    /// A new server with a vote, a vote for one that had none, or a new address of a voter.
    /// Until it has caught up, a new voter counts against the quorum: prefer to add a non-voter
    /// and promote it.
    AddVoter {
        /// Who.
        id: ServerId,
        /// Where, for operators.
        address: String,
    },
    /// A vote for a non-voter.
    Promote(ServerId),
    /// No vote for a voter any more.
    Demote(ServerId),
    /// Neither vote nor log for a member any more.
    Remove(ServerId),
}

impl Node {
    /// Change the group. The change is in force at once, and permanent when
    /// [`Node::is_configuration_settled`]. Returns the entry that begins it.
    ///
    /// # Errors
    ///
    /// This server cannot change the group now, or the change makes no sense.
    pub fn propose_configuration(
        &mut self,
        now: Instant,
        change: Change,
    ) -> Result<LogId, ChangeError> {
        self.advance(now);
        let Part::Leader(leader) = &self.part else {
            return Err(ChangeError::NotLeader { leader: self.leader() });
        };
        if leader.transfer.is_some() {
            return Err(ChangeError::Transferring);
        }
        // Two leaders could otherwise change the same configuration in two ways that have no
        // quorum in common.
        if self.commit < leader.opened && !bug!(M01) {
            return Err(ChangeError::NotEstablished);
        }
        if !self.is_configuration_settled() && !bug!(M02) {
            return Err(ChangeError::Pending);
        }
        let next = changed(self.configuration(), change)?;
        let id = self.append_as_leader(Payload::Configuration(next));
        self.meet_peers();
        self.check_invariants();
        Ok(id)
    }

    /// Something was committed. End the joint phase if it was its beginning; leave if it was the
    /// end of this server's membership.
    pub(crate) fn continue_change(&mut self) {
        if self.commit < self.log.configuration_index() {
            return;
        }
        let configuration = self.configuration();
        if configuration.is_joint() {
            let last = Configuration { outgoing: Default::default(), ..configuration.clone() };
            self.append_as_leader(Payload::Configuration(last));
            self.meet_peers();
        } else if !configuration.voters.contains_key(&self.id) {
            self.retire();
        }
    }

    /// Lead no more, because the group has decided so. Somebody who has everything goes on.
    fn retire(&mut self) {
        self.broadcast_heartbeat();
        let Part::Leader(leader) = &self.part else { return };
        let voters = &self.configuration().voters;
        let voters = leader.progress.iter().filter(|(id, _)| voters.contains_key(id));
        let heir = voters.max_by_key(|(_, it)| it.matched).map(|(id, _)| *id);
        let (term, abandoned) = (self.hard_state.term, leader.abandoned);
        if let Some(heir) = heir {
            self.send(heir, Message::TimeoutNow { term, abandoned });
        }
        self.become_follower(term, None);
    }
}

/// The configuration that begins `change`.
fn changed(current: &Configuration, change: Change) -> Result<Configuration, ChangeError> {
    let mut next = current.clone();
    let Configuration { voters, non_voters, .. } = &mut next;
    match change {
        Change::AddNonVoter { id, address } => {
            if voters.contains_key(&id) || non_voters.get(&id) == Some(&address) {
                return Err(ChangeError::NotApplicable);
            }
            non_voters.insert(id, address);
        }
        Change::AddVoter { id, address } => {
            if voters.get(&id) == Some(&address) {
                return Err(ChangeError::NotApplicable);
            }
            non_voters.remove(&id);
            voters.insert(id, address);
        }
        Change::Promote(id) => {
            let address = non_voters.remove(&id).ok_or(ChangeError::NotApplicable)?;
            voters.insert(id, address);
        }
        Change::Demote(id) => {
            let address = voters.remove(&id).ok_or(ChangeError::NotApplicable)?;
            non_voters.insert(id, address);
        }
        Change::Remove(id) => {
            let removed = voters.remove(&id).or_else(|| non_voters.remove(&id));
            removed.ok_or(ChangeError::NotApplicable)?;
        }
    }
    if voters.is_empty() {
        return Err(ChangeError::LastVoter);
    }
    if !next.voters.keys().eq(current.voters.keys()) {
        next.outgoing = current.voters.clone();
    }
    Ok(next)
}
