//! A server: a node, and what its shell does with what goes in and comes out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::PersistedFile;
use tribune_api::plan::Context;
use tribune_base::id::{Index, LogId, NodeId, ServerId, Term, Uuid};
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_core::{Area, Config, Input, Node, Output, RequestId, Restored, Shown, View, Wire};
use tribune_io::shelf::Shelf;
use tribune_raft::{Configuration, Entry, Message, Payload};
use tribune_state::Store;

use super::agent::Agent;
use super::disk::Disk;
use super::{Event, World};
use crate::dice::Dice;
use crate::moment::{Clock, Moment};
use crate::oracle::{After, Before, letter};
use crate::plan::Plan;
use crate::trace::Place;

/// One server. What outlives its crashes is on its [`Disk`].
#[derive(Debug)]
pub(crate) struct Server {
    config: Config,
    pub(super) context: Arc<Context>,
    /// `None` while it is down.
    pub(super) node: Option<Box<Node>>,
    /// Tells this incarnation from earlier ones.
    pub(super) life: u32,
    pub(super) clock: Clock,
    /// The speed of its clock, in thousandths.
    pub(super) rate: u64,
    /// The published view, and what it shows. The view is only made when somebody looks.
    pub(super) shown: Option<Shown>,
    pub(super) view: Option<Arc<View>>,
    /// What views of this life have answered.
    pub(super) shelf: Shelf,
    /// Who is to be answered.
    pub(super) connections: BTreeMap<RequestId, (usize, u32)>,
    pub(super) next_request: u64,
    /// What tasks of the shell are numbered by.
    pub(super) tasks: u64,
    /// When the last piece of a snapshot is read.
    pub(super) last_read: Moment,
    timer: (Moment, u64),
    /// How often its deadline was still in the past after it was met.
    overdue: u32,
    /// Whether it stands still, and what waits for it meanwhile.
    pub(super) paused: bool,
    pub(super) held: Vec<Event>,
    /// The part it plays, as last written into the trace.
    role: char,
}

impl Server {
    pub(super) fn new(number: usize, plan: &Plan) -> Self {
        let rate = plan.knobs.rates[number];
        let name = format!("n{}", number + 1);
        Self {
            context: Arc::new(Context::new("dc1", &name)),
            config: config(number, 0, &name, plan),
            node: None,
            life: 0,
            clock: Clock::start(Moment::default(), rate),
            rate,
            shown: None,
            view: None,
            shelf: Shelf::default(),
            connections: BTreeMap::new(),
            next_request: 0,
            tasks: 0,
            last_read: Moment::default(),
            timer: (Moment::NEVER, 0),
            overdue: 0,
            paused: false,
            held: Vec::new(),
            role: '-',
        }
    }

    /// Whether it runs, and does not stand still.
    pub(super) const fn is_well(&self) -> bool {
        self.node.is_some() && !self.paused
    }

    /// What connections may read of the node, as it was after its last step.
    pub(super) fn view(&mut self, node: &Node) -> Arc<View> {
        Arc::clone(self.view.get_or_insert_with(|| Arc::new(node.view())))
    }
}

/// How the agent at a place is told to be.
pub(super) fn config(number: usize, network: u8, name: &str, plan: &Plan) -> Config {
    let id = node_id(number);
    let address = format!("10.0.{network}.{}", number + 1);
    let (sync_interval, sync_retry) = plan.knobs.sync;
    let agent = tribune_agent::Config {
        sync_interval,
        sync_retry,
        ..tribune_agent::Config::new(name, id, &address)
    };
    let reconnect_interval = plan.knobs.reconnect;
    let gossip =
        tribune_gossip::Config { reconnect_interval, ..tribune_gossip::Config::lan("dc1") };
    Config {
        id,
        name: name.to_owned(),
        address,
        encryption: tribune_core::Encryption::Off,
        server_port: PORT,
        serf_lan_port: 8_301,
        wan: None,
        datacenter: "dc1".into(),
        context: Arc::new(Context::new("dc1", name)),
        autopilot: tribune_state::Autopilot::default(),
        gossip,
        version: "0.0.0".into(),
        revision: String::new(),
        build_date: String::new(),
        shown: BTreeMap::new(),
        bootstrap_expect: 0,
        join: Vec::new(),
        raft: plan.knobs.raft.clone(),
        agent,
        hold_max: HOLD_MAX,
        write_max: Duration::from_secs(30),
        requests_max: 65_536,
        settle_max: Duration::from_millis(500),
        tombstone_ttl: Duration::from_secs(900),
        kv_replication: None,
        started: WallTime(1_700_000_000_000),
    }
}

