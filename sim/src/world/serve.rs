//! What a shell does besides its log: it answers clients, renders, and keeps snapshots.

use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::{ChangeSeq, CheckOutcome, RunId};
use tribune_api::dns::{self, Question, Record, RecordData, RecordKind};
use tribune_api::http::{ReadMeta, Response};
use tribune_api::plan::{self, Plan, Read};
use tribune_api::prepared::Asker;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_core::{Call, Input, Node, Output, RequestId, Serve, View};
use tribune_io::serve::{self as shell, Answer};
use tribune_raft::SnapshotMeta;
use tribune_state::Store;

use super::node::Server;
use super::{Event, World, disk};
use crate::client::{self, Http, Reply};
use crate::dice::Dice;
use crate::oracle::{Answered, Blocked};
use crate::trace::Place;
use crate::workload::{Action, Local, Look};

/// A task of a shell is done.
#[derive(Debug)]
pub(crate) enum Done {
    Rendered { view: Arc<View>, at: Instant, serve: Serve },
    SnapshotSaved { meta: SnapshotMeta, bytes: Bytes },
    SnapshotRead { to: ServerId, last: LogId, offset: u64, len: u64 },
    SnapshotWritten { last: LogId, offset: u64, data: Bytes },
    SnapshotInstalled { meta: SnapshotMeta },
    Saved { seq: ChangeSeq, writes: Vec<(String, Option<Bytes>)> },
    Checked { run: RunId, outcome: CheckOutcome },
    Resolved { view: Arc<View>, id: RequestId, service: String },
}

impl World {
    /// Everything but the log and the network.
    pub(super) fn perform_task(
        &mut self,
        n: usize,
        node: &mut Node,
        output: Output,
        local: Instant,
    ) {
        let (done, max) = match output {
            Output::Reply { id, response } => return self.reply(n, local, id, &response),
            Output::Serve(serve) => {
                let view = self.servers[n].view(node);
                (Done::Rendered { view, at: local, serve }, self.plan.knobs.render_max)
            }
            Output::SaveSnapshot { meta, snapshot } => {
                self.oracle.on_snapshot(n, &meta, &snapshot);
                let bytes = disk::file(&snapshot);
                (Done::SnapshotSaved { meta, bytes }, self.plan.knobs.disk_max * 4)
            }
            Output::ReadSnapshot { to, last, offset, len } => {
                (Done::SnapshotRead { to, last, offset, len }, self.plan.knobs.disk_max)
            }
            // In order: the disk takes no time for these.
            Output::WriteSnapshot { last, offset, data } => {
                (Done::SnapshotWritten { last, offset, data }, Duration::ZERO)
            }
            Output::InstallSnapshot(meta) => {
                (Done::SnapshotInstalled { meta }, self.plan.knobs.disk_max * 4)
            }
            Output::RunCheck { run, .. } => {
                let outcome = self.probe_outcome(n);
                (Done::Checked { run, outcome }, CHECK_MAX)
            }
            Output::Resolve { id, packet, .. } => {
                let service = String::from_utf8_lossy(&packet).into_owned();
                let view = self.servers[n].view(node);
                (Done::Resolved { view, id, service }, self.plan.knobs.render_max)
            }
            Output::Save { seq, writes } => (Done::Saved { seq, writes }, self.plan.knobs.disk_max),
            Output::Persist(_)
            | Output::Send { .. }
            | Output::Packet { .. }
            // There are no keys, and nobody asks for any.
            | Output::Keys { .. }
            | Output::ForgetLog { .. }
            | Output::StopCheck { .. }
            | Output::Recovered
            | Output::Event(_)
            | Output::Stop => return,
        };
        let server = &mut self.servers[n];
        server.tasks += 1;
        let life = server.life;
        let subject = [TASK, n as u64, u64::from(life), server.tasks];
        let mut at = self.now + Dice::about(self.plan.seed, &subject).up_to(max);
        // What is read for a peer comes in the order it was asked for.
        if matches!(done, Done::SnapshotRead { .. }) {
            at = at.max(server.last_read);
            server.last_read = at;
        }
        self.heap.push(at, Event::Done { server: n, life, done: Box::new(done) });
    }

