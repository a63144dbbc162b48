//! `tribune operator raft`: who is in consensus.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::super::table;
use super::super::target::Target;
use super::super::terminal::{Failure, Terminal};
use super::connect;

/// Look at the servers in consensus, and change them
#[derive(Debug, Subcommand)]
pub(crate) enum Raft {
    ListPeers(ListPeers),
    RemovePeer(RemovePeer),
    TransferLeader(TransferLeader),
}

impl Raft {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::ListPeers(command) => command.run(terminal),
            Self::RemovePeer(command) => command.run(terminal),
            Self::TransferLeader(command) => command.run(terminal),
        }
    }
}

/// List the servers in consensus
#[derive(Args, Debug)]
pub(crate) struct ListPeers {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    servers: Vec<Peer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Peer {
    #[serde(rename = "ID")]
    id: String,
    node: String,
    address: String,
    leader: bool,
    voter: bool,
    protocol_version: String,
}

impl ListPeers {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let client = connect(&self.target, terminal)?;
        let servers = client.get("/v1/operator/raft/configuration", &[]).and_then(|it| it.json());
        let configuration: Configuration = servers.map_err(|error| {
            format!("Error getting peers: Failed to retrieve raft configuration: {error}")
        })?;
        let heading = HEADING.iter().map(|it| (*it).to_owned()).collect();
        let rows = configuration.servers.into_iter().map(Peer::row);
        terminal.line(table::columns(std::iter::once(heading).chain(rows)));
        Ok(())
    }
}

impl Peer {
    fn row(self) -> Vec<String> {
        let part = if self.leader { "leader" } else { "follower" };
        let [part, voter] = [part.to_owned(), self.voter.to_string()];
        vec![self.node, self.id, self.address, part, voter, self.protocol_version]
    }
}

/// Remove a server from consensus, where it was left behind by a server that is gone for good
#[derive(Args, Debug)]
pub(crate) struct RemovePeer {
    /// Where the server to remove listens for other servers, as `ip:port`.
    #[arg(long, default_value = "", value_name = "string")]
    address: String,
    /// The id of the server to remove.
    #[arg(long, default_value = "", value_name = "string")]
    id: String,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl RemovePeer {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let client = connect(&self.target, terminal)?;
        let (kind, name) = match (self.id.as_str(), self.address.as_str()) {
            ("", "") => {
                let why = "an address or id is required for the peer to remove";
                return Err(Failure::new(format!("Error removing peer: {why}")));
            }
            (id, "") => ("id", id),
            ("", address) => ("address", address),
            (_, _) => {
                let why = "cannot give both an address and id";
                return Err(Failure::new(format!("Error removing peer: {why}")));
            }
        };
        let removed = client.delete("/v1/operator/raft/peer", &[(kind, name)]);
        removed.and_then(|it| it.ok()).map_err(|error| format!("Error removing peer: {error}"))?;
        terminal.line(format!("Removed peer with {kind} {name:?}"));
        Ok(())
    }
}

/// Hand leadership over to another server
#[derive(Args, Debug)]
pub(crate) struct TransferLeader {
    /// The id of the server that shall lead. [default: whichever is furthest]
    #[arg(long, default_value = "", value_name = "string")]
    id: String,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Transferred {
    success: bool,
}

impl TransferLeader {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let client = connect(&self.target, terminal)?;
        let to = [("id", self.id.as_str())];
        let query = if self.id.is_empty() { &[][..] } else { &to };
        let done = client.put("/v1/operator/raft/transfer-leader", query, "");
        let done: Transferred = done
            .and_then(|it| it.json())
            .map_err(|error| format!("Error transferring leadership: {error}"))?;
        if !done.success {
            return Err(Failure::new("Error transferring leadership: nobody took it"));
        }
        terminal.line("Success");
        Ok(())
    }
}

const HEADING: &[&str] = &["Node", "ID", "Address", "State", "Voter", "RaftProtocol"];
