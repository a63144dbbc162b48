//! `tribune kv`: keys and values.

mod delete;
mod export;
mod get;
mod import;
mod put;
mod replication;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use tribune_base::json;

use super::terminal::{Failure, Terminal};

/// Read and write keys
#[derive(Debug, Subcommand)]
pub(crate) enum Kv {
    Delete(delete::Delete),
    Export(export::Export),
    Get(get::Get),
    Import(import::Import),
    Put(put::Put),
    Replication(replication::Replication),
}

impl Kv {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::Delete(command) => command.run(terminal),
            Self::Export(command) => command.run(terminal),
            Self::Get(command) => command.run(terminal),
            Self::Import(command) => command.run(terminal),
            Self::Put(command) => command.run(terminal),
            Self::Replication(command) => command.run(terminal),
        }
    }
}

/// A key as the API shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pair {
    key: String,
    create_index: u64,
    modify_index: u64,
    lock_index: u64,
    flags: u64,
    #[serde(default)]
    session: Option<String>,
    /// In base64; `null` if empty.
    #[serde(default)]
    value: Option<String>,
}

/// A key as `kv export` writes it and `kv import` reads it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    key: String,
    #[serde(default)]
    flags: u64,
    /// In base64.
    #[serde(default)]
    value: String,
}

impl Pair {
    fn value(&self) -> Vec<u8> {
        json::base64_decode(self.value.as_deref().unwrap_or_default()).unwrap_or_default()
    }
}

/// People write `/web/port`, but keys begin without a slash.
fn key(argument: &str) -> &str {
    argument.strip_prefix('/').unwrap_or(argument)
}

fn path(key: &str) -> String {
    format!("/v1/kv/{key}")
}