    /// A task is done: the node is told.
    pub(super) fn done(&mut self, n: usize, life: u32, done: Done) {
        if self.servers[n].life != life || self.servers[n].node.is_none() {
            return;
        }
        let input = match done {
            Done::Rendered { view, at, serve } => return self.rendered(n, &view, at, &serve),
            Done::SnapshotSaved { meta, bytes } => {
                self.note(Place::Server(n), "snapshot", meta.last.index.0, || {
                    format!("of {} is saved", meta.last)
                });
                self.disks[n].save(meta.clone(), bytes);
                self.oracle.on_durable(n, &self.disks[n]);
                Input::SnapshotSaved(meta)
            }
            Done::SnapshotRead { to, last, offset, len } => {
                let piece = self.disks[n].read(last, offset, len);
                Input::SnapshotRead { to, last, offset, piece }
            }
            Done::SnapshotWritten { last, offset, data } => {
                let fits = self.disks[n].write(offset, &data);
                self.oracle.report.require(fits, "RI-16", || {
                    format!("server {} leaves a gap at {offset} in snapshot {last}", n + 1)
                });
                Input::SnapshotWritten { last, end: offset + data.len() as u64 }
            }
            Done::SnapshotInstalled { meta } => match self.install(n, meta) {
                Some(input) => input,
                None => return,
            },
            Done::Saved { seq, writes } => {
                self.disks[n].keep(writes);
                Input::Saved(seq)
            }
            Done::Checked { run, outcome } => Input::Checked { run, outcome },
            Done::Resolved { view, id, service } => {
                let response = Some(self.resolve(n, &view, &service));
                Input::Served { ids: vec![id], response }
            }
        };
        self.step(n, |_, node, local| node.handle(local, input));
    }

    fn install(&mut self, n: usize, meta: SnapshotMeta) -> Option<Input> {
        let last = meta.last;
        let bytes = self.disks[n].install(meta.clone());
        let store = match Store::restore([bytes]) {
            Ok(store) => store,
            Err(error) => {
                self.oracle.report.require(false, "RI-16", || {
                    format!("server {} received a damaged snapshot of {last}: {error}", n + 1)
                });
                return None;
            }
        };
        self.oracle.on_snapshot(n, &meta, store.view());
        self.oracle.on_durable(n, &self.disks[n]);
        self.note(Place::Server(n), "install", last.index.0, || format!("the snapshot of {last}"));
        Some(Input::SnapshotInstalled { last, store: Box::new(store) })
    }

    /// A request arrives at a connection: parse it, and try the view before asking the node.
    pub(super) fn take_request(
        &mut self,
        n: usize,
        node: &mut Node,
        local: Instant,
        client: usize,
        generation: u32,
    ) {
        if self.clients[client].generation != generation {
            return;
        }
        let Some(pending) = &mut self.clients[client].pending else { return };
        let server = &mut self.servers[n];
        // It may have begun another life since it was asked.
        pending.asked.life = server.life;
        if let Action::Look(Look::Dns(_), ..) = pending.asked.action {
            let (view, service) = (server.view(node), pending.asked.action.subject());
            let response = self.resolve(n, &view, service);
            return self.respond(client, generation, response);
        }
        let http = Http::of(&pending.asked);
        let call = match plan::plan(&http.request(), &server.context) {
            Plan::Write(write) => Call::Write(write),
            Plan::Read(read) => {
                let view = server.view(node);
                match shell::try_read(&view, local, &server.context, &server.shelf, &read) {
                    Answer::Now(response) => {
                        let (applied, query) = (view.snapshot.index(), &read.query);
                        self.oracle.on_rendered(applied, query, &response);
                        let from = (&*view, local);
                        self.rendered_for(n, (client, generation), from, response.meta);
                        return self.respond(client, generation, response);
                    }
                    Answer::Later(seen) => {
                        self.block(n, client, &read, local);
                        Call::Read { read, seen }
                    }
                }
            }
            Plan::Answer(response) => return self.respond(client, generation, response),
            Plan::Agent(call) => Call::Agent(call),
            Plan::Pool(_) | Plan::Status(_) | Plan::Operator(_) | Plan::Remote(_) => {
                unreachable!("no client asks for such a thing")
            }
        };
        let server = &mut self.servers[n];
        let id = RequestId(server.next_request);
        server.next_request += 1;
        server.connections.insert(id, (client, generation));
        if let Some(pending) = &mut self.clients[client].pending {
            pending.id = Some(id);
        }
        node.handle(local, Input::Request { id, call });
    }

    /// A client is going to wait for a change.
    fn block(&mut self, n: usize, client: usize, read: &Read, local: Instant) {
        let Some(pending) = &self.clients[client].pending else { return };
        if read.min_index == Index(0) || !pending.asked.action.is_about_keys() {
            return;
        }
        let until = local + read.wait;
        let late = TIMER_SLACK + self.plan.knobs.render_max * 2;
        self.oracle.wakeup.on_block(Blocked {
            client,
            server: n,
            id: RequestId(self.servers[n].next_request),
            action: pending.asked.action,
            index: read.min_index,
            patience: (until, until + read.wait / 16 + late),
            parked: None,
            due: None,
            excused: false,
        });
    }

