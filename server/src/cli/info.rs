//! `tribune info`

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal};

/// Show numbers for operators
#[derive(Args, Debug)]
pub(crate) struct Info {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Myself {
    #[serde(default)]
    stats: BTreeMap<String, BTreeMap<String, String>>,
}

impl Info {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let myself = client.get("/v1/agent/self", &[]).and_then(|it| it.json());
        let myself: Myself = myself.map_err(|error| format!("Error querying agent: {error}"))?;
        for (group, numbers) in myself.stats {
            terminal.line(format!("{group}:"));
            for (name, value) in numbers {
                terminal.line(format!("\t{name} = {value}"));
            }
        }
        Ok(())
    }
}
