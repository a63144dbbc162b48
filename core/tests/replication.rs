//! Keys that one datacenter keeps as another has them.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use serde_json::Value;
use tribune_api::http::Method::Get;
use tribune_base::time::Duration;
use tribune_core::config::KvReplication;
use tribune_state::{Command, kv};
use world::{World, kv_set};

/// A server of the first datacenter, and three of the second, which keeps keys as the first has them.
fn world() -> World {
    let mut world = World::of_datacenters(&[1, 3]);
    let (source, prefixes) = ("dc1".to_owned(), vec!["config/".to_owned()]);
    world.replication.insert(2, KvReplication { source, prefixes });
    for name in ["b1", "b2", "b3"] {
        world.stop(name);
        world.start(name);
    }
    world.join_wan("b1", "n1");
    world.run(Duration::from_secs(30));
    world
}

fn write(world: &mut World, at: &str, command: Command) {
    let written = world.write(at, command);
    world.run(Duration::from_millis(500));
    assert_eq!(world.reply(written).status, 200);
}

/// The keys that a server has.
fn keys(world: &World, at: &str) -> Vec<String> {
    let view = world.node(at).view();
    let (_, rows) = view.snapshot.kv_list(b"");
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    rows.map(|(key, it)| format!("{}={}", text(key), text(it.value()))).collect()
}

/// What the leader says, whichever server is asked.
fn status(world: &mut World, at: &str) -> Value {
    let asked = world.operate(at, Get, "/v1/operator/kv/replication");
    world.run(Duration::from_millis(500));
    let response = world.reply(asked);
    assert_eq!(response.status, 200);
    serde_json::from_slice(&response.body).unwrap()
}

#[test]
fn keys_follow_their_source_over_a_change_of_leaders_and_a_cut() {
    let mut world = world();
    write(&mut world, "n1", kv_set("config/a", "1"));
    write(&mut world, "n1", kv_set("other", "1"));
    write(&mut world, "b1", kv_set("mine", "1"));
    world.run(Duration::from_secs(2));
    for name in ["b1", "b2", "b3"] {
        assert_eq!(keys(&world, name), ["config/a=1", "mine=1"], "{name}");
        let status = status(&mut world, name);
        assert_eq!(status["Enabled"], true);
        assert_eq!(status["SourceDatacenter"], "dc1");
        let prefix = &status["Prefixes"][0];
        assert_eq!((&prefix["Prefix"], &prefix["Written"]), (&"config/".into(), &1.into()));
        assert_eq!((&prefix["LagIndex"], &prefix["LagSeconds"]), (&0.into(), &0.into()));
        assert_eq!(prefix["ReplicatedIndex"], prefix["SourceIndex"]);
    }
    assert_eq!(status(&mut world, "n1")["Enabled"], false);

    // The source wins.
    write(&mut world, "b2", kv_set("config/a", "mine"));
    write(&mut world, "b2", kv_set("config/b", "mine"));
    world.run(Duration::from_secs(1));
    assert_eq!(keys(&world, "b3"), ["config/a=1", "mine=1"]);

    let leader = world.leader_of(2).unwrap();
    world.stop(&leader);
    write(&mut world, "n1", kv_set("config/c", "3"));
    world.run(Duration::from_secs(10));
    let next = world.leader_of(2).unwrap();
    assert_eq!(keys(&world, &next), ["config/a=1", "config/c=3", "mine=1"]);
    let prefix = status(&mut world, &next)["Prefixes"][0].clone();
    assert_eq!(prefix["Written"], 1, "only what was missing");

    world.darken(1, true);
    write(&mut world, "n1", kv_set("config/d", "4"));
    let key = "config/a".into();
    write(&mut world, "n1", Command::Kv(kv::Command::Delete { key }));
    world.run(Duration::from_secs(80));
    let prefix = status(&mut world, &next)["Prefixes"][0].clone();
    assert_ne!(prefix["Errors"], 0);
    assert_ne!(prefix["LagSeconds"], 0);
    assert_ne!(prefix["LastError"], "");
    assert_eq!(keys(&world, &next), ["config/a=1", "config/c=3", "mine=1"]);
    world.darken(1, false);
    world.run(Duration::from_secs(60));
    assert_eq!(keys(&world, &next), ["config/c=3", "config/d=4", "mine=1"]);
    assert_eq!(status(&mut world, &next)["Prefixes"][0]["LagSeconds"], 0);
}
