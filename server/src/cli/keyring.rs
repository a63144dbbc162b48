//! `tribune keyring`: the keys that gossip is encrypted with, at every member of the cluster.

use std::collections::BTreeMap;

use clap::Args;
use hyper::Method;
use serde::Deserialize;
use tribune_base::json;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal};

/// Manage the keys that gossip is encrypted with
#[derive(Args, Debug)]
pub(crate) struct Keyring {
    /// Install a new key everywhere. Messages under it are understood from then on.
    #[arg(long, default_value = "", value_name = "string", hide_default_value = true)]
    install: String,
    /// List all keys in use.
    #[arg(long)]
    list: bool,
    /// With -list: ask this agent only.
    #[arg(long)]
    local_only: bool,
    /// How many members each answer is relayed through as well, up to 5.
    #[arg(long, default_value = "0", value_name = "int", allow_negative_numbers = true)]
    relay_factor: i64,
    /// Forget a key everywhere. It must not be the primary one.
    #[arg(long, default_value = "", value_name = "string", hide_default_value = true)]
    remove: String,
    /// Make an installed key the primary one, under which messages are sent.
    #[arg(long = "use", default_value = "", value_name = "string", hide_default_value = true)]
    primary: String,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

/// What one pool answered.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pool {
    #[serde(rename = "WAN", default)]
    wan: bool,
    datacenter: String,
    #[serde(default)]
    segment: String,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    keys: BTreeMap<String, u64>,
    num_nodes: u64,
}

impl Keyring {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let changes = [
            (&self.install, Method::POST, "Installing new gossip encryption key"),
            (&self.primary, Method::PUT, "Changing primary gossip encryption key"),
            (&self.remove, Method::DELETE, "Removing gossip encryption key"),
        ];
        let mut changes: Vec<_> = changes.into_iter().filter(|it| !it.0.is_empty()).collect();
        if 1 < changes.len() + usize::from(self.list) {
            return Err(Failure::new("Only a single action is allowed"));
        }
        let change = changes.pop();
        if change.is_none() && !self.list {
            return Err(Failure::usage());
        }
        if !(0..=RELAY_MAX).contains(&self.relay_factor) {
            let range = format!("[0, {RELAY_MAX}]");
            let message = "Error parsing relay factor: Relay factor must be in range:";
            return Err(Failure::new(format!("{message} {range}")));
        }
        if self.local_only && !self.list {
            let message =
                "Error validating local-only: local-only can only be set for list requests";
            return Err(Failure::new(message));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let relay = self.relay_factor.to_string();
        let mut query = Vec::new();
        if self.relay_factor != 0 {
            query.push(("relay-factor", relay.as_str()));
        }
        if self.local_only {
            query.push(("local-only", "true"));
        }
        let failed = |error| format!("error: {error}");
        if let Some((key, method, what)) = change {
            terminal.line(format!("==> {what}..."));
            let body = serde_json::json!({ "Key": key }).to_string() + "\n";
            let changed = client.request(&method, PATH, &query, body.into());
            changed.and_then(|it| it.ok()).map_err(failed)?;
            return Ok(());
        }
        terminal.line("==> Gathering installed encryption keys...");
        let pools = client.get(PATH, &query).and_then(|it| it.json());
        let pools: Vec<Pool> = pools.map_err(failed)?;
        pools.iter().for_each(|it| show(it, terminal));
        Ok(())
    }
}

fn show(pool: &Pool, terminal: &mut Terminal<'_>) {
    let mut name = if pool.wan { "WAN".to_owned() } else { format!("{} (LAN)", pool.datacenter) };
    if !pool.segment.is_empty() {
        name += &format!(" [{}]", pool.segment);
    }
    terminal.line(format!("\n{name}:"));
    for (key, count) in &pool.keys {
        terminal.line(format!("  {key} [{count}/{}]", pool.num_nodes));
    }
}

const PATH: &str = "/v1/operator/keyring";
const RELAY_MAX: i64 = 5;
