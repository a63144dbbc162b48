//! The log's end: where the next batch goes, and what it has to continue.

use tribune_base::id::Index;

use crate::frame::{self, Frame, Kind};
use crate::record::{Entry, HardState, Record};
use crate::segment::{Position, START_LEN, SegmentId, Start, VERSION};

/// Encodes batches, one behind the other. [`Recovery`](crate::Recovery) moves the same value
/// forward while it reads, so what is written next continues what was read last.
///
/// The default is the end of an empty log: [`Tail::begin`] a segment first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tail {
    position: Position,
    /// The last frame's checksum.
    chain: u32,
    /// The last batch's number.
    sequence: u64,
    /// Up to where the log is known to be durable. Invariant: `synced <= position`.
    synced: Position,
    hard_state: HardState,
    next: Index,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            position: Position::default(),
            chain: 0,
            sequence: 0,
            synced: Position::default(),
            hard_state: HardState::default(),
            next: Index(1),
        }
    }
}

impl Tail {
    /// Append the start of `segment` to `out`, which is what `segment` will hold from offset zero.
    /// A batch must follow.
    ///
    /// # Panics
    ///
    /// `segment` is not behind the one the log is in.
    pub fn begin(&mut self, segment: SegmentId, out: &mut Vec<u8>) {
        assert!(self.position.segment < segment, "the log is already in {}", self.position);
        self.chain = self.start(segment).put(out);
        self.position = Position { segment, offset: START_LEN as u64 };
    }

    /// Append a batch to `out`: all of it will be durable, or none. An empty batch vouches for
    /// those before it.
    ///
    /// # Panics
    ///
    /// No segment was begun, or an entry does not have the index that is next.
    pub fn append(&mut self, records: &[Record], out: &mut Vec<u8>) {
        assert!(self.position.segment != SegmentId(0), "no segment to write to");
        for record in records {
            if let Record::Entry(entry) = record {
                assert!(entry.index == self.next, "entry {} at {}", entry.index, self.next);
            }
            let crc =
                frame::put(out, record.kind(), self.position, self.chain, |it| record.put(it));
            self.pass(record.encoded_len(), crc);
            self.apply(record).expect("the index was just compared");
        }
        let count = u32::try_from(records.len()).expect("a batch is smaller than a segment");
        self.sequence += 1;
        let commit = Commit { sequence: self.sequence, synced: self.synced, count };
        let crc = commit.put(self.position, self.chain, out);
        self.pass(COMMIT_LEN, crc);
    }

    /// Let `records` go on where they say they do: in front of an entry that is not the next one,
    /// behind a snapshot, the log is emptied.
    pub fn bridge(&self, records: &mut Vec<Record>) {
        let mut next = self.next;
        let gap = records.iter().enumerate().find_map(|(at, record)| {
            match record {
                Record::Entry(entry) if next < entry.index => return Some((at, entry.index)),
                Record::Entry(entry) => next = entry.index.next(),
                Record::Truncate { from } => next = *from,
                Record::HardState(_) => {}
            }
            None
        });
        if let Some((at, from)) = gap {
            records.insert(at, Record::Truncate { from });
        }
    }

    /// Everything appended so far is durable. Later commits will swear to it.
    pub fn synced(&mut self) {
        self.synced = self.position;
    }

    /// Where the next frame goes.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The index of the next entry.
    pub const fn next(&self) -> Index {
        self.next
    }

    /// What this server has promised so far.
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// How many bytes [`Tail::append`] adds for `records`.
    pub fn batch_len(records: &[Record]) -> usize {
        records.iter().map(Record::encoded_len).sum::<usize>() + COMMIT_LEN
    }

    /// How many bytes [`Tail::begin`] adds.
    pub const BEGIN_LEN: usize = START_LEN;

    /// How `segment` begins if it continues from here.
    pub(crate) const fn start(&self, segment: SegmentId) -> Start {
        Start {
            version: VERSION,
            segment,
            previous: self.chain,
            sequence: self.sequence,
            next: self.next,
            hard_state: self.hard_state,
        }
    }

    /// The tail behind the start of a segment.
    pub(crate) const fn behind(start: &Start, crc: u32) -> Self {
        let Start { segment, sequence, next, hard_state, .. } = *start;
        let position = Position { segment, offset: START_LEN as u64 };
        let synced = Position { segment, offset: 0 };
        Self { position, chain: crc, sequence, synced, hard_state, next }
    }

    /// The frame that stands here, if there is a valid one.
    pub(crate) fn frame(&self, segment: &[u8]) -> Option<Frame> {
        frame::read(segment, self.position, self.chain)
    }

    /// Go on behind `frame`.
    pub(crate) const fn skip(&mut self, frame: &Frame) {
        self.position.offset = frame.end as u64;
        self.chain = frame.crc;
    }

