//! `tribune force-leave`

use clap::Args;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Let a member go that will not come back
#[derive(Args, Debug)]
pub(crate) struct ForceLeave {
    /// Forget it at once, rather than listing it as left.
    #[arg(long)]
    prune: bool,
    /// In the pool of all datacenters' servers, where it is called `node.datacenter`.
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    target: Target,
    /// The member.
    #[arg(value_name = "name")]
    args: Vec<String>,
}

impl ForceLeave {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let [name] = self.args.as_slice() else {
            let message = "A single node name must be specified to force leave.";
            return Err(Failure::new(message).with_usage(Usage::Err));
        };
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let wanted = [(self.prune, ("prune", "1")), (self.wan, ("wan", "1"))];
        let query: Vec<_> = wanted.iter().filter(|it| it.0).map(|it| it.1).collect();
        let left = client.put(&format!("/v1/agent/force-leave/{name}"), &query, "");
        left.and_then(|it| it.ok()).map_err(|error| format!("Error force leaving: {error}"))?;
        Ok(())
    }
}
