//! Requests to the agent, parsed.

use tribune_agent::{CheckDefinition, ServiceDefinition};
use tribune_state::Status;

use super::AgentCall;
use crate::body::{self, Field};
use crate::error::Error;
use crate::filter::Rows;
use crate::params;
use crate::plan::{Call, Plan};
use crate::route::AgentEndpoint;

pub(crate) fn plan(endpoint: AgentEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    let pretty = call.pretty();
    let filter = |rows| call.params.filter(rows);
    let call = match endpoint {
        AgentEndpoint::Itself => AgentCall::Itself { pretty },
        AgentEndpoint::Version => AgentCall::Version { pretty },
        AgentEndpoint::Members => {
            let wan = call.params.filled("wan").is_some();
            AgentCall::Members { wan, filter: filter(Rows::Members)?, pretty }
        }
        AgentEndpoint::Services => AgentCall::Services { filter: filter(Rows::Services)?, pretty },
        AgentEndpoint::Service => AgentCall::Service { id: call.text(), pretty },
        AgentEndpoint::Checks => AgentCall::Checks { filter: filter(Rows::Checks)?, pretty },
        AgentEndpoint::HealthById => {
            let id = call.name("Bad request: Missing serviceID")?;
            AgentCall::HealthById { id, text: wants_text(call), pretty }
        }
        AgentEndpoint::HealthByName => {
            let name = call.name("Bad request: Missing service Name")?;
            AgentCall::HealthByName { name, text: wants_text(call), pretty }
        }
        AgentEndpoint::RegisterService => register_service(call)?,
        AgentEndpoint::DeregisterService => {
            AgentCall::DeregisterService { id: call.name("ServiceID missing")? }
        }
        AgentEndpoint::ServiceMaintenance => {
            let id = call.name("Missing service ID")?;
            let (enable, reason) = maintenance(call)?;
            AgentCall::ServiceMaintenance { id, enable, reason }
        }
        AgentEndpoint::Maintenance => {
            let (enable, reason) = maintenance(call)?;
            AgentCall::Maintenance { enable, reason }
        }
        AgentEndpoint::RegisterCheck => {
            let definition = Box::new(CheckDefinition::from_json(&call.request.body)?);
            AgentCall::RegisterCheck { definition }
        }
        AgentEndpoint::DeregisterCheck => {
            AgentCall::DeregisterCheck { id: call.name("CheckID missing")? }
        }
        AgentEndpoint::PassCheck => report(call, Status::Passing),
        AgentEndpoint::WarnCheck => report(call, Status::Warning),
        AgentEndpoint::FailCheck => report(call, Status::Critical),
        AgentEndpoint::UpdateCheck => update(call)?,
        AgentEndpoint::Leave => AgentCall::Leave,
        AgentEndpoint::Reload => AgentCall::Reload,
    };
    Ok(Plan::Agent(call))
}

fn register_service(call: &Call<'_>) -> Result<AgentCall, Error> {
    let name = "replace-existing-checks";
    let replace_checks = match call.params.get(name) {
        None => false,
        Some("") => true,
        Some(text) => params::parse_bool(text)
            .ok_or_else(|| Error::bad(format!("Invalid value for {name}: {text:?}")))?,
    };
    let definition = Box::new(ServiceDefinition::from_json(&call.request.body)?);
    Ok(AgentCall::RegisterService { definition, replace_checks })
}

/// Into maintenance or out of it, and why.
fn maintenance(call: &Call<'_>) -> Result<(bool, String), Error> {
    let text = call.params.get("enable").ok_or_else(|| Error::bad("Missing value for enable"))?;
    let invalid = || Error::bad(format!("Invalid value for enable: {text:?}"));
    let enable = params::parse_bool(text).ok_or_else(invalid)?;
    Ok((enable, call.params.get("reason").unwrap_or_default().to_owned()))
}

/// A report in the path, with an optional note.
fn report(call: &Call<'_>, status: Status) -> AgentCall {
    let output = call.params.get("note").unwrap_or_default().to_owned();
    AgentCall::UpdateTtl { id: call.text(), status, output }
}

/// A report in the body.
fn update(call: &Call<'_>) -> Result<AgentCall, Error> {
    let body = body::parse(&call.request.body)?;
    let (mut word, mut output) = (String::new(), String::new());
    Field::body(&body).each("agent.checkUpdate", |name, field| {
        match name {
            "status" => word = field.string()?,
            "output" => output = field.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let invalid = |_| Error::bad(format!("Invalid check status: '{word}'"));
    let status = word.parse().map_err(invalid)?;
    Ok(AgentCall::UpdateTtl { id: call.text(), status, output })
}

fn wants_text(call: &Call<'_>) -> bool {
    call.params.get("format") == Some("text") || call.request.wants_text
}
