//! What keys hold, worked out from the log by somebody who has not read the state's code.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::id::Index;
use tribune_state::Command;
use tribune_state::kv;

/// All keys, at every index.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// What became of each key, and when.
    keys: BTreeMap<Bytes, Vec<(Index, Option<Row>)>>,
    /// Which keys changed, in order.
    changes: Vec<(Index, Bytes)>,
    /// When each value was written, and whether the condition held.
    writes: BTreeMap<Bytes, (Index, bool)>,
    /// When something was deleted, and whether the condition held.
    deletes: Vec<Delete>,
}

/// What a key holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) value: Bytes,
    pub(crate) flags: u64,
    pub(crate) create: Index,
    pub(crate) modify: Index,
}

/// A deletion in the log.
#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) at: Index,
    pub(crate) command: kv::Command,
    pub(crate) held: bool,
    /// Whether a client was told of it.
    pub(crate) claimed: bool,
}

impl Model {
    /// `command` is committed at `at`. Returns what was written twice, if anything was.
    pub(crate) fn apply(&mut self, at: Index, command: &Command) -> Option<Bytes> {
        match command {
            Command::Kv(command) => self.change(at, command),
            Command::Batch(commands) => {
                let twice: Vec<_> = commands.iter().filter_map(|it| self.apply(at, it)).collect();
                twice.into_iter().next()
            }
            Command::Register(_)
            | Command::Deregister(_)
            | Command::ReapTombstones { .. }
            | Command::Ignored => None,
            Command::SetAutopilot(_) | Command::PreparedQuery(_) | Command::SetCoordinate(_) => {
                None
            }
        }
    }

    fn change(&mut self, at: Index, command: &kv::Command) -> Option<Bytes> {
        match command {
            kv::Command::Set { key, value, flags } => {
                self.set(at, key, value, *flags);
                self.written(at, value, true)
            }
            kv::Command::Cas { key, value, flags, index } => {
                let held = self.modify(key) == *index;
                if held {
                    self.set(at, key, value, *flags);
                }
                self.written(at, value, held)
            }
            kv::Command::Delete { key } => {
                self.remove(at, key);
                self.deleted(at, command, true)
            }
            kv::Command::DeleteCas { key, index } => {
                let modify = self.modify(key);
                let held = modify == Index(0) || modify == *index;
                if held {
                    self.remove(at, key);
                }
                self.deleted(at, command, held)
            }
            kv::Command::DeleteTree { prefix } => {
                let inside = self.keys.range(prefix.clone()..);
                let inside = inside.take_while(|(key, _)| key.starts_with(prefix));
                let inside: Vec<_> = inside.map(|(key, _)| key.clone()).collect();
                inside.iter().for_each(|key| self.remove(at, key));
                self.deleted(at, command, true)
            }
            #[allow(unreachable_patterns, clippy::wildcard_enum_match_arm)]
            // What no client of ours says.
            _ => None,
        }
    }

    fn set(&mut self, at: Index, key: &Bytes, value: &Bytes, flags: u64) {
        let old = self.row(key, at);
        if old.is_some_and(|it| it.value == *value && it.flags == flags) {
            return;
        }
        let create = old.map_or(at, |it| it.create);
        let row = Row { value: value.clone(), flags, create, modify: at };
        self.note(at, key, Some(row));
    }

    fn remove(&mut self, at: Index, key: &Bytes) {
        if self.row(key, at).is_some() {
            self.note(at, key, None);
        }
    }

    fn note(&mut self, at: Index, key: &Bytes, row: Option<Row>) {
        self.keys.entry(key.clone()).or_default().push((at, row));
        self.changes.push((at, key.clone()));
    }

    fn written(&mut self, at: Index, value: &Bytes, held: bool) -> Option<Bytes> {
        self.writes.insert(value.clone(), (at, held)).map(|_| value.clone())
    }

    fn deleted(&mut self, at: Index, command: &kv::Command, held: bool) -> Option<Bytes> {
        self.deletes.push(Delete { at, command: command.clone(), held, claimed: false });
        None
    }

    fn modify(&self, key: &Bytes) -> Index {
        self.row(key, Index(u64::MAX)).map_or(Index(0), |it| it.modify)
    }

    /// What a key held after `at`.
    pub(crate) fn row(&self, key: &[u8], at: Index) -> Option<&Row> {
        let versions = self.keys.get(key)?;
        let count = versions.partition_point(|(index, _)| *index <= at);
        versions[..count].last()?.1.as_ref()
    }

    /// All keys under a prefix, and what they held after `at`.
    pub(crate) fn rows<'a>(
        &'a self,
        prefix: &'a [u8],
        at: Index,
    ) -> impl Iterator<Item = (&'a Bytes, &'a Row)> {
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        let keys = self.keys.range::<[u8], _>(from);
        let keys = keys.take_while(move |(key, _)| key.starts_with(prefix));
        keys.filter_map(move |(key, _)| Some((key, self.row(key, at)?)))
    }

    /// Which keys changed after `after`, up to `until`.
    pub(crate) fn changes(&self, after: Index, until: Index) -> &[(Index, Bytes)] {
        let from = self.changes.partition_point(|(at, _)| *at <= after);
        let to = self.changes.partition_point(|(at, _)| *at <= until);
        &self.changes[from..to.max(from)]
    }

    /// When a value was written, if ever, and whether the condition held.
    pub(crate) fn write(&self, value: &[u8]) -> Option<(Index, bool)> {
        self.writes.get(value).copied()
    }

    /// The first deletion after `floor` that this may be the answer to, taken.
    pub(crate) fn claim(
        &mut self,
        floor: Index,
        command: &kv::Command,
        held: bool,
    ) -> Option<Index> {
        let from = self.deletes.partition_point(|it| it.at <= floor);
        let mut later = self.deletes[from..].iter_mut();
        let found = later.find(|it| !it.claimed && it.held == held && it.command == *command)?;
        found.claimed = true;
        Some(found.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(it: &'static str) -> Bytes {
        Bytes::from_static(it.as_bytes())
    }

    #[test]
    fn the_past_is_remembered() {
        let mut model = Model::default();
        let set = |key, value| {
            Command::Kv(kv::Command::Set { key: text(key), value: text(value), flags: 0 })
        };
        assert_eq!(model.apply(Index(2), &set("a/b", "1")), None);
        assert_eq!(model.apply(Index(3), &set("a/b", "2")), None);
        let prefix = text("a");
        model.apply(Index(5), &Command::Kv(kv::Command::DeleteTree { prefix: prefix.clone() }));
        assert_eq!(model.apply(Index(6), &set("a/b", "2")), Some(text("2")), "written twice");

        let at = |index| model.row(b"a/b", Index(index)).map(|it| (it.create.0, it.modify.0));
        assert_eq!(
            [at(1), at(2), at(4), at(5), at(7)],
            [None, Some((2, 2)), Some((2, 3)), None, Some((6, 6))]
        );
        assert_eq!(model.rows(&prefix, Index(4)).count(), 1);
        assert_eq!(model.rows(&prefix, Index(5)).count(), 0);
        assert_eq!(model.changes(Index(2), Index(5)).len(), 2);
    }
}
