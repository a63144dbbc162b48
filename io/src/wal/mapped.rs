//! The log in a directory: opening, recovering, and the handle its owner holds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedSender;
use tribune_base::bug;
use tribune_base::id::Index;
use tribune_wal::{Damage, Record, Recovered, Recovery, SegmentId};

use super::device::{Device, Directory};
use super::keeper::{Keeper, Shared, State};
use super::writer::Writer;
use super::{Batch, Event, Wal, segment};
use crate::lock::{Lock, LockError};

/// A log in files, written by a thread of its own. See the [module documentation](super).
pub struct MappedWal {
    pub(super) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// The index of the next entry to be submitted.
    next: Index,
    /// Released last: the threads are the ones who write.
    _lock: Lock,
}

/// How the log is laid out.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long segments are, in bytes. A batch that does not fit gets a longer one.
    pub segment_len: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_len: 64 << 20 }
    }
}

/// Why a log cannot be opened. Nothing was changed that recovery would not change again.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not ours.
    #[error(transparent)]
    Lock(#[from] LockError),

    /// Data that was confirmed is lost. The message says what to do; going on is not it.
    #[error("{}: {damage}", .dir.display())]
    Damaged {
        /// The log's directory.
        dir: PathBuf,
        /// What is wrong, and where.
        damage: Damage,
    },

    /// A file could not be listed, read, or put in order.
    #[error("cannot open the write-ahead log in {}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl MappedWal {
    /// Open the log in `dir`, or begin one there, and return what it remembers. All of that is
    /// durable. From then on the log reports to `events`.
    ///
    /// # Errors
    ///
    /// Another process has the log, it is damaged, or the disk does not cooperate. All three are
    /// for an operator.
    pub fn open(
        dir: &Path,
        options: Options,
        events: UnboundedSender<Event>,
    ) -> Result<(Self, Recovered), OpenError> {
        let device = Directory { path: dir.to_owned() };
        Self::open_with(dir, options, events, Arc::new(device))
    }

    /// Like `open`, but write through `device`.
    pub(super) fn open_with(
        dir: &Path,
        options: Options,
        events: UnboundedSender<Event>,
        device: Arc<dyn Device>,
    ) -> Result<(Self, Recovered), OpenError> {
        let lock = Lock::acquire(dir)?;
        let files = Directory { path: dir.to_owned() };
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        make_durable(dir).map_err(failed(dir))?;
        let ids = files.list().map_err(failed(dir))?;
        let mut recovered = read(&files, &ids)?;
        if let Some(damage) = recovered.damage {
            return Err(OpenError::Damaged { dir: dir.to_owned(), damage });
        }

        let end = recovered.tail.position();
        let ahead = end.segment.next();
        // The newest first: what is left after a crash must not look like a log that begins late.
        for id in ids.into_iter().rev().filter(|it| end.segment < *it) {
            // The one that was prepared can stay if nothing was written to it.
            if recovered.torn || ahead < id {
                files.remove(id).map_err(failed(&dir.join(id.to_string())))?;
            }
        }
        if recovered.torn && end.segment != SegmentId(0) {
            files.clear(end).map_err(failed(&dir.join(end.segment.to_string())))?;
        }
        recovered.tail.synced();

        let open = |id| match device.open(id) {
            Ok(segment) => Ok(Some(segment)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::Io { path: dir.join(id.to_string()), error }),
        };
        let prepared = open(ahead)?.filter(|it| options.segment_len <= it.len());
        let shared = Shared::new(State {
            wanted: prepared.is_none().then_some((ahead, options.segment_len)),
            prepared,
            segments: recovered.segments.iter().copied().collect(),
            ..State::default()
        });
        let segment = open(end.segment)?;
        let tail = recovered.tail;
        let mut writer =
            Writer::new(Arc::clone(&shared), events.clone(), options.segment_len, tail, segment);
        writer.vouch_durably().map_err(failed(&dir.join(end.segment.to_string())))?;
        let path = dir.to_owned();
        let keeper = Keeper { shared: Arc::clone(&shared), device, events, path, full: false };

        let mut wal = Self { shared, threads: Vec::new(), next: tail.next(), _lock: lock };
        wal.spawn("wal-writer", move || writer.run()).map_err(failed(dir))?;
        wal.spawn("wal-keeper", move || keeper.run()).map_err(failed(dir))?;
        Ok((wal, recovered))
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = thread::Builder::new().name(name.to_owned());
        self.threads.push(thread.spawn(bug::carry(work))?);
        Ok(())
    }
}

impl Wal for MappedWal {
    fn submit(&mut self, mut batch: Batch) {
        self.next = bridge(&mut batch.records, self.next);
        self.shared.lock().queue.push_back(batch);
        self.shared.writer.notify_one();
    }

    fn forget(&mut self, through: Index) {
        let mut state = self.shared.lock();
        state.forget = state.forget.max(through);
        self.shared.keeper.notify_one();
    }
}

/// A crash with manners: see the [module documentation](super).
impl Drop for MappedWal {
    fn drop(&mut self) {
        self.shared.close();
        for thread in self.threads.drain(..) {
            // One that panicked has nothing more to say here.
            _ = thread.join();
        }
    }
}

/// Say where the log goes on when an entry skips indexes: a snapshot took the place of everything
/// before it, which Raft knows and the log has to be told. Returns the index after the last entry.
fn bridge(records: &mut Vec<Record>, mut next: Index) -> Index {
    let mut at = 0;
    while let Some(record) = records.get(at) {
        match record {
            Record::Entry(entry) if next < entry.index => {
                let from = entry.index;
                records.insert(at, Record::Truncate { from });
                next = from;
            }
            Record::Entry(entry) => next = entry.index.next(),
            Record::Truncate { from } => next = *from,
            Record::HardState(_) => (),
        }
        at += 1;
    }
    next
}

/// Make sure that `dir` is there after a crash: it may have been created just now.
fn make_durable(dir: &Path) -> io::Result<()> {
    let dir = dir.canonicalize()?;
    fs::File::open(&dir)?.sync_all()?;
    // What we may not even list we did not create.
    let above = dir.ancestors().skip(1).take(2).filter_map(|it| fs::File::open(it).ok());
    above.into_iter().try_for_each(|it| it.sync_all())
}

/// Recover from the segments `ids`, of which none stays mapped.
fn read(files: &Directory, ids: &[SegmentId]) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery::default();
    for &id in ids {
        let bytes = files.file(id).and_then(|it| segment::map(&it));
        let bytes = bytes.map_err(|error| {
            let path = files.path.join(id.to_string());
            OpenError::Io { path, error }
        })?;
        recovery.segment(id, &bytes);
        recovery.detach();
    }
    Ok(recovery.finish())
}
