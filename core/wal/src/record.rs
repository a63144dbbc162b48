//! What the log remembers.

use bytes::Bytes;
use tribune_base::id::{Index, ServerId, Term};

use crate::frame::{self, Kind};

/// One thing to remember. Records become durable in batches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Record {
    /// Append an entry. Its index is one more than the last one's, or what the last
    /// [`Record::Truncate`] said.
    Entry(Entry),

    /// Replace the hard state.
    HardState(HardState),

    /// The next entry is `from`. Entries from there on are forgotten; if the log ends before, all
    /// of them are, because a snapshot took their place.
    Truncate {
        /// The index of the next entry.
        from: Index,
    },
}

/// An entry of the replicated log. What the payload means is nobody's business here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry {
    /// Where it stands.
    pub index: Index,
    /// The term it was created in.
    pub term: Term,
    /// What it says.
    pub payload: Bytes,
}

/// What a server has promised (Raft, figure 2: `currentTerm` and `votedFor`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HardState {
    /// The newest term seen.
    pub term: Term,
    /// Who got this server's vote in that term.
    pub vote: Option<ServerId>,
}

impl Record {
    /// How many bytes the record takes in the log.
    pub fn encoded_len(&self) -> usize {
        frame::len(match self {
            Self::Entry(entry) => ENTRY_LEN + entry.payload.len(),
            Self::HardState(_) => HARD_STATE_LEN,
            Self::Truncate { .. } => TRUNCATE_LEN,
        })
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Entry(_) => Kind::Entry,
            Self::HardState(_) => Kind::HardState,
            Self::Truncate { .. } => Kind::Truncate,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Entry(entry) => {
                out.extend_from_slice(&entry.index.0.to_le_bytes());
                out.extend_from_slice(&entry.term.0.to_le_bytes());
                out.extend_from_slice(&entry.payload);
            }
            Self::HardState(hard_state) => hard_state.put(out),
            Self::Truncate { from } => out.extend_from_slice(&from.0.to_le_bytes()),
        }
    }

    /// Read a body. `None` if it makes no sense, which a valid checksum does not exclude: the
    /// writer may have been another release.
    pub(crate) fn read(kind: Kind, body: &Bytes) -> Option<Self> {
        match kind {
            Kind::Entry => {
                let (head, _) = body.split_first_chunk::<ENTRY_LEN>()?;
                Some(Self::Entry(Entry {
                    index: Index(frame::u64_at(head, 0)?),
                    term: Term(frame::u64_at(head, 8)?),
                    payload: body.slice(ENTRY_LEN..),
                }))
            }
            Kind::HardState => HardState::read(body).map(Self::HardState),
            Kind::Truncate if body.len() == TRUNCATE_LEN => {
                Some(Self::Truncate { from: Index(frame::u64_at(body, 0)?) })
            }
            Kind::Truncate
            | Kind::Start
            | Kind::Commit
            | Kind::SnapshotStart
            | Kind::SnapshotChunk
            | Kind::SnapshotEnd => None,
        }
    }
}

impl HardState {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.term.0.to_le_bytes());
        out.extend_from_slice(&u64::from(self.vote.is_some()).to_le_bytes());
        out.extend_from_slice(&self.vote.map_or(0, |it| it.0).to_le_bytes());
    }

    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let body: &[u8; HARD_STATE_LEN] = body.try_into().ok()?;
        let vote = ServerId(u128::from_le_bytes(*body.last_chunk()?));
        let vote = match frame::u64_at(body, 8)? {
            0 => None,
            1 => Some(vote),
            _ => return None,
        };
        Some(Self { term: Term(frame::u64_at(body, 0)?), vote })
    }
}

/// An entry's body, without the payload.
const ENTRY_LEN: usize = 16;
pub(crate) const HARD_STATE_LEN: usize = 32;
const TRUNCATE_LEN: usize = 8;

#[test]
fn records_survive() {
    let entry = Entry { index: Index(7), term: Term(2), payload: Bytes::from_static(b"x") };
    for record in [
        Record::Entry(entry),
        Record::HardState(HardState { term: Term(3), vote: None }),
        Record::HardState(HardState { term: Term(3), vote: Some(ServerId(u128::MAX)) }),
        Record::Truncate { from: Index(4) },
    ] {
        let mut body = Vec::new();
        record.put(&mut body);
        assert_eq!(record.encoded_len(), frame::len(body.len()));
        assert_eq!(Record::read(record.kind(), &Bytes::from(body)), Some(record));
    }
}

#[test]
fn a_body_of_the_wrong_length_is_no_record() {
    for kind in [Kind::HardState, Kind::Truncate, Kind::Start, Kind::Commit] {
        assert_eq!(Record::read(kind, &Bytes::from_static(&[0; 9])), None, "{kind:?}");
    }
    assert_eq!(Record::read(Kind::Entry, &Bytes::from_static(&[0; 15])), None);
}
