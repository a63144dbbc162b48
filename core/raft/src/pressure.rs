//! What the time between a [`Persist`](crate::Persist) and its confirmation says: a leader whose
//! disk stalls hands leadership over.
//!
//! Such a leader is not dead. It sends heartbeats, so nobody stands against it, and while the
//! others are a quorum without it, it even commits. But the loss of one of those then stops the
//! group for as long as the disk takes, which may be for ever. So leadership goes to a server
//! whose disk works, while there is one.

use tribune_base::time::Instant;

use crate::node::{Node, Part};
use crate::replication::Leader;

impl Node {
    /// When to look for somebody with a better disk, unless ours answers before.
    pub(crate) fn relief_deadline(&self, leader: &Leader) -> Instant {
        if leader.transfer.is_some() {
            return Instant::NEVER;
        }
        let stalled = self.disk.waiting_since().map(|it| it + self.config.disk_patience);
        stalled.map_or(Instant::NEVER, |it| it.max(leader.relief_at))
    }

    /// Hand leadership over if the disk has kept us waiting for too long.
    pub(crate) fn seek_relief(&mut self) {
        let Part::Leader(leader) = &self.part else { return };
        if self.now < self.relief_deadline(leader) {
            return;
        }
        // Without a quorum besides us nobody else could be elected, and the group would lose the
        // leader that it has.
        let replaceable = self.configuration().agreed(|id| {
            let contact = leader.progress.get(&id).and_then(|it| it.contact);
            contact.is_some_and(|at| self.now.since(at) < self.config.election_timeout)
        });
        if replaceable && self.transfer(self.now, None).is_ok() {
            return;
        }
        if let Part::Leader(leader) = &mut self.part {
            leader.relief_at = self.now + self.config.heartbeat_interval;
        }
    }
}
