//! Where clients connect.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::net::UnixListener;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tracing::info;
use tribune_api::coordinate::Places;
use tribune_api::dns;
use tribune_api::plan::Context;
use tribune_api::prepared::Asker;
use tribune_base::rng::Rng;
use tribune_base::time::Instant;
use tribune_core::View;
use tribune_io::dns::{self as dns_server, Moment, Server as DnsServer, Settings, Source};
use tribune_io::driver::Resolve;
use tribune_io::handle::NodeHandle;
use tribune_io::http::{self, Api, Reloads};
use tribune_io::net::{Net as _, TokioNet};
use tribune_io::{clock, storage};
use tribune_state::Snapshot;

use super::reload::Live;
use super::{Failed, settings};
use crate::config::{Config, Listen};

/// Everything that listens.
#[derive(Debug)]
pub(super) struct Edge {
    http: JoinSet<()>,
    _dns: Vec<DnsServer>,
}

impl Edge {
    /// Listen wherever the configuration says.
    pub(super) async fn start(
        config: &Config,
        context: Arc<Context>,
        seed: u64,
        node: &NodeHandle,
        (live, reloads): (&Live, Reloads),
        stop: watch::Receiver<bool>,
    ) -> Result<Self, Failed> {
        let mut headers: Vec<_> = config.http.response_headers.clone().into_iter().collect();
        if context.translate_wan_addrs {
            headers.push(("X-Consul-Translate-Addresses".to_owned(), "true".to_owned()));
        }
        let api = Arc::new(Api {
            node: node.clone(),
            context,
            headers,
            gate: config.http.gate.clone(),
            connections_per_client_max: Arc::clone(&live.http_connections_max),
            reloads: Some(reloads),
            forwards: (!config.server).then(|| settings::patience(config)),
            join_port: config.ports.serf_lan,
            join_port_wan: config.ports.serf_wan.unwrap_or(WAN_PORT),
            date: true,
        });
        let mut http = JoinSet::new();
        for listen in &config.http_listen {
            listen_http(listen, &api, &stop, &mut http).await?;
        }
        let catalog = Arc::new(Catalog {
            node: node.clone(),
            settings: live.dns.clone(),
            forwards: !config.server,
        });
        let mut rng = Rng::stream(seed, "edge");
        let sockets = thread::available_parallelism().map_or(1, usize::from);
        let mut dns = Vec::new();
        for addr in &config.dns_listen {
            let failed = |it: io::Error| cannot_listen("DNS", addr, "ports.dns", &it);
            let source = Arc::clone(&catalog);
            let tcp = DnsServer::start_tcp(&TokioNet, *addr, source, rng.draw()).await;
            dns.push(tcp.map_err(failed)?);
            for _ in 0..sockets {
                let source = Arc::clone(&catalog);
                answer_packets(*addr, source, rng.draw()).await.map_err(failed)?;
            }
            info!(address = %addr, "Started DNS server");
        }
        Ok(Self { http, _dns: dns })
    }

    /// Wait until every client that was being answered has its answer.
    pub(super) async fn drained(&mut self) {
        while self.http.join_next().await.is_some() {}
    }
}

/// Answer packets at `addr` in a thread of its own, for as long as the process lives. The kernel
/// spreads packets over all sockets of an address.
async fn answer_packets(addr: SocketAddr, source: Arc<Catalog>, seed: u64) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (bound, result) = oneshot::channel();
    thread::Builder::new().name("dns".into()).spawn(move || {
        runtime.block_on(async move {
            match TokioNet.bind(addr).await {
                Ok(socket) => {
                    // Nobody listens if the agent stops at this very moment.
                    let _ = bound.send(Ok(()));
                    dns_server::serve_udp(socket, source, seed).await;
                }
                Err(error) => _ = bound.send(Err(error)),
            }
        });
    })?;
    result.await.unwrap_or_else(|_| Err(io::Error::other("the thread ended")))
}

async fn listen_http(
    listen: &Listen,
    api: &Arc<Api>,
    stop: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) -> Result<(), Failed> {
    let (api, stop) = (Arc::clone(api), stop.clone());
    match listen {
        Listen::Tcp(addr) => {
            let listener = TokioNet.listen(*addr).await;
            let listener = listener.map_err(|it| cannot_listen("HTTP", addr, "ports.http", &it))?;
            tasks.spawn(http::listen(listener, api, stop));
            info!(address = %addr, "Started HTTP server");
        }
        Listen::Unix(path) => {
            let listener = bind_unix(path)?;
            tasks.spawn(http::listen(listener, api, stop));
            info!(address = %path.display(), "Started HTTP server");
        }
    }
    Ok(())
}

/// Listen at `path`, in place of a socket that an earlier process left behind.
fn bind_unix(path: &Path) -> Result<UnixListener, Failed> {
    let failed = |it| Failed::new(format!("cannot listen at {}", path.display()), it);
    storage::remove(path).map_err(failed)?;
    UnixListener::bind(path).map_err(failed)
}

/// Somebody else listens there, most likely.
pub(super) fn cannot_listen(
    what: &str,
    addr: &SocketAddr,
    key: &str,
    why: &dyn std::fmt::Display,
) -> Failed {
    Failed::new(
        format!("cannot listen for {what} at {addr}"),
        format!("{why}. Stop whoever listens there, or choose another port with {key}"),
    )
}

/// The catalog, as DNS sees it.
#[derive(Debug)]
struct Catalog {
    node: NodeHandle,
    settings: Settings,
    /// Whether it is servers that know the catalog.
    forwards: bool,
}

impl Source for Catalog {
    fn snapshot(&self) -> Option<Snapshot> {
        dns_server::fresh(&self.node.view(), self.node.now(), self.settings.get().allow_stale)
    }

    fn places(&self) -> Arc<Places> {
        Arc::clone(&self.node.view().places)
    }

    fn config(&self) -> Arc<dns::Config> {
        self.settings.get()
    }

    fn now_unix(&self) -> u64 {
        now_unix()
    }

    fn forwards_to(&self) -> Option<&NodeHandle> {
        self.forwards.then_some(&self.node)
    }

    fn asks_across(&self) -> Option<&NodeHandle> {
        (!self.forwards).then_some(&self.node)
    }
}

/// Answers what client agents pass on.
#[derive(Debug)]
pub(super) struct Resolver {
    settings: Settings,
    rng: Mutex<Rng>,
}

impl Resolver {
    pub(super) fn new(settings: Settings, seed: u64) -> Self {
        Self { settings, rng: Mutex::new(Rng::stream(seed, "resolver")) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, view: &View, now: Instant, asker: &Asker) -> (Moment, u64) {
        let mut config = self.settings.get();
        if asker.afar || asker.zone.is_some() {
            let zone = asker.zone.as_ref().unwrap_or(&config);
            config = Arc::new(dns::Config { afar: asker.afar, ..zone.answered_by(&config) });
        }
        let moment = Moment::new(view, (now, now_unix()), config);
        (moment, self.rng.lock().unwrap_or_else(PoisonError::into_inner).draw())
    }
}

/// Where others are where all datacenters meet, as far as this agent knows that has no place there.
const WAN_PORT: u16 = 8_302;

/// Seconds since 1970.
fn now_unix() -> u64 {
    clock::wall().0 / 1_000
}
