//! Where agents are: measured by gossip, told by every server.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use tribune_api::http::Method::Get;
use tribune_base::time::Duration;
use world::World;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn json(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(body).unwrap()
}

/// A server and two client agents that have probed each other for a while.
fn pool() -> World {
    let mut world = World::of(1);
    world.run(secs(1));
    for number in [1, 2] {
        let client = world.add_client(number);
        world.join(&client, "n1");
    }
    world.run(secs(60));
    world
}

#[test]
fn a_server_knows_where_everybody_is() {
    let mut world = pool();
    let asked = world.ask("c1", Get, "/v1/coordinate/nodes", "");
    world.run(secs(1));
    let rows = json(&world.reply(asked).body);
    let rows = rows.as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|it| it["Node"].as_str().unwrap()).collect();
    assert_eq!(names, ["c1", "c2", "n1"]);
    for row in rows {
        let error = row["Coord"]["Error"].as_f64().unwrap();
        assert!(error < 1.5, "nothing was measured: {row}");
    }
}

#[test]
fn an_agent_tells_where_it_is_itself() {
    let mut world = pool();
    for at in ["n1", "c2"] {
        let asked = world.agent(at, tribune_api::agent::AgentCall::Itself { pretty: false });
        let own = json(&world.reply(asked).body);
        assert!(own["Coord"]["Error"].as_f64().unwrap() < 1.5, "at {at}: {}", own["Coord"]);
    }
}

#[test]
fn what_is_near_to_a_client_agent_is_near_to_it_and_not_to_the_server() {
    let mut world = pool();
    for (at, first) in [("c1", "c1"), ("c2", "c2")] {
        let asked = world.ask(at, Get, "/v1/catalog/nodes?near=_agent", "");
        world.run(secs(1));
        let rows = json(&world.reply(asked).body);
        assert_eq!(rows[0]["Node"], first, "nobody is nearer than the agent itself");
    }
}
