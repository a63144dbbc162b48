//! Coming back: an agent that is started again finds the pool it was in, also if its configuration
//! names nobody, or nobody who is left.
//!
//! The data directory remembers where some of the members were, servers first. An agent that has left
//! forgets them: it stays away, unless `rejoin_after_leave`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::time::sleep;
use tracing::{info, warn};
use tribune_api::agent::AgentCall;
use tribune_base::time::Duration;
use tribune_core::{Area, Call};
use tribune_io::handle::NodeHandle;
use tribune_io::storage;

use super::read_optional;
use crate::config::Config;

/// The members of a pool that are remembered.
#[derive(Clone, Debug)]
pub(super) struct Known {
    area: Area,
    file: PathBuf,
    /// What this agent is called there.
    own: String,
}

impl Known {
    /// Those of a pool, if they are remembered.
    pub(super) fn new(config: &Config, area: Area) -> Option<Self> {
        let dir = config.data_dir.as_ref().filter(|_| !config.dev)?;
        let name = &config.node_name;
        let (file, own) = match area {
            Area::Lan => (LAN, name.clone()),
            Area::Wan => (WAN, format!("{name}.{}", config.datacenter)),
        };
        Some(Self { area, file: dir.join(file), own })
    }

    /// Join whoever is remembered. That nobody is there any more is no error.
    pub(super) async fn rejoin(&self, node: &NodeHandle) {
        let known = read_optional(&self.file).ok().flatten().unwrap_or_default();
        let addrs: Vec<SocketAddr> = known.lines().filter_map(|it| it.parse().ok()).collect();
        if addrs.is_empty() {
            return;
        }
        let (area, pool, count) = (self.area, self.area.name(), addrs.len());
        match node.call(Call::Join { area, addrs }).await {
            Ok(response) if response.status == 200 => info!(pool, "back in the pool"),
            Ok(_) | Err(_) => {
                warn!(pool, members = count, "none of the members that were known is there");
            }
        }
    }

    /// Remember the members, for as long as the future is polled.
    pub(super) async fn remember(self, node: NodeHandle) {
        let Self { area, file, own } = self;
        let mut written = String::new();
        loop {
            sleep(INTERVAL).await;
            let asked = AgentCall::Members { wan: area == Area::Wan, filter: None, pretty: false };
            let Ok(response) = node.call(Call::Agent(asked)).await else { return };
            let known = addresses(&response.body, &own);
            // Who knows nobody may be cut off: what it knew before is better.
            if known.is_empty() || known == written {
                continue;
            }
            let (path, text) = (file.clone(), known.clone());
            let saved = tokio::task::spawn_blocking(move || write(&path, &text)).await;
            match saved {
                Ok(Ok(())) => written = known,
                Ok(Err(error)) => warn!(%error, "the members could not be remembered"),
                Err(_) => return,
            }
        }
    }

    /// Forget them: this agent has left.
    pub(super) fn forget(&self) {
        if let Err(error) = storage::remove(&self.file) {
            warn!(%error, "the members could not be forgotten: this agent will join them again");
        }
    }
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    storage::replace(file, text.as_bytes())
}

/// Where members are that are alive, a line each, servers first, the one called `own` left out.
fn addresses(members: &[u8], own: &str) -> String {
    let Ok(Value::Array(members)) = serde_json::from_slice(members) else { return String::new() };
    let alive = |it: &&Value| it["Status"] == ALIVE && it["Name"] != own;
    let is_server = |it: &Value| it["Tags"]["role"] == "consul";
    let mut known: Vec<_> = members.iter().filter(alive).collect();
    known.sort_by_key(|it| !is_server(it));
    let line = |it: &&Value| {
        let ip = it["Addr"].as_str()?.parse().ok()?;
        let port = u16::try_from(it["Port"].as_u64()?).ok()?;
        Some(format!("{}\n", SocketAddr::new(ip, port)))
    };
    known.iter().filter_map(line).take(KNOWN_MAX).collect()
}

/// In the data directory.
const LAN: &str = "serf/local.snapshot";
const WAN: &str = "serf/remote.snapshot";

/// How often it is looked whether there are others to remember.
const INTERVAL: Duration = Duration::from_secs(5);

/// How many are remembered. One that is there is enough.
const KNOWN_MAX: usize = 32;

/// What the API calls a member that is there.
const ALIVE: u64 = 1;

#[test]
fn servers_are_remembered_first_and_the_dead_not_at_all() {
    let members = br#"[
        {"Name": "c1", "Addr": "10.0.0.1", "Port": 8301, "Status": 1, "Tags": {"role": "node"}},
        {"Name": "c2", "Addr": "10.0.0.9", "Port": 8301, "Status": 1, "Tags": {"role": "node"}},
        {"Name": "n1", "Addr": "10.0.0.2", "Port": 8301, "Status": 4, "Tags": {"role": "consul"}},
        {"Name": "n2", "Addr": "fd00::3", "Port": 8301, "Status": 1, "Tags": {"role": "consul"}}
    ]"#;
    assert_eq!(addresses(members, "c2"), "[fd00::3]:8301\n10.0.0.1:8301\n");
    assert_eq!(addresses(b"oops", "c2"), "");
}
