//! A client agent: local services, health checks and gossip, and no state of its own. What it
//! cannot answer it asks a server.
//!
//! Its face is that of a server ([`Node`](crate::Node)): inputs go in, outputs come out, and the
//! shell that drives the one drives the other.

mod ask;
mod local;
mod route;

use std::collections::VecDeque;
use std::sync::Arc;

use tribune_agent::Local;
use tribune_api::error::Error;
use tribune_api::http::Response;
use tribune_base::id::{Index, ServerId, Term};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Change, MemberEvent};
use tribune_state::Store;

use crate::area::Area;
use crate::config::Config;
use crate::event::Event;
use crate::fired::{self, Fired};
use crate::gossip::{self, Gossip, News};
use crate::input::{Call, Input};
use crate::node::Restored;
use crate::output::Output;
use crate::request::{Ledger, Pending, RequestId};
use crate::view::{Freshness, Shown, View};
use crate::wire::Wire;

use ask::Asks;
use route::Route;

/// A client agent. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Client {
    config: Config,
    local: Local,
    gossip: Gossip,
    fired: Fired,
    ledger: Ledger,
    route: Route,
    asks: Asks,
    leave: Option<Leave>,
    rng: Rng,
    now: Instant,
    outputs: VecDeque<Output>,
}

/// On the way out.
#[derive(Debug)]
struct Leave {
    asked_by: Vec<RequestId>,
    /// When it stops, whether others know or not.
    deadline: Instant,
}

impl Client {
    /// A client agent that goes on with the registrations in `restored`. It knows of nobody: join
    /// somebody.
    pub fn new(config: Config, restored: Restored, seed: u64, now: Instant) -> Self {
        let mut rng = Rng::stream(seed, "client");
        let mut local = Local::new(config.agent.clone(), seed, now);
        local.restore(now, restored.files, restored.services, restored.checks);
        let gossip = Gossip::lan(&config, &config.client_tags(), rng.draw(), now);
        Self {
            gossip,
            fired: Fired::default(),
            ledger: Ledger::default(),
            route: Route::new(now, &mut rng),
            asks: Asks::new(rng.draw() >> 1),
            leave: None,
            local,
            rng,
            now,
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Take in one input. Its consequences are worked out by [`poll_output`](Self::poll_output).
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.advance(now);
        match input {
            Input::Request { id, call } => self.request(id, call),
            Input::Cancel(id) => self.cancel(id),
            Input::Message { from, message } => self.hear(from, message),
            Input::Packet { area: Area::Lan, from, packet } => {
                self.gossip.heard(now, from, packet);
            }
            Input::KeysDone { area: Area::Lan, order, outcome } => {
                self.gossip.keys_done(now, order, outcome);
            }
            // Client agents are in no other pool.
            Input::Packet { area: Area::Wan, .. } | Input::KeysDone { area: Area::Wan, .. } => {}
            Input::Undelivered(inquiry) => self.undelivered(inquiry),
            Input::Lost { to } => self.lost(&to),
            Input::Checked { run, outcome } => self.local.checked(now, run, outcome),
            Input::Saved(change) => {
                self.local.saved(now, change);
                self.settle();
            }
            Input::Stop => self.outputs.push_back(Output::Stop),
            // Nothing here asks for these: there is no log, no state and no snapshot.
            Input::Unchanged { .. }
            | Input::Served { .. }
            | Input::SnapshotRead { .. }
            | Input::SnapshotWritten { .. }
            | Input::SnapshotInstalled { .. }
            | Input::SnapshotDamaged { .. }
            | Input::Persisted(_)
            | Input::NoSpace(_)
            | Input::Space
            | Input::SnapshotSaved(_) => {}
        }
    }

    /// Let time pass.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.local.handle_timeout(now);
        self.gossip.handle_timeout(now);
        self.route.handle_timeout(now, &mut self.rng);
        self.expire_asks();
        let over = self.fired.expire(now);
        self.reply_all(over);
        for id in self.ledger.overdue(now) {
            if let Some(Pending::Settling { change, response }) = self.ledger.take(id) {
                // The catalog may take its time. The disk may not: what is not on it would not
                // survive.
                let saved = self.local.is_settled(change).saved;
                self.reply(id, if saved { response } else { Error::Timeout.into() });
            }
        }
        if self.leave.as_ref().is_some_and(|it| it.deadline <= now) {
            self.gone();
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Instant {
        let leave = self.leave.as_ref().map(|it| it.deadline);
        let others = [self.local.poll_timeout(), self.ledger.poll_timeout(), leave];
        let others = others.into_iter().flatten().min().unwrap_or(Instant::NEVER);
        let machines = self.gossip.poll_timeout().min(self.route.poll_timeout());
        let machines = machines.min(self.fired.poll_timeout());
        machines.min(self.asks.poll_timeout()).min(others)
    }

    /// The next thing to do, or `None` when the caller may wait for the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.pump();
        }
        self.outputs.pop_front()
    }

