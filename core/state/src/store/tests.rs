use std::collections::BTreeSet;

use proptest::prelude::*;
use tribune_base::time::Instant;

use super::*;
use crate::script::{command, single, topics};
use crate::types::fold;
use crate::watch::{WatchId, Watches};

/// The rows that `topic` asks for, in full, as text.
fn answer(state: &Snapshot, topic: &Topic) -> String {
    match topic {
        Topic::Kv(key) => format!("{:?}", state.kv_get(key).1),
        Topic::KvPrefix(prefix) => format!("{:?}", state.kv_list(prefix).1.collect::<Vec<_>>()),
        Topic::Autopilot => format!("{:?}", state.autopilot().1),
        Topic::PreparedQueries => format!("{:?}", state.prepared_queries().1.collect::<Vec<_>>()),
        Topic::Nodes => format!("{:?}", state.nodes().1.collect::<Vec<_>>()),
        Topic::Services => {
            let nodes = state.nodes().1.filter_map(|it| state.node_services(&it.name).1);
            let rows =
                nodes.flat_map(|it| it.services.into_iter().map(move |row| (&it.node.name, row)));
            // Whose they are is not asked for, as long as it is the same node.
            let rows = rows.map(|(node, row)| (fold(node), row));
            format!("{:?}", rows.collect::<Vec<_>>())
        }
        Topic::Service(name) => format!("{:?}", state.service(name).1),
        Topic::Health(name) => format!("{:?}", state.health_service(name).1),
        Topic::NodeServices(name) => format!("{:?}", state.node_services(name).1),
        Topic::NodeChecks(name) => format!("{:?}", state.node_checks(name).1),
        Topic::ServiceChecks(name) => format!("{:?}", state.service_checks(name).1),
        Topic::ChecksState(status) => format!("{:?}", state.checks_in_state(*status).1),
        Topic::Catalog => {
            let tables = [Topic::Nodes, Topic::Services, Topic::ChecksState(None)];
            tables.map(|it| answer(state, &it)).concat()
        }
    }
}

/// What `touched` wakes, with somebody waiting for each of `topics`.
fn woken(topics: &[Topic], touched: &[Touch]) -> BTreeSet<Topic> {
    let mut watches = Watches::default();
    for (n, topic) in topics.iter().enumerate() {
        watches.park(WatchId(n as u64), topic.clone(), Instant::NEVER);
    }
    let ids = touched.iter().flat_map(|it| watches.touch(it)).collect::<Vec<_>>();
    ids.into_iter().map(|id| topics[id.0 as usize].clone()).collect()
}

fn is_batch(command: &Command) -> bool {
    matches!(command, Command::Batch(_))
}

proptest! {
    /// What blocking queries rely on.
    #[test]
    fn nothing_is_missed_and_nobody_is_woken_for_nothing(
        commands in prop::collection::vec(command(), 1..15)
    ) {
        let topics = topics();
        let mut store = Store::default();
        let ask = |state: &Snapshot| -> Vec<_> {
            topics.iter().map(|it| (state.index_of(it), answer(state, it))).collect()
        };
        let mut before = ask(store.view());
        for command in commands {
            let applied = store.next(&command);
            let woken = woken(&topics, &applied.touched);
            let after = ask(store.view());
            for (topic, (old, new)) in topics.iter().zip(before.iter().zip(&after)) {
                prop_assert!(old.0 <= new.0, "{topic:?} went back from {} to {}", old.0, new.0);
                prop_assert!(Index(1) <= new.0);
                if old.1 != new.1 {
                    prop_assert!(woken.contains(topic), "{topic:?} missed {command:?}");
                    prop_assert_eq!(new.0, store.index(), "{:?}", topic);
                } else {
                    // The commands of a batch may undo each other.
                    let excused = is_batch(&command);
                    prop_assert!(excused || !woken.contains(topic), "{topic:?}: {command:?}");
                }
            }
            before = after;
            prop_assert_eq!(store.view().check_integrity(), Ok(()));
        }
    }

    #[test]
    fn doing_it_again_changes_nothing(
        commands in prop::collection::vec(single(), 0..10),
        registration in crate::script::registration(),
    ) {
        let mut store = Store::default();
        commands.iter().for_each(|it| _ = store.next(it));
        let command = Command::Register(registration);
        store.next(&command);
        let before = store.snapshot();
        let again = store.next(&command);
        prop_assert_eq!(again.touched, []);
        prop_assert_eq!(&before.catalog, &store.view().catalog);
    }

    #[test]
    fn a_snapshot_stays_as_it_was(
        commands in prop::collection::vec(command(), 0..20),
        more in prop::collection::vec(command(), 1..10),
    ) {
        let mut store = Store::default();
        commands.iter().for_each(|it| _ = store.next(it));
        let snapshot = store.snapshot();
        let digest = snapshot.digest();
        more.iter().for_each(|it| _ = store.next(it));
        prop_assert_eq!(snapshot.digest(), digest);
        prop_assert_ne!(store.view().digest(), digest);
    }
}

