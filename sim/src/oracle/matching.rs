//! RI-3, log matching: two entries of the same index and term are the same, and so is everything
//! before them. Every entry has a hash that is chained through all before it, so that comparing two
//! entries compares two logs.

use std::collections::VecDeque;

use tribune_base::hash::{FNV1A_START, fnv1a_from};
use tribune_base::id::{Index, Term};
use tribune_raft::{Entry, Payload, Persist};

use super::{Report, Truth};
use crate::dice::mix;
use crate::world::disk::Disk;

#[derive(Debug)]
pub(crate) struct Matching {
    /// Every entry there ever was: by index, and then whatever terms there were.
    names: Vec<Vec<(Term, u64)>>,
    logs: Vec<Chain>,
}

/// The hashes of a server's log, as it was last handed to its disk.
#[derive(Clone, Debug, Default)]
struct Chain {
    /// The index of the first hash.
    first: u64,
    hashes: VecDeque<u64>,
}

impl Matching {
    pub(crate) fn new(servers: usize) -> Self {
        Self { names: Vec::new(), logs: vec![Chain::default(); servers] }
    }

    /// The hash of a server's log up to `index`.
    pub(crate) fn chain(&self, server: usize, index: Index) -> Option<u64> {
        let log = &self.logs[server];
        log.hashes.get(usize::try_from(index.0.checked_sub(log.first)?).ok()?).copied()
    }

    pub(crate) fn on_start(
        &mut self,
        report: &mut Report,
        truth: &Truth,
        server: usize,
        disk: &Disk,
    ) {
        self.logs[server] = Chain::default();
        for entry in disk.entries() {
            self.append(report, truth, server, entry);
        }
    }

    pub(crate) fn on_persist(
        &mut self,
        report: &mut Report,
        truth: &Truth,
        server: usize,
        batch: &Persist,
    ) {
        if let Some(from) = batch.truncate_from {
            let log = &mut self.logs[server];
            log.hashes.truncate(from.0.saturating_sub(log.first) as usize);
        }
        for entry in &batch.entries {
            self.append(report, truth, server, entry);
        }
    }

    fn append(&mut self, report: &mut Report, truth: &Truth, server: usize, entry: &Entry) {
        let (index, term) = (entry.id.index, entry.id.term);
        let before = self.chain(server, index.prev());
        let log = &mut self.logs[server];
        let before = before.or_else(|| truth.get(index.prev()).map(|it| it.chain));
        let Some(before) = before else {
            return report.require(false, "RI-3", || {
                format!("server {} has {}, and nobody knows what is before", server + 1, entry.id)
            });
        };
        if log.first + log.hashes.len() as u64 != index.0 {
            *log = Chain { first: index.0, hashes: VecDeque::new() };
        }
        let hash = hash(before, entry);
        log.hashes.push_back(hash);

        let at = index.0 as usize;
        if self.names.len() <= at {
            self.names.resize_with(at + 1, Vec::new);
        }
        match self.names[at].iter().find(|(it, _)| *it == term) {
            Some((_, known)) => report.require(*known == hash, "RI-3", || {
                format!("server {}: entry {} differs from another's", server + 1, entry.id)
            }),
            None => self.names[at].push((term, hash)),
        }
    }
}

fn hash(before: u64, entry: &Entry) -> u64 {
    let payload = match &entry.payload {
        Payload::Empty => 1,
        Payload::Command(bytes) => words(bytes),
        Payload::Configuration(it) => fnv1a_from(FNV1A_START ^ 3, &it.to_bytes()),
    };
    mix(mix(before ^ entry.id.term.0).wrapping_add(payload))
}

/// A hash of some bytes, eight at a time.
pub(crate) fn words(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    fnv1a_from(hash, rest)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tribune_base::id::LogId;
    use tribune_raft::PersistSeq;

    use super::*;

    fn batch(entries: &[(u64, u64, &'static [u8])]) -> Persist {
        let entry = |&(term, index, text): &(u64, u64, &'static [u8])| Entry {
            id: LogId::new(Term(term), Index(index)),
            payload: Payload::Command(Bytes::from_static(text)),
        };
        Persist {
            seq: PersistSeq(1),
            hard_state: None,
            truncate_from: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn after(logs: &[&[(u64, u64, &'static [u8])]]) -> Option<String> {
        let (mut report, truth) = (Report::default(), Truth::default());
        let mut matching = Matching::new(logs.len());
        for (server, entries) in logs.iter().enumerate() {
            matching.on_persist(&mut report, &truth, server, &batch(entries));
        }
        report.first.map(|it| it.id)
    }

    #[test]
    fn one_name_for_two_entries_is_noticed() {
        assert_eq!(after(&[&[(1, 1, b"a")], &[(1, 1, b"a")]]), None);
        assert_eq!(after(&[&[(1, 1, b"a")], &[(2, 1, b"b")]]), None);
        assert_eq!(after(&[&[(1, 1, b"a")], &[(1, 1, b"b")]]), Some("RI-3".into()));
    }

    #[test]
    fn a_difference_further_back_is_noticed() {
        let found = after(&[&[(1, 1, b"a"), (2, 2, b"x")], &[(2, 1, b"b"), (2, 2, b"x")]]);
        assert_eq!(found, Some("RI-3".into()));
    }
}