pub(super) const fn node_id(number: usize) -> NodeId {
    NodeId(Uuid(number as u128 + 1))
}

pub(super) const fn server_id(number: usize) -> ServerId {
    ServerId(number as u128 + 1)
}

/// Where a server listens.
pub(super) fn address(number: usize) -> String {
    format!("10.0.0.{}:{PORT}", number + 1)
}

/// Where a server gossips.
pub(super) fn gossip_address(number: usize) -> SocketAddr {
    gossip_address_in(0, number)
}

fn gossip_address_in(network: u8, number: usize) -> SocketAddr {
    let last = u8::try_from(number + 1).expect("a handful of agents");
    SocketAddr::from(([10, 0, network, last], 8_301))
}

/// A disk on which a cluster of this many servers has begun.
pub(super) fn first_disk(servers: usize) -> Disk {
    let voters = (0..servers).map(|it| (server_id(it), address(it)));
    let payload = Payload::Configuration(Configuration::of_voters(voters));
    Disk::beginning(Entry { id: LogId::new(Term(1), Index(1)), payload })
}

/// Who is where.
impl World {
    /// Who listens at an address.
    pub(super) fn place_at(&self, address: &str) -> Option<usize> {
        let (network, host) = address.strip_prefix("10.0.")?.split_once('.')?;
        let place = host.split(':').next()?.parse::<usize>().ok()?.checked_sub(1)?;
        let there = match self.agent_at(place) {
            Some(agent) => agent.network,
            None if place < self.servers.len() => 0,
            None => return None,
        };
        (network.parse() == Ok(there)).then_some(place)
    }

    /// Where an agent gossips now.
    pub(super) fn gossip_address_of(&self, place: usize) -> SocketAddr {
        gossip_address_in(self.agent_at(place).map_or(0, |it| it.network), place)
    }
}

impl World {
    /// A server starts, from what its disk holds.
    pub(super) fn start(&mut self, n: usize) {
        let server = &mut self.servers[n];
        let disk = &self.disks[n];
        self.oracle.on_start(n, disk);
        server.life += 1;
        server.clock = Clock::start(self.now, server.rate);
        let store = disk.snapshot().map_or_else(Store::default, |saved| {
            Store::restore([saved.bytes.clone()]).expect("a snapshot is whole or not there")
        });
        let files = disk.files().iter().map(|(name, bytes)| PersistedFile {
            name: name.clone(),
            bytes: bytes.clone(),
            age: Duration::ZERO,
        });
        let restored = Restored {
            store,
            raft: disk.restored(),
            recover: None,
            files: files.collect(),
            services: Vec::new(),
            checks: Vec::new(),
        };
        let applied = restored.raft.snapshot.as_ref().map_or(Index(0), |it| it.last.index);
        let subject = [NODE, n as u64, u64::from(server.life)];
        let seed = Dice::about(self.plan.seed, &subject).draw();
        let node = Node::new(server.config.clone(), restored, seed, Instant::START);
        server.node = Some(Box::new(node));
        server.timer.0 = Moment::NEVER;
        let (shown, life) = (Shown { applied, ..blank() }, server.life);
        server.shown = Some(shown);
        server.view = None;
        server.shelf = Shelf::default();
        let disk = &self.disks[n];
        let (last, state) = (disk.last(), disk.hard_state());
        self.note(Place::Server(n), "start", u64::from(life), || {
            format!("life {life} log up to {last} term {}", state.term)
        });
        self.step(n, |_, _, _| {});
    }

    /// A server crashes: its memory is gone, and of what its disk had not confirmed, a suffix.
    pub(super) fn crash(&mut self, n: usize) {
        let server = &mut self.servers[n];
        if server.node.take().is_none() {
            return;
        }
        self.crashes += 1;
        let (life, pending) = (server.life, self.disks[n].pending());
        let mut dice = Dice::about(self.plan.seed, &[CRASH, n as u64, u64::from(life)]);
        // All of it, in half of all crashes: what is lost is what is tested.
        let survivors =
            if dice.permille(500) { 0 } else { dice.below(pending as u64 + 1) as usize };
        self.disks[n].crash(survivors);
        server.paused = false;
        server.held.clear();
        let broken = std::mem::take(&mut server.connections);
        for (client, generation) in broken.into_values() {
            let reply = crate::client::Reply::Reset;
            self.after(RESET, Event::Answer { client, generation, reply });
        }
        self.hang_up(n);
        self.oracle.on_crash(n);
        self.oracle.on_durable(n, &self.disks[n]);
        let lost = pending - survivors;
        self.note(Place::Server(n), "crash", lost as u64, || format!("{lost} writes are lost"));
    }

