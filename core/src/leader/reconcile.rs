//! Membership → catalog: the leader writes down who is there, once per change.
//!
//! | a member | in the catalog |
//! | --- | --- |
//! | is alive | its node, with `serfHealth` passing; a server's service `consul` |
//! | has failed | `serfHealth` critical |
//! | has left, or is forgotten | nothing of it |
//!
//! What the catalog says already is not written again, so that looking at everybody costs nothing
//! and wakes nobody. A node without `serfHealth` was not written down by a leader, and is nobody's
//! business here.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tribune_base::bug;
use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Change, Member, MemberEvent, Status as Standing};
use tribune_state::{Check, Command, Deregistration, Node as Row, Registration, Service, Status};

use crate::gossip;
use crate::node::Node;
use crate::request::Proposer;

impl Node {
    /// Write this server itself and all others into the catalog.
    pub(crate) fn reconcile(&mut self) {
        // Where it is there already, nothing changes and nobody is woken.
        self.write_down(Command::Register(self.own_registration()));
        if bug!(C05) {
            let members: Vec<_> = self.gossip.members().cloned().collect();
            let commands = members.iter().filter(|it| *it.name != *self.config.name);
            for command in commands.filter_map(|it| self.criticism(it)).collect::<Vec<_>>() {
                self.write_down(command);
            }
        }
        self.reconcile_all();
    }

    /// Write down what the catalog does not say about the members.
    fn reconcile_all(&mut self) {
        if let Some(reign) = &mut self.reign {
            reign.next_reconcile = self.now + RECONCILE_INTERVAL;
        }
        let members: Vec<_> = self.gossip.members().cloned().collect();
        for member in &members {
            if *member.name != *self.config.name {
                self.reconcile_member(member, false);
            } else if self.registration(member).is_some() {
                self.write_down(Command::Register(self.own_registration()));
            }
        }
        self.reconcile_unknown();
    }

    /// Commit what this leader has found out. It is refused if the log is full, and then everybody is
    /// looked at again soon; or if this server no longer leads, and then the next leader looks.
    fn write_down(&mut self, command: Command) {
        let written = self.propose(command, Proposer::Duty);
        match (&mut self.reign, written) {
            (Some(reign), Ok(index)) => reign.written = index,
            (_, Err(_)) => self.reconcile_soon(),
            (None, Ok(_)) => {}
        }
    }

    fn reconcile_soon(&mut self) {
        if let Some(reign) = &mut self.reign {
            reign.next_reconcile = reign.next_reconcile.min(self.now + RECONCILE_RETRY);
        }
    }

    /// Whether the catalog does not show yet what was written last.
    fn is_writing(&self) -> bool {
        self.reign.as_ref().is_some_and(|it| self.applied < it.written)
    }

    /// Look at everybody, if it is time.
    pub(super) fn reconcile_again(&mut self, now: Instant) {
        let is_writing = self.is_writing();
        let Some(reign) = self.reign.as_mut().filter(|it| it.next_reconcile <= now) else { return };
        if is_writing {
            reign.next_reconcile = now + RECONCILE_RETRY;
        } else {
            self.reconcile_all();
        }
    }

    /// Something has changed about a member.
    pub(crate) fn reconcile_change(&mut self, event: &MemberEvent) {
        // Who is back while it is written that he is gone is compared with a catalog that does not
        // say so yet.
        if self.is_writing() {
            self.reconcile_soon();
        }
        self.reconcile_member(&event.member, event.change == Change::Reap);
    }

    fn reconcile_member(&mut self, member: &Member, forgotten: bool) {
        // A leader does not say of itself that it is gone.
        if !self.leads() || self.no_space || *member.name == *self.config.name {
            return;
        }
        let command = match member.status {
            _ if forgotten => self.deregistration(member),
            Standing::Alive | Standing::Leaving => self.registration(member),
            Standing::Failed => self.criticism(member),
            Standing::Left => self.deregistration(member),
            Standing::None => None,
        };
        if let Some(command) = command {
            self.write_down(command);
        }
    }

    /// The nodes in the catalog that no member is, though they were once: the members of a pool that
    /// has just begun again come back one by one, so they are given time.
    fn reconcile_unknown(&mut self) {
        let (now, reconnect) = (self.now, self.config.gossip.reconnect_timeout);
        let view = self.store.view();
        let unknown: Vec<_> = view
            .nodes()
            .1
            .filter(|it| self.gossip.member(&it.name).is_none())
            .filter_map(|it| {
                let (_, checks) = view.node_checks(&it.name);
                let check = checks.into_iter().find(|it| it.id == SERF_HEALTH)?;
                Some((it.name.clone(), check.status))
            })
            .collect();
        let here = self.here();
        let Some(reign) = &mut self.reign else { return };
        reign.unknown.retain(|name, _| unknown.iter().any(|it| it.0 == *name));
        let mut commands = Vec::new();
        for (name, status) in unknown {
            let since = *reign.unknown.entry(name.clone()).or_insert(now);
            if since + reconnect <= now {
                commands.push(deregister(name));
            } else if since + UNKNOWN_MAX <= now && status == Status::Passing {
                let checks = vec![serf_health(&name, false)];
                let node = name;
                let known = Registration { node, checks, skip_node_update: true, ..here.clone() };
                commands.push(Command::Register(known));
            }
        }
        for command in commands {
            self.write_down(command);
        }
    }

