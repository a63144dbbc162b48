//! `tribune kv put`

use clap::Args;
use tribune_base::json;

use super::path;
use crate::cli::client::Client;
use crate::cli::target::Target;
use crate::cli::terminal::{Failure, Terminal};

/// Set or update a key
#[derive(Args, Debug)]
pub(crate) struct Put {
    /// Lock the key for the session of -session, creating it if need be.
    #[arg(long)]
    acquire: bool,
    /// The data is in base64.
    #[arg(long)]
    base64: bool,
    /// Only if the key is as old as -modify-index says; 0 means: only if there is none.
    #[arg(long)]
    cas: bool,
    /// A number to keep beside the value.
    #[arg(long, default_value_t = 0, value_name = "uint")]
    flags: u64,
    /// What -cas compares with.
    #[arg(long, value_name = "uint")]
    modify_index: Option<u64>,
    /// Unlock the key, which the session of -session holds.
    #[arg(long)]
    release: bool,
    /// The session of -acquire and -release.
    #[arg(long, value_name = "string")]
    session: Option<String>,
    #[command(flatten)]
    target: Target,
    /// The data: itself, @file, or - for the standard input.
    #[arg(value_names = ["KEY", "DATA"])]
    args: Vec<String>,
}

impl Put {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let (key, data) = self.arguments(terminal).map_err(|it| format!("Error! {it}"))?;
        let session = self.session.as_deref().filter(|it| !it.is_empty());
        if session.is_none() && (self.acquire || self.release) {
            let message = "Error! Missing -session (required with -acquire and -release)";
            return Err(Failure::new(message));
        }
        let flags = self.flags.to_string();
        let index = self.modify_index.map(|it| it.to_string());
        let mut query = Vec::new();
        if 0 < self.flags {
            query.push(("flags", flags.as_str()));
        }
        let how = if self.cas {
            let index = index.as_deref().ok_or_else(|| Failure::new(MISSING_INDEX))?;
            query.push(("cas", index));
            How::Cas
        } else if self.acquire {
            query.push(("acquire", session.unwrap_or_default()));
            How::Acquire
        } else if self.release {
            query.push(("release", session.unwrap_or_default()));
            How::Release
        } else {
            How::Plain
        };
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error! Failed connecting: {error}"))?;
        let reply = client.put(&path(&key), &query, data);
        match (how, reply.and_then(|it| it.held())) {
            (How::Cas, Err(error)) => Err(format!("Error! Did not write to {key}: {error}").into()),
            (_, Err(error)) => Err(format!("Error! Failed writing data: {error}").into()),
            (How::Cas, Ok(false)) => {
                Err(format!("Error! Did not write to {key}: CAS failed").into())
            }
            (How::Acquire, Ok(false)) => Err(Failure::new("Error! Did not acquire lock")),
            (How::Release, Ok(false)) => Err(Failure::new("Error! Did not release lock")),
            (How::Plain, Ok(false)) => Err(format!("Error! Did not write to {key}").into()),
            (How::Acquire, Ok(true)) => {
                terminal.line(format!("Success! Lock acquired on: {key}"));
                Ok(())
            }
            (How::Release, Ok(true)) => {
                terminal.line(format!("Success! Lock released on: {key}"));
                Ok(())
            }
            (How::Plain | How::Cas, Ok(true)) => {
                terminal.line(format!("Success! Data written to: {key}"));
                Ok(())
            }
        }
    }

    fn arguments(&self, terminal: &mut Terminal<'_>) -> Result<(String, Vec<u8>), String> {
        let (name, argument) = match self.args.as_slice() {
            [] => return Err("Missing KEY argument".to_owned()),
            [key] => (key, ""),
            [key, data] => (key, data.as_str()),
            args => {
                let count = args.len();
                return Err(format!("Too many arguments (expected 1 or 2, got {count})"));
            }
        };
        // Reading forgives it. Writing would write another key than the one that was meant.
        if name.starts_with('/') {
            let why = "Invalid key. Key must not begin with a '/'";
            return Err(format!("Failed writing data: {why}: {name}"));
        }
        let mut data = terminal.data(argument)?;
        if self.base64 {
            data = json::base64_decode(&String::from_utf8_lossy(&data))
                .map_err(|error| format!("Cannot base 64 decode data: {error}"))?;
        }
        Ok((name.clone(), data))
    }
}

#[derive(Clone, Copy)]
enum How {
    Plain,
    Cas,
    Acquire,
    Release,
}

pub(super) const MISSING_INDEX: &str = "Must specify -modify-index with -cas!";