    /// Feed a node, have what it wants done, and look at it. Nothing happens at a server that is
    /// down.
    pub(super) fn step(&mut self, n: usize, feed: impl FnOnce(&mut Self, &mut Node, Instant)) {
        let Some(mut node) = self.servers[n].node.take() else { return };
        let local = self.servers[n].clock.local(self.now);
        let applied = self.servers[n].shown.map_or(Index(0), |it| it.applied);
        let before = Before::of(&node, applied);
        // Who can wait least comes first: a late heartbeat costs an election.
        let rang = node.poll_timeout() <= local;
        if rang {
            node.handle_timeout(local);
        }
        feed(self, &mut node, local);
        self.drain(n, &mut node, &before, local);
        if rang {
            let server = &self.servers[n];
            if let Some(shown) = server.shown {
                let clock = &server.clock;
                self.oracle.on_timer(&After { server: n, node: &node, shown, clock, local });
            }
        }
        self.set_timer(n, &node);
        self.servers[n].node = Some(node);
    }

    fn drain(&mut self, n: usize, node: &mut Node, before: &Before, local: Instant) {
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = node.poll_output() {
            outputs.push(output);
        }
        let (shown, clock) = (node.shown(), self.servers[n].clock);
        let it = After { server: n, node, shown, clock: &clock, local };
        // What a leader writes down of members follows from its news of them.
        for output in &outputs {
            if let Output::Event(tribune_core::Event::Member { area: Area::Lan, name, .. }) = output
            {
                self.oracle.detection.on_member(n, name, self.now);
            }
        }
        // The log comes first.
        for output in &mut outputs {
            if let Output::Persist(batch) = output {
                self.oracle.on_persist(&it, before, batch);
                let (seq, entries) = (batch.seq.0, batch.entries.len());
                let (state, from) = (batch.hard_state, batch.truncate_from);
                let last = batch.entries.last().map_or(0, |it| it.id.index.0);
                self.note(Place::Server(n), "persist", seq << 32 | last, || {
                    let group = batch.entries.iter().rev().find_map(group);
                    let group = group.unwrap_or_default();
                    format!("{seq}: {entries} up to {last} {state:?} truncate {from:?} {group}")
                });
                self.disks[n].submit(batch.clone());
            }
        }
        let disks: &[Disk] = &self.disks;
        self.oracle.on_step(&it, before, disks);
        self.note_role(n, node);
        self.flush(n);
        if self.plan.knobs.lying_disks {
            self.lie(n, node, local);
        }
        // Before any reply leaves: who has read an acknowledgement may read again.
        let server = &mut self.servers[n];
        if server.shown != Some(shown) {
            server.shown = Some(shown);
            server.view = None;
        }
        for output in outputs.drain(..) {
            self.perform(n, node, output, shown, local);
        }
        self.outputs = outputs;
    }

    fn note_role(&mut self, n: usize, node: &Node) {
        let raft = node.raft();
        let role = letter(raft.role());
        if self.servers[n].role == role {
            return;
        }
        self.servers[n].role = role;
        let (term, last, commit) = (raft.term(), raft.last(), raft.commit());
        self.note(Place::Server(n), "role", term.0 << 8 | u64::from(role as u8), || {
            format!("{role} term {term} last {last} commit {commit}")
        });
    }

    fn perform(&mut self, n: usize, node: &mut Node, output: Output, shown: Shown, local: Instant) {
        if let Output::Send { to, message } = output {
            self.send(n, node, &to, message, shown, local);
        } else if let Output::Packet { area: Area::Lan, to, bytes } = output {
            self.send_packet(n, &to.ip().to_string(), &bytes);
        } else if let Output::ForgetLog { through } = output {
            self.oracle.on_forget(n, through, &self.disks[n]);
            self.disks[n].forget(through);
        } else if !matches!(output, Output::Persist(_)) {
            self.perform_task(n, node, output, local);
        }
    }

