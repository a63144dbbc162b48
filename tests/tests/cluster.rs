//! Three servers, as processes: any of them takes any request, one of them may go at any time.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tribune_tests::agent::{Agent, eventually};
use tribune_tests::cluster::Cluster;

#[test]
fn a_write_at_any_server_is_read_at_any_other() {
    let cluster = Cluster::start(3);
    for (n, writer) in cluster.servers.iter().enumerate() {
        assert_eq!(writer.put(&format!("/v1/kv/k{n}"), "value").text(), "true");
        for reader in &cluster.servers {
            // The plain read, which sees everything acknowledged before, wherever it is asked.
            assert_eq!(reader.get(&format!("/v1/kv/k{n}?raw")).text(), "value");
        }
    }
    let follower = &cluster.servers[cluster.follower()];
    let stale = follower.get("/v1/kv/k0?stale");
    assert_eq!(stale.header("x-consul-knownleader"), Some("true"));
    let contact: u64 = stale.header("x-consul-lastcontact").unwrap().parse().unwrap();
    assert!(contact < 1_000, "the leader was heard {contact} ms ago");
}

#[test]
fn a_service_registered_at_a_follower_is_found_everywhere() {
    let cluster = Cluster::start(3);
    let follower = &cluster.servers[cluster.follower()];
    let registered = follower.put("/v1/agent/service/register", r#"{"Name":"web","Port":80}"#);
    assert_eq!(registered.status, 200, "{}", registered.text());
    for server in &cluster.servers {
        let found = server.get("/v1/health/service/web?passing");
        let found: Vec<serde_json::Value> = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn the_leader_is_killed_under_load_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3);
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..3 {
        let leader = cluster.leader();
        let pause = kill_under_load(&mut cluster, leader, round, &acknowledged);
        // An election takes a second or two; this is no benchmark, so it may take ten times as long.
        assert!(pause < Duration::from_secs(20), "writes went on after {pause:?}");
        cluster.servers[leader].spawn();
        cluster.wait_until_ready();
        let acknowledged = acknowledged.lock().unwrap();
        for server in &cluster.servers {
            check(server, &acknowledged);
        }
    }
}

/// Four clients write at the servers that stay; the leader is killed in the middle of it. Returns how
/// long nobody's writes were acknowledged.
fn kill_under_load(
    cluster: &mut Cluster,
    leader: usize,
    round: u64,
    acknowledged: &Mutex<Vec<String>>,
) -> Duration {
    let stop = AtomicBool::new(false);
    let https = cluster.https();
    let others: Vec<_> = (0..3).filter(|it| *it != leader).map(|it| https[it]).collect();
    let before = acknowledged.lock().unwrap().len();
    thread::scope(|scope| {
        for client in 0..4 {
            let (stop, http) = (&stop, others[client % others.len()]);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let key = format!("{round}/{client}/{n}");
                    let path = format!("/v1/kv/{key}");
                    let answer = Agent::call_at(http, "PUT", &path, key.as_bytes());
                    if answer.is_ok_and(|it| it.status == 200 && it.text() == "true") {
                        acknowledged.lock().unwrap().push(key);
                    }
                }
            });
        }
        eventually("writes", || before + 50 < acknowledged.lock().unwrap().len());
        cluster.servers[leader].kill();
        let killed = Instant::now();
        // What was acknowledged by the old leader and is still under way to its client.
        thread::sleep(Duration::from_millis(100));
        let then = acknowledged.lock().unwrap().len();
        eventually("writes go on", || then + 20 < acknowledged.lock().unwrap().len());
        let pause = killed.elapsed();
        stop.store(true, Ordering::SeqCst);
        pause
    })
}

fn check(server: &Agent, acknowledged: &[String]) {
    let rows = server.get("/v1/kv/?recurse");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows.body).unwrap();
    let rows: BTreeMap<_, _> = rows.iter().map(|it| (it["Key"].as_str().unwrap(), it)).collect();
    for key in acknowledged {
        let row = rows.get(key.as_str()).unwrap_or_else(|| panic!("{key} is lost"));
        assert_eq!(row["CreateIndex"], row["ModifyIndex"], "{key} was applied twice");
    }
}

#[test]
fn a_leader_that_was_paused_answers_nothing_old() {
    let cluster = Cluster::start(3);
    let paused = cluster.leader();
    assert_eq!(cluster.servers[paused].put("/v1/kv/x", "old").text(), "true");
    cluster.servers[paused].signal("STOP");
    let other = &cluster.servers[(paused + 1) % 3];
    eventually("the others go on", || {
        other.try_call("PUT", "/v1/kv/x", b"new").is_ok_and(|it| it.status == 200)
    });
    cluster.servers[paused].signal("CONT");
    // Whatever it believes at this moment: this is a plain read.
    assert_eq!(cluster.servers[paused].get("/v1/kv/x?raw").text(), "new");
}

#[test]
fn a_server_that_lost_its_disk_comes_back() {
    let mut cluster = Cluster::start(3);
    let lost = cluster.follower();
    assert_eq!(cluster.servers[lost].put("/v1/kv/x", "value").text(), "true");
    cluster.servers[lost].kill();
    cluster.wipe(lost);
    cluster.servers[lost].spawn();
    eventually("it has what the others have", || {
        cluster.servers[lost]
            .try_call("GET", "/v1/kv/x?raw&stale", b"")
            .is_ok_and(|it| it.status == 200 && it.text() == "value")
    });
    eventually("it has a vote again", || cluster.voters(cluster.leader()) == 3);
}

#[test]
fn a_server_leaves_and_the_others_go_on() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let left = cluster.servers[leader].cli(&["leave"]);
    assert!(left.status.success(), "{left:?}");
    assert_eq!(cluster.servers[leader].wait(), Some(0));
    let other = (leader + 1) % 3;
    assert_eq!(cluster.servers[other].put("/v1/kv/x", "value").text(), "true");
    assert_eq!(cluster.voters(other), 2);
    let nodes = cluster.servers[other].get("/v1/catalog/nodes");
    assert!(!nodes.text().contains(&format!("\"n{}\"", leader + 1)), "{}", nodes.text());
}

#[test]
fn one_server_goes_on_alone_when_an_operator_says_so() {
    let mut cluster = Cluster::start(3);
    assert_eq!(cluster.servers[0].put("/v1/kv/x", "value").text(), "true");
    cluster.servers.iter_mut().for_each(Agent::kill);
    let only = &mut cluster.servers[0];
    let id = std::fs::read_to_string(only.data().join("node-id")).unwrap();
    let peers = format!(r#"[{{ "id": "{}", "address": "{}" }}]"#, id.trim(), only.server);
    let file = only.data().join("raft/peers.json");
    std::fs::write(&file, peers).unwrap();
    only.spawn();
    only.wait_until_ready();
    assert_eq!(only.get("/v1/kv/x?raw").text(), "value");
    eventually("the file has done its work", || !file.exists());
}
