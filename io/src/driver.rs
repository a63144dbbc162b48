//! The loop that turns outputs into effects and effects into inputs, and decides nothing.
//!
//! It is the same under tokio and in the simulator; what it drives is behind [`Wal`], [`Storage`],
//! [`Checks`] and [`Net`]. One task owns the node: everybody else talks to it through a
//! [`NodeHandle`]. The connections to other servers are tasks of the same runtime, which in
//! production is one thread: what arrives there reaches the node without crossing to another.

mod snapshots;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::error;
use tribune_agent::{CheckOutcome, CheckSpec};
use tribune_api::dns::Elsewhere;
use tribune_api::http::Response;
use tribune_api::keyring::KeyOrder;
use tribune_api::plan::Context;
use tribune_api::prepared::{Asker, Rows};
use tribune_base::id::LogId;
use tribune_base::time::{Duration, Instant};
use tribune_core::{Agent, Area, Input, Output, RequestId, Serve, Shown, View, Wire};
use tribune_raft::{PersistSeq, SnapshotMeta};
use tribune_state::{Snapshot, Store};

use snapshots::{Chore, Snapshots};

use crate::clock::Clock;
use crate::dns::{self, Responder};
use crate::gossip::{Guard, Kind, Packet, Packets};
use crate::handle::{Client, NodeHandle, ToNode};
use crate::log;
use crate::net::Net;
use crate::raft_log;
use crate::rpc::{self, Heard, Pool, Report, Rpc};
use crate::serve;
use crate::wal::{self, Wal};

/// Where a node keeps what is not in its log.
pub trait Storage: Clone + Send + Sync + 'static {
    /// Write files, or remove them; durable when it returns. Names are relative.
    fn save(
        &self,
        writes: Vec<(String, Option<Bytes>)>,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Write a snapshot; durable when it returns.
    fn save_snapshot(
        &self,
        meta: SnapshotMeta,
        snapshot: Snapshot,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Read `len` bytes of a durable snapshot, or what is left of it, and whether it ends with them.
    /// `None` if there is no such snapshot any more.
    fn read_snapshot(
        &self,
        last: LogId,
        offset: u64,
        len: u64,
    ) -> impl Future<Output = io::Result<Option<(Bytes, bool)>>> + Send;

    /// Write a piece of another server's snapshot into a temporary file. Offset zero starts a new
    /// file; the others follow in order.
    fn write_snapshot_piece(
        &self,
        last: LogId,
        offset: u64,
        data: Bytes,
    ) -> impl Future<Output = io::Result<()>> + Send;

    /// Make the temporary file *the* snapshot, durable when it returns, and read back what it says.
    /// A file that is not whole is [`io::ErrorKind::InvalidData`].
    fn install_snapshot(
        &self,
        meta: SnapshotMeta,
    ) -> impl Future<Output = io::Result<Store>> + Send;
}

/// Runs health checks. Always has an outcome.
pub trait Checks: Clone + Send + Sync + 'static {
    /// Run one, for at most `timeout`.
    fn run(&self, spec: CheckSpec, timeout: Duration) -> impl Future<Output = CheckOutcome> + Send;
}

/// An [`Agent`] and everything it needs to run.
pub struct Driver<W, S, C, N: Net> {
    node: Agent,
    handle: NodeHandle,
    clock: Clock,
    queue: mpsc::UnboundedReceiver<ToNode>,
    wal: W,
    wal_events: mpsc::UnboundedReceiver<wal::Event>,
    storage: S,
    checks: C,
    snapshots: Snapshots,
    /// What this node has to say to others.
    pool: Pool<N>,
    /// What others have to say, and whoever brings it.
    heard: mpsc::Receiver<Heard>,
    /// What is known to be lost of what this node has said.
    reports: mpsc::UnboundedReceiver<Report>,
    server: rpc::Server,
    /// The pool of the datacenter.
    gossip: Packets<N::Udp>,
    guard: Guard,
    /// The pool of all datacenters, if this agent is in it, and its guard.
    wan: Option<(Packets<N::Udp>, Guard)>,
    packets: mpsc::Receiver<Packet>,
    /// Invariant: there until the driver runs.
    packets_to: Option<mpsc::Sender<Packet>>,
    listeners: Vec<N::Listener>,
    /// Whether there are others.
    has_peers: bool,
    /// What renders answers and runs checks: never the node's own thread.
    edge: Handle,
    context: Arc<Context>,
    resolve: Arc<dyn Resolve>,
    clients: BTreeMap<RequestId, Client>,
    outputs: Vec<Output>,
    /// What the published view shows.
    shown: Option<Shown>,
}

