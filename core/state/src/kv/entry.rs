//! One row of the key/value table, in one allocation.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use bytes::BufMut;
use tribune_base::id::{Index, SessionId, Uuid};

/// A key and what is stored there. Cheap to clone, and no larger than it must be: hundreds of
/// thousands of these stay in memory, most of them without flags and never locked.
///
/// ```text
///   create:8  modify:8  key_len:4  present:1  [flags:8]  [lock_index:8]  [session:16]  key  value
/// ```
///
/// `present` says which of the bracketed ones are there; absent ones are zero.
#[derive(Clone, Eq, PartialEq)]
pub struct Entry(Arc<[u8]>);

/// An [`Entry`] as an element of an ordered set: two are the same if their keys are.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(crate) Entry);

/// The parts of an [`Entry`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) flags: u64,
    pub(crate) create: Index,
    pub(crate) modify: Index,
    pub(crate) lock_index: u64,
    pub(crate) session: Option<SessionId>,
}

const CREATE: usize = 0;
const MODIFY: usize = 8;
const KEY_LEN: usize = 16;
const PRESENT: usize = 20;
const FIXED_LEN: usize = 21;

const FLAGS: u8 = 1;
const LOCK_INDEX: u8 = 2;
const SESSION: u8 = 4;

/// Rows up to this length are put together on the stack.
const SMALL_LEN: usize = 1024;

impl Entry {
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let len = FIXED_LEN + 32 + parts.key.len() + parts.value.len();
        if len <= SMALL_LEN {
            let mut buf = [0; SMALL_LEN];
            let mut rest = &mut buf[..];
            write(&mut rest, parts);
            let written = SMALL_LEN - rest.len();
            return Self(buf[..written].into());
        }
        let mut buf = Vec::with_capacity(len);
        write(&mut buf, parts);
        Self(buf.into())
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        let start = self.key_start();
        &self.0[start..start + self.key_len()]
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        &self.0[self.key_start() + self.key_len()..]
    }

    /// Whatever the client meant by it.
    pub fn flags(&self) -> u64 {
        self.parts().flags
    }

    /// When the key came into being.
    pub fn create(&self) -> Index {
        Index(self.word(CREATE))
    }

    /// When it was last changed.
    pub fn modify(&self) -> Index {
        Index(self.word(MODIFY))
    }

    /// How many times it was locked.
    pub fn lock_index(&self) -> u64 {
        self.parts().lock_index
    }

    /// Who holds the lock.
    pub fn session(&self) -> Option<SessionId> {
        self.parts().session
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        let mut at = FIXED_LEN;
        let mut next = |bit, len| {
            let here = at;
            let present = self.0[PRESENT] & bit != 0;
            at += if present { len } else { 0 };
            present.then_some(here)
        };
        let flags = next(FLAGS, 8).map_or(0, |at| self.word(at));
        let lock_index = next(LOCK_INDEX, 8).map_or(0, |at| self.word(at));
        let session = next(SESSION, 16).map(|at| {
            let (low, high) = (self.word(at), self.word(at + 8));
            SessionId(Uuid(u128::from(high) << 64 | u128::from(low)))
        });
        let (create, modify) = (self.create(), self.modify());
        Parts { key: self.key(), value: self.value(), flags, create, modify, lock_index, session }
    }

    fn key_start(&self) -> usize {
        let present = self.0[PRESENT];
        let len = |bit, len| if present & bit != 0 { len } else { 0 };
        FIXED_LEN + len(FLAGS, 8) + len(LOCK_INDEX, 8) + len(SESSION, 16)
    }

    fn key_len(&self) -> usize {
        let bytes = self.0[KEY_LEN..PRESENT].try_into().expect("four bytes are a length");
        u32::from_le_bytes(bytes) as usize
    }

    fn word(&self, at: usize) -> u64 {
        let bytes = self.0[at..at + 8].try_into().expect("eight bytes are a word");
        u64::from_le_bytes(bytes)
    }
}

fn write(buf: &mut impl BufMut, parts: &Parts<'_>) {
    let present = |there, bit| if there { bit } else { 0 };
    let flags = present(parts.flags != 0, FLAGS);
    let lock_index = present(parts.lock_index != 0, LOCK_INDEX);
    let session = present(parts.session.is_some(), SESSION);
    buf.put_u64_le(parts.create.0);
    buf.put_u64_le(parts.modify.0);
    buf.put_u32_le(u32::try_from(parts.key.len()).expect("a key is shorter than a log entry"));
    buf.put_u8(flags | lock_index | session);
    if flags != 0 {
        buf.put_u64_le(parts.flags);
    }
    if lock_index != 0 {
        buf.put_u64_le(parts.lock_index);
    }
    if let Some(session) = parts.session {
        buf.put_u128_le(session.0.0);
    }
    buf.put_slice(parts.key);
    buf.put_slice(parts.value);
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl Borrow<[u8]> for Row {
    fn borrow(&self) -> &[u8] {
        self.0.key()
    }
}

impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.key().cmp(other.0.key())
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Row {}

#[test]
fn what_goes_in_comes_out() {
    let session = SessionId(Uuid(u128::MAX / 3));
    let long = [7; 2 * SMALL_LEN];
    for present in 0..16_u64 {
        let parts = Parts {
            key: b"key",
            value: if present & 8 == 0 { b"value" } else { &long },
            flags: (present & 1) * 7,
            create: Index(3),
            modify: Index(u64::MAX),
            lock_index: (present >> 1 & 1) * 9,
            session: (present & 4 != 0).then_some(session),
        };
        assert_eq!(Entry::new(&parts).parts(), parts);
    }
}
