//! The configuration that an agent runs with: every default filled in, every address resolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tribune_api::gate::Gate;
use tribune_base::id::NodeId;
use tribune_core::config::KvReplication;
use tribune_io::gossip::Key;

use super::schema::Setting;

/// A configuration that makes sense. There is no other kind: [`Sources::build`](super::Sources::build)
/// is the only way to get one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Development mode: nothing is kept on disk, everything is quick and talkative.
    pub dev: bool,
    /// What this agent is called. The host's name unless told otherwise.
    pub node_name: String,
    /// Who this agent is. `None` means: the one in the data directory, or a new one.
    pub node_id: Option<NodeId>,
    /// Whether a new node id is random rather than derived from the host.
    pub disable_host_node_id: bool,
    /// What the catalog says about this node, beyond its address.
    pub node_meta: BTreeMap<String, String>,
    /// Extra addresses of this node in the catalog.
    pub tagged_addresses: BTreeMap<String, String>,
    /// The datacenter this agent is in, in lower case.
    pub datacenter: String,
    /// The datacenter that owns what all share. This one unless told otherwise.
    pub primary_datacenter: String,
    /// Where the state lives. `None` in development mode, which keeps none.
    pub data_dir: Option<PathBuf>,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,

    /// Whether this agent is a server rather than a client.
    pub server: bool,
    /// How many servers to wait for before the first election; 0 to wait for an existing cluster,
    /// 1 to start one alone (which is also what `bootstrap = true` says).
    pub bootstrap_expect: u32,

    /// Where the agent talks to other agents. May be unspecified (all interfaces).
    pub bind_addr: IpAddr,
    /// Where other agents of the datacenter reach this one. Never unspecified.
    pub advertise_addr: IpAddr,
    /// Where servers of other datacenters reach this one. Never unspecified.
    pub advertise_addr_wan: IpAddr,
    /// Whether clients are told the addresses that nodes of other datacenters have for us.
    pub translate_wan_addrs: bool,
    /// Where the LAN pool listens. [`bind_addr`](Self::bind_addr) unless told otherwise.
    pub serf_lan_addr: IpAddr,
    /// Where the WAN pool listens. [`bind_addr`](Self::bind_addr) unless told otherwise.
    pub serf_wan_addr: IpAddr,
    /// Where clients connect, unless `addresses` names a place for one protocol.
    pub client_addrs: Vec<IpAddr>,
    /// Who listens where.
    pub ports: Ports,
    /// Where to answer DNS. Empty if it is off.
    pub dns_listen: Vec<SocketAddr>,
    /// Where to answer HTTP. Empty if it is off.
    pub http_listen: Vec<Listen>,

    /// Whom to join, and how patiently.
    pub join: Join,
    /// What a signal means, and how long leaving may take.
    pub leave: Leave,
    /// How consensus is timed and how long its log grows.
    pub raft: Raft,
    /// Keys that are kept as another datacenter has them, if any are.
    pub kv_replication: Option<KvReplication>,
    /// The first settings of a new cluster's autopilot.
    pub autopilot: Autopilot,
    /// How fast the LAN pool gossips.
    pub gossip_lan: Gossip,
    /// How fast the WAN pool gossips.
    pub gossip_wan: Gossip,
    /// How gossip is kept from strangers.
    pub encrypt: Encrypt,
    /// What is written to the log.
    pub log: Log,
    /// DNS answers.
    pub dns: Dns,
    /// HTTP answers.
    pub http: Http,
    /// The web interface.
    pub ui: Ui,
    /// What clients may ask for.
    pub limits: Limits,
    /// Health checks in general.
    pub check: Check,

    /// How long a blocking query waits that does not say.
    pub default_query_time: Duration,
    /// The longest a blocking query may wait.
    pub max_query_time: Duration,
    /// How stale a default read through DNS and prepared queries may be.
    pub discovery_max_stale: Duration,
    /// How long a request waits for a leader.
    pub rpc_hold_timeout: Duration,
    /// The shortest time to live a session may have.
    pub session_ttl_min: Duration,
    /// Whether node coordinates are switched off.
    pub disable_coordinates: bool,
    /// Whether diagnostic endpoints are served.
    pub enable_debug: bool,

    /// Service definitions (`service` and `services`), unparsed.
    pub services: Vec<Definition>,
    /// Check definitions (`check` and `checks`), unparsed.
    pub checks: Vec<Definition>,
    /// Watches (`watches`), unparsed.
    pub watches: Vec<Definition>,
    /// What the sources say about that which stays as it is while the agent runs.
    pub(crate) fixed: BTreeMap<&'static str, Setting>,
    /// Keys that the original knows and this version does not honour. The agent warns about each.
    pub unsupported: Vec<Unsupported>,
    /// What is legal, but probably not meant. The agent warns about each.
    pub warnings: Vec<String>,
}

