//! What this server cannot decide → the one that leads.
//!
//! A write is handed over once. If the leader says that it did not propose it, it is handed over
//! again, to whoever leads then; if nobody can say what became of it, the client is told so: to hand
//! it over again could make it happen twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tribune_agent::{SyncFailed, SyncId};
use tribune_api::error::Error;
use tribune_api::http::{OwnedRequest, Response};
use tribune_api::operator::OperatorCall;
use tribune_api::plan::{self, Plan, PoolCall, Remote, Write};
use tribune_api::prepared;
use tribune_base::bug;
use tribune_base::id::{Index, ServerId};
use tribune_base::time::{Duration, Instant};
use tribune_raft::ProposeError;
use tribune_state::{Command, Outcome, Registration};

use crate::apply::Envelope;
use crate::fired;
use crate::node::Node;
use crate::output::Output;
use crate::request::{Held, OWN, Pending, Proposer, Question, RequestId};
use crate::wire::{Proposal, Proposed, Rejected, Wire};

/// What was handed to the leader and has not come back, and what was handed to this one.
#[derive(Debug)]
pub(crate) struct Forwards {
    /// Begins where chance wants it: an answer to this server's former self is no answer to it.
    last_serial: u64,
    /// Who waits, and for whom.
    waiting: BTreeMap<u64, Handed>,
    /// Invariant: the bytes of those in `waiting` that were sent.
    in_flight: usize,
    /// Questions of clients, and who was asked.
    asked: BTreeMap<u64, Asked>,
    /// Proposals that leave together, as far as the window has room.
    outbox: BTreeMap<ServerId, VecDeque<Proposal>>,
    /// Results that leave together.
    results: BTreeMap<ServerId, Vec<Proposed>>,
    /// Questions of other agents' clients.
    guests: BTreeMap<RequestId, Guest>,
    /// What the leader has committed for the local agent, and this server has not applied yet.
    synced: BTreeMap<(Index, u64), (SyncId, Vec<Outcome>)>,
}

/// A command that was handed to the leader.
#[derive(Debug)]
struct Handed {
    to: ServerId,
    proposer: Proposer,
    /// When its fate is unknown. Clients have deadlines of their own.
    deadline: Instant,
    /// How long it is, once it was sent.
    sent: Option<usize>,
}

/// A question of another agent's client.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Who asked, and by which number.
    asked: (ServerId, u64),
    /// Where the answer goes, if that is known: whoever asked may not be believed to be there by then.
    address: Option<Arc<str>>,
    /// Whether that is to another datacenter.
    afar: bool,
    /// Whether it may change anything.
    changes: bool,
}

/// A question that the leader was asked.
#[derive(Debug)]
struct Asked {
    of: ServerId,
    id: RequestId,
    question: Question,
}

impl Forwards {
    pub(crate) fn new(first_serial: u64) -> Self {
        Self {
            last_serial: first_serial,
            waiting: BTreeMap::new(),
            in_flight: 0,
            asked: BTreeMap::new(),
            outbox: BTreeMap::new(),
            results: BTreeMap::new(),
            guests: BTreeMap::new(),
            synced: BTreeMap::new(),
        }
    }

    fn serial(&mut self) -> u64 {
        self.last_serial = self.last_serial.wrapping_add(1);
        self.last_serial
    }

    /// The next proposals for `to`, if the window has room: what it cannot take yet must not fill the
    /// connection, where heartbeats travel, too, and what is too much is lost.
    fn due(&mut self, to: ServerId) -> Vec<Proposal> {
        let Some(queue) = self.outbox.get_mut(&to) else { return Vec::new() };
        let mut due = Vec::new();
        while self.in_flight < WINDOW_BYTES_MAX
            && let Some(proposal) = queue.pop_front()
        {
            // Who had proposed it may have been told meanwhile that it takes too long.
            let Some(handed) = self.waiting.get_mut(&proposal.serial) else { continue };
            handed.sent = Some(proposal.command.len());
            self.in_flight += proposal.command.len();
            due.push(proposal);
        }
        if queue.is_empty() {
            self.outbox.remove(&to);
        }
        due
    }

    /// Nobody waits any more for those that `over` says.
    fn give_up(&mut self, over: impl Fn(&Handed) -> bool) -> Vec<Handed> {
        let gone: Vec<_> =
            self.waiting.extract_if(.., |_, it| over(it)).map(|(_, it)| it).collect();
        self.in_flight -= gone.iter().filter_map(|it| it.sent).sum::<usize>();
        gone
    }

