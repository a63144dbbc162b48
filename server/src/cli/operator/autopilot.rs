//! `tribune operator autopilot`: how the servers are.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Deserialize;
use tribune_base::json;

use super::super::client::RequestError;
use super::super::table;
use super::super::target::Target;
use super::super::terminal::{Failure, Terminal};
use super::{connect, settings};

/// Look at the care for servers, and change its settings
#[derive(Debug, Subcommand)]
pub(crate) enum Autopilot {
    GetConfig(settings::GetConfig),
    Health(Health),
    SetConfig(settings::SetConfig),
    State(State),
}

impl Autopilot {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::GetConfig(command) => command.run(terminal),
            Self::Health(command) => command.run(terminal),
            Self::SetConfig(command) => command.run(terminal),
            Self::State(command) => command.run(terminal),
        }
    }
}

/// Show which servers are healthy. Exits with 2 if one of them is not
#[derive(Args, Debug)]
pub(crate) struct Health {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Healths {
    healthy: bool,
    failure_tolerance: u64,
    servers: Vec<ServerHealth>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServerHealth {
    name: String,
    #[serde(rename = "ID")]
    id: String,
    address: String,
    serf_status: String,
    version: String,
    last_contact: String,
    last_index: u64,
    healthy: bool,
    voter: bool,
    stable_since: String,
}

impl Health {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let client = connect(&self.target, terminal)?;
        let health = client.get("/v1/operator/autopilot/health", &[]).and_then(|reply| {
            // That somebody is not healthy is an answer, and an error only for programs.
            let known = [200, 429].contains(&reply.status);
            if known { Ok(serde_json::from_slice(&reply.body)?) } else { reply.json() }
        });
        let health: Healths = health.map_err(explain)?;
        let tolerance = health.failure_tolerance.to_string();
        let rows = [("Healthy:", health.healthy.to_string()), ("Failure Tolerance:", tolerance)];
        terminal.line(table::pairs(&rows, 1));
        terminal.line("");
        let heading = HEADING.iter().map(|it| (*it).to_owned()).collect();
        let rows = health.servers.into_iter().map(ServerHealth::row);
        terminal.line(table::columns(std::iter::once(heading).chain(rows)));
        if health.healthy { Ok(()) } else { Err(Failure::silent(2)) }
    }
}

impl ServerHealth {
    fn row(self) -> Vec<String> {
        let [healthy, voter] = [self.healthy, self.voter].map(|it| it.to_string());
        let log = self.last_index.to_string();
        let who = [self.name, self.id, self.address, self.serf_status, self.version];
        let how = [voter, healthy, self.last_contact, log, self.stable_since];
        who.into_iter().chain(how).collect()
    }
}

/// Show everything that is known of the servers
#[derive(Args, Debug)]
pub(crate) struct State {
    /// `pretty` for people, `json` for programs.
    #[arg(long, default_value = "pretty", value_name = "pretty|json")]
    format: String,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct States {
    healthy: bool,
    failure_tolerance: u64,
    optimistic_failure_tolerance: u64,
    leader: String,
    #[serde(deserialize_with = "json::null_is_empty")]
    voters: Vec<String>,
    servers: BTreeMap<String, ServerState>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServerState {
    name: String,
    address: String,
    version: String,
    status: String,
    node_type: String,
    node_status: String,
    healthy: bool,
    last_contact: String,
    last_term: u64,
    last_index: u64,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    meta: BTreeMap<String, String>,
}

impl State {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if !["pretty", "json"].contains(&self.format.as_str()) {
            let format = &self.format;
            return Err(Failure::new(format!("Invalid format {format:?}: use pretty or json")));
        }
        let client = connect(&self.target, terminal)?;
        let reply = client.get("/v1/operator/autopilot/state", &[]).and_then(|it| it.ok());
        let body = reply.map_err(explain)?.body;
        if self.format == "json" {
            let value = serde_json::from_slice::<serde_json::Value>(&body);
            let value = value.map_err(|error| explain(error.into()))?;
            terminal.line(format!("{value:#}"));
            return Ok(());
        }
        let state: States = serde_json::from_slice(&body).map_err(|it| explain(it.into()))?;
        terminal.line(state.to_text());
        Ok(())
    }
}

impl States {
    fn to_text(&self) -> String {
        let rows = [
            ("Healthy:", self.healthy.to_string()),
            ("Failure Tolerance:", self.failure_tolerance.to_string()),
            ("Optimistic Failure Tolerance:", self.optimistic_failure_tolerance.to_string()),
            ("Leader:", self.leader.clone()),
        ];
        let voters = self.voters.iter().map(|it| format!("\n   {it}")).collect::<String>();
        let servers = self.servers.iter().map(|(id, it)| format!("\n   {id}\n{}", it.to_text()));
        let servers = servers.collect::<String>();
        format!("{}\nVoters:{voters}\nServers:{servers}", table::pairs(&rows, 1))
    }
}

impl ServerState {
    fn to_text(&self) -> String {
        let rows = [
            ("Name:", self.name.clone()),
            ("Address:", self.address.clone()),
            ("Version:", self.version.clone()),
            ("Status:", self.status.clone()),
            ("Node Type:", self.node_type.clone()),
            ("Node Status:", self.node_status.clone()),
            ("Healthy:", self.healthy.to_string()),
            ("Last Contact:", self.last_contact.clone()),
            ("Last Term:", self.last_term.to_string()),
            ("Last Index:", self.last_index.to_string()),
        ];
        let mut text = table::pairs(&rows, 1).replace('\n', "\n      ");
        if !self.meta.is_empty() {
            text.push_str("\n      Meta:");
            text.extend(self.meta.iter().map(|(key, it)| format!("\n         {key:?}: {it:?}")));
        }
        format!("      {text}")
    }
}

fn explain(error: RequestError) -> Failure {
    Failure::new(format!("Error querying Autopilot state: {error}"))
}

const HEADING: &[&str] = &[
    "Node",
    "ID",
    "Address",
    "Status",
    "Version",
    "Voter",
    "Healthy",
    "LastContact",
    "LastIndex",
    "StableSince",
];
