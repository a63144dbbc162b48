//! RI-11, pre-vote: nobody raises the term who has heard a leader recently, unless the leader wants
//! it to.

use tribune_base::id::Term;
use tribune_raft::{Message, Persist};

use super::{After, Report};

#[derive(Debug)]
pub(crate) struct Disruption {
    /// The last term in which each server was told to stand for election.
    told: Vec<Term>,
    newest: Term,
}

impl Disruption {
    pub(crate) fn new(servers: usize) -> Self {
        Self { told: vec![Term(0); servers], newest: Term(1) }
    }

    pub(crate) fn on_hear(&mut self, server: usize, message: &Message) {
        if let Message::TimeoutNow { term, .. } = message {
            self.told[server] = self.told[server].max(*term);
        }
    }

    pub(crate) fn on_persist(&mut self, report: &mut Report, it: &After<'_>, batch: &Persist) {
        let Some(new) = batch.hard_state else { return };
        if new.term <= self.newest {
            return;
        }
        self.newest = new.term;
        let raft = it.node.raft();
        let patience = raft.config().election_timeout;
        let lonely = raft.leader_contact().is_none_or(|at| patience <= it.local.since(at));
        let told = self.told[it.server].next() == new.term;
        report.require(new.vote == Some(it.id()) && (lonely || told), "RI-11", || {
            format!(
                "{} raised the term to {} and heard its leader {:?} ago",
                it.id(),
                new.term,
                raft.leader_contact().map(|at| it.local.since(at))
            )
        });
    }
}
