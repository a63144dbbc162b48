//! `tribune maint`

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal};

/// Control maintenance mode of the node or of a service
#[derive(Args, Debug)]
pub(crate) struct Maint {
    /// Leave maintenance mode.
    #[arg(long)]
    disable: bool,
    /// Enter maintenance mode.
    #[arg(long)]
    enable: bool,
    /// Why, for whoever asks.
    #[arg(long, default_value = "", value_name = "string")]
    reason: String,
    /// Only this service, by its id on this agent.
    #[arg(long, default_value = "", value_name = "serviceID")]
    service: String,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    #[serde(default)]
    notes: String,
    #[serde(rename = "ServiceID", default)]
    service_id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Myself {
    config: MyConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MyConfig {
    node_name: String,
}

impl Maint {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if self.enable && self.disable {
            return Err(Failure::new("Only one of -enable or -disable may be provided"));
        }
        if !self.enable && !self.reason.is_empty() {
            return Err(Failure::new("Reason may only be provided with -enable"));
        }
        if !self.enable && !self.disable && !self.service.is_empty() {
            return Err(Failure::new("Service requires either -enable or -disable"));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        if self.enable || self.disable {
            self.switch(&client, terminal)
        } else {
            list(&client, terminal)
        }
    }

    fn switch(&self, client: &Client, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let (query, verb, done): (Vec<_>, _, _) = if self.enable {
            (vec![("enable", "true"), ("reason", self.reason.as_str())], "enabling", "enabled")
        } else {
            (vec![("enable", "false")], "disabling", "disabled")
        };
        let service = &self.service;
        let (path, what) = if service.is_empty() {
            ("/v1/agent/maintenance".to_owned(), "node")
        } else {
            (format!("/v1/agent/service/maintenance/{service}"), "service")
        };
        let switched = client.put(&path, &query, "").and_then(|it| it.ok());
        switched.map_err(|error| format!("Error {verb} {what} maintenance: {error}"))?;
        terminal.line(if service.is_empty() {
            format!("Node maintenance is now {done}")
        } else {
            format!("Service maintenance is now {done} for {service:?}")
        });
        Ok(())
    }
}

fn list(client: &Client, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let failed = |error| format!("Error querying Consul agent: {error}");
    let myself: Myself =
        client.get("/v1/agent/self", &[]).and_then(|it| it.json()).map_err(failed)?;
    let checks: BTreeMap<String, Check> =
        client.get("/v1/agent/checks", &[]).and_then(|it| it.json()).map_err(failed)?;
    for check in checks.values() {
        if check.id == "_node_maintenance" {
            let name = &myself.config.node_name;
            terminal.line(format!("Node:\n  Name:   {name}\n  Reason: {}\n", check.notes));
        } else if check.id.starts_with("_service_maintenance:") {
            let id = &check.service_id;
            terminal.line(format!("Service:\n  ID:     {id}\n  Reason: {}\n", check.notes));
        }
    }
    Ok(())
}