    /// Who asked for `id`, if it was another agent.
    pub(crate) fn guest(&mut self, id: RequestId) -> Option<Guest> {
        self.guests.remove(&id)
    }

    /// A server of another datacenter asks for `id`.
    pub(crate) fn welcome_from_afar(
        &mut self,
        id: RequestId,
        asked: (ServerId, u64),
        address: Arc<str>,
        changes: bool,
    ) {
        self.guests.insert(id, Guest { asked, address: Some(address), afar: true, changes });
    }
}

/// The side that hands over.
impl Node {
    /// The server that leads, if it is another one.
    pub(crate) fn other_leader(&self) -> Option<ServerId> {
        self.raft.leader().filter(|it| *it != self.raft.id())
    }

    /// Have a client's command committed by `leader`.
    pub(crate) fn forward_write(&mut self, leader: ServerId, id: RequestId, write: Write) {
        self.forward(leader, &write.command, Proposer::Client(id));
        let deadline = self.now + self.config.hold_max;
        self.ledger.wait(id, Pending::Forward(write), deadline);
    }

    /// Have a command committed by `leader`.
    pub(crate) fn forward(&mut self, leader: ServerId, command: &Command, proposer: Proposer) {
        self.hand_over_bytes(leader, command.encode(), proposer);
    }

    fn hand_over_bytes(&mut self, leader: ServerId, command: bytes::Bytes, proposer: Proposer) {
        let forwards = &mut self.forwards;
        let serial = forwards.serial();
        let deadline = self.now + self.config.hold_max;
        forwards.waiting.insert(serial, Handed { to: leader, proposer, deadline, sent: None });
        let proposal = Proposal { serial, command };
        forwards.outbox.entry(leader).or_default().push_back(proposal);
    }

    /// Have a client's question answered by `leader`.
    pub(crate) fn forward_question(&mut self, leader: ServerId, id: RequestId, question: Question) {
        let serial = self.forwards.serial();
        self.ledger.wait(id, Pending::Asked, self.now + self.config.hold_max);
        let request = question.request.clone();
        self.say(leader, Wire::Ask { serial, request, last: true });
        self.forwards.asked.insert(serial, Asked { of: leader, id, question });
    }

    /// Results have come back.
    pub(crate) fn on_proposed(&mut self, from: ServerId, results: Vec<Proposed>) {
        for Proposed { serial, result } in results {
            let waiting = &mut self.forwards.waiting;
            if waiting.get(&serial).is_none_or(|it| it.to != from) {
                continue;
            }
            let Some(Handed { proposer, sent, .. }) = waiting.remove(&serial) else { continue };
            self.forwards.in_flight -= sent.unwrap_or_default();
            match proposer {
                Proposer::Client(id) => self.forwarded(id, result),
                Proposer::Sync(id) => self.forwarded_sync(serial, id, result),
                Proposer::Agent { from, serial } => self.result(from, serial, result),
                Proposer::Duty => unreachable!("a leader's duty is its own"),
            }
        }
        self.release_synced();
    }

    fn forwarded(&mut self, id: RequestId, result: Result<(Index, Outcome), Rejected>) {
        // Its client may be gone.
        let Some(Pending::Forward(write)) = self.ledger.take(id) else { return };
        match result {
            Ok((_, outcome)) => self.reply(id, write.answer.response(outcome, write.pretty)),
            Err(Rejected::NotLeader) => self.hold(id, Held::Write(write)),
            Err(rejected) => self.reply(id, Error::from(rejected).into()),
        }
    }

    fn forwarded_sync(
        &mut self,
        serial: u64,
        id: SyncId,
        result: Result<(Index, Outcome), Rejected>,
    ) {
        match result {
            // Who registered here looks it up here: it is settled when this server shows it.
            Ok((index, outcome)) => {
                self.forwards.synced.insert((index, serial), (id, outcomes(outcome)));
            }
            Err(_) => self.local.synced(self.now, id, Err(SyncFailed)),
        }
    }

