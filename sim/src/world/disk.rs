//! What a server stands on: a log that is durable some time after it was written, snapshots that
//! are whole or not there, and what a crash leaves of them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tribune_base::id::{Index, LogId, Term};
use tribune_raft::{Entry, HardState, Persist, PersistSeq, Restored, SnapshotMeta};
use tribune_state::Snapshot;

use crate::moment::Moment;

/// One server's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    hard_state: HardState,
    /// Durable entries. Invariant: contiguous.
    entries: VecDeque<Entry>,
    /// Batches that were written and are not confirmed, in order.
    pending: VecDeque<Persist>,
    /// How many of them the flush that is under way will confirm. Zero if none is.
    flushing: usize,
    /// The newest snapshots, oldest first: at most [`KEPT`].
    snapshots: Vec<Saved>,
    /// The temporary file.
    incoming: Vec<u8>,
    files: BTreeMap<String, Bytes>,
    /// How many flushes there have been: what their latencies are drawn from.
    pub(crate) flushes: u64,
    /// Nothing is confirmed before.
    pub(crate) stalled_until: Moment,
    /// Whether a flush fails for want of room.
    pub(crate) full: bool,
}

/// A durable snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Saved {
    pub(crate) meta: SnapshotMeta,
    pub(crate) bytes: Bytes,
}

impl Disk {
    /// A disk that holds the beginning of a cluster's log.
    pub(crate) fn beginning(entry: Entry) -> Self {
        let hard_state = HardState { term: entry.id.term, vote: None };
        Self { hard_state, entries: VecDeque::from([entry]), ..Self::default() }
    }

    /// Written, but not durable.
    pub(crate) fn submit(&mut self, batch: Persist) {
        self.pending.push_back(batch);
    }

    /// Begin to flush what there is. False, if that is nothing, or a flush is under way.
    pub(crate) fn begin_flush(&mut self) -> bool {
        if self.flushing != 0 || self.pending.is_empty() || self.full {
            return false;
        }
        self.flushing = self.pending.len();
        self.flushes += 1;
        true
    }

    /// The flush is done: what it covers is durable. Returns the last of it.
    pub(crate) fn end_flush(&mut self) -> Option<PersistSeq> {
        let count = std::mem::take(&mut self.flushing);
        let mut last = None;
        for batch in self.pending.drain(..count) {
            last = Some(batch.seq);
            apply(&mut self.hard_state, &mut self.entries, batch);
        }
        last
    }

    /// Batches that a crash may lose.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Lose everything that was not confirmed, but for the first `survivors` batches, which made it
    /// to the disk unnoticed.
    pub(crate) fn crash(&mut self, survivors: usize) {
        for batch in self.pending.drain(..).take(survivors) {
            apply(&mut self.hard_state, &mut self.entries, batch);
        }
        self.flushing = 0;
        self.incoming.clear();
    }

    /// What a server finds here when it starts. Everything is read back from its bytes.
    pub(crate) fn restored(&self) -> Restored {
        let entries = self
            .entries
            .iter()
            .map(|it| Entry::from_bytes(it.to_bytes()).expect("what was written is what is read"));
        Restored {
            hard_state: self.hard_state,
            snapshot: self.snapshots.last().map(|it| it.meta.clone()),
            entries: entries.collect(),
        }
    }

    /// The newest snapshot.
    pub(crate) fn snapshot(&self) -> Option<&Saved> {
        self.snapshots.last()
    }

    /// The durable vote and term.
    pub(crate) const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The durable entries.
    pub(crate) const fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// The last index that is durable, in the log or in a snapshot.
    pub(crate) fn last(&self) -> Index {
        let log = self.entries.back().map_or(Index(0), |it| it.id.index);
        log.max(self.covered())
    }

    /// The last index in a durable snapshot.
    pub(crate) fn covered(&self) -> Index {
        self.snapshots.last().map_or(Index(0), |it| it.meta.last.index)
    }

