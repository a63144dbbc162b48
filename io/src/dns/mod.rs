//! DNS at the edge: packets in, packets out, and in between a pure function of the catalog.
//!
//! ```text
//!   udp ──┐                                      ┌── encode <── Answer <──┐
//!         ├──> wire::Responder::respond ──decode─┤                        │ tribune_api::dns
//!   tcp ──┘                                      └─────────── Question ───┘
//! ```
//!
//! A question never crosses to the node's thread: it is answered on the task of the socket it came
//! in by, from the newest snapshot that [`Source`] has.
//!
//! # Where to start reading
//!
//! [`Responder::respond`] is what happens to a packet, whatever it came in by.

mod encode;
mod tcp;
mod udp;
mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::task::JoinSet;
use tribune_api::coordinate::Places;
use tribune_api::dns::{Config, Elsewhere, Rcode};
use tribune_api::error::Error;
use tribune_api::http::{OwnedRequest, Response};
use tribune_api::plan::{Consistency, Query, Read, Remote};
use tribune_api::prepared::{Asker, Execution, Rows};
use tribune_base::id::Index;
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_core::{Call, View};
use tribune_state::Snapshot;

pub use self::wire::{Responder, Transport};
use self::wire::{datacenter, refuse};
use crate::handle::NodeHandle;
use crate::net::{Listener as _, Net, Udp};

/// Where answers come from.
pub trait Source: Send + Sync + 'static {
    /// The newest state there is. `None`: no leader is known, and stale answers are not allowed.
    fn snapshot(&self) -> Option<Snapshot>;

    /// Where nodes are, as far as that is known.
    fn places(&self) -> Arc<Places>;

    /// The settings that hold now.
    fn config(&self) -> Arc<Config>;

    /// Seconds since 1970: the zone's serial number.
    fn now_unix(&self) -> u64;

    /// Where requests are passed on to, if there is no state here: a client agent's node.
    fn forwards_to(&self) -> Option<&NodeHandle> {
        None
    }

    /// Who asks other datacenters, if anybody does: a server's node.
    fn asks_across(&self) -> Option<&NodeHandle> {
        None
    }
}

/// The settings in force: shared by all who answer, and replaced by whoever reads the configuration
/// again.
#[derive(Clone, Debug)]
pub struct Settings(Arc<ArcSwap<Config>>);

impl Settings {
    /// These, to begin with.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(config)))
    }

    /// Those that hold now.
    pub fn get(&self) -> Arc<Config> {
        self.0.load_full()
    }

    /// From now on these hold.
    pub fn set(&self, config: Config) {
        self.0.store(Arc::new(config));
    }
}

/// The catalog at one moment.
#[derive(Debug)]
pub struct Moment {
    snapshot: Option<Snapshot>,
    places: Arc<Places>,
    config: Arc<Config>,
    now_unix: u64,
}

impl Moment {
    /// What `view` shows at `now`, which is `now_unix` in seconds since 1970; nothing, if it is not
    /// fresh and may not be stale.
    pub fn new(view: &View, (now, now_unix): (Instant, u64), config: Arc<Config>) -> Self {
        let (snapshot, places) = (fresh(view, now, config.allow_stale), Arc::clone(&view.places));
        Self { snapshot, places, config, now_unix }
    }
}

impl Source for Moment {
    fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.clone()
    }

    fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn now_unix(&self) -> u64 {
        self.now_unix
    }
}

/// What DNS may be answered from that `view` shows at `now`.
pub fn fresh(view: &View, now: Instant, allow_stale: bool) -> Option<Snapshot> {
    let fresh = view.satisfies(now, Consistency::Default, None)
        || allow_stale && view.satisfies(now, Consistency::Stale, None);
    fresh.then(|| view.snapshot.clone())
}

/// What another agent answers to `packet`, which came from `from`. Empty, if nothing is to be said.
async fn forward(
    node: &NodeHandle,
    packet: Bytes,
    transport: Transport,
    from: IpAddr,
    config: Arc<Config>,
) -> Bytes {
    let unavailable = refuse(&packet, Rcode::ServFail);
    let datacenter = datacenter(&packet, &config);
    let mut request = OwnedRequest::dns(packet, transport == Transport::Tcp, Some(from));
    request.asker.afar = config.translate_wan_addrs;
    request.asker.zone = Some(config);
    let request = request.of_datacenter(datacenter.as_deref());
    let asked = Call::Forward { request, changes: false, patience: FORWARD_MAX };
    match node.call(asked).await {
        Ok(response) if response.status == 200 => response.body,
        Ok(_) | Err(_) => unavailable.into(),
    }
}

