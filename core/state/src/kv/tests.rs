use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::script::{key, kv_command};

/// A table that remembers what each index touched and computes the rest by brute force.
#[derive(Default)]
struct Model {
    live: BTreeMap<Bytes, (Bytes, u64, Index)>,
    /// What was written or deleted, and whether that was a whole tree.
    events: Vec<(Index, Bytes, bool)>,
}

impl Model {
    fn apply(&mut self, at: Index, command: &Command) -> bool {
        let modify = |key| self.live.get(key).map_or(Index(0), |it: &(_, _, Index)| it.2);
        match command.clone() {
            Command::Set { key, value, flags } => self.set(at, key, value, flags),
            Command::Cas { key, value, flags, index } => {
                if modify(&key) != index {
                    return false;
                }
                self.set(at, key, value, flags);
            }
            Command::Delete { key } => self.delete(at, key),
            Command::DeleteCas { key, index } => {
                if self.live.contains_key(&key) && modify(&key) != index {
                    return false;
                }
                self.delete(at, key);
            }
            Command::DeleteTree { prefix } => {
                let before = self.live.len();
                self.live.retain(|key, _| !key.starts_with(&prefix));
                if self.live.len() < before {
                    self.events.push((at, prefix, true));
                }
            }
        }
        true
    }

    fn set(&mut self, at: Index, key: Bytes, value: Bytes, flags: u64) {
        if self.live.get(&key).is_none_or(|it| (&it.0, it.1) != (&value, flags)) {
            self.live.insert(key.clone(), (value, flags, at));
            self.events.push((at, key, false));
        }
    }

    fn delete(&mut self, at: Index, key: Bytes) {
        if self.live.remove(&key).is_some() {
            self.events.push((at, key, false));
        }
    }

    /// The newest change to `key`, or to anything if there never was one.
    fn index_of(&self, key: &[u8]) -> Index {
        self.newest(|it, tree| it == key || tree && key.starts_with(it))
    }

    /// The newest change under `prefix`, or to anything if there never was one.
    fn index_under(&self, prefix: &[u8]) -> Index {
        self.newest(|it, tree| it.starts_with(prefix) || tree && prefix.starts_with(it))
    }

    fn newest(&self, which: impl Fn(&[u8], bool) -> bool) -> Index {
        let those = self.events.iter().filter(|(_, key, tree)| which(key, *tree)).map(|it| it.0);
        let any = self.events.iter().map(|it| it.0);
        those.max().or_else(|| any.max()).unwrap_or(Index(1))
    }
}

proptest! {
    #[test]
    fn behaves_like_a_map(
        commands in prop::collection::vec(kv_command(), 1..40),
        probe in key(),
    ) {
        let mut kv = Kv::default();
        let mut model = Model::default();
        let mut touched = Vec::new();
        for (n, command) in commands.into_iter().enumerate() {
            let at = Index(n as u64 + 2);
            prop_assert_eq!(model.apply(at, &command), kv.apply(at, &command, &mut touched));

            let parts = |it: &Entry| (Bytes::copy_from_slice(it.value()), it.flags(), it.modify());
            let got = kv.list(b"").map(|it| (Bytes::copy_from_slice(it.key()), parts(it)));
            let want = model.live.iter().map(|(key, row)| (key.clone(), row.clone()));
            prop_assert!(got.eq(want), "after {command:?}");
            prop_assert_eq!(kv.index_of(&probe), model.index_of(&probe), "{:?}", &probe);
            prop_assert_eq!(kv.index_under(&probe), model.index_under(&probe), "{:?}", &probe);
            prop_assert_eq!(kv.check_integrity(at), Ok(()));
        }
    }
}

/// Apply commands at the indexes 10, 20, 30, …
fn table(commands: &[Command]) -> Kv {
    let mut kv = Kv::default();
    for (n, command) in commands.iter().enumerate() {
        kv.apply(Index(10 * (n as u64 + 1)), command, &mut Vec::new());
    }
    kv
}

fn set(key: &'static str, value: &'static str) -> Command {
    Command::Set { key: key.into(), value: value.into(), flags: 0 }
}

fn delete(key: &'static str) -> Command {
    Command::Delete { key: key.into() }
}

fn delete_tree(prefix: &'static str) -> Command {
    Command::DeleteTree { prefix: prefix.into() }
}

#[test]
fn writing_the_same_again_is_no_change() {
    let kv = table(&[set("a", "x"), set("b", "x"), set("a", "x")]);
    assert_eq!((kv.index_of(b"a"), kv.newest), (Index(10), Index(20)));
}

