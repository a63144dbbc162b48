use tribune_base::id::NodeId;

use super::*;

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn config() -> Config {
    Config::new("n1", NodeId::default(), "10.0.0.1")
}

#[test]
fn the_more_agents_the_less_often_each_compares() {
    let cases = [(0, 1), (1, 1), (128, 1), (129, 2), (256, 2), (257, 3), (1000, 4), (8192, 7)];
    for (count, want) in cases {
        assert_eq!(scale(count), want, "{count} agents");
    }
}

#[test]
fn everything_is_compared_first_and_then_once_a_minute() {
    let mut sync = Sync::new(1, at(0));
    let Some(Step::Read(id)) = sync.next(at(0)) else { panic!("nothing is read") };
    assert_eq!(sync.next(at(0)), None, "one exchange at a time");
    assert_eq!(sync.deadline(), None);
    sync.read(at(1), id, &config(), true);
    let due = sync.deadline().unwrap();
    assert!(at(61) <= due && due < at(121), "{due:?}");
    assert_eq!(sync.next(due - Duration::from_secs(1)), None);
    assert!(matches!(sync.next(due), Some(Step::Read(_))));
}

/// A machine that has compared and found nothing.
fn settled() -> Sync {
    let mut sync = Sync::new(1, at(0));
    let Some(Step::Read(id)) = sync.next(at(0)) else { panic!("nothing is read") };
    sync.read(at(0), id, &config(), true);
    sync
}

#[test]
fn a_change_is_told_at_once_and_counts_until_it_was_heard() {
    let mut sync = settled();
    let key = Key::Service("web".into());
    sync.mark(key.clone(), ChangeSeq(3));
    assert!(sync.has_told(ChangeSeq(2)) && !sync.has_told(ChangeSeq(3)));
    let Some(Step::Write(id)) = sync.next(at(1)) else { panic!("nothing is written") };
    sync.sending(vec![vec![key.clone()]]);
    assert!(!sync.has_told(ChangeSeq(3)), "sent is not heard");
    // Changed again while it is on its way: there will be another exchange.
    sync.mark(key.clone(), ChangeSeq(4));
    assert_eq!(sync.written(id), [[key]]);
    assert!(sync.has_told(ChangeSeq(3)) && !sync.has_told(ChangeSeq(4)));
    assert!(matches!(sync.next(at(1)), Some(Step::Write(_))));
}

#[test]
fn what_fails_is_tried_again_after_a_while_and_compared_then() {
    let mut sync = settled();
    sync.mark(Key::Node, ChangeSeq(1));
    let Some(Step::Write(id)) = sync.next(at(1)) else { panic!("nothing is written") };
    sync.sending(vec![vec![Key::Node]]);
    let wait = sync.failed(at(1), id, &config());
    assert!(Duration::from_secs(15) <= wait && wait < Duration::from_secs(30), "{wait:?}");
    assert!(!sync.has_told(ChangeSeq(1)));
    sync.mark(Key::Service("web".into()), ChangeSeq(2));
    assert_eq!(sync.next(at(2)), None, "a change does not cut the wait short");
    assert!(matches!(sync.next(at(1) + wait), Some(Step::Read(_))));
}

#[test]
fn a_leader_cuts_the_wait_short() {
    let mut sync = Sync::new(1, at(0));
    let Some(Step::Read(id)) = sync.next(at(0)) else { panic!("nothing is read") };
    sync.failed(at(0), id, &config());
    assert_eq!(sync.next(at(5)), None);
    sync.leader_seen(at(5));
    let Some(Step::Read(id)) = sync.next(at(5)) else { panic!("nothing is read") };
    // Seen while the exchange was out that then failed: soon is enough.
    sync.leader_seen(at(6));
    let wait = sync.failed(at(6), id, &config());
    assert!(wait < Duration::from_secs(2), "{wait:?}");
    let Some(Step::Read(id)) = sync.next(at(8)) else { panic!("nothing is read") };
    let wait = sync.failed(at(8), id, &config());
    assert!(Duration::from_secs(15) <= wait, "{wait:?}");
}

#[test]
fn a_server_that_comes_is_looked_at_soon() {
    let mut sync = settled();
    assert_eq!(sync.next(at(10)), None);
    sync.server_seen(at(10));
    assert!(matches!(sync.next(at(13)), Some(Step::Read(_))));
}

#[test]
fn nothing_is_written_under_anothers_name() {
    let mut sync = Sync::new(1, at(0));
    sync.mark(Key::Service("web".into()), ChangeSeq(1));
    let Some(Step::Read(id)) = sync.next(at(0)) else { panic!("nothing is read") };
    sync.read(at(0), id, &config(), false);
    assert_eq!(sync.next(at(0)), None);
    sync.mark(Key::Node, ChangeSeq(1));
    assert!(matches!(sync.next(at(0)), Some(Step::Write(_))), "asking for the name is allowed");
}
