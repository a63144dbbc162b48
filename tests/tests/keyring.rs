//! The keys that gossip is encrypted with, changed while everybody goes on.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;
use tribune_tests::agent::{Agent, eventually};

const PATH: &str = "/v1/operator/keyring";
const OLD: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// A server and a client agent, in a pool with a key.
fn start() -> (Agent, Agent) {
    let encrypt = format!("-encrypt={OLD}");
    let server = Agent::start(&["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", &encrypt]);
    let join = format!("-retry-join={}", server.lan);
    let mut client = Agent::prepare_as("c1", &["-bind=127.0.0.1", &join, &encrypt]);
    client.spawn();
    client.wait_until_ready();
    eventually("both are there", || alive(&server) == 2);
    (server, client)
}

fn alive(agent: &Agent) -> usize {
    let members: Vec<Value> = serde_json::from_slice(&agent.get("/v1/agent/members").body).unwrap();
    members.iter().filter(|it| it["Status"] == 1).count()
}

/// The keys of the datacenter's pool, how many have each, and how many use it.
fn keys(agent: &Agent) -> (Value, Value) {
    let response = agent.get(PATH);
    let pools: Vec<Value> = serde_json::from_slice(&response.body)
        .unwrap_or_else(|_| panic!("{} {}", response.status, response.text()));
    let lan = pools.iter().find(|it| it["WAN"] == false).unwrap();
    assert_eq!(lan["NumNodes"], 2);
    (lan["Keys"].clone(), lan["PrimaryKeys"].clone())
}

fn change(agent: &Agent, method: &str, key: &str) -> (u16, String) {
    let body = serde_json::json!({ "Key": key }).to_string();
    let response = agent.call(method, PATH, body.as_bytes());
    (response.status, response.text().to_owned())
}

#[test]
fn a_key_is_replaced_under_traffic() {
    let (mut server, client) = start();
    assert_eq!(keys(&server), (serde_json::json!({ OLD: 2 }), serde_json::json!({ OLD: 2 })));

    let over = Arc::new(AtomicBool::new(false));
    let asked = client.http;
    let traffic = thread::spawn({
        let over = Arc::clone(&over);
        move || {
            while !over.load(Ordering::Relaxed) {
                for path in ["/v1/kv/a", "/v1/event/fire/tick"] {
                    let told = Agent::call_at(asked, "PUT", path, b"b").unwrap();
                    assert_eq!(told.status, 200, "{path}: {}", told.text());
                }
                let members = Agent::call_at(asked, "GET", "/v1/agent/members", b"").unwrap();
                let members: Vec<Value> = serde_json::from_slice(&members.body).unwrap();
                assert!(members.iter().all(|it| it["Status"] == 1), "{members:?}");
            }
        }
    });
    assert_eq!(change(&server, "POST", NEW), (200, String::new()));
    assert_eq!(keys(&server).0, serde_json::json!({ NEW: 2, OLD: 2 }));
    assert_eq!(change(&server, "PUT", NEW), (200, String::new()));
    assert_eq!(keys(&server).1, serde_json::json!({ NEW: 2 }));
    assert_eq!(change(&server, "DELETE", OLD), (200, String::new()));
    assert_eq!(keys(&server).0, serde_json::json!({ NEW: 2 }));
    over.store(true, Ordering::Relaxed);
    traffic.join().unwrap();

    // It is on disk: whoever comes back is no stranger, whatever its configuration says.
    server.kill();
    server.spawn();
    server.wait_until_ready();
    eventually("both are there again", || alive(&server) == 2 && alive(&client) == 2);
    assert_eq!(keys(&server).0, serde_json::json!({ NEW: 2 }));

    // Who has the old key only is one.
    let join = format!("-join={}", server.lan);
    let encrypt = format!("-encrypt={OLD}");
    let mut stranger = Agent::prepare_as("c2", &["-bind=127.0.0.1", &join, &encrypt]);
    stranger.spawn();
    assert_eq!(stranger.wait(), Some(1), "{}", stranger.log());
    assert_eq!(alive(&server), 2);
}

