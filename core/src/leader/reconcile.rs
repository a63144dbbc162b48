//! Membership → catalog: the leader writes down which agents are alive, once per change.

use std::collections::BTreeMap;

use tribune_state::{Check, Command, Registration, Service, Status};

use crate::node::Node;
use crate::request::Proposer;

impl Node {
    /// Write this server itself into the catalog.
    pub(crate) fn reconcile(&mut self) {
        let registration = self.own_registration();
        // Where it is there already, nothing changes and nobody is woken. Refused only if the log is
        // full or this server no longer leads: then the next leader writes it.
        let _ = self.propose(Command::Register(registration), Proposer::Duty);
    }

    fn own_registration(&self) -> Registration {
        let config = &self.config;
        let meta = BTreeMap::from([
            ("version".to_owned(), config.version.clone()),
            ("raft_version".to_owned(), "3".to_owned()),
        ]);
        Registration {
            id: Some(config.id),
            node: config.name.clone(),
            address: config.address.clone(),
            datacenter: config.datacenter.clone(),
            tagged_addresses: Some(config.agent.tagged_addresses.clone()),
            node_meta: Some(config.agent.meta.clone()),
            services: vec![Service {
                id: "consul".to_owned(),
                name: "consul".to_owned(),
                port: i64::from(config.server_port),
                meta: Some(meta),
                ..Service::default()
            }],
            checks: vec![Check {
                node: config.name.clone(),
                id: "serfHealth".to_owned(),
                name: "Serf Health Status".to_owned(),
                status: Status::Passing,
                output: "Agent alive and reachable".to_owned(),
                ..Check::default()
            }],
            skip_node_update: false,
        }
    }
}
