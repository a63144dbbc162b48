//! `/v1/agent/self` and `/v1/agent/version`.

use super::{NodeFacts, render};
use crate::coordinate;
use crate::render::{self as rows, Json, OBJECT};

/// Who this agent is, as service discovery and operators ask for it.
pub(super) fn itself(facts: &NodeFacts) -> Json {
    let mut json = Json::with_capacity(4096);
    json.raw(r#"{"Config":"#);
    config(&mut json, facts);
    json.raw(r#","DebugConfig":"#);
    json.list(OBJECT, &facts.config, |json, (name, value)| {
        json.string(name);
        json.raw(":");
        json.raw(&value.to_string());
    });
    json.raw(r#","Coord":"#);
    coordinate::write(&mut json, &facts.coordinate);
    json.raw(r#","Member":"#);
    match facts.members.iter().find(|it| it.name == facts.node) {
        Some(member) => render::member(&mut json, member),
        None => json.raw("null"),
    }
    json.raw(r#","Stats":"#);
    json.list(OBJECT, &facts.stats, |json, (group, stats)| {
        json.string(group);
        json.raw(":");
        rows::map(json, stats);
    });
    json.raw(r#","Meta":"#);
    rows::map(&mut json, &facts.meta);
    json.raw("}");
    json
}

/// Which release this agent is.
pub(super) fn version(facts: &NodeFacts) -> Json {
    let mut json = Json::with_capacity(128);
    json.field(r#"{"SHA":"#, &facts.revision);
    json.field(r#","BuildDate":"#, &facts.build_date);
    json.field(r#","HumanVersion":"#, &facts.version);
    json.raw(r#","FIPS":""}"#);
    json
}

fn config(json: &mut Json, facts: &NodeFacts) {
    json.field(r#"{"Datacenter":"#, &facts.datacenter);
    json.field(r#","PrimaryDatacenter":"#, &facts.primary_datacenter);
    json.field(r#","NodeName":"#, &facts.node);
    json.field(r#","NodeID":"#, &facts.id.to_string());
    json.field(r#","Revision":"#, &facts.revision);
    json.raw(r#","Server":"#);
    json.bool(facts.server);
    json.field(r#","Version":"#, &facts.version);
    json.field(r#","BuildDate":"#, &facts.build_date);
    json.raw("}");
}