    /// What the local agent changed is applied here, too.
    pub(crate) fn release_synced(&mut self) {
        let applied = self.applied;
        while let Some(first) = self.forwards.synced.first_entry()
            && first.key().0 <= applied
        {
            let (id, outcomes) = first.remove();
            self.local.synced(self.now, id, Ok(outcomes));
        }
        self.settle();
    }

    /// An answer has come back.
    pub(crate) fn on_answer(&mut self, from: ServerId, serial: u64, response: Response) {
        let asked = &mut self.forwards.asked;
        if asked.get(&serial).is_none_or(|it| it.of != from) {
            return;
        }
        let Some(Asked { id, question, .. }) = asked.remove(&serial) else { return };
        if self.ledger.take(id).is_none() || self.was_let_go(id, &response) {
            return;
        }
        // Not any more, or not yet. Nothing was done, so whoever leads may be asked again.
        if response == Response::from(Error::NoClusterLeader) {
            self.hold(id, Held::Operator(question));
        } else {
            self.reply(id, response);
        }
    }

    /// These have not left this server.
    pub(crate) fn not_proposed(&mut self, serials: &[u64]) {
        for serial in serials.iter().copied() {
            let Some(to) = self.forwards.waiting.get(&serial).map(|it| it.to) else { continue };
            let result = Err(Rejected::NotLeader);
            self.on_proposed(to, vec![Proposed { serial, result }]);
        }
    }

    /// This question has not left this server.
    pub(crate) fn not_asked(&mut self, serial: u64) {
        let Some(Asked { of, .. }) = self.forwards.asked.get(&serial) else { return };
        self.on_answer(*of, serial, Error::NoClusterLeader.into());
    }

    /// Somebody else leads now, or this server does: what the others were handed, nobody here will
    /// hear of.
    pub(crate) fn abandon_forwards(&mut self) {
        let leader = self.raft.leader();
        for handed in self.forwards.give_up(|it| Some(it.to) != leader) {
            match handed.proposer {
                Proposer::Client(id) => match (self.ledger.take(id), handed.sent) {
                    // It has not left: whoever leads next may have it.
                    (Some(Pending::Forward(write)), sent) if sent.is_none() || bug!(K12) => {
                        self.hold(id, Held::Write(write));
                    }
                    (Some(_), _) => self.reply(id, Error::LeadershipLost.into()),
                    (None, _) => {}
                },
                Proposer::Sync(id) => self.local.synced(self.now, id, Err(SyncFailed)),
                Proposer::Agent { from, serial } => {
                    self.result(from, serial, Err(Rejected::LeadershipLost));
                }
                Proposer::Duty => {}
            }
        }
        // Who was asked to hand over has done so, and is about to say it.
        let lost = |_: &u64, it: &mut Asked| {
            let hands_over = matches!(it.question.call, OperatorCall::TransferLeader { .. });
            Some(it.of) != leader && !hands_over
        };
        for (_, asked) in self.forwards.asked.extract_if(.., lost).collect::<Vec<_>>() {
            let Asked { id, question, .. } = asked;
            if self.ledger.take(id).is_none() {
                continue;
            }
            if question.call.changes() {
                self.reply(id, Error::LeadershipLost.into());
            } else {
                self.hold(id, Held::Operator(question));
            }
        }
    }

    /// Give up on what has not come back, and on what nobody waits for any more.
    pub(crate) fn expire_forwards(&mut self) {
        let (now, ledger) = (self.now, &self.ledger);
        self.forwards.asked.retain(|_, it| ledger.is_waiting(it.id));
        let over = |it: &Handed| match it.proposer {
            Proposer::Client(id) => !ledger.is_waiting(id),
            Proposer::Sync(_) | Proposer::Agent { .. } | Proposer::Duty => it.deadline <= now,
        };
        for handed in self.forwards.give_up(over) {
            if let Proposer::Sync(id) = handed.proposer {
                self.local.synced(now, id, Err(SyncFailed));
            }
        }
    }

    /// Send what has gathered since the last time: one message to each server.
    pub(crate) fn flush_forwards(&mut self) {
        for to in self.forwards.outbox.keys().copied().collect::<Vec<_>>() {
            let proposals = self.forwards.due(to);
            if !proposals.is_empty() {
                self.say(to, Wire::Propose(proposals));
            }
        }
        for (to, results) in std::mem::take(&mut self.forwards.results) {
            self.say(to, Wire::Proposed(results));
        }
    }
}

