//! This agent's own services and checks → disk and catalog.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use tribune_agent::{self as agent, CatalogRows, SyncFailed, SyncId};
use tribune_api::agent::{AgentCall, Member, MemberStatus, NodeFacts};
use tribune_base::time::Instant;
use tribune_state::Command;

use crate::event::Event;
use crate::leader::split;
use crate::node::Node;
use crate::output::Output;
use crate::request::{Pending, Proposer, RequestId};

impl Node {
    /// A client asks about this agent itself, or changes what it offers.
    pub(crate) fn agent_call(&mut self, id: RequestId, call: AgentCall) {
        if matches!(call, AgentCall::Leave) {
            return self.leave(id);
        }
        let facts = self.facts();
        let (response, change) =
            tribune_api::agent::perform(call, &mut self.local, &facts, self.now);
        match change {
            None => self.reply(id, response),
            // Who is told "registered" may look it up at once, and keeps it over a crash.
            Some(change) => {
                let deadline = self.now + self.config.settle_max;
                self.ledger.wait(id, Pending::Settling { change, response }, deadline);
                self.settle();
            }
        }
    }

    /// Answer those whose change is safe.
    pub(crate) fn settle(&mut self) {
        if !self.ledger.waits_for_settling() {
            return;
        }
        let local = &self.local;
        let settled = |it: &Pending| match it {
            Pending::Settling { change, .. } => {
                let settled = local.is_settled(*change);
                settled.saved && settled.synced
            }
            Pending::Leader(_)
            | Pending::Commit { .. }
            | Pending::Forward(_)
            | Pending::Asked
            | Pending::Reconfigure(_)
            | Pending::HandOver { .. }
            | Pending::Leave
            | Pending::Confirmation(_)
            | Pending::Apply { .. }
            | Pending::Change(_)
            | Pending::Rendering(_) => false,
        };
        for id in self.ledger.waiting(settled) {
            if let Some(Pending::Settling { response, .. }) = self.ledger.take(id) {
                self.reply(id, response);
            }
        }
    }

    pub(crate) fn on_local(&mut self, output: agent::Output) {
        match output {
            agent::Output::RunCheck { run, spec, timeout, .. } => {
                self.outputs.push_back(Output::RunCheck { run, spec, timeout });
            }
            agent::Output::StopCheck { run } => self.outputs.push_back(Output::StopCheck { run }),
            agent::Output::Save { seq, writes } => {
                self.outputs.push_back(Output::Save { seq, writes });
            }
            agent::Output::Sync { id, commands } => self.sync(id, commands),
            agent::Output::ReadCatalog { id } => self.read_catalog(id),
            agent::Output::Event(event) => {
                self.outputs.push_back(Output::Event(Event::Agent(event)));
            }
        }
    }

    fn sync(&mut self, id: SyncId, commands: Vec<Command>) {
        let command = Command::Batch(commands);
        if let Some(leader) = self.other_leader() {
            return self.forward(leader, &command, Proposer::Sync(id));
        }
        let proposed =
            self.leads() && !self.no_space && self.propose(command, Proposer::Sync(id)).is_ok();
        if !proposed {
            self.local.synced(self.now, id, Err(SyncFailed));
        }
    }

    /// The agent wants to compare itself with the catalog.
    fn read_catalog(&mut self, id: SyncId) {
        // A follower's state will do: what it does not show yet is written again, which changes
        // nothing.
        if !self.leads() && self.other_leader().is_none() {
            return self.local.synced(self.now, id, Err(SyncFailed));
        }
        let snapshot = self.store.view();
        let name = &self.config.name;
        let (_, services) = snapshot.node_services(name);
        let rows = CatalogRows {
            node: snapshot.node(name).1.cloned(),
            services: services
                .map_or_else(Vec::new, |it| it.services.into_iter().cloned().collect()),
            checks: snapshot.node_checks(name).1.into_iter().cloned().collect(),
        };
        self.local.catalog_read(self.now, id, &rows);
        self.settle();
    }

