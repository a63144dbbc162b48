//! `/v1/agent/health/service/*`: a status code that load balancers understand.

use tribune_agent::{Local, ServiceHealth};
use tribune_state::Status;

use super::render;
use crate::http::{Content, Response};
use crate::pretty;
use crate::render::{self as rows, ARRAY, Json};

pub(super) fn by_id(local: &Local, id: &str, text: bool, pretty: bool) -> Response {
    let Some(health) = local.health_of_service(id) else {
        let body = r#"{"AggregatedStatus":"critical","Service":null,"Checks":null}"#;
        let why = format!("ServiceId {id} not found");
        return response(404, &why, body.into(), text, pretty);
    };
    let mut json = Json::with_capacity(1024);
    write(&mut json, &health);
    response(code(health.status), health.status.as_str(), json.finish(), text, pretty)
}

pub(super) fn by_name(local: &Local, name: &str, text: bool, pretty: bool) -> Response {
    let all = local.health_of_services_named(name);
    let Some(worst) = all.iter().map(|it| it.status).max() else {
        let why = format!("ServiceName {name} Not Found");
        return response(404, &why, b"[]".into(), text, pretty);
    };
    let mut json = Json::with_capacity(1024);
    json.list(ARRAY, &all, write);
    response(code(worst), worst.as_str(), json.finish(), text, pretty)
}

/// The answer, or only why it is as it is.
fn response(status: u16, why: &str, json: Vec<u8>, text: bool, pretty: bool) -> Response {
    let response = if text {
        let body = why.to_owned().into();
        Response { content: Content::Text, body, ..Response::empty(status) }
    } else {
        pretty::response(status, json, pretty)
    };
    response.with_header("X-Consul-Reason", why.to_owned())
}

const fn code(status: Status) -> u16 {
    match status {
        Status::Passing => 200,
        Status::Warning => 429,
        Status::Critical | Status::Maintenance => 503,
    }
}

fn write(json: &mut Json, health: &ServiceHealth<'_>) {
    json.field(r#"{"AggregatedStatus":"#, health.status.as_str());
    json.raw(r#","Service":"#);
    render::service(json, health.service);
    json.raw(r#","Checks":"#);
    json.list(ARRAY, health.checks.iter().copied(), rows::check);
    json.raw("}");
}
