//! A client agent: it has no log and no state, so its shell is a smaller one than a
//! [server](super::node)'s. What it says over streams it learns to be lost, as over sockets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::{CheckOutcome, PersistedFile};
use tribune_api::http::OwnedRequest;
use tribune_api::http::Response;
use tribune_api::plan::{self, Context, Plan};
use tribune_base::id::NodeId;
use tribune_base::time::{Duration, Instant};
use tribune_core::{Agent as Core, Area, Call, Client, Input, Output, RequestId, Restored, Wire};
use tribune_state::Status;

use super::node::{config, gossip_address, node_id, server_id, weigh};
use super::serve::Done;
use super::{Event, World};
use crate::client::{Http, Reply};
use crate::dice::Dice;
use crate::moment::{Clock, Moment};
use crate::plan::Plan as Wanted;
use crate::trace::Place;
use crate::workload::{Action, Look};

/// One client agent, and what it has on its disk.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(super) name: String,
    pub(super) id: NodeId,
    context: Arc<Context>,
    /// `None` while it is down.
    pub(super) core: Option<Box<Core>>,
    /// Tells this incarnation from earlier ones.
    pub(super) life: u32,
    pub(super) clock: Clock,
    /// Where it is now: it may come back with another address.
    pub(super) network: u8,
    /// Its registrations, and when each was written.
    files: BTreeMap<String, (Bytes, Moment)>,
    /// Who is to be answered.
    connections: BTreeMap<RequestId, (usize, u32)>,
    next_request: u64,
    /// What tasks of the shell are numbered by.
    tasks: u64,
    /// The attempt to join that is under way.
    joining: Option<RequestId>,
    /// Whether it has joined anybody that may be there still.
    joined: bool,
    timer: (Moment, u64),
    overdue: u32,
    pub(super) paused: bool,
    pub(super) held: Vec<Event>,
}

impl Agent {
    /// The agent at a place. `name` is its name.
    pub(super) fn new(place: usize, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: node_id(place),
            context: Arc::new(Context::new("dc1", name)),
            core: None,
            life: 0,
            clock: Clock::start(Moment::default(), 1_000),
            network: 0,
            files: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_request: 0,
            tasks: 0,
            joining: None,
            joined: false,
            timer: (Moment::NEVER, 0),
            overdue: 0,
            paused: false,
            held: Vec::new(),
        }
    }

    /// Whether it runs, and does not stand still.
    pub(super) const fn is_well(&self) -> bool {
        self.core.is_some() && !self.paused
    }

    fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }
}

/// The names of a plan's client agents.
pub(super) fn names(plan: &Wanted) -> Vec<String> {
    let name = |n: usize| {
        let twin = plan.twins && n + 1 == plan.agents;
        format!("a{}", if twin { 1 } else { n + 1 })
    };
    (0..plan.agents).map(name).collect()
}

impl World {
    /// The client agent at a place; `None` if that is a server's.
    pub(super) fn agent_at(&self, place: usize) -> Option<&Agent> {
        self.agents.get(place.checked_sub(self.servers.len())?)
    }

    fn agent(&mut self, place: usize) -> &mut Agent {
        let servers = self.servers.len();
        &mut self.agents[place - servers]
    }

    /// How many servers and client agents there are.
    pub(super) const fn places(&self) -> usize {
        self.servers.len() + self.agents.len()
    }

