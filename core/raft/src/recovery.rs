//! Going on after a quorum was lost for good.
//!
//! An operator who knows that the others will never come back tells the survivors who the group is
//! from now on. All of them are stopped, all are given the same configuration, and all are started
//! again.
//!
//! The configuration does not go into the log here. It is in force in memory, and whoever is
//! elected under it opens its term with it, as an ordinary entry. So everything that Raft proves
//! still stands on its usual feet:
//!
//! - *Election*: each survivor votes at most once in a term, and any two majorities of the new group
//!   meet. Logs are compared as they are, so the survivor with the most complete one leads, and
//!   whatever was committed and is on any survivor that takes part is kept. (A server that wrote an
//!   entry of a new term by itself would look more up to date than one that has more.)
//! - *Log matching*: only leaders create entries, one leader in a term. Two servers that each wrote
//!   the entry themselves could write the same term and index behind different logs, and no later
//!   leader would notice.
//!
//! What it cannot do: entries that were committed on lost servers only are lost, and what was not
//! committed yet may be committed now. If a quorum of the old group is alive after all, there are
//! two groups from then on: Raft cannot know, only the operator can. The same holds for survivors
//! that are given different configurations.
//!
//! A crash forgets what memory holds: hand it in at every start until
//! [`Node::is_configuration_settled`], and not after.

use tribune_base::time::Instant;

use crate::configuration::Configuration;
use crate::error::RecoverError;
use crate::node::{Node, Part};

impl Node {
    /// Go on as a member of `configuration`, whatever the log says. Called right after
    /// [`Node::new`].
    ///
    /// # Errors
    ///
    /// This server has no state, has been at work already, or would not be a member.
    pub fn recover(
        &mut self,
        now: Instant,
        configuration: Configuration,
    ) -> Result<(), RecoverError> {
        self.advance(now);
        if self.is_fresh() {
            return Err(RecoverError::Fresh);
        }
        if !matches!(self.part, Part::Follower { leader: None }) {
            return Err(RecoverError::Running);
        }
        let usable = !configuration.voters.is_empty() && !configuration.is_joint();
        if !usable || !configuration.is_member(self.id) {
            return Err(RecoverError::Invalid);
        }
        self.log.force(configuration);
        // Whoever decides alone need not wait for anybody.
        if self.configuration().is_lone_voter(self.id) {
            self.deadline = now;
        }
        self.check_invariants();
        Ok(())
    }
}