/// The answer to a packet that needs what other datacenters know, or `unknown` if there are none that
/// do.
async fn ask_across<S: Source>(
    source: &Arc<S>,
    (packet, transport, asker): (Bytes, Transport, &Asker),
    elsewhere: Elsewhere,
    unknown: Bytes,
) -> Bytes {
    let Some(node) = source.asks_across() else { return unknown };
    match elsewhere {
        Elsewhere::Datacenter(datacenter) => {
            let unavailable = refuse(&packet, Rcode::ServFail);
            let mut request = OwnedRequest::dns(packet, transport == Transport::Tcp, asker.ip);
            let config = source.config();
            request.asker.afar = config.translate_wan_addrs;
            request.asker.zone = Some(config);
            let there = Remote { datacenter, changes: false, wait: Duration::ZERO };
            match node.call(Call::Across { request, there }).await {
                Ok(response) if response.status == 200 => response.body,
                Ok(response) if response == Response::from(Error::NoPathToDatacenter) => unknown,
                Ok(_) | Err(_) => unavailable.into(),
            }
        }
        Elsewhere::Query(execution) => {
            let Some(found) = find(node, execution).await else { return unknown };
            let mut responder = Responder::new(Arc::clone(source), node.draw());
            let mut response = Vec::new();
            responder.respond(&packet, transport, asker, Some(&found), &mut response);
            response.into()
        }
    }
}

/// What a prepared query finds in any datacenter. `None` if that cannot be said.
pub(crate) async fn find(node: &NodeHandle, execution: Box<Execution>) -> Option<Rows> {
    let read = Read {
        consistency: execution.consistency,
        query: Query::ExecuteQuery(execution),
        max_stale: None,
        min_index: Index(0),
        wait: Duration::ZERO,
        pretty: false,
    };
    let response = node.call(Call::Read { read, seen: None }).await.ok()?;
    Rows::decode(response.body).ok().filter(|_| response.status == 200)
}

/// How long a request that is passed on may take: clients have asked again by then.
const FORWARD_MAX: Duration = Duration::from_secs(5);

/// Requests of one socket that are passed on at once. More are lost.
const FORWARDS_MAX: usize = 1_024;

/// A running DNS server. It stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Answer at `addr`, over TCP and on `sockets` sockets over UDP: the kernel spreads packets over
    /// them, so one for each core is right. Port zero means any that is free.
    ///
    /// # Errors
    ///
    /// The address cannot be listened at.
    pub async fn start<N: Net, S: Source>(
        net: &N,
        addr: SocketAddr,
        sockets: usize,
        source: Arc<S>,
        seed: u64,
    ) -> io::Result<Self> {
        let mut rng = Rng::stream(seed, "dns");
        let mut responder = || Responder::new(Arc::clone(&source), rng.draw());
        let first = net.bind(addr).await?;
        let addr = first.local_addr()?;
        let listener = net.listen(addr).await?;

        let mut tasks = JoinSet::new();
        tasks.spawn(udp::serve(first, responder()));
        for _ in 1..sockets {
            tasks.spawn(udp::serve(net.bind(addr).await?, responder()));
        }
        tasks.spawn(tcp::serve(listener, Arc::clone(&source), rng.draw()));
        Ok(Self { addr, _tasks: tasks })
    }

    /// Answer at `addr` over TCP only: for who answers packets elsewhere, with [`serve_udp`].
    ///
    /// # Errors
    ///
    /// The address cannot be listened at.
    pub async fn start_tcp<N: Net, S: Source>(
        net: &N,
        addr: SocketAddr,
        source: Arc<S>,
        seed: u64,
    ) -> io::Result<Self> {
        let listener = net.listen(addr).await?;
        let addr = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(tcp::serve(listener, source, seed));
        Ok(Self { addr, _tasks: tasks })
    }

    /// Where it answers.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Answer what comes in by `socket`, for ever. In a thread of its own, with a runtime of its own,
/// no packet waits for another thread to be woken.
pub async fn serve_udp<U: Udp, S: Source>(socket: U, source: Arc<S>, seed: u64) {
    if source.forwards_to().is_some() {
        return udp::pass_on(socket, source).await;
    }
    udp::serve(socket, Responder::new(source, seed)).await;
}
