//! Client agents beside servers: they know nothing, and answer everything.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use tribune_api::http::Method::{Get, Put};
use tribune_base::id::{NodeId, Uuid};
use tribune_base::time::Duration;
use tribune_state::{Check, Command, Registration, Service, Status};
use world::{World, kv_get, kv_set};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Three servers and two client agents that have joined.
fn datacenter() -> World {
    let mut world = World::of(3);
    world.run(secs(3));
    for number in [1, 2] {
        let client = world.add_client(number);
        let joined = world.join(&client, "n1");
        world.run(secs(1));
        assert_eq!(world.reply(joined).status, 200);
    }
    // An agent takes up to three seconds until it first compares itself with the catalog.
    world.run(secs(5));
    world
}

#[test]
fn everybody_knows_everybody() {
    let mut world = datacenter();
    let all: Vec<_> = ["c1", "c2", "n1", "n2", "n3"].map(|it| (it.to_owned(), 1)).into();
    for name in world.names() {
        assert_eq!(world.members(&name), all, "at {name}");
    }
    for name in ["c1", "c2", "n1", "n2", "n3"] {
        assert_eq!(world.health("n2", name).as_deref(), Some("passing"), "{name}");
    }
}

/// One list of addresses for all is how people write it.
#[test]
fn joining_oneself_is_joining_somebody() {
    let mut world = datacenter();
    for name in ["n1", "c1"] {
        let joined = world.join(name, name);
        assert_eq!(world.reply(joined).status, 200);
    }
}

#[test]
fn a_client_agent_answers_as_a_server_does() {
    let mut world = datacenter();
    let written = world.ask("c1", Put, "/v1/kv/a", "hello");
    world.run(secs(1));
    let written = world.reply(written);
    assert_eq!((written.status, &written.body[..]), (200, &b"true"[..]));
    for at in ["c1", "c2"] {
        for target in ["/v1/kv/a?raw", "/v1/kv/a?raw&consistent"] {
            let read = world.ask(at, Get, target, "");
            world.run(secs(1));
            assert_eq!(&world.reply(read).body[..], b"hello", "{target} at {at}");
        }
    }
    let leader = world.ask("c2", Get, "/v1/status/leader", "");
    world.run(secs(1));
    let name = world.leader().unwrap();
    let address = format!("{:?}", world.address(&name));
    assert_eq!(world.reply(leader).body, address);
}

