//! From the configuration to what the parts of an agent are told.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tribune_agent::{Capabilities, ScriptChecks as Scripts};
use tribune_api::dns;
use tribune_api::plan::Context;
use tribune_base::hcl::Value;
use tribune_base::id::NodeId;
use tribune_base::time::{Duration, WallTime};
use tribune_core::Encryption;
use tribune_core::config::Wan;
use tribune_io::http::Patience;
use tribune_io::rpc::Limits;
use tribune_state::Autopilot;

use crate::config::{Config, Gossip, ScriptChecks};

/// The release.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the node is told.
pub(super) fn node(
    config: &Config,
    context: Arc<Context>,
    id: NodeId,
    encryption: (Encryption, Encryption),
    started: WallTime,
) -> tribune_core::Config {
    tribune_core::Config {
        id,
        name: config.node_name.clone(),
        address: config.advertise_addr.to_string(),
        server_port: config.ports.server,
        serf_lan_port: config.ports.serf_lan,
        wan: wan(config, encryption.1),
        datacenter: config.datacenter.clone(),
        context,
        version: VERSION.to_owned(),
        revision: String::new(),
        build_date: "1970-01-01T00:00:01Z".to_owned(),
        shown: shown(config),
        bootstrap_expect: u64::from(config.bootstrap_expect),
        join: join(config),
        autopilot: autopilot(config),
        kv_replication: config.kv_replication.clone(),
        gossip: gossip(config),
        encryption: encryption.0,
        raft: raft(config),
        agent: agent(config, id),
        hold_max: config.rpc_hold_timeout,
        write_max: WRITE_MAX,
        requests_max: REQUESTS_MAX,
        settle_max: SETTLE_MAX,
        tombstone_ttl: TOMBSTONE_TTL,
        started,
    }
}

fn autopilot(config: &Config) -> Autopilot {
    let settings = &config.autopilot;
    Autopilot {
        cleanup_dead_servers: settings.cleanup_dead_servers,
        last_contact_threshold: settings.last_contact_threshold,
        max_trailing_logs: settings.max_trailing_logs,
        min_quorum: u64::from(settings.min_quorum),
        server_stabilization_time: settings.server_stabilization_time,
        ..Autopilot::default()
    }
}

fn raft(config: &Config) -> tribune_raft::Config {
    let timing = if config.dev {
        tribune_raft::Config::dev()
    } else {
        tribune_raft::Config::lan(config.raft.multiplier)
    };
    tribune_raft::Config {
        snapshot_entries_max: config.raft.snapshot_threshold,
        trailing_entries_max: config.raft.trailing_logs,
        ..timing
    }
}

fn gossip(config: &Config) -> tribune_gossip::Config {
    let defaults = if config.dev {
        tribune_gossip::Config::local(config.datacenter.as_str())
    } else {
        tribune_gossip::Config::lan(config.datacenter.as_str())
    };
    paced(defaults, &config.gossip_lan, config.join.reconnect_timeout)
}

/// This server's part in the pool of all datacenters' servers.
fn wan(config: &Config, encryption: Encryption) -> Option<Wan> {
    let port = config.ports.serf_wan.filter(|_| config.server)?;
    let defaults = tribune_gossip::Config::wan();
    let gossip = paced(defaults, &config.gossip_wan, config.join.reconnect_timeout_wan);
    Some(Wan { address: config.advertise_addr_wan, port, gossip, encryption })
}

/// How a pool gossips, as far as the configuration says something about it.
fn paced(
    defaults: tribune_gossip::Config,
    wanted: &Gossip,
    reconnect_timeout: Option<Duration>,
) -> tribune_gossip::Config {
    tribune_gossip::Config {
        gossip_interval: wanted.gossip_interval.unwrap_or(defaults.gossip_interval),
        gossip_nodes: wanted.gossip_nodes.map_or(defaults.gossip_nodes, |it| it as usize),
        probe_interval: wanted.probe_interval.unwrap_or(defaults.probe_interval),
        probe_timeout: wanted.probe_timeout.unwrap_or(defaults.probe_timeout),
        retransmit_mult: wanted.retransmit_mult.unwrap_or(defaults.retransmit_mult),
        suspicion_mult: wanted.suspicion_mult.unwrap_or(defaults.suspicion_mult),
        reconnect_timeout: reconnect_timeout.unwrap_or(defaults.reconnect_timeout),
        packet_overhead: tribune_io::gossip::OVERHEAD,
        ..defaults
    }
}

