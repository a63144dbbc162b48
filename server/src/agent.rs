//! Puts an agent together and runs it.
//!
//! ```text
//!   Config ──> settings ──┐
//!   data directory ──> restore ──┴──> [ Node ] in a thread of its own <── [ edge ] HTTP, DNS
//! ```

mod edge;
mod identity;
mod join;
mod recovery;
mod rejoin;
mod reload;
mod restore;
mod settings;
mod watches;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};
use tribune_api::agent::AgentCall;
use tribune_base::time::Instant;
use tribune_core::{Agent, Area, Call, Client, Node};
use tribune_io::clock::{self, Clock};
use tribune_io::driver::{Driver, Parts, Stopped, Storage};
use tribune_io::gossip::{Guard, Strictness, file};
use tribune_io::handle::NodeHandle;
use tribune_io::net::{Net as _, TokioNet};
use tribune_io::rpc::{Preamble, Rpc};
use tribune_io::storage::{FileStorage, NoStorage};
use tribune_io::wal::{MemoryWal, Wal};
use tribune_io::{check, entropy};

use crate::config::Config;
use crate::log;
use crate::pid::PidFile;
use crate::signal::{Signal, Signals};
use edge::Edge;
pub(crate) use reload::Again;
use reload::{Live, Reloader};
use restore::Restored;

/// Run an agent until it is told to stop. `again` reads its configuration anew.
pub(crate) fn run(config: Config, again: Again) -> ExitCode {
    log::init(&config.log);
    for warning in &config.warnings {
        warn!("{warning}");
    }
    for key in &config.unsupported {
        // Whoever wanted something closed must not have to look for the line that says it is open.
        if key.security {
            error!("{key}");
        } else {
            warn!("{key}");
        }
    }
    match start(config, again) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Why an agent does not run.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Failed {
    /// What could not be done, and why.
    pub(crate) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("{what}: {why}"))
    }
}

fn start(config: Config, again: Again) -> Result<(), Failed> {
    let edge = runtime()?;
    let _pid = match &config.pid_file {
        Some(path) => Some(PidFile::create(path).map_err(|it| Failed::new("pid_file", it))?),
        None => None,
    };
    match config.data_dir.clone() {
        Some(dir) if !config.dev && !config.server => {
            let (wal_events, events) = mpsc::unbounded_channel();
            let found = restore::open_client(&dir, &config, MemoryWal::new(wal_events), events)?;
            run_node(config, again, found, FileStorage::new(&dir), &edge)
        }
        Some(dir) if !config.dev => {
            let found = restore::open(&dir, &config)?;
            let storage = FileStorage::new(&dir);
            run_node(config, again, found, storage, &edge)
        }
        _ => {
            let (wal_events, events) = mpsc::unbounded_channel();
            let wal = MemoryWal::new(wal_events);
            let found = Restored::nothing(&config, wal, events)?;
            run_node(config, again, found, NoStorage::default(), &edge)
        }
    }
}

/// The threads that answer: HTTP, DNS, rendering, checks.
fn runtime() -> Result<Runtime, Failed> {
    Builder::new_multi_thread()
        .thread_name("edge")
        .enable_all()
        .build()
        .map_err(|it| Failed::new("threads cannot be started", it))
}

fn run_node<W: Wal + 'static, S: Storage>(
    config: Config,
    again: Again,
    found: Restored<W>,
    storage: S,
    edge: &Runtime,
) -> Result<(), Failed> {
    let seed = entropy::draw().map_err(|it| Failed::new("no entropy", it))? as u64;
    let context = Arc::new(settings::context(&config));
    let (lan, wan) = (guard(&config, Area::Lan)?, guard(&config, Area::Wan)?);
    let encryption = (lan.encryption(), wan.encryption());
    let context_of_node = Arc::clone(&context);
    let settings =
        settings::node(&config, context_of_node, found.node_id, encryption, clock::wall());
    info!(
        node = config.node_name,
        id = %found.node_id,
        datacenter = config.datacenter,
        version = settings::VERSION,
        "Tribune agent running"
    );
    let ours = Preamble::new(settings.id.into(), &config.datacenter);
    let (wal, wal_events) = (found.wal, found.wal_events);
    let rpc = Rpc::new(ours, settings::rpc(&config));
    let (on_edge, known) = (edge.handle().clone(), Arc::clone(&context));
    let live = Live::new(&config);
    let resolve = Arc::new(edge::Resolver::new(live.dns.clone(), seed));
    // Sockets belong to the runtime they are made in, which is the node's.
    let parts = move |Sockets { listeners, gossip, gossip_wan }| Parts {
        wal,
        wal_events,
        storage,
        checks: RealChecks,
        net: TokioNet,
        rpc,
        listeners,
        gossip,
        guard: lan,
        wan: gossip_wan.map(|it| (it, wan)),
        seed,
        edge: on_edge,
        context: known,
        resolve,
    };
    let core = found.core;
    let agent = move |server| {
        if server {
            Agent::from(Node::new(settings, core, seed, Instant::START))
        } else {
            Client::new(settings, core, seed, Instant::START).into()
        }
    };
    let (node_thread, handle, stopped) = spawn(&config, agent, parts)?;
    let serving = serve(&config, again, live, (context, seed), handle, stopped);
    let outcome = edge.block_on(serving);
    // The node's thread ends with its driver, and the log's with it.
    let ended = node_thread.join();
    edge_error(outcome, ended.is_err())
}

