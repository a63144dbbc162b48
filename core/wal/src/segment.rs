//! Segments: the files the log is cut into, and how each begins.

use std::fmt;

use tribune_base::id::Index;

use crate::frame::{self, Kind};
use crate::record::{HARD_STATE_LEN, HardState};

/// Numbers the segments of a log, from one. A number is never used for another stretch of the log.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentId(pub u64);

/// A place in the log, ordered as the log is. The default is before everything.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position {
    /// The segment. Zero is before the first one.
    pub segment: SegmentId,
    /// Bytes from the segment's beginning; a multiple of 8.
    pub offset: u64,
}

impl SegmentId {
    /// The segment after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The segment whose file is called `name`, or `None` if it is not a segment's name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".wal").filter(|it| it.len() == 16)?;
        let id = u64::from_str_radix(digits, 16).ok().map(Self)?;
        // One name for each, so `+1` and capitals are not ours.
        (id.to_string() == name).then_some(id)
    }
}

/// The name of the segment's file.
impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.wal", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} offset {}", self.segment, self.offset)
    }
}

/// How a segment begins: all a reader has to know who starts here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Start {
    pub(crate) version: u32,
    /// The last checksum of the segment before this one; what the chain continues from.
    pub(crate) previous: u32,
    pub(crate) segment: SegmentId,
    /// The number of the last batch before this segment.
    pub(crate) sequence: u64,
    /// The index the segment begins at.
    pub(crate) next: Index,
    pub(crate) hard_state: HardState,
}

/// The version this release writes and reads.
pub(crate) const VERSION: u32 = 1;
/// A start's body: version, previous, segment, sequence, next, hard state.
const START_BODY_LEN: usize = 4 + 4 + 8 + 8 + 8 + HARD_STATE_LEN;
/// The whole frame.
pub(crate) const START_LEN: usize = frame::len(START_BODY_LEN);

impl Start {
    /// Append the frame to `out`. Returns its checksum.
    pub(crate) fn put(&self, out: &mut Vec<u8>) -> u32 {
        let at = Position { segment: self.segment, offset: 0 };
        frame::put(out, Kind::Start, at, self.previous, |out| {
            out.extend_from_slice(&self.version.to_le_bytes());
            out.extend_from_slice(&self.previous.to_le_bytes());
            out.extend_from_slice(&self.segment.0.to_le_bytes());
            out.extend_from_slice(&self.sequence.to_le_bytes());
            out.extend_from_slice(&self.next.0.to_le_bytes());
            self.hard_state.put(out);
        })
    }

    /// Read the start of a segment and its checksum. `None` if `bytes` do not begin a segment of
    /// this number. Of another version, only the version is of use.
    pub(crate) fn read(segment: SegmentId, bytes: &[u8]) -> Option<(Self, u32)> {
        let previous = frame::u32_at(bytes, frame::HEADER_LEN + 4)?;
        let frame = frame::read(bytes, Position { segment, offset: 0 }, previous)?;
        if frame.kind != Kind::Start {
            return None;
        }
        let body = &bytes[frame.body];
        let version = frame::u32_at(body, 0)?;
        if version != VERSION {
            return Some((Self { version, previous, segment, ..Self::default() }, frame.crc));
        }
        let body: &[u8; START_BODY_LEN] = body.try_into().ok()?;
        let start = Self {
            version,
            previous,
            segment: SegmentId(frame::u64_at(body, 8)?),
            sequence: frame::u64_at(body, 16)?,
            next: Index(frame::u64_at(body, 24)?),
            hard_state: HardState::read(&body[32..])?,
        };
        Some((start, frame.crc))
    }

    /// Which other segment than `segment` the `bytes` begin, if any.
    pub(crate) fn stray(segment: SegmentId, bytes: &[u8]) -> Option<SegmentId> {
        let claimed = SegmentId(frame::u64_at(bytes, frame::HEADER_LEN + 8)?);
        let is_other = claimed != segment && Self::read(claimed, bytes).is_some();
        is_other.then_some(claimed)
    }
}

#[test]
fn a_segment_is_named_by_its_number() {
    assert_eq!(SegmentId(255).to_string(), "00000000000000ff.wal");
    let cases = [
        ("00000000000000ff.wal", Some(SegmentId(255))),
        ("ffffffffffffffff.wal", Some(SegmentId(u64::MAX))),
        ("00000000000000FF.wal", None),
        ("+0000000000000ff.wal", None),
        ("ff.wal", None),
        ("00000000000000ff.tmp", None),
        ("lock", None),
    ];
    for (name, want) in cases {
        assert_eq!(SegmentId::from_file_name(name), want, "{name}");
    }
}

#[test]
fn a_start_survives_and_belongs_to_one_segment() {
    use tribune_base::id::{ServerId, Term};

    let hard_state = HardState { term: Term(9), vote: Some(ServerId(3)) };
    let segment = SegmentId(4);
    let next = Index(77);
    let start = Start { version: VERSION, previous: 5, segment, sequence: 8, next, hard_state };
    let mut bytes = Vec::new();
    let crc = start.put(&mut bytes);
    assert_eq!(bytes.len(), START_LEN);
    assert_eq!(Start::read(segment, &bytes), Some((start, crc)));
    assert_eq!(Start::read(segment.next(), &bytes), None);
    assert_eq!(Start::stray(segment.next(), &bytes), Some(segment));
    assert_eq!(Start::stray(segment, &bytes), None);
}
