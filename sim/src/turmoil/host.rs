//! An agent in the simulator: the production driver and edges over simulated network and disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tribune_api::gate::Gate;
use tribune_api::plan::Context;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_core::config::Wan;
use tribune_core::{Area, Call, Client, Config, Node, Restored};
use tribune_io::clock::Clock;
use tribune_io::dns;
use tribune_io::driver::{Driver, Parts};
use tribune_io::gossip::Guard;
use tribune_io::handle::NodeHandle;
use tribune_io::http::{self, Api, Patience};
use tribune_io::net::Net as _;
use tribune_io::raft_log;
use tribune_io::rpc::{Limits, Preamble, Rpc};
use tribune_state::Store;

use super::checks::SimChecks;
use super::disk::{Disk, Found};
use super::net::TurmoilNet;
use super::zone::{DNS_PORT, Resolver, Zone};

/// Where simulated agents answer HTTP.
pub const HTTP_PORT: u16 = 8_500;

/// Where they listen for each other.
pub const RPC_PORT: u16 = 8_300;

/// Where they gossip.
pub const GOSSIP_PORT: u16 = 8_301;

/// Where servers gossip with those of other datacenters.
pub const WAN_PORT: u16 = 8_302;

/// What outlives a crash of a simulated agent, and what decides about it.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its name, on the network and in the catalog.
    pub name: String,
    /// What everything random in it follows from.
    pub seed: u64,
    /// What it stands on.
    pub disk: Disk,
    /// What it is connected with.
    pub net: TurmoilNet,
    /// How its checks come out.
    pub checks: SimChecks,
    /// Entries between two snapshots: few, so that a run sees many.
    pub snapshot_entries_max: u64,
    /// Entries kept behind a snapshot: few, so that those who lag need the snapshot.
    pub trailing_entries_max: u64,
    /// Its datacenter: `dc` and a number.
    pub datacenter: String,
    /// The names of all servers of its datacenter, this one's among them.
    pub servers: Vec<String>,
    /// The names of servers of other datacenters that it looks for, if there are any.
    pub elsewhere: Vec<String>,
    /// Whether it is a client agent.
    pub client: bool,
    /// How long a write may wait for a quorum.
    pub write_max: Duration,
    /// What it shows while it runs.
    pub shown: Shown,
}

/// What a running agent shows to whoever watches from outside.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Option<NodeHandle>>>);

impl Shown {
    /// Whether it leads.
    pub fn leads(&self) -> bool {
        self.lock().as_ref().is_some_and(|it| it.view().freshness.leads)
    }

    fn lock(&self) -> MutexGuard<'_, Option<NodeHandle>> {
        self.0.lock().expect("a simulation has one thread")
    }
}

impl Host {
    /// A server of the first datacenter, which is alone there.
    pub fn new(name: String, seed: u64) -> Self {
        let seed = Rng::stream(seed, &name).draw();
        Self {
            seed,
            disk: Disk::new(seed),
            net: TurmoilNet::default(),
            checks: SimChecks::default(),
            snapshot_entries_max: 64,
            trailing_entries_max: 16,
            datacenter: "dc1".into(),
            servers: vec![name.clone()],
            elsewhere: Vec::new(),
            client: false,
            write_max: Duration::from_secs(30),
            shown: Shown::default(),
            name,
        }
    }

    /// Run from the disk until the host crashes or the node stops.
    ///
    /// # Errors
    ///
    /// The node stopped by itself, or its state could not be read back.
    pub async fn run(mut self) -> turmoil::Result {
        self.net = self.net.at(turmoil::lookup(self.name.as_str()));
        let (events, wal_events) = mpsc::unbounded_channel();
        let (wal, storage, found) = self.disk.start(events);
        let restored = restored(found)?;
        let config = self.config();
        // A life has its own luck, and its own serial numbers.
        let seed = Rng::stream(self.seed, &format!("life {}", self.disk.life())).draw();

        let context = Arc::new(Context::new(&self.datacenter, &self.name));
        let mut listeners = vec![
            self.net.listen(everywhere(RPC_PORT)).await?,
            self.net.listen(everywhere(GOSSIP_PORT)).await?,
        ];
        let mut wan = None;
        if self.is_in_wan() {
            listeners.push(self.net.listen(everywhere(WAN_PORT)).await?);
            wan = Some((self.net.bind(everywhere(WAN_PORT)).await?, Guard::default()));
        }
        let parts = Parts {
            wal,
            wal_events,
            storage,
            checks: self.checks.clone(),
            net: self.net.clone(),
            rpc: Rpc::new(Preamble::new(config.id.into(), &config.datacenter), Limits::default()),
            listeners,
            gossip: self.net.bind(everywhere(GOSSIP_PORT)).await?,
            guard: Guard::default(),
            wan,
            seed,
            edge: Handle::current(),
            context: Arc::clone(&context),
            resolve: Arc::new(Resolver::new(seed, &self.datacenter)),
        };
        let (hold_max, write_max) = (config.hold_max, config.write_max);
        let agent = if self.client {
            Client::new(config, restored, seed, Instant::START).into()
        } else {
            Node::new(config, restored, seed, Instant::START).into()
        };
        let (driver, handle) = Driver::new(agent, Clock::start(), parts);
        *self.shown.lock() = Some(handle.clone());
        let zone = Arc::new(Zone::new(handle.clone(), self.client, &self.datacenter));
        let packets = self.net.bind(everywhere(DNS_PORT)).await?;
        tokio::spawn(dns::serve_udp(packets, zone, seed));
        if self.client {
            tokio::spawn(join(handle.clone(), Area::Lan, self.servers.clone()));
        } else if self.is_in_wan() {
            tokio::spawn(join(handle.clone(), Area::Wan, self.elsewhere.clone()));
        }
        let api = Arc::new(Api {
            node: handle,
            context,
            headers: Vec::new(),
            connections_per_client_max: Arc::default(),
            reloads: None,
            forwards: self
                .client
                .then_some(Patience { hold_max: hold_max + WAY, write_max: write_max + WAY }),
            join_port: GOSSIP_PORT,
            join_port_wan: WAN_PORT,
            gate: Gate::default(),
            date: false,
        });
        let listener = self.net.listen(everywhere(HTTP_PORT)).await?;
        let (_running, stop) = watch::channel(false);
        tokio::spawn(http::listen(listener, api, stop));
        Err(driver.run().await.into())
    }