    /// Nothing of a client agent is read without asking it.
    pub fn shown(&self) -> Shown {
        Shown {
            applied: Index(0),
            term: Term(0),
            leads: false,
            leader: None,
            lease_until: None,
            informed_at: None,
            placed: 0,
        }
    }

    /// A view that answers nothing.
    pub fn view(&self) -> View {
        let freshness = Freshness { leads: false, lease_until: None, informed_at: None };
        let (peers, places) = (Arc::default(), Arc::default());
        View { snapshot: Store::default().snapshot(), freshness, leader_addr: None, peers, places }
    }

    /// This agent's own services and checks, to look at.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// How many requests are not answered yet.
    pub fn waiting(&self) -> usize {
        self.ledger.len() + self.asks.len()
    }

    /// See [`Node`](crate::Node): the children are visited in a fixed order, until all are quiet.
    fn pump(&mut self) {
        for _ in 0..PUMP_ROUNDS_MAX {
            let mut quiet = true;
            while let Some(output) = self.local.poll_output() {
                quiet = false;
                self.on_local(output);
            }
            while let Some(news) = self.gossip.poll(self.now, &mut self.outputs) {
                quiet = false;
                self.on_news(news);
            }
            if quiet {
                return;
            }
        }
        panic!("the machines of this agent do not come to rest");
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Member(event) => self.on_member(&event),
            News::Joined(id, response) => self.reply(id, response),
            News::Fired(event) => {
                let woken = self.fired.hear(&event, &self.config.name, &self.local);
                self.reply_all(woken);
            }
            // Only servers give orders.
            News::Keys(_) | News::KeysWanted(..) => {}
            News::Left => self.gone(),
        }
    }

    fn on_member(&mut self, event: &MemberEvent) {
        self.outputs.push_back(Output::Event(Event::member(Area::Lan, event)));
        self.local.set_member_count(self.now, self.gossip.count());
        let id = ServerId::from(event.member.id);
        let is_there = matches!(event.change, Change::Join | Change::Update);
        match gossip::server(&event.member).filter(|_| is_there) {
            Some(server) => {
                self.route.found(id, server.address.into(), &mut self.rng);
                self.local.retry_sync(self.now);
                if event.change == Change::Join {
                    self.local.compare_with_server(self.now);
                }
                self.ask_now();
            }
            // It may be a rumour. What may be done once only has an answer coming then.
            None if self.route.remove(id) => self.ask_others(id, event.change != Change::Failed),
            None => {}
        }
    }

    fn request(&mut self, id: RequestId, call: Call) {
        let waiting = self.ledger.len() + self.asks.len() + self.fired.len();
        if self.config.requests_max <= waiting {
            return self.reply(id, Error::Overloaded.into());
        }
        match call {
            Call::Agent(call) => self.agent_call(id, call),
            Call::Reload(reload) => self.reload(id, *reload),
            Call::Join { area: Area::Wan, .. }
            | Call::Alone { area: Area::Wan }
            | Call::ForceLeave { area: Area::Wan, .. } => {
                self.reply(id, Error::NoWanPool.into());
            }
            Call::Alone { area: Area::Lan } => {
                let alone = self.gossip.is_alone();
                self.reply(id, alone);
            }
            Call::Join { area: Area::Lan, addrs } => self.gossip.join(self.now, id, addrs),
            Call::ForceLeave { area: Area::Lan, node, prune } => {
                let response = force_leave(&mut self.gossip, self.now, &node, prune);
                self.reply(id, response);
            }
            Call::Fire(fire) => {
                let response = fired::fire(&mut self.gossip, self.now, fire, &mut self.rng);
                self.reply(id, response);
            }
            Call::Keyring(_) => self.reply(id, Error::ServersOnly.into()),
            Call::Events(list) => {
                if let Some(response) = self.fired.ask(self.now, id, list, &mut self.rng) {
                    self.reply(id, response);
                }
            }
            Call::Forward { request, changes, patience } => {
                self.ask(id, request, changes, patience);
            }
            // The edge of a client agent forwards these as they came.
            Call::Write(_) | Call::Read { .. } | Call::Operator { .. } | Call::Across { .. } => {
                self.reply(id, Error::NotReady.into());
            }
        }
    }

    fn hear(&mut self, from: ServerId, message: Wire) {
        match message {
            Wire::Answer { serial, response: Some(response) } => {
                self.on_answer(from, serial, *response);
            }
            Wire::Answer { serial, response: None } => self.on_no_answer(from, serial),
            Wire::Proposed(results) => self.on_proposed(from, results),
            Wire::Rows { serial, rows } => self.on_rows(from, serial, rows),
            Wire::Exchange { area: Area::Wan, .. } | Wire::Exchanged { area: Area::Wan, .. } => {}
            Wire::Exchange { area: Area::Lan, serial, from, request } => {
                let answer = self.gossip.on_exchange(self.now, serial, &from, request);
                self.outputs.extend(answer);
            }
            Wire::Exchanged { area: Area::Lan, serial, answer } => {
                self.gossip.on_exchanged(self.now, serial, answer);
            }
            // Those are for servers. Whoever said one was told to join this agent, and will find
            // the servers here.
            Wire::Raft(_)
            | Wire::Hello(_)
            | Wire::Gather { .. }
            | Wire::Gathered { .. }
            | Wire::Found { .. }
            | Wire::Welcome
            | Wire::Propose(_)
            | Wire::Ask { .. }
            | Wire::Forget { .. }
            | Wire::Here { .. }
            | Wire::ReadRows { .. }
            | Wire::Forward { .. }
            | Wire::Forwarded { .. }
            | Wire::Retract { .. } => {}
        }
    }

    /// Go for good: others hear of it before this agent stops.
    fn leave(&mut self, id: RequestId) {
        let deadline = self.now + LEAVE_MAX;
        let leave = self.leave.get_or_insert(Leave { asked_by: Vec::new(), deadline });
        leave.asked_by.push(id);
        if leave.asked_by.len() == 1 {
            self.gossip.leave(self.now);
        }
    }

    fn gone(&mut self) {
        let Some(leave) = self.leave.take() else { return };
        for id in leave.asked_by {
            self.reply(id, Response::empty(200));
        }
        self.outputs.push_back(Output::Stop);
    }

    fn reply(&mut self, id: RequestId, response: Response) {
        self.outputs.push_back(Output::Reply { id, response });
    }

    fn reply_all(&mut self, answers: Vec<(RequestId, Response)>) {
        for (id, response) in answers {
            self.reply(id, response);
        }
    }

    fn say(&mut self, to: ServerId, message: Wire) {
        let Some(address) = self.route.address(to) else { return };
        let address = Arc::clone(address);
        if self.route.greet(self.now, to) {
            let message = Wire::Here { address: self.gossip.own().to_string() };
            self.outputs.push_back(Output::Send { to: Arc::clone(&address), message });
        }
        self.outputs.push_back(Output::Send { to: address, message });
    }

    fn advance(&mut self, now: Instant) {
        assert!(self.now <= now, "time goes forward");
        self.now = now;
    }
}

/// What a client is told that wants a member to be gone.
pub(crate) fn force_leave(gossip: &mut Gossip, now: Instant, node: &str, prune: bool) -> Response {
    if gossip.force_leave(now, node, prune) {
        Response::empty(200)
    } else {
        Error::not_found(format!("No node found with name '{node}'")).into()
    }
}

/// More rounds than any input needs: the machines would be feeding each other for ever.
const PUMP_ROUNDS_MAX: usize = 1_000;

/// How long leaving may take. Then the agent stops, and the others find out by themselves.
const LEAVE_MAX: Duration = Duration::from_secs(15);
