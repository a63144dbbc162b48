//! Keys that one datacenter keeps as another has them, at real processes.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use tribune_tests::agent::{Agent, eventually};

const QUICK: [&str; 2] = ["-hcl", "performance { raft_multiplier = 1 }"];

fn server(node: &str, datacenter: &str, more: &[&str]) -> Agent {
    let datacenter = format!("-datacenter={datacenter}");
    let own = ["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", &datacenter];
    Agent::start_as(node, &[&own[..], &QUICK, more].concat())
}

/// How `config/` is doing, as an agent of the destination says.
fn status(agent: &Agent) -> Value {
    let response = agent.get("/v1/operator/kv/replication");
    assert_eq!(response.status, 200, "{}", response.text());
    let status: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!((&status["Enabled"], &status["SourceDatacenter"]), (&true.into(), &"dc1".into()));
    status["Prefixes"][0].clone()
}

fn value(agent: &Agent, key: &str) -> Option<String> {
    let response = agent.get(&format!("/v1/kv/{key}?raw"));
    (response.status == 200).then(|| response.text().to_owned())
}

#[test]
fn keys_follow_their_source_over_restarts_of_both_sides() {
    let mut one = server("n1", "dc1", &[]);
    let join = format!("-retry-join-wan={}", one.wan);
    let follow = r#"kv_replication { source_datacenter = "dc1" prefixes = ["config/"] }"#;
    let mut two = server("m1", "dc2", &[&join, "-hcl", follow]);
    assert_eq!(one.put("/v1/kv/config/a", "1").text(), "true");
    assert_eq!(one.put("/v1/kv/other", "1").text(), "true");
    assert_eq!(two.put("/v1/kv/mine", "1").text(), "true");
    eventually("the key is here", || value(&two, "config/a").as_deref() == Some("1"));
    assert_eq!((value(&two, "other"), value(&two, "mine").as_deref()), (None, Some("1")));
    eventually("it is up to date", || status(&two)["LagIndex"] == 0);

    // The source wins.
    assert_eq!(two.put("/v1/kv/config/a", "mine").text(), "true");
    assert_eq!(two.put("/v1/kv/config/b", "mine").text(), "true");
    eventually("what is not the source's is gone", || {
        value(&two, "config/a").as_deref() == Some("1") && value(&two, "config/b").is_none()
    });

    // While the source is away, what is here stays.
    one.kill();
    eventually("it is missed", || status(&two)["Errors"] != 0);
    assert_eq!(value(&two, "config/a").as_deref(), Some("1"));
    two.kill();
    one.spawn();
    one.wait_until_ready();
    assert_eq!(one.call("DELETE", "/v1/kv/config/a", b"").text(), "true");
    assert_eq!(one.put("/v1/kv/config/c", "3").text(), "true");
    two.spawn();
    two.wait_until_ready();
    eventually("it goes on where it was", || {
        value(&two, "config/a").is_none() && value(&two, "config/c").as_deref() == Some("3")
    });
    let shown = two.cli(&["kv", "replication"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("config/") && shown.contains("dc1"), "{shown}");
    assert!(one.get("/v1/operator/kv/replication").text().starts_with(r#"{"Enabled":false"#));
}

#[test]
fn a_datacenter_does_not_follow_itself() {
    let follow = r#"kv_replication { source_datacenter = "dc1" prefixes = [""] }"#;
    let mut agent = Agent::prepare(&["-dev", "-hcl", follow]);
    agent.spawn();
    assert_eq!(agent.wait(), Some(1));
    assert!(
        agent.log().contains("kv_replication.source_datacenter cannot be dc1"),
        "{}",
        agent.log()
    );
}
