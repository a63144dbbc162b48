//! What servers say to each other, named as in the paper.

use bytes::Bytes;
use tribune_base::id::{Index, LogId, Term};
use tribune_base::time::Instant;

use crate::entry::Entry;
use crate::output::SnapshotMeta;

/// A message between two servers. `term` is always the sender's own, at the time of sending.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // `term` is explained above, and `last_log` is the sender's last entry.
pub enum Message {
    /// Would I get your vote in the term after mine? Changes nothing at the recipient
    /// (Raft dissertation, section 9.6).
    RequestPreVote { term: Term, last_log: LogId },
    /// Answers a pre-vote.
    RequestPreVoteResponse {
        term: Term,
        /// The term of the one who asked, when it asked.
        asked: Term,
        granted: bool,
    },
    /// Do I get your vote? (Section 5.2.)
    RequestVote {
        term: Term,
        last_log: LogId,
        /// The leader itself wants this election: the number of its [`Message::TimeoutNow`].
        transfer: Option<u64>,
    },
    /// Answers a request for a vote.
    RequestVoteResponse { term: Term, granted: bool },

    /// Append these entries after `prev_log` (section 5.3).
    AppendEntries { term: Term, prev_log: LogId, entries: Vec<Entry>, leader_commit: Index },
    /// Answers an append, once durable.
    AppendEntriesResponse { term: Term, result: Appended },

    /// I am the leader. Never waits for a disk.
    Heartbeat {
        term: Term,
        /// To be returned.
        round: Round,
        /// Committed, as far as the recipient is known to have it.
        commit: Index,
        /// Nothing that is committed lies beyond, whether the recipient has it or not.
        horizon: Index,
        /// How many transfers this leader has given up. See [`Message::TimeoutNow`].
        abandoned: u64,
    },
    /// So you are.
    HeartbeatResponse {
        term: Term,
        round: Round,
        /// As far as the sender's log agrees with the leader's on disk. Makes up for lost answers.
        matched: Index,
        /// As far as it agrees in memory. What was sent before the round and is not included was
        /// lost on the way.
        agreed: Index,
    },

    /// Stand for election now: you have everything, and I stop (dissertation, section 3.10).
    TimeoutNow {
        term: Term,
        /// How many transfers this leader has given up before. Voters who have heard of a later
        /// count do not let this election pass: the leader has taken its lease up again.
        abandoned: u64,
    },

    /// What is committed? From a follower that has reads to answer.
    ReadIndex {
        term: Term,
        /// To be returned.
        batch: u64,
        /// Whether the word of a leader that holds its lease will do.
        leased: bool,
    },
    /// Answers a [`Message::ReadIndex`].
    ReadIndexResponse {
        term: Term,
        batch: u64,
        /// What the reads must see, or `None` if the recipient cannot say.
        index: Option<Index>,
    },

    /// A piece of a snapshot, for a follower that needs entries the leader has forgotten.
    InstallSnapshot {
        term: Term,
        meta: SnapshotMeta,
        /// Where the piece belongs.
        offset: u64,
        data: Bytes,
        /// Whether it is the last.
        done: bool,
    },
    /// Answers a piece.
    InstallSnapshotResponse {
        term: Term,
        /// Which snapshot.
        last: LogId,
        /// Everything before this byte has been received.
        offset: u64,
    },
}

/// How an append went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Appended {
    /// The log agrees with the leader's up to here, durably.
    Matched(Index),
    /// There is no such `prev_log` here.
    Conflict {
        /// The index of the `prev_log` refused.
        prev: Index,
        /// The last entry here that might agree: everything between has too new a term.
        hint: LogId,
    },
}

/// One round of heartbeats to everybody.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Round {
    /// Counts the rounds of a leader.
    pub serial: u64,
    /// When it began, by the leader's clock. Means nothing to anybody else.
    pub sent: Instant,
}

impl Message {
    /// The sender's term.
    pub const fn term(&self) -> Term {
        match self {
            Self::RequestPreVote { term, .. }
            | Self::RequestPreVoteResponse { term, .. }
            | Self::RequestVote { term, .. }
            | Self::RequestVoteResponse { term, .. }
            | Self::AppendEntries { term, .. }
            | Self::AppendEntriesResponse { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::HeartbeatResponse { term, .. }
            | Self::TimeoutNow { term, .. }
            | Self::ReadIndex { term, .. }
            | Self::ReadIndexResponse { term, .. }
            | Self::InstallSnapshot { term, .. }
            | Self::InstallSnapshotResponse { term, .. } => *term,
        }
    }

    /// Whether this answers what a leader said.
    pub(crate) const fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::AppendEntriesResponse { .. }
                | Self::HeartbeatResponse { .. }
                | Self::InstallSnapshotResponse { .. }
        )
    }

    /// Whether only the leader of its term says this.
    pub const fn is_from_leader(&self) -> bool {
        match self {
            Self::AppendEntries { .. }
            | Self::Heartbeat { .. }
            | Self::TimeoutNow { .. }
            | Self::InstallSnapshot { .. } => true,
            Self::RequestPreVote { .. }
            | Self::RequestPreVoteResponse { .. }
            | Self::RequestVote { .. }
            | Self::RequestVoteResponse { .. }
            | Self::AppendEntriesResponse { .. }
            | Self::HeartbeatResponse { .. }
            | Self::ReadIndex { .. }
            | Self::ReadIndexResponse { .. }
            | Self::InstallSnapshotResponse { .. } => false,
        }
    }
}
