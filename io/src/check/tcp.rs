//! Checks that only want to be let in.

use tokio::time;
use tribune_agent::CheckOutcome;
use tribune_base::time::Duration;

use super::{connect, critical, passing};

/// Connect to `address` and hang up.
pub(super) async fn run(address: &str, timeout: Duration) -> CheckOutcome {
    match time::timeout(timeout, connect::connect(address)).await {
        Ok(Ok(_)) => passing(format!("TCP connect {address}: Success")),
        Ok(Err(error)) => critical(error.to_string()),
        Err(_) => critical(format!("dial tcp {address}: i/o timeout")),
    }
}
