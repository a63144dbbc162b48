//! Several datacenters in one value: who knows whom, and who is asked for what.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use tribune_api::agent::AgentCall;
use tribune_api::http::Method::{Get, Put};
use tribune_api::http::Response;
use tribune_base::time::Duration;
use world::{World, key, kv_get, kv_set};

/// Datacenters that have found each other, by one address.
fn world(counts: &[u128]) -> World {
    let mut world = World::of_datacenters(counts);
    for datacenter in (b'b'..).map(char::from).take(counts.len() - 1) {
        world.join_wan(&format!("{datacenter}1"), "n1");
    }
    world.run(Duration::from_secs(12));
    world
}

fn text(response: &Response) -> &str {
    std::str::from_utf8(&response.body).unwrap()
}

/// The answer to a request that is about another datacenter.
fn ask(world: &mut World, at: &str, target: &str) -> Response {
    let asked = world.ask_there(at, Get, target, "");
    world.run(Duration::from_millis(500));
    world.reply(asked)
}

fn names(world: &mut World, at: &str) -> Vec<String> {
    world.members_wan(at).into_iter().map(|(name, _)| name).collect()
}

const UNREACHABLE: &str = "Remote DC has no server currently reachable";

#[test]
fn who_knows_one_server_knows_all_and_client_agents_are_not_among_them() {
    let mut world = world(&[3, 2]);
    let client = world.add_client(9);
    world.join(&client, "n1");
    world.misrouting = true;
    world.run(Duration::from_secs(20));
    let all = ["b1.dc2", "b2.dc2", "n1.dc1", "n2.dc1", "n3.dc1"];
    for at in ["n1", "n2", "n3", "b1", "b2"] {
        assert_eq!(names(&mut world, at), all, "{at}");
    }
    // Nothing of one datacenter's own pool is seen in another's.
    let lan: Vec<_> = world.members("b1").into_iter().map(|(name, _)| name).collect();
    assert_eq!(lan, ["b1", "b2"]);
    assert_eq!(world.members("n1").len(), 4);
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_pool_that_looks_at_the_others_packets_is_noticed() {
    tribune_base::bug::with(tribune_base::bug::Bug::G12, || {
        let mut world = world(&[3, 1]);
        let client = world.add_client(9);
        world.join(&client, "n1");
        world.run(Duration::from_secs(20));
        let names = names(&mut world, "n1");
        assert!(names.contains(&client), "{names:?}");
    });
}

#[test]
fn a_request_is_answered_where_it_belongs_and_nowhere_else() {
    let mut world = world(&[3, 3]);
    for (at, key) in [("n1", "a"), ("n2", "b"), ("n3", "c")] {
        let written = world.ask_there(at, Put, &format!("/v1/kv/{key}?dc=dc2"), "there");
        world.run(Duration::from_millis(200));
        assert_eq!(text(&world.reply(written)), "true");
        let read = ask(&mut world, at, &format!("/v1/kv/{key}?raw&dc=dc2"));
        assert_eq!(text(&read), "there");
    }
    for name in ["n1", "n2", "n3"] {
        let here = world.read(name, kv_get("a"));
        world.run(Duration::from_millis(50));
        assert_eq!(key(&world.reply(here)), None, "it is not here");
    }
    let leader = world.address(&world.leader_of(2).unwrap());
    let said = ask(&mut world, "n1", "/v1/status/leader?dc=dc2");
    assert_eq!(text(&said), format!("{leader:?}"));
    let nobody = ask(&mut world, "n1", "/v1/kv/a?dc=dc9");
    assert_eq!((nobody.status, text(&nobody)), (500, "No path to datacenter"));
}

#[test]
fn a_client_agent_finds_other_datacenters_by_way_of_its_server() {
    let mut world = world(&[3, 1]);
    let client = world.add_client(9);
    world.join(&client, "n2");
    world.run(Duration::from_secs(1));
    let written = world.ask(&client, Put, "/v1/kv/a?dc=dc2", "x");
    world.run(Duration::from_millis(200));
    assert_eq!(text(&world.reply(written)), "true");
    let read = world.ask(&client, Get, "/v1/kv/a?raw&dc=dc2", "");
    world.run(Duration::from_millis(200));
    assert_eq!(text(&world.reply(read)), "x");
}

#[test]
fn what_was_sent_on_once_is_not_sent_on_again() {
    let mut world = world(&[1, 1, 1]);
    let before = world.forwards;
    // For a datacenter that this is not, and with a parameter that names a third one.
    for (datacenter, target) in [("dc2", "/v1/kv/a"), ("dc1", "/v1/kv/a?dc=dc3")] {
        world.hear_forward("n1", "b1", datacenter, target);
        world.run(Duration::from_secs(1));
    }
    assert_eq!(world.forwards, before);
}

/// No client sends such a request: it takes a server that is wrong about another one.
#[cfg(feature = "planted-bugs")]
#[test]
fn a_request_that_goes_round_in_circles_is_noticed() {
    tribune_base::bug::with(tribune_base::bug::Bug::D02, || {
        let mut world = world(&[1, 1, 1]);
        let before = world.forwards;
        world.hear_forward("n1", "b1", "dc1", "/v1/kv/a?dc=dc3");
        world.run(Duration::from_secs(1));
        assert!(before < world.forwards);
    });
}

#[test]
fn a_datacenter_that_is_cut_off_costs_the_others_nothing() {
    let mut world = world(&[3, 3]);
    world.darken(2, true);
    let asked = world.ask_there("n1", Get, "/v1/kv/a?dc=dc2", "");
    let changed = world.ask_there("n1", Put, "/v1/kv/a?dc=dc2", "x");
    for round in 0..5 {
        let key = format!("round/{round}");
        let written = world.write("n2", kv_set(&key, "x"));
        world.run(Duration::from_millis(50));
        assert_eq!(world.reply(written).status, 200, "dc1 goes on");
        world.run(Duration::from_secs(2));
    }
    let answer = world.reply(asked);
    assert_eq!((answer.status, text(&answer)), (500, UNREACHABLE));
    assert!(!world.is_answered(&changed), "it may still be heard");
    world.run(Duration::from_secs(25));
    let unknown = world.reply(changed);
    assert!(text(&unknown).contains("may still take effect"), "{}", text(&unknown));

    world.darken(2, false);
    world.run(Duration::from_secs(1));
    assert_eq!(ask(&mut world, "n1", "/v1/kv/a?dc=dc2").status, 404, "it is back at once");
}

#[test]
fn the_servers_that_are_left_answer() {
    let mut world = world(&[1, 3]);
    world.stop("b1");
    world.run(Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(ask(&mut world, "n1", "/v1/kv/a?dc=dc2").status, 404);
    }
    world.stop("b2");
    world.stop("b3");
    let nobody = ask(&mut world, "n1", "/v1/kv/a?dc=dc2");
    assert_eq!((nobody.status, text(&nobody)), (500, UNREACHABLE), "and at once");
    // Also when the pool has found out.
    world.run(Duration::from_secs(200));
    assert_eq!(world.members_wan("n1")[0], ("b1.dc2".to_owned(), 4));
    let nobody = ask(&mut world, "n1", "/v1/kv/a?dc=dc2");
    assert_eq!((nobody.status, text(&nobody)), (500, UNREACHABLE));
    for name in ["b1", "b2", "b3"] {
        world.start(name);
    }
    world.run(Duration::from_secs(5));
    assert_eq!(ask(&mut world, "n1", "/v1/kv/a?dc=dc2").status, 404);
}

/// Nobody knows whether the write was heard before the connection was lost. It is not made twice.
#[test]
fn a_write_is_never_put_to_two_servers_and_a_read_is() {
    let mut world = world(&[1, 2]);
    for (method, want, count) in [(Put, "rpc error making call: EOF", 1), (Get, "", 2)] {
        let before = world.forwards;
        let asked = world.ask_there("n1", method, "/v1/kv/a?raw&dc=dc2", "x");
        world.run(Duration::from_millis(11));
        for server in ["b1", "b2"] {
            world.lose("n1", server);
        }
        world.run(Duration::from_millis(200));
        let answer = world.reply(asked);
        assert!(text(&answer).starts_with(want), "{}", text(&answer));
        assert_eq!(world.forwards - before, count);
    }
}

/// The pool is wrong now and then, and a write that is under way is answered all the same.
#[test]
fn a_write_at_a_server_that_is_believed_dead_is_answered() {
    let mut world = world(&[1, 1]);
    world.pause("b1");
    world.run(Duration::from_secs(20));
    let written = world.ask_there("n1", Put, "/v1/kv/a?dc=dc2", "1");
    let failed = |world: &mut World| world.members_wan("n1").contains(&("b1.dc2".to_owned(), 4));
    while !failed(&mut world) {
        world.run(Duration::from_secs(1));
    }
    assert!(!world.is_answered(&written));
    world.resume("b1");
    world.run(Duration::from_secs(1));
    assert_eq!(world.reply(written).status, 200);
}

#[test]
fn whoever_waits_waits_there() {
    let mut world = world(&[1, 1]);
    let written = world.ask_there("n1", Put, "/v1/kv/a?dc=dc2", "1");
    world.run(Duration::from_millis(100));
    assert_eq!(world.reply(written).status, 200);
    let index = world.index("b1", &kv_get("a")).0;
    let target = format!("/v1/kv/a?raw&dc=dc2&index={index}&wait=60s");
    let forwards = world.forwards;
    let waiting = world.ask_there("n1", Get, &target, "");
    let patient = world.ask_there("n1", Get, &target, "");
    let gone = world.ask_there("n1", Get, &target, "");
    world.run(Duration::from_secs(30));
    assert!(!world.is_answered(&waiting));
    assert_eq!(world.forwards, forwards + 3, "nobody asks again and again");
    world.cancel(&gone);
    let changed = world.write("b1", kv_set("a", "2"));
    world.run(Duration::from_millis(50));
    assert_eq!(world.reply(changed).status, 200);
    assert_eq!(text(&world.reply(waiting)), "2");
    assert_eq!(text(&world.reply(patient)), "2");
    // And when nothing changes, until the time is over that was asked for.
    let target = format!("/v1/kv/a?raw&dc=dc2&index={}&wait=5s", index + 1);
    let waiting = world.ask_there("n1", Get, &target, "");
    world.run(Duration::from_secs(4));
    assert!(!world.is_answered(&waiting));
    world.run(Duration::from_secs(2));
    assert_eq!(world.reply(waiting).status, 200);
}

/// The pool there says that the server has failed which asks for them. It may be wrong.
#[test]
fn who_waits_at_a_server_that_is_believed_dead_there_hears_of_a_change_nevertheless() {
    let mut world = world(&[3, 1]);
    let index = world.index("b1", &kv_get("a")).0;
    let target = format!("/v1/kv/a?raw&dc=dc2&index={index}&wait=10m");
    let waiting = world.ask_there("n1", Get, &target, "");
    world.run(Duration::from_secs(1));
    world.pause("n1");
    let status = |world: &mut World| {
        let all = world.members_wan("b1");
        all.into_iter().find(|(name, _)| name == "n1.dc1").map(|it| it.1)
    };
    while status(&mut world) != Some(4) {
        world.run(Duration::from_secs(1));
    }
    world.resume("n1");
    world.run(Duration::from_secs(20));
    assert_eq!(status(&mut world), Some(1));
    assert!(!world.is_answered(&waiting));
    let changed = world.write("b1", kv_set("a", "2"));
    world.run(Duration::from_millis(100));
    assert_eq!(world.reply(changed).status, 200);
    assert_eq!(text(&world.reply(waiting)), "2");
}

#[test]
fn datacenters_come_in_the_order_of_their_distance() {
    let mut world = World::of_datacenters(&[1, 1, 1, 1]);
    for name in ["b1", "c1", "d1"] {
        world.join_wan(name, "n1");
    }
    world.run(Duration::from_secs(120));
    for (at, want) in [("n1", "dc1 dc2 dc3 dc4"), ("d1", "dc4 dc3 dc2 dc1")] {
        let view = world.node(at).view();
        let names: Vec<_> = view.places.datacenters.iter().map(|it| &*it.name).collect();
        assert_eq!(names.join(" "), want);
    }
    // Who is gone for a while is still one of them.
    world.stop("c1");
    world.run(Duration::from_secs(120));
    assert_eq!(world.node("n1").view().places.datacenters.len(), 4);
}

#[test]
fn a_server_leaves_both_pools() {
    let mut world = world(&[2, 1]);
    let left = world.agent("b1", AgentCall::Leave);
    world.run(Duration::from_secs(20));
    assert_eq!(world.reply(left).status, 200);
    assert!(world.has_stopped("b1"));
    assert_eq!(world.members_wan("n1")[0], ("b1.dc2".to_owned(), 3));
    let nobody = ask(&mut world, "n1", "/v1/kv/a?dc=dc2");
    assert_eq!(text(&nobody), "No path to datacenter");
}
