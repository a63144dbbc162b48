//! What must be true whatever happens, checked from outside.

use std::collections::BTreeMap;

use tribune_base::id::{Index, ServerId, Term};
use tribune_base::time::Instant;
use tribune_raft::{Appended, Configuration, Entry, Message, Node, Payload, ReadId, Restored};

/// Remembers the one history, and who led when.
#[derive(Default)]
pub(crate) struct Oracle {
    /// What was committed at each index, by whoever committed it first.
    history: Vec<Entry>,
    leaders: BTreeMap<Term, ServerId>,
    /// What was committed anywhere when a read was asked for.
    reads: BTreeMap<ReadId, Index>,
    reads_answered: u64,
    /// When each server last had a reason to wait: a vote given, or its leader heard.
    calmed: BTreeMap<ServerId, Instant>,
    /// When each leader was elected.
    elected: BTreeMap<Term, Instant>,
    /// What each leader has known of its peers.
    matched: BTreeMap<(Term, ServerId), Index>,
}

impl Oracle {
    /// Election safety, leader completeness.
    pub(crate) fn on_leader(&mut self, now: Instant, id: ServerId, node: &Node, log: &Restored) {
        self.elected.insert(node.term(), now);
        let other = self.leaders.insert(node.term(), id);
        assert!(other.is_none_or(|it| it == id), "two leaders in term {}", node.term());
        let start = log.snapshot.as_ref().map_or(0, |it| it.last.index.0);
        for entry in self.history.iter().skip(start as usize) {
            let found = log.entries.iter().find(|it| it.id.index == entry.id.index);
            assert_eq!(found, Some(entry), "{id} leads without what is committed");
        }
    }

    /// State-machine safety. Returns whether somebody is the first to commit the entry.
    pub(crate) fn on_commit(&mut self, id: ServerId, entry: &Entry) -> bool {
        let at = entry.id.index.0 as usize - 1;
        assert!(at <= self.history.len(), "{id} committed {} with a gap", entry.id);
        if let Some(agreed) = self.history.get(at) {
            assert_eq!(agreed, entry, "{id} disagrees");
            return false;
        }
        self.history.push(entry.clone());
        true
    }

