//! The only place where an error becomes a status code.
//!
//! The original answers 500 to many requests that are the client's fault. Its newer releases, and
//! this one, answer 400 with the same text:
//!
//! | what | original | here | why |
//! | --- | --- | --- | --- |
//! | `?cas=`, `?flags=` that are no numbers | 500 | 400 | nothing failed but the request |
//! | catalog/register without node, address or service name | 500 | 400 | the same |
//! | catalog/register with a malformed node id | 500 | 400 | the same |
//! | catalog/deregister without node | 500 | 400 | the same |
//! | a filter that does not parse | 500 | 400 | the same |
//! | a check that names an unknown service | 500 | 400 | the same |
//! | script checks where they are disabled | 500 | 400 | the same |
//! | pass, warn, fail of a check without TTL | 500 | 404 | as newer releases do |
//! | filters of an event that make no sense, an event that is too long | 500 | 400 | the same |
//! | a coordinate in another space, or none | 500, or nothing at all | 400 | the same |
//! | catalog/register refused by what is stored | 500 | 500 | clients retry it as they do the original's |
//! | a prepared query that makes no sense | 500 | 400 | nothing failed but the request |
//! | a prepared query refused by what is stored | 500 | 500 | as catalog/register |
//! | unknown datacenter, no leader | 500 | 500 | clients tell it by its text and retry |

use std::borrow::Cow;

use tribune_agent::{MaintenanceError, RegisterError, UpdateCheckError};
use tribune_raft::{ChangeError, ProposeError, TransferError};
use tribune_state::Refusal;

use crate::http::Response;

/// Why an API request failed. Clients see [`Error::status`] and the message, as plain text.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Error {
    /// The request makes no sense. The client's fault; nothing changed; do not retry.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),

    /// The path contains a character that cannot be printed. The client's fault.
    #[error("")]
    UnprintablePath,

    /// The token does not allow this, or there is no such token. Which one is nobody's business.
    #[error("Permission denied")]
    PermissionDenied,

    /// No endpoint has this path.
    #[error("Invalid URL path: not a recognized HTTP API endpoint")]
    UnknownPath,

    /// There is nothing of that name. The text says of what kind.
    #[error("{0}")]
    NotFound(Cow<'static, str>),

    /// The endpoint knows other methods. The response's `Allow` says which.
    #[error("method {0} not allowed")]
    MethodNotAllowed(&'static str),

    /// The body is longer than a limit. The client's fault; nothing was read.
    #[error("Request body({len} bytes) too large, max size: {max} bytes. {setting} sets the limit")]
    BodyTooLarge {
        /// How long the body is, or says it is.
        len: u64,
        /// The limit.
        max: u64,
        /// The configuration key that sets it.
        setting: &'static str,
    },

    /// The agent's configuration blocks this path for everybody. Nothing changed; see
    /// `http_config.block_endpoints`.
    #[error("Endpoint is blocked by agent configuration")]
    Blocked,

    /// Writes may not come from there. Nothing changed; see `http_config.allow_write_http_from`.
    #[error("Access is restricted")]
    Restricted,

    /// More is being committed than the quorum keeps up with. Nothing changed; back off and retry.
    #[error("rate limit exceeded, try again later or against a different server")]
    Overloaded,

    /// The state refused a catalog entry. Nothing changed; the text says what to correct.
    #[error("{0}")]
    Refused(String),

    /// The agent has as many services or checks as it may have. Nothing changed.
    #[error("{0}")]
    TooMany(String),

    /// No server is called that. Nothing changed; look at the list of servers.
    #[error("{kind} {name:?} was not found in the Raft configuration")]
    UnknownPeer {
        /// What the name is: `id` or `address`.
        kind: &'static str,
        /// The name.
        name: String,
    },

    /// Consensus cannot be changed like this, or not now. Nothing changed; the text says what to do.
    #[error("{0}")]
    Membership(&'static str),

    /// Nobody can commit anything right now. Nothing changed; retry.
    #[error("No cluster leader")]
    NoClusterLeader,

    /// This client agent has heard of no server. Nothing changed; it may hear of one.
    #[error("No known Consul servers")]
    NoServers,

    /// The server that was asked is gone, and nobody knows how far it came.
    #[error("rpc error making call: EOF")]
    ServerLost,

    /// None of the addresses could be joined. The text says why, for each.
    #[error("{0}")]
    Join(String),

    /// Not all members have done with their keys what they were told to. The text says which, and
    /// why. Others have: look at the list, and repeat.
    #[error("{0}")]
    Keyring(String),

    /// The configuration cannot be read again. Nothing changed; the text says what to correct.
    #[error("{0}")]
    Reload(String),

    /// Only servers do that.
    #[error("keyring operations must run against a server node")]
    ServersOnly,

    /// No server of that datacenter is known. Nothing changed.
    #[error("No path to datacenter")]
    NoPathToDatacenter,

    /// The servers of that datacenter are known, and none of them has heard the request, or can be
    /// heard. Nothing changed; retry.
    #[error("Remote DC has no server currently reachable")]
    DatacenterUnreachable,

    /// This agent is in no pool of other datacenters' servers. Nothing changed; ask a server.
    #[error("this agent is in no WAN pool")]
    NoWanPool,

    /// The leader that took the write lost office before it was committed. It may still commit:
    /// read back before writing again.
    #[error(
        "leadership lost while committing log; the write may still take effect, \
         read back before repeating it"
    )]
    LeadershipLost,

    /// The leader did not answer in time. A write may still take effect.
    #[error(
        "rpc error: deadline exceeded; a write may still take effect, read back before repeating it"
    )]
    Timeout,

    /// The log cannot grow. Nothing changed; free space in the server's data directory.
    #[error("no space left for the log on this server; free space in its data_dir")]
    DiskFull,

    /// The server is leaving or stopping. Nothing changed; ask another one.
    #[error("the agent is shutting down; ask another one")]
    ShuttingDown,

    /// A consistent read could not be confirmed by a quorum. Retry.
    #[error("Not ready to serve consistent reads")]
    NotReady,
}

