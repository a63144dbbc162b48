//! What the disk may do to the writer, and what others may do to it.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;

use super::device::Op;
use super::*;

#[test]
fn a_full_disk_is_told_once_and_waited_out() {
    let dir = Dir::new("full");
    let full = Arc::new(AtomicBool::new(false));
    let refused = Arc::new(AtomicU32::new(0));
    let hook: Hook = {
        let (full, refused) = (Arc::clone(&full), Arc::clone(&refused));
        Arc::new(move |op| {
            if op == Op::Create && full.load(Ordering::SeqCst) {
                // Two refusals, so that the second one's silence is seen; then there is room.
                full.store(refused.fetch_add(1, Ordering::SeqCst) == 0, Ordering::SeqCst);
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
    };
    let mut log = dir.open_hooked(hook);
    log.write(vec![entry(1)]);
    full.store(true, Ordering::SeqCst);
    for index in 2..=60 {
        log.submit(vec![entry(index)]);
    }
    let (mut full_count, mut space_count) = (0, 0);
    loop {
        match log.event() {
            Event::Persisted(60) => break,
            Event::Persisted(_) => (),
            Event::NoSpace(text) => {
                full_count += 1;
                for wanted in [".wal", "needs 1024 bytes", "free some"] {
                    assert!(text.contains(wanted), "{text}");
                }
            }
            Event::Space => space_count += 1,
            Event::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!((full_count, space_count), (1, 1));
    assert_eq!(refused.load(Ordering::SeqCst), 2);
    drop(log);
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=60));
}

#[test]
fn a_failed_flush_or_write_is_the_last_word() {
    for (name, failing) in [("flush", Op::Sync), ("write", Op::Write)] {
        let dir = Dir::new(name);
        let broken = Arc::new(AtomicBool::new(false));
        let tried = Arc::new(AtomicU32::new(0));
        let hook: Hook = {
            let (broken, tried) = (Arc::clone(&broken), Arc::clone(&tried));
            Arc::new(move |op| {
                if op == failing && broken.load(Ordering::SeqCst) {
                    tried.fetch_add(1, Ordering::SeqCst);
                    // The next one would succeed, and mean nothing.
                    broken.store(false, Ordering::SeqCst);
                    return Err(io::Error::other("the cable came out"));
                }
                Ok(())
            })
        };
        let mut log = dir.open_hooked(hook);
        log.write(vec![entry(1)]);
        broken.store(true, Ordering::SeqCst);
        log.submit(vec![entry(2)]);
        assert!(matches!(log.event(), Event::Failed(_)), "{name}");
        log.submit(vec![entry(3)]);
        let Log { wal, mut events, .. } = log;
        drop(wal);
        assert!(events.blocking_recv().is_none(), "{name}: something was said after the failure");
        assert_eq!(tried.load(Ordering::SeqCst), 1, "{name}");
    }
}

/// Each of these fails when what it is there for is wrong.
#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "the table is made of it")]
fn planted_bugs_are_caught() {
    use tribune_base::bug::{self, Bug};

    let cases: [(Bug, &str, fn()); 4] = [
        (Bug::W04, "a failed flush is the last word", a_failed_flush_or_write_is_the_last_word),
        (Bug::W05, "a failed flush is the last word", a_failed_flush_or_write_is_the_last_word),
        (Bug::D06, "a failed flush is the last word", a_failed_flush_or_write_is_the_last_word),
        (Bug::W16, "opening vouches for what it found", disk::opening_vouches_for_what_it_found),
    ];
    for (bug, name, test) in cases {
        let caught = std::panic::catch_unwind(|| bug::with(bug, test)).is_err();
        assert!(caught, "nobody noticed {}: {}", bug.id(), bug.title());
        println!("planted {} | {name}", bug.id());
    }
}

/// A device that stops before each flush until it is let go.
fn gated() -> (Hook, mpsc::Receiver<Op>, mpsc::Sender<()>) {
    let (told, ops) = mpsc::channel();
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let hook: Hook = Arc::new(move |op| {
        if op != Op::Create {
            told.send(op).map_err(io::Error::other)?;
        }
        if op == Op::Sync {
            gate.lock().unwrap().recv().map_err(io::Error::other)?;
        }
        Ok(())
    });
    (hook, ops, go)
}

#[test]
fn what_queues_up_during_a_flush_is_flushed_together() {
    let dir = Dir::new("group");
    let (hook, ops, go) = gated();
    let mut log = dir.open_hooked(hook);
    log.submit(vec![entry(1)]);
    assert_eq!([ops.recv().unwrap(), ops.recv().unwrap()], [Op::Write, Op::Sync]);
    for index in 2..=8 {
        log.submit(vec![entry(index)]);
    }
    go.send(()).unwrap();
    assert!(matches!(log.event(), Event::Persisted(1)));
    go.send(()).unwrap();
    assert!(matches!(log.event(), Event::Persisted(8)));
    assert_eq!([ops.recv().unwrap(), ops.recv().unwrap()], [Op::Write, Op::Sync]);
    assert!(ops.try_recv().is_err(), "seven batches, more than one write");
}

#[test]
fn dropping_the_log_flushes_nothing() {
    let dir = Dir::new("drop");
    let (hook, ops, go) = gated();
    let mut log = dir.open_hooked(hook);
    log.submit(vec![entry(1)]);
    assert_eq!([ops.recv().unwrap(), ops.recv().unwrap()], [Op::Write, Op::Sync]);
    log.submit(vec![entry(2)]);
    log.wal.shared.close();
    go.send(()).unwrap();
    drop(log);
    assert!(ops.try_recv().is_err());
    assert_eq!(dir.open().unwrap().recovered.entries, plain_entries(1..=1));
}

#[test]
fn an_idle_log_vouches_for_its_last_flush() {
    let dir = Dir::new("idle");
    let (hook, ops, go) = gated();
    let mut log = dir.open_hooked(hook);
    go.send(()).unwrap();
    log.write(vec![entry(1)]);
    assert_eq!([ops.recv().unwrap(), ops.recv().unwrap()], [Op::Write, Op::Sync]);
    assert_eq!(ops.recv().unwrap(), Op::Write, "a second later, nobody asked");
    drop(log);
    assert!(ops.try_recv().is_err(), "and it is not flushed");

    // Without it, this would look like a crash, and be cut.
    dir.change(1, |it| it[120] ^= 1);
    assert!(matches!(dir.open(), Err(OpenError::Damaged { .. })));
}
