//! What a request to the agent does.

use tribune_agent::{ChangeSeq, Local, Origin};
use tribune_base::time::Instant;

use super::{AgentCall, NodeFacts, health, itself, render};
use crate::error::Error;
use crate::http::Response;
use crate::pretty;

/// Do what `call` asks for, and say so.
///
/// With a number, the response says more than is certain: hold it back until
/// [`Local::is_settled`] says that this change has been saved and synced. [`AgentCall::Leave`]
/// and [`AgentCall::Reload`] are only acknowledged here; doing it is up to the caller.
pub fn perform(
    call: AgentCall,
    local: &mut Local,
    facts: &NodeFacts,
    now: Instant,
) -> (Response, Option<ChangeSeq>) {
    match call {
        AgentCall::Itself { .. }
        | AgentCall::Version { .. }
        | AgentCall::Members { .. }
        | AgentCall::Services { .. }
        | AgentCall::Service { .. }
        | AgentCall::Checks { .. }
        | AgentCall::HealthById { .. }
        | AgentCall::HealthByName { .. } => (look(&call, local, facts), None),
        AgentCall::Leave | AgentCall::Reload => (Response::empty(200), None),
        AgentCall::RegisterService { .. }
        | AgentCall::DeregisterService { .. }
        | AgentCall::ServiceMaintenance { .. }
        | AgentCall::Maintenance { .. }
        | AgentCall::RegisterCheck { .. }
        | AgentCall::DeregisterCheck { .. }
        | AgentCall::UpdateTtl { .. } => match change(call, local, now) {
            Ok(seq) => (Response::empty(200), seq),
            Err(error) => (error.into(), None),
        },
    }
}

/// Answer without changing anything.
fn look(call: &AgentCall, local: &Local, facts: &NodeFacts) -> Response {
    let (json, pretty) = match call {
        AgentCall::Itself { pretty } => (itself::itself(facts), *pretty),
        AgentCall::Version { pretty } => (itself::version(facts), *pretty),
        AgentCall::Members { wan, filter, pretty } => {
            let members = if *wan { &facts.members_wan } else { &facts.members };
            (render::members(members, filter.as_ref()), *pretty)
        }
        AgentCall::Services { filter, pretty } => {
            (render::services(&local.services().collect::<Vec<_>>(), filter.as_ref()), *pretty)
        }
        AgentCall::Checks { filter, pretty } => {
            (render::checks(&local.checks().collect::<Vec<_>>(), filter.as_ref()), *pretty)
        }
        AgentCall::Service { id, pretty } => {
            let Some(service) = local.service(id) else {
                return Error::not_found(format!("unknown service ID: {id}")).into();
            };
            let (json, hash) = render::service_with_hash(service);
            let response = pretty::response(200, json.finish(), *pretty);
            return response.with_header("X-Consul-ContentHash", hash);
        }
        AgentCall::HealthById { id, text, pretty } => {
            return health::by_id(local, id, *text, *pretty);
        }
        AgentCall::HealthByName { name, text, pretty } => {
            return health::by_name(local, name, *text, *pretty);
        }
        AgentCall::RegisterService { .. }
        | AgentCall::DeregisterService { .. }
        | AgentCall::ServiceMaintenance { .. }
        | AgentCall::Maintenance { .. }
        | AgentCall::RegisterCheck { .. }
        | AgentCall::DeregisterCheck { .. }
        | AgentCall::UpdateTtl { .. }
        | AgentCall::Leave
        | AgentCall::Reload => panic!("not a look: {call:?}"),
    };
    pretty::response(200, json.finish(), pretty)
}

/// Change services and checks. Removing what is not there is done already.
fn change(call: AgentCall, local: &mut Local, now: Instant) -> Result<Option<ChangeSeq>, Error> {
    let why = |enable: bool, reason| enable.then_some(reason);
    let seq = match call {
        AgentCall::RegisterService { definition, replace_checks } => {
            local.register_service(now, *definition, Origin::Api, replace_checks)?
        }
        AgentCall::RegisterCheck { definition } => {
            local.register_check(now, *definition, Origin::Api)?
        }
        AgentCall::DeregisterService { id } => return Ok(local.deregister_service(now, &id)),
        AgentCall::DeregisterCheck { id } => return Ok(local.deregister_check(now, &id)),
        AgentCall::ServiceMaintenance { id, enable, reason } => {
            local.set_service_maintenance(now, &id, why(enable, reason.as_str()))?
        }
        AgentCall::Maintenance { enable, reason } => {
            local.set_node_maintenance(now, why(enable, reason.as_str()))
        }
        AgentCall::UpdateTtl { id, status, output } => {
            local.update_check(now, &id, status, &output)?
        }
        AgentCall::Itself { .. }
        | AgentCall::Version { .. }
        | AgentCall::Members { .. }
        | AgentCall::Services { .. }
        | AgentCall::Service { .. }
        | AgentCall::Checks { .. }
        | AgentCall::HealthById { .. }
        | AgentCall::HealthByName { .. }
        | AgentCall::Leave
        | AgentCall::Reload => panic!("not a change: {call:?}"),
    };
    Ok(Some(seq))
}
