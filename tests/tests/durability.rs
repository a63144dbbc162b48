//! What a durable agent has acknowledged, it has for ever; and what it cannot trust, it refuses.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tribune_tests::agent::Agent;

/// `kill -9` under concurrent writes, again and again. `TRIBUNE_KILLS` says how often.
#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_applied_twice() {
    let kills = env::var("TRIBUNE_KILLS").ok().and_then(|it| it.parse().ok()).unwrap_or(8);
    let mut agent = Agent::durable();
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..kills {
        write_until_killed(&mut agent, round, &acknowledged);
        agent.spawn();
        agent.wait_until_ready();
        check(&agent, &acknowledged.lock().unwrap());
    }
    assert!(!acknowledged.lock().unwrap().is_empty());
}

/// Eight clients write keys of their own, each once; in the middle of it the agent is killed.
fn write_until_killed(agent: &mut Agent, round: u64, acknowledged: &Mutex<Vec<String>>) {
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    // A different moment each time, by what was written and not by the clock.
    let enough = 20 + round * 37 % 200;
    let http = agent.http;
    thread::scope(|scope| {
        for client in 0..8 {
            let (stop, written) = (&stop, &written);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let key = format!("{round}/{client}/{n}");
                    match Agent::call_at(http, "PUT", &format!("/v1/kv/{key}"), key.as_bytes()) {
                        Ok(answer) if answer.text() == "true" => {
                            acknowledged.lock().unwrap().push(key);
                            written.fetch_add(1, Ordering::SeqCst);
                        }
                        _ => return,
                    }
                }
            });
        }
        while written.load(Ordering::SeqCst) < enough {
            thread::sleep(Duration::from_millis(1));
        }
        agent.kill();
        stop.store(true, Ordering::SeqCst);
    });
}

fn check(agent: &Agent, acknowledged: &[String]) {
    let rows = agent.get("/v1/kv/?recurse");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows.body).unwrap();
    let rows: BTreeMap<_, _> = rows.iter().map(|it| (it["Key"].as_str().unwrap(), it)).collect();
    for key in acknowledged {
        let row = rows.get(key.as_str()).unwrap_or_else(|| panic!("{key} is lost"));
        assert_eq!(row["CreateIndex"], row["ModifyIndex"], "{key} was applied twice");
    }
}

#[test]
fn rot_in_the_log_is_refused_and_not_cut() {
    let mut agent = Agent::durable();
    for n in 0..20 {
        assert_eq!(agent.put(&format!("/v1/kv/{n}"), "value").text(), "true");
    }
    agent.kill();
    let log = agent.data().join("raft/wal");
    let mut segments: Vec<_> = fs::read_dir(log).unwrap().map(|it| it.unwrap().path()).collect();
    segments.retain(|it| it.extension().is_some_and(|it| it == "wal"));
    segments.sort();
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[700] ^= 1;
    fs::write(&segments[0], bytes).unwrap();

    agent.spawn();
    assert_eq!(agent.wait(), Some(1));
    let log = agent.log();
    assert!(log.contains("the write-ahead log is damaged"), "{log}");
    assert!(log.contains("delete its data directory and let it join again"), "{log}");
}

#[test]
fn two_agents_do_not_share_a_directory() {
    let agent = Agent::durable();
    let data = format!("-data-dir={}", agent.data().display());
    let mut second = Agent::prepare(&["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", &data]);
    second.spawn();
    assert_eq!(second.wait(), Some(1));
    assert!(second.log().contains("is in use by another agent"), "{}", second.log());
    assert_eq!(agent.put("/v1/kv/still", "here").text(), "true");
}

#[test]
fn signals_stop_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let mut agent = Agent::durable();
        agent.put("/v1/kv/a", "1");
        agent.signal(signal);
        assert_eq!(agent.wait(), Some(0), "{signal}: {}", agent.log());
        agent.spawn();
        agent.wait_until_ready();
        assert_eq!(agent.get("/v1/kv/a?raw").text(), "1");
    }
}
