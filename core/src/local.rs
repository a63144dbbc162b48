//! This agent's own services and checks → disk and catalog.

use std::collections::BTreeMap;

use tribune_agent::{self as agent, CatalogRows, ChangeSeq, Reload, SyncFailed, SyncId};
use tribune_api::agent::{AgentCall, NodeFacts};
use tribune_api::http::Response;
use tribune_base::time::Instant;
use tribune_state::Command;

use crate::gossip::Gossip;
use crate::node::Node;
use crate::output::{Output, Wish};
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
            Some(change) => self.reply_settled(id, change, response),
        }
    }

    /// The configuration was read again.
    pub(crate) fn reload(&mut self, id: RequestId, reload: Reload) {
        let change = self.local.reload(self.now, reload);
        self.reply_settled(id, change, Response::empty(200));
    }

    /// Who is told "registered" may look it up at once, and keeps it over a crash.
    fn reply_settled(&mut self, id: RequestId, change: ChangeSeq, response: Response) {
        let deadline = self.now + self.config.settle_max;
        self.ledger.wait(id, Pending::Settling { change, response }, deadline);
        self.settle();
    }

    /// Answer those whose change is safe.
    pub(crate) fn settle(&mut self) {
        let settled = self.ledger.take_settled(&self.local);
        self.reply_all(settled);
    }

    pub(crate) fn on_local(&mut self, output: agent::Output) {
        match Output::of_local(output) {
            Ok(output) => self.outputs.push_back(output),
            Err(Wish::Sync { id, commands }) => self.sync(id, commands),
            Err(Wish::ReadCatalog { id }) => self.read_catalog(id),
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
        let members = self.gossip.shown();
        NodeFacts {
            server: true,
            members_wan: self.wan.as_ref().map_or_else(Vec::new, Gossip::shown),
            coordinate: self.gossip.coordinate(),
            members,
            stats: self.stats(),
            meta: self.local.config().meta.clone(),
            ..config.facts()
        }
    }

    fn stats(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let group = |rows: &[(&str, String)]| {
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let members = self.raft.configuration().members();
        let others = members.filter(|it| *it != self.raft.id()).count();
        let leader = self.raft.leader().and_then(|it| self.raft.configuration().address(it));
        let pools = [("serf_lan", Some(&self.gossip)), ("serf_wan", self.wan.as_ref())];
        let pools = pools.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it?.stats())));
        let own = BTreeMap::from([
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
                    ("known_datacenters", (1 + self.router.len()).to_string()),
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
        ]);
        own.into_iter().chain(pools).collect()
    }
}