    /// A commit is justified by the disks of a quorum. Counted here as the paper does it, so that
    /// the node's own arithmetic is not believed.
    pub(crate) fn on_first_commit<'a>(
        &self,
        entry: &Entry,
        configuration: &Configuration,
        disk: impl Fn(ServerId) -> Option<&'a Restored>,
    ) {
        let holds = |id| {
            let Some(disk) = disk(id) else { return false };
            let snapshot = disk.snapshot.as_ref().is_some_and(|it| entry.id <= it.last);
            snapshot || disk.entries.iter().any(|it| it == entry)
        };
        for group in [&configuration.voters, &configuration.outgoing] {
            let have = group.keys().filter(|id| holds(**id)).count();
            let quorum = group.is_empty() || group.len() < have * 2;
            assert!(quorum, "{} is committed without a quorum", entry.id);
        }
    }

    /// A leader commits by counting copies of an entry of its own term (paper, section 5.4.2).
    pub(crate) fn on_commits(&self, id: ServerId, node: &Node, entries: &[Entry]) {
        let own = entries.last().is_some_and(|it| it.id.term == node.term());
        assert!(own || !node.is_leader(), "{id} commits what earlier leaders left by counting");
    }

    /// `id` has given its vote, has heard its leader, or has begun anew.
    pub(crate) fn on_calm(&mut self, now: Instant, id: ServerId) {
        self.calmed.insert(id, now);
    }

    /// The leader has told `id` to stand.
    pub(crate) fn on_told(&mut self, id: ServerId) {
        self.calmed.remove(&id);
    }

    /// Nobody stands who has given a vote or heard a leader within an election timeout.
    pub(crate) fn on_candidate(&mut self, now: Instant, id: ServerId, node: &Node) {
        let patience = node.config().election_timeout;
        let calmed = self.calmed.get(&id).filter(|_| !node.configuration().is_lone_voter(id));
        let waited = calmed.is_none_or(|it| patience <= now.since(*it));
        assert!(waited, "{id} stands although it has no reason to");
    }

    /// The group is changed by a leader whose term is established, and one change at a time.
    pub(crate) fn on_change(&self, id: ServerId, term: Term, commit: Index, last: Index) {
        let committed = commit.0.checked_sub(1).and_then(|it| self.history.get(it as usize));
        let established = committed.is_some_and(|it| it.id.term == term);
        assert!(established, "{id} changes the group before it has committed anything");
        assert!(last <= commit, "{id} changes the group while {last} is not committed");
    }

    /// What is said is true on disk.
    pub(crate) fn on_send(&self, id: ServerId, message: &Message, disk: &Restored) {
        let hard_state = disk.hard_state;
        assert!(message.term() <= hard_state.term, "{id} speaks of a term it may forget");
        let has = |index: Index| {
            let snapshot = disk.snapshot.as_ref().map_or(Index(0), |it| it.last.index);
            index <= snapshot.max(disk.entries.last().map_or(Index(0), |it| it.id.index))
        };
        match message {
            Message::RequestVote { term, .. } => {
                assert_eq!((hard_state.term, hard_state.vote), (*term, Some(id)), "forgettable");
            }
            Message::RequestVoteResponse { term, granted: true } => {
                assert!(hard_state.term == *term && hard_state.vote.is_some(), "forgettable vote");
            }
            Message::AppendEntriesResponse { result: Appended::Matched(index), .. }
            | Message::HeartbeatResponse { matched: index, .. } => {
                assert!(has(*index), "{id} acknowledges {index}, which it may forget");
            }
            Message::RequestPreVote { .. }
            | Message::RequestPreVoteResponse { .. }
            | Message::RequestVoteResponse { .. }
            | Message::AppendEntries { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::Heartbeat { .. }
            | Message::TimeoutNow { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexResponse { .. }
            | Message::InstallSnapshot { .. }
            | Message::InstallSnapshotResponse { .. } => {}
        }
    }

    pub(crate) fn on_read(&mut self, id: ReadId) {
        self.reads.insert(id, Index(self.history.len() as u64));
    }

    /// Linearizability of read index.
    pub(crate) fn on_read_ready(&mut self, id: ReadId, index: Index, commit: Index) {
        let floor = self.reads.remove(&id).expect("answered twice");
        assert!(floor <= index, "a read missed what was committed before it was asked for");
        assert!(index <= commit, "a read is ready before what it must see");
        self.reads_answered += 1;
    }

    pub(crate) fn on_read_failed(&mut self, id: ReadId) {
        self.reads.remove(&id).expect("answered twice");
    }

    /// A vote goes to a log at least as complete as the voter's.
    pub(crate) fn on_vote(&self, id: ServerId, voter: &Node, candidate: &Node) {
        let same = voter.term() == candidate.term();
        let complete = !same || voter.last() <= candidate.last();
        assert!(complete, "{id} votes for a log that lacks something");
    }

    /// What a leader knows of a peer is on that peer's disk, if it is still of that term.
    pub(crate) fn on_matched(&self, term: Term, matched: Index, own: &Restored, peer: &Restored) {
        let forgotten = own.snapshot.as_ref().map_or(Index(0), |it| it.last.index);
        if matched <= forgotten || term < peer.hard_state.term {
            return;
        }
        let at = |it: &Restored| it.entries.iter().rfind(|it| it.id.index == matched).cloned();
        let snapshot = peer.snapshot.as_ref().is_some_and(|it| matched <= it.last.index);
        assert!(snapshot || at(own) == at(peer), "a leader believes that {matched} is on a disk");
    }

    /// The configuration in force is the last one in the log.
    pub(crate) fn on_configuration(&self, id: ServerId, node: &Node, log: &Restored) {
        let last = log.entries.iter().rev().find_map(|it| match &it.payload {
            Payload::Configuration(it) => Some(it),
            Payload::Empty | Payload::Command(_) => None,
        });
        let last = last.or_else(|| log.snapshot.as_ref().map(|it| &it.configuration));
        let in_force = node.configuration();
        assert!(last.is_none_or(|it| it == in_force), "{id} follows {in_force:?}, not {last:?}");
    }

    /// A leader is heard by a quorum, and never knows less of its peers than before.
    pub(crate) fn on_rest(&mut self, now: Instant, id: ServerId, node: &Node) {
        if !node.is_leader() {
            return;
        }
        let (term, configuration, peers) = (node.term(), node.configuration(), node.peers());
        let since = now - node.config().election_timeout;
        let contact = |it: ServerId| peers.iter().find(|peer| peer.id == it)?.contact;
        let heard = |it: &&ServerId| **it == id || contact(**it).is_some_and(|at| since <= at);
        for group in [&configuration.voters, &configuration.outgoing] {
            let quorum = group.is_empty() || group.len() < group.keys().filter(heard).count() * 2;
            let fresh = self.elected.get(&term).is_some_and(|at| since <= *at);
            assert!(quorum || fresh, "{id} leads and is not heard");
        }
        for peer in &peers {
            let before = self.matched.insert((term, peer.id), peer.matched).unwrap_or_default();
            // Who left and came back is a stranger.
            let known = before <= peer.matched || peer.matched == Index(0);
            assert!(known, "{id} knows less of {} than before", peer.id);
        }
    }

    /// Who holds a lease knows everything that is committed.
    pub(crate) fn on_look(&self, now: Instant, id: ServerId, node: &Node) {
        if node.lease_until().is_some_and(|it| now < it) {
            let committed = self.history.len() as u64;
            assert_eq!(node.commit().0, committed, "{id} would answer from the past");
        }
    }

    /// The state after everything up to `index`.
    pub(crate) fn state_at(&self, index: Index) -> &[Entry] {
        &self.history[..index.0 as usize]
    }

    pub(crate) fn committed(&self) -> usize {
        self.history.len()
    }

    pub(crate) fn leaders(&self) -> usize {
        self.leaders.len()
    }

    pub(crate) fn reads_answered(&self) -> u64 {
        self.reads_answered
    }
}