    /// An answer was made from this server's state.
    fn rendered_for(
        &mut self,
        n: usize,
        (client, generation): (usize, u32),
        (view, at): (&View, Instant),
        meta: Option<ReadMeta>,
    ) {
        // It may have gone, and be about something else already.
        if self.clients[client].generation != generation {
            return;
        }
        let life = self.servers[n].life;
        let Some(pending) = &self.clients[client].pending else { return };
        let Some(meta) = meta else { return };
        let oracle = &mut self.oracle;
        let (report, action) = (&mut oracle.report, pending.asked.action);
        let indexes = (view.snapshot.index(), meta.index);
        oracle.kv.on_rendered(report, (n, life), action, indexes);
        let Some(pending) = &self.clients[client].pending else { return };
        oracle.kv.on_shown(report, &pending.asked, view.snapshot.index());
        oracle.candour.on_rendered(report, n, (view, at), &meta);
    }

    /// An answer was rendered, once for everybody who waits for it.
    fn rendered(&mut self, n: usize, view: &View, at: Instant, serve: &Serve) {
        let Server { context, shelf, .. } = &self.servers[n];
        match shell::render(view, at, context, shelf, serve) {
            shell::Rendered::Unchanged(index) => {
                let ids = serve.ids.clone();
                self.step(n, |_, node, local| node.handle(local, Input::Unchanged { ids, index }));
            }
            shell::Rendered::Response(response) => {
                let local = self.servers[n].clock.local(self.now);
                self.oracle.on_rendered(view.snapshot.index(), &serve.query, &response);
                for id in &serve.ids {
                    if let Some(asker) = self.servers[n].connections.get(id).copied() {
                        self.rendered_for(n, asker, (view, at), response.meta);
                        self.reply(n, local, *id, &response);
                    }
                }
                let ids = serve.ids.clone();
                let response = ids.iter().any(|it| it.is_own()).then_some(response);
                self.step(n, |_, node, local| {
                    node.handle(local, Input::Served { ids, response });
                });
            }
        }
    }

    /// A server answers.
    fn reply(&mut self, n: usize, local: Instant, id: RequestId, response: &Response) {
        let Some((client, generation)) = self.servers[n].connections.remove(&id) else { return };
        if self.clients[client].generation == generation && self.clients[client].pending.is_some() {
            let index = response.meta.map(|it| it.index);
            let report = &mut self.oracle.report;
            self.oracle.wakeup.on_answer(report, (client, n), local, index);
        }
        self.respond(client, generation, response.clone());
    }

    /// Where the instances of a service are, over DNS: their ports, as text.
    fn resolve(&mut self, n: usize, view: &View, service: &str) -> Response {
        let config = dns::Config { udp_answer_limit: 0, ..dns::Config::new("dc1") };
        let name = format!("{service}.service.consul.");
        let asker = Asker::default();
        let (kind, answers_max) = (RecordKind::Srv, usize::MAX);
        let question = Question { name: &name, kind, answers_max, asker: &asker, found: None };
        let rng = &mut Rng::new(self.now.0 ^ n as u64);
        let answer = dns::answer(&question, &view.snapshot, &view.places, &config, 0, rng);
        let port = |it: &Record| {
            if let RecordData::Srv { port, .. } = it.data { Some(port) } else { None }
        };
        let ports: Vec<u16> = answer.answers.iter().filter_map(port).collect();
        self.oracle.on_resolved(view.snapshot.index(), service, &ports);
        Response::text(200, format!("{ports:?}"))
    }

    pub(super) fn respond(&mut self, client: usize, generation: u32, response: Response) {
        let reply = Reply::Response(Box::new(response));
        let delay = self.distance(client, generation, 1);
        self.after(delay, Event::Answer { client, generation, reply });
    }

    /// How long a request or its answer is on its way.
    fn distance(&self, client: usize, generation: u32, way: u64) -> Duration {
        let subject = [CLIENT, client as u64, u64::from(generation), way];
        let mut dice = Dice::about(self.plan.seed, &subject);
        let latency_max = self.plan.knobs.latency_max.min(Duration::from_millis(20));
        Duration::from_micros(50) + dice.up_to(latency_max)
    }

    /// A client begins the next thing in its script, some time from now.
    pub(super) fn schedule_next(&mut self, client: usize) {
        let (next, generation) = (self.clients[client].next(), self.clients[client].generation);
        if let Some(op) = next {
            self.after(op.gap, Event::Wake { client, generation });
        }
    }