/// What keeps a pool from strangers: the keys on disk, or the first of them.
fn guard(config: &Config, area: Area) -> Result<Guard, Failed> {
    if area == Area::Wan && settings::gossip_listen_wan(config).is_none() {
        return Ok(Guard::default());
    }
    let (file, pool) = match area {
        Area::Lan => (file::LAN, config.datacenter.as_str()),
        Area::Wan => (file::WAN, tribune_gossip::WAN),
    };
    let wanted = &config.encrypt;
    let dir = config.data_dir.as_ref().filter(|_| wanted.keyring_file && !config.dev);
    let path = dir.map(|it| it.join(file));
    let beginning = file::begin(path.as_deref(), wanted.key.as_ref());
    let beginning = beginning.map_err(|it| Failed::new("encrypt", it))?;
    if beginning.differs {
        warn!(
            pool = area.name(),
            "encrypt: the key is not in the keyring on disk, which counts; it is not used"
        );
    }
    let Some(keyring) = beginning.keyring else { return Ok(Guard::default()) };
    let entropy = entropy::draw().map_err(|it| Failed::new("no entropy", it))?;
    let strictness =
        Strictness { incoming: wanted.verify_incoming, outgoing: wanted.verify_outgoing };
    info!(pool = area.name(), keys = keyring.keys().len(), "Gossip is encrypted");
    Ok(Guard::new(keyring, path, pool, strictness, entropy))
}

/// Where other agents reach this one.
struct Sockets {
    listeners: Vec<TcpListener>,
    gossip: UdpSocket,
    gossip_wan: Option<UdpSocket>,
}

/// Start the node in a thread of its own: a late heartbeat costs an election.
#[allow(clippy::type_complexity)] // Said once.
fn spawn<W: Wal + 'static, S: Storage>(
    config: &Config,
    agent: impl FnOnce(bool) -> Agent + Send + 'static,
    parts: impl FnOnce(Sockets) -> Parts<W, S, RealChecks, TokioNet> + Send + 'static,
) -> Result<(thread::JoinHandle<()>, NodeHandle, oneshot::Receiver<Stopped>), Failed> {
    let (started, handle) = oneshot::channel();
    let (ended, stopped) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|it| Failed::new("threads cannot be started", it))?;
    let listen = settings::rpc_listen(config);
    let gossip = (settings::gossip_listen(config), settings::gossip_listen_wan(config));
    let server = config.server;
    let thread = thread::Builder::new().name("node".into()).spawn(move || {
        runtime.block_on(async move {
            let sockets = match Sockets::bind(&listen, gossip).await {
                Ok(sockets) => sockets,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let (driver, handle) = Driver::new(agent(server), Clock::start(), parts(sockets));
            // The other side waits for both.
            let _ = started.send(Ok(handle));
            let _ = ended.send(driver.run().await);
        });
    });
    let thread = thread.map_err(|it| Failed::new("threads cannot be started", it))?;
    let handle = handle.blocking_recv();
    let handle = handle.map_err(|_| Failed::new("the node did not start", "see above"))??;
    Ok((thread, handle, stopped))
}