    /// A client agent starts, with what it had registered, and looks for the others.
    pub(super) fn start_agent(&mut self, place: usize) {
        let (now, plan) = (self.now, self.plan.clone());
        let agent = self.agent(place);
        agent.life += 1;
        agent.clock = Clock::start(now, 1_000);
        (agent.joining, agent.joined) = (None, false);
        agent.timer.0 = Moment::NEVER;
        let subject = [AGENT, place as u64, u64::from(agent.life)];
        let mut dice = Dice::about(plan.seed, &subject);
        if 1 < agent.life && dice.permille(MOVES) {
            agent.network ^= 1;
        }
        let files = agent.files.iter().map(|(name, (bytes, at))| PersistedFile {
            name: name.clone(),
            bytes: bytes.clone(),
            age: now.since(*at),
        });
        let restored = Restored { files: files.collect(), ..Restored::default() };
        let config = config(place, agent.network, &agent.name, &plan);
        let client = Client::new(config, restored, dice.draw(), Instant::START);
        agent.core = Some(Box::new(Core::from(client)));
        let life = agent.life;
        let servers = self.servers.len();
        if let Some(core) = self.agents.get(place - servers).and_then(|it| it.core.as_deref()) {
            self.oracle.entropy.on_kept(&mut self.oracle.report, place, core.local());
        }
        self.note(Place::Server(place), "start", u64::from(life), || format!("life {life}"));
        self.step_agent(place, |_, _, _| {});
        self.after(JOIN_GAP, Event::Join { place, life });
    }

    /// It has not joined yet, or not successfully: try. Or it has, and sees whether anybody is left.
    pub(super) fn join(&mut self, place: usize, life: u32) {
        let servers = self.servers.len();
        let agent = self.agent(place);
        if agent.life != life || agent.core.is_none() {
            return;
        }
        let (id, area) = (agent.request(), Area::Lan);
        agent.joining = Some(id);
        let call = if agent.joined {
            Call::Alone { area }
        } else {
            Call::Join { area, addrs: (0..servers).map(gossip_address).collect() }
        };
        self.step_agent(place, |_, core, local| {
            core.handle(local, Input::Request { id, call });
        });
    }

    /// What became of that.
    fn joined(&mut self, place: usize, response: &Response) {
        let agent = self.agent(place);
        let (life, asked) = (agent.life, agent.joined);
        agent.joined = if asked { &response.body[..] != b"true" } else { response.status == 200 };
        let pause = match (asked, agent.joined) {
            (_, true) => JOIN_INTERVAL,
            (true, false) => Duration::ZERO,
            (false, false) => JOIN_RETRY,
        };
        self.after(pause, Event::Join { place, life });
    }

    /// A client agent is killed, or stops: what it has not written down is lost.
    pub(super) fn crash_agent(&mut self, place: usize) {
        let agent = self.agent(place);
        if agent.core.take().is_none() {
            return;
        }
        agent.paused = false;
        agent.held.clear();
        let broken = std::mem::take(&mut agent.connections);
        for (client, generation) in broken.into_values() {
            self.after(RESET, Event::Answer { client, generation, reply: Reply::Reset });
        }
        self.crashes += 1;
        self.note(Place::Server(place), "crash", 0, String::new);
    }

    /// Feed a client agent, and have what it wants done. Nothing happens at one that is down.
    pub(super) fn step_agent(
        &mut self,
        place: usize,
        feed: impl FnOnce(&mut Self, &mut Core, Instant),
    ) {
        let now = self.now;
        let agent = self.agent(place);
        let Some(mut core) = agent.core.take() else { return };
        let local = agent.clock.local(now);
        if core.poll_timeout() <= local {
            core.handle_timeout(local);
        }
        feed(self, &mut core, local);
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = core.poll_output() {
            outputs.push(output);
        }
        self.set_agent_timer(place, &core);
        self.agent(place).core = Some(core);
        let stops = outputs.iter().any(|it| matches!(it, Output::Stop));
        for output in outputs.drain(..) {
            self.perform_for_agent(place, output);
        }
        self.outputs = outputs;
        if stops {
            self.stop_agent(place);
        }
    }

    /// It has left for good; some time later somebody starts it again.
    fn stop_agent(&mut self, place: usize) {
        self.crash_agent(place);
        let life = self.agent(place).life;
        let subject = [STOP, place as u64, u64::from(life)];
        let down = Dice::about(self.plan.seed, &subject).up_to(STOPPED_MAX);
        self.after(down, Event::Restart { place, life });
    }

