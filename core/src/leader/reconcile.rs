//! Membership → catalog: the leader writes down which servers are alive, once per change.

use std::collections::BTreeMap;

use tribune_base::id::{NodeId, ServerId};
use tribune_state::{Check, Command, Deregistration, Registration, Service, Status};

use crate::node::Node;
use crate::request::Proposer;
use crate::roster::Known;

/// What the catalog has been told about a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    name: String,
    address: String,
    port: u16,
    alive: bool,
}

impl Node {
    /// Write this server itself and all others into the catalog.
    pub(crate) fn reconcile(&mut self) {
        let registration = self.own_registration();
        // Where it is there already, nothing changes and nobody is woken. Refused only if the log is
        // full or this server no longer leads: then the next leader writes it.
        let _ = self.propose(Command::Register(registration), Proposer::Duty);
        self.reconcile_servers();
    }

    /// Write down what has changed about the other servers.
    pub(crate) fn reconcile_servers(&mut self) {
        if !self.leads() || self.no_space {
            return;
        }
        let members = self.raft.configuration();
        let is_here = |id, it: &Known| members.is_member(id) || it.is_alive(self.now);
        let here: BTreeMap<ServerId, Told> = self
            .roster
            .servers()
            .filter(|(id, it)| is_here(*id, it) && !it.hello.leaving)
            .map(|(id, it)| (id, self.told(it)))
            .collect();
        let Some(reign) = &mut self.reign else { return };
        let before = std::mem::replace(&mut reign.told, here.clone());
        for node in self.no_servers_any_more(&here) {
            let command = Deregistration { node, ..Deregistration::default() };
            self.propose_duty(Command::Deregister(command));
        }
        for (id, told) in &here {
            let known_before = before.get(id);
            if known_before == Some(told) {
                continue;
            }
            // Of a server that nobody has heard, only what the catalog has of it can be wrong.
            let in_catalog = self.store.view().node(&told.name).1.is_some();
            if told.alive || in_catalog {
                self.propose_duty(self.registration(*id, told));
            }
        }
    }

    /// The servers in the catalog that are none any more.
    fn no_servers_any_more(&self, here: &BTreeMap<ServerId, Told>) -> Vec<String> {
        let own = &self.config.name;
        let is_here = |name: &str| name == own || here.values().any(|it| it.name == name);
        let members = self.raft.configuration();
        // A member that nobody has heard of may just be slow to say hello.
        let is_member =
            |id: Option<NodeId>| id.is_some_and(|it| members.is_member(ServerId::from(it)));
        let view = self.store.view();
        let (_, servers) = view.service("consul");
        // Who has no `serfHealth` was not written down by a leader, and is nobody's business here.
        let is_ours = |name: &str| {
            let (_, checks) = view.node_checks(name);
            checks.iter().any(|it| it.id == "serfHealth")
        };
        let nodes = servers.iter().map(|it| it.node);
        nodes
            .filter(|it| !is_here(&it.name) && !is_member(it.id) && is_ours(&it.name))
            .map(|it| it.name.clone())
            .collect()
    }

    fn propose_duty(&mut self, command: Command) {
        if self.propose(command, Proposer::Duty).is_err()
            && let Some(reign) = &mut self.reign
        {
            // Told again, all of it, with the next hello.
            reign.told.clear();
        }
    }

    fn told(&self, known: &Known) -> Told {
        let (address, port) = split(&known.hello.server.address);
        let alive = known.is_alive(self.now);
        Told { name: known.hello.name.clone(), address, port, alive }
    }

    fn registration(&self, id: ServerId, told: &Told) -> Command {
        let mut registration = Registration {
            id: Some(NodeId::from(id)),
            node: told.name.clone(),
            address: told.address.clone(),
            datacenter: self.config.datacenter.clone(),
            checks: vec![serf_health(&told.name, told.alive)],
            // What else there is to say about a node, its own agent says.
            skip_node_update: self.store.view().node(&told.name).1.is_some_and(|it| {
                it.address == told.address && it.id.as_ref() == Some(&NodeId::from(id))
            }),
            ..Registration::default()
        };
        if told.alive {
            let version = self.roster.get(id).map(|it| it.hello.version.clone());
            let service = consul_service(told.port, version.unwrap_or_default());
            registration.services.push(service);
        }
        Command::Register(registration)
    }

    fn own_registration(&self) -> Registration {
        let config = &self.config;
        Registration {
            id: Some(config.id),
            node: config.name.clone(),
            address: config.address.clone(),
            datacenter: config.datacenter.clone(),
            tagged_addresses: Some(config.agent.tagged_addresses.clone()),
            node_meta: Some(config.agent.meta.clone()),
            services: vec![consul_service(config.server_port, config.version.clone())],
            checks: vec![serf_health(&config.name, true)],
            skip_node_update: false,
        }
    }
}

fn consul_service(port: u16, version: String) -> Service {
    let meta = BTreeMap::from([
        ("version".to_owned(), version),
        ("raft_version".to_owned(), "3".to_owned()),
    ]);
    Service {
        id: "consul".to_owned(),
        name: "consul".to_owned(),
        port: i64::from(port),
        meta: Some(meta),
        ..Service::default()
    }
}

fn serf_health(node: &str, alive: bool) -> Check {
    let (status, output) = if alive {
        (Status::Passing, "Agent alive and reachable")
    } else {
        (Status::Critical, "Agent not live or unreachable")
    };
    Check {
        node: node.to_owned(),
        id: "serfHealth".to_owned(),
        name: "Serf Health Status".to_owned(),
        status,
        output: output.to_owned(),
        ..Check::default()
    }
}

/// `host:port`, in two. Brackets belong to the port's notation, not to the host.
pub(crate) fn split(address: &str) -> (String, u16) {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    (host.trim_matches(['[', ']']).to_owned(), port.parse().unwrap_or_default())
}
