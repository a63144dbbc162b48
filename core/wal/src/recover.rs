//! Bytes in, surviving entries out.

use std::fmt;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::id::Index;

use crate::frame::Kind;
use crate::record::{Entry, HardState, Record};
use crate::segment::{Position, SegmentId, Start, VERSION};
use crate::tail::{Commit, Tail};

/// Read a whole log back: all segments there are, in ascending order. Never fails and never
/// panics, whatever the bytes.
pub fn recover(segments: &[(SegmentId, Bytes)]) -> Recovered {
    let mut recovery = Recovery::default();
    for (id, bytes) in segments {
        recovery.segment(*id, bytes);
    }
    recovery.finish()
}

/// What is left of a log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Recovered {
    /// The last promise.
    pub hard_state: HardState,
    /// The index of the first entry, or of the next one if there is none. If a snapshot ends
    /// before it, something is missing.
    pub first: Index,
    /// The entries, without gaps. Their payloads share memory with the segments, unless
    /// [`Recovery::detach`] was used.
    pub entries: Vec<Entry>,
    /// How to continue.
    pub tail: Tail,
    /// The segments that hold something, with the index each begins at.
    pub segments: Vec<(SegmentId, Index)>,
    /// Whether there is something behind the end, to be cleared before the first append.
    pub torn: bool,
    /// Why not to continue.
    pub damage: Option<Damage>,
}

/// Data that was confirmed is not there any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the write-ahead log is damaged at {at}: {cause}. Confirmed data is lost, so this server must \
     not go on with what is left. Check the disk. If the other servers have a quorum, remove this \
     server from the cluster, delete its data directory and let it join again as a new server; \
     otherwise restore the file from a copy of the data directory"
)]
pub struct Damage {
    /// The first place that cannot be read.
    pub at: Position,
    /// What is wrong there.
    pub cause: Cause,
}

/// What [`Damage`] was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    /// The bytes are not what was written; a commit behind them proves that they once were.
    Unreadable {
        /// Where that commit stands.
        evidence: Position,
    },
    /// The segment's file is not there, but a later one's commit swears to it.
    Missing {
        /// Where that commit stands.
        evidence: Position,
    },
    /// The file holds another segment: somebody renamed it.
    Misplaced {
        /// Which.
        holds: SegmentId,
    },
    /// Written by another release.
    Version {
        /// The version it says it is.
        version: u32,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { evidence } => {
                write!(f, "a checksum is wrong, and the commit at {evidence} says it was right")
            }
            Self::Missing { evidence } => {
                write!(f, "the file is missing, and the commit at {evidence} says it was there")
            }
            Self::Misplaced { holds } => write!(f, "the file holds segment {holds}"),
            Self::Version { version } => {
                write!(f, "its format is version {version}, this release reads {VERSION}")
            }
        }
    }
}

/// Reads a log back, one segment at a time.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Behind the last valid commit.
    tail: Tail,
    first: Index,
    /// Invariant: `first`, `first + 1`, … without gaps, up to `tail.next()`.
    entries: Vec<Entry>,
    /// How many of `entries` have memory of their own.
    detached: usize,
    segments: Vec<(SegmentId, Index)>,
    /// The last segment shown.
    seen: SegmentId,
    /// The first segment that was not shown, between two that were.
    hole: Option<SegmentId>,
    /// The first place where reading could not go on.
    reached: Position,
    /// The log does not go on in the next segment.
    ended: bool,
    torn: bool,
    damage: Option<Damage>,
    /// The records of the batch being read. Kept for its capacity.
    batch: Vec<Record>,
}

impl Default for Recovery {
    fn default() -> Self {
        let tail = Tail::default();
        Self {
            tail,
            first: tail.next(),
            entries: Vec::new(),
            detached: 0,
            segments: Vec::new(),
            seen: SegmentId::default(),
            hole: None,
            reached: Position::default(),
            ended: false,
            torn: false,
            damage: None,
            batch: Vec::new(),
        }
    }
}

impl Recovery {
    /// Take in the next segment. A number that is not larger than the last one's is ignored.
    pub fn segment(&mut self, id: SegmentId, bytes: &Bytes) {
        if id <= self.seen || self.damage.is_some() {
            return;
        }
        let start = Start::read(id, bytes);
        let draft = start.and_then(|(start, crc)| self.continued_by(id, &start, crc));
        if let Some(draft) = draft {
            self.walk(draft, bytes);
        } else if start.is_none() && self.is_due(id) {
            self.reached = Position { segment: id, offset: 0 };
        }
        if self.hole.is_none() && self.seen != SegmentId(0) && self.seen.next() != id {
            self.hole = Some(self.seen.next());
        }
        self.seen = id;
        self.ended |= self.tail.position().segment != id;

        let version = start.map_or(VERSION, |(start, _)| start.version);
        if version != VERSION {
            let at = Position { segment: id, offset: 0 };
            self.damage = Some(Damage { at, cause: Cause::Version { version } });
        } else {
            self.look_behind(id, bytes);
        }
    }

