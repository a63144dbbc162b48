//! Messages as bytes, in the encoding of [`tribune_base::codec`].
//!
//! Field 1 says what kind of message it is. The other fields mean the same in every kind that has
//! them, so that there is one list; unknown fields are skipped. A message that its reader cannot
//! make sense of is an error, never a guess.

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::id::{Index, LogId, Term};
use tribune_base::time::{Duration, Instant};

use crate::configuration::Configuration;
use crate::entry::{Entry, position};
use crate::message::{Appended, Message, Round};
use crate::output::SnapshotMeta;

mod kind {
    pub(super) const REQUEST_PRE_VOTE: u64 = 1;
    pub(super) const REQUEST_PRE_VOTE_RESPONSE: u64 = 2;
    pub(super) const REQUEST_VOTE: u64 = 3;
    pub(super) const REQUEST_VOTE_RESPONSE: u64 = 4;
    pub(super) const APPEND_ENTRIES: u64 = 5;
    pub(super) const APPEND_ENTRIES_RESPONSE: u64 = 6;
    pub(super) const APPEND_ENTRIES_CONFLICT: u64 = 7;
    pub(super) const HEARTBEAT: u64 = 8;
    pub(super) const HEARTBEAT_RESPONSE: u64 = 9;
    pub(super) const TIMEOUT_NOW: u64 = 10;
    pub(super) const READ_INDEX: u64 = 11;
    pub(super) const READ_INDEX_RESPONSE: u64 = 12;
    pub(super) const INSTALL_SNAPSHOT: u64 = 13;
    pub(super) const INSTALL_SNAPSHOT_RESPONSE: u64 = 14;
}

mod tag {
    pub(super) const KIND: u32 = 1;
    pub(super) const TERM: u32 = 2;
    /// The term and index of the entry that the message is about.
    pub(super) const LOG_TERM: u32 = 3;
    pub(super) const LOG_INDEX: u32 = 4;
    /// A second position, or a commit index.
    pub(super) const INDEX: u32 = 5;
    pub(super) const FLAG: u32 = 6;
    /// A number that is counted and returned; one more than it, where it may be absent.
    pub(super) const SERIAL: u32 = 7;
    pub(super) const SENT: u32 = 8;
    pub(super) const ABANDONED: u32 = 9;
    pub(super) const ENTRY: u32 = 10;
    pub(super) const CONFIGURATION: u32 = 11;
    pub(super) const OFFSET: u32 = 12;
    pub(super) const DATA: u32 = 13;
    pub(super) const AGREED: u32 = 14;
    pub(super) const HORIZON: u32 = 15;
}

