//! Rows of the catalog, with the fields of the API.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tribune_base::id::{Index, NodeId};

use crate::definition::Definition;

/// A name in the spelling that lookups use: names of nodes and services are equal if they differ
/// in case only, as they are in DNS.
pub type Name = Arc<str>;

/// The spelling of `name` that lookups use.
pub fn fold(name: &str) -> Name {
    if name.bytes().any(|it| it.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// A machine, or something that is treated as one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/catalog/nodes`.
pub struct Node {
    /// Absent for nodes that no agent runs on.
    pub id: Option<NodeId>,
    pub name: String,
    pub address: String,
    pub datacenter: String,
    pub tagged_addresses: Option<BTreeMap<String, String>>,
    pub meta: Option<BTreeMap<String, String>>,
    pub create: Index,
    pub modify: Index,
}

/// One instance of a service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/catalog/service/:name`.
pub struct Service {
    /// Unique on its node, and compared exactly.
    pub id: String,
    pub name: String,
    pub tags: Vec<String>,
    pub address: String,
    pub tagged_addresses: Option<BTreeMap<String, ServiceAddress>>,
    pub meta: Option<BTreeMap<String, String>>,
    /// Wider than a port, because the API is.
    pub port: i64,
    pub weights: Weights,
    pub enable_tag_override: bool,
    pub kind: String,
    /// Ignored in a registration.
    pub create: Index,
    /// Ignored in a registration.
    pub modify: Index,
}

/// Where else a service can be reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct ServiceAddress {
    pub address: String,
    pub port: i64,
}

/// How much of the load an instance should get, by its health.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct Weights {
    pub passing: i64,
    pub warning: i64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { passing: 1, warning: 1 }
    }
}

/// What somebody found out about a node or a service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/health/node/:node`.
pub struct Check {
    /// In a registration: empty, or the node that is registered.
    pub node: String,
    /// Unique on its node, and compared exactly.
    pub id: String,
    pub name: String,
    pub status: Status,
    pub notes: String,
    pub output: String,
    /// Empty for a check of the node as a whole.
    pub service_id: String,
    /// Follows from the service. Ignored in a registration.
    pub service_name: String,
    /// Follows from the service. Ignored in a registration.
    pub service_tags: Vec<String>,
    /// How it is checked: `ttl`, `http`, …, or empty.
    pub kind: String,
    /// What whoever checks it wants to read here again. Agents want nothing.
    pub definition: Option<Box<Definition>>,
    /// Ignored in a registration.
    pub create: Index,
    /// Ignored in a registration.
    pub modify: Index,
}

/// The state of a check, or of several; ordered from best to worst.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The words are those of the API.
pub enum Status {
    Passing,
    Warning,
    /// What a check is until somebody says otherwise.
    #[default]
    Critical,
    /// Of aggregates only: somebody is working on it.
    Maintenance,
}

impl Node {
    /// Whether the two say the same, whenever they were written.
    pub fn same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.address == other.address
            && self.datacenter == other.datacenter
            && self.tagged_addresses == other.tagged_addresses
            && self.meta == other.meta
    }
}

impl Service {
    /// Whether the two say the same, whenever they were written.
    pub fn same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.tags == other.tags
            && self.address == other.address
            && self.tagged_addresses == other.tagged_addresses
            && self.meta == other.meta
            && self.port == other.port
            && self.weights == other.weights
            && self.enable_tag_override == other.enable_tag_override
            && self.kind == other.kind
    }
}

impl Check {
    /// Whether the two say the same, whenever they were written.
    pub fn same(&self, other: &Self) -> bool {
        self.node == other.node
            && self.id == other.id
            && self.name == other.name
            && self.status == other.status
            && self.notes == other.notes
            && self.output == other.output
            && self.service_id == other.service_id
            && self.service_name == other.service_name
            && self.service_tags == other.service_tags
            && self.kind == other.kind
            && self.definition == other.definition
    }

    /// Whether this is about the node as a whole, and so about every service on it.
    pub const fn is_of_node(&self) -> bool {
        self.service_id.is_empty()
    }
}

impl Status {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is not the state of a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a status of a check")]
pub struct StatusError;

impl FromStr for Status {
    type Err = StatusError;

    /// Reads the states that a check can be in; `maintenance` is only ever an aggregate.
    fn from_str(word: &str) -> Result<Self, StatusError> {
        match word {
            "passing" => Ok(Self::Passing),
            "warning" => Ok(Self::Warning),
            "critical" => Ok(Self::Critical),
            _ => Err(StatusError),
        }
    }
}

#[test]
fn names_fold_case_and_nothing_else() {
    assert_eq!(&*fold("Web-1"), "web-1");
    assert_eq!(&*fold("Ünit"), "Ünit");
}

#[test]
fn a_check_is_never_in_maintenance() {
    assert_eq!("maintenance".parse::<Status>(), Err(StatusError));
    assert_eq!(Status::Warning.as_str().parse(), Ok(Status::Warning));
}