/// What a [`Driver`] is made of, besides its node.
pub struct Parts<W, S, C, N: Net> {
    /// Keeps the node's promises.
    pub wal: W,
    /// Says which are kept.
    pub wal_events: mpsc::UnboundedReceiver<wal::Event>,
    /// Keeps everything else.
    pub storage: S,
    /// Runs checks.
    pub checks: C,
    /// Reaches other servers.
    pub net: N,
    /// Speaks for this one.
    pub rpc: Rpc,
    /// Where others connect.
    pub listeners: Vec<N::Listener>,
    /// Where the pool's packets come in.
    pub gossip: N::Udp,
    /// What those have to pass, and the exchanges over streams.
    pub guard: Guard,
    /// The same, of the pool where all datacenters meet, if this agent is in it.
    pub wan: Option<(N::Udp, Guard)>,
    /// What everything random in the shell follows from.
    pub seed: u64,
    /// Where answers are rendered and checks run.
    pub edge: Handle,
    /// What the API needs to know of the configuration.
    pub context: Arc<Context>,
    /// Answers the DNS requests that client agents pass on.
    pub resolve: Arc<dyn Resolve>,
}

/// What DNS requests that client agents pass on are answered from.
pub trait Resolve: Send + Sync {
    /// What `view` shows at `now` to `asker`, and what the order of the rows follows from.
    fn resolve(&self, view: &View, now: Instant, asker: &Asker) -> (dns::Moment, u64);
}

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It was asked to.
    #[error("asked to stop")]
    Asked,
    /// The log could not be written. What is on the disk is unknown, so nothing more may be
    /// acknowledged: a flush that succeeds later would not bring back what this one dropped.
    #[error(
        "the log failed: {0}. Restart the agent once the disk is well: it reads back what is there"
    )]
    Log(io::Error),
}

impl<W: Wal, S: Storage, C: Checks, N: Net> Driver<W, S, C, N> {
    /// A driver for `node`, whose time `clock` counts.
    pub fn new(node: Agent, clock: Clock, parts: Parts<W, S, C, N>) -> (Self, NodeHandle) {
        let (handle, queue) = NodeHandle::new(clock, node.view());
        let Parts { wal, wal_events, storage, checks, edge, context, resolve, .. } = parts;
        let (incoming, heard) = mpsc::channel(HEARD_MAX);
        let (lost, reports) = mpsc::unbounded_channel();
        let (packets_to, packets) = mpsc::channel(PACKETS_MAX);
        let messages = handle.shared().messages.clone();
        let snapshots = Snapshots::start(storage.clone(), &edge, messages);
        let wan = |(socket, guard): (N::Udp, Guard)| {
            (Packets::new(Area::Wan, socket, guard.clone()), guard)
        };
        let driver = Self {
            node,
            handle: handle.clone(),
            clock,
            queue,
            wal,
            wal_events,
            storage,
            checks,
            snapshots,
            pool: Pool::new(parts.net, parts.rpc.clone(), parts.seed, lost),
            heard,
            reports,
            gossip: Packets::new(Area::Lan, parts.gossip, parts.guard.clone()),
            guard: parts.guard,
            wan: parts.wan.map(wan),
            packets,
            packets_to: Some(packets_to),
            server: rpc::Server::new(parts.rpc, incoming),
            listeners: parts.listeners,
            has_peers: false,
            edge,
            context,
            resolve,
            clients: BTreeMap::new(),
            outputs: Vec::new(),
            shown: None,
        };
        (driver, handle)
    }

