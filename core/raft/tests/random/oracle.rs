//! What must be true whatever happens, checked from outside.

use std::collections::BTreeMap;

use tribune_base::id::{Index, ServerId, Term};
use tribune_base::time::Instant;
use tribune_raft::{Appended, Configuration, Entry, Message, Node, ReadId, Restored};

/// Remembers the one history, and who led when.
#[derive(Default)]
pub(crate) struct Oracle {
    /// What was committed at each index, by whoever committed it first.
    history: Vec<Entry>,
    leaders: BTreeMap<Term, ServerId>,
    /// What was committed anywhere when a read was asked for.
    reads: BTreeMap<ReadId, Index>,
    reads_answered: u64,
}

impl Oracle {
    /// Election safety, leader completeness.
    pub(crate) fn on_leader(&mut self, id: ServerId, node: &Node, log: &Restored) {
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

    /// A commit is justified by the disks of a quorum.
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
        assert!(configuration.agreed(holds), "{} is committed without a quorum", entry.id);
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