impl Sockets {
    /// Listen for other agents at each address, which a key of the configuration decides.
    async fn bind(
        addresses: &[(SocketAddr, &'static str)],
        (gossip, gossip_wan): (SocketAddr, Option<SocketAddr>),
    ) -> Result<Self, Failed> {
        let mut listeners = Vec::new();
        for (addr, key) in addresses {
            let listener = TokioNet.listen(*addr).await;
            let failed = |it| edge::cannot_listen("other agents", addr, key, &it);
            listeners.push(listener.map_err(failed)?);
            info!(address = %addr, "Listening for other agents");
        }
        let failed = |it| edge::cannot_listen("gossip", &gossip, "ports.serf_lan", &it);
        let gossip = TokioNet.bind(gossip).await.map_err(failed)?;
        let gossip_wan = match gossip_wan {
            Some(addr) => {
                let failed = |it| edge::cannot_listen("gossip", &addr, "ports.serf_wan", &it);
                Some(TokioNet.bind(addr).await.map_err(failed)?)
            }
            None => None,
        };
        Ok(Self { listeners, gossip, gossip_wan })
    }
}

/// Answer until the node stops, or somebody says so.
async fn serve(
    config: &Config,
    again: Again,
    live: Live,
    (context, seed): (Arc<tribune_api::plan::Context>, u64),
    node: NodeHandle,
    mut stopped: oneshot::Receiver<Stopped>,
) -> Result<Stopped, Failed> {
    let (stop, stopping) = watch::channel(false);
    let signals = Signals::new().map_err(|it| Failed::new("signals", it));
    // One who waits, and one whose turn it is.
    let (reloads, requests) = mpsc::channel(1);
    let edge = Edge::start(config, context, seed, &node, (&live, reloads), stopping).await;
    let started = signals.and_then(|signals| edge.map(|edge| (signals, edge)));
    let (mut signals, mut edge) = started.inspect_err(|_| node.stop())?;
    let pools = join::Pool::all(config);
    for pool in &pools {
        pool.at_start(&node).await.inspect_err(|_| node.stop())?;
    }
    let joining = join::all_joined(&pools, &node);
    let mut reloader = Reloader::new(again, config, node.clone(), live, requests);
    let mut own = JoinSet::new();
    for known in pools.iter().filter_map(|it| it.known.clone()) {
        own.spawn(known.remember(node.clone()));
    }
    let told = until_told(&mut reloader, &mut signals, &mut stopped, joining).await;
    let told = told.inspect_err(|_| node.stop())?;
    // Nobody waits for our own.
    drop((own, reloader));
    let leaves = matches!(told, Told::Leave | Told::Stopped(Ok(Stopped::Asked)));
    let why = match told {
        Told::Stopped(why) => why,
        Told::Leave => {
            tokio::select! {
                biased;
                _ = signals.next() => process::exit(1),
                _ = node.call(Call::Agent(AgentCall::Leave)) => {}
            }
            stopped.await
        }
        Told::Stop => {
            // Nobody new. Who is being answered is, unless it takes long: those who wait for a change
            // may wait for hours.
            let _ = stop.send(true);
            tokio::select! {
                biased;
                _ = signals.next() => process::exit(1),
                () = tokio::time::sleep(ANSWER_MAX) => {}
                () = edge.drained() => {}
            }
            node.stop();
            // Others may have to take over first.
            tokio::select! {
                biased;
                why = stopped => why,
                _ = signals.next() => process::exit(1),
            }
        }
    };
    if leaves && !config.join.rejoin_after_leave {
        pools.iter().filter_map(|it| it.known.as_ref()).for_each(rejoin::Known::forget);
    }
    let _ = stop.send(true);
    // What the node decided last goes out, to clients that take it.
    let _ = tokio::time::timeout(DRAIN_MAX, edge.drained()).await;
    why.map_err(|_| Failed::new("the node stopped", "its thread panicked; see above"))
}

/// What an agent is to do next.
enum Told {
    /// Nothing: the node has stopped by itself.
    Stopped(Result<Stopped, oneshot::error::RecvError>),
    /// Stop. It will be back.
    Stop,
    /// Leave for good, then stop.
    Leave,
}

/// Wait until a signal says what to do, or until the node has stopped by itself; `joining` meanwhile.
async fn until_told(
    reloader: &mut Reloader,
    signals: &mut Signals,
    stopped: &mut oneshot::Receiver<Stopped>,
    joining: impl Future<Output = Result<(), Failed>>,
) -> Result<Told, Failed> {
    let leave = reloader.leave();
    let mut joining = pin!(joining);
    let mut joined = false;
    loop {
        tokio::select! {
            biased;
            why = &mut *stopped => return Ok(Told::Stopped(why)),
            signal = signals.next() => {
                let leave = match signal {
                    Signal::Interrupt => !leave.skip_on_interrupt,
                    Signal::Terminate => leave.on_terminate,
                    Signal::Hangup => {
                        // What went wrong is in the log.
                        let _ = reloader.reload().await;
                        continue;
                    }
                };
                info!(signal = signal.name(), "shutting down");
                return Ok(if leave { Told::Leave } else { Told::Stop });
            }
            waiting = reloader.asked() => {
                // Who asked may be gone.
                let _ = waiting.send(reloader.reload().await);
            }
            done = &mut joining, if !joined => {
                done?;
                joined = true;
            }
        }
    }
}

fn edge_error(outcome: Result<Stopped, Failed>, panicked: bool) -> Result<(), Failed> {
    match outcome? {
        _ if panicked => Err(Failed::new("the node stopped", "its thread panicked; see above")),
        Stopped::Asked => Ok(()),
        stopped @ Stopped::Log(_) => Err(Failed(stopped.to_string())),
    }
}

/// Checks as they are.
#[derive(Clone, Copy, Debug)]
struct RealChecks;

impl tribune_io::driver::Checks for RealChecks {
    async fn run(
        &self,
        spec: tribune_agent::CheckSpec,
        timeout: Duration,
    ) -> tribune_agent::CheckOutcome {
        check::run(&spec, timeout).await
    }
}

/// How long requests may take that were under way when the agent was told to stop.
const ANSWER_MAX: Duration = Duration::from_millis(300);

/// How long clients may take to receive their last answers.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Read a small file that may not be there.
pub(crate) fn read_optional(path: &std::path::Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
