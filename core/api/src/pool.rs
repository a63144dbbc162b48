//! `/v1/agent/join`, `/v1/agent/force-leave`: who is in the pool; and what is told there.

use crate::error::Error;
use crate::event::{self, EventList, Fire};
use crate::keyring::{self, KeyringCall};
use crate::plan::{Call, Plan};
use crate::route::PoolEndpoint;

/// What a client wants of the pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PoolCall {
    /// Join whoever is there.
    Join {
        /// A host, with a port or without.
        address: String,
        /// The pool of all datacenters' servers, instead of this datacenter's agents.
        wan: bool,
    },
    /// A member that has failed is gone for good.
    ForceLeave {
        /// Its name.
        node: String,
        /// Whether it is to be forgotten at once.
        prune: bool,
        /// In the pool of all datacenters' servers.
        wan: bool,
    },
    /// Everybody is told that something happened.
    Fire(Fire),
    /// What happened lately, as far as this agent has heard.
    Events(EventList),
    /// What the members have for keys, or what they do with one.
    Keyring(KeyringCall),
}

pub(crate) fn plan(endpoint: PoolEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    let wan = call.params.get("wan") == Some("1");
    Ok(Plan::Pool(match endpoint {
        PoolEndpoint::Join => PoolCall::Join { address: call.text(), wan },
        PoolEndpoint::ForceLeave => {
            PoolCall::ForceLeave { node: call.text(), prune: call.params.has("prune"), wan }
        }
        PoolEndpoint::Fire => return event::fire(call),
        PoolEndpoint::Events => return event::list(call),
        PoolEndpoint::Keyring => return keyring::plan(call),
    }))
}