#[test]
fn mistakes_are_told_and_change_nothing() {
    let (server, client) = start();
    let refused = |method, key, why: &str| {
        let (status, text) = change(&server, method, key);
        assert_eq!(status, 500);
        assert!(text.contains(why), "{text}");
    };
    refused("DELETE", OLD, "Removing the primary key is not allowed");
    refused("PUT", NEW, "Requested key is not in the keyring");
    refused("POST", "eHh4", "key size must be 16, 24 or 32 bytes");
    let (status, text) = change(&server, "POST", "x");
    assert_eq!(status, 500);
    let illegal = "error: illegal base64 data at input byte 0";
    assert!(text.contains(&format!("dc1 (LAN) {illegal}")), "{text}");
    // Of a key that nobody has, everybody is rid.
    assert_eq!(change(&server, "DELETE", NEW), (200, String::new()));
    assert_eq!(keys(&server).0, serde_json::json!({ OLD: 2 }));

    let elsewhere = client.get(PATH);
    let want = "keyring operations must run against a server node";
    assert_eq!((elsewhere.status, elsewhere.text()), (500, want));
}

#[test]
fn without_encryption_there_are_no_keys() {
    let agent = Agent::dev();
    let listed = agent.get("/v1/operator/keyring?local-only=1");
    assert_eq!(listed.status, 500);
    let frame = "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* ";
    let why = ": Keyring is empty (encryption not enabled)\n\n";
    assert!(listed.text().starts_with(frame) && listed.text().ends_with(why), "{}", listed.text());
    let (status, text) = change(&agent, "POST", NEW);
    assert_eq!(status, 500);
    assert!(text.contains(": No keyring to modify (encryption not enabled)\n"), "{text}");
}

/// Two datacenters of one server each, which know each other.
fn datacenters() -> (Agent, Agent) {
    let encrypt = format!("-encrypt={OLD}");
    let common = ["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", &encrypt];
    let first = Agent::start_as("n1", &common);
    let join = format!("-retry-join-wan={}", first.wan);
    let all = [&common[..], &["-datacenter=dc2", &join]].concat();
    let second = Agent::start_as("m1", &all);
    eventually("they have met", || {
        let known = first.get("/v1/catalog/datacenters");
        known.text() == r#"["dc1","dc2"]"# && second.get("/v1/kv/a?dc=dc1").status == 404
    });
    (first, second)
}

/// Which pools there are, and their keys.
fn pools(agent: &Agent, query: &str) -> Vec<(bool, String, u64, Value)> {
    let response = agent.get(&format!("{PATH}{query}"));
    let pools: Vec<Value> = serde_json::from_slice(&response.body)
        .unwrap_or_else(|_| panic!("{} {}", response.status, response.text()));
    let row = |it: &Value| {
        let datacenter = it["Datacenter"].as_str().unwrap().to_owned();
        (it["WAN"] == true, datacenter, it["NumNodes"].as_u64().unwrap(), it["Keys"].clone())
    };
    pools.iter().map(row).collect()
}

#[test]
fn every_datacenter_is_told() {
    let (first, mut second) = datacenters();
    let old = || serde_json::json!({ OLD: 1 });
    let both = |it: u64| serde_json::json!({ OLD: it });
    let want = |wan, datacenter: &str, count, keys| (wan, datacenter.to_owned(), count, keys);
    let rows = [want(true, "dc1", 2, both(2)), want(false, "dc1", 1, old())];
    let all = [&rows[..], &[want(false, "dc2", 1, old())]].concat();
    assert_eq!(pools(&first, ""), all);
    assert_eq!(pools(&first, "?local-only=1"), [want(false, "dc1", 1, old())]);

    // What is begun in one is finished in all.
    for (method, key) in [("POST", NEW), ("PUT", NEW), ("DELETE", OLD)] {
        assert_eq!(change(&first, method, key), (200, String::new()), "{method}");
    }
    let new: Vec<_> = pools(&second, "").into_iter().map(|it| (it.0, it.1, it.3)).collect();
    let row = |wan, datacenter: &str, count: u64| {
        (wan, datacenter.to_owned(), serde_json::json!({ NEW: count }))
    };
    assert_eq!(new, [row(true, "dc2", 2), row(false, "dc2", 1), row(false, "dc1", 1)]);
    let (status, text) = change(&first, "DELETE", NEW);
    assert_eq!(status, 500);
    let why = "dc2 (LAN) error: 1/1 nodes reported failure\n\t* m1: ";
    assert!(text.contains(&format!("{why}Removing the primary key is not allowed")), "{text}");

    // One that cannot be told makes the whole fail.
    second.kill();
    eventually("it has failed", || {
        let members = first.get("/v1/agent/members?wan=1");
        members.text().contains("\"Status\":4") || members.text().contains("\"Status\": 4")
    });
    let (status, text) = change(&first, "POST", OLD);
    let why = "dc2 (LAN) error: 1/1 nodes reported failure\n\t* dc2: Remote DC has no server";
    assert!(status == 500 && text.contains(why), "{text}");
    assert_eq!(pools(&first, "?local-only=1").len(), 1);
}
