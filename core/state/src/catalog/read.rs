//! Questions about the catalog, and their indexes.

use std::cmp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tribune_base::coordinate::Coordinate;
use tribune_base::id::{Index, NodeId, Uuid};

use super::{Catalog, Entry, Group, place, write};
use crate::types::{Check, Name, Node, Service, Status, fold};
use crate::watch::Topic;

/// A service on a node.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// Where it runs.
    pub node: &'a Node,
    /// What it is.
    pub service: &'a Service,
}

/// A service on a node, and everything that is known about its health.
#[derive(Clone, Debug)]
pub struct HealthInstance<'a> {
    /// Where it runs.
    pub node: &'a Node,
    /// What it is.
    pub service: &'a Service,
    /// The checks of its node, and then its own, by their ids.
    pub checks: Vec<&'a Check>,
}

/// A node and all services on it.
#[derive(Clone, Debug)]
pub struct NodeServices<'a> {
    /// The node.
    pub node: &'a Node,
    /// Its services, by their ids.
    pub services: Vec<&'a Service>,
}

impl Catalog {
    pub(crate) fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.nodes.values().map(|it| &*it.node)
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|it| &*it.node)
    }

    /// Where nodes are, by name, as far as somebody has written it down.
    pub(crate) fn coordinates(&self) -> impl Iterator<Item = (&str, Coordinate)> {
        let node = |key: &Name| &*self.nodes.get(key).expect("whoever is somewhere is there").node;
        self.spots.iter().map(move |(key, it)| (node(key).name.as_str(), (*it).into()))
    }

    pub(crate) fn coordinate(&self, node: &str) -> Option<Coordinate> {
        // Mostly there are none, and this is asked for each row.
        if self.spots.is_empty() {
            return None;
        }
        self.spots.get(&fold(node)).map(|it| (*it).into())
    }

    /// By name, else by id, else by the start of an id that only one node has.
    pub(crate) fn resolve(&self, text: &str) -> Option<&Node> {
        if let Some(node) = self.node(text) {
            return Some(node);
        }
        let (low, high) = id_range(text)?;
        let mut found = self.ids.range::<_, NodeId>(low..=high);
        let (_, name) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        self.nodes.get(name).map(|it| &*it.node)
    }

    pub(crate) fn services(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in self.nodes.values() {
            for service in entry.services.values() {
                let tags = services.entry(&service.name).or_default();
                tags.extend(service.tags.iter().map(String::as_str));
            }
        }
        services
    }

    pub(crate) fn service(&self, name: &str) -> Vec<Instance<'_>> {
        let instances = self.instances(name);
        instances.map(|(entry, service)| Instance { node: &entry.node, service }).collect()
    }

    pub(crate) fn health_service(&self, name: &str) -> Vec<HealthInstance<'_>> {
        let mut answer = Vec::new();
        for (entry, service) in self.instances(name) {
            let checks = entry.checks.values().map(|it| &**it);
            let checks = checks.filter(|it| it.is_of_node() || it.service_id == service.id);
            let mut checks: Vec<_> = checks.collect();
            checks.sort_by_key(|it| !it.is_of_node());
            answer.push(HealthInstance { node: &entry.node, service, checks });
        }
        answer
    }

    pub(crate) fn node_services(&self, name: &str) -> Option<NodeServices<'_>> {
        let entry = self.entry(name)?;
        let services = entry.services.values().map(|it| &**it).collect();
        Some(NodeServices { node: &entry.node, services })
    }

    pub(crate) fn node_checks(&self, name: &str) -> Vec<&Check> {
        let checks = self.entry(name).into_iter().flat_map(|it| it.checks.values());
        checks.map(|it| &**it).collect()
    }

    pub(crate) fn service_checks(&self, name: &str) -> Vec<&Check> {
        let mut answer = Vec::new();
        for (entry, service) in self.instances(name) {
            let checks = entry.checks.values().map(|it| &**it);
            answer.extend(checks.filter(|it| it.service_id == service.id));
        }
        answer
    }

    pub(crate) fn checks_in_state(&self, status: Option<Status>) -> Vec<&Check> {
        let Some(status) = status else {
            let checks = self.nodes.values().flat_map(|it| it.checks.values());
            return checks.map(|it| &**it).collect();
        };
        let keys = place(status).into_iter().flat_map(|it| self.by_status[it].iter());
        let checks = keys.filter_map(|((node, id), ())| self.nodes.get(node)?.checks.get(id));
        checks.map(|it| &**it).collect()
    }

    pub(crate) fn node_by_address(&self, address: &str) -> Vec<&Node> {
        let Some(ip) = write::ip(address) else { return Vec::new() };
        let from = (ip, Name::from(""));
        let there = self.node_addresses.range(from..).map(|(key, ())| key);
        let names = there.take_while(|it| it.0 == ip).map(|it| &it.1);
        names.filter_map(|it| self.nodes.get(it)).map(|it| &*it.node).collect()
    }

    pub(crate) fn service_by_address(&self, address: &str) -> Vec<Instance<'_>> {
        let Some(ip) = write::ip(address) else { return Vec::new() };
        let from = (ip, Name::from(""), Name::from(""));
        let there = self.service_addresses.range(from..).map(|(key, ())| key);
        let keys = there.take_while(|it| it.0 == ip);
        let found = keys.filter_map(|(_, node, id)| {
            let entry = self.nodes.get(node)?;
            Some(Instance { node: &entry.node, service: entry.services.get(id)? })
        });
        found.collect()
    }

    /// The index of `topic`, if it is about nodes, services or checks.
    pub(crate) fn index_of(&self, topic: &Topic) -> Index {
        let newest = &self.newest;
        let index = match topic {
            Topic::Kv(_) | Topic::KvPrefix(_) | Topic::Autopilot | Topic::PreparedQueries => {
                Index(0)
            }
            Topic::Catalog => newest.nodes.max(newest.services).max(newest.checks),
            Topic::Nodes => newest.nodes,
            Topic::Services => newest.services,
            Topic::Service(name) => self.group_index(name, |it| it.newest),
            Topic::Health(name) => self.group_index(name, |it| it.newest_health),
            Topic::ServiceChecks(name) => self.group_index(name, |it| it.newest_check),
            Topic::NodeServices(name) => self.nodes.get(name).map_or(newest.nodes, |it| it.newest),
            Topic::NodeChecks(name) => {
                let own = self.nodes.get(name).map(|it| it.newest_check);
                own.filter(|it| *it != Index(0)).unwrap_or(newest.checks)
            }
            Topic::ChecksState(None) => newest.checks,
            Topic::ChecksState(Some(status)) => {
                place(*status).map_or(Index(0), |it| newest.status[it])
            }
        };
        cmp::max(index, Index(1))
    }

    /// Of a service without instances only one thing is remembered, for all of them: when one
    /// went last.
    fn group_index(&self, name: &Name, of: impl Fn(&Group) -> Index) -> Index {
        let newest = &self.newest;
        match self.groups.get(name) {
            Some(group) => of(group),
            None if newest.extinction != Index(0) => newest.extinction,
            None => newest.services,
        }
    }

    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        self.nodes.get(&fold(name))
    }

    fn instances(&self, name: &str) -> impl Iterator<Item = (&Entry, &Service)> {
        let keys = self.groups.get(&fold(name)).into_iter().flat_map(|it| it.instances.iter());
        keys.filter_map(|((node, id), ())| {
            let entry = self.nodes.get(node)?;
            Some((&**entry, &**entry.services.get(id)?))
        })
    }
}

/// The ids that start with `text`: at least two digits of `8-4-4-4-12`.
fn id_range(text: &str) -> Option<(NodeId, NodeId)> {
    if text.len() < 2 || 36 < text.len() {
        return None;
    }
    let mut low = String::from("00000000-0000-0000-0000-000000000000");
    let mut high = String::from("ffffffff-ffff-ffff-ffff-ffffffffffff");
    low.replace_range(..text.len(), text);
    high.replace_range(..text.len(), text);
    let parse = |it: &str| it.parse::<Uuid>().ok().map(NodeId);
    Some((parse(&low)?, parse(&high)?))
}
