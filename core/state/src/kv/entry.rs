//! One row of the key/value table, in one allocation.

use std::fmt;
use std::sync::Arc;

use tribune_base::id::{Index, SessionId, Uuid};

/// What is stored at a key. Cheap to clone, and no larger than it must be: hundreds of thousands
/// of these stay in memory, most of them without flags and never locked.
///
/// ```text
///   create:8  modify:8  present:1  [flags:8]  [lock_index:8]  [session:16]  value
/// ```
///
/// `present` says which of the bracketed ones are there; absent ones are zero.
#[derive(Clone, Eq, PartialEq)]
pub struct Entry(Arc<[u8]>);

/// The parts of an [`Entry`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Parts<'a> {
    pub(crate) create: Index,
    pub(crate) modify: Index,
    pub(crate) flags: u64,
    pub(crate) lock_index: u64,
    pub(crate) session: Option<SessionId>,
    pub(crate) value: &'a [u8],
}

const FIXED_LEN: usize = 17;
const FLAGS: u8 = 1;
const LOCK_INDEX: u8 = 2;
const SESSION: u8 = 4;

impl Entry {
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let mut buf = Vec::with_capacity(FIXED_LEN + 32 + parts.value.len());
        buf.extend_from_slice(&parts.create.0.to_le_bytes());
        buf.extend_from_slice(&parts.modify.0.to_le_bytes());
        buf.push(0);
        let mut present = 0;
        if parts.flags != 0 {
            present |= FLAGS;
            buf.extend_from_slice(&parts.flags.to_le_bytes());
        }
        if parts.lock_index != 0 {
            present |= LOCK_INDEX;
            buf.extend_from_slice(&parts.lock_index.to_le_bytes());
        }
        if let Some(session) = parts.session {
            present |= SESSION;
            buf.extend_from_slice(&session.0.0.to_le_bytes());
        }
        buf[FIXED_LEN - 1] = present;
        buf.extend_from_slice(parts.value);
        Self(buf.into())
    }

    /// When the key came into being.
    pub fn create(&self) -> Index {
        Index(self.word(0))
    }

    /// When it was last changed.
    pub fn modify(&self) -> Index {
        Index(self.word(8))
    }

    /// Whatever the client meant by it.
    pub fn flags(&self) -> u64 {
        self.parts().flags
    }

    /// How many times it was locked.
    pub fn lock_index(&self) -> u64 {
        self.parts().lock_index
    }

    /// Who holds the lock.
    pub fn session(&self) -> Option<SessionId> {
        self.parts().session
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        self.parts().value
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        let present = self.0[FIXED_LEN - 1];
        let mut at = FIXED_LEN;
        let mut next = |bit, len| {
            let here = at;
            let there = present & bit != 0;
            at += if there { len } else { 0 };
            there.then_some(here)
        };
        let flags = next(FLAGS, 8).map_or(0, |at| self.word(at));
        let lock_index = next(LOCK_INDEX, 8).map_or(0, |at| self.word(at));
        let session = next(SESSION, 16).map(|at| {
            let (low, high) = (self.word(at), self.word(at + 8));
            SessionId(Uuid(u128::from(high) << 64 | u128::from(low)))
        });
        let value = &self.0[at..];
        Parts { create: self.create(), modify: self.modify(), flags, lock_index, session, value }
    }

    fn word(&self, at: usize) -> u64 {
        let bytes = self.0[at..at + 8].try_into().expect("eight bytes are a word");
        u64::from_le_bytes(bytes)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

#[test]
fn what_goes_in_comes_out() {
    let session = SessionId(Uuid(u128::MAX / 3));
    for present in 0..8_u64 {
        let parts = Parts {
            create: Index(3),
            modify: Index(u64::MAX),
            flags: (present & 1) * 7,
            lock_index: (present >> 1 & 1) * 9,
            session: (present & 4 != 0).then_some(session),
            value: b"value",
        };
        assert_eq!(Entry::new(&parts).parts(), parts);
    }
}
