//! `/v1/status/*`: what consensus knows; and what every write is told.

use tribune_state::Outcome;

use crate::error::Error;
use crate::http::Response;
use crate::plan::{Call, Plan};
use crate::pretty;
use crate::render::{ARRAY, Json, strings};
use crate::route::StatusEndpoint;

/// A question to what a server knows without looking into the state.
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
    /// Which datacenters there are.
    Datacenters {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
}

impl StatusCall {
    /// The answer. Addresses are those for remote procedure calls, as `ip:port`; `peers` and
    /// `datacenters` in order.
    pub fn response(
        self,
        leader: Option<&str>,
        peers: &[String],
        datacenters: &[&str],
    ) -> Response {
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
            Self::Datacenters { pretty } => {
                json.list(ARRAY, datacenters, |json, it| json.string(it));
                pretty
            }
        };
        pretty::response(200, json.finish(), pretty)
    }
}

/// What a client is told about a write.
pub(crate) fn written(outcome: Outcome, pretty: bool) -> Response {
    match outcome {
        Outcome::Done(done) => {
            let text = if done { "true" } else { "false" };
            pretty::response(200, text.into(), pretty)
        }
        Outcome::Refused(refusal) => Error::from(refusal).into(),
        Outcome::Batch(_) | Outcome::Ignored => {
            panic!("a request is one command, and of this release")
        }
    }
}

/// `answer`, if the write was done, and otherwise why not.
pub(crate) fn done(outcome: Outcome, answer: impl FnOnce() -> Response) -> Response {
    match outcome {
        Outcome::Done(_) => answer(),
        refused @ (Outcome::Refused(_) | Outcome::Batch(_) | Outcome::Ignored) => {
            written(refused, false)
        }
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
