//! The log on real files, and on a device that does what a test says.

mod device;
mod disk;
mod faults;
mod speed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tribune_base::id::{Index, ServerId, Term};
use tribune_wal::{Entry, HardState, Record, Recovered};

use self::device::{Hook, Hooked};
use super::device::Directory;
use super::{Batch, Event, MappedWal, OpenError, Options, Wal as _};

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, n) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("tribune-wal-{name}-{process}-{n}"));
        _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Result<Log, OpenError> {
        let (events, receiver) = unbounded_channel();
        let (wal, recovered) = MappedWal::open(&self.0, OPTIONS, events)?;
        Ok(Log { wal, events: receiver, recovered, seq: 0 })
    }

    fn open_hooked(&self, hook: Hook) -> Log {
        let (events, receiver) = unbounded_channel();
        let device = Arc::new(Hooked { directory: Directory { path: self.0.clone() }, hook });
        let (wal, recovered) = MappedWal::open_with(&self.0, OPTIONS, events, device).unwrap();
        Log { wal, events: receiver, recovered, seq: 0 }
    }

    /// The segments there are.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|it| it.ends_with(".wal")).collect();
        names.sort();
        names
    }

    /// Change the file of segment `id`.
    fn change(&self, id: u64, change: impl FnOnce(&mut [u8])) {
        let path = self.0.join(format!("{id:016x}.wal"));
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// An open log, and what it said.
struct Log {
    wal: MappedWal,
    events: UnboundedReceiver<Event>,
    recovered: Recovered,
    seq: u64,
}

impl Log {
    fn submit(&mut self, records: Vec<Record>) -> u64 {
        self.seq += 1;
        self.wal.submit(Batch { seq: self.seq, records });
        self.seq
    }

    /// Submit, and wait until it is durable.
    fn write(&mut self, records: Vec<Record>) {
        let seq = self.submit(records);
        self.wait(seq);
    }

    /// Wait until `seq` is durable. Nothing else may be said meanwhile.
    fn wait(&mut self, seq: u64) {
        loop {
            match self.event() {
                Event::Persisted(upto) if seq <= upto => return,
                Event::Persisted(_) => (),
                other @ (Event::NoSpace(_) | Event::Space | Event::Failed(_)) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    fn event(&mut self) -> Event {
        self.events.blocking_recv().expect("the log is open")
    }
}

fn entry(index: u64) -> Record {
    Record::Entry(plain(index))
}

fn plain(index: u64) -> Entry {
    let payload = Bytes::from(format!("entry {index}"));
    Entry { index: Index(index), term: Term(1), payload }
}

fn plain_entries(indexes: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    indexes.map(plain).collect()
}

fn hard_state(term: u64) -> HardState {
    HardState { term: Term(term), vote: Some(ServerId(7)) }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut paths: Vec<_> = fs::read_dir(from).unwrap().map(|it| it.unwrap().path()).collect();
    // The newest first: the log goes on meanwhile, and what it writes last must not be there without
    // what it wrote before.
    paths.sort();
    for path in paths.into_iter().rev() {
        // The keeper may finish a segment, or remove one, under our hands.
        _ = fs::copy(&path, to.join(path.file_name().unwrap()));
    }
}

const OPTIONS: Options = Options { segment_len: 1024 };