#[test]
#[should_panic(expected = "applied 3 after 3")]
fn an_index_is_applied_once() {
    let mut store = Store::default();
    store.apply(Index(3), WallTime(0), &Command::Ignored);
    store.apply(Index(3), WallTime(0), &Command::Ignored);
}

#[test]
fn a_batch_answers_each_of_its_commands() {
    let mut store = Store::default();
    let set = |key: &'static str, index| {
        let (key, value) = (key.into(), "x".into());
        Command::Kv(kv::Command::Cas { key, value, flags: 0, index: Index(index) })
    };
    let batch = Command::Batch(vec![set("a", 0), set("a", 9), Command::Ignored]);
    let outcomes = vec![Outcome::Done(true), Outcome::Done(false), Outcome::Ignored];
    assert_eq!(store.next(&batch).outcome, Outcome::Batch(outcomes));
}

#[test]
fn a_snapshot_may_be_read_on_any_thread() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<Snapshot>();
}

#[test]
fn what_is_counted() {
    let mut store = Store::default();
    let set = |key: &'static str| {
        let (key, value) = (key.into(), "x".into());
        Command::Kv(kv::Command::Set { key, value, flags: 0 })
    };
    ["a/1", "a/2", "b", "c"].into_iter().for_each(|key| _ = store.next(&set(key)));
    store.next(&Command::Kv(kv::Command::Delete { key: "b".into() }));
    store.next(&Command::Kv(kv::Command::DeleteTree { prefix: "a/".into() }));
    assert_eq!((store.view().key_count(), store.view().tombstone_count()), (1, 2));
    store.next(&Command::ReapTombstones { through: store.index() });
    assert_eq!((store.view().key_count(), store.view().tombstone_count()), (1, 0));
}

#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "a table is made of it")]
fn planted_bugs_are_caught() {
    use tribune_base::bug::{self, Bug};

    let grown = || {
        let mut store = Store::default();
        let (key, value) = (Bytes::from("a/b"), Bytes::from("x"));
        store.next(&Command::Kv(kv::Command::Set { key: key.clone(), value, flags: 0 }));
        let deleted = store.next(&Command::Kv(kv::Command::DeleteTree { prefix: key }));
        (store, deleted.touched.len())
    };
    let kept = || {
        let (store, _) = grown();
        Store::restore(store.view().records()).as_ref() == Ok(&store)
    };
    assert_eq!((grown().1, kept()), (1, true));
    assert_eq!(bug::with(Bug::K08, grown).1, 0, "a deleted tree wakes somebody");
    println!("planted K08 | a deleted tree wakes");
    assert!(!bug::with(Bug::S07, kept), "the tombstones are there");
    println!("planted S07 | a snapshot holds everything");
}
