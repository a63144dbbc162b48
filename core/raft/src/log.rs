//! The log as this server sees it: everything since some way behind the last snapshot, in memory.

use std::collections::VecDeque;

use tribune_base::bug;
use tribune_base::id::{Index, LogId, Term};

use crate::configuration::Configuration;
use crate::entry::{Entry, Payload};
use crate::output::SnapshotMeta;

/// A contiguous run of entries after `base`, and the configurations they bring about.
#[derive(Debug)]
pub(crate) struct Log {
    /// The entry before the first one here. Committed, unless it is entry zero.
    base: LogId,
    /// Bytes up to and including `base`, in the same count as [`Slot::end`].
    base_end: u64,
    slots: VecDeque<Slot>,
    /// Which configuration holds from which index on. Invariant: ascending, never empty.
    configurations: Vec<(Index, Configuration)>,
    /// What the operator has put in their place, and where the log ended then.
    forced: Option<(Index, Configuration)>,
}

#[derive(Debug)]
struct Slot {
    entry: Entry,
    /// Bytes of all entries there ever were, up to and including this one.
    end: u64,
}

impl Log {
    /// The log after a snapshot.
    pub(crate) fn after(snapshot: &SnapshotMeta) -> Self {
        let configuration =
            if bug!(M05) { Configuration::default() } else { snapshot.configuration.clone() };
        Self {
            base: snapshot.last,
            base_end: 0,
            slots: VecDeque::new(),
            configurations: vec![(snapshot.last.index, configuration)],
            forced: None,
        }
    }

    /// The log made of `entries`, of which those that the snapshot covers are only for others.
    pub(crate) fn overlapping(snapshot: &SnapshotMeta, entries: Vec<Entry>) -> Self {
        let mut entries = entries.into_iter().peekable();
        let mut this = Self::after(snapshot);
        // Whoever asks for what follows the first entry must be told the first one's term.
        if let Some(first) = entries.next_if(|it| it.id.index <= snapshot.last.index) {
            this.base = first.id;
        }
        while let Some(entry) = entries.next_if(|it| it.id.index <= snapshot.last.index) {
            this.append(entry);
        }
        this.configurations = Self::after(snapshot).configurations;
        entries.for_each(|it| this.append(it));
        if bug!(M10) {
            let first = snapshot.last.index;
            this.configurations.retain(|(at, it)| *at == first || !it.is_joint());
        }
        this
    }

    /// Append the entry that follows the last one.
    pub(crate) fn append(&mut self, entry: Entry) {
        let last = self.last();
        assert_eq!(entry.id.index, last.index.next(), "the log has a gap");
        assert!(last.term <= entry.id.term, "terms went backwards at {}", entry.id);
        if let Payload::Configuration(configuration) = &entry.payload {
            self.configurations.push((entry.id.index, configuration.clone()));
        }
        let end = self.end(last.index) + entry.cost() as u64;
        self.slots.push_back(Slot { entry, end });
    }