    /// Crash it.
    pub fn crash(&self, sim: &mut turmoil::Sim<'_>) {
        self.net.crash();
        sim.crash(self.name.as_str());
        *self.shown.lock() = None;
    }

    const fn is_in_wan(&self) -> bool {
        !self.client && !self.elsewhere.is_empty()
    }

    /// Who it is, for ever.
    fn id(&self) -> NodeId {
        let number = |it: &str| it.trim_start_matches("dc").parse::<u128>().unwrap_or_default();
        let server = self.servers.iter().position(|it| *it == self.name);
        let digits = self.name.rsplit(|it: char| !it.is_ascii_digit()).next();
        let other = || digits.map_or(0, number) + 100;
        let own = server.map_or_else(other, |it| it as u128 + 1);
        NodeId(Uuid::from_entropy((number(&self.datacenter) - 1) * 1_000 + own))
    }

    /// The servers that this one looks for.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.servers.iter().filter(|_| 1 < self.servers.len() && !self.client)
    }

    fn config(&self) -> Config {
        let id = self.id();
        let raft = tribune_raft::Config {
            snapshot_entries_max: self.snapshot_entries_max,
            trailing_entries_max: self.trailing_entries_max,
            // Small enough for the simulated disk, and for a snapshot to take several pieces.
            append_bytes_max: 32 << 10,
            chunk_len_max: 1 << 10,
            chunk_window_max: 4 << 10,
            ..tribune_raft::Config::lan(1)
        };
        let address = |host: &String| format!("{host}:{RPC_PORT}");
        let ip = turmoil::lookup(self.name.as_str());
        let wan = self.is_in_wan().then(|| Wan {
            address: ip,
            port: WAN_PORT,
            gossip: tribune_gossip::Config::wan(),
            encryption: tribune_core::Encryption::Off,
        });
        Config {
            id,
            name: self.name.clone(),
            address: ip.to_string(),
            server_port: RPC_PORT,
            serf_lan_port: GOSSIP_PORT,
            encryption: tribune_core::Encryption::Off,
            wan,
            datacenter: self.datacenter.clone(),
            version: "0.0.0".into(),
            revision: String::new(),
            build_date: String::new(),
            shown: std::collections::BTreeMap::new(),
            context: Arc::new(Context::new(&self.datacenter, &self.name)),
            bootstrap_expect: if self.client { 0 } else { self.servers.len() as u64 },
            join: self.others().map(address).collect(),
            autopilot: tribune_state::Autopilot::default(),
            gossip: tribune_gossip::Config {
                reconnect_interval: Duration::from_secs(5),
                ..tribune_gossip::Config::lan(self.datacenter.as_str())
            },
            raft,
            agent: tribune_agent::Config::new(&self.name, id, &self.name),
            hold_max: Duration::from_secs(7),
            write_max: self.write_max,
            requests_max: 65_536,
            settle_max: Duration::from_millis(500),
            tombstone_ttl: Duration::from_secs(900),
            kv_replication: None,
            started: WallTime(1_700_000_000_000),
        }
    }
}

/// Who looks for others in a pool does so until there are some.
async fn join(node: NodeHandle, area: Area, others: Vec<String>) {
    let port = if area == Area::Lan { GOSSIP_PORT } else { WAN_PORT };
    let addr = |it: &String| SocketAddr::new(turmoil::lookup(it.as_str()), port);
    loop {
        let addrs = others.iter().map(addr).collect();
        let joined = node.call(Call::Join { area, addrs }).await;
        if joined.is_ok_and(|it| it.status == 200) {
            return;
        }
        tokio::time::sleep(JOIN_RETRY).await;
    }
}

/// How long the way to a server and back may take, as far as a client agent is concerned.
const WAY: Duration = Duration::from_secs(3);

/// How soon an agent tries again that has found nobody.
const JOIN_RETRY: Duration = Duration::from_secs(1);

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)
}

fn restored(found: Found) -> turmoil::Result<Restored> {
    let (meta, store) = match found.snapshot {
        Some((meta, chunks)) => (Some(meta), Store::restore(chunks)?),
        None => (None, Store::default()),
    };
    let files = found.files.into_iter().map(|(name, bytes)| tribune_agent::PersistedFile {
        name,
        bytes,
        age: Duration::ZERO,
    });
    Ok(Restored {
        store,
        raft: raft_log::restored(&found.log, meta)?,
        recover: None,
        files: files.collect(),
        services: Vec::new(),
        checks: Vec::new(),
    })
}