/// How much is kept for other agents.
pub(super) fn rpc(config: &Config) -> Limits {
    Limits {
        handshake_max: config.limits.rpc_handshake_timeout,
        connections_per_address_max: config.limits.rpc_max_conns_per_client,
        ..Limits::default()
    }
}

/// Where other servers connect, and which key decides: their own port, and those of the pools, because
/// those are the ones that `retry_join` and `retry_join_wan` name.
pub(super) fn rpc_listen(config: &Config) -> Vec<(SocketAddr, &'static str)> {
    let wan = gossip_listen_wan(config).map(|it| (it, "ports.serf_wan"));
    let server = (SocketAddr::new(config.bind_addr, config.ports.server), "ports.server");
    let pool = (gossip_listen(config), "ports.serf_lan");
    let server = config.server.then_some(server);
    server.into_iter().chain([pool]).chain(wan).collect()
}

/// How long servers may take to answer what this client agent asks them: they hold what they cannot
/// answer at once, and then there is the way.
pub(super) fn patience(config: &Config) -> Patience {
    let way = Duration::from_secs(3);
    Patience { hold_max: config.rpc_hold_timeout + way, write_max: WRITE_MAX + way }
}

/// Where the pool's packets come in.
pub(super) fn gossip_listen(config: &Config) -> SocketAddr {
    SocketAddr::new(config.serf_lan_addr, config.ports.serf_lan)
}

/// Where the packets of the pool of all datacenters come in, if this agent is in it.
pub(super) fn gossip_listen_wan(config: &Config) -> Option<SocketAddr> {
    let port = config.ports.serf_wan.filter(|_| config.server)?;
    Some(SocketAddr::new(config.serf_wan_addr, port))
}

/// Where other servers may be found. Addresses without a port are those of the LAN pool, where
/// servers listen for each other as well.
fn join(config: &Config) -> Vec<String> {
    let port = config.ports.serf_lan;
    let addresses = config.join.start_join.iter().chain(&config.join.retry_join);
    addresses.map(|it| tribune_io::join::with_port(it, port)).collect()
}

fn agent(config: &Config, id: NodeId) -> tribune_agent::Config {
    let address = config.advertise_addr.to_string();
    let family = if config.advertise_addr.is_ipv4() { "ipv4" } else { "ipv6" };
    let wan = config.advertise_addr_wan.to_string();
    let mut tagged_addresses = BTreeMap::from([
        ("lan".to_owned(), address.clone()),
        (format!("lan_{family}"), address.clone()),
        ("wan".to_owned(), wan.clone()),
        (format!("wan_{family}"), wan),
    ]);
    tagged_addresses.extend(config.tagged_addresses.clone());
    tribune_agent::Config {
        tagged_addresses,
        meta: meta(config),
        datacenter: config.datacenter.clone(),
        script_checks: match config.check.scripts {
            ScriptChecks::Disabled => Scripts { remote: false, local: false },
            ScriptChecks::Local => Scripts { remote: false, local: true },
            ScriptChecks::Enabled => Scripts { remote: true, local: true },
        },
        capabilities: Capabilities { tls: false, udp: true },
        output_max: config.check.output_max_size,
        discard_check_output: config.check.discard_output,
        check_update_interval: config.check.update_interval,
        persist: !config.dev,
        ..tribune_agent::Config::new(&config.node_name, id, &address)
    }
}

/// What the catalog says about this node, besides its addresses.
pub(super) fn meta(config: &Config) -> BTreeMap<String, String> {
    let mut meta = config.node_meta.clone();
    meta.insert("consul-network-segment".to_owned(), String::new());
    meta
}

