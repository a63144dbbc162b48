//! Who says hello → who belongs to the cluster. The leader takes in servers that come, and lets go
//! of those that have lost what they were trusted for.

use tribune_base::id::ServerId;
use tribune_base::time::Duration;
use tribune_raft::Change;

use crate::event::Event;
use crate::node::Node;
use crate::output::Output;
use crate::wire::Wire;

impl Node {
    /// `id` is there. What does that mean for the cluster?
    pub(crate) fn meet(&mut self, id: ServerId) {
        let Some(known) = self.roster.get(id) else { return };
        let fresh = known.hello.fresh;
        if self.raft.leader().is_none() && fresh && self.raft.configuration().is_voter(id) {
            return self.repeat_found(id);
        }
        if !self.leads() {
            return;
        }
        match self.change_for(id) {
            Some(change) => self.change(change),
            None if fresh && self.is_promised_nothing(id) => self.say(id, Wire::Welcome),
            None => {}
        }
    }

    /// Whether `id` belongs to the cluster, and has never had anything of it: it waits to be told
    /// that it may listen.
    fn is_promised_nothing(&self, id: ServerId) -> bool {
        let peer = self.raft.peers().into_iter().find(|it| it.id == id);
        peer.is_some_and(|it| !it.voter && it.matched.0 == 0)
    }

    /// What about `id` does not fit the configuration.
    fn change_for(&self, id: ServerId) -> Option<Change> {
        let known = self.roster.get(id)?;
        let address = &known.hello.server.address;
        let configuration = self.raft.configuration();
        if known.hello.leaving || self.was_removed(id) {
            return None;
        }
        // An address is one server: whoever is said to be there is not there any more.
        let at_address = |it: &ServerId| configuration.address(*it) == Some(address);
        let predecessor = configuration.members().find(|it| *it != id && at_address(it));
        if let Some(predecessor) = predecessor {
            return Some(Change::Remove(predecessor));
        }
        let address = address.clone();
        if !configuration.is_member(id) {
            return Some(Change::AddNonVoter { id, address });
        }
        // A voter without its log does not know whom it voted for and what it acknowledged. It must
        // not be counted on; and then it may come back as somebody who never promised anything.
        if known.hello.fresh && !self.is_promised_nothing(id) {
            // Unless it has received something meanwhile, and its hello was slow.
            let peer = self.raft.peers().into_iter().find(|it| it.id == id)?;
            let patience = self.raft.config().election_timeout;
            let silent = peer.contact.is_none_or(|it| patience <= self.now.since(it));
            return silent.then_some(Change::Remove(id));
        }
        let moved = configuration.address(id).is_some_and(|it| *it != address);
        let voter = configuration.voters.contains_key(&id);
        match (moved, voter) {
            (false, _) => None,
            (true, true) => Some(Change::AddVoter { id, address }),
            (true, false) => Some(Change::AddNonVoter { id, address }),
        }
    }

    /// Change who belongs to the cluster. If that cannot be done now, there will be another hello.
    pub(crate) fn change(&mut self, change: Change) {
        if self.raft.propose_configuration(self.now, change.clone()).is_ok() {
            self.configured();
            self.outputs.push_back(Output::Event(Event::MembersChanged { change }));
        }
    }

    /// Whether an operator has removed `id` a moment ago: then its next hello does not bring it back.
    fn was_removed(&self, id: ServerId) -> bool {
        let removed = self.reign.as_ref().and_then(|it| it.removed.get(&id));
        removed.is_some_and(|at| self.now < *at + EXILE)
    }
}

/// How long a server that was removed by an operator stays away, if it goes on running.
const EXILE: Duration = Duration::from_secs(60);
