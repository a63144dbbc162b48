//! Events: fired anywhere, heard everywhere, once.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use std::collections::BTreeSet;

use tribune_base::time::Duration;
use world::World;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const EVERYBODY: [&str; 4] = ["c1", "c2", "n1", "n2"];

/// Two servers and two client agents that know each other.
fn pool() -> World {
    let mut world = World::of(2);
    world.run(secs(1));
    for number in [1, 2] {
        let client = world.add_client(number);
        world.join(&client, "n1");
    }
    world.run(secs(5));
    world
}

/// The body and the index of an agent's answer.
fn list(world: &mut World, at: &str, query: &str) -> (serde_json::Value, String) {
    let asked = world.events(at, &format!("list?{query}"), "");
    let answer = world.reply(asked);
    let (name, index) = &answer.headers[0];
    assert_eq!((answer.status, *name), (200, "X-Consul-Index"));
    (serde_json::from_slice(&answer.body).unwrap(), index.clone())
}

/// The names of the events an agent has heard of, in the order in which it did.
fn names(world: &mut World, at: &str) -> Vec<String> {
    let (rows, _) = list(world, at, "");
    rows.as_array().unwrap().iter().map(|it| it["Name"].as_str().unwrap().to_owned()).collect()
}

fn fire(world: &mut World, at: &str, target: &str, payload: &str) -> serde_json::Value {
    let fired = world.events(at, &format!("fire/{target}"), payload);
    let answer = world.reply(fired);
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
fn what_is_fired_at_one_agent_every_agent_hears_once() {
    let mut world = pool();
    let mut ids = Vec::new();
    for at in EVERYBODY {
        ids.push(fire(&mut world, at, at, "now")["ID"].clone());
        world.run(secs(2));
    }
    for at in EVERYBODY {
        // Long enough for what is told twice to come twice.
        let (rows, index) = list(&mut world, at, "");
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.iter().map(|it| it["ID"].clone()).collect::<Vec<_>>(), ids, "at {at}");
        assert_eq!(rows[0]["Payload"], "bm93");
        assert!(rows.is_sorted_by_key(|it| it["LTime"].as_u64()), "{rows:?}");
        let id: String = ids[3].as_str().unwrap().split('-').collect();
        let id = u128::from_str_radix(&id, 16).unwrap();
        assert_eq!(index, ((id >> 64) as u64 ^ id as u64).to_string());
    }
}

#[test]
fn an_agent_keeps_what_is_meant_for_it() {
    let mut world = pool();
    world.register("c1", "web");
    world.run(secs(1));
    fire(&mut world, "n2", "everybody", "");
    fire(&mut world, "n2", "clients?node=^c", "");
    fire(&mut world, "n2", "web?service=^web$", "");
    fire(&mut world, "n2", "tagged?service=web&tag=v2", "");
    world.run(secs(3));
    // What is fired at once may be heard in any order.
    let mut heard = |at| names(&mut world, at).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(heard("c1"), ["clients", "everybody", "web"].map(str::to_owned).into());
    assert_eq!(heard("c2"), ["clients", "everybody"].map(str::to_owned).into());
    assert_eq!(names(&mut world, "n2"), ["everybody"], "it has fired all, and is meant by one");
}

#[test]
fn who_has_seen_the_list_waits_for_another() {
    let mut world = pool();
    for at in ["n1", "c1"] {
        let (rows, index) = list(&mut world, at, "");
        assert_eq!(rows.as_array().unwrap().len(), if at == "n1" { 0 } else { 1 });
        let all = world.events(at, &format!("list?index={index}"), "");
        let named = world.events(at, "list?index=1&name=other&wait=10s", "");
        let gone = world.events(at, &format!("list?index={index}"), "");
        world.cancel(&gone);
        world.run(secs(1));
        assert!(!world.is_answered(&all), "nothing has happened, at {at}");

        fire(&mut world, "c2", "deploy", "");
        world.run(secs(2));
        let answer = world.reply(all);
        assert!(answer.body.ends_with(br#""Version":1,"LTime":1}]"#) || at == "c1");
        assert_ne!(answer.headers[0].1, index);
        assert!(!world.is_answered(&named), "that was another event");
        assert!(!world.is_answered(&gone), "nobody is there any more");
        world.run(secs(9));
        let answer = world.reply(named);
        assert_eq!(&answer.body[..], b"[]", "its time is over");
        assert_eq!(answer.headers[0].1, "1");
    }
}

#[test]
fn the_newest_are_kept() {
    let mut world = World::of(1);
    world.run(secs(1));
    for n in 0..300 {
        fire(&mut world, "n1", &format!("e{n}"), "");
    }
    let names = names(&mut world, "n1");
    assert_eq!((names.len(), names[0].as_str(), names[255].as_str()), (256, "e44", "e299"));
}

#[test]
fn what_is_too_long_is_told_to_nobody() {
    let mut world = World::of(1);
    let fired = world.events("n1", "fire/big", &"x".repeat(600));
    let answer = world.reply(fired);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.status, 400);
    assert!(text.contains("user event exceeds configured limit of 512 bytes"), "{text}");
    assert_eq!(names(&mut world, "n1"), [""; 0]);
}
