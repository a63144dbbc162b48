//! `tribune event`

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::pattern;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Fire a user event
#[derive(Args, Debug)]
pub(crate) struct Event {
    /// The event's name.
    #[arg(long, default_value = "", value_name = "string", hide_default_value = true)]
    name: String,
    /// Only at nodes whose names this expression matches.
    #[arg(long, default_value = "", value_name = "regexp", hide_default_value = true)]
    node: String,
    /// Only at nodes with a service whose name this expression matches.
    #[arg(long, default_value = "", value_name = "regexp", hide_default_value = true)]
    service: String,
    /// Only if that service has a tag which this expression matches.
    #[arg(long, default_value = "", value_name = "regexp", hide_default_value = true)]
    tag: String,
    #[command(flatten)]
    target: Target,
    /// What the event says.
    #[arg(value_name = "payload")]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Fired {
    #[serde(rename = "ID")]
    id: String,
}

impl Event {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if self.name.is_empty() {
            return Err(Failure::new("Event name must be specified").with_usage(Usage::Err));
        }
        let filters = [("node", &self.node), ("service", &self.service), ("tag", &self.tag)];
        let filters: Vec<_> = filters.into_iter().filter(|it| !it.1.is_empty()).collect();
        for (name, text) in &filters {
            pattern::compile(text)
                .map_err(|error| format!("Failed to compile {name} filter regexp: {error}"))?;
        }
        if !self.tag.is_empty() && self.service.is_empty() {
            return Err(Failure::new("Cannot provide tag filter without service filter."));
        }
        if 1 < self.args.len() {
            return Err(Failure::new("Too many command line arguments.").with_usage(Usage::Err));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let alive = client.get("/v1/agent/self", &[]).and_then(|it| it.ok());
        alive.map_err(|error| format!("Error querying Consul agent: {error}"))?;
        let query: Vec<_> = filters.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let payload = self.args.first().cloned().unwrap_or_default();
        let fired = client.put(&format!("/v1/event/fire/{}", self.name), &query, payload);
        let fired: Fired = fired
            .and_then(|it| it.json())
            .map_err(|error| format!("Error firing event: {error}"))?;
        terminal.line(format!("Event ID: {}", fired.id));
        Ok(())
    }
}
