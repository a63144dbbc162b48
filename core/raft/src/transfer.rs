//! Handing leadership over on purpose (dissertation, section 3.10).

use tribune_base::id::{Index, ServerId};
use tribune_base::time::Instant;

use crate::error::TransferError;
use crate::message::Message;
use crate::node::{Node, Part};
use crate::progress::Progress;

/// Leadership on its way to another server.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) to: ServerId,
    /// When the leader takes it back.
    pub(crate) deadline: Instant,
}

impl Node {
    /// Hand leadership to `to`, or to the voter that is furthest of those heard recently. It has happened when
    /// [`Output::RoleChanged`](crate::Output::RoleChanged) says so, and has failed if
    /// [`Node::transferring_to`] is `None` before: at the latest after an election timeout. Until
    /// then proposals are refused.
    ///
    /// # Errors
    ///
    /// This server does not lead, is at it already, or there is nobody to hand over to.
    pub fn transfer(&mut self, now: Instant, to: Option<ServerId>) -> Result<(), TransferError> {
        self.advance(now);
        let known = self.leader();
        let deadline = now + self.config.election_timeout;
        let heard = |it: &Progress| it.contact.is_some_and(|at| now.since(at) < self.config.lease);
        let configuration = self.log.configuration();
        let Part::Leader(leader) = &mut self.part else {
            return Err(TransferError::NotLeader { leader: known });
        };
        if leader.transfer.is_some() {
            return Err(TransferError::InProgress);
        }
        // Not to a voter on its way out: it would soon have to hand over again.
        let voters = leader.progress.iter().filter(|(id, _)| configuration.voters.contains_key(id));
        let mut candidates = voters.filter(|(id, _)| to.is_none_or(|it| it == **id));
        let best = match to {
            Some(_) => candidates.next(),
            None => candidates.max_by_key(|(_, it)| (heard(it), it.matched, it.contact)),
        };
        let (&to, _) = best.ok_or(TransferError::NoTarget)?;
        leader.transfer = Some(Transfer { to, deadline });
        self.hasten_transfer(to);
        self.check_invariants();
        Ok(())
    }

    /// Tell the target to go ahead once it has everything; again whenever it is heard, because
    /// the message may have been lost.
    pub(crate) fn hasten_transfer(&mut self, from: ServerId) {
        let Part::Leader(leader) = &self.part else { return };
        let matched = leader.progress.get(&from).map_or(Index(0), |it| it.matched);
        let chosen = leader.transfer.as_ref().is_some_and(|it| it.to == from);
        if chosen && matched == self.log.last().index {
            let (term, abandoned) = (self.hard_state.term, leader.abandoned);
            self.send(from, Message::TimeoutNow { term, abandoned });
        }
    }

    /// Take leadership back from a target that has not made use of it.
    pub(crate) fn expire_transfer(&mut self) {
        let Part::Leader(leader) = &mut self.part else { return };
        if leader.transfer.as_ref().is_none_or(|it| self.now < it.deadline) {
            return;
        }
        // The target may still act on what it was told. Whoever answers a round from now on has
        // heard that it must not, so these are the rounds that the lease may count on.
        leader.transfer = None;
        leader.abandoned += 1;
        leader.lease_floor = leader.round.serial;
        // Whoever wanted it: a stalled leader that takes proposals for a while is better than one
        // that takes none.
        leader.relief_at = self.now + self.config.election_timeout;
        self.broadcast_heartbeat();
    }

    pub(crate) fn on_timeout_now(&mut self, from: ServerId, abandoned: u64) {
        self.follow(from, None);
        let stale = self.loyalty.is_some_and(|it| abandoned < it.abandoned);
        if !stale && self.may_campaign() {
            self.campaign(Some(abandoned));
        }
    }
}
