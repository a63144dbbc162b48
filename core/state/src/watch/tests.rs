use proptest::prelude::*;
use tribune_base::id::Index;
use tribune_base::time::Duration;

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn key(text: &str) -> Touch {
    let (key, value, create, modify) = (text.as_bytes(), &b""[..], Index(1), Index(1));
    let parts = kv::Parts { key, value, flags: 0, create, modify, lock_index: 0, session: None };
    Touch::Key(kv::Entry::new(&parts))
}

fn ids(ids: &[u64]) -> Vec<WatchId> {
    ids.iter().copied().map(WatchId).collect()
}

#[test]
fn a_key_wakes_itself_and_its_prefixes_once() {
    let mut watches = Watches::default();
    for (n, prefix) in ["", "web/", "web/1", "db/", "web/10"].into_iter().enumerate() {
        watches.park(WatchId(n as u64), Topic::KvPrefix(prefix.into()), at(300));
    }
    watches.park(WatchId(10), Topic::Kv("web/1".into()), at(300));
    watches.park(WatchId(11), Topic::Kv("web/".into()), at(300));
    assert_eq!(watches.touch(&key("web/1")), ids(&[10, 2, 1, 0]));
    assert_eq!(watches.touch(&key("web/1")), []);
    assert_eq!(watches.expire(at(300)), ids(&[3, 4, 11]));
    assert_eq!(watches.poll_timeout(), None);
}

#[test]
fn a_topic_wakes_its_own_in_order() {
    let mut watches = Watches::default();
    watches.park(WatchId(2), Topic::service("WEB"), at(1));
    watches.park(WatchId(1), Topic::service("web"), at(2));
    watches.park(WatchId(3), Topic::health("web"), at(3));
    assert_eq!(watches.touch(&Touch::Topic(Topic::service("web"))), ids(&[1, 2]));
    assert_eq!(watches.len(), 1);
}

#[test]
fn who_is_gone_leaves_nothing_behind() {
    let mut watches = Watches::default();
    watches.park(WatchId(1), Topic::Nodes, at(1));
    watches.park(WatchId(2), Topic::Kv("a".into()), at(2));
    watches.park(WatchId(3), Topic::KvPrefix("a".into()), at(3));
    assert_eq!(watches.poll_timeout(), Some(at(1)));
    for id in [1, 2, 3, 4] {
        watches.cancel(WatchId(id));
    }
    assert_eq!(format!("{watches:?}"), format!("{:?}", Watches::default()));
}

#[test]
fn patience_runs_out_in_order() {
    let mut watches = Watches::default();
    for (id, seconds) in [(1, 9), (2, 3), (3, 6)] {
        watches.park(WatchId(id), Topic::Nodes, at(seconds));
    }
    assert_eq!(watches.expire(at(2)), []);
    assert_eq!(watches.expire(at(6)), ids(&[2, 3]));
    assert_eq!(watches.poll_timeout(), Some(at(9)));
}

#[test]
fn a_new_state_wakes_everybody() {
    let mut watches = Watches::default();
    watches.park(WatchId(2), Topic::Nodes, at(1));
    watches.park(WatchId(1), Topic::Kv("a".into()), at(2));
    assert_eq!(watches.restored(), ids(&[1, 2]));
    assert!(watches.is_empty());
}

#[test]
#[should_panic(expected = "already waiting")]
fn nobody_waits_twice() {
    let mut watches = Watches::default();
    watches.park(WatchId(1), Topic::Nodes, at(1));
    watches.park(WatchId(1), Topic::Services, at(1));
}

proptest! {
    #[test]
    fn a_key_wakes_whoever_waits_for_a_prefix_of_it(
        prefixes in prop::collection::btree_set("[ab/]{0,5}", 0..20),
        touched in "[ab/]{0,6}",
    ) {
        let mut watches = Watches::default();
        for (n, prefix) in prefixes.iter().enumerate() {
            let prefix = Bytes::from(prefix.clone());
            watches.park(WatchId(n as u64), Topic::KvPrefix(prefix), at(1));
        }
        let mut woken = watches.touch(&key(&touched));
        woken.sort_unstable();
        let want = prefixes.iter().enumerate().filter(|it| touched.starts_with(it.1.as_str()));
        prop_assert_eq!(woken, want.map(|it| WatchId(it.0 as u64)).collect::<Vec<_>>());
    }
}

#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "a table is made of it")]
fn planted_bugs_are_caught() {
    use tribune_base::bug::{self, Bug};

    let caught =
        std::panic::catch_unwind(|| bug::with(Bug::K09, a_new_state_wakes_everybody)).is_err();
    assert!(caught, "nobody noticed {}: {}", Bug::K09.id(), Bug::K09.title());
    println!("planted K09 | a new state wakes everybody");
}
