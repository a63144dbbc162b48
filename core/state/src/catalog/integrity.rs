//! What must be true of the catalog as a whole. O(size): for oracles, tests and restored snapshots.

use std::sync::Arc;

use tribune_base::id::Index;

use super::{Catalog, Entry, write};
use crate::types::{Name, fold};

impl Catalog {
    /// # Errors
    ///
    /// What is wrong.
    pub(crate) fn check_integrity(&self, applied: Index) -> Result<(), &'static str> {
        let newest = &self.newest;
        let tables = [newest.nodes, newest.services, newest.checks, newest.extinction];
        ensure(tables.iter().all(|it| *it <= applied), "a table is newer than the state")?;
        ensure(newest.extinction <= newest.services, "an extinction that changed no service")?;
        ensure(newest.status.iter().all(|it| *it <= newest.checks), "a status newer than checks")?;
        for (key, entry) in self.nodes.iter() {
            self.check_entry(key, entry)?;
        }
        let known = |it: &Name| self.nodes.contains_key(it);
        ensure(self.spots.iter().all(|(it, _)| known(it)), "a place of a node that is not there")?;
        for group in self.groups.values() {
            ensure(!group.instances.is_empty(), "a group without instances")?;
            ensure(group.newest <= group.newest_health, "health older than rows")?;
            ensure(group.newest_check <= group.newest_health, "health older than checks")?;
            ensure(group.newest_health <= applied, "a group is newer than the state")?;
        }
        self.check_sizes()
    }

    fn check_entry(&self, key: &Name, entry: &Entry) -> Result<(), &'static str> {
        let node = &entry.node;
        ensure(fold(&node.name) == *key, "a node under another name")?;
        ensure(node.create <= node.modify, "a node changed before it was")?;
        ensure(node.modify <= self.newest.nodes, "a node is newer than its table")?;
        ensure(node.modify <= entry.newest, "a node's index is older than its row")?;
        let index = self.newest.nodes.max(self.newest.services);
        ensure(entry.newest <= index, "a node's index is newer than its tables")?;
        ensure(entry.newest_check <= self.newest.checks, "a node's checks newer than checks")?;
        if let Some(id) = node.id {
            ensure(self.ids.get(&id) == Some(key), "an id leads elsewhere")?;
        }
        if let Some(ip) = write::ip(&node.address) {
            let there = self.node_addresses.contains_key(&(ip, Arc::clone(key)));
            ensure(there, "a node's address leads nowhere")?;
        }
        self.check_services(key, entry)?;
        self.check_checks(key, entry)
    }

    fn check_services(&self, key: &Name, entry: &Entry) -> Result<(), &'static str> {
        for (id, service) in entry.services.iter() {
            ensure(service.id == **id, "a service under another id")?;
            ensure(service.create <= service.modify, "a service changed before it was")?;
            ensure(service.modify <= self.newest.services, "a service newer than its table")?;
            ensure(service.modify <= entry.newest, "a node's index is older than a service")?;
            let group = self.groups.get(&fold(&service.name)).ok_or("a service in no group")?;
            let instance = (Arc::clone(key), Arc::clone(id));
            ensure(group.instances.contains_key(&instance), "a service not in its group")?;
            let rows = service.modify.max(entry.node.modify);
            ensure(rows <= group.newest, "a group's index is older than its rows")?;
            if let Some(ip) = write::ip(&service.address) {
                let place = (ip, Arc::clone(key), Arc::clone(id));
                let there = self.service_addresses.contains_key(&place);
                ensure(there, "a service's address leads nowhere")?;
            }
        }
        Ok(())
    }

    fn check_checks(&self, key: &Name, entry: &Entry) -> Result<(), &'static str> {
        for (id, check) in entry.checks.iter() {
            ensure(check.id == **id, "a check under another id")?;
            ensure(check.node == entry.node.name, "a check of another node")?;
            ensure(check.create <= check.modify, "a check changed before it was")?;
            ensure(check.modify <= entry.newest_check, "a node's index is older than a check")?;
            let place = super::place(check.status).ok_or("a check in maintenance")?;
            ensure(check.modify <= self.newest.status[place], "a check newer than its status")?;
            let check_key = (Arc::clone(key), Arc::clone(id));
            ensure(self.by_status[place].contains_key(&check_key), "a check not in its status")?;
            if check.is_of_node() {
                continue;
            }
            let service = entry.services.get(&*check.service_id).ok_or("a check of nothing")?;
            ensure(check.service_name == service.name, "a check of another service")?;
            ensure(check.service_tags == service.tags, "a check with other tags")?;
            let group = self.groups.get(&fold(&service.name)).ok_or("a service in no group")?;
            ensure(check.modify <= group.newest_check, "a group's index older than a check")?;
        }
        Ok(())
    }

    /// Every row leads to its mirrors; if there are as many, every mirror leads to a row.
    fn check_sizes(&self) -> Result<(), &'static str> {
        let entries = || self.nodes.values();
        let services = || entries().flat_map(|it| it.services.values());
        let ids = entries().filter(|it| it.node.id.is_some()).count();
        ensure(self.ids.len() == ids, "an id of no node")?;
        let instances: usize = self.groups.values().map(|it| it.instances.len()).sum();
        ensure(instances == services().count(), "an instance of no service")?;
        let checks: usize = entries().map(|it| it.checks.len()).sum();
        let by_status: usize = self.by_status.iter().map(|it| it.len()).sum();
        ensure(by_status == checks, "a status of no check")?;
        let addresses = entries().filter(|it| write::ip(&it.node.address).is_some()).count();
        ensure(self.node_addresses.len() == addresses, "an address of no node")?;
        let addresses = services().filter(|it| write::ip(&it.address).is_some()).count();
        ensure(self.service_addresses.len() == addresses, "an address of no service")
    }
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
