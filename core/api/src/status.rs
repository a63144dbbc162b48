//! `/v1/status/*`: what consensus knows; and what every write is told.

use tribune_state::Outcome;

use crate::error::Error;
use crate::http::Response;
use crate::plan::{Call, Plan};
use crate::pretty;
use crate::render::{Json, strings};
use crate::route::StatusEndpoint;

/// A question to consensus.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum StatusCall {
    /// Who leads.
    Leader {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// Who votes.
    Peers {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
}

impl StatusCall {
    /// The answer. Addresses are those for remote procedure calls, as `ip:port`; `peers` in order.
    pub fn response(self, leader: Option<&str>, peers: &[String]) -> Response {
        let mut json = Json::with_capacity(64);
        let pretty = match self {
            Self::Leader { pretty } => {
                json.string(leader.unwrap_or_default());
                pretty
            }
            Self::Peers { pretty } => {
                strings(&mut json, peers);
                pretty
            }
        };
        pretty::response(200, json.finish(), pretty)
    }
}

pub(crate) fn plan(endpoint: StatusEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    if let Some(plan) = call.remote() {
        return Ok(plan);
    }
    let pretty = call.pretty();
    Ok(Plan::Status(match endpoint {
        StatusEndpoint::Leader => StatusCall::Leader { pretty },
        StatusEndpoint::Peers => StatusCall::Peers { pretty },
    }))
}
