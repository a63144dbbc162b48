//! What a client is told about the servers.

use tribune_base::duration;
use tribune_base::id::{NodeId, ServerId};

use super::{Health, Server, ServerHealth};
use crate::http::Response;
use crate::pretty;
use crate::render::{ARRAY, Json, OBJECT, map};

/// The answer to [`OperatorCall::RaftConfiguration`](super::OperatorCall::RaftConfiguration).
pub fn raft_configuration(servers: &[Server], pretty: bool) -> Response {
    let mut json = Json::with_capacity(64 + servers.len() * 224);
    json.raw(r#"{"Servers":"#);
    json.list(ARRAY, servers, |json, it| {
        id(json, r#"{"ID":"#, it.id);
        json.field(r#","Node":"#, it.name.as_deref().unwrap_or("(unknown)"));
        json.field(r#","Address":"#, &it.address);
        json.raw(r#","Leader":"#);
        json.bool(it.leader);
        json.field(r#","ProtocolVersion":"#, PROTOCOL);
        json.raw(r#","Voter":"#);
        json.bool(it.voter);
        json.raw(r#","LastIndex":"#);
        json.number(it.last_index.0);
        json.raw("}");
    });
    // The original keeps no index of this either.
    json.raw(r#","Index":0}"#);
    pretty::response(200, json.finish(), pretty)
}

/// The answer to [`OperatorCall::RemovePeer`](super::OperatorCall::RemovePeer), once it is done.
pub fn peer_removed() -> Response {
    Response::empty(200)
}

/// The answer to [`OperatorCall::TransferLeader`](super::OperatorCall::TransferLeader), once another
/// server leads.
pub fn transferred(pretty: bool) -> Response {
    pretty::response(200, br#"{"Success":true}"#.to_vec(), pretty)
}

/// The answer to [`OperatorCall::AutopilotHealth`](super::OperatorCall::AutopilotHealth).
///
/// If anybody is unwell it is an error, for monitors that look at nothing but the status. Its body
/// is the same document, as a text that is never indented.
pub fn health(health: &Health, pretty: bool) -> Response {
    let mut json = Json::with_capacity(64 + health.servers.len() * 320);
    summary(&mut json, health);
    json.raw(r#","Servers":"#);
    json.list(ARRAY, &health.servers, |json, it| {
        id(json, r#"{"ID":"#, it.server.id);
        json.field(r#","Name":"#, it.server.name.as_deref().unwrap_or_default());
        json.field(r#","Address":"#, &it.server.address);
        json.field(r#","SerfStatus":"#, &it.status.to_string());
        json.field(r#","Version":"#, &it.version);
        json.raw(r#","Leader":"#);
        json.bool(it.server.leader);
        progress(json, it);
        json.raw(r#","Voter":"#);
        json.bool(it.server.voter);
        stable_since(json, it);
        json.raw("}");
    });
    json.raw("}");
    if health.healthy {
        pretty::response(200, json.finish(), pretty)
    } else {
        Response::text(429, json.finish())
    }
}

/// The answer to [`OperatorCall::AutopilotState`](super::OperatorCall::AutopilotState): 200 however
/// the servers are.
pub fn state(health: &Health, pretty: bool) -> Response {
    let mut json = Json::with_capacity(128 + health.servers.len() * 448);
    summary(&mut json, health);
    // Only redundancy zones would make a difference between hope and certainty.
    json.raw(r#","OptimisticFailureTolerance":"#);
    json.number(health.failure_tolerance as u64);
    json.raw(r#","Servers":"#);
    json.list(OBJECT, &health.servers, |json, it| {
        id(json, "", it.server.id);
        id(json, r#":{"ID":"#, it.server.id);
        json.field(r#","Name":"#, it.server.name.as_deref().unwrap_or_default());
        json.field(r#","Address":"#, &it.server.address);
        json.field(r#","NodeStatus":"#, &it.status.to_string());
        json.field(r#","Version":"#, &it.version);
        progress(json, it);
        stable_since(json, it);
        json.field(r#","ReadReplica":false,"Status":"#, status(it));
        json.raw(r#","Meta":"#);
        map(json, &it.meta);
        json.raw(r#","NodeType":"voter"}"#);
    });
    let leader = health.servers.iter().find(|it| it.server.leader);
    json.raw(r#","Leader":"#);
    match leader {
        Some(leader) => id(&mut json, "", leader.server.id),
        None => json.string(""),
    }
    json.raw(r#","Voters":"#);
    let voters = health.servers.iter().filter(|it| it.server.voter);
    json.list(ARRAY, voters, |json, it| id(json, "", it.server.id));
    json.raw("}");
    pretty::response(200, json.finish(), pretty)
}

fn summary(json: &mut Json, health: &Health) {
    json.raw(r#"{"Healthy":"#);
    json.bool(health.healthy);
    json.raw(r#","FailureTolerance":"#);
    json.number(health.failure_tolerance as u64);
}

/// How far a server is, and whether that is well.
fn progress(json: &mut Json, server: &ServerHealth) {
    // Never, as the original writes it.
    let last_contact = server.last_contact.map_or_else(|| "-1ns".to_owned(), duration::format);
    json.field(r#","LastContact":"#, &last_contact);
    json.raw(r#","LastTerm":"#);
    json.number(server.last_log.term.0);
    json.raw(r#","LastIndex":"#);
    json.number(server.last_log.index.0);
    json.raw(r#","Healthy":"#);
    json.bool(server.healthy);
}

fn stable_since(json: &mut Json, server: &ServerHealth) {
    json.field(r#","StableSince":"#, &server.stable_since.to_string());
}

/// The part a server plays. One without a vote is on its way to one.
fn status(server: &ServerHealth) -> &'static str {
    match (server.server.leader, server.server.voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "non-voter",
    }
}

fn id(json: &mut Json, name: &str, id: ServerId) {
    json.raw(name);
    json.uuid(NodeId::from(id).0);
}

/// The version of the original's consensus protocol that ours is like: servers have ids, and those
/// without a vote are known.
const PROTOCOL: &str = "3";
