//! `tribune kv replication`

use clap::Args;
use serde::Deserialize;

use crate::cli::client::Client;
use crate::cli::table;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};

/// Show how the keys are doing that are kept as another datacenter has them
#[derive(Args, Debug)]
pub(crate) struct Replication {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    enabled: bool,
    source_datacenter: String,
    prefixes: Vec<Prefix>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Prefix {
    prefix: String,
    replicated_index: u64,
    source_index: u64,
    lag_index: u64,
    lag_seconds: u64,
    keys: u64,
    errors: u64,
    last_error: String,
}

impl Replication {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if !self.args.is_empty() {
            let count = self.args.len();
            return Err(Failure::new(format!("Too many arguments (expected 0, got {count})")));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let status = client.get(PATH, &[]).and_then(|it| it.json::<Status>());
        let status = status.map_err(|it| Failure::new(format!("Error querying agent: {it}")))?;
        if !status.enabled {
            terminal.line("No keys are replicated into this datacenter");
            return Ok(());
        }
        let source = [("Source datacenter:", status.source_datacenter)];
        terminal.line(table::pairs(&source, 1));
        terminal.line("");
        let heading = HEADING.iter().map(|it| (*it).to_owned()).collect();
        let rows = status.prefixes.into_iter().map(Prefix::row);
        terminal.line(table::columns(std::iter::once(heading).chain(rows)));
        Ok(())
    }
}

impl Prefix {
    fn row(self) -> Vec<String> {
        let numbers = [self.keys, self.replicated_index, self.source_index, self.lag_index];
        let lag = format!("{}s", self.lag_seconds);
        let prefix = if self.prefix.is_empty() { "(all keys)".to_owned() } else { self.prefix };
        let numbers = numbers.into_iter().map(|it| it.to_string());
        let row = std::iter::once(prefix).chain(numbers);
        row.chain([lag, self.errors.to_string(), self.last_error]).collect()
    }
}

const HEADING: &[&str] =
    &["Prefix", "Keys", "Replicated", "Source", "Behind", "For", "Errors", "Last error"];

const PATH: &str = "/v1/operator/kv/replication";
