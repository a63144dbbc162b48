//! Identifiers, as types: a term is not an index, and a session is not a node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Numbers the reigns of leaders (Raft, section 5.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Term(pub u64);

/// A position in the replicated log, and the version of everything the entry there changed.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Index(pub u64);

/// Names a log entry for ever: no two entries of one index and term differ (Log Matching).
///
/// Ordered as the paper compares logs: by term first, then by index (section 5.4.1).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LogId {
    /// The term the entry was created in.
    pub term: Term,
    /// Where it stands.
    pub index: Index,
}

/// One server of a Raft group: the 128 bits of its [`NodeId`], or a small number in tests.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServerId(pub u128);

/// 128 bits in the form `8-4-4-4-12` (RFC 9562).
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uuid(pub u128);

/// An agent, whatever it is called today.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NodeId(pub Uuid);

/// A session: who holds locks, and how long.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId(pub Uuid);

impl Term {
    /// The term after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// The index after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; zero stays zero.
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl LogId {
    /// The entry of `term` at `index`.
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl From<NodeId> for ServerId {
    fn from(id: NodeId) -> Self {
        Self(id.0.0)
    }
}

impl From<ServerId> for NodeId {
    fn from(id: ServerId) -> Self {
        Self(Uuid(id.0))
    }
}

/// Why a text is not a [`Uuid`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UuidError {
    /// Not 36 characters.
    #[error("uuid string is wrong length")]
    Length,
    /// 36 characters, but not hexadecimal digits in groups of 8-4-4-4-12.
    #[error("uuid is improperly formatted")]
    Format,
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        if text.len() != 36 {
            return Err(UuidError::Length);
        }
        let mut value = 0;
        for (n, byte) in text.bytes().enumerate() {
            if matches!(n, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return Err(UuidError::Format);
                }
                continue;
            }
            let digit = char::from(byte).to_digit(16).ok_or(UuidError::Format)?;
            value = value << 4 | u128::from(digit);
        }
        Ok(Self(value))
    }
}

impl Uuid {
    /// A random one (version 4, RFC 9562), made of 128 bits of entropy.
    pub const fn from_entropy(bits: u128) -> Self {
        let version = bits & !(0xf << 76) | 4 << 76;
        Self(version & !(0b11 << 62) | 0b10 << 62)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            v >> 96,
            v >> 80 & 0xffff,
            v >> 64 & 0xffff,
            v >> 48 & 0xffff,
            v & 0xffff_ffff_ffff
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Uuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[test]
fn a_uuid_is_written_the_way_it_is_read() {
    let text = "40e4a748-2192-161a-0510-9bf59fe950b5";
    assert_eq!(text.parse::<Uuid>().unwrap().to_string(), text);
    assert_eq!("xyz".parse::<Uuid>(), Err(UuidError::Length));
    assert_eq!("40e4a748x2192-161a-0510-9bf59fe950b5".parse::<Uuid>(), Err(UuidError::Format));
    assert_eq!("40e4a748-2192-161a-0510-9bf59fe950bx".parse::<Uuid>(), Err(UuidError::Format));
}

#[test]
fn a_random_uuid_says_its_version() {
    let text = Uuid::from_entropy(u128::MAX).to_string();
    assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

#[test]
fn logs_compare_by_term_before_index() {
    let long = LogId::new(Term(1), Index(9));
    let recent = LogId::new(Term(2), Index(3));
    assert!(long < recent);
}
