//! `tribune kv delete`

use clap::Args;

use super::put::MISSING_INDEX;
use super::{key, path};
use crate::cli::client::Client;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};

/// Remove keys
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Only if the key is as old as -modify-index says.
    #[arg(long)]
    cas: bool,
    /// What -cas compares with; more than 0.
    #[arg(long, default_value_t = 0, value_name = "uint")]
    modify_index: u64,
    /// Remove all keys that begin like this one.
    #[arg(long)]
    recurse: bool,
    #[command(flatten)]
    target: Target,
    #[arg(value_name = "KEY_OR_PREFIX")]
    args: Vec<String>,
}

impl Delete {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let key = match self.args.as_slice() {
            [] => "",
            [argument] => key(argument),
            args => {
                let count = args.len();
                return Err(Failure::new(format!("Too many arguments (expected 1, got {count})")));
            }
        };
        if key.is_empty() && !self.recurse {
            return Err(Failure::new("Error! Missing KEY argument"));
        }
        if self.cas && self.recurse {
            return Err(Failure::new("Cannot specify both -cas and -recurse!"));
        }
        if self.cas && self.modify_index == 0 {
            return Err(Failure::new(MISSING_INDEX));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let index = self.modify_index.to_string();
        let (query, what): (Vec<_>, _) = if self.recurse {
            (vec![("recurse", "")], "prefix")
        } else if self.cas {
            (vec![("cas", index.as_str())], "key")
        } else {
            (Vec::new(), "key")
        };
        let deleted = client.delete(&path(key), &query).and_then(|it| it.held());
        match deleted {
            Err(error) => Err(format!("Error! Did not delete {what} {key}: {error}").into()),
            Ok(false) if self.cas => {
                Err(format!("Error! Did not delete key {key}: CAS failed").into())
            }
            Ok(_) if self.recurse => {
                terminal.line(format!("Success! Deleted keys with prefix: {key}"));
                Ok(())
            }
            Ok(_) => {
                terminal.line(format!("Success! Deleted key: {key}"));
                Ok(())
            }
        }
    }
}
