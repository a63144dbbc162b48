//! An agent in the simulator: the production driver and edges over simulated network and disk.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tribune_api::plan::Context;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant, WallTime};
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
const GOSSIP_PORT: u16 = 8_301;

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
    /// The names of all servers, this one's among them.
    pub servers: Vec<String>,
    /// Whether it is a client agent.
    pub client: bool,
}

impl Host {
    /// Run from the disk until the host crashes or the node stops.
    ///
    /// # Errors
    ///
    /// The node stopped by itself, or its state could not be read back.
    pub async fn run(self) -> turmoil::Result {
        let (events, wal_events) = mpsc::unbounded_channel();
        let (wal, storage, found) = self.disk.start(events);
        let restored = restored(found)?;
        let config = self.config();
        // A life has its own luck, and its own serial numbers.
        let seed = Rng::stream(self.seed, &format!("life {}", self.disk.life())).draw();

        let context = Arc::new(Context::new("dc1", &self.name));
        let parts = Parts {
            wal,
            wal_events,
            storage,
            checks: self.checks.clone(),
            net: self.net.clone(),
            rpc: Rpc::new(Preamble::new(config.id.into(), &config.datacenter), Limits::default()),
            listeners: vec![
                self.net.listen(everywhere(RPC_PORT)).await?,
                self.net.listen(everywhere(GOSSIP_PORT)).await?,
            ],
            gossip: self.net.bind(everywhere(GOSSIP_PORT)).await?,
            guard: Guard::default(),
            wan: None,
            seed,
            edge: Handle::current(),
            context: Arc::clone(&context),
            resolve: Arc::new(Resolver::new(seed)),
        };
        let (hold_max, write_max) = (config.hold_max, config.write_max);
        let agent = if self.client {
            Client::new(config, restored, seed, Instant::START).into()
        } else {
            Node::new(config, restored, seed, Instant::START).into()
        };
        let (driver, handle) = Driver::new(agent, Clock::start(), parts);
        let zone = Arc::new(Zone { node: handle.clone(), forwards: self.client });
        let packets = self.net.bind(everywhere(DNS_PORT)).await?;
        tokio::spawn(dns::serve_udp(packets, zone, seed));
        if self.client {
            tokio::spawn(join(handle.clone(), self.servers.clone()));
        }
        let api = Arc::new(Api {
            node: handle,
            context,
            headers: Vec::new(),
            connections_per_client_max: Arc::default(),
            reloads: None,
            forwards: self.client.then_some(Patience { hold_max, write_max }),
            join_port: GOSSIP_PORT,
            join_port_wan: 8_302,
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
    }

    /// The servers that this one looks for.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.servers.iter().filter(|_| 1 < self.servers.len() && !self.client)
    }

    fn config(&self) -> Config {
        let number = self.servers.iter().position(|it| *it == self.name);
        let digits = self.name.trim_start_matches(|it: char| !it.is_ascii_digit());
        let other = || digits.parse::<u128>().unwrap_or_default() + 100;
        let id = NodeId(Uuid::from_entropy(number.map_or_else(other, |it| it as u128 + 1)));
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
        Config {
            id,
            name: self.name.clone(),
            address: turmoil::lookup(self.name.as_str()).to_string(),
            server_port: RPC_PORT,
            serf_lan_port: GOSSIP_PORT,
            encryption: tribune_core::Encryption::Off,
            wan: None,
            datacenter: "dc1".into(),
            version: "0.0.0".into(),
            revision: String::new(),
            build_date: String::new(),
            shown: std::collections::BTreeMap::new(),
            context: Arc::new(Context::new("dc1", &self.name)),
            bootstrap_expect: if self.client { 0 } else { self.servers.len() as u64 },
            join: self.others().map(address).collect(),
            autopilot: tribune_state::Autopilot::default(),
            gossip: tribune_gossip::Config {
                reconnect_interval: Duration::from_secs(5),
                ..tribune_gossip::Config::lan("dc1")
            },
            raft,
            agent: tribune_agent::Config::new(&self.name, id, &self.name),
            hold_max: Duration::from_secs(7),
            write_max: Duration::from_secs(30),
            requests_max: 65_536,
            settle_max: Duration::from_millis(500),
            tombstone_ttl: Duration::from_secs(900),
            kv_replication: None,
            started: WallTime(1_700_000_000_000),
        }
    }
}

/// A client agent looks for servers until there are some.
async fn join(node: NodeHandle, servers: Vec<String>) {
    let addr = |it: &String| SocketAddr::new(turmoil::lookup(it.as_str()), GOSSIP_PORT);
    loop {
        let addrs = servers.iter().map(addr).collect();
        let joined = node.call(Call::Join { area: Area::Lan, addrs }).await;
        if joined.is_ok_and(|it| it.status == 200) {
            return;
        }
        tokio::time::sleep(JOIN_RETRY).await;
    }
}

/// How soon a client agent tries again that has found nobody.
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
