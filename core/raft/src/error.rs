//! Why a command was refused. Nothing has changed when one was.

use tribune_base::id::ServerId;

/// Why [`Node::propose`](crate::Node::propose) refused an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProposeError {
    /// Only the leader accepts proposals. The caller forwards to `leader`, if it is known.
    #[error("not the leader")]
    NotLeader {
        /// The server to forward to.
        leader: Option<ServerId>,
    },
    /// Too much of the log is waiting for a quorum. The caller backs off and retries.
    #[error("{uncommitted} entries are waiting to commit")]
    Overloaded {
        /// Entries appended but not committed.
        uncommitted: u64,
    },
    /// Leadership is on its way to another server. The caller retries there, shortly.
    #[error("leadership is being transferred")]
    Transferring,
}

/// Why [`Node::bootstrap`](crate::Node::bootstrap) refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BootstrapError {
    /// This server has a past, so its cluster is not brand-new. The caller goes on without.
    #[error("the server already has state")]
    NotFresh,
    /// The configuration has no voter, or is joint. The caller is at fault.
    #[error("a first configuration needs voters, and no outgoing ones")]
    Invalid,
}

/// Why [`Node::recover`](crate::Node::recover) refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecoverError {
    /// This server has no past, so it has nothing to go on with; counted as a survivor, it could
    /// outvote those who have. The operator leaves it out, and adds it when the group works.
    #[error("a server without state cannot take part in a recovery")]
    Fresh,
    /// The server is at work already. The caller restarts it first.
    #[error("only a server that has just started can be recovered")]
    Running,
    /// The configuration has no voter, is joint, or is without this server. The operator corrects
    /// it.
    #[error("a recovered group needs voters, no outgoing ones, and this server")]
    Invalid,
}

/// Why [`Node::propose_configuration`](crate::Node::propose_configuration) refused a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// Only the leader changes the configuration. The caller forwards to `leader`.
    #[error("not the leader")]
    NotLeader {
        /// The server to forward to.
        leader: Option<ServerId>,
    },
    /// Leadership is on its way to another server. The caller retries there, shortly.
    #[error("leadership is being transferred")]
    Transferring,
    /// The leader has not committed anything in its term yet, so it cannot know what its
    /// predecessors left unfinished. The caller retries, shortly.
    #[error("the leader has not established its term yet")]
    NotEstablished,
    /// Another change has not finished. The caller retries when it has.
    #[error("another configuration change is in progress")]
    Pending,
    /// The server to change is not of the kind that this change is for. The caller looks again.
    #[error("the change does not apply to this server")]
    NotApplicable,
    /// Nobody could vote any more. The operator adds another voter first.
    #[error("a group needs at least one voter")]
    LastVoter,
}

/// Why [`Node::transfer`](crate::Node::transfer) refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransferError {
    /// Only a leader has leadership to give. The caller asks `leader`.
    #[error("not the leader")]
    NotLeader {
        /// The server to ask.
        leader: Option<ServerId>,
    },
    /// A transfer is under way. The caller waits: it succeeds or is given up within an election
    /// timeout.
    #[error("a transfer is already in progress")]
    InProgress,
    /// The target is not another voter, or there is none. The operator chooses differently.
    #[error("no such voter to transfer to")]
    NoTarget,
}
