//! JSON of prepared queries.

use std::collections::BTreeMap;

use tribune_base::id::Index;
use tribune_state::prepared_query::{PreparedQuery, ServiceQuery};

use crate::plan::Consistency;
use crate::render::{self, Json};

/// A query's row: `/v1/query`.
pub(super) fn query(json: &mut Json, query: &PreparedQuery) {
    json.raw(r#"{"ID":"#);
    json.uuid(query.id);
    json.field(r#","Name":"#, &query.name);
    json.raw(r#","Session":"#);
    match query.session {
        Some(session) => json.uuid(session.0),
        None => json.raw(r#""""#),
    }
    json.field(r#","Token":"#, &query.token);
    json.field(r#","Template":{"Type":"#, &query.template.kind);
    json.field(r#","Regexp":"#, &query.template.regexp);
    json.raw(r#","RemoveEmptyTags":"#);
    json.bool(query.template.remove_empty_tags);
    json.raw(r#"},"Service":"#);
    service(json, &query.service);
    json.field(r#","DNS":{"TTL":"#, &query.dns_ttl);
    json.raw("}");
    version(json, r#","CreateIndex":"#, query.create);
    version(json, r#","ModifyIndex":"#, query.modify);
    json.raw("}");
}

fn service(json: &mut Json, service: &ServiceQuery) {
    json.field(r#"{"Service":"#, &service.service);
    json.raw(r#","Failover":{"NearestN":"#);
    json.number(service.failover.nearest_n);
    json.raw(r#","Datacenters":"#);
    strings(json, service.failover.datacenters.as_deref());
    json.raw(r#"},"OnlyPassing":"#);
    json.bool(service.only_passing);
    json.raw(r#","IgnoreCheckIDs":"#);
    strings(json, service.ignore_check_ids.as_deref());
    json.field(r#","Near":"#, &service.near);
    json.raw(r#","Tags":"#);
    strings(json, service.tags.as_deref());
    json.raw(r#","NodeMeta":"#);
    map(json, service.node_meta.as_ref());
    json.raw(r#","ServiceMeta":"#);
    map(json, service.service_meta.as_ref());
    json.raw(r#","Connect":"#);
    json.bool(service.connect);
    json.raw("}");
}

/// What answers about queries end with. They come from a leader, or from somebody who has asked one;
/// the headers say how far behind an answer is that does not.
pub(super) fn meta(json: &mut Json, consistency: Consistency) {
    json.raw(r#","Index":0,"LastContact":0,"KnownLeader":true,"ConsistencyLevel":"#);
    json.string(match consistency {
        Consistency::Default => "leader",
        Consistency::Consistent => "consistent",
        Consistency::Stale => "stale",
    });
    json.raw("}");
}

fn strings(json: &mut Json, list: Option<&[String]>) {
    match list {
        Some(list) => render::strings(json, list),
        None => json.raw("null"),
    }
}

fn map(json: &mut Json, map: Option<&BTreeMap<String, String>>) {
    match map {
        Some(map) => render::map(json, map),
        None => json.raw("null"),
    }
}

fn version(json: &mut Json, name: &str, index: Index) {
    json.raw(name);
    json.number(index.0);
}
