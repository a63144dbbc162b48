//! Who may write what into the catalog.

use std::sync::Arc;

use tribune_base::id::NodeId;

use super::{Catalog, Changes, Entry};
use crate::command::{Deregistration, Registration};
use crate::outcome::{NameReserved, Refusal};
use crate::types::{Check, Name, Node, Status, fold};

/// The check by which the servers say whether an agent is alive. Only they write it.
pub const SERF_HEALTH: &str = "serfHealth";

impl Catalog {
    /// Write all of `registration`, or nothing.
    ///
    /// # Errors
    ///
    /// The name belongs to another node, or a check to nothing. Nothing has changed.
    pub(crate) fn register(
        &mut self,
        registration: &Registration,
        changes: &mut Changes,
    ) -> Result<(), Refusal> {
        let key = fold(&registration.node);
        self.refuse_checks(&key, registration)?;
        self.refuse_name(&key, registration)?;

        // The same agent under a new name: what it registered under the old one goes.
        let before = registration.id.and_then(|id| self.ids.get(&id)).cloned();
        if let Some(before) = before.filter(|it| *it != key) {
            self.remove_node(&before, changes);
        }
        let owner = self.nodes.get(&key).map(|it| Arc::clone(&it.node));
        if owner.is_none() || !registration.skip_node_update {
            let id = registration.id.or_else(|| owner.and_then(|it| it.id));
            self.put_node(node(registration, id), changes);
        }
        for service in &registration.services {
            self.put_service(&key, service.clone(), &registration.checks, changes);
        }
        for check in &registration.checks {
            let check = self.complete(&key, check);
            self.put_check(&key, check, changes);
        }
        Ok(())
    }

    /// Remove what `deregistration` names, if it is there.
    pub(crate) fn deregister(&mut self, deregistration: &Deregistration, changes: &mut Changes) {
        let key = fold(&deregistration.node);
        if !deregistration.service_id.is_empty() {
            self.remove_service(&key, &deregistration.service_id.as_str().into(), changes);
        } else if !deregistration.check_id.is_empty() {
            self.remove_check(&key, &deregistration.check_id.as_str().into(), changes);
        } else {
            self.remove_node(&key, changes);
        }
    }

    fn refuse_checks(&self, key: &Name, registration: &Registration) -> Result<(), Refusal> {
        let there = self.nodes.get(key);
        for check in &registration.checks {
            if !check.node.is_empty() && fold(&check.node) != *key {
                let (check_node, node) = (check.node.clone(), registration.node.clone());
                return Err(Refusal::CheckNode { check_node, node });
            }
            let id = check.service_id.as_str();
            let known = check.is_of_node()
                || registration.services.iter().any(|it| it.id == id)
                || there.is_some_and(|it| it.services.contains_key(id));
            if !known {
                return Err(Refusal::MissingService { node: registration.node.clone() });
            }
        }
        Ok(())
    }

    /// A name stays with its node while that is alive: two agents that are called alike by
    /// mistake must not take turns.
    fn refuse_name(&self, key: &Name, registration: &Registration) -> Result<(), Refusal> {
        let Some(id) = registration.id else { return Ok(()) };
        let Some(owner) = self.nodes.get(key).filter(|it| it.node.id != Some(id)) else {
            return Ok(());
        };
        let health = owner.checks.get(SERF_HEALTH).map(|it| it.status);
        let renamed = self.ids.contains_key(&id);
        let free = match health {
            Some(status) => status == Status::Critical,
            // No agent: a new one may take the name over, but not one that has a name already.
            None => !renamed,
        };
        if free || owner.node.id.is_none() && !renamed {
            return Ok(());
        }
        Err(Refusal::NameReserved(Box::new(NameReserved {
            name: registration.node.clone(),
            id,
            owner: owner.node.id,
            owner_name: owner.node.name.clone(),
        })))
    }

    /// The row of a check: what follows from its node and service is filled in.
    pub(super) fn complete(&self, key: &Name, check: &Check) -> Check {
        let entry: &Entry = self.nodes.get(key).expect("the node of a check is there");
        let service = entry.services.get(check.service_id.as_str());
        Check {
            node: entry.node.name.clone(),
            service_name: service.map(|it| it.name.clone()).unwrap_or_default(),
            service_tags: service.map(|it| it.tags.clone()).unwrap_or_default(),
            ..check.clone()
        }
    }
}

fn node(registration: &Registration, id: Option<NodeId>) -> Node {
    Node {
        id,
        name: registration.node.clone(),
        address: registration.address.clone(),
        datacenter: registration.datacenter.clone(),
        tagged_addresses: registration.tagged_addresses.clone(),
        meta: registration.node_meta.clone(),
        ..Node::default()
    }
}
