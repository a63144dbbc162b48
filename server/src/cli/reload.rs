//! `tribune reload`

use clap::Args;

use super::order::Order;
use super::terminal::{Failure, Terminal};

/// Have the agent read its configuration files again
#[derive(Args, Debug)]
pub(crate) struct Reload {
    #[command(flatten)]
    order: Order,
}

impl Reload {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let texts = ("reloading", "Configuration reload triggered");
        self.order.give(terminal, "/v1/agent/reload", texts)
    }
}