impl Error {
    /// A request that makes no sense, and why.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(text.into())
    }

    /// Something that does not exist, and what.
    pub fn not_found(text: impl Into<Cow<'static, str>>) -> Self {
        Self::NotFound(text.into())
    }

    /// No server is called `name`, which is an `id` or an `address`.
    pub(crate) fn unknown_peer(kind: &'static str, name: &str) -> Self {
        Self::UnknownPeer { kind, name: name.to_owned() }
    }

    /// The HTTP status. A variant without one does not compile.
    pub const fn status(&self) -> u16 {
        match self {
            Self::BadRequest(_) | Self::UnprintablePath | Self::NoWanPool => 400,
            Self::PermissionDenied | Self::Blocked | Self::Restricted => 403,
            Self::UnknownPath | Self::NotFound(_) => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::BodyTooLarge { .. } => 413,
            Self::Overloaded | Self::TooMany(_) => 429,
            Self::Refused(_)
            | Self::UnknownPeer { .. }
            | Self::Membership(_)
            | Self::NoClusterLeader
            | Self::NoServers
            | Self::ServerLost
            | Self::Join(_)
            | Self::Keyring(_)
            | Self::Reload(_)
            | Self::ServersOnly
            | Self::NoPathToDatacenter
            | Self::DatacenterUnreachable
            | Self::LeadershipLost
            | Self::Timeout
            | Self::NotReady => 500,
            Self::DiskFull | Self::ShuttingDown => 503,
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        match error.to_string() {
            text if text.is_empty() => Self::empty(error.status()),
            text => Self::text(error.status(), text),
        }
    }
}

impl From<ProposeError> for Error {
    fn from(error: ProposeError) -> Self {
        match error {
            // The node forwards to a leader it knows of, so this one did not know of any.
            ProposeError::NotLeader { .. } | ProposeError::Transferring => Self::NoClusterLeader,
            ProposeError::Overloaded { .. } => Self::Overloaded,
        }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NotLeader { .. } | ChangeError::Transferring => Self::NoClusterLeader,
            ChangeError::NotEstablished => {
                Self::Membership("the leader is not ready to change the servers yet; try again")
            }
            ChangeError::Pending => {
                Self::Membership("another change of the servers is not finished; try again")
            }
            ChangeError::NotApplicable => {
                Self::Membership("the servers have changed meanwhile; look at the list again")
            }
            ChangeError::LastVoter => {
                Self::Membership("the last voter cannot be removed; add another server first")
            }
        }
    }
}

impl From<TransferError> for Error {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::NotLeader { .. } => Self::NoClusterLeader,
            TransferError::InProgress => {
                Self::Membership("leadership is being transferred already; try again")
            }
            TransferError::NoTarget => {
                Self::Membership("there is no such other voter to transfer leadership to")
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::CheckNode { .. } => Self::bad(refusal.to_string()),
            Refusal::MissingService { .. }
            | Refusal::NameReserved(_)
            | Refusal::PreparedQuery(_) => Self::Refused(refusal.to_string()),
        }
    }
}

impl From<RegisterError> for Error {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::Service(_)
            | RegisterError::MissingCheckName
            | RegisterError::CheckStatus
            | RegisterError::Check(_)
            | RegisterError::RemoteScripts
            | RegisterError::LocalScripts
            | RegisterError::UnknownService(_) => Self::bad(error.to_string()),
            RegisterError::TooManyServices(_) | RegisterError::TooManyChecks(_) => {
                Self::TooMany(error.to_string())
            }
        }
    }
}

impl From<UpdateCheckError> for Error {
    fn from(error: UpdateCheckError) -> Self {
        match error {
            UpdateCheckError::NoTtl(_) => Self::not_found(error.to_string()),
        }
    }
}

impl From<MaintenanceError> for Error {
    fn from(error: MaintenanceError) -> Self {
        match error {
            MaintenanceError::UnknownService(_) => Self::not_found(error.to_string()),
        }
    }
}