impl Message {
    /// Its bytes.
    pub fn to_bytes(&self) -> Bytes {
        let mut writer = Writer::with_capacity(64);
        writer.u64(tag::KIND, self.kind());
        writer.u64(tag::TERM, self.term().0);
        match self {
            Self::RequestPreVote { last_log, .. } => log_id(&mut writer, *last_log),
            Self::RequestPreVoteResponse { asked, granted, .. } => {
                writer.u64(tag::LOG_TERM, asked.0);
                writer.bool(tag::FLAG, *granted);
            }
            Self::RequestVote { last_log, transfer, .. } => {
                log_id(&mut writer, *last_log);
                writer.u64(tag::SERIAL, transfer.map_or(0, |it| it.saturating_add(1)));
            }
            Self::RequestVoteResponse { granted, .. } => writer.bool(tag::FLAG, *granted),
            Self::AppendEntries { prev_log, entries, leader_commit, .. } => {
                log_id(&mut writer, *prev_log);
                writer.u64(tag::INDEX, leader_commit.0);
                entries.iter().for_each(|it| writer.nested(tag::ENTRY, |writer| it.encode(writer)));
            }
            Self::AppendEntriesResponse { result: Appended::Matched(index), .. } => {
                writer.u64(tag::INDEX, index.0);
            }
            Self::AppendEntriesResponse { result: Appended::Conflict { prev, hint }, .. } => {
                writer.u64(tag::INDEX, prev.0);
                log_id(&mut writer, *hint);
            }
            Self::Heartbeat { round, commit, horizon, abandoned, .. } => {
                encode_round(&mut writer, *round);
                writer.u64(tag::INDEX, commit.0);
                writer.u64(tag::HORIZON, horizon.0);
                writer.u64(tag::ABANDONED, *abandoned);
            }
            Self::HeartbeatResponse { round, matched, agreed, .. } => {
                encode_round(&mut writer, *round);
                writer.u64(tag::INDEX, matched.0);
                writer.u64(tag::AGREED, agreed.0);
            }
            Self::TimeoutNow { abandoned, .. } => writer.u64(tag::ABANDONED, *abandoned),
            Self::ReadIndex { batch, leased, .. } => {
                writer.u64(tag::SERIAL, *batch);
                writer.bool(tag::FLAG, *leased);
            }
            Self::ReadIndexResponse { batch, index, .. } => {
                writer.u64(tag::SERIAL, *batch);
                writer.bool(tag::FLAG, index.is_some());
                writer.u64(tag::INDEX, index.unwrap_or_default().0);
            }
            Self::InstallSnapshot { meta, offset, data, done, .. } => {
                log_id(&mut writer, meta.last);
                writer.nested(tag::CONFIGURATION, |writer| meta.configuration.encode(writer));
                writer.u64(tag::OFFSET, *offset);
                writer.bytes(tag::DATA, data);
                writer.bool(tag::FLAG, *done);
            }
            Self::InstallSnapshotResponse { last, offset, .. } => {
                log_id(&mut writer, *last);
                writer.u64(tag::OFFSET, *offset);
            }
        }
        writer.finish()
    }

    /// Read what [`Self::to_bytes`] wrote, here or in another release.
    ///
    /// # Errors
    ///
    /// The bytes are not a message.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut fields = Fields::default();
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            fields.take(&field)?;
        }
        fields.build()
    }

    const fn kind(&self) -> u64 {
        match self {
            Self::RequestPreVote { .. } => kind::REQUEST_PRE_VOTE,
            Self::RequestPreVoteResponse { .. } => kind::REQUEST_PRE_VOTE_RESPONSE,
            Self::RequestVote { .. } => kind::REQUEST_VOTE,
            Self::RequestVoteResponse { .. } => kind::REQUEST_VOTE_RESPONSE,
            Self::AppendEntries { .. } => kind::APPEND_ENTRIES,
            Self::AppendEntriesResponse { result: Appended::Matched(_), .. } => {
                kind::APPEND_ENTRIES_RESPONSE
            }
            Self::AppendEntriesResponse { result: Appended::Conflict { .. }, .. } => {
                kind::APPEND_ENTRIES_CONFLICT
            }
            Self::Heartbeat { .. } => kind::HEARTBEAT,
            Self::HeartbeatResponse { .. } => kind::HEARTBEAT_RESPONSE,
            Self::TimeoutNow { .. } => kind::TIMEOUT_NOW,
            Self::ReadIndex { .. } => kind::READ_INDEX,
            Self::ReadIndexResponse { .. } => kind::READ_INDEX_RESPONSE,
            Self::InstallSnapshot { .. } => kind::INSTALL_SNAPSHOT,
            Self::InstallSnapshotResponse { .. } => kind::INSTALL_SNAPSHOT_RESPONSE,
        }
    }
}

fn log_id(writer: &mut Writer, id: LogId) {
    writer.u64(tag::LOG_TERM, id.term.0);
    writer.u64(tag::LOG_INDEX, id.index.0);
}

fn encode_round(writer: &mut Writer, round: Round) {
    writer.u64(tag::SERIAL, round.serial);
    writer.u64(tag::SENT, u64::try_from(round.sent.since_start().as_nanos()).unwrap_or(u64::MAX));
}