    /// A client asks.
    pub(super) fn wake(&mut self, client: usize, generation: u32) {
        if self.clients[client].generation != generation || self.clients[client].pending.is_some() {
            return;
        }
        let Some(op) = self.clients[client].next() else { return };
        let leader = self.leader();
        let server = match op.server {
            Some(place) => place as usize % self.places(),
            None => leader.unwrap_or_else(|| self.somebody(op.serial as usize)),
        };
        if matches!(op.action, Action::Local(Local::Leave)) && server < self.servers.len() {
            // Servers stay: who leads, and who is still there, others look into.
            self.clients[client].skip();
            return self.schedule_next(client);
        }
        let forwarded = self.servers.len() <= server;
        let life = self.life_of(server);
        let floor = self.oracle.kv.floor();
        let now = self.now;
        let to = (server, life, forwarded);
        let pending = self.clients[client].begin(now, client, op, to, floor);
        let (action, known) = (pending.asked.action, pending.asked.known);
        self.oracle.entropy.on_asked(&pending.asked);
        let generation = self.clients[client].generation;
        self.note(Place::Client(client), "ask", (server as u64) << 32 | known, || {
            format!("{}: {} {:?} {known}", Place::Server(server), action.name(), action.subject())
        });
        let delay = self.distance(client, generation, 0);
        self.after(delay, Event::Request { server, client, generation });
        let patience = client::patience(action);
        self.after(patience, Event::Impatient { client, generation });
    }

    /// A server to ask when nobody leads: once some are put right, one of those.
    fn somebody(&self, n: usize) -> usize {
        if self.core.is_empty() { n % self.servers.len() } else { self.core[n % self.core.len()] }
    }

    fn life_of(&self, place: usize) -> u32 {
        self.agent_at(place).map_or_else(|| self.servers[place].life, |it| it.life)
    }

    /// A client goes away. What it asked for may still happen.
    pub(super) fn lose_patience(&mut self, client: usize, generation: u32) {
        let it = &self.clients[client];
        if it.generation != generation || it.pending.is_none() {
            return;
        }
        if let Some(pending) = &it.pending {
            let (server, life, id) = (pending.asked.server, pending.asked.life, pending.id);
            let forwarded = pending.asked.forwarded;
            if !forwarded
                && self.servers[server].life == life
                && self.servers[server].node.is_some()
            {
                let local = self.servers[server].clock.local(self.now);
                let report = &mut self.oracle.report;
                self.oracle.wakeup.on_answer(report, (client, server), local, None);
            }
            if let Some(id) = id {
                let delay = self.distance(client, generation, 2);
                self.after(delay, Event::Gone { server, life, id });
            }
        }
        self.note(Place::Client(client), "leave", 0, String::new);
        self.finish(client, false, Answered::default(), None);
    }

    /// A server notices that a client is gone.
    pub(super) fn gone(&mut self, n: usize, life: u32, id: RequestId) {
        let server = &mut self.servers[n];
        if server.life == life && server.connections.remove(&id).is_some() {
            self.step(n, |_, node, local| node.handle(local, Input::Cancel(id)));
        }
    }

    /// A client is answered.
    pub(super) fn answer(&mut self, client: usize, generation: u32, reply: Reply) {
        let it = &self.clients[client];
        if it.generation != generation {
            return;
        }
        let Some(pending) = &it.pending else { return };
        let asked = pending.asked.clone();
        let mut seen = None;
        let (status, answered) = match reply {
            Reply::Refused => {
                let outcome = crate::oracle::Outcome::Refused;
                (1, Answered { outcome, ..Answered::default() })
            }
            Reply::Reset => (2, Answered::default()),
            Reply::Response(response) => {
                seen = shown(asked.action, &response);
                self.oracle.on_told(&asked, &response);
                let oracle = &mut self.oracle;
                let (report, truth) = (&mut oracle.report, &oracle.truth);
                let answered = oracle.kv.on_answer(report, truth, &asked, &response);
                (u64::from(response.status), answered)
            }
        };
        let payload = answered.index.unwrap_or(0) << 16 | status;
        self.note(Place::Client(client), "told", payload, || {
            format!("{status} {:?} {:?}", asked.action.name(), answered)
        });
        self.finish(client, true, answered, seen);
    }

    fn finish(&mut self, client: usize, returned: bool, answered: Answered, seen: Option<String>) {
        self.clients[client].end(self.now, returned, answered, seen);
        if client + 1 == self.clients.len() {
            self.probed(answered);
        }
        self.schedule_next(client);
    }
}

/// The value that an answer shows, in base64, if it is about one key.
fn shown(action: Action, response: &Response) -> Option<String> {
    if !matches!(action, Action::Get(..)) {
        return None;
    }
    let body = std::str::from_utf8(&response.body).ok()?;
    let (_, rest) = body.split_once("\"Value\":\"")?;
    Some(rest.split('"').next()?.to_owned())
}

/// How long a health check may take.
const CHECK_MAX: Duration = Duration::from_millis(2);

/// What a timer may be late.
const TIMER_SLACK: Duration = Duration::from_millis(100);

/// What decisions are about.
const TASK: u64 = 5;
const CLIENT: u64 = 6;
