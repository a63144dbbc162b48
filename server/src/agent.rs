//! Puts an agent together and runs it.
//!
//! ```text
//!   Config ──> settings ──┐
//!   data directory ──> restore ──┴──> [ Node ] in a thread of its own <── [ edge ] HTTP, DNS
//! ```

mod edge;
mod identity;
mod recovery;
mod restore;
mod settings;
mod watches;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};
use tribune_base::time::Instant;
use tribune_core::Node;
use tribune_io::clock::{self, Clock};
use tribune_io::driver::{Driver, Parts, Stopped, Storage};
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
use restore::Restored;

/// Run an agent until it is told to stop.
pub fn run(config: Config) -> ExitCode {
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
    match start(config) {
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

fn start(config: Config) -> Result<(), Failed> {
    if !config.server {
        let why = "client agents come with the LAN pool; add -server, or use -dev";
        return Err(Failed::new("this agent cannot run yet", why));
    }
    let edge = runtime()?;
    let _pid = match &config.pid_file {
        Some(path) => Some(PidFile::create(path).map_err(|it| Failed::new("pid_file", it))?),
        None => None,
    };
    match &config.data_dir {
        Some(dir) if !config.dev => {
            let found = restore::open(dir, &config)?;
            let storage = FileStorage::new(dir);
            run_node(config, found, storage, &edge)
        }
        _ => {
            let (wal_events, events) = tokio::sync::mpsc::unbounded_channel();
            let wal = MemoryWal::new(wal_events);
            let found = Restored::nothing(&config, wal, events)?;
            run_node(config, found, NoStorage::default(), &edge)
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
    found: Restored<W>,
    storage: S,
    edge: &Runtime,
) -> Result<(), Failed> {
    let seed = entropy::draw().map_err(|it| Failed::new("no entropy", it))? as u64;
    let context = Arc::new(settings::context(&config));
    let settings = settings::node(&config, Arc::clone(&context), found.node_id, clock::wall());
    info!(
        node = config.node_name,
        id = %found.node_id,
        datacenter = config.datacenter,
        version = settings::VERSION,
        "Tribune agent running"
    );
    let ours = Preamble::new(settings.id.into(), &config.datacenter);
    let parts = Parts {
        wal: found.wal,
        wal_events: found.wal_events,
        storage,
        checks: RealChecks,
        net: TokioNet,
        rpc: Rpc::new(ours, settings::rpc(&config)),
        listeners: Vec::new(),
        seed,
        edge: edge.handle().clone(),
        context: Arc::clone(&context),
    };
    let listen = settings::rpc_listen(&config);
    let (node_thread, handle, stopped) = spawn(settings, found.core, listen, parts)?;
    let outcome = edge.block_on(serve(&config, context, seed, handle, stopped));
    // The node's thread ends with its driver, and the log's with it.
    let ended = node_thread.join();
    edge_error(outcome, ended.is_err())
}

/// Start the node in a thread of its own: a late heartbeat costs an election.
#[allow(clippy::type_complexity)] // Said once.
fn spawn<W: Wal + 'static, S: Storage>(
    settings: tribune_core::Config,
    restored: tribune_core::Restored,
    listen: Vec<(SocketAddr, &'static str)>,
    mut parts: Parts<W, S, RealChecks, TokioNet>,
) -> Result<(thread::JoinHandle<()>, NodeHandle, oneshot::Receiver<Stopped>), Failed> {
    let (started, handle) = oneshot::channel();
    let (ended, stopped) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|it| Failed::new("threads cannot be started", it))?;
    let thread = thread::Builder::new().name("node".into()).spawn(move || {
        runtime.block_on(async move {
            // Sockets belong to the runtime they are made in: what others say is heard here.
            match listen_rpc(&listen).await {
                Ok(listeners) => parts.listeners = listeners,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            }
            let node = Node::new(settings, restored, parts.seed, Instant::START);
            let (driver, handle) = Driver::new(node, Clock::start(), parts);
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

/// Listen for other servers at each address, which a key of the configuration decides.
async fn listen_rpc(addresses: &[(SocketAddr, &'static str)]) -> Result<Vec<TcpListener>, Failed> {
    let mut listeners = Vec::new();
    for (addr, key) in addresses {
        let listener = TokioNet.listen(*addr).await;
        let failed = |it| edge::cannot_listen("other servers", addr, key, &it);
        listeners.push(listener.map_err(failed)?);
        info!(address = %addr, "Listening for other servers");
    }
    Ok(listeners)
}

/// Answer until the node stops, or somebody says so.
async fn serve(
    config: &Config,
    context: Arc<tribune_api::plan::Context>,
    seed: u64,
    node: NodeHandle,
    mut stopped: oneshot::Receiver<Stopped>,
) -> Result<Stopped, Failed> {
    let (stop, stopping) = watch::channel(false);
    let signals = Signals::new().map_err(|it| Failed::new("signals", it));
    let edge = Edge::start(config, context, seed, &node, stopping).await;
    let started = signals.and_then(|signals| edge.map(|edge| (signals, edge)));
    let (mut signals, mut edge) = started.inspect_err(|_| node.stop())?;
    let watches = watches::start(config);
    let told = until_told(&mut signals, &mut stopped).await;
    // Nobody waits for our own.
    drop(watches);
    let why = match told {
        Some(why) => why,
        None => {
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
    let _ = stop.send(true);
    // What the node decided last goes out, to clients that take it.
    let _ = tokio::time::timeout(DRAIN_MAX, edge.drained()).await;
    why.map_err(|_| Failed::new("the node stopped", "its thread panicked; see above"))
}

/// Wait until a signal says to stop, or until the node has stopped by itself, and why.
async fn until_told(
    signals: &mut Signals,
    stopped: &mut oneshot::Receiver<Stopped>,
) -> Option<Result<Stopped, oneshot::error::RecvError>> {
    loop {
        tokio::select! {
            biased;
            why = &mut *stopped => return Some(why),
            signal = signals.next() => match signal {
                Signal::Interrupt | Signal::Terminate => {
                    info!(signal = signal.name(), "shutting down");
                    return None;
                }
                Signal::Hangup => warn!("reloading the configuration is not supported yet"),
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
