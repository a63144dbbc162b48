//! `tribune operator`: the servers themselves.

mod autopilot;
mod raft;
mod settings;

use clap::Subcommand;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal};

/// Look after the servers. Take care: a wrong word here can cost the quorum, and with it data
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Look at the care for servers, and change its settings
    #[command(subcommand)]
    Autopilot(autopilot::Autopilot),
    /// Look at the servers in consensus, and change them
    #[command(subcommand)]
    Raft(raft::Raft),
}

impl Operator {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::Autopilot(command) => command.run(terminal),
            Self::Raft(command) => command.run(terminal),
        }
    }
}

fn connect(target: &Target, terminal: &Terminal<'_>) -> Result<Client, Failure> {
    let client = Client::new(target, terminal);
    Ok(client.map_err(|error| format!("Error initializing client: {error}"))?)
}