    /// Forget everything from `from` on, configurations included.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(self.base.index < from, "truncated below the first entry");
        self.slots.truncate((from.0 - self.base.index.0 - 1) as usize);
        while let Some((at, _)) = self.configurations.last()
            && from <= *at
            && !bug!(M04)
        {
            self.configurations.pop();
        }
        assert!(!self.configurations.is_empty(), "truncated the first configuration");
    }

    /// Forget everything up to and including `through`.
    pub(crate) fn forget(&mut self, through: Index) {
        let (Some(term), end) = (self.term(through), self.end(through)) else { return };
        self.slots.drain(..(through.0 - self.base.index.0) as usize);
        self.base = LogId::new(term, through);
        self.base_end = end;
        let current = self.configurations.partition_point(|(at, _)| *at <= through);
        self.configurations.drain(..current.saturating_sub(1));
    }

    /// Whether `holds` for every configuration since the snapshot's.
    pub(crate) fn has_only_had(&self, holds: impl Fn(&Configuration) -> bool) -> bool {
        self.configurations.iter().all(|(_, it)| holds(it))
    }

    /// Put `configuration` in force, whatever the log says. See [`Self::settle`].
    pub(crate) fn force(&mut self, configuration: Configuration) {
        self.forced = Some((self.last().index, configuration));
    }

    /// Everything up to `commit` is committed. If that includes a configuration which came after
    /// the forced one, the log is to be believed again.
    pub(crate) fn settle(&mut self, commit: Index) {
        let latest = self.latest().0;
        self.forced = self.forced.take().filter(|(end, _)| latest <= *end || commit < latest);
    }

    /// The last entry.
    pub(crate) fn last(&self) -> LogId {
        self.slots.back().map_or(self.base, |it| it.entry.id)
    }

    /// The entry before the first.
    pub(crate) const fn base(&self) -> LogId {
        self.base
    }

    /// The term of the entry at `index`, if it is known.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.slot(index).map(|it| it.entry.id.term)
    }

    /// The entry at `index`, if it is here.
    pub(crate) fn get(&self, index: Index) -> Option<&Entry> {
        self.slot(index).map(|it| &it.entry)
    }

    /// Whether `id` is in the log, or just before it.
    pub(crate) fn contains(&self, id: LogId) -> bool {
        self.term(id.index) == Some(id.term)
    }

    /// The entries `first..=last`, all of which are here.
    pub(crate) fn range(&self, first: Index, last: Index) -> Vec<Entry> {
        assert!(self.base.index < first, "{first} is forgotten");
        let from = (first.0 - self.base.index.0 - 1) as usize;
        let count = (last.0 + 1).saturating_sub(first.0) as usize;
        self.slots.range(from..from + count).map(|it| it.entry.clone()).collect()
    }

    /// As many entries from `first` on as fit: at least one, if there is one.
    pub(crate) fn batch(&self, first: Index, count_max: usize, bytes_max: usize) -> Vec<Entry> {
        let budget = self.end(first.prev()).saturating_add(bytes_max as u64);
        let from = (first.0 - self.base.index.0 - 1) as usize;
        let fits = |(n, slot): &(usize, &Slot)| *n == 0 || *n < count_max && slot.end <= budget;
        let slots = self.slots.range(from.min(self.slots.len())..);
        slots.enumerate().take_while(fits).map(|(_, it)| it.entry.clone()).collect()
    }

    /// Bytes in the entries `after..=through`.
    pub(crate) fn bytes(&self, after: Index, through: Index) -> u64 {
        self.end(through).saturating_sub(self.end(after))
    }

    /// The last entry up to `index` whose term is at most `term`: where two logs that disagree at
    /// `index` may agree. Whole terms are skipped, so that a long disagreement is settled in as
    /// many messages as it has terms.
    pub(crate) fn last_at_most(&self, index: Index, term: Term) -> LogId {
        let terms = self.slots.partition_point(|it| it.entry.id.term <= term);
        let last = self.base.index.0 + terms as u64;
        let index = Index(index.0.min(last));
        match self.term(index) {
            Some(found) if found <= term => LogId::new(found, index),
            _ => LogId::default(),
        }
    }

    /// The configuration in force: the last one in the log, committed or not (dissertation,
    /// section 4.1), unless the operator knows better.
    pub(crate) fn configuration(&self) -> &Configuration {
        self.forced().unwrap_or_else(|| &self.latest().1)
    }

    /// What the operator has forced, until a leader has had it committed.
    pub(crate) fn forced(&self) -> Option<&Configuration> {
        self.forced.as_ref().map(|(_, it)| it)
    }

    /// Where the configuration in force comes from.
    pub(crate) fn configuration_index(&self) -> Index {
        self.latest().0
    }

    /// The configuration that was in force at `index`.
    pub(crate) fn configuration_at(&self, index: Index) -> &Configuration {
        let current = self.configurations.partition_point(|(at, _)| *at <= index);
        &self.configurations[current.saturating_sub(1)].1
    }

    fn latest(&self) -> &(Index, Configuration) {
        self.configurations.last().expect("there is always a first configuration")
    }

    /// Bytes up to and including `index`; what is forgotten counts as the first that is not.
    fn end(&self, index: Index) -> u64 {
        if index <= self.base.index {
            return self.base_end;
        }
        self.slot(index).or_else(|| self.slots.back()).map_or(self.base_end, |it| it.end)
    }

    fn slot(&self, index: Index) -> Option<&Slot> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.slots.get(usize::try_from(at).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tribune_base::id::ServerId;

    use super::*;

    fn log(terms: &[u64]) -> Log {
        let mut log = Log::after(&SnapshotMeta::default());
        for (n, term) in terms.iter().enumerate() {
            let id = LogId::new(Term(*term), Index(n as u64 + 1));
            log.append(Entry { id, payload: Payload::Command(Bytes::from_static(b"x")) });
        }
        log
    }

    #[test]
    fn a_conflict_is_traced_back_by_terms() {
        let log = log(&[1, 1, 2, 2, 5, 5]);
        let cases = [
            ("agrees already", 4, 2, (2, 4)),
            ("longer than the log", 9, 5, (5, 6)),
            ("skips a term", 6, 4, (2, 4)),
            ("skips two terms", 6, 1, (1, 2)),
            ("nothing is old enough", 6, 0, (0, 0)),
        ];
        for (name, index, term, (want_term, want_index)) in cases {
            let want = LogId::new(Term(want_term), Index(want_index));
            assert_eq!(log.last_at_most(Index(index), Term(term)), want, "{name}");
        }
    }

    #[test]
    fn forgetting_keeps_what_the_rest_needs() {
        let mut log = log(&[1, 1, 2, 2]);
        let all = log.bytes(Index(0), Index(4));
        log.forget(Index(3));
        assert_eq!(log.base(), LogId::new(Term(2), Index(3)));
        assert_eq!(log.term(Index(3)), Some(Term(2)));
        assert_eq!(log.term(Index(2)), None);
        assert_eq!(log.bytes(Index(3), Index(4)) * 4, all);
        assert_eq!(log.range(Index(4), Index(4)).len(), 1);
        assert_eq!(log.batch(Index(5), 1, 1), []);
    }

    #[test]
    fn a_batch_keeps_to_its_limits_but_never_starves() {
        let log = log(&[1; 10]);
        let cost = log.range(Index(1), Index(1))[0].cost();
        assert_eq!(log.batch(Index(1), 4, usize::MAX).len(), 4);
        assert_eq!(log.batch(Index(1), 100, cost * 3).len(), 3);
        assert_eq!(log.batch(Index(1), 100, 1).len(), 1);
        assert_eq!(log.batch(Index(8), 100, usize::MAX).len(), 3);
    }

    #[test]
    fn a_configuration_lasts_as_long_as_its_entry() {
        let mut log = log(&[1, 1]);
        let three = Configuration::of_voters([(ServerId(3), String::new())]);
        let id = LogId::new(Term(1), Index(3));
        log.append(Entry { id, payload: Payload::Configuration(three.clone()) });
        assert_eq!(log.configuration(), &three);
        assert_eq!(log.configuration_at(Index(2)), &Configuration::default());
        log.truncate(Index(3));
        assert_eq!(log.configuration(), &Configuration::default());
        log.append(Entry { id, payload: Payload::Configuration(three.clone()) });
        log.forget(Index(3));
        assert_eq!(log.configuration(), &three);
    }
}
