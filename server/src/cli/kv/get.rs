//! `tribune kv get`

use clap::Args;

use super::{Pair, key, path};
use crate::cli::client::{Client, Reply, RequestError};
use crate::cli::table;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};

/// Retrieve or list keys
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// Show the value in base64.
    #[arg(long)]
    base64: bool,
    /// Show everything there is to know about the key.
    #[arg(long)]
    detailed: bool,
    /// List the keys that begin like this one, without their values.
    #[arg(long)]
    keys: bool,
    /// Show all keys that begin like this one.
    #[arg(long)]
    recurse: bool,
    /// Where -keys stops going deeper.
    #[arg(long, default_value = "/", value_name = "string")]
    separator: String,
    #[command(flatten)]
    target: Target,
    #[arg(value_name = "KEY_OR_PREFIX")]
    args: Vec<String>,
}

impl Get {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let key = match self.args.as_slice() {
            [] => "",
            [argument] => key(argument),
            args => {
                let count = args.len();
                return Err(Failure::new(format!("Too many arguments (expected 1, got {count})")));
            }
        };
        if key.is_empty() && !self.keys && !self.recurse {
            return Err(Failure::new("Error! Missing KEY argument"));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let failed = |error| Failure::new(format!("Error querying Consul agent: {error}"));
        if self.keys {
            let keys = self.list_keys(&client, key).map_err(failed)?;
            keys.iter().for_each(|it| terminal.line(it));
            return Ok(());
        }
        let query: &[_] = if self.recurse { &[("recurse", "")] } else { &[] };
        let reply = client.get(&path(key), query).map_err(|error| failed(error.to_string()))?;
        let pairs: Vec<Pair> = found(reply).map_err(failed)?;
        match pairs.as_slice() {
            [] if !self.recurse => Err(Failure::new(format!("Error! No key exists at: {key}"))),
            [pair] if !self.recurse && !self.detailed => {
                _ = terminal.out.write_all(&self.value(pair));
                terminal.line("");
                Ok(())
            }
            pairs => {
                self.show(pairs, terminal);
                Ok(())
            }
        }
    }

    fn list_keys(&self, client: &Client, prefix: &str) -> Result<Vec<String>, String> {
        let mut query = vec![("keys", "")];
        if !self.separator.is_empty() {
            query.push(("separator", &self.separator));
        }
        found(client.get(&path(prefix), &query).map_err(|error| error.to_string())?)
    }

    fn show(&self, pairs: &[Pair], terminal: &mut Terminal<'_>) {
        for (n, pair) in pairs.iter().enumerate() {
            if self.detailed {
                if 0 < n {
                    terminal.line("");
                }
                terminal.line(self.details(pair));
            } else {
                let value = String::from_utf8_lossy(&self.value(pair)).into_owned();
                terminal.line(format!("{}:{value}", pair.key));
            }
        }
    }

    fn details(&self, pair: &Pair) -> String {
        let session = pair.session.clone().filter(|it| !it.is_empty());
        let value = String::from_utf8_lossy(&self.value(pair)).into_owned();
        let rows = [
            ("CreateIndex", pair.create_index.to_string()),
            ("Flags", pair.flags.to_string()),
            ("Key", pair.key.clone()),
            ("LockIndex", pair.lock_index.to_string()),
            ("ModifyIndex", pair.modify_index.to_string()),
            ("Session", session.unwrap_or_else(|| "-".to_owned())),
            ("Value", value),
        ];
        table::pairs(&rows, 6).trim_end_matches(' ').to_owned()
    }

    fn value(&self, pair: &Pair) -> Vec<u8> {
        if self.base64 { pair.value.clone().unwrap_or_default().into_bytes() } else { pair.value() }
    }
}

/// What was found: nothing if the agent says 404. Its other refusals come without its words,
/// because scripts compare them.
pub(super) fn found<T: serde::de::DeserializeOwned>(reply: Reply) -> Result<Vec<T>, String> {
    match reply.status {
        200 => reply.json().map_err(|error: RequestError| error.to_string()),
        404 => Ok(Vec::new()),
        status => Err(format!("Unexpected response code: {status}")),
    }
}
