//! Prepared queries, at real processes: over HTTP and over DNS.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use tribune_tests::agent::{Agent, eventually};
use tribune_tests::cluster::Cluster;
use tribune_tests::dns;

fn json(agent: &Agent, path: &str) -> Value {
    let response = agent.get(path);
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

/// Make a query at `agent`, and return its id.
fn make(agent: &Agent, body: &str) -> String {
    let response = agent.call("POST", "/v1/query", body.as_bytes());
    assert_eq!(response.status, 200, "{}", response.text());
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    answer["ID"].as_str().unwrap().to_owned()
}

/// The nodes that a query finds, as `agent` says.
fn found(agent: &Agent, query: &str) -> Vec<String> {
    let answer = json(agent, &format!("/v1/query/{query}/execute"));
    let rows = answer["Nodes"].as_array().unwrap().iter();
    rows.map(|it| it["Node"]["Node"].as_str().unwrap().to_owned()).collect()
}

/// The response code, how many rows, and how long the first may be remembered, as DNS at `agent` says.
fn resolved(agent: &Agent, name: &str) -> (u8, u16, Option<u32>) {
    let answer = agent.dns(&dns::question(name));
    (dns::rcode(&answer), dns::answer_count(&answer), dns::first_ttl(&answer))
}

#[test]
fn a_query_is_answered_by_every_agent_over_http_and_dns() {
    let cluster = Cluster::start(3);
    let join = format!("-retry-join={}", cluster.servers[0].lan);
    let mut client = Agent::prepare_as("c1", &["-bind=127.0.0.1", &join]);
    client.spawn();
    client.wait_until_ready();
    for (agent, port) in [(&client, 80), (&cluster.servers[1], 81)] {
        let service = format!(r#"{{"Name":"web","Port":{port},"Tags":["t{port}"]}}"#);
        assert_eq!(agent.put("/v1/agent/service/register", &service).status, 200);
    }
    let id = make(
        &client,
        r#"{"Name":"db","Service":{"Service":"web","Tags":["!t81"]},"DNS":{"TTL":"9s"}}"#,
    );
    make(
        &cluster.servers[2],
        r#"{"Name":"by-","Template":{"Type":"name_prefix_match","Regexp":"^by-(.*)$"},
            "Service":{"Service":"${match(1)}","Near":"_agent"}}"#,
    );
    for agent in cluster.servers.iter().chain([&client]) {
        assert_eq!(found(agent, "db"), ["c1"]);
        assert_eq!(found(agent, &id), ["c1"]);
        assert_eq!(found(agent, "by-web").len(), 2);
        assert_eq!(agent.get("/v1/query/none/execute").status, 404);
        // DNS answers from whatever the agent's server has.
        eventually("DNS knows the query", || resolved(agent, "db.query.consul").1 == 1);
        assert_eq!(resolved(agent, "db.query.consul"), (0, 1, Some(9)));
        eventually("and the template", || resolved(agent, "by-web.query.consul").1 == 1);
        assert_eq!(resolved(agent, "by-none.query.consul").0, 3);
    }
    assert_eq!(found(&client, "by-web")[0], "c1", "near to the agent that is asked");

    let maintenance = "/v1/agent/service/maintenance/web?enable=true";
    assert_eq!(client.put(maintenance, "").status, 200);
    assert_eq!(found(&cluster.servers[0], "db"), [""; 0]);
    eventually("DNS says the same", || resolved(&client, "db.query.consul").0 == 3);
}

#[test]
fn a_query_outlives_its_server() {
    let mut agent = Agent::durable();
    let kept = make(&agent, r#"{"Name":"kept","Service":{"Service":"consul"}}"#);
    let gone = make(&agent, r#"{"Name":"gone","Service":{"Service":"consul"}}"#);
    assert_eq!(agent.call("DELETE", &format!("/v1/query/{gone}"), b"").status, 200);
    let before = json(&agent, "/v1/query");
    agent.kill();
    agent.spawn();
    agent.wait_until_ready();
    assert_eq!(json(&agent, "/v1/query"), before);
    assert_eq!(before[0]["ID"], Value::from(kept));
    assert_eq!(before.as_array().unwrap().len(), 1);
    assert_eq!(found(&agent, "kept"), ["n1"]);
}
