//! Changing rows, and everything that follows from it: indexes, groups, touches.
//!
//! Each function here changes one row, does nothing if the row already says so, and leaves the
//! catalog consistent. Rules about who may write what are in [`register`](super::register).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use tribune_base::bug;
use tribune_base::id::Index;

use super::{Catalog, Entry, place};
use crate::coordinate::Spot;
use crate::types::{Check, Name, Node, Service, Status, fold};
use crate::watch::Topic;

/// What one command changes, and at which index.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) at: Index,
    pub(crate) topics: BTreeSet<Topic>,
}

/// What changed about a service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Aspect {
    /// An instance, or its node's row.
    Rows,
    /// A check of an instance.
    Check,
    /// A check of an instance's node.
    NodeCheck,
}

impl Changes {
    pub(crate) const fn new(at: Index) -> Self {
        Self { at, topics: BTreeSet::new() }
    }

    fn touch(&mut self, topic: Topic) {
        self.topics.insert(topic);
    }
}

impl Catalog {
    /// Add or replace the row of a node.
    pub(super) fn put_node(&mut self, mut node: Node, changes: &mut Changes) {
        let key = fold(&node.name);
        let old = self.nodes.get(&key).map(|it| Arc::clone(&it.node));
        if old.as_ref().is_some_and(|it| it.same(&node)) {
            return;
        }
        let moved = old.as_ref().is_some_and(|it| it.address != node.address);
        node.create = old.as_ref().map_or(changes.at, |it| it.create);
        node.modify = changes.at;
        let node = Arc::new(node);
        let renamed = old.as_ref().is_some_and(|it| it.name != node.name);
        self.index_node(&key, old.as_deref(), Some(&node));
        match self.entry_mut(&key) {
            Some(entry) => entry.node = Arc::clone(&node),
            None => {
                let entry = Entry::new(Arc::clone(&node));
                self.nodes.insert(Arc::clone(&key), Arc::new(entry));
            }
        }
        if !(moved && bug!(C04)) {
            self.node_changed(&key, changes);
        }
        if renamed {
            // Checks carry the name of their node in its own spelling.
            for check in self.checks_on(&key, |_| true) {
                self.put_check(&key, Check { node: node.name.clone(), ..check }, changes);
            }
        }
    }

    /// Remove a node and everything on it.
    pub(super) fn remove_node(&mut self, key: &Name, changes: &mut Changes) {
        let Some(entry) = self.nodes.get(key).cloned() else { return };
        for (id, _) in entry.services.iter() {
            self.remove_service(key, id, changes);
        }
        for (id, _) in entry.checks.iter() {
            self.remove_check(key, id, changes);
        }
        self.index_node(key, Some(&entry.node), None);
        self.nodes.remove(key);
        self.spots.remove(key);
        self.node_changed(key, changes);
    }

    /// Note where a node is, if it is there.
    pub(crate) fn place(&mut self, node: &str, spot: Spot) {
        let key = fold(node);
        if self.nodes.contains_key(&key) {
            self.spots.insert(key, spot);
        }
    }

    /// Add or replace a service of a node that is there. Its checks follow it, but for `rewritten`,
    /// which the caller puts next: in between they would be what nobody ever sees.
    pub(super) fn put_service(
        &mut self,
        key: &Name,
        mut service: Service,
        rewritten: &[Check],
        changes: &mut Changes,
    ) {
        let entry = self.nodes.get(key).expect("the node of a service is there");
        let id = Name::from(service.id.as_str());
        let old = entry.services.get(&id).cloned();
        if old.as_ref().is_some_and(|it| it.same(&service)) {
            return;
        }
        service.create = old.as_ref().map_or(changes.at, |it| it.create);
        service.modify = changes.at;
        let service = Arc::new(service);
        self.index_service(key, &id, old.as_deref(), Some(&service));
        if let Some(entry) = self.entry_mut(key) {
            entry.services.insert(Arc::clone(&id), Arc::clone(&service));
        }
        self.regroup(key, &id, old.as_deref(), Some(&service), changes);
        self.service_changed(key, changes);

        let Some(old) = old else { return };
        if old.name != service.name || old.tags != service.tags {
            let follows = |it: &Check| {
                it.service_id == service.id && rewritten.iter().all(|other| other.id != it.id)
            };
            for check in self.checks_on(key, follows) {
                let (service_name, service_tags) = (service.name.clone(), service.tags.clone());
                self.put_check(key, Check { service_name, service_tags, ..check }, changes);
            }
        }
    }

