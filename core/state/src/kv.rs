//! The key/value table.
//!
//! Deleting leaves a tombstone, so that whoever asks for what is gone is told when it went. One
//! tombstone stands for a whole tree. The leader has them reaped when nobody can be waiting for
//! them any more; how recent the reaped ones were is remembered in one number for all, because the
//! index of a question must not go backwards.

mod entry;

use std::cmp;
use std::ops::Bound;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::id::Index;
use tribune_base::tree::{Key, Tree};

pub use self::entry::Entry;
pub(crate) use self::entry::{Parts, Row};
use crate::watch::{Touch, shared_len};

/// A change of keys.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/kv/:key`.
pub enum Command {
    /// Set a key, whoever holds its lock.
    Set { key: Bytes, value: Bytes, flags: u64 },
    /// Set a key if it was last changed at `index`; at zero, if it does not exist.
    Cas { key: Bytes, value: Bytes, flags: u64, index: Index },
    /// Delete a key, if it is there.
    Delete { key: Bytes },
    /// Delete a key if it was last changed at `index`. One that is not there counts as deleted.
    DeleteCas { key: Bytes, index: Index },
    /// Delete everything that starts with `prefix`.
    DeleteTree { prefix: Bytes },
}

/// All keys, and what is remembered of those that are gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kv {
    /// A set of rows and not a map from keys to rows: keys take no room of their own. Inner nodes
    /// of the tree may keep a replaced row alive, at most one for each leaf.
    pub(crate) rows: Tree<Row, ()>,
    /// When a key was deleted. Invariant: newer than the tombstones of trees it is in; not live.
    pub(crate) graves: Tree<Key, Index>,
    /// When everything under a prefix was deleted.
    pub(crate) tree_graves: Tree<Key, Index>,
    /// The newest change to any key.
    pub(crate) newest: Index,
    /// The newest tombstone that was reaped. Invariant: `reaped <= newest`.
    pub(crate) reaped: Index,
}

impl Kv {
    /// Returns whether the command's condition held.
    pub(crate) fn apply(&mut self, at: Index, command: &Command, touched: &mut Vec<Touch>) -> bool {
        match command {
            Command::Set { key, value, flags } => {
                self.set(at, key, value, *flags, touched);
                true
            }
            Command::Cas { key, value, flags, index } => {
                let holds = self.modify(key) == *index || bug!(K01) && *index == Index(0);
                if holds {
                    self.set(at, key, value, *flags, touched);
                }
                holds
            }
            Command::Delete { key } => {
                self.delete(at, key, touched);
                true
            }
            Command::DeleteCas { key, index } => {
                let modify = self.modify(key);
                let holds = modify == Index(0) || modify == *index;
                if holds {
                    self.delete(at, key, touched);
                }
                holds
            }
            Command::DeleteTree { prefix } => {
                self.delete_tree(at, prefix, touched);
                true
            }
        }
    }

    /// Forget deletions up to and including `through`.
    pub(crate) fn reap(&mut self, through: Index) {
        for graves in [&mut self.graves, &mut self.tree_graves] {
            let old = graves.iter().filter(|(_, at)| **at <= through);
            let old: Vec<_> = old.map(|(key, at)| (key.clone(), *at)).collect();
            for (key, at) in old {
                self.reaped = self.reaped.max(at);
                graves.remove(&key);
            }
        }
    }

