//! One server's copy of the state.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tribune_base::coordinate::Coordinate;
use tribune_base::id::{Index, Uuid};
use tribune_base::time::WallTime;

use crate::autopilot;
use crate::catalog::{Catalog, Changes, HealthInstance, Instance, NodeServices};
use crate::command::Command;
use crate::kv::{self, Kv};
use crate::outcome::{Outcome, Refusal};
use crate::prepared_query::{self, PreparedQuery};
use crate::snapshot::{self, RestoreError};
use crate::types::{Check, Node, Status};
use crate::watch::{Topic, Touch};

/// The state, as the log has made it so far. See the [crate documentation](crate).
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Store {
    state: Snapshot,
}

/// The state as it was after some entry of the log. Cheap to take, to clone and to keep.
///
/// Every question has an index, which is the `X-Consul-Index` of its answer, and never zero.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Snapshot {
    pub(crate) index: Index,
    pub(crate) kv: Kv,
    pub(crate) catalog: Catalog,
    pub(crate) autopilot: autopilot::Table,
    pub(crate) queries: prepared_query::Table,
}

/// What a command did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Applied {
    /// For whoever asked.
    pub outcome: Outcome,
    /// For whoever waits: hand each to [`Watches::touch`](crate::Watches::touch).
    pub touched: Vec<Touch>,
}

impl Store {
    /// Make the state what `command`, the log's entry at `index`, says. `stamp` is the wall-clock
    /// time of the leader that proposed it.
    pub fn apply(&mut self, index: Index, stamp: WallTime, command: &Command) -> Applied {
        assert!(self.state.index < index, "applied {index} after {}", self.state.index);
        let _ = stamp; // Nothing that is stored yet has a time.
        self.state.index = index;
        let mut changes = Changes::new(index);
        let mut touched = Vec::new();
        let outcome = self.state.change(command, &mut changes, &mut touched);
        touched.extend(changes.topics.into_iter().map(Touch::Topic));
        Applied { outcome, touched }
    }

    /// The state as it is now, in constant time.
    pub fn snapshot(&self) -> Snapshot {
        self.state.clone()
    }

    /// The state as it is now, to look at while nothing is applied.
    pub const fn view(&self) -> &Snapshot {
        &self.state
    }

    /// The index of the last command that was applied; zero if there was none.
    pub const fn index(&self) -> Index {
        self.state.index
    }

    /// A store from the chunks of [`Snapshot::records`], in their order.
    ///
    /// # Errors
    ///
    /// The chunks are damaged, incomplete, or of a release that knows more than this one.
    pub fn restore(chunks: impl IntoIterator<Item = Bytes>) -> Result<Self, RestoreError> {
        snapshot::restore(chunks).map(|state| Self { state })
    }
}

impl Snapshot {
    /// Whether every row has what it refers to, and every lookup leads to its row. O(size).
    ///
    /// # Errors
    ///
    /// What is wrong. The server that finds this out must stop.
    pub fn check_integrity(&self) -> Result<(), &'static str> {
        self.kv.check_integrity(self.index)?;
        self.catalog.check_integrity(self.index)?;
        self.autopilot.check_integrity(self.index)?;
        self.queries.check_integrity(self.index)
    }

    fn change(
        &mut self,
        command: &Command,
        changes: &mut Changes,
        touched: &mut Vec<Touch>,
    ) -> Outcome {
        match command {
            Command::Kv(command) => Outcome::Done(self.kv.apply(changes.at, command, touched)),
            Command::Register(registration) => match self.catalog.register(registration, changes) {
                Ok(()) => Outcome::Done(true),
                Err(refusal) => Outcome::Refused(refusal),
            },
            Command::Deregister(deregistration) => {
                self.catalog.deregister(deregistration, changes);
                Outcome::Done(true)
            }
            Command::SetAutopilot(command) => {
                let (held, changed) = self.autopilot.set(changes.at, command);
                if changed {
                    touched.push(Touch::Topic(Topic::Autopilot));
                }
                Outcome::Done(held)
            }
            Command::PreparedQuery(command) => match self.queries.apply(changes.at, command) {
                Ok(changed) => {
                    if changed {
                        touched.push(Touch::Topic(Topic::PreparedQueries));
                    }
                    Outcome::Done(true)
                }
                Err(refusal) => Outcome::Refused(Refusal::PreparedQuery(refusal)),
            },
            Command::SetCoordinate(command) => {
                self.catalog.place(&command.node, command.spot);
                Outcome::Done(true)
            }
            Command::ReapTombstones { through } => {
                self.kv.reap(*through);
                Outcome::Done(true)
            }
            Command::Batch(commands) => {
                let each = commands.iter().map(|it| self.change(it, changes, touched));
                Outcome::Batch(each.collect())
            }
            Command::Ignored => Outcome::Ignored,
        }
    }
}

/// Questions. Names of nodes and services are found in any case.
impl Snapshot {
    /// The index of the last command in it; zero if there was none.
    pub const fn index(&self) -> Index {
        self.index
    }

    /// The index of the answer to what `topic` asks, without the answer: the same as the one that
    /// comes with it.
    pub fn index_of(&self, topic: &Topic) -> Index {
        match topic {
            Topic::Kv(key) => self.kv.index_of(key),
            Topic::KvPrefix(prefix) => self.kv.index_under(prefix),
            Topic::Autopilot => self.autopilot.newest().max(Index(1)),
            Topic::PreparedQueries => self.queries.newest.max(Index(1)),
            Topic::Catalog
            | Topic::Nodes
            | Topic::Services
            | Topic::Service(_)
            | Topic::Health(_)
            | Topic::NodeServices(_)
            | Topic::NodeChecks(_)
            | Topic::ServiceChecks(_)
            | Topic::ChecksState(_) => self.catalog.index_of(topic),
        }
    }