    /// Somebody starts it again.
    pub(super) fn restart_agent(&mut self, place: usize, life: u32) {
        let agent = self.agent(place);
        if agent.life == life && agent.core.is_none() {
            self.start_agent(place);
        }
    }

    fn perform_for_agent(&mut self, place: usize, output: Output) {
        let max = self.plan.knobs.disk_max;
        match output {
            Output::Send { to, message } => self.send_stream(place, &to, message),
            Output::Packet { area: Area::Lan, to, bytes } => {
                self.send_packet(place, &to.ip().to_string(), &bytes);
            }
            Output::Reply { id, response } => {
                let agent = self.agent(place);
                if agent.joining == Some(id) {
                    self.joined(place, &response);
                } else if let Some((client, generation)) = agent.connections.remove(&id) {
                    self.respond(client, generation, response);
                }
            }
            Output::RunCheck { run, .. } => {
                let outcome = self.probe_outcome(place);
                self.task_of_agent(place, Done::Checked { run, outcome }, CHECK_MAX);
            }
            Output::Save { seq, writes } => {
                self.task_of_agent(place, Done::Saved { seq, writes }, max);
            }
            Output::Persist(_)
            | Output::Serve(_)
            | Output::SaveSnapshot { .. }
            | Output::ReadSnapshot { .. }
            | Output::WriteSnapshot { .. }
            | Output::InstallSnapshot(_)
            | Output::ForgetLog { .. }
            | Output::Resolve { .. }
            | Output::Packet { area: Area::Wan, .. }
            | Output::Keys { .. }
            | Output::Recovered => unreachable!("a client agent has no state: {output:?}"),
            Output::StopCheck { .. } | Output::Event(_) | Output::Stop => {}
        }
    }

    fn task_of_agent(&mut self, place: usize, done: Done, max: Duration) {
        let agent = self.agent(place);
        agent.tasks += 1;
        let life = agent.life;
        let subject = [TASK, place as u64, u64::from(life), agent.tasks];
        let delay = Dice::about(self.plan.seed, &subject).up_to(max);
        self.after(delay, Event::Done { server: place, life, done: Box::new(done) });
    }

    /// What a check finds at an agent now. It is not another each time: services are well for a while,
    /// and then are not.
    pub(super) fn probe_outcome(&self, place: usize) -> CheckOutcome {
        let subject = [PROBE, place as u64, self.now.0 / MOOD.as_nanos() as u64];
        let mut dice = Dice::about(self.plan.seed, &subject);
        let healed = self.oracle.liveness.healed.is_some();
        let status = match dice.below(5) {
            0 if !healed => Status::Critical,
            1 if !healed => Status::Warning,
            _ => Status::Passing,
        };
        CheckOutcome { status, output: String::new() }
    }

    /// A task of a client agent's shell is done.
    pub(super) fn done_for_agent(&mut self, place: usize, life: u32, done: Done) {
        let now = self.now;
        let agent = self.agent(place);
        if agent.life != life || agent.core.is_none() {
            return;
        }
        let input = if let Done::Saved { seq, writes } = done {
            for (name, content) in writes {
                match content {
                    Some(content) => _ = agent.files.insert(name, (content, now)),
                    None => _ = agent.files.remove(&name),
                }
            }
            Input::Saved(seq)
        } else if let Done::Checked { run, outcome } = done {
            Input::Checked { run, outcome }
        } else {
            unreachable!("a client agent has no such task: {done:?}")
        };
        self.step_agent(place, |_, core, local| core.handle(local, input));
    }

