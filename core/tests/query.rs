//! Prepared queries in a whole datacenter: made anywhere, found everywhere.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use serde_json::Value;
use tribune_api::http::Method::{Delete, Get, Post, Put};
use tribune_api::plan::{Consistency, Query, Read};
use tribune_base::id::Index;
use tribune_base::time::Duration;
use world::World;

/// Three servers and two client agents, each of which offers `web`.
fn datacenter() -> World {
    let mut world = World::of(3);
    world.run(Duration::from_secs(3));
    for number in [1, 2] {
        let client = world.add_client(number);
        world.join(&client, "n1");
        world.run(Duration::from_secs(1));
        world.register(&client, "web");
    }
    world.run(Duration::from_secs(20));
    world
}

/// What the client agent `at` answers: the status, and the body as JSON or as text.
fn ask(
    world: &mut World,
    at: &str,
    method: tribune_api::http::Method,
    target: &str,
    body: &str,
) -> (u16, Value) {
    let asked = world.ask(at, method, target, body);
    world.run(Duration::from_secs(1));
    let response = world.reply(asked);
    let text = String::from_utf8_lossy(&response.body);
    let json = serde_json::from_str(&text);
    (response.status, json.unwrap_or_else(|_| Value::from(text.into_owned())))
}

/// The nodes of the instances in an answer, in order.
fn nodes(answer: &Value) -> Vec<&str> {
    let rows = answer["Nodes"].as_array().unwrap().iter();
    rows.map(|it| it["Node"]["Node"].as_str().unwrap()).collect()
}

#[test]
fn a_query_is_made_at_one_agent_and_executed_at_another() {
    let mut world = datacenter();
    let made = ask(
        &mut world,
        "c1",
        Post,
        "/v1/query",
        r#"{"Name":"near","Service":{"Service":"web","Near":"_agent"},"DNS":{"TTL":"7s"}}"#,
    );
    let id = made.1["ID"].as_str().unwrap().to_owned();
    assert_eq!((made.0, id.len()), (200, 36));
    for at in ["c1", "c2"] {
        for target in [&id, "near", "NEAR"] {
            let target = format!("/v1/query/{target}/execute");
            let (status, answer) = ask(&mut world, at, Get, &target, "");
            assert_eq!((status, answer["Service"].as_str()), (200, Some("web")));
            // Near to the agent that its client asked, not to the server that answered.
            assert_eq!(nodes(&answer)[0], at, "{target}");
            assert_eq!(nodes(&answer).len(), 2);
        }
        let limited = "/v1/query/near/execute?limit=1&near=_agent";
        assert_eq!(nodes(&ask(&mut world, at, Get, limited, "").1), [at]);
    }
    let other = ask(&mut world, "c1", Get, "/v1/query/near/execute?near=c2", "");
    assert_eq!(nodes(&other.1)[0], "c2", "what the client says goes first");

    let changed = r#"{"Name":"far","Service":{"Service":"web"}}"#;
    let target = format!("/v1/query/{id}");
    assert_eq!(ask(&mut world, "c2", Put, &target, changed).0, 200);
    assert_eq!(ask(&mut world, "c1", Get, "/v1/query/near/execute", "").0, 404);
    let shown = ask(&mut world, "c1", Get, &target, "").1;
    assert_eq!(shown[0]["Name"], "far");
    assert_eq!(ask(&mut world, "c1", Delete, &target, "").0, 200);
    assert_eq!(ask(&mut world, "c2", Get, &target, "").0, 404);
    let again = ask(&mut world, "c2", Delete, &target, "");
    let text = format!("Cannot modify non-existent prepared query: '{id}'");
    assert_eq!(again, (500, Value::from(text)));
}

#[test]
fn load_is_spread() {
    let mut world = datacenter();
    let body = r#"{"Name":"any","Service":{"Service":"web"}}"#;
    assert_eq!(ask(&mut world, "c1", Post, "/v1/query", body).0, 200);
    let mut first = Vec::new();
    for _ in 0..20 {
        let answer = ask(&mut world, "c1", Get, "/v1/query/any/execute?limit=1", "").1;
        first.push(nodes(&answer)[0].to_owned());
    }
    assert!(first.contains(&"c1".to_owned()) && first.contains(&"c2".to_owned()), "{first:?}");
}

#[test]
fn whoever_waits_for_the_list_hears_of_changes_and_of_nothing_else() {
    let mut world = datacenter();
    let read = Read {
        query: Query::PreparedQueries,
        consistency: Consistency::Default,
        max_stale: None,
        min_index: Index(0),
        wait: Duration::from_secs(60),
        pretty: false,
    };
    let follower = world.follower();
    let index = world.index(&follower, &read);
    let waits = world.watch(&follower, read, index);
    world.register("c1", "db");
    world.run(Duration::from_secs(5));
    assert!(!world.is_answered(&waits));
    let body = r#"{"Name":"q","Service":{"Service":"db"}}"#;
    assert_eq!(ask(&mut world, "c2", Post, "/v1/query", body).0, 200);
    let response = world.reply(waits);
    assert!(String::from_utf8_lossy(&response.body).contains(r#""Name":"q""#));
}

#[test]
fn a_server_that_comes_late_learns_of_queries_from_a_snapshot() {
    let mut world = World::of(3);
    world.snapshots_every(20);
    world.run(Duration::from_secs(3));
    let client = world.add_client(1);
    world.join(&client, "n1");
    world.run(Duration::from_secs(5));
    let late = world.follower();
    world.stop(&late);
    let body = r#"{"Name":"q","Template":{"Type":"name_prefix_match"},"Service":{"Service":"db"}}"#;
    assert_eq!(ask(&mut world, &client, Post, "/v1/query", body).0, 200);
    let leader = world.leader().unwrap();
    for n in 0..200 {
        world.write(&leader, world::kv_set("k", &n.to_string()));
        world.run(Duration::from_millis(50));
    }
    world.wipe(&late);
    world.start(&late);
    world.run(Duration::from_secs(20));
    assert!(0 < world.installed(&late), "it has got a snapshot");
    let view = world.node(&late).view();
    let (_, queries) = view.snapshot.prepared_queries();
    assert_eq!(queries.map(|it| it.name.as_str()).collect::<Vec<_>>(), ["q"]);
}