    /// Let `record` change what is known. `None` if it does not fit what came before.
    pub(crate) fn apply(&mut self, record: &Record) -> Option<()> {
        match record {
            Record::Entry(Entry { index, .. }) if *index != self.next => return None,
            Record::Entry(_) => self.next = Index(self.next.0.checked_add(1)?),
            Record::HardState(hard_state) => self.hard_state = *hard_state,
            Record::Truncate { from } => self.next = *from,
        }
        Some(())
    }

    /// Let a commit behind `count` records change what is known. `None` if it is not the next one.
    pub(crate) fn commit(&mut self, commit: Commit, count: usize) -> Option<()> {
        let expected = commit.count as usize == count
            && Some(commit.sequence) == self.sequence.checked_add(1)
            && commit.synced <= self.position;
        self.sequence = commit.sequence;
        self.synced = commit.synced;
        expected.then_some(())
    }

    const fn pass(&mut self, len: usize, crc: u32) {
        self.position.offset += len as u64;
        self.chain = crc;
    }
}

/// What a commit says. See the [crate documentation](crate) for why it says where the log was
/// synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Commit {
    pub(crate) sequence: u64,
    pub(crate) synced: Position,
    pub(crate) count: u32,
}

impl Commit {
    fn put(&self, at: Position, chain: u32, out: &mut Vec<u8>) -> u32 {
        frame::put(out, Kind::Commit, at, chain, |out| {
            let body = out.len();
            out.extend_from_slice(&self.sequence.to_le_bytes());
            out.extend_from_slice(&self.synced.segment.0.to_le_bytes());
            out.extend_from_slice(&self.synced.offset.to_le_bytes());
            out.extend_from_slice(&self.count.to_le_bytes());
            let seal = frame::checksum(SEAL_SEED, at, &out[body..]);
            out.extend_from_slice(&seal.to_le_bytes());
        })
    }

    /// Read the body of a commit whose frame is valid.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        if body.len() != COMMIT_BODY_LEN {
            return None;
        }
        let segment = SegmentId(frame::u64_at(body, 8)?);
        let synced = Position { segment, offset: frame::u64_at(body, 16)? };
        Some(Self { sequence: frame::u64_at(body, 0)?, synced, count: frame::u32_at(body, 24)? })
    }

    /// Read the commit at `at` by its seal alone, whatever stands before it.
    pub(crate) fn read_sealed(segment: &[u8], at: Position) -> Option<Self> {
        let start = usize::try_from(at.offset).ok()?;
        let frame: &[u8; COMMIT_LEN] = segment.get(start..)?.first_chunk()?;
        if frame::u64_at(frame, 4)? != COMMIT_HEAD {
            return None;
        }
        let body = &frame[frame::HEADER_LEN..frame::HEADER_LEN + COMMIT_BODY_LEN];
        let (sealed, seal) = body.split_last_chunk::<4>()?;
        let valid = frame::checksum(SEAL_SEED, at, sealed) == u32::from_le_bytes(*seal);
        if valid { Self::read(body) } else { None }
    }
}

/// A commit's body: sequence, synced segment and offset, count, seal.
const COMMIT_BODY_LEN: usize = 32;
const COMMIT_LEN: usize = frame::len(COMMIT_BODY_LEN);
/// What every commit has behind its checksum: length and kind.
const COMMIT_HEAD: u64 = COMMIT_BODY_LEN as u64 | (Kind::Commit as u64) << 32;
/// Where seals start from: not zero, so that no other checksum looks like one.
const SEAL_SEED: u32 = 0x7365_616c;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64) -> Record {
        Record::Entry(Entry { index: Index(index), ..Entry::default() })
    }

    const fn truncate(from: u64) -> Record {
        Record::Truncate { from: Index(from) }
    }

    /// A tail behind entries 1 to 3 is asked to go on.
    #[test]
    fn a_gap_empties_the_log() {
        let cases = [
            ("no gap", vec![entry(4), entry(5)], None),
            ("an earlier place", vec![truncate(2), entry(2)], None),
            ("nothing to go on with", vec![truncate(1)], None),
            ("behind a snapshot", vec![entry(9), entry(10)], Some(0)),
            ("all is forgotten before", vec![truncate(1), entry(9)], Some(1)),
        ];
        for (name, records, at) in cases {
            let (mut tail, mut out) = (Tail::default(), Vec::new());
            tail.begin(SegmentId(1), &mut out);
            tail.append(&[entry(1), entry(2), entry(3)], &mut out);
            let mut bridged = records.clone();
            tail.bridge(&mut bridged);
            let mut want = records;
            if let Some(at) = at {
                want.insert(at, truncate(9));
            }
            assert_eq!(bridged, want, "{name}");
            tail.append(&bridged, &mut out);
        }
    }
}