    /// How many keys there are.
    pub fn key_count(&self) -> usize {
        self.kv.rows.len()
    }

    /// How many deletions are remembered: without any, there is nothing to reap.
    pub fn tombstone_count(&self) -> usize {
        self.kv.graves.len() + self.kv.tree_graves.len()
    }

    /// One key. Its topic is [`Topic::Kv`].
    pub fn kv_get(&self, key: &[u8]) -> (Index, Option<&kv::Entry>) {
        match self.kv.get(key) {
            Some(entry) => (entry.modify(), Some(entry)),
            None => (self.kv.index_of(key), None),
        }
    }

    /// All keys that start with `prefix`, in order, each with its entry. Their topic is
    /// [`Topic::KvPrefix`].
    pub fn kv_list<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> (Index, impl Iterator<Item = (&'a [u8], &'a kv::Entry)>) {
        (self.kv.index_under(prefix), self.kv.list(prefix).map(|it| (it.key(), it)))
    }

    /// The settings of autopilot; `None` if nobody ever set them, and the defaults are in force.
    /// Their topic is [`Topic::Autopilot`].
    pub fn autopilot(&self) -> (Index, Option<&autopilot::Row>) {
        (self.index_of(&Topic::Autopilot), self.autopilot.row.as_ref())
    }

    /// Where nodes are, by name, as far as somebody has written it down; for those who cannot measure it
    /// themselves. No topic tells when one moves.
    pub fn coordinates(&self) -> impl Iterator<Item = (&str, Coordinate)> {
        self.catalog.coordinates()
    }

    /// Where a node is, as far as somebody has written it down.
    pub fn coordinate(&self, node: &str) -> Option<Coordinate> {
        self.catalog.coordinate(node)
    }

    /// All prepared queries, by id. Their topic is [`Topic::PreparedQueries`].
    pub fn prepared_queries(&self) -> (Index, impl DoubleEndedIterator<Item = &PreparedQuery>) {
        let rows = self.queries.rows.values().map(|it| &**it);
        (self.index_of(&Topic::PreparedQueries), rows)
    }

    /// One prepared query. Its topic is [`Topic::PreparedQueries`].
    pub fn prepared_query(&self, id: Uuid) -> (Index, Option<&PreparedQuery>) {
        (self.index_of(&Topic::PreparedQueries), self.queries.get(id))
    }

    /// The prepared query that answers to `text`: by its id, by its name, or by its template.
    pub fn resolve_query(&self, text: &str) -> Option<&PreparedQuery> {
        self.queries.resolve(text)
    }

    /// All nodes, by name. Their topic is [`Topic::Nodes`].
    pub fn nodes(&self) -> (Index, impl DoubleEndedIterator<Item = &Node>) {
        (self.index_of(&Topic::Nodes), self.catalog.nodes())
    }

    /// The node called `name`. Its topic is [`Topic::NodeServices`].
    pub fn node(&self, name: &str) -> (Index, Option<&Node>) {
        (self.index_of(&Topic::node_services(name)), self.catalog.node(name))
    }

    /// The node called `text`, else the one whose id that is, else the only one whose id starts
    /// with it, if those are at least two characters.
    pub fn resolve_node(&self, text: &str) -> Option<&Node> {
        self.catalog.resolve(text)
    }

    /// The names of all services, as they are spelled, and the tags that any instance has. Their
    /// topic is [`Topic::Services`].
    pub fn services(&self) -> (Index, BTreeMap<&str, BTreeSet<&str>>) {
        (self.index_of(&Topic::Services), self.catalog.services())
    }

    /// The instances of a service, by node and id. Their topic is [`Topic::Service`].
    pub fn service(&self, name: &str) -> (Index, Vec<Instance<'_>>) {
        (self.index_of(&Topic::service(name)), self.catalog.service(name))
    }

    /// A node and its services. Their topic is [`Topic::NodeServices`].
    pub fn node_services(&self, name: &str) -> (Index, Option<NodeServices<'_>>) {
        (self.index_of(&Topic::node_services(name)), self.catalog.node_services(name))
    }

    /// The instances of a service, by node and id, with their checks and those of their nodes.
    /// Their topic is [`Topic::Health`].
    pub fn health_service(&self, name: &str) -> (Index, Vec<HealthInstance<'_>>) {
        (self.index_of(&Topic::health(name)), self.catalog.health_service(name))
    }

    /// The checks on a node, those of its services too. Their topic is [`Topic::NodeChecks`].
    pub fn node_checks(&self, name: &str) -> (Index, Vec<&Check>) {
        (self.index_of(&Topic::node_checks(name)), self.catalog.node_checks(name))
    }

    /// The checks of the instances of a service. Their topic is [`Topic::ServiceChecks`].
    pub fn service_checks(&self, name: &str) -> (Index, Vec<&Check>) {
        (self.index_of(&Topic::service_checks(name)), self.catalog.service_checks(name))
    }

    /// The checks in one state, or all of them, by node and id. Their topic is
    /// [`Topic::ChecksState`].
    pub fn checks_in_state(&self, status: Option<Status>) -> (Index, Vec<&Check>) {
        (self.index_of(&Topic::ChecksState(status)), self.catalog.checks_in_state(status))
    }

    /// The nodes that have this IP address, for reverse DNS.
    pub fn node_by_address(&self, address: &str) -> Vec<&Node> {
        self.catalog.node_by_address(address)
    }

    /// The instances that have this IP address of their own, for reverse DNS.
    pub fn service_by_address(&self, address: &str) -> Vec<Instance<'_>> {
        self.catalog.service_by_address(address)
    }
}

#[cfg(test)]
mod tests;
