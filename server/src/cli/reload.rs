//! `tribune reload`

use clap::Args;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Have the agent read its configuration files again
#[derive(Args, Debug)]
pub(crate) struct Reload {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Reload {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if !self.args.is_empty() {
            let args = self.args.join(" ");
            let failure = Failure::new(format!("Error found unexpected args: [{args}]"));
            return Err(failure.with_usage(Usage::Out));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let reloaded = client.put("/v1/agent/reload", &[], "").and_then(|it| it.ok());
        reloaded.map_err(|error| format!("Error reloading: {error}"))?;
        terminal.line("Configuration reload triggered");
        Ok(())
    }
}
