//! `tribune join`

use clap::Args;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Tell the agent to join a cluster
#[derive(Args, Debug)]
pub(crate) struct Join {
    /// Join a server of another datacenter.
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    target: Target,
    /// Members of the cluster.
    #[arg(value_name = "address")]
    args: Vec<String>,
}

impl Join {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if self.args.is_empty() {
            let message = "At least one address to join must be specified.";
            return Err(Failure::new(message).with_usage(Usage::Err));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let query: &[_] = if self.wan { &[("wan", "1")] } else { &[] };
        let mut joined = 0;
        for address in &self.args {
            let join = client.put(&format!("/v1/agent/join/{address}"), query, "");
            match join.and_then(|it| it.ok()) {
                Ok(_) => joined += 1,
                Err(error) => terminal.note(format!("Error joining address '{address}': {error}")),
            }
        }
        // One member is enough: it knows the others.
        if joined == 0 {
            return Err(Failure::silent(1));
        }
        terminal.line(format!("Successfully joined cluster by contacting {joined} nodes."));
        Ok(())
    }
}