/// What the API needs to know of the configuration.
pub(super) fn context(config: &Config) -> Context {
    Context {
        translate_wan_addrs: config.translate_wan_addrs,
        pretty_always: config.http.pretty,
        kv_value_max: config.limits.kv_max_value_size,
        query_wait_default: config.default_query_time,
        query_wait_max: config.max_query_time,
        discovery_max_stale: config.discovery_max_stale,
        ..Context::new(&config.datacenter, &config.node_name)
    }
}

/// What DNS answers depend on.
pub(super) fn dns(config: &Config) -> dns::Config {
    let seconds = |it: Duration| u32::try_from(it.as_secs()).unwrap_or(u32::MAX);
    let settings = &config.dns;
    let name = |it: &str| it.trim_end_matches('.').to_ascii_lowercase();
    let ttl = settings.service_ttl.iter().map(|(name, ttl)| (name.as_str(), seconds(*ttl)));
    let defaults = dns::Config::new(&config.datacenter);
    dns::Config {
        node: config.node_name.clone(),
        domain: name(&settings.domain),
        alt_domain: settings.alt_domain.as_deref().map(name),
        allow_stale: settings.allow_stale,
        a_record_limit: settings.a_record_limit,
        udp_answer_limit: settings.udp_answer_limit,
        enable_truncate: settings.enable_truncate,
        only_passing: settings.only_passing,
        disable_compression: settings.disable_compression,
        enable_additional_node_meta_txt: settings.enable_additional_node_meta_txt,
        translate_wan_addrs: config.translate_wan_addrs,
        node_ttl: seconds(settings.node_ttl),
        service_ttl: dns::ServiceTtl::new(ttl),
        soa: dns::Soa {
            refresh: settings.soa.refresh,
            retry: settings.soa.retry,
            expire: settings.soa.expire,
            min_ttl: settings.soa.min_ttl,
        },
        ..defaults
    }
}

/// The configuration in force, as `/v1/agent/self` shows it. No secret is among it.
fn shown(config: &Config) -> BTreeMap<String, Value> {
    let addresses = |it: &[SocketAddr]| -> Value {
        it.iter().map(|addr| Value::from(format!("tcp://{addr}"))).collect()
    };
    let rows = [
        ("Datacenter", Value::from(config.datacenter.as_str())),
        ("NodeName", Value::from(config.node_name.as_str())),
        ("ServerMode", Value::from(config.server)),
        ("DevMode", Value::from(config.dev)),
        ("Bootstrap", Value::from(config.bootstrap_expect == 1)),
        ("BootstrapExpect", Value::from(config.bootstrap_expect)),
        ("AdvertiseAddrLAN", Value::from(config.advertise_addr.to_string())),
        ("AdvertiseAddrWAN", Value::from(config.advertise_addr_wan.to_string())),
        ("BindAddr", Value::from(config.bind_addr.to_string())),
        ("DNSAddrs", addresses(&config.dns_listen)),
        ("DNSPort", Value::from(config.ports.dns)),
        ("DNSDomain", Value::from(config.dns.domain.as_str())),
        ("HTTPPort", Value::from(config.ports.http)),
        ("ServerPort", Value::from(config.ports.server)),
        ("SerfPortLAN", Value::from(config.ports.serf_lan)),
        ("SerfPortWAN", Value::from(config.ports.serf_wan)),
        ("KVMaxValueSize", Value::from(config.limits.kv_max_value_size)),
        ("CheckOutputMaxSize", Value::from(config.check.output_max_size)),
        ("Version", Value::from(VERSION)),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// How long a write may wait for a quorum, as the original lets it wait for a place in the log.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Requests that may wait at once: more than the watchers of a large cluster.
const REQUESTS_MAX: usize = 262_144;

/// How long the answer to a registration waits for the catalog to show it.
const SETTLE_MAX: Duration = Duration::from_millis(500);

/// How long a deleted key's index is remembered, as the original does.
const TOMBSTONE_TTL: Duration = Duration::from_secs(15 * 60);