    /// A message of a client agent, over a connection. What does not get through, it hears of.
    fn send_stream(&mut self, place: usize, address: &str, message: Wire) {
        let agent = self.agent(place);
        let (name, id, life) = (agent.name.clone(), agent.id, agent.life);
        self.oracle.entropy.on_say(&mut self.oracle.report, place, (&name, id), &message);
        let Some(to) = self.place_at(address) else {
            return self.undelivered(place, life, &message, NOBODY);
        };
        let fate = self.net.fate(self.now, place, to, &self.plan.knobs);
        if fate.again.is_some() {
            self.net.withdraw(place, to);
        }
        let Some(first) = fate.first else {
            let subject = [BROKEN, place as u64, self.now.0];
            let delay = Dice::about(self.plan.seed, &subject).up_to(BROKEN_MAX);
            let input = Box::new(Input::Lost { to: address.into() });
            return self.after(RESET + delay, Event::Report { place, life, input });
        };
        let (sent, message) = (self.now, Box::new(message));
        self.heap.push(first, Event::Deliver { from: place, to, sent, message });
    }

    /// Nobody listens where a client agent's message was to go.
    pub(super) fn undelivered(&mut self, place: usize, life: u32, message: &Wire, after: Duration) {
        if let Some(inquiry) = message.inquiry() {
            let input = Box::new(Input::Undelivered(inquiry));
            self.after(after, Event::Report { place, life, input });
        }
    }

    /// A client agent hears what became of its messages.
    pub(super) fn report_to_agent(&mut self, place: usize, life: u32, input: Input) {
        if self.agent(place).life == life {
            self.step_agent(place, |_, core, local| core.handle(local, input));
        }
    }

    /// All connections to a server are gone.
    pub(super) fn hang_up(&mut self, server: usize) {
        for place in self.servers.len()..self.places() {
            let life = self.agent(place).life;
            let input = Box::new(Input::Lost { to: super::node::address(server).into() });
            self.after(RESET, Event::Report { place, life, input });
        }
    }

    /// Something arrives at a client agent.
    pub(super) fn take_in_at_agent(
        &mut self,
        place: usize,
        core: &mut Core,
        local: Instant,
        event: Event,
    ) {
        if let Event::Request { client, generation, .. } = event {
            return self.take_request_at_agent(place, core, local, (client, generation));
        }
        if let Event::Packet { from, packet, .. } = event {
            let from = self.gossip_address_of(from);
            return core.handle(local, Input::Packet { area: Area::Lan, from, packet });
        }
        let Event::Deliver { from, sent, message, .. } = event else { return };
        self.oracle.entropy.on_hear(place, &message);
        let from_place = Some((Place::Server(from), sent));
        let text = || super::node::describe(&message);
        let (now, to) = (self.now, Place::Server(place));
        self.trace.note_from(now, to, "deliver", from_place, weigh(&message), text);
        core.handle(local, Input::Message { from: server_id(from), message: *message });
    }

    /// As the edge of a client agent does it: what is about the agent is answered there, and
    /// everything else by a server.
    fn take_request_at_agent(
        &mut self,
        place: usize,
        core: &mut Core,
        local: Instant,
        (client, generation): (usize, u32),
    ) {
        if self.clients[client].generation != generation {
            return;
        }
        let agent = self.agent(place);
        let (life, context) = (agent.life, Arc::clone(&agent.context));
        let Some(pending) = &mut self.clients[client].pending else { return };
        pending.asked.life = life;
        let call = if let Action::Look(Look::Dns(_), ..) = pending.asked.action {
            let packet = Bytes::from_static(pending.asked.action.subject().as_bytes());
            let request = OwnedRequest::dns(packet, false, None);
            Call::Forward { request, changes: false, patience: DNS_MAX }
        } else {
            let http = Http::of(&pending.asked);
            let request = http.request();
            let (changes, patience) = match plan::plan(&request, &context) {
                Plan::Answer(response) => return self.respond(client, generation, response),
                Plan::Agent(call) => {
                    return self.ask_agent(
                        place,
                        core,
                        local,
                        (client, generation),
                        Call::Agent(call),
                    );
                }
                Plan::Read(read) if read.min_index.0 != 0 => {
                    (false, read.wait + read.wait / 16 + HOLD_MAX)
                }
                Plan::Read(_) => (false, HOLD_MAX),
                Plan::Write(_) => (true, WRITE_MAX),
                Plan::Status(_) | Plan::Pool(_) | Plan::Operator(_) | Plan::Remote(_) => {
                    unreachable!("no client asks for such a thing")
                }
            };
            Call::Forward { request: request.to_owned(), changes, patience }
        };
        self.ask_agent(place, core, local, (client, generation), call);
    }

