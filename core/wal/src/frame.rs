//! Frames: the unit that a checksum covers.

use std::ops::Range;

use tribune_base::bug;

use crate::segment::Position;

/// What a frame is. Zero is none of them, so unwritten space is recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Start = 1,
    Entry = 2,
    HardState = 3,
    Truncate = 4,
    Commit = 5,
    SnapshotStart = 6,
    SnapshotChunk = 7,
    SnapshotEnd = 8,
}

/// A frame whose checksum is right.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) crc: u32,
    /// Where the body is in the segment, without padding.
    pub(crate) body: Range<usize>,
    /// Where the next frame starts.
    pub(crate) end: usize,
}

/// Append a frame to `out`. Returns its checksum, which the next frame continues from.
///
/// The frame will stand at `at`; `write_body` may only append.
pub(crate) fn put(
    out: &mut Vec<u8>,
    kind: Kind,
    at: Position,
    chain: u32,
    write_body: impl FnOnce(&mut Vec<u8>),
) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_LEN]);
    write_body(out);
    let body_len = out.len() - start - HEADER_LEN;
    out.resize(start + len(body_len), 0);

    let frame = &mut out[start..];
    let body_len = u32::try_from(body_len).expect("a record is smaller than a segment");
    frame[4..8].copy_from_slice(&body_len.to_le_bytes());
    frame[8] = kind as u8;
    let crc = checksum(chain, at, &frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// Read the frame at `at` in a segment's `bytes`. `None` if there is none that continues `chain`.
pub(crate) fn read(bytes: &[u8], at: Position, chain: u32) -> Option<Frame> {
    let start = usize::try_from(at.offset).ok()?;
    let Frame { kind, crc, body, end } = read_first(bytes.get(start..)?, at, chain)?;
    Some(Frame { kind, crc, body: start + body.start..start + body.end, end: start + end })
}

/// Read the frame that `bytes` begin with and that belongs to `at`. `None` if there is none that
/// continues `chain`.
pub(crate) fn read_first(bytes: &[u8], at: Position, chain: u32) -> Option<Frame> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let kind = Kind::from_byte(header[8])?;
    let body_len = usize::try_from(u32_at(header, 4)?).ok()?;
    let body = HEADER_LEN..HEADER_LEN.checked_add(body_len)?;
    let end = body.end.checked_next_multiple_of(ALIGN)?;
    let crc = u32_at(header, 0)?;
    let covered = if bug!(W17) { &bytes[4..end] } else { bytes.get(4..end)? };
    let valid = checksum(chain, at, covered) == crc || bug!(W01);
    valid.then_some(Frame { kind, crc, body, end })
}

/// The checksum of `bytes` standing at `at`, continued from `chain`.
pub(crate) fn checksum(chain: u32, at: Position, bytes: &[u8]) -> u32 {
    let (chain, segment) = if bug!(W03) { (0, 0) } else { (chain, at.segment.0) };
    let bytes = if bug!(W02) { bytes.get(HEADER_LEN - 4..).unwrap_or_default() } else { bytes };
    let mut place = [0; 16];
    place[..8].copy_from_slice(&segment.to_le_bytes());
    place[8..].copy_from_slice(&at.offset.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new_with_initial(chain);
    hasher.update(&place);
    hasher.update(bytes);
    hasher.finalize()
}

/// How long a frame with a body of `body_len` bytes is.
pub(crate) const fn len(body_len: usize) -> usize {
    (HEADER_LEN + body_len).next_multiple_of(ALIGN)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|it| u32::from_le_bytes(*it))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|it| u64::from_le_bytes(*it))
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Start),
            2 => Some(Self::Entry),
            3 => Some(Self::HardState),
            4 => Some(Self::Truncate),
            5 => Some(Self::Commit),
            6 => Some(Self::SnapshotStart),
            7 => Some(Self::SnapshotChunk),
            8 => Some(Self::SnapshotEnd),
            _ => None,
        }
    }
}

/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// Checksum, length, kind, and room.
pub(crate) const HEADER_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::SegmentId;

    const AT: Position = Position { segment: SegmentId(7), offset: 0 };

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, Kind::Entry, AT, 42, |it| it.extend_from_slice(b"hello"));
        out
    }

    #[test]
    fn a_frame_is_padded_and_read_back() {
        let bytes = sample();
        assert_eq!(bytes.len(), 24);
        let frame = read(&bytes, AT, 42).unwrap();
        assert_eq!((frame.kind, &bytes[frame.body], frame.end), (Kind::Entry, &b"hello"[..], 24));
    }

    #[test]
    fn a_frame_is_valid_in_one_place_of_one_history() {
        let bytes = sample();
        assert!(read(&bytes, AT, 43).is_none(), "another history");
        let elsewhere = Position { segment: SegmentId(8), ..AT };
        assert!(read(&bytes, elsewhere, 42).is_none(), "another segment");
        let moved = [&[0; 8], &bytes[..]].concat();
        let elsewhere = Position { offset: 8, ..AT };
        assert!(read(&moved, elsewhere, 42).is_none(), "another offset");
    }

    #[test]
    fn every_flipped_bit_shows() {
        let bytes = sample();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, AT, 42).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert!(read(&[0; 64], AT, 0).is_none());
    }
}