/// Every field a message can have. Absent means zero or empty.
#[derive(Default)]
struct Fields {
    kind: u64,
    term: Term,
    log: LogId,
    index: Index,
    flag: bool,
    serial: u64,
    sent: u64,
    abandoned: u64,
    entries: Vec<Entry>,
    configuration: Configuration,
    offset: u64,
    data: Bytes,
    agreed: Index,
    horizon: Index,
}

impl Fields {
    fn take(&mut self, field: &Field) -> Result<(), DecodeError> {
        let at = || position(field.u64()?, field.senseless());
        match field.tag {
            tag::KIND => self.kind = field.u64()?,
            tag::TERM => self.term = Term(at()?),
            tag::LOG_TERM => self.log.term = Term(at()?),
            tag::LOG_INDEX => self.log.index = Index(at()?),
            tag::INDEX => self.index = Index(at()?),
            tag::FLAG => self.flag = field.bool()?,
            tag::SERIAL => self.serial = at()?,
            tag::SENT => self.sent = field.u64()?,
            tag::ABANDONED => self.abandoned = at()?,
            tag::ENTRY => self.entries.push(Entry::decode(field.nested()?)?),
            tag::CONFIGURATION => self.configuration = Configuration::decode(field.nested()?)?,
            tag::OFFSET => self.offset = at()?,
            tag::DATA => self.data = field.bytes()?,
            tag::AGREED => self.agreed = Index(at()?),
            tag::HORIZON => self.horizon = Index(at()?),
            _ => {}
        }
        Ok(())
    }

    fn build(self) -> Result<Message, DecodeError> {
        let sent = Instant::from_start(Duration::from_nanos(self.sent));
        let round = Round { serial: self.serial, sent };
        let Self { term, log, index, flag, serial, abandoned, offset, agreed, horizon, .. } = self;
        Ok(match self.kind {
            kind::REQUEST_PRE_VOTE => Message::RequestPreVote { term, last_log: log },
            kind::REQUEST_PRE_VOTE_RESPONSE => {
                Message::RequestPreVoteResponse { term, asked: log.term, granted: flag }
            }
            kind::REQUEST_VOTE => {
                Message::RequestVote { term, last_log: log, transfer: serial.checked_sub(1) }
            }
            kind::REQUEST_VOTE_RESPONSE => Message::RequestVoteResponse { term, granted: flag },
            kind::APPEND_ENTRIES => Message::AppendEntries {
                term,
                prev_log: log,
                entries: self.entries,
                leader_commit: index,
            },
            kind::APPEND_ENTRIES_RESPONSE => {
                Message::AppendEntriesResponse { term, result: Appended::Matched(index) }
            }
            kind::APPEND_ENTRIES_CONFLICT => {
                let result = Appended::Conflict { prev: index, hint: log };
                Message::AppendEntriesResponse { term, result }
            }
            kind::HEARTBEAT => {
                Message::Heartbeat { term, round, commit: index, horizon, abandoned }
            }
            kind::HEARTBEAT_RESPONSE => {
                Message::HeartbeatResponse { term, round, matched: index, agreed }
            }
            kind::TIMEOUT_NOW => Message::TimeoutNow { term, abandoned },
            kind::READ_INDEX => Message::ReadIndex { term, batch: serial, leased: flag },
            kind::READ_INDEX_RESPONSE => {
                Message::ReadIndexResponse { term, batch: serial, index: flag.then_some(index) }
            }
            kind::INSTALL_SNAPSHOT => {
                let meta = SnapshotMeta { last: log, configuration: self.configuration };
                Message::InstallSnapshot { term, meta, offset, data: self.data, done: flag }
            }
            kind::INSTALL_SNAPSHOT_RESPONSE => {
                Message::InstallSnapshotResponse { term, last: log, offset }
            }
            0 => return Err(DecodeError::Missing { tag: tag::KIND }),
            _ => return Err(DecodeError::Value { tag: tag::KIND }),
        })
    }
}

#[cfg(test)]
mod tests;
