//! Snapshot files: a stream of chunks that is whole or is not a snapshot.

use bytes::Bytes;
use tribune_base::id::{Index, LogId, Term};

use crate::frame::{self, Kind};
use crate::segment::{Position, SegmentId};

/// Turns chunks into the frames of a snapshot file, in order: a start, chunks, the end.
#[derive(Clone, Debug, Default)]
pub struct SnapshotWriter(Place);

/// Turns the frames of a snapshot file back into pieces.
///
/// The caller reads [`SnapshotReader::HEADER_LEN`] bytes, asks [`SnapshotReader::frame_len`], reads
/// up to that many in all, and hands them to [`SnapshotReader::frame`].
#[derive(Clone, Debug, Default)]
pub struct SnapshotReader {
    place: Place,
    /// How many frames were read; the first must be the start.
    count: u64,
    ended: bool,
}

/// A piece of a snapshot file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    /// What the file is.
    Start {
        /// The last entry in the snapshot.
        last: LogId,
        /// Whatever belongs to it.
        meta: Bytes,
    },
    /// A part of the state, as it was handed in.
    Chunk(Bytes),
    /// Everything was there. Nothing may follow.
    End,
}

/// Where in the file the next frame is, and what it has to continue.
#[derive(Clone, Debug, Default)]
struct Place {
    offset: u64,
    chain: u32,
    chunks: u64,
    bytes: u64,
}

impl SnapshotWriter {
    /// Append the start to `out`.
    pub fn start(&mut self, last: LogId, meta: &[u8], out: &mut Vec<u8>) {
        self.put(Kind::SnapshotStart, out, |out| {
            out.extend_from_slice(MAGIC);
            out.extend_from_slice(&VERSION.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&last.term.0.to_le_bytes());
            out.extend_from_slice(&last.index.0.to_le_bytes());
            out.extend_from_slice(meta);
        });
    }

    /// Append a chunk to `out`.
    pub fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.0.chunks += 1;
        self.0.bytes += chunk.len() as u64;
        self.put(Kind::SnapshotChunk, out, |out| out.extend_from_slice(chunk));
    }

    /// Append the end to `out`.
    pub fn end(mut self, out: &mut Vec<u8>) {
        let Place { chunks, bytes, .. } = self.0;
        self.put(Kind::SnapshotEnd, out, |out| {
            out.extend_from_slice(&chunks.to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
        });
    }

    fn put(&mut self, kind: Kind, out: &mut Vec<u8>, write_body: impl FnOnce(&mut Vec<u8>)) {
        let from = out.len();
        let chain = frame::put(out, kind, self.0.position(), self.0.chain, write_body);
        self.0.pass((out.len() - from) as u64, chain);
    }
}

impl SnapshotReader {
    /// How many bytes say how long a frame is.
    pub const HEADER_LEN: usize = frame::HEADER_LEN;

    /// How long the frame is that begins with `header`. Compare it with what the file still has
    /// before making room for it: nothing vouches for the header yet.
    pub fn frame_len(header: &[u8; Self::HEADER_LEN]) -> u64 {
        let body_len = u64::from(frame::u32_at(header, 4).unwrap_or(0));
        (Self::HEADER_LEN as u64 + body_len).next_multiple_of(frame::ALIGN as u64)
    }

    /// Take in the next frame. `None` if it is not the one that was written there: the file is
    /// damaged, and of no more use.
    pub fn frame(&mut self, bytes: &Bytes) -> Option<Piece> {
        let frame = frame::read_first(bytes, self.place.position(), self.place.chain)?;
        if self.ended || frame.end != bytes.len() {
            return None;
        }
        self.place.pass(frame.end as u64, frame.crc);
        self.count += 1;
        let body = bytes.slice(frame.body);
        match frame.kind {
            Kind::SnapshotStart if self.count == 1 => start(&body),
            Kind::SnapshotChunk if 1 < self.count => {
                self.place.chunks += 1;
                self.place.bytes += body.len() as u64;
                Some(Piece::Chunk(body))
            }
            Kind::SnapshotEnd if 1 < self.count => {
                let Place { chunks, bytes, .. } = self.place;
                let totals = (frame::u64_at(&body, 0)?, frame::u64_at(&body, 8)?);
                self.ended = true;
                (totals == (chunks, bytes)).then_some(Piece::End)
            }
            Kind::SnapshotStart
            | Kind::SnapshotChunk
            | Kind::SnapshotEnd
            | Kind::Start
            | Kind::Entry
            | Kind::HardState
            | Kind::Truncate
            | Kind::Commit => None,
        }
    }
}

impl Place {
    const fn position(&self) -> Position {
        Position { segment: SegmentId(0), offset: self.offset }
    }

    const fn pass(&mut self, len: u64, chain: u32) {
        self.offset += len;
        self.chain = chain;
    }
}

fn start(body: &Bytes) -> Option<Piece> {
    let known = body.starts_with(MAGIC) && frame::u32_at(body, 8)? == VERSION;
    let term = Term(frame::u64_at(body, 16)?);
    let last = LogId::new(term, Index(frame::u64_at(body, 24)?));
    known.then(|| Piece::Start { last, meta: body.slice(START_LEN..) })
}

const MAGIC: &[u8; 8] = b"tribsnap";
const VERSION: u32 = 1;
/// A start's body without the meta.
const START_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: LogId = LogId { term: Term(2), index: Index(9) };

    fn sample() -> Vec<u8> {
        let mut writer = SnapshotWriter::default();
        let mut out = Vec::new();
        writer.start(LAST, b"meta", &mut out);
        writer.chunk(b"one", &mut out);
        writer.chunk(b"", &mut out);
        writer.end(&mut out);
        out
    }

    /// All pieces, or `None` if any is wrong or missing.
    fn read(file: &[u8]) -> Option<Vec<Piece>> {
        let (mut reader, mut rest) = (SnapshotReader::default(), file);
        let mut pieces = Vec::new();
        while let Some(header) = rest.first_chunk() {
            let len = usize::try_from(SnapshotReader::frame_len(header)).unwrap();
            pieces.push(reader.frame(&Bytes::copy_from_slice(rest.get(..len)?))?);
            rest = &rest[len..];
        }
        (rest.is_empty() && pieces.last() == Some(&Piece::End)).then_some(pieces)
    }

    #[test]
    fn a_snapshot_comes_back_in_pieces() {
        let meta = Bytes::from_static(b"meta");
        let chunk = |it| Piece::Chunk(Bytes::from_static(it));
        let want = vec![Piece::Start { last: LAST, meta }, chunk(b"one"), chunk(b""), Piece::End];
        assert_eq!(read(&sample()), Some(want));
    }

    #[test]
    fn a_snapshot_is_whole_or_none() {
        let whole = sample();
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), None, "cut to {len}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped), None, "bit {bit}");
        }
        assert_eq!(read(&[whole.clone(), whole].concat()), None, "twice");
    }
}