    fn send(
        &mut self,
        n: usize,
        node: &Node,
        address: &str,
        message: Wire,
        shown: Shown,
        local: Instant,
    ) {
        let clock = self.servers[n].clock;
        if let Wire::Raft(message) = &message {
            let it = After { server: n, node, shown, clock: &clock, local };
            self.oracle.on_send(&it, message, &self.disks[n]);
        }
        let Some(to) = self.place_at(address) else { return };
        let fate = self.net.fate(self.now, n, to, &self.plan.knobs);
        let Some(first) = fate.first else {
            self.note(Place::Server(n), "lost", to as u64, || {
                format!("to n{}: {}", to + 1, describe(&message))
            });
            return;
        };
        // Consensus does not mind to hear things twice. What clients want goes over streams, which
        // lose and do not repeat.
        let again = fate.again.filter(|_| matches!(message, Wire::Raft(_)));
        if fate.again.is_some() && again.is_none() {
            self.net.withdraw(n, to);
        }
        let message =
            Box::new(if self.plan.knobs.through_bytes { through_bytes(&message) } else { message });
        let sent = self.now;
        if let Some(again) = again {
            let message = message.clone();
            self.heap.push(again, Event::Deliver { from: n, to, sent, message });
        }
        self.heap.push(first, Event::Deliver { from: n, to, sent, message });
    }

    /// A packet of the pool: it may be lost, late and doubled, like any packet.
    pub(super) fn send_packet(&mut self, n: usize, host: &str, packet: &Bytes) {
        let Some(to) = self.place_at(host) else { return };
        let fate = self.net.fate(self.now, n, to, &self.plan.knobs);
        for at in [fate.first, fate.again].into_iter().flatten() {
            self.heap.push(at, Event::Packet { from: n, to, packet: packet.clone() });
        }
    }

    /// Messages and requests arrive. What arrives together shares a step, and a log batch.
    pub(super) fn arrive(&mut self, first: Event) {
        let Some(place) = self.admit(&first) else { return };
        let mut events = vec![first];
        while let Some(next) = self.heap.peek_at(self.now) {
            let same = matches!(
                next,
                Event::Deliver { to, .. }
                | Event::Packet { to, .. }
                | Event::Request { server: to, .. } if *to == place
            );
            if !same || BATCH_MAX <= events.len() {
                break;
            }
            let Some((_, next)) = self.heap.pop() else { break };
            if self.admit(&next).is_some() {
                events.push(next);
            }
        }
        if self.agent_at(place).is_some() {
            return self.step_agent(place, |world, core, local| {
                for event in events {
                    world.take_in_at_agent(place, core, local, event);
                }
            });
        }
        self.step(place, |world, node, local| {
            for event in events {
                world.take_in(place, node, local, event);
            }
        });
    }

    fn is_well(&self, place: usize) -> bool {
        self.agent_at(place).map_or_else(|| self.servers[place].is_well(), Agent::is_well)
    }

    /// Who something arrives at, if it does.
    fn admit(&mut self, event: &Event) -> Option<usize> {
        if let Event::Deliver { from, to, .. } | Event::Packet { from, to, .. } = event {
            let arrives = self.net.arrive(*from, *to) && !self.is_belated(event);
            if let (Event::Deliver { from, message, .. }, false) = (event, self.is_well(*to))
                && let Some(life) = self.agent_at(*from).map(|it| it.life)
            {
                self.undelivered(*from, life, message, RESET);
            }
            return (arrives && self.is_well(*to)).then_some(*to);
        }
        let Event::Request { server, client, generation } = event else { return None };
        if self.is_well(*server) {
            return Some(*server);
        }
        let (client, generation) = (*client, *generation);
        let reply = crate::client::Reply::Refused;
        self.after(RESET, Event::Answer { client, generation, reply });
        None
    }

    /// What was slow on its way before everything was put right does not haunt us afterwards: word of a
    /// leader that has stepped down long ago would keep others from standing.
    fn is_belated(&self, event: &Event) -> bool {
        let Event::Deliver { sent, .. } = event else { return false };
        let healed = self.oracle.liveness.healed;
        healed.is_some_and(|it| *sent < it && it + BELATED < self.now)
    }

    fn take_in(&mut self, n: usize, node: &mut Node, local: Instant, event: Event) {
        if let Event::Request { client, generation, .. } = event {
            return self.take_request(n, node, local, client, generation);
        }
        if let Event::Packet { from, packet, .. } = event {
            let from = self.gossip_address_of(from);
            return node.handle(local, Input::Packet { area: Area::Lan, from, packet });
        }
        let Event::Deliver { from, sent, message, .. } = event else { return };
        if let Wire::Raft(message) = &*message {
            self.oracle.on_hear(n, message, local);
        }
        let from_place = Some((Place::Server(from), sent));
        let (place, payload) = (Place::Server(n), weigh(&message));
        let text = || describe(&message);
        self.trace.note_from(self.now, place, "deliver", from_place, payload, text);
        let from = server_id(from);
        node.handle(local, Input::Message { from, message: *message });
    }