    /// Remove a service and its checks.
    pub(super) fn remove_service(&mut self, key: &Name, id: &Name, changes: &mut Changes) {
        let Some(old) = self.nodes.get(key).and_then(|it| it.services.get(id)).cloned() else {
            return;
        };
        for check in self.checks_on(key, |it| it.service_id == old.id && !bug!(C02)) {
            self.remove_check(key, &check.id.into(), changes);
        }
        self.index_service(key, id, Some(&old), None);
        if let Some(entry) = self.entry_mut(key) {
            entry.services.remove(id);
        }
        self.regroup(key, id, Some(&old), None, changes);
        self.service_changed(key, changes);
    }

    /// Add or replace a check of a node that is there, and of a service that is there or none.
    pub(super) fn put_check(&mut self, key: &Name, mut check: Check, changes: &mut Changes) {
        let entry = self.nodes.get(key).expect("the node of a check is there");
        let id = Name::from(check.id.as_str());
        let old = entry.checks.get(&id).cloned();
        if old.as_ref().is_some_and(|it| it.same(&check)) {
            return;
        }
        check.create = old.as_ref().map_or(changes.at, |it| it.create);
        check.modify = changes.at;
        let check = Arc::new(check);
        self.index_check(key, &id, old.as_deref(), Some(&check));
        if let Some(entry) = self.entry_mut(key) {
            entry.checks.insert(id, Arc::clone(&check));
        }
        self.check_changed(key, old.as_deref(), Some(&check), changes);
    }

    /// Remove a check.
    pub(super) fn remove_check(&mut self, key: &Name, id: &Name, changes: &mut Changes) {
        let Some(old) = self.nodes.get(key).and_then(|it| it.checks.get(id)).cloned() else {
            return;
        };
        self.index_check(key, id, Some(&old), None);
        if let Some(entry) = self.entry_mut(key) {
            entry.checks.remove(id);
        }
        self.check_changed(key, Some(&old), None, changes);
    }

    fn entry_mut(&mut self, key: &Name) -> Option<&mut Entry> {
        self.nodes.get_mut(key).map(Arc::make_mut)
    }

    fn checks_on(&self, key: &Name, which: impl Fn(&Check) -> bool) -> Vec<Check> {
        let checks = self.nodes.get(key).into_iter().flat_map(|it| it.checks.values());
        checks.filter(|it| which(it)).map(|it| Check::clone(it)).collect()
    }

    /// The names of the services on a node.
    fn groups_on(&self, key: &Name) -> BTreeSet<Name> {
        let services = self.nodes.get(key).into_iter().flat_map(|it| it.services.values());
        services.map(|it| fold(&it.name)).collect()
    }
}

/// What follows from a change: newest indexes, and who is told.
impl Catalog {
    fn node_changed(&mut self, key: &Name, changes: &mut Changes) {
        self.newest.nodes = changes.at;
        changes.touch(Topic::Nodes);
        changes.touch(Topic::Catalog);
        changes.touch(Topic::NodeServices(Arc::clone(key)));
        if let Some(entry) = self.entry_mut(key) {
            entry.newest = changes.at;
        }
        for name in self.groups_on(key) {
            self.group_changed(&name, Aspect::Rows, changes);
        }
    }

    fn service_changed(&mut self, key: &Name, changes: &mut Changes) {
        self.newest.services = changes.at;
        changes.touch(Topic::Services);
        changes.touch(Topic::Catalog);
        changes.touch(Topic::NodeServices(Arc::clone(key)));
        if let Some(entry) = self.entry_mut(key) {
            entry.newest = changes.at;
        }
    }

    fn check_changed(
        &mut self,
        key: &Name,
        old: Option<&Check>,
        new: Option<&Check>,
        changes: &mut Changes,
    ) {
        self.newest.checks = changes.at;
        changes.touch(Topic::ChecksState(None));
        changes.touch(Topic::Catalog);
        changes.touch(Topic::NodeChecks(Arc::clone(key)));
        if let Some(entry) = self.entry_mut(key) {
            entry.newest_check = changes.at;
        }
        for check in [old, new].into_iter().flatten() {
            if let Some(place) = place(check.status) {
                self.newest.status[place] = changes.at;
                changes.touch(Topic::ChecksState(Some(check.status)));
            }
            if check.is_of_node() {
                for name in self.groups_on(key) {
                    self.group_changed(&name, Aspect::NodeCheck, changes);
                }
            } else {
                self.group_changed(&fold(&check.service_name), Aspect::Check, changes);
            }
        }
    }