    /// The local agent's deadline.
    pub(crate) fn local_timeout(&self) -> Instant {
        self.local.poll_timeout().unwrap_or(Instant::NEVER)
    }

    /// What the API tells about this agent.
    fn facts(&self) -> NodeFacts {
        let config = &self.config;
        let address = config.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let members = self.members();
        let wan = |it: &Member| Member {
            name: format!("{}.{}", it.name, config.datacenter),
            port: config.serf_wan_port,
            ..it.clone()
        };
        NodeFacts {
            node: config.name.clone(),
            id: config.id,
            datacenter: config.datacenter.clone(),
            primary_datacenter: config.datacenter.clone(),
            version: config.version.clone(),
            revision: config.revision.clone(),
            build_date: config.build_date.clone(),
            server: true,
            address,
            tagged_addresses: config.agent.tagged_addresses.clone(),
            meta: config.agent.meta.clone(),
            members_wan: members.iter().map(wan).collect(),
            members,
            config: config.shown.clone(),
            stats: self.stats(),
        }
    }

    /// The servers of this datacenter, by name.
    fn members(&self) -> Vec<Member> {
        let config = &self.config;
        let own = Member {
            name: config.name.clone(),
            address: config.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: config.serf_lan_port,
            tags: self.member_tags(),
            status: MemberStatus::Alive,
        };
        let others = self.roster.servers().map(|(_, it)| Member {
            name: it.hello.name.clone(),
            address: split(&it.hello.server.address)
                .0
                .parse()
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: it.hello.lan_port,
            tags: it.hello.tags.clone(),
            status: match (it.is_alive(self.now), it.hello.leaving) {
                (true, false) => MemberStatus::Alive,
                (true, true) => MemberStatus::Leaving,
                (false, true) => MemberStatus::Left,
                (false, false) => MemberStatus::Failed,
            },
        });
        let mut members: Vec<_> = others.chain([own]).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// What this agent says of itself to the others of its pool.
    pub(crate) fn member_tags(&self) -> BTreeMap<String, String> {
        let config = &self.config;
        let tags = [
            ("acls", "0".to_owned()),
            ("build", format!("{}:{}", config.version, config.revision)),
            ("dc", config.datacenter.clone()),
            ("id", config.id.to_string()),
            ("port", config.server_port.to_string()),
            ("raft_vsn", "3".to_owned()),
            ("role", "consul".to_owned()),
            ("segment", String::new()),
            ("vsn", "2".to_owned()),
            ("vsn_max", "3".to_owned()),
            ("vsn_min", "2".to_owned()),
            ("wan_join_port", config.serf_wan_port.to_string()),
        ];
        let mut tags: BTreeMap<_, _> =
            tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if config.bootstrap_expect == 1 {
            tags.insert("bootstrap".to_owned(), "1".to_owned());
        }
        tags
    }

    fn stats(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let group = |rows: &[(&str, String)]| {
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let members = self.raft.configuration().members();
        let others = members.filter(|it| *it != self.raft.id()).count();
        let leader = self.raft.leader().and_then(|it| self.raft.configuration().address(it));
        BTreeMap::from([
            (
                "agent".to_owned(),
                group(&[
                    ("checks", self.local.checks().count().to_string()),
                    ("services", self.local.services().count().to_string()),
                ]),
            ),
            (
                "consul".to_owned(),
                group(&[
                    ("bootstrap", (self.config.bootstrap_expect == 1).to_string()),
                    ("known_datacenters", "1".to_owned()),
                    ("leader", self.leads().to_string()),
                    ("leader_addr", leader.unwrap_or_default().to_owned()),
                    ("server", "true".to_owned()),
                ]),
            ),
            (
                "raft".to_owned(),
                group(&[
                    ("applied_index", self.applied.to_string()),
                    ("commit_index", self.raft.commit().to_string()),
                    ("last_log_index", self.raft.last().index.to_string()),
                    ("last_log_term", self.raft.last().term.to_string()),
                    ("num_peers", others.to_string()),
                    ("term", self.raft.term().to_string()),
                ]),
            ),
        ])
    }
}