    /// What is to be written of a member that is alive, if that is not written yet.
    fn registration(&self, member: &Member) -> Option<Command> {
        let view = self.store.view();
        let address = member.addr.ip().to_string();
        let known = view.node(&member.name).1;
        let same_node = known.is_some_and(|it| it.address == address && it.id == Some(member.id));
        let (_, checks) = view.node_checks(&member.name);
        let passing = checks.iter().find(|it| it.id == SERF_HEALTH);
        let same_check = passing.is_some_and(|it| it.status == Status::Passing);
        let service = gossip::server(member).map(|it| consul_service(it.port, it.version));
        let same_service = service.as_ref().is_none_or(|ours| {
            let (_, services) = view.node_services(&member.name);
            let services = services.map(|it| it.services).unwrap_or_default();
            services
                .iter()
                .any(|it| it.id == ours.id && it.port == ours.port && it.meta == ours.meta)
        });
        if same_node && same_check && same_service {
            return None;
        }
        let owner = known.filter(|it| it.id.is_some_and(|id| id != member.id) && same_check);
        let registration = Command::Register(Registration {
            id: Some(member.id),
            node: member.name.to_string(),
            address,
            services: service.into_iter().collect(),
            checks: vec![serf_health(&member.name, true)],
            // What else there is to say about a node, its own agent says.
            skip_node_update: same_node,
            ..self.here()
        });
        // The catalog keeps a name for its owner while that is alive. The pool knows that it is not,
        // and so gave the name away.
        Some(match owner {
            Some(owner) => Command::Batch(vec![self.failure(owner), registration]),
            None => registration,
        })
    }

    /// A node's agent has failed.
    fn failure(&self, node: &Row) -> Command {
        Command::Register(Registration {
            id: node.id,
            node: node.name.clone(),
            address: node.address.clone(),
            checks: vec![serf_health(&node.name, false)],
            skip_node_update: true,
            ..self.here()
        })
    }

    /// What is to be written of a member that has failed: nothing, if it is not there.
    fn criticism(&self, member: &Member) -> Option<Command> {
        let view = self.store.view();
        let node = view.node(&member.name).1?;
        let (_, checks) = view.node_checks(&member.name);
        let known = checks.iter().find(|it| it.id == SERF_HEALTH);
        if node.id != Some(member.id) || known.is_some_and(|it| it.status == Status::Critical) {
            return None;
        }
        Some(self.failure(node))
    }

    /// What is to be written of a member that is gone. A server that still votes is taken out of
    /// consensus first.
    fn deregistration(&self, member: &Member) -> Option<Command> {
        let view = self.store.view();
        let node = view.node(&member.name).1?;
        let (_, checks) = view.node_checks(&member.name);
        let is_ours = checks.iter().any(|it| it.id == SERF_HEALTH);
        let same = node.id.is_none_or(|it| it == member.id);
        let votes = self.raft.configuration().is_member(ServerId::from(member.id));
        (is_ours && same && !votes).then(|| deregister(node.name.clone()))
    }

    fn here(&self) -> Registration {
        Registration { datacenter: self.config.datacenter.clone(), ..Registration::default() }
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

fn deregister(node: String) -> Command {
    Command::Deregister(Deregistration { node, ..Deregistration::default() })
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
        id: SERF_HEALTH.to_owned(),
        name: "Serf Health Status".to_owned(),
        status,
        output: output.to_owned(),
        ..Check::default()
    }
}

/// `host:port` as an address to gossip with, on another port.
pub(crate) fn on_port(address: &str, port: u16) -> Option<SocketAddr> {
    let addr: SocketAddr = address.parse().ok()?;
    Some(SocketAddr::new(addr.ip(), port))
}

/// The check that says whether an agent is there.
const SERF_HEALTH: &str = "serfHealth";

/// How often everybody is looked at again.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(60);

/// How soon, if something could not be written.
const RECONCILE_RETRY: Duration = Duration::from_secs(1);

/// How long a node may be unknown before it counts as failed.
const UNKNOWN_MAX: Duration = Duration::from_secs(60);
