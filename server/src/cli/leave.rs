//! `tribune leave`

use clap::Args;

use super::order::Order;
use super::terminal::{Failure, Terminal};

/// Gracefully leave the cluster and shut down
#[derive(Args, Debug)]
pub(crate) struct Leave {
    #[command(flatten)]
    order: Order,
}

impl Leave {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        self.order.give(terminal, "/v1/agent/leave", ("leaving", "Graceful leave complete"))
    }
}
