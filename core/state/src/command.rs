//! What the log's entries mean, and their bytes.
//!
//! A command is a message of three fields: its kind, whether a server that does not know the kind
//! may ignore it, and a body. A server that meets a command it neither knows nor may ignore has to
//! stop: applying the rest without it would make it another state than its peers'.

mod codec;

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::codec as wire;
use tribune_base::id::{Index, NodeId};

use crate::autopilot::SetAutopilot;
use crate::coordinate::SetCoordinate;
use crate::kv;
use crate::prepared_query;
use crate::types::{Check, Service};

/// One change of the state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Change keys.
    Kv(kv::Command),
    /// Add or update a node, with services and checks: all of it or nothing.
    Register(Registration),
    /// Remove a node, a service or a check.
    Deregister(Deregistration),
    /// Change how servers are taken care of.
    SetAutopilot(SetAutopilot),
    /// Change the prepared queries.
    PreparedQuery(prepared_query::Command),
    /// Say where a node is.
    SetCoordinate(SetCoordinate),
    /// Forget deletions up to and including this index.
    ReapTombstones {
        /// The newest deletion to forget.
        through: Index,
    },
    /// Several at once, at one index; each with an outcome of its own. Holds no other batch.
    Batch(Vec<Self>),
    /// Of a newer release, which says that it may be ignored.
    Ignored,
}

/// What to write about one node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/catalog/register`.
pub struct Registration {
    /// Without one, the node keeps the one it has.
    pub id: Option<NodeId>,
    pub node: String,
    pub address: String,
    pub datacenter: String,
    pub tagged_addresses: Option<BTreeMap<String, String>>,
    pub node_meta: Option<BTreeMap<String, String>>,
    pub services: Vec<Service>,
    pub checks: Vec<Check>,
    /// Leave the row of the node alone if there is one.
    pub skip_node_update: bool,
}

/// What to remove of one node: a service and its checks, else a check, else everything.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Deregistration {
    /// The node.
    pub node: String,
    /// The service; empty for none.
    pub service_id: String,
    /// The check; empty for none. Means nothing beside a service.
    pub check_id: String,
}

/// Why bytes are not a command.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No release of ours wrote this. The entry is damaged.
    #[error("malformed command: {0}")]
    Malformed(#[from] wire::DecodeError),
    /// A newer release wrote this, and it must not be ignored. This server has to stop.
    #[error("unknown command {kind}: this server is too old")]
    Unknown {
        /// The number of the kind.
        kind: u64,
    },
}

impl Command {
    /// The command's bytes.
    pub fn encode(&self) -> Bytes {
        codec::encode(self)
    }

    /// Read a command.
    ///
    /// # Errors
    ///
    /// The bytes are damaged, or of a release that knows more than this one.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        codec::decode(bytes)
    }
}

#[cfg(test)]
mod tests;