#[test]
fn conditions() {
    let cas = |key: &'static str, index| Command::Cas {
        key: key.into(),
        value: "new".into(),
        flags: 0,
        index: Index(index),
    };
    let delete_cas =
        |key: &'static str, index| Command::DeleteCas { key: key.into(), index: Index(index) };
    let cases = [
        ("set if it is unchanged", cas("a", 10), true),
        ("set if it was changed", cas("a", 9), false),
        ("create if it is there", cas("a", 0), false),
        ("create if it is absent", cas("b", 0), true),
        ("set what is absent", cas("b", 7), false),
        ("delete if it is unchanged", delete_cas("a", 10), true),
        ("delete if it was changed", delete_cas("a", 9), false),
        ("delete at zero", delete_cas("a", 0), false),
        ("delete what is absent", delete_cas("b", 7), true),
    ];
    for (name, command, want) in cases {
        let mut kv = table(&[set("a", "x")]);
        assert_eq!(kv.apply(Index(20), &command, &mut Vec::new()), want, "{name}");
    }
}

#[test]
fn a_write_keeps_the_lock() {
    let mut kv = table(&[]);
    let session = Some(tribune_base::id::SessionId(tribune_base::id::Uuid(7)));
    let (create, modify) = (Index(1), Index(1));
    let (key, value) = (&b"a"[..], &b"x"[..]);
    let held = Parts { key, value, flags: 0, create, modify, lock_index: 3, session };
    kv.rows.insert(Row(Entry::new(&held)), ());
    kv.apply(Index(10), &set("a", "y"), &mut Vec::new());
    let entry = kv.get(b"a").unwrap();
    assert_eq!((entry.lock_index(), entry.session()), (3, session));
    assert_eq!((entry.create(), entry.modify()), (Index(1), Index(10)));
}

#[test]
fn the_index_of_what_is_gone() {
    let history = [
        set("a/1", "x"),   // 10
        set("a/2", "x"),   // 20
        set("b", "x"),     // 30
        delete("a/2"),     // 40
        set("c", "x"),     // 50
        delete_tree("a/"), // 60
        set("c", "y"),     // 70
    ];
    let kv = table(&history);
    let cases = [("a/1", 60), ("a/2", 60), ("a/never", 60), ("b", 30), ("b/x", 70), ("z", 70)];
    for (key, want) in cases {
        assert_eq!(kv.index_of(key.as_bytes()), Index(want), "key {key}");
    }
    let cases = [("a", 60), ("a/", 60), ("a/1/x", 60), ("b", 30), ("c", 70), ("z", 70), ("", 70)];
    for (prefix, want) in cases {
        assert_eq!(kv.index_under(prefix.as_bytes()), Index(want), "prefix {prefix}");
    }
    assert_eq!((kv.graves.len(), kv.tree_graves.len()), (0, 1), "the tree's end includes a/2's");
}

#[test]
fn reaping_forgets_deletions_but_not_their_indexes() {
    let mut kv = table(&[set("a/1", "x"), set("a/2", "x"), delete("a/2"), set("b", "x")]);
    assert_eq!(kv.index_under(b"a/"), Index(30));
    kv.reap(Index(29));
    assert_eq!(kv.graves.len(), 1, "too young");
    kv.reap(Index(30));
    assert_eq!(kv.graves.len(), 0);
    assert_eq!(kv.index_under(b"a/"), Index(30), "not back to 10");
    assert_eq!(kv.index_of(b"a/1"), Index(10));
    assert_eq!(kv.index_of(b"a/2"), Index(40), "nothing is known of it, but when it was not there");
}

#[test]
fn an_empty_table_has_an_index() {
    let kv = table(&[]);
    assert_eq!((kv.index_of(b"a"), kv.index_under(b"")), (Index(1), Index(1)));
}

#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "a table is made of it")]
fn planted_bugs_are_caught() {
    use tribune_base::bug::{self, Bug};

    let a_deleted_key_keeps_its_index = || {
        let kv = table(&[set("a", "x"), delete("a"), set("b", "x")]);
        assert_eq!(kv.index_of(b"a"), Index(20));
    };
    a_deleted_key_keeps_its_index();
    let cases: [(Bug, &str, fn()); 3] = [
        (Bug::K01, "conditions", conditions),
        (Bug::K10, "a deleted key keeps its index", a_deleted_key_keeps_its_index),
        (Bug::K11, "writing the same again is no change", writing_the_same_again_is_no_change),
    ];
    for (bug, name, test) in cases {
        let caught = std::panic::catch_unwind(|| bug::with(bug, test)).is_err();
        assert!(caught, "nobody noticed {}: {}", bug.id(), bug.title());
        println!("planted {} | {name}", bug.id());
    }
}
