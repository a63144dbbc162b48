//! Commands that have the agent do something with itself, and take no arguments.

use clap::Args;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// What such a command is given.
#[derive(Args, Debug)]
pub(crate) struct Order {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Order {
    /// Have it done, and say that it was `done`. Failures speak of `doing` it.
    pub(super) fn give(
        &self,
        terminal: &mut Terminal<'_>,
        path: &str,
        (doing, done): (&str, &str),
    ) -> Result<(), Failure> {
        if !self.args.is_empty() {
            let args = self.args.join(" ");
            let failure = Failure::new(format!("Error found unexpected args: [{args}]"));
            return Err(failure.with_usage(Usage::Out));
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let answer = client.put(path, &[], "").and_then(|it| it.ok());
        answer.map_err(|error| format!("Error {doing}: {error}"))?;
        terminal.line(done);
        Ok(())
    }
}