impl Config {
    /// The keys whose new values in `newer` take a restart.
    pub fn needing_restart(&self, newer: &Self) -> Vec<&'static str> {
        let paths: BTreeSet<_> = self.fixed.keys().chain(newer.fixed.keys()).copied().collect();
        let changed = |it: &&str| self.fixed.get(it) != newer.fixed.get(it);
        paths.into_iter().filter(changed).collect()
    }

    /// What to tell an operator at the start, in the original's form.
    pub fn summary(&self) -> String {
        let port = |it: Option<u16>| it.map_or(-1, i32::from);
        let segment = if self.server { "<all>" } else { "" };
        let clients: Vec<_> = self.client_addrs.iter().map(IpAddr::to_string).collect();
        let ports = format!("HTTP: {}, DNS: {}", port(self.ports.http), port(self.ports.dns));
        let (lan, wan) = (self.ports.serf_lan, port(self.ports.serf_wan));
        let rows = [
            ("Version", format!("'{}'", env!("CARGO_PKG_VERSION"))),
            ("Node name", format!("'{}'", self.node_name)),
            ("Datacenter", format!("'{}' (Segment: '{segment}')", self.datacenter)),
            ("Server", format!("{} (Bootstrap: {})", self.server, self.bootstrap_expect == 1)),
            ("Client Addr", format!("[{}] ({ports})", clients.join(" "))),
            ("Cluster Addr", format!("{} (LAN: {lan}, WAN: {wan})", self.advertise_addr)),
        ];
        rows.map(|(name, value)| format!("{name:>18}: {value}")).join("\n")
    }
}

/// How gossip is kept from strangers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Encrypt {
    /// The first key of each pool. One that is kept on disk counts more.
    pub key: Option<Key>,
    /// Whether messages in the clear are dropped. Off while a pool is being encrypted.
    pub verify_incoming: bool,
    /// Whether no message is sent in the clear. Off while a pool is being encrypted.
    pub verify_outgoing: bool,
    /// Whether keys are kept on disk. Not so in development mode.
    pub keyring_file: bool,
}

/// One place to listen.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Listen {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// Ports. `None` is off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// DNS, over UDP and TCP.
    pub dns: Option<u16>,
    /// The HTTP API.
    pub http: Option<u16>,
    /// Requests between agents.
    pub server: u16,
    /// Gossip inside the datacenter.
    pub serf_lan: u16,
    /// Gossip between datacenters.
    pub serf_wan: Option<u16>,
}

/// Whom to join. Addresses are `host`, `host:port` or a cloud provider's `provider=…` text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Join {
    /// Tried once at the start; failure is fatal.
    pub start_join: Vec<String>,
    /// Tried once at the start in the WAN pool; failure is fatal.
    pub start_join_wan: Vec<String>,
    /// Tried until one answers.
    pub retry_join: Vec<String>,
    /// Tried until one answers, in the WAN pool.
    pub retry_join_wan: Vec<String>,
    /// Between two tries.
    pub retry_interval: Duration,
    /// Between two tries in the WAN pool.
    pub retry_interval_wan: Duration,
    /// How many tries; 0 is no limit.
    pub retry_max: u32,
    /// How many tries in the WAN pool; 0 is no limit.
    pub retry_max_wan: u32,
    /// Whether to join again after having left.
    pub rejoin_after_leave: bool,
    /// How long a failed member is remembered. `None` is the pool's own default.
    pub reconnect_timeout: Option<Duration>,
    /// How long a failed member of the WAN pool is remembered.
    pub reconnect_timeout_wan: Option<Duration>,
}

/// What a signal means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leave {
    /// Whether SIGTERM leaves the cluster first. Clients do, servers do not.
    pub on_terminate: bool,
    /// Whether SIGINT just stops. Servers do, clients do not.
    pub skip_on_interrupt: bool,
    /// How long a leaving server goes on answering.
    pub drain_time: Duration,
}

/// How consensus is timed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Raft {
    /// Scales every timing; 1 to 10, higher is more patient.
    pub multiplier: u32,
    /// Log entries before a snapshot is taken.
    pub snapshot_threshold: u64,
    /// How often to look whether a snapshot is due.
    pub snapshot_interval: Duration,
    /// Log entries kept behind a snapshot, for followers that lag.
    pub trailing_logs: u64,
}

/// What autopilot starts with when the cluster has no settings yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Autopilot {
    /// Whether dead servers are removed when a new one replaces them.
    pub cleanup_dead_servers: bool,
    /// A server silent for longer is unhealthy.
    pub last_contact_threshold: Duration,
    /// A server this many entries behind is unhealthy.
    pub max_trailing_logs: u64,
    /// Never fewer voters than this by cleaning up.
    pub min_quorum: u32,
    /// How long a new server must be healthy before it votes.
    pub server_stabilization_time: Duration,
}

