//! What a node wants done. Each variant says what the caller owes.

use bytes::Bytes;
use tribune_base::id::{Index, LogId, ServerId, Term};

use crate::configuration::Configuration;
use crate::entry::Entry;
use crate::message::Message;

/// One thing for the caller to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Make this durable, then call [`Node::persisted`](crate::Node::persisted) with its `seq`.
    Persist(Persist),

    /// Deliver a message. Loss, duplication and reordering are all fine.
    Send {
        /// The recipient.
        to: ServerId,
        /// What to say.
        message: Message,
    },

    /// Apply these entries to the replicated state, in order.
    Commit(Vec<Entry>),

    /// A read may be answered from any state that has applied `index`, and none before. This
    /// node has handed out the entries up to `index` already.
    ReadReady {
        /// Which read.
        id: ReadId,
        /// What the state must include.
        index: Index,
    },

    /// Nobody could be found who knows what is committed. The caller may ask again.
    ReadFailed {
        /// Which read.
        id: ReadId,
    },

    /// This server plays a different part from now on, or follows somebody else.
    RoleChanged {
        /// The new part.
        role: Role,
        /// The term it is played in.
        term: Term,
        /// Who leads that term, if it is known.
        leader: Option<ServerId>,
    },

    /// Take hold of the state as it is now, which is with everything up to `last` applied and
    /// nothing beyond; save it in a file of its own, then call
    /// [`Node::snapshot_saved`](crate::Node::snapshot_saved).
    TakeSnapshot(SnapshotMeta),

    /// The log before and including `through` is in a durable snapshot. Its space may be used
    /// again, whenever convenient.
    ForgetLog {
        /// The last entry nobody will ask for.
        through: Index,
    },

    /// Read a piece of the saved snapshot `last` and hand it to
    /// [`Node::snapshot_read`](crate::Node::snapshot_read).
    ReadSnapshot {
        /// Who it is for.
        to: ServerId,
        /// Which snapshot: the last entry it includes.
        last: LogId,
        /// The first byte to read.
        offset: u64,
        /// How many bytes, unless the snapshot ends before.
        len: u64,
    },

    /// Write a piece of a snapshot from the leader into a temporary file, then call
    /// [`Node::snapshot_written`](crate::Node::snapshot_written). Offset zero starts a new file.
    /// Pieces come in order and are to be written in order.
    WriteSnapshot {
        /// Which snapshot: the last entry it includes.
        last: LogId,
        /// Where the piece belongs.
        offset: u64,
        /// The piece.
        data: Bytes,
    },

    /// The temporary file is complete. Make it durable, make it *the* snapshot, replace the state
    /// with what it says, then call
    /// [`Node::snapshot_installed`](crate::Node::snapshot_installed). No entries are committed
    /// meanwhile.
    InstallSnapshot(SnapshotMeta),
}

/// Numbers [`Persist`] batches in the order they must become durable.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct PersistSeq(pub u64);

impl PersistSeq {
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A write-ahead log batch: all of it becomes durable, or none of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Persist {
    /// Confirms the batch when handed back.
    pub seq: PersistSeq,
    /// The vote and term to remember, if they changed.
    pub hard_state: Option<HardState>,
    /// Forget entries from here on, before appending.
    pub truncate_from: Option<Index>,
    /// Entries to append. They follow what the log holds without a gap, except that a log of
    /// which nothing is left (because a snapshot replaced it) may go on anywhere.
    pub entries: Vec<Entry>,
}

/// What a server must never forget about elections.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HardState {
    /// The latest term heard of.
    pub term: Term,
    /// Who got this server's vote in `term`.
    pub vote: Option<ServerId>,
}

/// Says what a snapshot contains.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SnapshotMeta {
    /// The last entry applied to it.
    pub last: LogId,
    /// Who belonged to the group there.
    pub configuration: Configuration,
}

/// The caller's name for a read. Never two reads at once with the same one.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ReadId(pub u64);

/// The part a server plays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Takes the log from a leader, or waits for one.
    Follower,
    /// Asks for votes, or asks whether it would get any (pre-vote).
    Candidate,
    /// Decides what the log says next.
    Leader,
}