    fn group_changed(&mut self, name: &Name, aspect: Aspect, changes: &mut Changes) {
        let at = changes.at;
        // A group that has just vanished has no index of its own, but still somebody waiting.
        if let Some(group) = self.groups.get_mut(name).map(Arc::make_mut) {
            group.newest_health = at;
            match aspect {
                Aspect::Rows => group.newest = at,
                Aspect::Check => group.newest_check = at,
                Aspect::NodeCheck => {}
            }
        }
        changes.touch(Topic::Health(Arc::clone(name)));
        match aspect {
            Aspect::Rows => changes.touch(Topic::Service(Arc::clone(name))),
            Aspect::Check => changes.touch(Topic::ServiceChecks(Arc::clone(name))),
            Aspect::NodeCheck => {}
        }
    }

    /// Move an instance from the group of its old name to that of its new one.
    fn regroup(
        &mut self,
        key: &Name,
        id: &Name,
        old: Option<&Service>,
        new: Option<&Service>,
        changes: &mut Changes,
    ) {
        let instance = (Arc::clone(key), Arc::clone(id));
        let old = old.map(|it| fold(&it.name));
        let new = new.map(|it| fold(&it.name));
        if let Some(name) = &old
            && new.as_ref() != Some(name)
        {
            let group = self.groups.get_mut(name).map(Arc::make_mut);
            let group = group.expect("the group of an instance is there");
            group.instances.remove(&instance);
            if group.instances.is_empty() {
                self.groups.remove(name);
                self.newest.extinction = changes.at;
            }
            self.group_changed(name, Aspect::Rows, changes);
        }
        let Some(name) = new else { return };
        if !self.groups.contains_key(&name) {
            // Until now the service was absent, and its checks had that index.
            let group = super::Group { newest_check: changes.at, ..super::Group::default() };
            self.groups.insert(Arc::clone(&name), Arc::new(group));
        }
        if let Some(group) = self.groups.get_mut(&name).map(Arc::make_mut) {
            group.instances.insert(instance, ());
        }
        self.group_changed(&name, Aspect::Rows, changes);
    }
}

/// The same rows, the other way round.
impl Catalog {
    pub(super) fn index_node(&mut self, key: &Name, old: Option<&Node>, new: Option<&Node>) {
        if let Some(old) = old {
            if let Some(id) = &old.id {
                self.ids.remove(id);
            }
            if let Some(ip) = ip(&old.address) {
                self.node_addresses.remove(&(ip, Arc::clone(key)));
            }
        }
        if let Some(new) = new {
            if let Some(id) = new.id {
                self.ids.insert(id, Arc::clone(key));
            }
            if let Some(ip) = ip(&new.address) {
                self.node_addresses.insert((ip, Arc::clone(key)), ());
            }
        }
    }

    pub(super) fn index_service(
        &mut self,
        key: &Name,
        id: &Name,
        old: Option<&Service>,
        new: Option<&Service>,
    ) {
        let place = |ip| (ip, Arc::clone(key), Arc::clone(id));
        if let Some(ip) = old.and_then(|it| ip(&it.address)) {
            self.service_addresses.remove(&place(ip));
        }
        if let Some(ip) = new.and_then(|it| ip(&it.address)) {
            self.service_addresses.insert(place(ip), ());
        }
    }

    pub(super) fn index_check(
        &mut self,
        key: &Name,
        id: &Name,
        old: Option<&Check>,
        new: Option<&Check>,
    ) {
        let (old, new) = (old.map(|it| it.status), new.map(|it| it.status));
        if old == new {
            return;
        }
        let at = |status: Option<Status>| status.and_then(place);
        let check = (Arc::clone(key), Arc::clone(id));
        if let Some(place) = at(old) {
            self.by_status[place].remove(&check);
        }
        if let Some(place) = at(new) {
            self.by_status[place].insert(check, ());
        }
    }
}

impl Entry {
    pub(super) fn new(node: Arc<Node>) -> Self {
        let (newest, newest_check) = (node.modify, Index(0));
        Self {
            node,
            services: Default::default(),
            checks: Default::default(),
            newest,
            newest_check,
        }
    }
}

/// Addresses are compared as numbers: IPv6 has many spellings.
pub(super) fn ip(address: &str) -> Option<IpAddr> {
    address.parse().ok()
}
