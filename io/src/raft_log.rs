//! Between consensus and its log: what Raft wants kept, as the log's records, and back.

use tribune_base::codec::DecodeError;
use tribune_raft::{Entry, HardState, Persist, SnapshotMeta};
use tribune_wal::{Record, Recovered};

use crate::wal::Batch;

/// What Raft wants kept, as the log keeps it.
pub fn batch(persist: &Persist) -> Batch {
    let mut records = Vec::with_capacity(persist.entries.len() + 2);
    if let Some(HardState { term, vote }) = persist.hard_state {
        records.push(Record::HardState(tribune_wal::HardState { term, vote }));
    }
    if let Some(from) = persist.truncate_from {
        records.push(Record::Truncate { from });
    }
    records.extend(persist.entries.iter().map(|entry| {
        Record::Entry(tribune_wal::Entry {
            index: entry.id.index,
            term: entry.id.term,
            payload: entry.to_bytes(),
        })
    }));
    Batch { seq: persist.seq.0, records }
}

/// What the log and the newest snapshot say of consensus.
///
/// # Errors
///
/// An entry is not Raft's: its checksum was right, so another release wrote it.
pub fn restored(
    recovered: &Recovered,
    snapshot: Option<SnapshotMeta>,
) -> Result<tribune_raft::Restored, DecodeError> {
    let tribune_wal::HardState { term, vote } = recovered.hard_state;
    let entries = recovered.entries.iter().map(|it| Entry::from_bytes(it.payload.clone()));
    Ok(tribune_raft::Restored {
        hard_state: HardState { term, vote },
        snapshot,
        entries: entries.collect::<Result<_, _>>()?,
    })
}
