//! What was handed to the disk, how much of it is there, and what may be said only when it is.

use std::collections::{BTreeMap, VecDeque};

use tribune_base::bug;
use tribune_base::id::{Index, ServerId};
use tribune_base::time::Instant;

use crate::log::Log;
use crate::message::Message;
use crate::output::{HardState, Persist, PersistSeq};

/// The machine's picture of its own disk.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The last batch handed out, and the last one confirmed. Invariant: `durable <= issued`.
    issued: PersistSeq,
    durable: PersistSeq,
    /// The hard state last handed out, and the batch that carried it.
    hard_state: HardState,
    hard_seq: PersistSeq,
    /// The log up to here was handed out and has not changed in memory since.
    written: Index,
    /// The log up to here is on disk. Invariant: `durable_index <= written`.
    durable_index: Index,
    /// What the disk still has and memory no longer.
    truncate_from: Option<Index>,
    /// The batches that are not confirmed yet. Invariant: ascending.
    in_flight: VecDeque<Write>,
    /// Messages that would be lies after a crash, by the batch that makes them true.
    held: BTreeMap<PersistSeq, Vec<(ServerId, Message)>>,
}

/// A batch on its way to the disk.
#[derive(Clone, Copy, Debug)]
struct Write {
    seq: PersistSeq,
    /// The log is durable up to here when this is.
    reach: Index,
    issued_at: Instant,
}

impl Disk {
    /// A disk on which all of this has been found.
    pub(crate) fn holding(hard_state: HardState, last: Index) -> Self {
        Self {
            issued: PersistSeq::default(),
            durable: PersistSeq::default(),
            hard_state,
            hard_seq: PersistSeq::default(),
            written: last,
            durable_index: last,
            truncate_from: None,
            in_flight: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    /// Memory has lost its entries from `from` on.
    pub(crate) fn truncate(&mut self, from: Index) {
        if from <= self.written {
            self.truncate_from = Some(self.truncate_from.map_or(from, |it| it.min(from)));
            self.limit(from.prev());
        }
    }

    /// Memory has given up its whole log for a durable snapshot up to `last`.
    pub(crate) fn replace(&mut self, last: Index) {
        // The disk may still have entries that memory forgot long ago: all of them go.
        self.truncate_from = Some(Index(1));
        self.limit(Index(0));
        self.written = last;
        self.durable_index = last;
    }

    /// A durable snapshot that agrees with the log makes it durable, too.
    pub(crate) fn snapshot(&mut self, last: Index) {
        self.written = self.written.max(last);
        self.durable_index = self.durable_index.max(last);
    }

    fn limit(&mut self, index: Index) {
        self.written = self.written.min(index);
        self.durable_index = self.durable_index.min(index);
        // A batch that is still on its way proves nothing about entries that will be overwritten
        // after it: the same index may soon name another entry.
        for write in &mut self.in_flight {
            write.reach = write.reach.min(index);
        }
    }

    /// The next batch, if there is anything to write.
    pub(crate) fn batch(
        &mut self,
        now: Instant,
        hard_state: HardState,
        log: &Log,
    ) -> Option<Persist> {
        let last = log.last().index;
        let changed = self.hard_state != hard_state;
        if !changed && self.truncate_from.is_none() && last <= self.written {
            return None;
        }
        self.issued = self.issued.next();
        if changed {
            self.hard_state = hard_state;
            self.hard_seq = self.issued;
        }
        let entries = log.range(self.written.next(), last);
        self.written = last;
        self.in_flight.push_back(Write { seq: self.issued, reach: last, issued_at: now });
        Some(Persist {
            seq: self.issued,
            hard_state: (changed && !bug!(R03)).then_some(hard_state),
            truncate_from: self.truncate_from.take(),
            entries,
        })
    }

    /// Every batch up to and including `seq` is durable. Returns what may be said now.
    pub(crate) fn confirm(&mut self, seq: PersistSeq) -> Vec<(ServerId, Message)> {
        assert!(self.durable < seq, "confirmed twice: {seq:?}");
        assert!(seq <= self.issued, "never issued: {seq:?}");
        self.durable = seq;
        while let Some(write) = self.in_flight.pop_front_if(|it| it.seq <= seq) {
            self.durable_index = self.durable_index.max(write.reach);
        }
        let later = self.held.split_off(&seq.next());
        std::mem::replace(&mut self.held, later).into_values().flatten().collect()
    }

    /// Keep `message` until `seq` is durable, or return it if it is.
    pub(crate) fn hold(
        &mut self,
        seq: PersistSeq,
        to: ServerId,
        message: Message,
    ) -> Option<(ServerId, Message)> {
        if seq <= self.durable {
            return Some((to, message));
        }
        self.held.entry(seq).or_default().push((to, message));
        None
    }

    /// The batch that makes `hard_state` durable, which is the one in memory.
    pub(crate) fn promise(&self, hard_state: HardState) -> PersistSeq {
        if self.hard_state == hard_state { self.hard_seq } else { self.issued.next() }
    }

    /// The batch that makes the log durable up to `index`, and `hard_state` with it.
    pub(crate) fn reach(&self, index: Index, hard_state: HardState) -> PersistSeq {
        let promise = self.promise(hard_state);
        if index <= self.durable_index {
            return promise;
        }
        let covering = self.in_flight.iter().find(|it| index <= it.reach);
        promise.max(covering.map_or_else(|| self.issued.next(), |it| it.seq))
    }

    /// Whether `hard_state`, which is the one in memory, is durable.
    pub(crate) fn remembers(&self, hard_state: HardState) -> bool {
        self.promise(hard_state) <= self.durable
    }

    /// The log up to here is durable and as it is in memory.
    pub(crate) const fn durable_index(&self) -> Index {
        self.durable_index
    }

    /// Since when the oldest batch has been on its way, if one is.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.in_flight.front().map(|it| it.issued_at)
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.durable <= self.issued, "confirmed more than was issued");
        assert!(self.durable_index <= self.written, "durable beyond what was written");
        debug_assert!(self.in_flight.iter().is_sorted_by_key(|it| it.seq));
        debug_assert!(self.held.keys().all(|seq| self.durable < *seq));
    }
}

