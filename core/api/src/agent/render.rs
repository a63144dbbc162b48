//! The agent's rows in JSON. They look like the catalog's, but for the order of their fields.

use tribune_base::hash::fnv1a;
use tribune_state::{Check, Service};

use super::Member;
use crate::filter::{Filter, Row};
use crate::render::{self as rows, ARRAY, Json, OBJECT};

/// `/v1/agent/services`: by id.
pub(super) fn services(services: &[&Service], filter: Option<&Filter>) -> Json {
    let mut json = Json::with_capacity(1024);
    json.list(OBJECT, services.iter().filter(|it| wanted(filter, **it)), |json, it| {
        json.string(&it.id);
        json.raw(":");
        service(json, it);
    });
    json
}

/// `/v1/agent/checks`: by id.
pub(super) fn checks(checks: &[&Check], filter: Option<&Filter>) -> Json {
    let mut json = Json::with_capacity(1024);
    json.list(OBJECT, checks.iter().filter(|it| wanted(filter, **it)), |json, it| {
        json.string(&it.id);
        json.raw(":");
        rows::check(json, it);
    });
    json
}

/// `/v1/agent/members`.
pub(super) fn members(members: &[Member], filter: Option<&Filter>) -> Json {
    let mut json = Json::with_capacity(4 + members.len() * 512);
    // An agent that is in no such pool: a pool has its own members at least.
    if members.is_empty() {
        json.raw("null");
        return json;
    }
    json.list(ARRAY, members.iter().filter(|it| wanted(filter, *it)), member);
    json
}

/// One service.
pub(super) fn service(json: &mut Json, service: &Service) {
    open_service(json, service);
    json.raw("}");
}

/// One service, with a hash of everything it says.
pub(super) fn service_with_hash(service: &Service) -> (Json, String) {
    let mut json = Json::with_capacity(512);
    open_service(&mut json, service);
    let hash = format!("{:016x}", fnv1a(json.written()));
    json.field(r#","ContentHash":"#, &hash);
    json.raw("}");
    (json, hash)
}

/// One agent.
pub(super) fn member(json: &mut Json, member: &Member) {
    json.field(r#"{"Name":"#, &member.name);
    json.field(r#","Addr":"#, &member.address.to_string());
    json.raw(r#","Port":"#);
    json.number(member.port.into());
    json.raw(r#","Tags":"#);
    rows::map(json, &member.tags);
    json.raw(r#","Status":"#);
    json.number(member.status as u64);
    // The protocols of the original that this cluster looks like.
    json.raw(r#","ProtocolMin":1,"ProtocolMax":5,"ProtocolCur":2"#);
    json.raw(r#","DelegateMin":2,"DelegateMax":5,"DelegateCur":4}"#);
}

fn open_service(json: &mut Json, service: &Service) {
    if service.kind.is_empty() {
        json.field(r#"{"ID":"#, &service.id);
    } else {
        json.field(r#"{"Kind":"#, &service.kind);
        json.field(r#","ID":"#, &service.id);
    }
    json.field(r#","Service":"#, &service.name);
    json.raw(r#","Tags":"#);
    rows::strings(json, &service.tags);
    json.raw(r#","Meta":"#);
    match &service.meta {
        Some(meta) => rows::map(json, meta),
        None => json.raw("{}"),
    }
    json.raw(r#","Port":"#);
    json.signed(service.port);
    json.field(r#","Address":"#, &service.address);
    rows::addresses(json, r#","TaggedAddresses":"#, service.tagged_addresses.as_ref());
    json.raw(r#","Weights":"#);
    rows::weights(json, service.weights);
    json.raw(r#","EnableTagOverride":"#);
    json.bool(service.enable_tag_override);
}

fn wanted(filter: Option<&Filter>, row: &dyn Row) -> bool {
    filter.is_none_or(|it| it.accepts(row))
}
