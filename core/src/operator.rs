//! What operators ask about the servers, and what they want done.

use tribune_api::error::Error;
use tribune_api::operator::{
    self, Health, OperatorCall, PeerName, SerfStatus, Server, ServerHealth,
};
use tribune_api::replication;
use tribune_base::id::{LogId, ServerId};
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_raft::Change;

use crate::event::Event;
use crate::leader::Seen;
use crate::node::Node;
use crate::output::Output;
use crate::request::{Held, Pending, Question, RequestId};

impl Node {
    /// An operator asks, or wants something done.
    pub(crate) fn operate(&mut self, id: RequestId, question: Question) {
        if !question.call.needs_leader() || self.leads() {
            self.perform(id, None, question.call);
        } else if let Some(leader) = self.other_leader() {
            self.forward_question(leader, id, question);
        } else {
            self.hold(id, Held::Operator(question));
        }
    }

    /// Do it here. `from`, if it was another server that asked.
    pub(crate) fn perform(&mut self, id: RequestId, from: Option<ServerId>, call: OperatorCall) {
        match call {
            OperatorCall::RaftConfiguration { pretty, .. } => {
                let servers: Vec<_> = self.servers().collect();
                self.reply(id, operator::raft_configuration(&servers, pretty));
            }
            OperatorCall::AutopilotHealth { pretty } => {
                let health = self.health();
                self.reply(id, operator::health(&health, pretty));
            }
            OperatorCall::AutopilotState { pretty } => {
                let health = self.health();
                self.reply(id, operator::state(&health, pretty));
            }
            OperatorCall::KvReplication { pretty } => {
                let status = self.replication_status();
                self.reply(id, replication::status(&status, pretty));
            }
            OperatorCall::RemovePeer(name) => self.remove_peer(id, from, &name),
            OperatorCall::TransferLeader { to, pretty } => self.hand_over(id, to, pretty),
        }
    }

    /// The members of consensus, in order.
    fn servers(&self) -> impl Iterator<Item = Server> {
        let configuration = self.raft.configuration();
        let peers = self.raft.peers();
        let own = self.raft.id();
        let leader = self.raft.leader();
        configuration.members().map(move |id| {
            let matched = peers.iter().find(|it| it.id == id).map(|it| it.matched);
            let name = match self.roster.get(id) {
                _ if id == own => Some(self.config.name.clone()),
                known => known.map(|it| it.hello.name.clone()),
            };
            Server {
                id,
                name,
                address: configuration.address(id).unwrap_or_default().to_owned(),
                leader: leader == Some(id),
                voter: configuration.is_voter(id),
                last_index: if id == own {
                    self.raft.last().index
                } else {
                    matched.unwrap_or_default()
                },
            }
        })
    }

    /// The members, as autopilot looks at them.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let peers = self.raft.peers();
        let own = self.raft.id();
        let configuration = self.raft.configuration();
        let look = |id: ServerId| {
            let voter = configuration.is_voter(id);
            if id == own {
                let (alive, last_contact) = (true, Some(Duration::ZERO));
                return Seen { id, voter, alive, last_contact, last_log: self.raft.last() };
            }
            let peer = peers.iter().find(|it| it.id == id);
            let matched = peer.map(|it| it.matched).unwrap_or_default();
            let term = self.raft.term_at(matched).unwrap_or_default();
            Seen {
                id,
                voter,
                alive: self.roster.get(id).is_some_and(|it| it.is_alive(self.now)),
                last_contact: peer.and_then(|it| it.contact).map(|it| self.now.since(it)),
                last_log: LogId::new(term, matched),
            }
        };
        configuration.members().map(look).collect()
    }

    fn health(&self) -> Health {
        let Some(reign) = &self.reign else { return Health::default() };
        let autopilot = &reign.autopilot;
        let servers = self.servers().zip(self.seen()).map(|(server, seen)| {
            let known = self.roster.get(server.id);
            let standing = autopilot.standing(server.id);
            let own = server.id == self.raft.id();
            ServerHealth {
                status: match known {
                    _ if own => SerfStatus::Alive,
                    None => SerfStatus::None,
                    Some(it) if it.is_alive(self.now) => SerfStatus::Alive,
                    Some(it) if it.hello.leaving => SerfStatus::Left,
                    Some(_) => SerfStatus::Failed,
                },
                version: match known {
                    _ if own => self.config.version.clone(),
                    known => known.map(|it| it.hello.version.clone()).unwrap_or_default(),
                },
                last_contact: seen.last_contact,
                last_log: seen.last_log,
                healthy: standing.is_some_and(|it| it.healthy),
                stable_since: self.wall_at(standing.map_or(self.now, |it| it.since)),
                meta: std::collections::BTreeMap::new(),
                server,
            }
        });
        let servers = servers.collect();
        let failure_tolerance = autopilot.failure_tolerance();
        Health { healthy: autopilot.is_healthy(), failure_tolerance, servers }
    }

    /// What the clock on the wall said at a moment of this node's.
    fn wall_at(&self, at: Instant) -> WallTime {
        let ago = u64::try_from(self.now.since(at).as_millis()).unwrap_or(u64::MAX);
        WallTime(self.wall().0.saturating_sub(ago))
    }

    fn remove_peer(&mut self, id: RequestId, from: Option<ServerId>, name: &PeerName) {
        let called = |it: &Server| name.is(it.id, &it.address);
        let Some(peer) = self.servers().find(called).map(|it| it.id) else {
            return self.reply(id, name.unknown().into());
        };
        let change = Change::Remove(peer);
        match self.raft.propose_configuration(self.now, change.clone()) {
            Ok(at) => {
                self.ledger.propose(at, crate::request::Proposer::Client(id));
                let pending = Pending::Reconfigure(operator::peer_removed());
                self.ledger.wait(id, pending, self.now + self.config.write_max);
                // Who asked for itself goes, and says so with every hello. Anybody else may not know.
                if from != Some(peer)
                    && let Some(reign) = &mut self.reign
                {
                    reign.removed.insert(peer, self.now);
                }
                self.configured();
                self.outputs.push_back(Output::Event(Event::MembersChanged { change }));
            }
            Err(error) => self.reply(id, Error::from(error).into()),
        }
    }

    fn hand_over(&mut self, id: RequestId, to: Option<ServerId>, pretty: bool) {
        match self.raft.transfer(self.now, to) {
            Ok(()) => {
                let pending = Pending::HandOver { pretty };
                self.ledger.wait(id, pending, self.now + self.raft.config().election_timeout * 2);
            }
            Err(error) => self.reply(id, Error::from(error).into()),
        }
    }

    /// Somebody else leads: that is what some have waited for.
    pub(crate) fn handed_over(&mut self) {
        for id in self.ledger.waiting(|it| matches!(it, Pending::HandOver { .. })) {
            if let Some(Pending::HandOver { pretty }) = self.ledger.take(id) {
                self.reply(id, operator::transferred(pretty));
            }
        }
    }
}