#[cfg(test)]
mod tests {
    use tribune_base::id::{LogId, Term};

    use super::*;
    use crate::entry::{Entry, Payload};
    use crate::output::SnapshotMeta;

    fn append(log: &mut Log, term: u64, index: u64) {
        log.append(Entry { id: LogId::new(Term(term), Index(index)), payload: Payload::Empty });
    }

    /// The batch that carried entry 2 of term 1 completes after the entry was replaced in memory:
    /// it says nothing about entry 2 of term 2.
    #[test]
    fn an_old_write_does_not_vouch_for_a_new_entry() {
        let hard_state = HardState::default();
        let mut log = Log::after(&SnapshotMeta::default());
        let mut disk = Disk::holding(hard_state, Index(0));
        append(&mut log, 1, 1);
        append(&mut log, 1, 2);
        let first = disk.batch(Instant::START, hard_state, &log).unwrap();

        log.truncate(Index(2));
        disk.truncate(Index(2));
        append(&mut log, 2, 2);
        let second = disk.batch(Instant::START, hard_state, &log).unwrap();
        assert_eq!(second.truncate_from, Some(Index(2)));
        assert_eq!(second.entries.len(), 1);

        disk.confirm(first.seq);
        assert_eq!(disk.durable_index(), Index(1));
        assert_eq!(disk.reach(Index(2), hard_state), second.seq);
        disk.confirm(second.seq);
        assert_eq!(disk.durable_index(), Index(2));
    }

    #[test]
    fn what_was_never_written_need_not_be_truncated() {
        let hard_state = HardState::default();
        let mut log = Log::after(&SnapshotMeta::default());
        let mut disk = Disk::holding(hard_state, Index(0));
        append(&mut log, 1, 1);
        log.truncate(Index(1));
        disk.truncate(Index(1));
        assert_eq!(disk.batch(Instant::START, hard_state, &log), None);
    }
}
