//! The catalog: which nodes there are, which services on them, and what checks say of both.
//!
//! A node's entry holds its services and checks, so that what belongs together is found and
//! removed together. Services are grouped by name beside that. Each entry and group remembers its
//! newest changes, which are the indexes of the questions about it.

mod integrity;
mod read;
mod register;
mod restore;
mod write;

use std::net::IpAddr;
use std::sync::Arc;

use tribune_base::id::{Index, NodeId};
use tribune_base::tree::Tree;

pub use self::read::{HealthInstance, Instance, NodeServices};
pub use self::register::SERF_HEALTH;
pub(crate) use self::write::Changes;
use crate::coordinate::Spot;
use crate::types::{Check, Name, Node, Service, Status};

/// Everything about nodes, services and checks. Names of nodes and services are folded keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Catalog {
    pub(crate) nodes: Tree<Name, Arc<Entry>>,
    /// Services by name. Invariant: no group is empty, and each instance is in exactly one.
    pub(crate) groups: Tree<Name, Arc<Group>>,
    pub(crate) newest: Newest,
    /// Where nodes are, as far as somebody has said so. Invariant: each of them is there.
    pub(crate) spots: Tree<Name, Spot>,

    /// Invariant: these say the same as `nodes`, the other way round.
    ids: Tree<NodeId, Name>,
    /// The checks in each state that a check can have, by node and id.
    by_status: [Tree<(Name, Name), ()>; 3],
    node_addresses: Tree<(IpAddr, Name), ()>,
    service_addresses: Tree<(IpAddr, Name, Name), ()>,
}

/// A node and what is on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) node: Arc<Node>,
    /// By their ids.
    pub(crate) services: Tree<Name, Arc<Service>>,
    /// By their ids. Invariant: those of a service are of one in `services`.
    pub(crate) checks: Tree<Name, Arc<Check>>,
    /// The newest change to the node's row or its services.
    pub(crate) newest: Index,
    /// The newest change to its checks; zero if there never was one.
    pub(crate) newest_check: Index,
}

/// The instances of one service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Group {
    /// By node and id.
    pub(crate) instances: Tree<(Name, Name), ()>,
    /// The newest change to an instance or the row of its node.
    pub(crate) newest: Index,
    /// The newest change to any of that, or to a check of an instance or its node.
    pub(crate) newest_health: Index,
    /// The newest change to a check of an instance.
    pub(crate) newest_check: Index,
}

/// The newest change to each table.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Newest {
    pub(crate) nodes: Index,
    pub(crate) services: Index,
    pub(crate) checks: Index,
    /// When a service lost its last instance.
    pub(crate) extinction: Index,
    /// The newest change to a check that was or is in each state.
    pub(crate) status: [Index; 3],
}

/// The place of a status among those that a check can have.
fn place(status: Status) -> Option<usize> {
    match status {
        Status::Passing => Some(0),
        Status::Warning => Some(1),
        Status::Critical => Some(2),
        Status::Maintenance => None,
    }
}

#[cfg(test)]
mod tests;
