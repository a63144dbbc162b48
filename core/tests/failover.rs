//! Prepared queries that find nothing here, and look elsewhere.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use serde_json::Value;
use tribune_api::agent::AgentCall;
use tribune_api::http::Method::{Get, Post};
use tribune_base::time::Duration;
use world::World;

const CLIENT: &str = "c9";

/// Three datacenters that know each other, and a client agent in the first.
fn world() -> World {
    let mut world = World::of_datacenters(&[3, 1, 1]);
    for other in ["b1", "c1"] {
        world.join_wan(other, "n1");
    }
    let client = world.add_client(9);
    assert_eq!(client, CLIENT);
    world.join(&client, "n2");
    world.run(Duration::from_secs(20));
    world
}

/// Make a query in the first datacenter: `failover` is where else to look.
fn make(world: &mut World, name: &str, failover: &str) {
    let body = format!(
        r#"{{"Name":"{name}","Service":{{"Service":"web","Failover":{failover},"Near":"_agent"}}}}"#
    );
    let made = world.ask(CLIENT, Post, "/v1/query", &body);
    world.run(Duration::from_secs(1));
    assert_eq!(world.reply(made).status, 200);
}

/// What a query finds: the datacenter, how many others were asked, and the nodes.
fn found(world: &mut World, target: &str) -> (String, u64, Vec<String>) {
    let asked = world.ask(CLIENT, Get, target, "");
    world.run(Duration::from_secs(8));
    let response = world.reply(asked);
    assert_eq!(response.status, 200, "{response:?}");
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    let rows = answer["Nodes"].as_array().unwrap().iter();
    let nodes = rows.map(|it| it["Node"]["Node"].as_str().unwrap().to_owned()).collect();
    let datacenter = answer["Datacenter"].as_str().unwrap().to_owned();
    (datacenter, answer["Failovers"].as_u64().unwrap(), nodes)
}

fn answer(datacenter: &str, failovers: u64, nodes: &[&str]) -> (String, u64, Vec<String>) {
    (datacenter.to_owned(), failovers, nodes.iter().map(|it| (*it).to_owned()).collect())
}

fn register(world: &mut World, at: &str) {
    let registered = world.register(at, "web");
    world.run(Duration::from_secs(2));
    assert_eq!(world.reply(registered).status, 200);
}

fn deregister(world: &mut World, at: &str) {
    let call = AgentCall::DeregisterService { id: "web".to_owned() };
    world.agent(at, call);
    world.run(Duration::from_secs(2));
}

#[test]
fn who_has_nothing_answers_with_what_the_next_has() {
    let mut world = world();
    register(&mut world, "c1");
    make(&mut world, "listed", r#"{"Datacenters":["dc9","dc2","dc1","dc3"]}"#);
    make(&mut world, "nearest", r#"{"NearestN":5}"#);
    make(&mut world, "one", r#"{"Datacenters":["dc2"]}"#);
    make(&mut world, "unknown", r#"{"Datacenters":["dc9"]}"#);
    make(&mut world, "none", "{}");

    let listed = "/v1/query/listed/execute";
    assert_eq!(found(&mut world, listed), answer("dc3", 2, &["c1"]));
    let (datacenter, asked, nodes) = found(&mut world, "/v1/query/nearest/execute?limit=1");
    assert_eq!((&*datacenter, nodes.len()), ("dc3", 1));
    assert!((1..=2).contains(&asked), "one of the two is the nearest");
    // It was asked, and is alive.
    assert_eq!(found(&mut world, "/v1/query/one/execute"), answer("dc2", 1, &[]));
    assert_eq!(found(&mut world, "/v1/query/unknown/execute"), answer("dc1", 0, &[]));
    assert_eq!(found(&mut world, "/v1/query/none/execute"), answer("dc1", 0, &[]));

    register(&mut world, "b1");
    assert_eq!(found(&mut world, listed), answer("dc2", 1, &["b1"]));
    register(&mut world, "n3");
    assert_eq!(found(&mut world, listed), answer("dc1", 0, &["n3"]));
    deregister(&mut world, "n3");
    assert_eq!(found(&mut world, listed), answer("dc2", 1, &["b1"]));
}

#[test]
fn who_cannot_be_reached_is_passed_over() {
    let mut world = world();
    make(&mut world, "q", r#"{"Datacenters":["dc2","dc3"]}"#);
    register(&mut world, "b1");
    let target = "/v1/query/q/execute";
    assert_eq!(found(&mut world, target), answer("dc2", 1, &["b1"]));
    world.darken(2, true);
    assert_eq!(found(&mut world, target), answer("dc3", 2, &[]));
    register(&mut world, "c1");
    assert_eq!(found(&mut world, target), answer("dc3", 2, &["c1"]));
    world.darken(3, true);
    assert_eq!(found(&mut world, target), answer("dc1", 2, &[]));
    world.darken(2, false);
    world.darken(3, false);
    world.run(Duration::from_secs(60));
    assert_eq!(found(&mut world, target), answer("dc2", 1, &["b1"]));
}

#[test]
fn a_client_that_is_gone_is_not_looked_for_any_further() {
    let mut world = world();
    make(&mut world, "q", r#"{"Datacenters":["dc2","dc3"]}"#);
    world.darken(2, true);
    let before = world.forwards;
    let asked = world.ask(CLIENT, Get, "/v1/query/q/execute", "");
    world.run(Duration::from_millis(500));
    world.cancel(&asked);
    world.run(Duration::from_secs(10));
    assert_eq!(world.forwards, before, "the third datacenter was not asked");
}
