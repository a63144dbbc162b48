//! What a server does for its leader: keep the log, confirm that the leader leads.

use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId, Term};

use crate::election::Loyalty;
use crate::entry::Entry;
use crate::message::{Appended, Message, Round};
use crate::node::Node;

impl Node {
    /// The leader of our term has been heard; `abandoned` says what it has given up, if it said.
    pub(crate) fn follow(&mut self, leader: ServerId, abandoned: Option<u64>) {
        assert!(!self.is_leader(), "two leaders in term {}", self.hard_state.term);
        let term = self.hard_state.term;
        self.become_follower(term, Some(leader));
        self.leader_contact = Some(self.now);
        self.loyalty = Some(Loyalty::renewed(self.loyalty, self.now, term, abandoned));
        if !bug!(R25) {
            self.restart_patience();
        }
    }

    pub(crate) fn on_append(
        &mut self,
        from: ServerId,
        prev_log: LogId,
        entries: Vec<Entry>,
        leader_commit: Index,
    ) {
        self.follow(from, None);
        let term = self.hard_state.term;
        let Some(reach) = contiguous(prev_log, &entries, term) else { return };
        // What is committed here is part of every later leader's log (Leader Completeness), so
        // there is nothing to compare, even if it is forgotten already.
        let known = self.log.term(prev_log.index);
        let agrees = known == Some(prev_log.term) || bug!(R14) && known.is_some();
        if self.commit < prev_log.index && !agrees {
            let hint = self.log.last_at_most(prev_log.index, prev_log.term);
            let result = Appended::Conflict { prev: prev_log.index, hint };
            return self.send(from, Message::AppendEntriesResponse { term, result });
        }
        if bug!(R12) && self.log.base().index <= prev_log.index {
            self.log.truncate(prev_log.index.next());
            self.disk.truncate(prev_log.index.next());
        }
        for entry in entries {
            self.accept(entry);
        }
        // Not the end of our log: beyond what the message reaches, the leader may have others.
        let reach = reach.max(self.commit);
        self.agreed = self.agreed.max(reach);
        let durable = self.disk.reach(reach, self.hard_state);
        let seq = if bug!(R23) { self.disk.promise(self.hard_state) } else { durable };
        let result = Appended::Matched(reach);
        self.send_after(seq, from, Message::AppendEntriesResponse { term, result });
        self.commit_to(leader_commit.min(reach));
    }

    /// Put `entry` where it belongs. Only a conflict removes what is there: the message may be
    /// old, and what follows the entry acknowledged since (paper, section 5.3).
    fn accept(&mut self, entry: Entry) {
        let LogId { index, .. } = entry.id;
        if index <= self.log.base().index || self.log.contains(entry.id) {
            return;
        }
        if index <= self.log.last().index {
            assert!(self.commit < index, "a leader disagrees about {index}, which is committed");
            let last = self.log.last().index;
            let kept = bug!(R13).then(|| self.log.range(index.next(), last)).unwrap_or_default();
            self.log.truncate(index);
            self.disk.truncate(index);
            self.log.append(entry);
            return kept.into_iter().for_each(|it| self.log.append(it));
        }
        self.log.append(entry);
    }

    pub(crate) fn on_heartbeat(
        &mut self,
        from: ServerId,
        round: Round,
        commit: Index,
        horizon: Index,
    ) {
        // The leader only speaks of what it knows this server to have.
        self.commit_to(commit.min(self.log.last().index));
        self.knowledge.hear(self.now, horizon, self.commit);
        let (term, agreed) = (self.hard_state.term, self.agreed);
        let matched = agreed.min(self.disk.durable_index());
        self.send(from, Message::HeartbeatResponse { term, round, matched, agreed });
    }
}

/// The index that `entries` after `prev_log` reach, unless no leader of `term` can have sent them.
fn contiguous(prev_log: LogId, entries: &[Entry], term: Term) -> Option<Index> {
    let mut at = prev_log;
    for entry in entries {
        if entry.id.index.0 != at.index.0.checked_add(1)? || entry.id.term < at.term {
            return None;
        }
        at = entry.id;
    }
    (at.term <= term).then_some(at.index)
}
