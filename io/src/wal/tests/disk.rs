//! The log on real files.

use super::*;

#[test]
fn what_was_confirmed_comes_back() {
    let dir = Dir::new("comes-back");
    let mut log = dir.open().unwrap();
    assert_eq!(log.recovered, Recovered { first: Index(1), ..Recovered::default() });
    log.write(vec![Record::HardState(hard_state(3)), entry(1), entry(2)]);
    log.write(vec![entry(3)]);
    drop(log);

    let mut log = dir.open().unwrap();
    assert_eq!(log.recovered.hard_state, hard_state(3));
    assert_eq!(log.recovered.entries, plain_entries(1..=3));
    log.write(vec![Record::Truncate { from: Index(2) }, entry(2)]);
    drop(log);

    let log = dir.open().unwrap();
    assert_eq!(log.recovered.entries, plain_entries(1..=2));
    assert!(!log.recovered.torn);
}

#[test]
fn the_log_goes_on_in_the_next_segment() {
    let dir = Dir::new("rotation");
    for life in 0..5 {
        let mut log = dir.open().unwrap();
        assert_eq!(log.recovered.entries.len(), life * 40);
        for _ in 0..40 {
            log.write(vec![entry(log.recovered.entries.len() as u64 + log.seq + 1)]);
        }
    }
    let log = dir.open().unwrap();
    assert_eq!(log.recovered.entries, plain_entries(1..=200));
    assert!(10 < log.recovered.segments.len());
    let last = log.recovered.segments.last().unwrap().0.0;
    assert!(dir.names().len() as u64 <= last + 1, "{:?}", dir.names());
}

#[test]
fn a_queue_longer_than_many_segments_is_written_in_order() {
    let dir = Dir::new("queue");
    let mut log = dir.open().unwrap();
    for index in 1..=300 {
        log.submit(vec![entry(index)]);
    }
    log.wait(300);
    drop(log);
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=300));
}

#[test]
fn a_batch_longer_than_a_segment_gets_a_longer_one() {
    let dir = Dir::new("long");
    let mut log = dir.open().unwrap();
    log.write((1..=10).map(entry).collect());
    log.write((11..=400).map(entry).collect());
    log.write(vec![entry(401)]);
    drop(log);
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=401));
}

#[test]
fn a_log_behind_a_snapshot_starts_anew() {
    let dir = Dir::new("anew");
    let mut log = dir.open().unwrap();
    log.write((1..=3).map(entry).collect());
    log.write(vec![entry(1001), entry(1002)]);
    drop(log);
    let log = dir.open().unwrap();
    assert_eq!(log.recovered.first, Index(1001));
    assert_eq!(log.recovered.entries, plain_entries(1001..=1002));
}

/// Every copy of the directory is what a killed process leaves behind, or worse.
#[test]
fn a_copy_of_a_running_log_holds_all_that_was_confirmed() {
    let dir = Dir::new("copied");
    let copy = Dir::new("copy");
    let mut log = dir.open().unwrap();
    let mut confirmed = 0;
    for index in 1..=600 {
        log.submit(vec![entry(index)]);
        while let Ok(Event::Persisted(seq)) = log.events.try_recv() {
            confirmed = seq;
        }
        if index % 50 == 0 {
            copy_dir(&dir.0, &copy.0);
            let copied = copy.open().unwrap();
            let count = copied.recovered.entries.len() as u64;
            assert!(confirmed <= count, "{count} of {confirmed} confirmed ones");
            assert_eq!(copied.recovered.entries, plain_entries(1..=count));
            drop(copied);
            fs::remove_dir_all(&copy.0).unwrap();
        }
    }
    log.wait(600);
}

#[test]
fn forgotten_segments_are_removed_and_no_others() {
    let dir = Dir::new("forget");
    let mut log = dir.open().unwrap();
    for index in 1..=100 {
        log.write(vec![entry(index)]);
    }
    drop(log);
    let mut log = dir.open().unwrap();
    let segments = log.recovered.segments.clone();
    let (kept, begins) = segments[4];
    log.wal.forget(begins.prev());
    // The keeper removes before it creates, so a new segment says that it is done.
    for index in 101..=150 {
        log.write(vec![entry(index)]);
    }
    drop(log);

    assert_eq!(dir.names()[0], kept.to_string());
    let log = dir.open().unwrap();
    assert_eq!(log.recovered.first, begins);
    assert_eq!(log.recovered.entries, plain_entries(begins.0..=150));
}

#[test]
fn a_torn_tail_is_cut_and_cleared() {
    let dir = Dir::new("torn");
    let mut log = dir.open().unwrap();
    log.write(vec![entry(1)]);
    let end = log.recovered.tail.position().offset;
    drop(log);
    let remains = 700 + end as usize;
    dir.change(1, |it| it[remains..].fill(0xaa));

    let mut log = dir.open().unwrap();
    assert!(log.recovered.torn);
    assert_eq!(log.recovered.entries, plain_entries(1..=1));
    log.write(vec![entry(2)]);
    drop(log);
    dir.change(1, |it| assert!(it[remains..].iter().all(|byte| *byte == 0)));
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=2));
}

#[test]
fn damage_to_confirmed_data_is_refused_with_advice() {
    let dir = Dir::new("damaged");
    let mut log = dir.open().unwrap();
    for index in 1..=100 {
        log.write(vec![entry(index)]);
    }
    drop(log);
    dir.change(3, |it| it[300] ^= 1);

    let Err(error) = dir.open() else { panic!("a damaged log was opened") };
    assert!(matches!(&error, OpenError::Damaged { damage, .. } if damage.at.segment.0 == 3));
    let text = error.to_string();
    for wanted in [&dir.0.display().to_string(), "0000000000000003.wal offset 2", "join again"] {
        assert!(text.contains(wanted), "{text}");
    }
    // Nothing was touched: the operator may still copy the directory.
    dir.change(3, |it| it[300] ^= 1);
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=100));
}

#[test]
pub(super) fn opening_vouches_for_what_it_found() {
    let dir = Dir::new("reopened");
    dir.open().unwrap().write(vec![entry(1)]);
    drop(dir.open().unwrap());
    dir.change(1, |it| it[120] ^= 1);
    assert!(matches!(dir.open(), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_log_has_one_owner() {
    let dir = Dir::new("locked");
    let _log = dir.open().unwrap();
    let Err(error) = dir.open() else { panic!("opened twice") };
    assert!(matches!(error, OpenError::Lock(_)));
    assert!(error.to_string().contains(&dir.0.display().to_string()), "{error}");
}
