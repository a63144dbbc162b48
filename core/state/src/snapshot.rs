//! The state as a stream of records, and back.

use bytes::Bytes;
use tribune_base::codec::DecodeError;

use crate::store::Snapshot;

/// Why chunks are not a snapshot. Whoever kept them is at fault; nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RestoreError {
    /// A record is damaged.
    #[error("damaged record: {0}")]
    Malformed(#[from] DecodeError),
    /// A newer release wrote this.
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

impl Snapshot {
    /// The state as chunks of about 64 KiB, made one by one.
    pub fn records(&self) -> impl Iterator<Item = Bytes> + use<> {
        std::iter::empty()
    }
}

pub(crate) fn restore(chunks: impl IntoIterator<Item = Bytes>) -> Result<Snapshot, RestoreError> {
    let _ = chunks;
    Err(RestoreError::Truncated)
}