    /// What must be true of the table as a whole. O(size).
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub(crate) fn check_integrity(&self, applied: Index) -> Result<(), &'static str> {
        self.list(b"").try_for_each(|it| self.check_entry(it))?;
        self.check_tombstones(applied)
    }

    /// What must be true of a row.
    pub(crate) fn check_entry(&self, entry: &Entry) -> Result<(), &'static str> {
        if entry.modify() < entry.create() {
            return Err("a key changed before it was");
        }
        if self.newest < entry.modify() { Err("a key newer than its table") } else { Ok(()) }
    }

    /// What must be true of everything but the rows.
    pub(crate) fn check_tombstones(&self, applied: Index) -> Result<(), &'static str> {
        let mut graves = self.graves.values().chain(self.tree_graves.values());
        let broken = [
            (applied < self.newest, "a newest key that was not written yet"),
            (self.newest < self.reaped, "reaped what was not deleted yet"),
            (graves.any(|it| self.newest < *it), "a tombstone newer than its table"),
            (self.graves.iter().any(|it| self.get(it.0).is_some()), "a key dead and alive"),
        ];
        broken.into_iter().find(|it| it.0).map_or(Ok(()), |it| Err(it.1))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.rows.get_key_value(key).map(|(Row(entry), ())| entry)
    }

    pub(crate) fn list<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Entry> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let rows = self.rows.range::<_, [u8]>(from).map(|(row, ())| &row.0);
        rows.take_while(move |it| it.key().starts_with(prefix))
    }

    /// The index of one key: its newest change, or its end, or the newest change to any.
    pub(crate) fn index_of(&self, key: &[u8]) -> Index {
        let index = match self.get(key) {
            Some(entry) => entry.modify(),
            None => {
                let own = self.graves.get(key).copied();
                own.or_else(|| self.tree_grave(key)).unwrap_or(self.newest)
            }
        };
        cmp::max(index, Index(1))
    }

    /// The index of all keys under `prefix`: the newest change or end of any of them, or the
    /// newest change to any key if nothing is known of them.
    pub(crate) fn index_under(&self, prefix: &[u8]) -> Index {
        if prefix.is_empty() {
            return cmp::max(self.newest, Index(1));
        }
        let live = self.list(prefix).map(Entry::modify).max();
        let dead = self.graves.prefix(prefix).map(|(_, at)| *at).max();
        let dead_trees = self.tree_graves.prefix(prefix).map(|(_, at)| *at).max();
        let known = live.max(dead).max(dead_trees).or_else(|| self.tree_grave(prefix));
        // What was reaped may have been here, and newer than anything left.
        let index = known.map_or(self.newest, |it| it.max(self.reaped));
        cmp::max(index, Index(1))
    }

    /// When the newest tree around `key` was deleted.
    fn tree_grave(&self, key: &[u8]) -> Option<Index> {
        // A tree's end takes the tombstones inside it along, so the innermost is the newest.
        let mut end = key.len();
        loop {
            let up_to = (Bound::Unbounded, Bound::Included(&key[..end]));
            let (tree, at) = self.tree_graves.range::<_, [u8]>(up_to).next_back()?;
            let shared = shared_len(tree, key);
            if shared == tree.len() {
                return Some(*at);
            }
            end = shared;
        }
    }

    /// When `key` was last changed; zero if it is not there.
    fn modify(&self, key: &[u8]) -> Index {
        self.get(key).map_or(Index(0), Entry::modify)
    }

    fn set(&mut self, at: Index, key: &[u8], value: &[u8], flags: u64, touched: &mut Vec<Touch>) {
        let old = self.get(key).map(Entry::parts);
        if old.is_some_and(|it| it.value == value && it.flags == flags) && !bug!(K11) {
            return;
        }
        let new = old.map_or(
            Parts { key, value, flags, create: at, modify: at, lock_index: 0, session: None },
            |old| Parts { value, flags, modify: at, ..old },
        );
        let entry = Entry::new(&new);
        touched.push(Touch::Key(entry.clone()));
        self.graves.remove(key);
        self.rows.insert(Row(entry), ());
        self.newest = at;
    }

    fn delete(&mut self, at: Index, key: &[u8], touched: &mut Vec<Touch>) {
        let Some(entry) = self.get(key).cloned() else { return };
        self.rows.remove(key);
        if !bug!(K10) {
            self.graves.insert(key.into(), at);
        }
        touched.push(Touch::Key(entry));
        self.newest = at;
    }

    fn delete_tree(&mut self, at: Index, prefix: &[u8], touched: &mut Vec<Touch>) {
        let dead: Vec<_> = self.list(prefix).cloned().collect();
        if dead.is_empty() {
            return;
        }
        for entry in dead {
            self.rows.remove(entry.key());
            if !bug!(K08) {
                touched.push(Touch::Key(entry));
            }
        }
        for graves in [&mut self.graves, &mut self.tree_graves] {
            let inside: Vec<Key> = graves.prefix(prefix).map(|(key, _)| key.clone()).collect();
            for key in inside {
                graves.remove(&key);
            }
        }
        self.tree_graves.insert(prefix.into(), at);
        self.newest = at;
    }
}

impl PartialEq for Kv {
    fn eq(&self, other: &Self) -> bool {
        self.list(b"").eq(other.list(b""))
            && self.graves == other.graves
            && self.tree_graves == other.tree_graves
            && self.newest == other.newest
            && self.reaped == other.reaped
    }
}

impl Eq for Kv {}

#[cfg(test)]
mod tests;
