//! Level A: whole clusters of [`Node`](tribune_core::Node)s in one heap of events that jumps over
//! idle time. No runtime, no sockets, no threads: a server is a node and a model of its shell.
//!
//! ```text
//!   plan ──> [ heap ] ──> event ──> server: node + shell ──> outputs ──> [ net ], [ disk ], clients
//!               ^                        │                                      │
//!               └────────────────────────│──────────────────────────────────────┘
//!                                        v
//!                                   [ oracles ]  see every step, message and disk
//! ```
//!
//! The shell of a server is modelled on [`tribune_io::driver`]: timers before messages, the log
//! first, the view before replies, reads tried on the view by the very function that connections
//! use, one rendering for all who wait for the same.

mod agent;
pub(crate) mod disk;
mod fault;
pub(crate) mod heap;
mod net;
mod node;
mod serve;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use bytes::Bytes;
use tribune_base::time::Duration;
use tribune_core::{Input, Output, Wire};

use self::agent::Agent;
use self::disk::Disk;
use self::heap::Heap;
use self::net::Network;
use self::node::Server;
use crate::client::{Client, Record, Reply};
use crate::moment::Moment;
use crate::oracle::{Liveness, Oracle, Violation};
use crate::plan::Plan;
use crate::trace::{Line, Place, Trace};

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// What went wrong, if anything did.
    pub violation: Option<Violation>,
    /// Two runs of one plan agree on this.
    pub hash: u64,
    /// The hash after every 4,096 events.
    pub checkpoints: Vec<u64>,
    /// How many events there were.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Reads that were answered.
    pub read: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Crashes.
    pub crashes: u64,
    /// How the cluster recovered.
    pub liveness: Liveness,
    /// What clients asked and were told.
    pub history: Vec<Record>,
    /// What happened, if it was to be kept.
    pub lines: Vec<Line>,
    /// How many servers and client agents there were, and clients.
    pub places: (usize, usize),
}

/// Play a plan to its end, or to its first violation. `keep`, if the trace is wanted.
pub fn run(plan: &Plan, keep: bool) -> Outcome {
    let mut world = World::new(plan, keep);
    catch_quietly(|| world.run()).unwrap_or_else(|(place, message)| {
        let id = message.split_once(": ").map_or("", |(id, _)| id);
        let id = if id.starts_with("WA-") { id.to_owned() } else { format!("panic {place}") };
        world.oracle.report.require(false, &id, || message);
    });
    world.outcome()
}

/// A cluster, its clients, and what befalls them.
pub(crate) struct World {
    plan: Plan,
    now: Moment,
    heap: Heap<Event>,
    net: Network,
    servers: Vec<Server>,
    /// What the servers stand on, in the same order.
    disks: Vec<Disk>,
    /// The client agents: where places are counted, they follow the servers.
    agents: Vec<Agent>,
    clients: Vec<Client>,
    oracle: Oracle,
    trace: Trace,
    /// Who was put right, servers and client agents; nobody, until it is time.
    core: Vec<usize>,
    crashes: u64,
    /// Events that happened without time passing.
    idle: u32,
    /// Scratch space.
    outputs: Vec<Output>,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives.
    Deliver { from: usize, to: usize, sent: Moment, message: Box<Wire> },
    /// A packet arrives.
    Packet { from: usize, to: usize, packet: Bytes },
    /// A node's deadline has come.
    Timer { server: usize, generation: u64 },
    /// A log write is durable: this one, if it is not already.
    Flushed { server: usize, life: u32, flush: u64 },
    /// A task of a shell is done.
    Done { server: usize, life: u32, done: Box<serve::Done> },
    /// A request arrives.
    Request { server: usize, client: usize, generation: u32 },
    /// A server notices that a client is gone.
    Gone { server: usize, life: u32, id: tribune_core::RequestId },
    /// An answer arrives.
    Answer { client: usize, generation: u32, reply: Reply },
    /// A client does its next thing.
    Wake { client: usize, generation: u32 },
    /// A client has lost patience.
    Impatient { client: usize, generation: u32 },
    /// A client agent of this life looks for the others.
    Join { place: usize, life: u32 },
    /// A client agent that stopped in this life is started again.
    Restart { place: usize, life: u32 },
    /// A client agent hears what became of its messages.
    Report { place: usize, life: u32, input: Box<Input> },
    /// A fault of the plan begins.
    Fault { item: usize },
    /// A fault ends.
    End { item: usize, what: fault::Ending },
    /// Everything is put right.
    Heal,
    /// Has the cluster recovered?
    Look,
}

