//! `tribune operator autopilot get-config` and `set-config`.

use clap::Args;
use serde_json::{Map, Value};
use tribune_base::duration;

use super::super::target::Target;
use super::super::terminal::{Failure, Terminal};
use super::connect;

/// Show the settings of the care for servers
#[derive(Args, Debug)]
pub(crate) struct GetConfig {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl GetConfig {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let settings = read(&self.target, terminal)?;
        let shown = settings.iter().filter(|(name, _)| !name.ends_with("Index"));
        for (name, value) in shown {
            match value.as_str() {
                // Durations come as texts, and are none.
                Some(text) if !TEXTS.contains(&name.as_str()) => {
                    terminal.line(format!("{name} = {text}"));
                }
                _ => terminal.line(format!("{name} = {value}")),
            }
        }
        Ok(())
    }
}

/// Change settings of the care for servers
#[derive(Args, Debug)]
pub(crate) struct SetConfig {
    /// Whether servers that are dead are removed from consensus.
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "true|false")]
    cleanup_dead_servers: Option<bool>,
    /// Whether new releases vote as soon as they can. Kept, but nothing here depends on it.
    #[arg(long, num_args = 0..=1, require_equals = true, value_name = "true|false")]
    disable_upgrade_migration: Option<bool>,
    /// A server that was not heard of for longer is not healthy.
    #[arg(long, value_name = "200ms", value_parser = span)]
    last_contact_threshold: Option<String>,
    /// A server that is more entries behind the leader is not healthy.
    #[arg(long, value_name = "value", value_parser = number)]
    max_trailing_logs: Option<u64>,
    /// How many voters must stay when dead ones are removed.
    #[arg(long, value_name = "value", value_parser = number)]
    min_quorum: Option<u64>,
    /// Which key of a node's meta names its zone. Kept, but nothing here depends on it.
    #[arg(long, value_name = "value")]
    redundancy_zone_tag: Option<String>,
    /// How long a new server must be healthy before it votes.
    #[arg(long, value_name = "10s", value_parser = span)]
    server_stabilization_time: Option<String>,
    /// Which key of a node's meta names its release. Kept, but nothing here depends on it.
    #[arg(long, value_name = "value")]
    upgrade_version_tag: Option<String>,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl SetConfig {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let mut settings = read(&self.target, terminal)?;
        for (name, value) in self.changes() {
            settings.insert(name.to_owned(), value);
        }
        // Somebody else may be at it.
        let cas = settings.get("ModifyIndex").and_then(Value::as_u64).unwrap_or(0).to_string();
        let body = Value::from(settings).to_string();
        let client = connect(&self.target, terminal)?;
        let done = client.put(PATH, &[("cas", &cas)], body).and_then(|it| it.held());
        if !done.map_err(|error| format!("Error setting Autopilot configuration: {error}"))? {
            let message = "Configuration could not be atomically updated, please try again";
            return Err(Failure::new(message));
        }
        terminal.line("Configuration updated!");
        Ok(())
    }

    fn changes(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let flag = |name, it: Option<bool>| (name, it.map(Value::from));
        let number = |name, it: Option<u64>| (name, it.map(Value::from));
        let text = |name, it: &Option<String>| (name, it.clone().map(Value::from));
        let all = [
            flag("CleanupDeadServers", self.cleanup_dead_servers),
            text("LastContactThreshold", &self.last_contact_threshold),
            number("MaxTrailingLogs", self.max_trailing_logs),
            number("MinQuorum", self.min_quorum),
            text("ServerStabilizationTime", &self.server_stabilization_time),
            text("RedundancyZoneTag", &self.redundancy_zone_tag),
            flag("DisableUpgradeMigration", self.disable_upgrade_migration),
            text("UpgradeVersionTag", &self.upgrade_version_tag),
        ];
        all.into_iter().filter_map(|(name, it)| Some((name, it?)))
    }
}

/// All settings, in the order they came, so that those of a newer release survive.
fn read(target: &Target, terminal: &Terminal<'_>) -> Result<Map<String, Value>, Failure> {
    let client = connect(target, terminal)?;
    let settings = client.get(PATH, &[]).and_then(|it| it.json());
    Ok(settings.map_err(|error| format!("Error querying Autopilot configuration: {error}"))?)
}

fn number(text: &str) -> Result<u64, String> {
    let what = match text.parse() {
        Ok(number) => return Ok(number),
        Err(_) if !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit()) => {
            "value out of range"
        }
        Err(_) => "invalid syntax",
    };
    Err(format!("strconv.ParseUint: parsing {text:?}: {what}"))
}

/// A duration, as the API writes it.
fn span(text: &str) -> Result<String, String> {
    duration::parse(text).map(duration::format).map_err(|error| error.to_string())
}

const PATH: &str = "/v1/operator/autopilot/configuration";

/// Settings that are texts.
const TEXTS: &[&str] = &["RedundancyZoneTag", "UpgradeVersionTag"];
