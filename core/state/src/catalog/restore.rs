//! Rows as they were, from a snapshot: with their indexes, without telling anybody.

use std::sync::Arc;

use tribune_base::id::Index;

use super::{Catalog, Entry};
use crate::types::{Check, Name, Node, Service, fold};

impl Catalog {
    /// Add a node that is not there.
    pub(crate) fn restore_node(
        &mut self,
        key: &Name,
        node: Node,
        newest: Index,
        newest_check: Index,
    ) {
        let node = Arc::new(node);
        self.index_node(key, None, Some(&node));
        let entry = Entry { newest, newest_check, ..Entry::new(node) };
        self.nodes.insert(Arc::clone(key), Arc::new(entry));
    }

    /// Add a service to a node that is there. Returns false if it is there already.
    pub(crate) fn restore_service(&mut self, key: &Name, service: Service) -> bool {
        let (id, name) = (Name::from(service.id.as_str()), fold(&service.name));
        self.index_service(key, &id, None, Some(&service));
        let entry = self.nodes.get_mut(key).map(Arc::make_mut).expect("the node is there");
        let fresh = entry.services.insert(Arc::clone(&id), Arc::new(service)).is_none();
        if !self.groups.contains_key(&name) {
            self.groups.insert(Arc::clone(&name), Arc::default());
        }
        if let Some(group) = self.groups.get_mut(&name).map(Arc::make_mut) {
            group.instances.insert((Arc::clone(key), id), ());
        }
        fresh
    }

    /// Add a check to a node that is there. Returns false if it is there already.
    pub(crate) fn restore_check(&mut self, key: &Name, check: Check) -> bool {
        let id = Name::from(check.id.as_str());
        let check = self.complete(key, &check);
        self.index_check(key, &id, None, Some(&check));
        let entry = self.nodes.get_mut(key).map(Arc::make_mut).expect("the node is there");
        entry.checks.insert(id, Arc::new(check)).is_none()
    }
}
