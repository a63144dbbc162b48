//! What a newcomer does first: register, check, find, configure.

#![allow(clippy::unwrap_used)]

use tribune_tests::agent::{Agent, eventually};
use tribune_tests::dns;
use tribune_tests::web::Web;

#[test]
fn a_service_is_found_while_it_answers() {
    let agent = Agent::dev();
    let mut web = Web::start();
    let definition = format!(
        r#"{{"Name": "web", "Port": {}, "Check": {{"HTTP": "http://{}/", "Interval": "1s"}}}}"#,
        web.addr.port(),
        web.addr
    );
    let registered = agent.put("/v1/agent/service/register", definition);
    assert_eq!(registered.status, 200, "{}", registered.text());

    // Who was told "registered" may look it up at once.
    let services = agent.get("/v1/catalog/services");
    assert!(services.text().contains("\"web\""), "{}", services.text());

    let found = || {
        let answer = agent.dns(&dns::question("web.service.consul"));
        dns::rcode(&answer) == 0 && dns::answer_count(&answer) == 1
    };
    let passing =
        || agent.get("/v1/health/service/web?passing").text().contains("\"Service\": \"web\"");
    eventually("the check passes", || found() && passing());
    web.stop();
    eventually("the check fails", || !found() && !passing());
    web.restart();
    eventually("the check passes again", || found() && passing());

    assert_eq!(agent.put("/v1/agent/service/deregister/web", "").status, 200);
    eventually("it is gone", || !agent.get("/v1/catalog/services").text().contains("web"));
}

#[test]
fn a_key_and_a_registration_survive_kill_nine() {
    let mut agent = Agent::durable();
    assert_eq!(agent.put("/v1/kv/app/colour", "blue").text(), "true");
    let registered = agent.put("/v1/agent/service/register", r#"{"Name": "db", "Port": 5432}"#);
    assert_eq!(registered.status, 200);
    agent.kill();
    agent.spawn();
    agent.wait_until_ready();
    assert_eq!(agent.get("/v1/kv/app/colour?raw").text(), "blue");
    assert!(agent.get("/v1/agent/services").text().contains("5432"));
    assert!(agent.get("/v1/catalog/service/db").text().contains("5432"));
}

#[test]
fn whoever_waits_for_a_key_is_woken_by_its_change() {
    let agent = Agent::dev();
    agent.put("/v1/kv/flag", "off");
    let index = agent.get("/v1/kv/flag").index();
    let path = format!("/v1/kv/flag?raw&index={index}&wait=60s");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| agent.get(&path));
        // Neither of these is a change of `flag`.
        agent.put("/v1/kv/flag", "off");
        agent.put("/v1/kv/flagpole", "high");
        agent.put("/v1/kv/flag", "on");
        let woken = waiting.join().unwrap();
        assert_eq!(woken.text(), "on");
        assert!(index < woken.index());
    });
}

#[test]
fn the_command_line_reads_what_it_writes() {
    let agent = Agent::dev();
    let put = agent.cli(&["kv", "put", "app/colour", "blue"]);
    assert_eq!(String::from_utf8_lossy(&put.stdout), "Success! Data written to: app/colour\n");
    let get = agent.cli(&["kv", "get", "app/colour"]);
    assert_eq!(String::from_utf8_lossy(&get.stdout), "blue\n");
    let members = agent.cli(&["members"]);
    assert!(String::from_utf8_lossy(&members.stdout).contains("n1"), "{members:?}");
}

#[test]
fn an_idle_agent_is_small() {
    let agent = Agent::dev();
    // An optimised build is smaller still; this one has room for what the tests' profile adds.
    assert!(agent.resident() < 40 << 20, "{} bytes are resident", agent.resident());
}
