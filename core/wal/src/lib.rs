//! The write-ahead log's format: how batches become bytes, and what bytes are worth after a crash.
//!
//! Pure functions over bytes. [`Tail`] encodes, [`Recovery`] reads back; whoever owns the files
//! writes what the one says and shows the other what it found. The fuzzer, the simulated disk and
//! the crash-state enumerator use the same two.
//!
//! # What is assumed of disk and kernel
//!
//! 1. A write that is not confirmed by a sync may have reached the disk in any part: each 512-byte
//!    sector holds old bytes, new bytes, zeros or garbage. Sector writes are not atomic.
//! 2. There is no order between unconfirmed writes, not within a file and not between files.
//! 3. Bytes *outside* the range of a write keep their value even if the power fails in the middle
//!    of it (power-safe overwrite).
//! 4. What a sync confirmed stays, but for rot: bits flip, sectors are lost or swapped. Rot is
//!    detected, never returned as data.
//! 5. A file is created with its final length and synced, and so is its directory, *before* the
//!    first byte of the log is written to it. What it holds by then does not matter: zeros, or the
//!    remains of a segment it used to be.
//! 6. After a failed sync nobody knows what is on the disk. The writer stops; the next one starts
//!    with recovery.
//!
//! # Layout
//!
//! ```text
//!   log      := segment*                    numbered without gaps; the number names the file
//!   segment  := start batch* rest           rest: zeros or remains, never valid
//!   batch    := (entry | hard | truncate)* commit         durable as a whole or not at all
//!
//!   frame    := crc:u32 len:u32 kind:u8 0:u8[7] body:u8[len] 0:u8[..]   padded to 8 bytes
//!   start    1  version:u32 previous:u32 segment:u64 sequence:u64 next:u64 hard
//!   entry    2  index:u64 term:u64 payload
//!   hard     3  term:u64 voted:u64 vote:u128
//!   truncate 4  from:u64
//!   commit   5  sequence:u64 synced_segment:u64 synced_offset:u64 count:u32 seal:u32
//! ```
//!
//! Numbers are little-endian. Kind zero is invalid, so unwritten space ends the log.
//!
//! `crc` is the CRC-32 of the segment's number, the frame's offset and everything in the frame
//! behind `crc`, continued from the previous frame's `crc`. A segment's `start` continues from
//! `previous`, the last `crc` of the segment before it. So a frame is valid in one place of one
//! history only: stale, misdirected, reordered and torn frames all fail, and so does everything
//! behind them.
//!
//! `start` repeats what a reader must know who begins here because older segments were forgotten:
//! the hard state, the number of the last batch, and the index of the next entry. It is written
//! together with the segment's first batch and counts only if that batch does.
//!
//! `commit` numbers the batch and counts its records. It also says up to where the log was
//! *synced* when it was written, and `seal` is a checksum of the commit alone (with its place), so
//! that it can be found and believed when everything around it is lost.
//!
//! After `truncate` the next entry is `from`: that removes entries from there on, or, if `from` is
//! past the end, restarts the log behind a snapshot.
//!
//! # Recovery
//!
//! Walk the frames; what counts ends with the last valid commit. The first thing that is not valid
//! is either a **torn tail**, which is cut, or **damage**, which is reported and never cut. The
//! difference is what later commits swear to: one that says "synced up to *q*" for a *q* behind the
//! bad place proves that the bad place was once good and confirmed. Batches written by one flush
//! swear to nothing about each other, because they were lost together or not at all.
//!
//! The last flush has no later commit to defend it, so rot there looks like a crash in it. A writer
//! that has been idle for a while may append an empty batch, which needs no sync: once it is on
//! disk, it vouches for everything before it.
//!
//! | Crash or fault | What recovery finds | Why it is safe |
//! | --- | --- | --- |
//! | before the sync of a flush, any sectors missing | a frame, or a commit, that is not valid | nothing of the flush was confirmed; whole batches at its beginning may survive, and the caller treats them as written |
//! | the commit is there, a sector before it is not | the chain breaks there | as above; the commit's `synced` ends before the break, so it is no evidence |
//! | old frames behind new ones, because an earlier tail was not cleared | the chain does not continue | a second line of defence: see what the caller owes |
//! | recycled segment, any remains | wrong number in every checksum | remains are never valid; old commits swear only to what is before the break |
//! | flush over two segments, the second part survives alone | `previous` does not match | no evidence: cut in the first, remove the second |
//! | new segment's directory entry lost | it is not there | assumption 5: then nothing in it was confirmed |
//! | segment missing in the middle | next one does not link | its commits swear past the hole: damage |
//! | segment under another's name | no checksum fits, but the start does under another number past the end | damage; a smaller number is a recycled file |
//! | number shown twice or out of order | — | ignored: a directory has each name once |
//! | rot before the last flush | break, then a commit that swears past it | damage, with the segment's file and the offset |
//! | rot in the zeros behind the end | remains | cut |
//! | crash while the tail is being cleared | the same end, or one further on, if zeros completed what garbage had broken | clearing touches only what is behind the end, and nobody was told yet where that is |
//! | crash while old segments are removed, oldest first, each confirmed | the log begins later | the caller compares [`Recovered::first`] with its snapshot |
//! | written by a newer release | another `version` in a valid start | damage of its own kind |
//!
//! # What the reader's caller owes
//!
//! 1. Refuse to go on if there is [`Damage`]. Its text says what to do.
//! 2. Sync the segments before calling anything recovered durable: it may come from memory.
//! 3. If it is torn, before the first append: remove all segments behind the tail's, the newest
//!    first and each confirmed, because a log may begin with any segment and must not begin with
//!    one of those; then clear the tail's own behind [`Tail::position`], and sync.
//! 4. If there is room for it, append an empty batch and sync, before anything recovered is relied
//!    on: it vouches for what was found.
//!
//! Clearing is not a courtesy. The chain rejects remains behind another history, but a lost frame
//! that is written again, byte for byte, would bring back what once followed it.
//!
//! # Snapshot files
//!
//! They use the same frames, chained from zero, as segment number zero, which no log has:
//!
//! ```text
//!   file     := start chunk* end
//!   start    6  magic:u8[8] version:u32 0:u32 term:u64 index:u64 meta
//!   chunk    7  bytes
//!   end      8  chunks:u64 bytes:u64
//! ```
//!
//! A file without its end, or with anything behind it, is not a snapshot.

#![forbid(unsafe_code)]

mod frame;
mod record;
mod recover;
mod segment;
mod snapshot;
mod tail;
#[cfg(test)]
mod tests;

pub use record::{Entry, HardState, Record};
pub use recover::{Cause, Damage, Recovered, Recovery, recover};
pub use segment::{Position, SegmentId};
pub use snapshot::{Piece, SnapshotReader, SnapshotWriter};
pub use tail::Tail;