/// The side that is asked.
impl Node {
    /// Another agent has commands: a server's clients', or a client agent's own.
    pub(crate) fn on_propose(&mut self, from: ServerId, proposals: Vec<Proposal>) {
        // A server asks whom it believes to lead. A client agent asks anybody.
        let leader = self.other_leader().filter(|_| self.roster.get(from).is_none());
        for Proposal { serial, command } in proposals {
            let proposer = Proposer::Agent { from, serial };
            match leader {
                Some(leader) => self.hand_over_bytes(leader, command, proposer),
                None => {
                    if let Err(rejected) = self.propose_for(proposer, command) {
                        self.result(from, serial, Err(rejected));
                    }
                }
            }
        }
    }

    fn propose_for(&mut self, proposer: Proposer, command: bytes::Bytes) -> Result<(), Rejected> {
        if !self.raft.is_leader() {
            return Err(Rejected::NotLeader);
        }
        if self.no_space {
            return Err(Rejected::DiskFull);
        }
        // What no server could apply must not enter the log.
        Command::decode(command.clone()).map_err(|_| Rejected::Unknown)?;
        let envelope = Envelope::wrap(self.wall(), &command);
        let at = self.raft.propose(self.now, envelope).map_err(|error| match error {
            ProposeError::NotLeader { .. } | ProposeError::Transferring => Rejected::NotLeader,
            ProposeError::Overloaded { .. } => Rejected::Overloaded,
        })?;
        self.ledger.propose(at, proposer);
        Ok(())
    }

    /// Tell another agent what became of its command, together with all others.
    pub(crate) fn result(
        &mut self,
        to: ServerId,
        serial: u64,
        result: Result<(Index, Outcome), Rejected>,
    ) {
        self.forwards.results.entry(to).or_default().push(Proposed { serial, result });
    }

    /// Another agent has a question. `last`, if this one must not ask anybody else.
    pub(crate) fn on_ask(
        &mut self,
        from: ServerId,
        serial: u64,
        request: OwnedRequest,
        last: bool,
    ) {
        let id = self.own_request();
        let (address, changes) = (self.address(from).cloned(), request.changes());
        let guest = Guest { asked: (from, serial), address, afar: false, changes };
        self.forwards.guests.insert(id, guest);
        if self.config.requests_max <= self.ledger.len() {
            return self.reply(id, Error::Overloaded.into());
        }
        self.answer_guest(id, from, request, last, None);
    }