    /// A deadline has come.
    pub(super) fn ring(&mut self, n: usize, generation: u64) {
        let timer = &mut self.servers[n].timer;
        if timer.1 == generation {
            timer.0 = Moment::NEVER;
        } else if generation != u64::MAX {
            return;
        }
        self.note(Place::Server(n), "timer", 0, String::new);
        self.step(n, |_, _, _| {});
    }

    /// One timer at a time: a later deadline is noticed when the earlier timer rings.
    fn set_timer(&mut self, n: usize, node: &Node) {
        let server = &mut self.servers[n];
        let at = server.clock.global(node.poll_timeout());
        // What is overdue must not keep time from passing; nor may it stay overdue.
        server.overdue = if at <= self.now { server.overdue + 1 } else { 0 };
        self.oracle.report.require(server.overdue < OVERDUE_MAX, "DL-1", || {
            format!("server {} has a deadline that nothing moves", n + 1)
        });
        let at = at.max(Moment(self.now.0 + 1_000));
        if at < server.timer.0 && at != Moment::NEVER {
            server.timer = (at, server.timer.1 + 1);
            let generation = server.timer.1;
            self.heap.push(at, Event::Timer { server: n, generation });
        }
    }

    /// A clock goes at another speed: the timer was set for the old one.
    pub(super) fn reset_timer(&mut self, n: usize) {
        self.servers[n].timer.0 = Moment::NEVER;
        self.step(n, |_, _, _| {});
    }

    /// Have the disk begin to flush, if there is something and it is idle.
    pub(super) fn flush(&mut self, n: usize) {
        let disk = &mut self.disks[n];
        if !disk.begin_flush() {
            return;
        }
        let mut dice = Dice::about(self.plan.seed, &[FLUSH, n as u64, disk.flushes]);
        let knobs = &self.plan.knobs;
        let healed = !self.core.is_empty();
        let tail = if dice.permille(knobs.disk_tail) && !healed { 50 } else { 1 };
        let max = if healed { knobs.disk_max.min(HEALED) } else { knobs.disk_max };
        let latency = DISK_MIN + dice.up_to(max) * tail;
        let at = (self.now + latency).max(disk.stalled_until);
        let (life, flush) = (self.servers[n].life, disk.flushes);
        self.heap.push(at, Event::Flushed { server: n, life, flush });
    }

    /// What keeps a disk from ending the flush that is under way, however long it was to take, is
    /// put right.
    pub(super) fn hurry(&mut self, n: usize) {
        let (life, flush) = (self.servers[n].life, self.disks[n].flushes);
        self.after(HEALED, Event::Flushed { server: n, life, flush });
    }

    /// Confirm what is not durable.
    fn lie(&mut self, n: usize, node: &mut Node, local: Instant) {
        if let Some(seq) = self.disks[n].unconfirmed() {
            node.handle(local, Input::Persisted(seq));
            self.after(Duration::ZERO, Event::Timer { server: n, generation: u64::MAX });
        }
    }

    /// A flush is done.
    pub(super) fn flushed(&mut self, n: usize, life: u32, flush: u64) {
        let server = &self.servers[n];
        if server.life != life || server.node.is_none() || self.disks[n].flushes != flush {
            return;
        }
        let Some(seq) = self.disks[n].end_flush() else { return };
        self.oracle.on_durable(n, &self.disks[n]);
        self.note(Place::Server(n), "durable", seq.0, || format!("up to {}", seq.0));
        self.flush(n);
        if !self.plan.knobs.lying_disks {
            self.step(n, |_, node, local| node.handle(local, Input::Persisted(seq)));
        }
    }
}

