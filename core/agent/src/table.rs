//! The services and checks of this node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tribune_state::{Check, Node, Service, ServiceAddress, Weights};

use crate::check::{LocalCheck, Motor};
use crate::config::Config;
use crate::definition::{AddressDefinition, ServiceDefinition};

/// Everything registered here. Rows go in and out by the methods, which keep the indexes.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) node: Node,
    pub(crate) services: BTreeMap<String, LocalService>,
    /// Rows may be changed in place; ids and what a check is about may not.
    pub(crate) checks: BTreeMap<String, LocalCheck>,
    /// Invariant: the ids in `checks` by what they are about; the node is the empty id.
    by_service: BTreeMap<String, BTreeSet<String>>,
    /// Invariant: the ids in `checks` that copy others.
    aliases: BTreeSet<String>,
}

/// A service registered here.
#[derive(Debug)]
pub(crate) struct LocalService {
    pub(crate) definition: ServiceDefinition,
    pub(crate) origin: Origin,
    /// As the API and the catalog show it.
    pub(crate) row: Service,
}

/// Who registered something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A request. Survives a restart, if the agent keeps anything.
    Api,
    /// A configuration file, which is read again anyway.
    Config,
}

impl Tables {
    /// Nothing but the node.
    pub(crate) fn new(config: &Config) -> Self {
        let node = Node {
            id: Some(config.node_id),
            name: config.node.clone(),
            address: config.address.clone(),
            datacenter: config.datacenter.clone(),
            tagged_addresses: Some(config.tagged_addresses.clone()),
            meta: Some(config.meta.clone()),
            ..Node::default()
        };
        Self { node, ..Self::default() }
    }

    /// Add a check, or replace the one of its id, which comes back.
    pub(crate) fn insert_check(&mut self, check: LocalCheck) -> Option<LocalCheck> {
        let id = check.row.id.clone();
        let old = self.remove_check(&id);
        if matches!(check.motor, Motor::Alias(_)) {
            self.aliases.insert(id.clone());
        }
        self.by_service.entry(check.row.service_id.clone()).or_default().insert(id.clone());
        self.checks.insert(id, check);
        old
    }

    /// Remove a check.
    pub(crate) fn remove_check(&mut self, id: &str) -> Option<LocalCheck> {
        let check = self.checks.remove(id)?;
        self.aliases.remove(id);
        if let Some(ids) = self.by_service.get_mut(&check.row.service_id) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_service.remove(&check.row.service_id);
            }
        }
        Some(check)
    }

    /// The ids of the checks of a service; of the node if `service` is empty.
    pub(crate) fn check_ids(&self, service: &str) -> impl Iterator<Item = &String> {
        self.by_service.get(service).into_iter().flatten()
    }

    /// The checks that decide whether a service can be used: its own, and the node's.
    pub(crate) fn checks_about(&self, service: &str) -> impl Iterator<Item = &LocalCheck> {
        let own = (!service.is_empty()).then(|| self.check_ids(service)).into_iter().flatten();
        self.check_ids("").chain(own).map(|id| &self.checks[id])
    }

    /// The checks that copy others.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &String> {
        self.aliases.iter()
    }

    /// Give a service's checks the name and tags it has now.
    pub(crate) fn refresh_checks_of(&mut self, service: &str) {
        let Some(LocalService { row, .. }) = self.services.get(service) else { return };
        for id in self.by_service.get(service).into_iter().flatten() {
            let check = self.checks.get_mut(id).expect("indexed checks are there");
            check.row.service_name.clone_from(&row.name);
            check.row.service_tags.clone_from(&row.tags);
        }
    }

    /// Walk everything and compare the indexes. For `debug_assert`.
    pub(crate) fn is_consistent(&self) -> bool {
        let indexed: usize = self.by_service.values().map(BTreeSet::len).sum();
        let orphaned = |check: &Check| {
            !check.service_id.is_empty() && !self.services.contains_key(&check.service_id)
        };
        indexed == self.checks.len()
            && self.checks.iter().all(|(id, check)| {
                *id == check.row.id
                    && self.by_service.get(&check.row.service_id).is_some_and(|it| it.contains(id))
                    && matches!(check.motor, Motor::Alias(_)) == self.aliases.contains(id)
                    && !orphaned(&check.row)
            })
    }
}

/// The row that `definition` describes. It has been validated.
pub(crate) fn service_row(definition: &ServiceDefinition) -> Service {
    let written = definition.weights.as_ref();
    let weights = written.map(|it| Weights { passing: it.passing, warning: it.warning });
    let address =
        |it: &AddressDefinition| ServiceAddress { address: it.address.clone(), port: it.port };
    let mut tagged: BTreeMap<_, _> =
        definition.tagged_addresses.iter().map(|(tag, it)| (tag.clone(), address(it))).collect();
    // Clients that look for an address of one family find the only one there is.
    if let Ok(ip) = definition.address.parse::<IpAddr>() {
        let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
        for network in ["lan", "wan"] {
            tagged.entry(format!("{network}_{family}")).or_insert_with(|| ServiceAddress {
                address: definition.address.clone(),
                port: definition.port,
            });
        }
    }
    Service {
        id: definition.id().to_owned(),
        name: definition.name.clone(),
        tags: definition.tags.clone(),
        address: definition.address.clone(),
        tagged_addresses: (!tagged.is_empty()).then_some(tagged),
        meta: Some(definition.meta.clone()),
        port: definition.port,
        weights: weights.unwrap_or_default(),
        enable_tag_override: definition.enable_tag_override,
        kind: definition.kind.clone(),
        ..Service::default()
    }
}