#[test]
fn what_is_registered_at_a_client_agent_is_in_the_catalog_when_it_answers() {
    let mut world = datacenter();
    let registered = world.register("c1", "web");
    world.run(secs(1));
    assert_eq!(world.reply(registered).status, 200);
    let found = world.ask("c2", Get, "/v1/health/service/web?passing", "");
    world.run(secs(1));
    let body = world.reply(found).body;
    assert!(body.starts_with(br#"[{"Node":{"ID""#), "{}", String::from_utf8_lossy(&body));
}

#[test]
fn a_client_agent_that_dies_is_critical_and_passes_again_when_it_is_back() {
    let mut world = datacenter();
    world.stop("c1");
    world.run(secs(30));
    assert_eq!(world.health("n1", "c1").as_deref(), Some("critical"));
    world.start("c1");
    let joined = world.join("c1", "n2");
    world.run(secs(2));
    assert_eq!(world.reply(joined).status, 200);
    assert_eq!(world.health("n1", "c1").as_deref(), Some("passing"));
}

/// What the leader has written last is not in the catalog yet, and may be over already.
#[test]
fn a_client_agent_that_is_back_while_it_is_given_up_passes_soon() {
    let given_up = |world: &mut World| {
        let leader = world.leader().unwrap();
        world.members(&leader).contains(&("c1".to_owned(), 4))
    };
    let mut world = datacenter();
    world.stop("c1");
    let mut millis = 0;
    while !given_up(&mut world) {
        world.run(Duration::from_millis(1));
        millis += 1;
    }
    // The moment in which the leader compares is one of these.
    for early in 1..6 {
        let mut world = datacenter();
        world.stop("c1");
        world.run(Duration::from_millis(millis - early));
        world.start("c1");
        world.join("c1", "n2");
        world.run(secs(3));
        assert_eq!(world.health("n1", "c1").as_deref(), Some("passing"), "{early}");
    }
}

#[test]
fn a_client_agent_that_leaves_is_gone_and_was_never_critical() {
    let mut world = datacenter();
    let left = world.agent("c1", tribune_api::agent::AgentCall::Leave);
    for _ in 0..100 {
        world.run(Duration::from_millis(100));
        assert_ne!(world.health("n1", "c1").as_deref(), Some("critical"));
    }
    assert_eq!(world.reply(left).status, 200);
    assert!(world.has_stopped("c1"));
    assert_eq!(world.health("n1", "c1"), None);
    assert!(world.members("n1").contains(&("c1".to_owned(), 3)));
}

#[test]
fn a_client_agent_asks_another_server_when_its_own_is_gone() {
    let mut world = datacenter();
    let leader = world.leader().unwrap();
    let others: Vec<_> =
        ["n1", "n2", "n3"].into_iter().filter(|it| *it != leader).map(str::to_owned).collect();
    world.stop(&others[0]);
    world.run(secs(40));
    for at in ["c1", "c2"] {
        let read = world.ask(at, Get, "/v1/kv/none", "");
        world.run(secs(2));
        assert_eq!(world.reply(read).status, 404, "at {at}");
    }
}

/// The pool says that it has failed, and so those who wait there wait for nothing. But it was only a
/// pause, or a rumour.
#[test]
fn who_waits_at_a_client_agent_that_is_believed_dead_hears_of_a_change_nevertheless() {
    let mut world = datacenter();
    let written = world.ask("c1", Put, "/v1/kv/a", "1");
    world.run(secs(1));
    assert_eq!(world.reply(written).status, 200);
    let index = world.index("n1", &kv_get("a"));
    let target = format!("/v1/kv/a?raw&index={index}&wait=10m");
    let waiting = world.ask("c1", Get, &target, "");
    world.run(secs(1));
    world.pause("c1");
    world.run(secs(40));
    assert_eq!(world.health("n1", "c1").as_deref(), Some("critical"));
    world.resume("c1");
    world.run(secs(2));
    assert!(!world.is_answered(&waiting));
    let changed = world.write("n1", kv_set("a", "2"));
    world.run(secs(1));
    assert_eq!(world.reply(changed).status, 200);
    assert_eq!(&world.reply(waiting).body[..], b"2");
}

/// The servers have heard it, and may do it yet. To say that nobody leads would mean that they do not.
#[test]
fn of_a_write_that_nobody_answers_nobody_knows() {
    let mut world = datacenter();
    for server in ["n1", "n2", "n3"] {
        world.pause(server);
    }
    let written = world.ask("c1", Put, "/v1/kv/a", "1");
    let read = world.ask("c1", Get, "/v1/kv/a", "");
    world.run(secs(11));
    let (written, read) = (world.reply(written), world.reply(read));
    assert!(written.body.ends_with(b"read back before repeating it"), "{written:?}");
    assert_eq!(&read.body[..], b"No cluster leader");
}

#[test]
fn a_client_agent_without_servers_says_so() {
    let mut world = World::of(1);
    let client = world.add_client(1);
    world.run(secs(1));
    let read = world.ask(&client, Get, "/v1/kv/a", "");
    world.run(secs(1));
    let answer = world.reply(read);
    assert_eq!((answer.status, &answer.body[..]), (500, &b"No known Consul servers"[..]));
}

/// Nobody has failed, nobody has joined: there was no leader for a moment, that is all.
#[test]
fn what_is_registered_while_nobody_leads_is_in_the_catalog_as_soon_as_somebody_does() {
    let mut world = datacenter();
    for name in ["n1", "n2", "n3"] {
        world.stop(name);
        world.start(name);
    }
    let registered = world.register("c1", "web");
    world.run(secs(5));
    assert_eq!(world.reply(registered).status, 200);
    assert!(world.leader().is_some());
    let found = world.ask("c2", Get, "/v1/health/service/web?passing", "");
    world.run(secs(1));
    assert!(world.reply(found).body.starts_with(br#"[{"Node":{"ID""#));
}

#[test]
fn all_servers_start_again_and_nobody_has_to_register_again() {
    let mut world = datacenter();
    let registered = world.register("c1", "web");
    world.run(secs(1));
    assert_eq!(world.reply(registered).status, 200);
    for name in ["n1", "n2", "n3"] {
        world.stop(name);
    }
    world.run(secs(20));
    for name in ["n1", "n2", "n3"] {
        world.start(name);
    }
    world.run(secs(60));
    assert_eq!(world.health("n1", "c1").as_deref(), Some("passing"));
    let found = world.ask("c2", Get, "/v1/health/service/web?passing", "");
    world.run(secs(1));
    assert!(world.reply(found).body.starts_with(br#"[{"Node":{"ID""#));
}

/// The pool has given a name to another agent, and the catalog still says that its owner is alive:
/// whoever led when that went has not written it down. The pool knows who is there.
#[test]
fn a_name_that_the_pool_has_given_away_is_given_away_in_the_catalog() {
    let mut world = World::of(3);
    world.run(secs(3));
    let owner = NodeId(Uuid(77));
    let (id, status) = ("serfHealth".to_owned(), Status::Passing);
    let registration = Registration {
        id: Some(owner),
        node: "c1".into(),
        address: "10.0.9.9".into(),
        services: vec![Service { id: "old".into(), name: "old".into(), ..Service::default() }],
        checks: vec![Check { id, status, ..Check::default() }],
        ..Registration::default()
    };
    let written = world.write("n1", Command::Register(registration));
    world.run(secs(1));
    assert_eq!(world.reply(written).status, 200);

    let client = world.add_client(1);
    world.join(&client, "n1");
    world.run(secs(1));
    let registered = world.register(&client, "web");
    // It has found out that the name was another's, and looks again after a minute or two.
    world.run(secs(130));
    world.reply(registered);
    let snapshot = world.node("n1").view().snapshot;
    let (_, node) = snapshot.node("c1");
    assert!(node.is_some_and(|it| it.id != Some(owner)), "{node:?}");
    let services = snapshot.node_services("c1").1.unwrap().services;
    let ids: Vec<_> = services.into_iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["web"], "what the last owner had is gone");
    assert_eq!(world.health("n1", "c1").as_deref(), Some("passing"));
}
