//! `/v1/agent/*`: what this agent itself knows and does.

mod facts;
mod health;
mod itself;
mod perform;
mod plan;
mod render;

use tribune_agent::{CheckDefinition, ServiceDefinition};
use tribune_state::Status;

use crate::filter::Filter;

pub use facts::{Member, MemberStatus, NodeFacts};
pub use perform::perform;
pub(crate) use plan::plan;

/// A request to the agent itself.
///
/// [`perform`] answers all of them. Two do more than change [`Local`](tribune_agent::Local), and
/// that is the caller's: [`Leave`](Self::Leave), and [`Reload`](Self::Reload), which is of those who
/// know where the configuration is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AgentCall {
    /// `/v1/agent/self`.
    Itself {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/version`.
    Version {
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/members`.
    Members {
        /// The servers of all datacenters instead of the agents of this one.
        wan: bool,
        /// Which.
        filter: Option<Filter>,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/services`.
    Services {
        /// Which.
        filter: Option<Filter>,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/service/<id>`.
    Service {
        /// Its id.
        id: String,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/checks`.
    Checks {
        /// Which.
        filter: Option<Filter>,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/health/service/id/<id>`.
    HealthById {
        /// The service's id.
        id: String,
        /// Whether only the status is wanted, as text.
        text: bool,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/health/service/name/<name>`.
    HealthByName {
        /// The services' name.
        name: String,
        /// Whether only the worst status is wanted, as text.
        text: bool,
        /// Whether the client wants its JSON indented.
        pretty: bool,
    },
    /// `/v1/agent/service/register`.
    RegisterService {
        /// The service.
        definition: Box<ServiceDefinition>,
        /// Whether its checks that are not mentioned go.
        replace_checks: bool,
    },
    /// `/v1/agent/service/deregister/<id>`.
    DeregisterService {
        /// Its id.
        id: String,
    },
    /// `/v1/agent/service/maintenance/<id>`.
    ServiceMaintenance {
        /// Its id.
        id: String,
        /// Into maintenance, or out of it.
        enable: bool,
        /// Why.
        reason: String,
    },
    /// `/v1/agent/maintenance`.
    Maintenance {
        /// Into maintenance, or out of it.
        enable: bool,
        /// Why.
        reason: String,
    },
    /// `/v1/agent/check/register`.
    RegisterCheck {
        /// The check.
        definition: Box<CheckDefinition>,
    },
    /// `/v1/agent/check/deregister/<id>`.
    DeregisterCheck {
        /// Its id.
        id: String,
    },
    /// `/v1/agent/check/{pass,warn,fail,update}/<id>`.
    UpdateTtl {
        /// The check's id.
        id: String,
        /// Passing, warning or critical.
        status: Status,
        /// What the check says.
        output: String,
    },
    /// `/v1/agent/leave`. The caller leaves the cluster once the answer is out.
    Leave,
    /// `/v1/agent/reload`. The caller reads the configuration again, then answers.
    Reload,
}
