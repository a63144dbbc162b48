//! Who a node is, and how patient it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use tribune_api::plan::Context;
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
    /// The port of the WAN pool.
    pub serf_wan_port: u16,
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
    /// What the clock on the wall said when the node was built. From then on time is counted: a
    /// clock that is set moves nothing here.
    pub started: WallTime,
}