/// One pool's pace. `None` is the pool's own default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Gossip {
    /// Between two rounds of gossip.
    pub gossip_interval: Option<Duration>,
    /// Members told in each round.
    pub gossip_nodes: Option<u32>,
    /// Between two probes.
    pub probe_interval: Option<Duration>,
    /// How long a probe may take.
    pub probe_timeout: Option<Duration>,
    /// How often a message is passed on, times the logarithm of the pool's size.
    pub retransmit_mult: Option<u32>,
    /// How long a suspect may refute, in probe intervals times that logarithm.
    pub suspicion_mult: Option<u32>,
}

/// How much is written to the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names of the configuration.
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// What is written to the log, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// The least important messages to write.
    pub level: Level,
    /// Whether each line is a JSON object.
    pub json: bool,
}

/// DNS answers. The field names are those of `dns_config`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dns {
    /// The zone, in lower case and without dots at its ends.
    pub domain: String,
    /// A second zone with the same content.
    pub alt_domain: Option<String>,
    /// Who answers for names outside the zones.
    pub recursors: Vec<SocketAddr>,
    /// Whether recursors are tried in a random order.
    pub recursors_random: bool,
    /// How long one recursor may take.
    pub recursor_timeout: Duration,
    /// Whether any server may answer.
    pub allow_stale: bool,
    /// How stale such an answer may be.
    pub max_stale: Duration,
    /// The most A and AAAA records of one answer; 0 is no limit.
    pub a_record_limit: usize,
    /// The most answers in a UDP packet without EDNS.
    pub udp_answer_limit: usize,
    /// Whether names are written out in full.
    pub disable_compression: bool,
    /// Whether a shortened answer says so.
    pub enable_truncate: bool,
    /// Whether warnings count as failures.
    pub only_passing: bool,
    /// The time to live of node answers.
    pub node_ttl: Duration,
    /// The time to live of service answers: by name, by prefix ending in `*`, `*` for all.
    pub service_ttl: BTreeMap<String, Duration>,
    /// Whether node metadata is in the additional section.
    pub enable_additional_node_meta_txt: bool,
    /// Whether answers may come from the agent's cache.
    pub use_cache: bool,
    /// How old such an answer may be.
    pub cache_max_age: Duration,
    /// The zone's start of authority.
    pub soa: Soa,
}

/// Times of the start of authority, in seconds (RFC 1035, section 3.3.13).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the RFC.
pub struct Soa {
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub min_ttl: u32,
}

/// HTTP answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Http {
    /// Headers that every response carries.
    pub response_headers: BTreeMap<String, String>,
    /// Who may ask for what.
    pub gate: Gate,
    /// The longest a request's head may be, in bytes.
    pub max_header_bytes: usize,
    /// Whether JSON is indented unless asked otherwise. So in development mode.
    pub pretty: bool,
    /// Who owns Unix sockets, and who may use them.
    pub unix_socket: UnixSocket,
}

/// Who owns a Unix socket. `None` leaves it as the system creates it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct UnixSocket {
    /// A user's number or name.
    pub user: Option<String>,
    /// A group's number or name.
    pub group: Option<String>,
    /// Permission bits.
    pub mode: Option<u32>,
}

/// The web interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ui {
    /// Whether it is served. So in development mode.
    pub enabled: bool,
    /// Assets from here instead of the built-in ones.
    pub dir: Option<PathBuf>,
    /// Under which path, with a slash at both ends.
    pub content_path: String,
}

/// What clients may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections to the HTTP API from one address. 0 is no limit.
    pub http_max_conns_per_client: usize,
    /// Connections between agents from one address. 0 is no limit.
    pub rpc_max_conns_per_client: usize,
    /// How long a connection between agents may take to say what it is. Zero is no limit.
    pub rpc_handshake_timeout: Duration,
    /// The longest value of a key, in bytes.
    pub kv_max_value_size: usize,
    /// The longest body of a transaction, in bytes.
    pub txn_max_req_len: usize,
}

/// Who may define checks that run programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScriptChecks {
    /// Nobody.
    Disabled,
    /// Configuration files may, the HTTP API may not.
    Local,
    /// Whoever may register a check.
    Enabled,
}

/// Health checks in general.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Check {
    /// Who may define checks that run programs.
    pub scripts: ScriptChecks,
    /// How long a change of output alone may stay unpublished.
    pub update_interval: Duration,
    /// Bytes of output that are kept.
    pub output_max_size: usize,
    /// Whether output is thrown away.
    pub discard_output: bool,
}

/// A service or check definition as somebody wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Where it is written: a path, or `command line`.
    pub origin: String,
    /// An object.
    pub value: Value,
}

/// A key that the original knows and this version does not honour.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unsupported {
    /// Where it is written: a path, or `command line`.
    pub origin: String,
    /// Its path, with dots.
    pub key: String,
    /// Whether ignoring it leaves something open that somebody wanted closed.
    pub security: bool,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, security } = self;
        let consequence = if *security { ": WHAT IT PROTECTS IS NOT PROTECTED" } else { "" };
        write!(f, "{key} is not supported yet and has no effect{consequence} ({origin})")
    }
}