    fn ask_agent(
        &mut self,
        place: usize,
        core: &mut Core,
        local: Instant,
        asker: (usize, u32),
        call: Call,
    ) {
        let agent = self.agent(place);
        let id = agent.request();
        agent.connections.insert(id, asker);
        if let Some(pending) = &mut self.clients[asker.0].pending {
            pending.id = Some(id);
        }
        core.handle(local, Input::Request { id, call });
    }

    /// A client agent notices that a client is gone.
    pub(super) fn gone_at_agent(&mut self, place: usize, life: u32, id: RequestId) {
        let agent = self.agent(place);
        if agent.life == life && agent.connections.remove(&id).is_some() {
            self.step_agent(place, |_, core, local| core.handle(local, Input::Cancel(id)));
        }
    }

    /// A client agent's deadline has come.
    pub(super) fn ring_agent(&mut self, place: usize, generation: u64) {
        let timer = &mut self.agent(place).timer;
        if timer.1 != generation {
            return;
        }
        timer.0 = Moment::NEVER;
        self.step_agent(place, |_, _, _| {});
    }

    fn set_agent_timer(&mut self, place: usize, core: &Core) {
        let now = self.now;
        let agent = self.agent(place);
        let at = agent.clock.global(core.poll_timeout());
        agent.overdue = if at <= now { agent.overdue + 1 } else { 0 };
        let overdue = agent.overdue;
        let at = at.max(Moment(now.0 + 1_000));
        if at < agent.timer.0 && at != Moment::NEVER {
            agent.timer = (at, agent.timer.1 + 1);
            let generation = agent.timer.1;
            self.heap.push(at, Event::Timer { server: place, generation });
        }
        self.oracle.report.require(overdue < super::node::OVERDUE_MAX, "DL-1", || {
            format!("the agent at {place} has a deadline that nothing moves")
        });
    }

    /// A client agent goes on: its deadlines first, then everything that waits.
    pub(super) fn resume_agent(&mut self, place: usize) {
        if !std::mem::take(&mut self.agent(place).paused) {
            return;
        }
        self.agent(place).timer.0 = Moment::NEVER;
        self.step_agent(place, |_, _, _| {});
        for event in std::mem::take(&mut self.agent(place).held) {
            self.heap.push(self.now, event);
        }
    }
}

/// How long it takes to notice that nobody listens.
const RESET: Duration = Duration::from_millis(1);

/// And if there is not even a machine.
const NOBODY: Duration = Duration::from_secs(1);

/// How long it takes at most to notice that a connection is broken.
const BROKEN_MAX: Duration = Duration::from_secs(4);

/// When an agent looks for the others after it has started, and again if there was nobody.
const JOIN_GAP: Duration = Duration::from_millis(20);
const JOIN_RETRY: Duration = Duration::from_secs(2);

/// How often an agent sees whether anybody is left: `retry_interval`.
const JOIN_INTERVAL: Duration = Duration::from_secs(30);

/// Agents that come back with another address, out of a thousand.
const MOVES: u64 = 250;

/// How long an agent stays away at most that has left.
const STOPPED_MAX: Duration = Duration::from_secs(15);

/// How long a health check may take.
const CHECK_MAX: Duration = Duration::from_millis(2);

/// How long services are as they are.
const MOOD: Duration = Duration::from_secs(3);

/// How long answers may take, as the edge has it.
const HOLD_MAX: Duration = Duration::from_secs(7);
const WRITE_MAX: Duration = Duration::from_secs(30);
const DNS_MAX: Duration = Duration::from_secs(5);

/// What decisions are about.
const AGENT: u64 = 7;
const STOP: u64 = 8;
const PROBE: u64 = 9;
const BROKEN: u64 = 10;
const TASK: u64 = 11;
