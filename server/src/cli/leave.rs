//! `tribune leave`

use clap::Args;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Gracefully leave the cluster and shut down
#[derive(Args, Debug)]
pub(crate) struct Leave {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Leave {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if !self.args.is_empty() {
            let args = self.args.join(" ");
            let failure = Failure::new(format!("Error found unexpected args: [{args}]"));
            return Err(failure.with_usage(Usage::Out));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let left = client.put("/v1/agent/leave", &[], "").and_then(|it| it.ok());
        left.map_err(|error| format!("Error leaving: {error}"))?;
        terminal.line("Graceful leave complete");
        Ok(())
    }
}
