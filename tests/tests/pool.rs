//! Three servers and two client agents, as processes: whoever is asked answers, and the catalog says
//! who is there.

#![allow(clippy::unwrap_used)]

use tribune_tests::agent::{Agent, eventually};
use tribune_tests::cluster::Cluster;
use tribune_tests::dns;

/// Three servers, and two client agents called `c1` and `c2`.
struct Datacenter {
    cluster: Cluster,
    clients: Vec<Agent>,
}

impl Datacenter {
    fn start() -> Self {
        let cluster = Cluster::start(3);
        let clients = ["c1", "c2"].map(|name| {
            let join = format!("-retry-join={}", cluster.servers[0].lan);
            let mut client = Agent::prepare_as(name, &["-bind=127.0.0.1", &join]);
            client.spawn();
            client.wait_until_ready();
            client
        });
        Self { cluster, clients: clients.into() }
    }

    fn everybody(&self) -> impl Iterator<Item = &Agent> {
        self.cluster.servers.iter().chain(&self.clients)
    }
}

/// The members that `agent` knows: names and numbers of their states.
fn members(agent: &Agent) -> Vec<(String, u64)> {
    let body = agent.get("/v1/agent/members").body;
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
    let row = |it: &serde_json::Value| {
        (it["Name"].as_str().unwrap().to_owned(), it["Status"].as_u64().unwrap())
    };
    let mut members: Vec<_> = rows.iter().map(row).collect();
    members.sort();
    members
}

fn state_of(agent: &Agent, member: &str) -> Option<u64> {
    members(agent).into_iter().find(|it| it.0 == member).map(|it| it.1)
}

/// How many addresses `web` has, as DNS at `agent` says.
fn found(agent: &Agent) -> u16 {
    dns::answer_count(&agent.dns(&dns::question("web.service.consul")))
}

fn register(agent: &Agent) {
    let registered = agent.put("/v1/agent/service/register", r#"{"Name":"web","Port":80}"#);
    assert_eq!(registered.status, 200, "{}", registered.text());
}

#[test]
fn what_is_registered_anywhere_is_found_everywhere() {
    let datacenter = Datacenter::start();
    register(&datacenter.clients[0]);
    for agent in datacenter.everybody() {
        eventually("everybody knows all five", || {
            let alive = members(agent).iter().filter(|it| it.1 == 1).count();
            alive == 5
        });
        let rows = agent.get("/v1/health/service/web?passing").body;
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["Node"]["Node"], "c1");
        eventually("DNS says the same", || found(agent) == 1);
    }
    let client = &datacenter.clients[1];
    assert_eq!(client.put("/v1/kv/a", "b").text(), "true");
    assert_eq!(datacenter.clients[0].get("/v1/kv/a?raw").text(), "b");
    assert_eq!(client.get("/v1/kv/none").status, 404);
}

#[test]
fn whoever_dies_is_not_found_and_whoever_comes_back_is() {
    let mut datacenter = Datacenter::start();
    register(&datacenter.clients[0]);
    let server = |it: &Datacenter| it.cluster.servers[1].http;
    eventually("it is found", || found(&datacenter.cluster.servers[1]) == 1);
    datacenter.clients[0].kill();
    eventually("it is not found any more", || found(&datacenter.cluster.servers[1]) == 0);
    assert_eq!(state_of(&datacenter.cluster.servers[1], "c1"), Some(4));
    datacenter.clients[0].spawn();
    eventually("it is found again", || found(&datacenter.cluster.servers[1]) == 1);
    // The service is still there without anybody having registered it again.
    let about = Agent::call_at(server(&datacenter), "GET", "/v1/health/node/c1", b"").unwrap();
    assert!(!about.text().contains("critical"), "{}", about.text());
}

/// The configuration of this client agent names the first server, and nobody else.
#[test]
fn an_agent_that_is_started_again_finds_whoever_is_left() {
    let mut datacenter = Datacenter::start();
    let remembered = datacenter.clients[0].data().join("serf/local.snapshot");
    eventually("all the others are remembered", || {
        let text = std::fs::read_to_string(&remembered).unwrap_or_default();
        text.lines().count() == 4
    });
    datacenter.clients[0].kill();
    datacenter.cluster.servers[0].kill();
    datacenter.clients[0].spawn();
    datacenter.clients[0].wait_until_ready();
    eventually("it is in the pool", || state_of(&datacenter.cluster.servers[1], "c1") == Some(1));
}

#[test]
fn whoever_leaves_is_gone_and_never_was_critical() {
    let mut datacenter = Datacenter::start();
    register(&datacenter.clients[0]);
    let asked = datacenter.cluster.servers[0].http;
    let watching = std::thread::spawn(move || {
        let about = |path| Agent::call_at(asked, "GET", path, b"").unwrap();
        while about("/v1/health/node/c1").text() != "[]" {
            let checks = about("/v1/health/node/c1");
            assert!(!checks.text().contains("critical"), "{}", checks.text());
        }
    });
    let left = datacenter.clients[0].cli(&["leave"]);
    assert!(left.status.success(), "{left:?}");
    assert_eq!(datacenter.clients[0].wait(), Some(0));
    watching.join().unwrap();
    eventually("the servers say that it left", || {
        state_of(&datacenter.cluster.servers[0], "c1") == Some(3)
    });
}

#[test]
fn all_servers_die_and_come_back_and_nobody_registers_again() {
    let mut datacenter = Datacenter::start();
    register(&datacenter.clients[0]);
    for server in &mut datacenter.cluster.servers {
        server.kill();
    }
    for server in &mut datacenter.cluster.servers {
        server.spawn();
    }
    datacenter.cluster.wait_until_ready();
    for agent in datacenter.everybody() {
        eventually("it is found", || found(agent) == 1);
    }
    eventually("every server knows every agent", || {
        datacenter.cluster.servers.iter().all(|it| {
            let members = members(it);
            members.len() == 5 && members.iter().all(|it| it.1 == 1)
        })
    });
}

/// The only server that it knew is gone for good; another one has its place.
#[test]
fn an_agent_that_everybody_has_left_joins_again() {
    let alone = ["-server", "-bootstrap-expect=1", "-bind=127.0.0.1"];
    let mut first = Agent::prepare_as("n1", &alone);
    let mut second = Agent::prepare_as("n2", &alone);
    first.spawn();
    let joins = [first.lan, second.lan].map(|it| format!("-retry-join={it}"));
    let arguments = ["-bind=127.0.0.1", "-retry-interval=1s", &joins[0], &joins[1]];
    let client = Agent::start_as("c1", &arguments);
    register(&client);
    first.kill();
    second.spawn();
    second.wait_until_ready();
    eventually("the other one has it", || found(&second) == 1);
}