    /// Tell another agent what it asked for; or, with `None`, that others are to.
    pub(crate) fn answer_to(&mut self, guest: Guest, response: Option<Response>) {
        let Guest { asked: (from, serial), address, afar, .. } = guest;
        let response = response.map(Box::new);
        let (to, message) = if afar {
            (address, Wire::Forwarded { serial, response })
        } else {
            let now = self.address(from).cloned();
            (now.or(address), Wire::Answer { serial, response })
        };
        if let Some(to) = to {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Answer another agent's client. If it is of another datacenter, until a deadline.
    pub(crate) fn answer_guest(
        &mut self,
        id: RequestId,
        from: ServerId,
        request: OwnedRequest,
        last: bool,
        until: Option<Instant>,
    ) {
        if let Some(stream) = request.is_dns() {
            let elsewhere = request.dns_datacenter().filter(|it| self.router.knows(it));
            if let Some(datacenter) = elsewhere.filter(|_| until.is_none()) {
                let (changes, wait) = (false, Duration::ZERO);
                let there = Remote { datacenter: datacenter.to_owned(), changes, wait };
                return self.ask_across(id, request, &there);
            }
            self.ledger.wait(id, Pending::Resolving, Instant::NEVER);
            let OwnedRequest { body: packet, mut asker, .. } = request;
            asker.afar &= until.is_some();
            return self.outputs.push_back(Output::Resolve { id, packet, stream, asker });
        }
        let mut request = request;
        if bug!(D01) && until.is_none() {
            request.query = request.query.replace("dc=", "forgotten=");
        }
        let context = Arc::clone(&self.config.context);
        let plan = prepared::plan_from_afar(&request, &context)
            .unwrap_or_else(|| plan::plan(&request.as_request(), &context));
        if last && !self.leads() && !matches!(plan, Plan::Answer(_)) {
            return self.reply(id, Error::NoClusterLeader.into());
        }
        match plan {
            Plan::Answer(response) => self.reply(id, response),
            Plan::Write(write) => self.try_write(id, write),
            Plan::Read(mut read) => {
                read.asked_at(&request.asker.agent);
                read.shuffle(|| self.rng.draw());
                match until {
                    None => self.read(id, read, None),
                    Some(deadline) => self.read_until(id, read, deadline),
                }
            }
            Plan::Status(call) => {
                let leader = self.raft.leader().and_then(|it| self.roster.member_address(it));
                let places = Arc::clone(self.gossip.places());
                let datacenters = places.datacenter_names(&context);
                let response =
                    call.response(leader.as_deref(), &self.roster.voters(), &datacenters);
                self.reply(id, response);
            }
            Plan::Operator(call) if last => self.perform(id, Some(from), call),
            Plan::Operator(call) => {
                let hold_until = self.now + self.config.hold_max;
                self.operate(id, Question { call, request, hold_until });
            }
            Plan::Pool(PoolCall::Fire(fire)) if until.is_some() => {
                let response = fired::fire(&mut self.gossip, self.now, fire, &mut self.rng);
                self.reply(id, response);
            }
            // What is about an agent itself is asked there.
            Plan::Agent(_) | Plan::Pool(_) => self.reply(id, Error::UnknownPath.into()),
            // It has been sent on once already.
            Plan::Remote(_) if until.is_some() && !bug!(D02) => {
                self.reply(id, Error::NoPathToDatacenter.into());
            }
            Plan::Remote(there) => self.ask_across(id, request, &there),
        }
    }

    /// Nobody waits for the answer to this question any more.
    pub(crate) fn on_forget(&mut self, from: ServerId, serial: u64) {
        let guests = &self.forwards.guests;
        let found = guests.iter().find(|(_, it)| it.asked == (from, serial)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.forwards.guests.remove(&id);
            self.cancel(id);
        }
    }

    /// An agent seems to be gone. If it is not, those who look for something there are to ask somebody
    /// else. What changes something is under way, and answered when it is done.
    pub(crate) fn doubt_guests(&mut self, of: ServerId) {
        let looks = |it: &Guest| it.asked.0 == of && !it.changes;
        let guests = &mut self.forwards.guests;
        let doubted: Vec<_> = guests.extract_if(.., |_, it| looks(it)).collect();
        for (id, guest) in doubted {
            self.cancel(id);
            self.answer_to(guest, None);
        }
    }

    /// An agent is gone, and with it everybody who waited there.
    pub(crate) fn forget_guests(&mut self, of: ServerId) {
        let gone: Vec<_> = self
            .forwards
            .guests
            .extract_if(.., |_, it| it.asked.0 == of)
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            self.cancel(id);
        }
    }

    /// A client agent wants to compare itself with the catalog.
    pub(crate) fn on_read_rows(&mut self, from: ServerId, serial: u64, node: &str) {
        // A follower's state will do: what it does not show yet is written again, which changes
        // nothing.
        let rows = (self.leads() || self.other_leader().is_some()).then(|| {
            let view = self.store.view();
            let mut rows = Registration::default();
            if let Some(node) = view.node(node).1 {
                rows.id = node.id;
                rows.node = node.name.clone();
                rows.address = node.address.clone();
                rows.datacenter = node.datacenter.clone();
                rows.tagged_addresses = node.tagged_addresses.clone();
                rows.node_meta = node.meta.clone();
            }
            let services = view.node_services(node).1;
            rows.services = services.into_iter().flat_map(|it| it.services).cloned().collect();
            rows.checks = view.node_checks(node).1.into_iter().cloned().collect();
            Box::new(rows)
        });
        self.say(from, Wire::Rows { serial, rows });
    }

    /// A name for a request that none of this agent's clients has.
    pub(crate) fn own_request(&mut self) -> RequestId {
        RequestId(OWN | self.forwards.serial())
    }
}

/// One outcome for each command of a batch.
pub(crate) fn outcomes(outcome: Outcome) -> Vec<Outcome> {
    match outcome {
        Outcome::Batch(outcomes) => outcomes,
        Outcome::Done(_) | Outcome::Refused(_) | Outcome::Ignored => vec![outcome],
    }
}

/// Bytes of commands that were handed to a leader and have not come back. Beyond, they wait.
const WINDOW_BYTES_MAX: usize = 4 << 20;
