//! The state as a stream of records, and back.
//!
//! # Assumptions
//!
//! Chunks arrive whole and in order, or not at all: files and streams carry checksums of their own.
//! They may come from a newer release, be cut short, or not be a snapshot.
//!
//! # Layout
//!
//! ```text
//!   snapshot := chunk*                       about 64 KiB each; only one large record makes it more
//!   chunk    := record*                      a message of `tribune_base::codec`
//!   record   := field                        tag = kind << 1 | ignorable
//!
//!   header        1   version, index         the first record
//!   kv            2   newest, reaped
//!   entry         3   key, value, flags, create, modify, lock index, session     by key
//!   tombstone     4   key, index                                                 by key
//!   tree tombst.  5   prefix, index                                              by prefix
//!   catalog       6   newest of each table
//!   node          7   row, newest changes                                        by name
//!   service       8   row: on the node before it                                 by id
//!   check         9   row: on the node before it, after its services             by id
//!   group        10   name of a service, newest changes                          by name
//!   end          11   number of records before it: the last record
//!   autopilot    12   settings, create, modify: after the tables, if they were ever set
//!   queries      13   newest: after the tables, if there ever was one
//!   query        14   row                                                        by id
//!   coordinate   15   node, numbers: after the queries                           by node
//! ```
//!
//! What follows from other rows is not written: it is built anew. A reader skips records of a kind
//! that it does not know if they say so, and gives up otherwise. The same state makes the same
//! bytes, so their digest is the digest of the state.

mod read;
mod write;

use tribune_base::codec::DecodeError;

pub(crate) use self::read::restore;
pub use self::write::Records;

/// The format that this release writes.
const VERSION: u64 = 1;

/// Set in the tag of a record that a reader may skip.
const IGNORABLE: u32 = 1;

const HEADER: u32 = 1 << 1;
const KV: u32 = 2 << 1;
const ENTRY: u32 = 3 << 1;
const GRAVE: u32 = 4 << 1;
const TREE_GRAVE: u32 = 5 << 1;
const CATALOG: u32 = 6 << 1;
const NODE: u32 = 7 << 1;
const SERVICE: u32 = 8 << 1;
const CHECK: u32 = 9 << 1;
const GROUP: u32 = 10 << 1;
const END: u32 = 11 << 1;
const AUTOPILOT: u32 = 12 << 1;
const QUERIES: u32 = 13 << 1;
const QUERY: u32 = 14 << 1;
const COORDINATE: u32 = 15 << 1;

/// Why chunks are not a snapshot. Whoever kept them is at fault; nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// A record is damaged.
    #[error("damaged record: {0}")]
    Malformed(#[from] DecodeError),
    /// A newer release wrote this, in a format that this one cannot read.
    #[error("snapshot format {version}: this server is too old")]
    Version {
        /// The number of the format.
        version: u64,
    },
    /// A newer release wrote this, and it must not be skipped.
    #[error("record of unknown kind {kind}: this server is too old")]
    Unknown {
        /// The number of the kind.
        kind: u32,
    },
    /// The records make no sense together.
    #[error("inconsistent snapshot: {0}")]
    Inconsistent(&'static str),
    /// The end is missing.
    #[error("the snapshot ends early")]
    Truncated,
}

#[cfg(test)]
mod tests;
