//! `tribune kv export`

use clap::Args;

use super::get::found;
use super::{Entry, Pair, key, path};
use crate::cli::client::Client;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};
use crate::cli::version::indented;

/// Write keys out as JSON
#[derive(Args, Debug)]
pub(crate) struct Export {
    #[command(flatten)]
    target: Target,
    #[arg(value_name = "KEY_OR_PREFIX")]
    args: Vec<String>,
}

impl Export {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let prefix = match self.args.as_slice() {
            [] => "",
            [argument] => key(argument),
            args => {
                let count = args.len();
                return Err(Failure::new(format!("Too many arguments (expected 1, got {count})")));
            }
        };
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let reply = client.get(&path(prefix), &[("recurse", "")]);
        let reply = reply.map_err(|error| format!("Error querying Consul agent: {error}"))?;
        let pairs: Vec<Pair> =
            found(reply).map_err(|error| format!("Error querying Consul agent: {error}"))?;
        let entry =
            |it: Pair| Entry { key: it.key, flags: it.flags, value: it.value.unwrap_or_default() };
        let entries: Vec<_> = pairs.into_iter().map(entry).collect();
        terminal.line(indented(&entries, b"\t"));
        Ok(())
    }
}
