//! `/v1/catalog/*`: which nodes there are, and which services on them.

pub(crate) mod definition;
mod registration;

use std::collections::{BTreeMap, BTreeSet};

use tribune_state::{Command, Instance, Node, Service, Snapshot, Topic};

use crate::body;
use crate::error::Error;
use crate::filter::Rows;
use crate::plan::{Around, Call, Plan, Query, Selection, StatusCall};
use crate::render::{self, ARRAY, Json, OBJECT};
use crate::route::CatalogEndpoint;

pub(crate) fn plan(endpoint: CatalogEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    match endpoint {
        CatalogEndpoint::Register => register(call),
        CatalogEndpoint::Deregister => deregister(call),
        CatalogEndpoint::Datacenters => {
            Ok(Plan::Status(StatusCall::Datacenters { pretty: call.pretty() }))
        }
        CatalogEndpoint::Nodes => {
            call.read(Query::CatalogNodes { selection: call.selection(Rows::Nodes)? })
        }
        CatalogEndpoint::Services => {
            call.read(Query::CatalogServices { selection: call.selection(Rows::Instances)? })
        }
        CatalogEndpoint::Service => {
            let service = call.name("Missing service name")?;
            let tags = call.tags();
            call.read(Query::CatalogService {
                service,
                tags,
                selection: call.selection(Rows::Instances)?,
            })
        }
        CatalogEndpoint::Node => {
            let node = call.name("Missing node name")?;
            call.read(Query::CatalogNode { node, selection: call.selection(Rows::Services)? })
        }
        CatalogEndpoint::NodeServices => {
            let node = call.name("Missing node name")?;
            call.read(Query::CatalogNodeServices {
                node,
                selection: call.selection(Rows::Services)?,
            })
        }
    }
}

fn register(call: &Call<'_>) -> Result<Plan, Error> {
    let body = body::parse(&call.request.body)?;
    let request = registration::register(&body, &call.context.datacenter)?;
    Ok(addressed(call, &request.datacenter, Command::Register(request.what)))
}

fn deregister(call: &Call<'_>) -> Result<Plan, Error> {
    let body = body::parse(&call.request.body)?;
    let request = registration::deregister(&body)?;
    Ok(addressed(call, &request.datacenter, Command::Deregister(request.what)))
}

/// The plan to commit `command` in the datacenter that the body names, or else the parameters.
fn addressed(call: &Call<'_>, datacenter: &str, command: Command) -> Plan {
    if datacenter.is_empty() {
        return call.write(command);
    }
    call.remote_to(datacenter).unwrap_or_else(|| call.write_here(command))
}

/// What to wait on for what is asked of a node by name, by id, or by the start of its id. Which of
/// these a text is only the state knows; it has to wait for more if it could be an id.
pub(crate) fn node_topic(text: &str) -> Topic {
    let could_be_id =
        2 <= text.len() && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
    if could_be_id { Topic::Catalog } else { Topic::node_services(text) }
}

pub(crate) fn nodes(selection: &Selection, snapshot: &Snapshot, around: Around<'_>) -> Json {
    let (_, nodes) = snapshot.nodes();
    let wanted = nodes.filter(|it| selection.wants(it) && selection.accepts(*it));
    let mut wanted: Vec<_> = wanted.collect();
    selection.sort(&mut wanted, around, |it| &it.name);
    let mut json = Json::with_capacity(4096).seen_from(selection.afar);
    json.list(ARRAY, wanted, render::node);
    json
}

pub(crate) fn services(selection: &Selection, snapshot: &Snapshot) -> Json {
    let services = if *selection == Selection::default() {
        snapshot.services().1
    } else {
        services_of(selection, snapshot)
    };
    let mut json = Json::with_capacity(4096);
    json.list(OBJECT, services, |json, (name, tags)| {
        json.string(name);
        json.raw(":");
        json.list(ARRAY, tags, |json, it| json.string(it));
    });
    json
}

/// The names and tags of the instances that are wanted.
fn services_of<'a>(
    selection: &Selection,
    snapshot: &'a Snapshot,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let (_, nodes) = snapshot.nodes();
    for node in nodes.filter(|it| selection.wants(it)) {
        let (_, there) = snapshot.node_services(&node.name);
        let there = there.into_iter().flat_map(|it| it.services);
        for service in there.filter(|service| selection.accepts(&Instance { node, service })) {
            let tags = services.entry(&service.name).or_default();
            tags.extend(service.tags.iter().map(String::as_str));
        }
    }
    services
}

pub(crate) fn service(
    name: &str,
    tags: &[String],
    selection: &Selection,
    snapshot: &Snapshot,
    around: Around<'_>,
) -> Json {
    let (_, mut instances) = snapshot.service(name);
    instances.retain(|it| {
        has_tags(it.service, tags) && selection.wants(it.node) && selection.accepts(it)
    });
    selection.sort(&mut instances, around, |it| &it.node.name);
    let mut json = Json::with_capacity(2 + instances.len() * 768).seen_from(selection.afar);
    json.list(ARRAY, &instances, render::instance);
    json
}

pub(crate) fn node(text: &str, selection: &Selection, snapshot: &Snapshot) -> Json {
    let mut json = Json::with_capacity(1024).seen_from(selection.afar);
    let Some((node, services)) = find_node(text, selection, snapshot) else {
        json.raw("null");
        return json;
    };
    json.raw(r#"{"Node":"#);
    render::node(&mut json, node);
    json.raw(r#","Services":"#);
    json.list(OBJECT, services, |json, service| {
        json.string(&service.id);
        json.raw(":");
        render::service(json, service);
    });
    json.raw("}");
    json
}

pub(crate) fn node_services(text: &str, selection: &Selection, snapshot: &Snapshot) -> Json {
    let mut json = Json::with_capacity(1024).seen_from(selection.afar);
    let Some((node, services)) = find_node(text, selection, snapshot) else {
        json.raw(r#"{"Node":null,"Services":null}"#);
        return json;
    };
    json.raw(r#"{"Node":"#);
    render::node(&mut json, node);
    json.raw(r#","Services":"#);
    json.list(ARRAY, services, render::service);
    json.raw("}");
    json
}

/// A node by name or id, and those of its services that are wanted.
fn find_node<'a>(
    text: &str,
    selection: &Selection,
    snapshot: &'a Snapshot,
) -> Option<(&'a Node, Vec<&'a Service>)> {
    let node = snapshot.resolve_node(text)?;
    let (_, there) = snapshot.node_services(&node.name);
    let mut services = there?.services;
    services.retain(|it| selection.accepts(*it));
    Some((node, services))
}

/// Whether an instance has all of `tags`, in any case.
pub(crate) fn has_tags(service: &Service, tags: &[String]) -> bool {
    tags.iter().all(|tag| service.tags.iter().any(|it| it.eq_ignore_ascii_case(tag)))
}
