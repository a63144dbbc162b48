//! What DNS looks like at an agent is what its own configuration says, whoever knows the answer.

#![allow(clippy::unwrap_used)]

use tribune_tests::agent::{Agent, eventually};
use tribune_tests::dns;

fn ask(agent: &Agent, name: &str) -> (u8, u16, Option<u32>) {
    let answer = agent.dns(&dns::question(name));
    (dns::rcode(&answer), dns::answer_count(&answer), dns::first_ttl(&answer))
}

#[test]
fn a_client_agent_answers_as_it_is_configured_itself() {
    let settings = "-hcl=dns_config { service_ttl { \"*\" = \"3s\" }, node_ttl = \"4s\" }";
    let server = &Agent::start(&["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", settings]);
    let settings = "-hcl=dns_config { service_ttl { \"*\" = \"9s\", \"db*\" = \"7s\" } \
                    node_ttl = \"8s\", only_passing = true, a_record_limit = 2 }";
    let join = format!("-retry-join={}", server.lan);
    let arguments = ["-bind=127.0.0.1", "-domain=here.", "-alt-domain=there.", settings, &join];
    let mut client = Agent::prepare_as("c1", &arguments);
    client.spawn();
    client.wait_until_ready();
    for (id, name, status) in [
        ("db-1", "db-main", "passing"),
        ("db-2", "db-main", "warning"),
        ("web-1", "web", "passing"),
        ("web-2", "web", "passing"),
        ("web-3", "web", "passing"),
    ] {
        let number = id.rsplit('-').next().unwrap();
        let body = format!(
            r#"{{ "ID": "{id}", "Name": "{name}", "Address": "10.0.0.{number}",
                  "Check": {{ "TTL": "1h", "Status": "{status}" }} }}"#
        );
        assert_eq!(client.put("/v1/agent/service/register", body).status, 200);
    }
    eventually("the server knows all", || ask(server, "web.service.consul").1 == 3);
    assert_eq!(ask(server, "db-main.service.consul"), (0, 2, Some(3)));
    assert_eq!(ask(server, "c1.node.consul"), (0, 1, Some(4)));

    assert_eq!(ask(&client, "web.service.here"), (0, 2, Some(9)), "two addresses at most");
    assert_eq!(ask(&client, "db-main.service.there"), (0, 1, Some(7)), "without the warning");
    assert_eq!(ask(&client, "c1.node.here"), (0, 1, Some(8)));
    assert_eq!(ask(&client, "nobody.service.here"), (3, 0, None));
    let (rcode, count, _) = ask(&client, "web.service.consul");
    assert_eq!((rcode, count), (5, 0), "that zone is not ours here");
}
