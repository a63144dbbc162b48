//! What an agent is told about itself and its habits.

use std::collections::BTreeMap;

use tribune_base::id::NodeId;
use tribune_base::time::Duration;

/// See the fields. [`Config::new`] has the defaults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The name this agent's rows are filed under.
    pub node: String,
    /// Who this agent is, whatever it is called.
    pub node_id: NodeId,
    /// Where other nodes reach it.
    pub address: String,
    /// The same by kind of network: `lan`, `wan`, `lan_ipv4`, ...
    pub tagged_addresses: BTreeMap<String, String>,
    /// What the operator says about the node.
    pub meta: BTreeMap<String, String>,
    /// The datacenter it is in.
    pub datacenter: String,

    /// Who may make this agent start programs.
    pub script_checks: ScriptChecks,
    /// What the shell can do.
    pub capabilities: Capabilities,
    /// Bytes of a check's output to keep.
    pub output_max: usize,
    /// Keep no output at all.
    pub discard_check_output: bool,
    /// How long a change of nothing but output may wait: half of this, and up to this more.
    pub check_update_interval: Duration,
    /// The shortest time between two runs of a check; less is raised to it.
    pub check_interval_min: Duration,
    /// The shortest time a service stays critical before it goes; less is raised to it.
    pub deregister_after_min: Duration,
    /// How often to look for services that have been critical for too long.
    pub reap_interval: Duration,
    /// How often to compare everything with the catalog, in a small cluster.
    pub sync_interval: Duration,
    /// How long to wait after a failed synchronisation, at least.
    pub sync_retry: Duration,
    /// Write registrations down. Not in development mode.
    pub persist: bool,

    /// Services this agent may have.
    pub service_count_max: usize,
    /// Checks this agent may have.
    pub check_count_max: usize,
    /// Commands in one request to the catalog.
    pub sync_batch_max: usize,
}

/// Who may make this agent start programs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ScriptChecks {
    /// Whoever reaches the API.
    pub remote: bool,
    /// The configuration files.
    pub local: bool,
}

/// What the shell can do. A check that needs more is refused when it is registered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    /// Check over TLS.
    pub tls: bool,
    /// Check over UDP.
    pub udp: bool,
}

impl Config {
    /// The agent of `node`, with the defaults for everything else.
    pub fn new(node: &str, node_id: NodeId, address: &str) -> Self {
        Self {
            node: node.to_owned(),
            node_id,
            address: address.to_owned(),
            tagged_addresses: BTreeMap::new(),
            meta: BTreeMap::new(),
            datacenter: "dc1".into(),
            script_checks: ScriptChecks::default(),
            capabilities: Capabilities::default(),
            output_max: 4096,
            discard_check_output: false,
            check_update_interval: Duration::from_secs(300),
            check_interval_min: Duration::from_secs(1),
            deregister_after_min: Duration::from_secs(60),
            reap_interval: Duration::from_secs(30),
            sync_interval: Duration::from_secs(60),
            sync_retry: Duration::from_secs(15),
            persist: true,
            service_count_max: 10_000,
            check_count_max: 20_000,
            sync_batch_max: 128,
        }
    }
}
