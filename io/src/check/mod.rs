//! Health checks, performed: look, within a time, and always say what came out.
//!
//! [`run`] is the only way in. What an outcome means for a service is `tribune_agent`'s business.

mod connect;
mod http;
mod script;
mod tcp;
mod udp;
mod url;

use tribune_agent::{CheckOutcome, CheckSpec};
use tribune_base::time::Duration;
use tribune_state::Status;

/// Perform one check. Takes no longer than `timeout`, give or take what it takes to give up, and
/// that is an outcome too: critical. Dropping the future ends whatever it has started.
pub async fn run(spec: &CheckSpec, timeout: Duration) -> CheckOutcome {
    match spec {
        CheckSpec::Http { .. } => http::run(spec, timeout).await,
        CheckSpec::Tcp { tls: true, .. } => {
            critical("TLS checks are not supported by this agent".to_owned())
        }
        CheckSpec::Tcp { address, tls: false } => tcp::run(address, timeout).await,
        CheckSpec::Udp { address } => udp::run(address, timeout).await,
        CheckSpec::Script { args, output_max } => script::run(args, *output_max, timeout).await,
    }
}

fn critical(output: String) -> CheckOutcome {
    CheckOutcome { status: Status::Critical, output }
}

fn passing(output: String) -> CheckOutcome {
    CheckOutcome { status: Status::Passing, output }
}

#[cfg(test)]
mod tests;