impl World {
    fn new(plan: &Plan, keep: bool) -> Self {
        let servers = plan.servers;
        let names = agent::names(plan);
        let mut everybody: Vec<_> =
            (1..=servers).map(|it| format!("n{it}")).chain(names.iter().cloned()).collect();
        everybody.push(crate::workload::OUTSIDE.to_owned());
        let mut scripts = plan.scripts.clone();
        // The last client does nothing before everything is put right.
        scripts.push(crate::workload::Script::default());
        Self {
            now: Moment::default(),
            heap: Heap::new(),
            net: Network::new(plan.seed, servers + plan.agents),
            servers: (0..servers).map(|it| Server::new(it, plan)).collect(),
            disks: (0..servers).map(|_| node::first_disk(servers)).collect(),
            agents: (servers..).zip(&names).map(|(n, name)| Agent::new(n, name)).collect(),
            clients: scripts.into_iter().map(Client::new).collect(),
            oracle: Oracle::new(servers, &everybody, &plan.knobs),
            trace: Trace::new(keep),
            core: Vec::new(),
            crashes: 0,
            idle: 0,
            outputs: Vec::new(),
            plan: plan.clone(),
        }
    }

    fn run(&mut self) {
        for server in 0..self.servers.len() {
            self.start(server);
        }
        for place in self.servers.len()..self.places() {
            self.start_agent(place);
        }
        for client in 0..self.clients.len() {
            self.schedule_next(client);
        }
        for (item, Moment(at)) in self.plan.items.iter().map(|it| it.at).enumerate() {
            self.heap.push(Moment(at), Event::Fault { item });
        }
        self.heap.push(self.plan.heal_at, Event::Heal);
        while self.oracle.report.first.is_none()
            && !self.oracle.liveness.is_over()
            && let Some((at, event)) = self.heap.pop()
        {
            self.idle = if self.now == at { self.idle + 1 } else { 0 };
            assert!(self.idle < IDLE_MAX, "time stands still: {event:?}");
            self.now = at;
            self.oracle.report.now = at;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(place) = self.paused(&event) {
            let servers = self.servers.len();
            match place.checked_sub(servers) {
                Some(agent) => self.agents[agent].held.push(event),
                None => self.servers[place].held.push(event),
            }
            return;
        }
        let client_agent = |place: usize| self.servers.len() <= place;
        match event {
            Event::Timer { server, generation } if client_agent(server) => {
                self.ring_agent(server, generation);
            }
            Event::Done { server, life, done } if client_agent(server) => {
                self.done_for_agent(server, life, *done);
            }
            Event::Gone { server, life, id } if client_agent(server) => {
                self.gone_at_agent(server, life, id);
            }
            Event::Join { place, life } => self.join(place, life),
            Event::Restart { place, life } => self.restart_agent(place, life),
            Event::Report { place, life, input } => self.report_to_agent(place, life, *input),
            Event::Deliver { .. } | Event::Packet { .. } | Event::Request { .. } => {
                self.arrive(event);
            }
            Event::Timer { server, generation } => self.ring(server, generation),
            Event::Flushed { server, life, flush } => self.flushed(server, life, flush),
            Event::Done { server, life, done } => self.done(server, life, *done),
            Event::Gone { server, life, id } => self.gone(server, life, id),
            Event::Answer { client, generation, reply } => self.answer(client, generation, reply),
            Event::Wake { client, generation } => self.wake(client, generation),
            Event::Impatient { client, generation } => self.lose_patience(client, generation),
            Event::Fault { item } => self.begin_fault(item),
            Event::End { item, what } => self.end_fault(item, what),
            Event::Heal => self.heal(),
            Event::Look => self.look(),
        }
    }

    /// Who an event must wait for, because it stands still.
    fn paused(&self, event: &Event) -> Option<usize> {
        let server = match event {
            Event::Deliver { to: server, .. }
            | Event::Packet { to: server, .. }
            | Event::Timer { server, .. }
            | Event::Flushed { server, .. }
            | Event::Done { server, .. }
            | Event::Request { server, .. }
            | Event::Gone { server, .. }
            | Event::Join { place: server, .. }
            | Event::Report { place: server, .. } => *server,
            Event::Answer { .. }
            | Event::Restart { .. }
            | Event::Wake { .. }
            | Event::Impatient { .. }
            | Event::Fault { .. }
            | Event::End { .. }
            | Event::Heal
            | Event::Look => return None,
        };
        let paused = match self.agent_at(server) {
            Some(agent) => agent.paused,
            None => self.servers[server].paused,
        };
        paused.then_some(server)
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.heap.push(self.now + delay, event);
    }

    fn note(
        &mut self,
        place: Place,
        kind: &'static str,
        payload: u64,
        text: impl FnOnce() -> String,
    ) {
        self.trace.note(self.now, place, kind, payload, text);
    }

    fn outcome(self) -> Outcome {
        let places = (self.places(), self.clients.len());
        let mut history: Vec<_> = Vec::new();
        for client in self.clients {
            history.extend(client.history);
            history.extend(client.pending.map(|it| Record {
                asked: it.asked,
                invoked: it.invoked,
                returned: None,
                answered: crate::oracle::Answered::default(),
                seen: None,
            }));
        }
        Outcome {
            violation: self.oracle.report.first,
            hash: self.trace.hash(),
            checkpoints: self.trace.checkpoints().to_vec(),
            events: self.heap.count(),
            simulated: Duration::from_nanos(self.now.0),
            acknowledged: self.oracle.kv.acknowledged,
            read: self.oracle.kv.read,
            committed: self.oracle.truth.len() as u64 - 1,
            crashes: self.crashes,
            liveness: self.oracle.liveness,
            history,
            lines: self.trace.lines().to_vec(),
            places,
        }
    }
}

/// Events at one moment: more, and nothing will ever happen again.
const IDLE_MAX: u32 = 100_000;

thread_local! {
    /// Where the last panic of this thread came from and what it said, while somebody wants to know.
    static CAUGHT: RefCell<Option<Option<(String, String)>>> = const { RefCell::new(None) };
}

/// Run something that may panic. A panic is not printed: it says where it came from, and why.
fn catch_quietly<T>(act: impl FnOnce() -> T) -> Result<T, (String, String)> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let wanted = CAUGHT.with_borrow_mut(|caught| {
                let Some(slot) = caught else { return false };
                let place = info.location().map_or_else(String::new, |it| {
                    // Where the project lies is nobody's business.
                    let file =
                        it.file().rsplit_once("/core/").map_or_else(|| it.file(), |(_, it)| it);
                    format!("{file}:{}", it.line())
                });
                let payload = info.payload();
                let text = payload.downcast_ref::<&str>().map(|it| (*it).to_owned());
                let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
                *slot = Some((place, text.unwrap_or_default()));
                true
            });
            if !wanted {
                before(info);
            }
        }));
    });
    CAUGHT.set(Some(None));
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    let caught = CAUGHT.take().flatten().unwrap_or_default();
    result.map_err(|_| caught)
}
