//! The write-ahead log on disk: what Raft may not forget, durable before it is spoken of.
//!
//! ```text
//!   submit(batch) ──> queue ──> [ writer ] ── pwrite, fdatasync ──> Event::Persisted
//!   forget(index) ──> queue ──> [ keeper ] ── creates the next segment, removes old ones
//! ```
//!
//! The format is `tribune_wal`'s; this module moves its bytes. Two threads, both parked when there
//! is nothing to do:
//!
//! * the **writer** takes everything that queued up while the last flush ran, writes it with one
//!   `pwrite` per segment, makes it durable with one `fdatasync`, and reports once;
//! * the **keeper** creates the next segment before it is needed, with every byte written and its
//!   name durable, and removes segments that a snapshot replaced. A full disk can only show there.
//!
//! # Decisions
//!
//! * **Errors are final.** After a failed write or flush nobody knows what is on the disk, and a
//!   later flush that succeeds proves nothing. The writer reports [`Event::Failed`] and never
//!   writes again; the process must stop, and the next one reads the disk.
//! * **Nothing is flushed on drop.** Dropping [`MappedWal`] is a crash with manners: the flush that
//!   is running ends, what is queued is forgotten, and both threads are gone when `drop` returns.
//!   A clean shutdown waits for its `Persisted` events instead. A `drop` that flushed would hide
//!   every missing flush from the simulator, whose crashes run destructors.
//! * **Written by `pwrite`, read through a mapping** (in `segment`): the mapping is for recovery
//!   only and gone before [`MappedWal::open`] returns, so that old segments are in nobody's memory.
//! * **An idle writer vouches.** A second after its last flush it appends an empty batch, without
//!   flushing it. Rot in what was confirmed before is then told from a crash (see `tribune_wal`).
//!   Opening does the same, and flushes it.

mod device;
mod keeper;
mod mapped;
mod memory;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

use tribune_base::id::Index;
use tribune_wal::Record;

pub use mapped::{MappedWal, OpenError, Options};
pub use memory::MemoryWal;

/// What the driver hands over: all of it becomes durable, or none. The order of batches is the
/// order in which they do.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Confirms the batch when it comes back in [`Event::Persisted`]. Larger than the last one's.
    pub seq: u64,
    /// What to remember.
    pub records: Vec<Record>,
}

/// What the log has to say.
#[derive(Debug)]
pub enum Event {
    /// Every batch up to this `seq`, and including it, is durable.
    Persisted(u64),

    /// The disk is full. Batches that do not fit any more wait; the leader should refuse writes
    /// until [`Event::Space`]. The text is for operators.
    NoSpace(String),

    /// There is room again.
    Space,

    /// The disk failed. Nothing will be confirmed any more: the process must stop.
    Failed(io::Error),
}

/// A write-ahead log. Neither method waits for the disk.
pub trait Wal: Send {
    /// Make `batch` durable, then say so.
    ///
    /// An entry whose index is past the next one starts the log anew, behind a snapshot.
    ///
    /// How much may be queued is the caller's to limit: Raft bounds what is not committed.
    fn submit(&mut self, batch: Batch);

    /// Entries up to and including `through` are in a durable snapshot: segments wholly before may
    /// go.
    fn forget(&mut self, through: Index);
}