const fn blank() -> Shown {
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

/// A message as the other side reads it.
fn through_bytes(message: &Wire) -> Wire {
    let read = Wire::decode(message.encode()).expect("we can read what we write");
    let mut sent = message.clone();
    if let Wire::Rows { rows: Some(rows), .. } = &mut sent {
        // Those follow from the services: whoever reads them adds them.
        for check in &mut rows.checks {
            check.service_name.clear();
            check.service_tags.clear();
        }
    }
    assert_eq!(read, sent, "a message changed on its way through its bytes");
    read
}

/// The group that an entry brings about, in a few words.
fn group(entry: &Entry) -> Option<String> {
    let Payload::Configuration(it) = &entry.payload else { return None };
    let names = |group: &BTreeMap<ServerId, String>| {
        group.keys().map(|it| format!("n{it}")).collect::<Vec<_>>().join(" ")
    };
    let (voters, outgoing) = (names(&it.voters), names(&it.outgoing));
    let others = names(&it.non_voters);
    Some(format!("{}: voters [{voters}] outgoing [{outgoing}] others [{others}]", entry.id))
}

/// A number for a message.
pub(super) fn weigh(message: &Wire) -> u64 {
    let Wire::Raft(message) = message else { return 1 };
    let (kind, detail) = match message {
        Message::RequestPreVote { last_log, .. } => (2, last_log.index.0),
        Message::RequestPreVoteResponse { granted, .. } => (3, u64::from(*granted)),
        Message::RequestVote { last_log, .. } => (4, last_log.index.0),
        Message::RequestVoteResponse { granted, .. } => (5, u64::from(*granted)),
        Message::AppendEntries { prev_log, entries, leader_commit, .. } => {
            (6, prev_log.index.0 << 32 ^ (entries.len() as u64) << 16 ^ leader_commit.0)
        }
        Message::AppendEntriesResponse { result, .. } => match result {
            tribune_raft::Appended::Matched(index) => (7, index.0),
            tribune_raft::Appended::Conflict { hint, .. } => (8, hint.index.0),
        },
        Message::Heartbeat { round, commit, horizon, .. } => {
            (9, round.serial << 32 ^ horizon.0 << 16 ^ commit.0)
        }
        Message::HeartbeatResponse { matched, agreed, .. } => (10, matched.0 << 32 ^ agreed.0),
        Message::TimeoutNow { abandoned, .. } => (11, *abandoned),
        Message::ReadIndex { batch, .. } => (12, *batch),
        Message::ReadIndexResponse { index, .. } => (13, index.map_or(0, |it| it.0)),
        Message::InstallSnapshot { offset, data, .. } => (14, offset << 32 ^ data.len() as u64),
        Message::InstallSnapshotResponse { offset, .. } => (15, *offset),
    };
    message.term().0 << 56 ^ kind << 48 ^ detail
}

/// A message in a few words.
pub(super) fn describe(message: &Wire) -> String {
    if let Wire::Hello(it) = message {
        return format!("hello from {} fresh {} knows {}", it.name, it.fresh, it.known.len());
    }
    let Wire::Raft(message) = message else { return format!("{message:?}") };
    if let Message::AppendEntries { term, prev_log, entries, leader_commit } = message {
        let count = entries.len();
        return format!(
            "append term {term} after {prev_log}: {count} entries, commit {leader_commit}"
        );
    }
    if let Message::Heartbeat { term, round, commit, horizon, .. } = message {
        let serial = round.serial;
        return format!("heartbeat term {term} round {serial} commit {commit} of {horizon}");
    }
    if let Message::HeartbeatResponse { term, round, matched, agreed } = message {
        let serial = round.serial;
        return format!("heard term {term} round {serial} matched {matched} agreed {agreed}");
    }
    if let Message::InstallSnapshot { term, meta, offset, data, done } = message {
        let len = data.len();
        return format!("snapshot term {term} {} at {offset}: {len} bytes, done {done}", meta.last);
    }
    format!("{message:?}")
}

/// How often a deadline may be in the past before somebody is to blame.
pub(super) const OVERDUE_MAX: u32 = 50;

const PORT: u16 = 8_300;

/// How long a server holds a request while nobody leads.
const HOLD_MAX: Duration = Duration::from_secs(7);

/// How long it takes to notice that nobody listens.
const RESET: Duration = Duration::from_millis(1);

/// How long a flush takes at most once everything is put right.
const HEALED: Duration = Duration::from_millis(20);

/// How long what was on its way when everything was put right may still take.
const BELATED: Duration = Duration::from_secs(1);

/// No flush is faster.
const DISK_MIN: Duration = Duration::from_micros(100);

/// What a server takes from its queue at once.
const BATCH_MAX: usize = 256;

/// What decisions are about.
const NODE: u64 = 2;
const CRASH: u64 = 3;
const FLUSH: u64 = 4;