    /// Copy the payloads read so far out of the segments, so that those can be unmapped.
    pub fn detach(&mut self) {
        for entry in self.entries.iter_mut().skip(self.detached) {
            entry.payload = Bytes::copy_from_slice(&entry.payload);
        }
        self.detached = self.entries.len();
    }

    /// All segments were shown.
    pub fn finish(self) -> Recovered {
        Recovered {
            hard_state: self.tail.hard_state(),
            first: self.first,
            entries: self.entries,
            tail: self.tail,
            segments: self.segments,
            torn: self.torn,
            damage: self.damage,
        }
    }

    /// The tail behind the start of segment `id`, if the log goes on there.
    fn continued_by(&self, id: SegmentId, start: &Start, crc: u32) -> Option<Tail> {
        let links = self.seen == SegmentId(0) || *start == self.tail.start(id);
        let continues = self.is_due(id) && links && start.version == VERSION;
        continues.then(|| Tail::behind(start, crc))
    }

    /// Whether the log goes on in segment `id`, if anywhere. The first one shown may be any: what
    /// was before it is in a snapshot.
    fn is_due(&self, id: SegmentId) -> bool {
        self.seen == SegmentId(0) || !self.ended && id == self.tail.position().segment.next()
    }

    /// Read batches from `draft` on, and keep those whose commit is there.
    fn walk(&mut self, mut draft: Tail, bytes: &Bytes) {
        let begins = draft.next();
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        while let Some(frame) = draft.frame(bytes) {
            if frame.kind == Kind::Commit {
                let commit = Commit::read(&bytes[frame.body.clone()]);
                if commit.and_then(|it| draft.commit(it, batch.len())).is_none() {
                    break;
                }
                draft.skip(&frame);
                self.keep(draft, begins, &mut batch);
            } else {
                let record = Record::read(frame.kind, &bytes.slice(frame.body.clone()));
                let Some(record) = record.filter(|it| draft.apply(it).is_some()) else { break };
                draft.skip(&frame);
                batch.push(record);
            }
        }
        self.reached = draft.position();
        batch.clear();
        self.batch = batch;
    }

    /// A whole batch was read, and the log now ends at `tail`.
    fn keep(&mut self, tail: Tail, begins: Index, batch: &mut Vec<Record>) {
        let id = tail.position().segment;
        if self.segments.is_empty() {
            self.first = begins;
        }
        if self.tail.position().segment != id {
            self.segments.push((id, begins));
            // What is left over in a segment that was filled up is in nobody's way.
            self.torn = false;
        }
        let appends = batch.iter().any(|it| matches!(it, Record::Entry(_)));
        for record in batch.drain(..) {
            match record {
                Record::Truncate { .. } if bug!(W08) && !appends => (),
                Record::Entry(entry) => self.entries.push(entry),
                Record::HardState(_) => (),
                Record::Truncate { from } => self.truncate(from),
            }
        }
        self.tail = tail;
    }

    fn truncate(&mut self, from: Index) {
        let end = self.first.0 + self.entries.len() as u64;
        if self.first <= from && from.0 <= end {
            self.entries.truncate(usize::try_from(from.0 - self.first.0).unwrap_or(usize::MAX));
        } else {
            self.entries.clear();
            self.first = from;
        }
        self.detached = self.detached.min(self.entries.len());
    }

    /// Look at what is in segment `id` behind the log's end: nothing, remains, or proof that the
    /// log went on.
    fn look_behind(&mut self, id: SegmentId, bytes: &Bytes) {
        let end = self.tail.position();
        let from = if end.segment == id { end.offset } else { 0 };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
        let (words, rest) = bytes[from..].as_chunks::<8>();
        self.torn |= rest.iter().any(|it| *it != 0);
        for (n, word) in words.iter().enumerate() {
            // Most of it is zeros, and a commit does not begin with them.
            if *word == [0; 8] {
                continue;
            }
            self.torn = true;
            let at = Position { segment: id, offset: (from + n * 8) as u64 };
            if let Some(commit) = Commit::read_sealed(bytes, at)
                && end < commit.synced
                && !bug!(W07)
            {
                self.damage = Some(self.broken(commit.synced, at));
                return;
            }
        }
        if let Some(holds) = Start::stray(id, bytes)
            && end.segment < holds
        {
            let at = Position { segment: id, offset: 0 };
            self.damage = Some(Damage { at, cause: Cause::Misplaced { holds } });
        }
    }

    /// What to say when the commit at `evidence` swears to more than was found.
    fn broken(&self, synced: Position, evidence: Position) -> Damage {
        let next = self.tail.position().segment.next();
        match self.hole {
            Some(hole) if hole == next && hole <= synced.segment => {
                let at = Position { segment: hole, offset: 0 };
                Damage { at, cause: Cause::Missing { evidence } }
            }
            Some(_) | None => Damage { at: self.reached, cause: Cause::Unreadable { evidence } },
        }
    }
}