    /// Run until asked to stop, or until the log fails.
    pub async fn run(mut self) -> Stopped {
        let mut listening = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            listening.spawn(self.server.clone().listen(listener));
        }
        if let Some(packets) = self.packets_to.take() {
            if let Some((wan, _)) = &self.wan {
                listening.spawn(wan.clone().receive(packets.clone()));
            }
            listening.spawn(self.gossip.clone().receive(packets));
        }
        let stopped = self.turn_until_stopped().await;
        // Nobody new; and what is decided is told.
        drop(listening);
        self.pool.close(CLOSE_MAX).await;
        stopped
    }

    async fn turn_until_stopped(&mut self) -> Stopped {
        let mut requests = Vec::with_capacity(BATCH_MAX);
        let mut heard = Vec::with_capacity(HEARD_MAX);
        loop {
            // Drain before waiting: an output left behind is a promise forgotten.
            if self.perform() {
                return Stopped::Asked;
            }
            if self.has_peers {
                // Connections live in this thread, and have something to do now.
                tokio::task::yield_now().await;
            }

            // `biased`, because the default draws lots, and with entropy that is not ours. First
            // comes who can wait least: a late heartbeat costs an election, a late request nothing
            // but a moment.
            tokio::select! {
                biased;
                () = self.clock.sleep_until(self.node.poll_timeout()) => {
                    self.node.handle_timeout(self.clock.now());
                }
                Some(event) = self.wal_events.recv() => {
                    if let Err(error) = self.on_wal(event) {
                        return Stopped::Log(error);
                    }
                }
                _ = self.heard.recv_many(&mut heard, HEARD_MAX) => {}
                Some(packet) = self.packets.recv() => self.on_packet(packet),
                Some(report) = self.reports.recv() => self.on_report(report),
                _ = self.queue.recv_many(&mut requests, BATCH_MAX) => {}
            }
            // Whoever it was that had something: everybody has a turn, so that nobody starves. And
            // many at once: they share one log batch.
            while let Ok(event) = self.wal_events.try_recv() {
                if let Err(error) = self.on_wal(event) {
                    return Stopped::Log(error);
                }
            }
            while let Ok(packet) = self.packets.try_recv() {
                self.on_packet(packet);
            }
            while let Ok(report) = self.reports.try_recv() {
                self.on_report(report);
            }
            while heard.len() < HEARD_MAX
                && let Ok(it) = self.heard.try_recv()
            {
                heard.push(it);
            }
            while requests.len() < BATCH_MAX
                && let Ok(it) = self.queue.try_recv()
            {
                requests.push(it);
            }
            heard.drain(..).for_each(|it| self.on_heard(it));
            requests.drain(..).for_each(|it| self.on_message(it));
        }
    }

    fn on_wal(&mut self, event: wal::Event) -> io::Result<()> {
        let now = self.clock.now();
        match event {
            wal::Event::Persisted(seq) => {
                self.node.handle(now, Input::Persisted(PersistSeq(seq)));
            }
            wal::Event::NoSpace(advice) => self.node.handle(now, Input::NoSpace(advice)),
            wal::Event::Space => self.node.handle(now, Input::Space),
            wal::Event::Failed(error) => return Err(error),
        }
        Ok(())
    }

    /// Other servers say something.
    fn on_heard(&mut self, heard: Heard) {
        self.has_peers = true;
        let (now, from) = (self.clock.now(), heard.from);
        for message in heard.messages {
            if let Some(message) = self.opened(message) {
                self.node.handle(now, Input::Message { from, message });
            }
        }
    }

    /// What a pool says over streams is as secret as its packets.
    fn sealed(&self, mut message: Wire) -> Wire {
        if let Wire::Exchange { area, request, .. } = &mut message
            && let Some(guard) = self.guard(*area)
        {
            *request = guard.seal(Kind::Request, std::mem::take(request));
        } else if let Wire::Exchanged { area, answer, .. } = &mut message
            && let Some(guard) = self.guard(*area)
        {
            *answer = guard.seal(Kind::Answer, std::mem::take(answer));
        }
        message
    }

    fn guard(&self, area: Area) -> Option<&Guard> {
        match area {
            Area::Lan => Some(&self.guard),
            Area::Wan => self.wan.as_ref().map(|(_, guard)| guard),
        }
    }

    /// The other way. `None`, if a stranger says it: whoever waits for an answer gives up in time.
    fn opened(&self, mut message: Wire) -> Option<Wire> {
        if let Wire::Exchange { area, request, .. } = &mut message {
            *request = self.guard(*area)?.open(Kind::Request, std::mem::take(request))?;
        } else if let Wire::Exchanged { area, answer, .. } = &mut message {
            *answer = self.guard(*area)?.open(Kind::Answer, std::mem::take(answer))?;
        }
        Some(message)
    }

    /// Carry out an order about the keys, which may have to wait for the disk.
    fn change_keys(&self, area: Area, order: u64, what: KeyOrder) {
        let guard = self.guard(area).cloned().unwrap_or_default();
        let (on_disk, messages) = (guard.is_on_disk(), self.messages());
        let done = move || {
            let outcome = guard.carry_out(&what);
            _ = messages.send(ToNode::Report(Input::KeysDone { area, order, outcome }));
        };
        if on_disk {
            self.edge.spawn_blocking(done);
        } else {
            done();
        }
    }

    fn on_packet(&mut self, Packet { area, from, bytes: packet }: Packet) {
        let input = Input::Packet { area, from, packet };
        self.node.handle(self.clock.now(), input);
    }

    fn on_report(&mut self, report: Report) {
        let input = match report {
            Report::Undelivered(inquiry) => Input::Undelivered(inquiry),
            Report::Lost(to) => Input::Lost { to },
        };
        self.node.handle(self.clock.now(), input);
    }

    fn on_message(&mut self, message: ToNode) {
        let now = self.clock.now();
        match message {
            ToNode::Request { id, call, client } => {
                self.clients.insert(id, client);
                self.node.handle(now, Input::Request { id, call });
            }
            ToNode::Report(input) => {
                if let Input::Cancel(id) = &input {
                    self.clients.remove(id);
                }
                self.node.handle(now, input);
            }
            ToNode::Unchanged { clients, index } => {
                let ids = clients.iter().map(|(id, _)| *id).collect();
                // Those who have gone meanwhile have said so already.
                self.clients.extend(clients.into_iter().filter(|(_, it)| !it.is_closed()));
                self.node.handle(now, Input::Unchanged { ids, index });
            }
            ToNode::Stop => self.node.handle(now, Input::Stop),
        }
    }

    /// Perform everything the node asks for. True, if it asks to stop.
    fn perform(&mut self) -> bool {
        while let Some(output) = self.node.poll_output() {
            // The disk is slow: it starts first.
            if let Output::Persist(batch) = &output {
                self.wal.submit(raft_log::batch(batch));
            } else {
                self.outputs.push(output);
            }
        }
        // Before any reply leaves: who has read an acknowledgement may read again.
        let shown = self.node.shown();
        if self.shown != Some(shown) {
            self.shown = Some(shown);
            self.handle.shared().view.store(Arc::new(self.node.view()));
        }
        let mut stop = false;
        for output in std::mem::take(&mut self.outputs) {
            stop |= matches!(output, Output::Stop);
            self.perform_one(output);
        }
        stop
    }

    fn perform_one(&mut self, output: Output) {
        match output {
            Output::Persist(_) => unreachable!("handed to the log before"),
            Output::Send { to, message } => {
                self.has_peers = true;
                self.pool.send(&to, &self.sealed(message));
            }
            Output::Packet { area: Area::Lan, to, bytes } => self.gossip.send(to, bytes),
            Output::Packet { area: Area::Wan, to, bytes } => {
                if let Some((wan, _)) = &self.wan {
                    wan.send(to, bytes);
                }
            }
            Output::Keys { area, order, what } => self.change_keys(area, order, what),
            Output::ReadSnapshot { to, last, offset, len } => {
                self.snapshots.add(Chore::Read { to, last, offset, len });
            }
            Output::WriteSnapshot { last, offset, data } => {
                self.snapshots.add(Chore::Write { last, offset, data });
            }
            Output::InstallSnapshot(meta) => self.snapshots.add(Chore::Install(meta)),
            Output::Reply { id, response } => self.reply(id, response),
            Output::Serve(serve) => self.serve(serve),
            Output::Resolve { id, packet, stream, asker } => {
                self.resolve(id, packet, stream, asker);
            }
            Output::SaveSnapshot { meta, snapshot } => self.save_snapshot(meta, snapshot),
            Output::ForgetLog { through } => self.wal.forget(through),
            Output::RunCheck { run, spec, timeout } => {
                let (checks, messages) = (self.checks.clone(), self.messages());
                self.edge.spawn(async move {
                    let outcome = checks.run(spec, timeout).await;
                    let _ = messages.send(ToNode::Report(Input::Checked { run, outcome }));
                });
            }
            // Its outcome is ignored when it comes: no run is worth interrupting.
            Output::StopCheck { .. } => {}
            Output::Save { seq, writes } => {
                let (storage, messages) = (self.storage.clone(), self.messages());
                self.edge.spawn(async move {
                    while let Err(error) = storage.save(writes.clone()).await {
                        error!(%error, "registrations could not be written; trying again");
                        tokio::time::sleep(SAVE_RETRY).await;
                    }
                    let _ = messages.send(ToNode::Report(Input::Saved(seq)));
                });
            }
            Output::Recovered => {
                let storage = self.storage.clone();
                self.edge.spawn(async move {
                    if let Err(error) = storage.save(vec![(PEERS.to_owned(), None)]).await {
                        error!(%error, "{PEERS} could not be removed; do it before the next start");
                    }
                });
            }
            Output::Event(event) => log::report(&event),
            Output::Stop => {}
        }
    }

    fn reply(&mut self, id: RequestId, response: Response) {
        if let Some(client) = self.clients.remove(&id) {
            // The client may have gone at this very moment.
            let _ = client.send(response);
        }
    }

    /// Evaluate and render once, elsewhere, for everybody who waits for the same answer.
    fn serve(&mut self, serve: Serve) {
        let clients: Vec<_> = serve
            .ids
            .iter()
            .filter_map(|id| self.clients.remove(id).map(|client| (*id, client)))
            .collect();
        let view = self.handle.shared().view.load_full();
        let (context, messages) = (Arc::clone(&self.context), self.messages());
        let (now, handle) = (self.clock.now(), self.handle.clone());
        self.edge.spawn(async move {
            let rendered = serve::render(&view, now, &context, handle.shelf(), &serve);
            let report = match rendered {
                serve::Rendered::Unchanged(index) => ToNode::Unchanged { clients, index },
                serve::Rendered::Response(response) => {
                    let elsewhere = serve.ids.iter().any(|it| it.is_own());
                    let elsewhere = elsewhere.then(|| response.clone());
                    for (_, client) in clients {
                        let _ = client.send(response.clone());
                    }
                    ToNode::Report(Input::Served { ids: serve.ids, response: elsewhere })
                }
            };
            let _ = messages.send(report);
        });
    }

    fn resolve(&self, id: RequestId, packet: Bytes, stream: bool, asker: Asker) {
        let view = self.handle.shared().view.load_full();
        let (resolve, messages) = (Arc::clone(&self.resolve), self.messages());
        let (now, handle) = (self.clock.now(), self.handle.clone());
        let transport = if stream { dns::Transport::Tcp } else { dns::Transport::Udp };
        self.edge.spawn(async move {
            let answer = |found: Option<&Rows>| {
                let (moment, seed) = resolve.resolve(&view, now, &asker);
                let (mut responder, mut body) =
                    (Responder::new(Arc::new(moment), seed), Vec::new());
                responder.respond(&packet, transport, &asker, found, &mut body);
                (body, responder.elsewhere())
            };
            let mut response = Response::empty(200);
            let (mut body, elsewhere) = answer(None);
            // What is about another datacenter has been sent there before it came here.
            if let Some(Elsewhere::Query(execution)) = elsewhere
                && let Some(found) = dns::find(&handle, execution).await
            {
                (body, _) = answer(Some(&found));
            }
            response.body = body.into();
            let served = Input::Served { ids: vec![id], response: Some(response) };
            let _ = messages.send(ToNode::Report(served));
        });
    }

    fn save_snapshot(&self, meta: SnapshotMeta, snapshot: Snapshot) {
        let (storage, messages) = (self.storage.clone(), self.messages());
        self.edge.spawn(async move {
            // The log keeps everything until it succeeds.
            while let Err(error) = storage.save_snapshot(meta.clone(), snapshot.clone()).await {
                error!(%error, "a snapshot could not be written; trying again");
                tokio::time::sleep(SAVE_RETRY).await;
            }
            let _ = messages.send(ToNode::Report(Input::SnapshotSaved(meta)));
        });
    }

    fn messages(&self) -> mpsc::UnboundedSender<ToNode> {
        self.handle.shared().messages.clone()
    }
}

/// How long to leave a disk alone that could not take a file. It is full, most likely, and an
/// operator has read why.
const SAVE_RETRY: Duration = Duration::from_secs(5);

/// An operator's word on who the servers are, in the data directory.
pub const PEERS: &str = "raft/peers.json";

/// How long peers may take to receive what this node said last.
const CLOSE_MAX: Duration = Duration::from_millis(200);

/// Reads of connections that may wait to be taken in, and that are taken in at once.
const HEARD_MAX: usize = 64;

/// Packets that may wait. More are lost, as they may be on their way.
const PACKETS_MAX: usize = 4_096;

/// Requests taken from the queue at once. They share a log batch, and everything urgent waits for
/// no more than these.
const BATCH_MAX: usize = 256;
