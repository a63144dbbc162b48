//! This agent's own services and checks → disk, and a server's catalog.

use std::collections::BTreeMap;

use tribune_agent::{self as agent, CatalogRows, ChangeSeq, Reload, SyncFailed, SyncId};
use tribune_api::agent::{AgentCall, NodeFacts};
use tribune_api::http::Response;
use tribune_base::id::ServerId;
use tribune_base::time::Duration;
use tribune_state::{Command, Node, Registration};

use super::Client;
use super::ask::What;
use crate::forward::outcomes;
use crate::output::{Output, Wish};
use crate::request::{Pending, RequestId};
use crate::wire::{Proposed, Rejected};

impl Client {
    /// A client asks about this agent itself, or changes what it offers.
    pub(super) fn agent_call(&mut self, id: RequestId, call: AgentCall) {
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
    pub(super) fn reload(&mut self, id: RequestId, reload: Reload) {
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
    pub(super) fn settle(&mut self) {
        let settled = self.ledger.take_settled(&self.local);
        self.reply_all(settled);
    }

    pub(super) fn on_local(&mut self, output: agent::Output) {
        match Output::of_local(output) {
            Ok(output) => self.outputs.push_back(output),
            Err(Wish::Sync { id, commands }) => {
                let command = Command::Batch(commands).encode();
                self.ask_about(What::Propose { id, command }, SYNC_MAX);
            }
            Err(Wish::ReadCatalog { id }) => self.ask_about(What::Rows { id }, SYNC_MAX),
        }
    }

    /// The catalog has been told, or not.
    pub(super) fn on_proposed(&mut self, from: ServerId, results: Vec<Proposed>) {
        for Proposed { serial, result } in results {
            if result == Err(Rejected::NotLeader) {
                self.ask_later(from, serial);
                continue;
            }
            let Some(What::Propose { id, .. }) = self.asks.take(from, serial) else { continue };
            let result = result.map(|(_, outcome)| outcomes(outcome)).map_err(|_| SyncFailed);
            self.local.synced(self.now, id, result);
            self.settle();
        }
    }

    /// What the catalog has of this agent.
    pub(super) fn on_rows(&mut self, from: ServerId, serial: u64, rows: Option<Box<Registration>>) {
        // It knows no leader. There may be one in a moment.
        let Some(rows) = rows else { return self.ask_later(from, serial) };
        let Some(What::Rows { id }) = self.asks.take(from, serial) else { return };
        self.compare(id, *rows);
    }

    fn compare(&mut self, id: SyncId, rows: Registration) {
        let node = (!rows.node.is_empty()).then(|| Node {
            id: rows.id,
            name: rows.node,
            address: rows.address,
            datacenter: rows.datacenter,
            tagged_addresses: rows.tagged_addresses,
            meta: rows.node_meta,
            ..Node::default()
        });
        let rows = CatalogRows { node, services: rows.services, checks: rows.checks };
        self.local.catalog_read(self.now, id, &rows);
        self.settle();
    }

    /// What the API tells about this agent.
    fn facts(&self) -> NodeFacts {
        let config = &self.config;
        let group = |rows: &[(&str, String)]| {
            rows.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let agent = group(&[
            ("checks", self.local.checks().count().to_string()),
            ("services", self.local.services().count().to_string()),
        ]);
        let consul = group(&[
            ("known_servers", self.route.len().to_string()),
            ("server", "false".to_owned()),
        ]);
        NodeFacts {
            server: false,
            members: self.gossip.shown(),
            members_wan: Vec::new(),
            coordinate: self.gossip.coordinate(),
            stats: BTreeMap::from([
                ("agent".to_owned(), agent),
                ("consul".to_owned(), consul),
                ("serf_lan".to_owned(), self.gossip.stats()),
            ]),
            meta: self.local.config().meta.clone(),
            ..config.facts()
        }
    }
}

/// How long servers may take to compare, or to write: longer than an election.
const SYNC_MAX: Duration = Duration::from_secs(30);