    /// The term of a durable entry.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        let first = self.entries.front()?.id.index;
        let at = index.0.checked_sub(first.0)?;
        self.entries.get(usize::try_from(at).ok()?).map(|it| it.id.term)
    }

    /// Whether a committed entry would survive a crash.
    pub(crate) fn holds(&self, id: LogId) -> bool {
        id.index <= self.covered() || self.term(id.index) == Some(id.term)
    }

    /// A snapshot is durable.
    pub(crate) fn save(&mut self, meta: SnapshotMeta, bytes: Bytes) {
        if self.covered() < meta.last.index {
            self.snapshots.push(Saved { meta, bytes });
            if KEPT < self.snapshots.len() {
                self.snapshots.remove(0);
            }
        }
    }

    /// A piece of the snapshot `last`, and whether it is the last one.
    pub(crate) fn read(&self, last: LogId, offset: u64, len: u64) -> Option<(Bytes, bool)> {
        let saved = self.snapshots.iter().find(|it| it.meta.last == last)?;
        let end = saved.bytes.len() as u64;
        let (from, to) = (offset.min(end), offset.saturating_add(len).min(end));
        Some((saved.bytes.slice(from as usize..to as usize), to == end))
    }

    /// A piece for the temporary file. False, if it leaves a gap.
    pub(crate) fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        if offset == 0 {
            self.incoming.clear();
        }
        let fits = self.incoming.len() as u64 == offset;
        self.incoming.extend_from_slice(data);
        fits
    }

    /// The temporary file becomes the newest snapshot.
    pub(crate) fn install(&mut self, meta: SnapshotMeta) -> Bytes {
        let bytes = Bytes::from(std::mem::take(&mut self.incoming));
        self.save(meta, bytes.clone());
        bytes
    }

    /// The log before and including `through` is not needed any more.
    pub(crate) fn forget(&mut self, through: Index) {
        while self.entries.front().is_some_and(|it| it.id.index <= through) {
            self.entries.pop_front();
        }
    }

    /// Registrations are durable.
    pub(crate) fn keep(&mut self, writes: Vec<(String, Option<Bytes>)>) {
        for (name, content) in writes {
            match content {
                Some(content) => _ = self.files.insert(name, content),
                None => _ = self.files.remove(&name),
            }
        }
    }

    /// Registrations, by name.
    pub(crate) const fn files(&self) -> &BTreeMap<String, Bytes> {
        &self.files
    }
}

fn apply(hard_state: &mut HardState, entries: &mut VecDeque<Entry>, batch: Persist) {
    if let Some(new) = batch.hard_state {
        *hard_state = new;
    }
    if let Some(from) = batch.truncate_from {
        while entries.back().is_some_and(|it| from <= it.id.index) {
            entries.pop_back();
        }
    }
    for entry in batch.entries {
        if let Some(last) = entries.back() {
            assert_eq!(last.id.index.next(), entry.id.index, "WA-2: the log on disk has a gap");
        }
        entries.push_back(entry);
    }
}

/// A snapshot as one file.
pub(crate) fn file(snapshot: &Snapshot) -> Bytes {
    let mut bytes = Vec::new();
    for chunk in snapshot.records() {
        bytes.extend_from_slice(&chunk);
    }
    bytes.into()
}

/// Snapshots on a disk.
const KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use tribune_raft::Payload;

    use super::*;

    fn batch(seq: u64, truncate_from: Option<u64>, entries: &[(u64, u64)]) -> Persist {
        let entry = |&(term, index): &(u64, u64)| Entry {
            id: LogId::new(Term(term), Index(index)),
            payload: Payload::Empty,
        };
        Persist {
            seq: PersistSeq(seq),
            hard_state: None,
            truncate_from: truncate_from.map(Index),
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn a_crash_loses_a_suffix_of_what_was_not_confirmed() {
        for (survivors, want) in [(0, 1), (1, 3), (2, 2), (9, 2)] {
            let mut disk = Disk::default();
            disk.submit(batch(1, None, &[(1, 1)]));
            assert!(disk.begin_flush());
            disk.submit(batch(2, None, &[(1, 2), (1, 3)]));
            disk.submit(batch(3, Some(2), &[(2, 2)]));
            assert!(!disk.begin_flush());
            assert_eq!(disk.end_flush(), Some(PersistSeq(1)));
            disk.crash(survivors);
            assert_eq!(disk.last(), Index(want), "{survivors} survive");
        }
    }

    #[test]
    fn a_snapshot_stands_for_what_it_covers() {
        let mut disk = Disk::default();
        disk.submit(batch(1, None, &[(1, 1), (1, 2)]));
        disk.begin_flush();
        disk.end_flush();
        let last = LogId::new(Term(2), Index(2));
        assert!(!disk.holds(last));
        disk.save(SnapshotMeta { last, ..SnapshotMeta::default() }, Bytes::from_static(b"xyz"));
        assert!(disk.holds(last));
        assert_eq!(disk.read(last, 1, 1), Some((Bytes::from_static(b"y"), false)));
        assert_eq!(disk.read(last, 2, 9), Some((Bytes::from_static(b"z"), true)));
    }
}
