//! Who a node is, and how patient it is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tribune_api::agent::NodeFacts;
use tribune_api::plan::Context;
use tribune_base::coordinate::Coordinate;
use tribune_base::hcl::Value;
use tribune_base::id::NodeId;
use tribune_base::time::{Duration, WallTime};
use tribune_state::Autopilot;

/// What a node is told when it is built.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this is, for ever.
    pub id: NodeId,
    /// What it is called.
    pub name: String,
    /// Where others reach it: an address without a port.
    pub address: String,
    /// The port servers speak to each other on.
    pub server_port: u16,
    /// The port of the LAN pool, for what members are shown as.
    pub serf_lan_port: u16,
    /// Its part in the pool of all datacenters' servers. `None`: it has none.
    pub wan: Option<Wan>,
    /// The datacenter.
    pub datacenter: String,
    /// What the API needs to know of the configuration.
    pub context: Arc<Context>,
    /// The release, as `1.2.3`.
    pub version: String,
    /// The revision it was built from.
    pub revision: String,
    /// When it was built (RFC 3339).
    pub build_date: String,
    /// The configuration in force, as an operator may see it: names and values, secrets hidden.
    pub shown: BTreeMap<String, Value>,
    /// How many servers begin a cluster together. One: this server alone. Zero: it waits to be told
    /// by one that is there already.
    pub bootstrap_expect: u64,
    /// Where other servers may be found, as `host:port`: asked until they answer.
    pub join: Vec<String>,
    /// How servers are taken care of, until an operator says otherwise.
    pub autopilot: Autopilot,
    /// Who is there, and who is not.
    pub gossip: tribune_gossip::Config,
    /// Whether strangers can read what the pool says.
    pub encryption: Encryption,
    /// Consensus.
    pub raft: tribune_raft::Config,
    /// Local services and checks.
    pub agent: tribune_agent::Config,
    /// How long a request is held while nobody leads.
    pub hold_max: Duration,
    /// How long a write may wait for a quorum before its client is told that nobody knows.
    pub write_max: Duration,
    /// Requests that may wait at once, blocking queries included. More are refused.
    pub requests_max: usize,
    /// How long the answer to a registration is held back until the catalog shows it.
    pub settle_max: Duration,
    /// How long a deleted key's index is remembered, so that it never goes backwards.
    pub tombstone_ttl: Duration,
    /// Keys that are kept as another datacenter has them, if any are.
    pub kv_replication: Option<KvReplication>,
    /// What the clock on the wall said when the node was built. From then on time is counted: a
    /// clock that is set moves nothing here.
    pub started: WallTime,
}

/// Whether strangers can read what a pool says, as far as this agent is concerned.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Encryption {
    /// Everything, and there are no keys.
    #[default]
    Off,
    /// What leaves this agent: the pool is being encrypted, one member at a time.
    Incoming,
    /// Nothing.
    On,
}

/// A server's part in the pool of all datacenters' servers.
#[derive(Clone, Debug)]
pub struct Wan {
    /// Where servers of other datacenters reach this one.
    pub address: IpAddr,
    /// The pool's port.
    pub port: u16,
    /// Who is there, and who is not.
    pub gossip: tribune_gossip::Config,
    /// Whether strangers can read what the pool says.
    pub encryption: Encryption,
}

/// Keys that are kept as another datacenter has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KvReplication {
    /// The other datacenter.
    pub source: String,
    /// What the keys begin with.
    pub prefixes: Vec<String>,
}

impl Config {
    /// Where others reach this agent.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// What a server says of itself to the others of its pool.
    pub(crate) fn server_tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.tags("consul");
        let mut tag = |name: &str, value: String| tags.insert(name.to_owned(), value);
        tag("acls", "0".to_owned());
        tag("port", self.server_port.to_string());
        tag("raft_vsn", "3".to_owned());
        if let Some(wan) = &self.wan {
            tag("wan_join_port", wan.port.to_string());
            if wan.address != self.ip() {
                tag("wan_join_addr", wan.address.to_string());
            }
        }
        if 1 < self.bootstrap_expect {
            tag("expect", self.bootstrap_expect.to_string());
        } else if self.bootstrap_expect == 1 {
            tag("bootstrap", "1".to_owned());
        }
        tags
    }

    /// What a server of this datacenter is called where all datacenters meet.
    pub(crate) fn wan_name(&self, node: &str) -> String {
        format!("{node}.{}", self.datacenter)
    }

    /// What a client agent says of itself.
    pub(crate) fn client_tags(&self) -> BTreeMap<String, String> {
        self.tags("node")
    }

    fn tags(&self, role: &str) -> BTreeMap<String, String> {
        let tags = [
            ("build", format!("{}:{}", self.version, self.revision)),
            ("dc", self.datacenter.clone()),
            ("id", self.id.to_string()),
            ("role", role.to_owned()),
            ("segment", String::new()),
            ("vsn", "2".to_owned()),
            ("vsn_max", "3".to_owned()),
            ("vsn_min", "2".to_owned()),
        ];
        tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What the API tells about an agent that is configured like this, and nobody else knows.
    pub(crate) fn facts(&self) -> NodeFacts {
        NodeFacts {
            node: self.name.clone(),
            id: self.id,
            datacenter: self.datacenter.clone(),
            primary_datacenter: self.datacenter.clone(),
            version: self.version.clone(),
            revision: self.revision.clone(),
            build_date: self.build_date.clone(),
            server: false,
            address: self.ip(),
            tagged_addresses: self.agent.tagged_addresses.clone(),
            meta: self.agent.meta.clone(),
            members: Vec::new(),
            members_wan: Vec::new(),
            coordinate: Coordinate::default(),
            config: self.shown.clone(),
            stats: BTreeMap::new(),
        }
    }
}
