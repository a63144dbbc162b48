//! `/v1/health/*`: what checks say.

use tribune_state::{Check, HealthInstance, Snapshot, Status};

use crate::catalog::has_tags;
use crate::error::Error;
use crate::filter::Rows;
use crate::params;
use crate::plan::{Around, Call, Plan, Query, Selection};
use crate::render::{self, ARRAY, Json};
use crate::route::HealthEndpoint;

pub(crate) fn plan(endpoint: HealthEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    match endpoint {
        HealthEndpoint::Node => {
            let node = call.name("Missing node name")?;
            call.read(Query::HealthNode { node, selection: call.selection(Rows::Checks)? })
        }
        HealthEndpoint::Checks => {
            let service = call.name("Missing service name")?;
            call.read(Query::HealthChecks { service, selection: call.selection(Rows::Checks)? })
        }
        HealthEndpoint::Service => {
            let service = call.name("Missing service name")?;
            let passing = match call.params.get("passing") {
                None => false,
                Some("") => true,
                Some(text) => params::parse_bool(text)
                    .ok_or_else(|| Error::bad("Invalid value for ?passing"))?,
            };
            let (tags, selection) = (call.tags(), call.selection(Rows::HealthInstances)?);
            call.read(Query::HealthService { service, tags, passing, selection })
        }
        HealthEndpoint::State => {
            let state = call.name("Missing check state")?;
            call.read(Query::HealthState { state, selection: call.selection(Rows::Checks)? })
        }
    }
}

pub(crate) fn node(
    name: &str,
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    list(snapshot.node_checks(name).1, selection, snapshot, around)
}

pub(crate) fn checks(
    service: &str,
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    list(snapshot.service_checks(service).1, selection, snapshot, around)
}

pub(crate) fn state(
    state: &str,
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    let checks = match (state, state.parse()) {
        ("any", _) => snapshot.checks_in_state(None).1,
        (_, Ok(status)) => snapshot.checks_in_state(Some(status)).1,
        (_, Err(_)) => Vec::new(),
    };
    list(checks, selection, snapshot, around)
}

fn list(
    mut checks: Vec<&Check>,
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    checks.retain(|check| {
        let on_wanted_node = || snapshot.node(&check.node).1.is_some_and(|it| selection.wants(it));
        (selection.node_meta.is_empty() || on_wanted_node()) && selection.accepts(*check)
    });
    selection.sort(&mut checks, around, |it| &it.node);
    let mut json = Json::with_capacity(2 + checks.len() * 320);
    json.list(ARRAY, checks, render::check);
    json
}

pub(crate) fn service(
    name: &str,
    tags: &[String],
    passing: bool,
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    let (_, mut instances) = snapshot.health_service(name);
    instances.retain(|it| {
        (!passing || it.checks.iter().all(|check| check.status == Status::Passing))
            && has_tags(it.service, tags)
            && selection.wants(it.node)
            && selection.accepts(it)
    });
    selection.sort(&mut instances, around, |it| &it.node.name);
    let mut json = Json::with_capacity(2 + instances.len() * 1280).seen_from(selection.afar);
    json.list(ARRAY, &instances, write_instance);
    json
}

/// An instance with its node and its checks.
fn write_instance(json: &mut Json, instance: &HealthInstance<'_>) {
    write_before_checks(json, instance);
    json.list(ARRAY, instance.checks.iter().copied(), render::check);
    json.raw("}");
}

/// An instance as prepared queries show it: if there are no checks, there is no list of them either.
pub(crate) fn write_found(json: &mut Json, instance: &HealthInstance<'_>) {
    if !instance.checks.is_empty() {
        return write_instance(json, instance);
    }
    write_before_checks(json, instance);
    json.raw("null}");
}

fn write_before_checks(json: &mut Json, instance: &HealthInstance<'_>) {
    json.raw(r#"{"Node":"#);
    render::node(json, instance.node);
    json.raw(r#","Service":"#);
    render::service(json, instance.service);
    json.raw(r#","Checks":"#);
}
