//! Two datacenters as processes: what belongs to one is found from the other, and neither needs the
//! other for its own business.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use tribune_tests::agent::{Agent, eventually};
use tribune_tests::dns;

/// A server of `dc1` and a client agent there, and a server of `dc2` that was told of the first.
struct Datacenters {
    one: Agent,
    client: Agent,
    two: Agent,
}

impl Datacenters {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with these arguments for all servers.
    fn start_with(arguments: &[&str]) -> Self {
        let one = server("n1", "dc1", arguments);
        let join = format!("-retry-join={}", one.lan);
        let client = [&["-bind=127.0.0.1", &join], arguments].concat();
        let mut client = Agent::prepare_as("c1", &client);
        client.spawn();
        client.wait_until_ready();
        let join = format!("-retry-join-wan={}", one.wan);
        let two = server("m1", "dc2", &[&[&*join], arguments].concat());
        let this = Self { one, client, two };
        eventually("they know each other", || {
            [&this.one, &this.client].iter().all(|it| it.get("/v1/kv/none?dc=dc2").status == 404)
        });
        this
    }
}

fn server(node: &str, datacenter: &str, arguments: &[&str]) -> Agent {
    let datacenter = format!("-datacenter={datacenter}");
    let quick = ["-hcl", "performance { raft_multiplier = 1 }"];
    let own = ["-server", "-bootstrap-expect=1", "-bind=127.0.0.1", &datacenter];
    let mut server = Agent::prepare_as(node, &[&own[..], &quick, arguments].concat());
    server.spawn();
    server.wait_until_ready();
    server
}

/// How many rows DNS has for a name.
fn found(agent: &Agent, name: &str) -> u16 {
    dns::answer_count(&agent.dns(&dns::question(name)))
}

fn rcode(agent: &Agent, name: &str) -> u8 {
    dns::rcode(&agent.dns(&dns::question(name)))
}

#[test]
fn a_service_of_one_datacenter_is_found_in_the_other() {
    let all = Datacenters::start();
    let registered = all.two.put("/v1/agent/service/register", r#"{"Name":"web","Port":80}"#);
    assert_eq!(registered.status, 200, "{}", registered.text());
    for agent in [&all.one, &all.client] {
        let rows = agent.get("/v1/health/service/web?passing&dc=dc2");
        assert_eq!(rows.status, 200, "{}", rows.text());
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows.body).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["Node"]["Datacenter"], "dc2");
        eventually("DNS says the same", || found(agent, "web.service.dc2.consul") == 1);
        assert_eq!(found(agent, "web.service.consul"), 0, "it is not here");
        assert_eq!(found(agent, "m1.node.dc2.consul"), 1);
        assert_eq!(rcode(agent, "web.service.dc9.consul"), 3, "there is no such datacenter");
        assert_eq!(agent.get("/v1/catalog/datacenters").text(), r#"["dc1","dc2"]"#);
    }
    assert_eq!(all.two.get("/v1/catalog/datacenters").text(), r#"["dc2","dc1"]"#);
    // The body says where it belongs, whatever the parameter says.
    let body = r#"{"Datacenter":"dc2","Node":"x","Address":"10.0.0.1"}"#;
    let registered = all.client.put("/v1/catalog/register?dc=dc1", body);
    assert_eq!(registered.text(), "true");
    assert_eq!(found(&all.client, "x.node.dc2.consul"), 1);
    assert_eq!(found(&all.client, "x.node.consul"), 0);
    // What happens there is heard there.
    let fired = all.client.put("/v1/event/fire/deploy?dc=dc2", "");
    assert_eq!(fired.status, 200, "{}", fired.text());
    eventually("it is heard", || all.two.get("/v1/event/list").text().contains("deploy"));
    assert_eq!(all.one.get("/v1/event/list").text(), "[]");
}

#[test]
fn whoever_waits_for_another_datacenter_is_woken_by_it() {
    let all = Datacenters::start();
    assert_eq!(all.client.put("/v1/kv/a?dc=dc2", "1").text(), "true");
    let index = all.client.get("/v1/kv/a?dc=dc2").index();
    let (http, path) = (all.client.http, format!("/v1/kv/a?raw&dc=dc2&wait=60s&index={index}"));
    let waiting = std::thread::spawn(move || Agent::call_at(http, "GET", &path, b"").unwrap());
    let began = Instant::now();
    assert_eq!(all.two.put("/v1/kv/a", "2").text(), "true");
    assert_eq!(waiting.join().unwrap().text(), "2");
    assert!(began.elapsed() < Duration::from_secs(30), "it was woken, and did not time out");
    assert_eq!(all.one.get("/v1/kv/a").status, 404, "nothing of it is here");
}

#[test]
fn a_datacenter_that_is_gone_is_missed_by_nobody_and_found_when_it_is_back() {
    let mut all = Datacenters::start();
    all.two.kill();
    for agent in [&all.one, &all.client] {
        for _ in 0..3 {
            let began = Instant::now();
            let answer = agent.get("/v1/kv/a?dc=dc2");
            assert_eq!(answer.status, 500);
            let text = answer.text();
            assert!(
                text.contains("no server currently reachable") || text.contains("EOF"),
                "{text}"
            );
            assert!(began.elapsed() < Duration::from_secs(7), "{:?}", began.elapsed());
        }
        assert_eq!(rcode(agent, "web.service.dc2.consul"), 2, "nobody knows");
        let began = Instant::now();
        assert_eq!(agent.put("/v1/kv/here", "x").text(), "true");
        assert_eq!(agent.get("/v1/catalog/datacenters").text(), r#"["dc1","dc2"]"#);
        assert!(began.elapsed() < Duration::from_secs(1), "dc1 goes on: {:?}", began.elapsed());
    }
    all.two.spawn();
    all.two.wait_until_ready();
    let back = Instant::now();
    for agent in [&all.one, &all.client] {
        eventually("it is back", || agent.get("/v1/kv/none?dc=dc2").status == 404);
    }
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
}

#[test]
fn members_of_all_datacenters_are_servers_and_strangers_stay_out() {
    let key = "-encrypt=pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=";
    let all = Datacenters::start_with(&[key]);
    let members = all.one.cli(&["members", "-wan"]);
    let text = String::from_utf8(members.stdout).unwrap();
    let names: Vec<_> = text.lines().skip(1).filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(names, ["m1.dc2", "n1.dc1"], "{text}");
    assert_eq!(all.client.get("/v1/agent/members?wan=1").text(), "null");
    let refused = all.client.put(&format!("/v1/agent/join/{}?wan=1", all.one.wan), "");
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(all.one.data().join("serf/remote.keyring").exists());

    let stranger = server("x1", "dc3", &[]);
    let (http, path) = (stranger.http, format!("/v1/agent/join/{}?wan=1", all.one.wan));
    // Nobody answers, and it takes a while until that is certain.
    let unanswered = std::thread::spawn(move || Agent::call_at(http, "PUT", &path, b""));
    let friend = server("y1", "dc4", &[key]);
    let joined = friend.cli(&["join", "-wan", &all.one.wan.to_string()]);
    assert!(joined.status.success(), "{joined:?}");
    eventually("they meet", || all.two.get("/v1/kv/none?dc=dc4").status == 404);
    assert_eq!(all.two.get("/v1/kv/none?dc=dc3").text(), "No path to datacenter");
    drop(stranger);
    assert!(unanswered.join().unwrap().is_err(), "it was still waiting");
    let left = friend.cli(&["leave"]);
    assert!(left.status.success(), "{left:?}");
    eventually("it is gone", || {
        all.two.get("/v1/kv/none?dc=dc4").text() == "No path to datacenter"
    });
}

/// The servers of dc2 are reached by other addresses from outside than from inside.
#[test]
fn who_wants_it_is_told_the_addresses_for_other_datacenters() {
    let all = Datacenters::start_with(&["-hcl=translate_wan_addrs = true"]);
    let body = r#"{"Datacenter":"dc2","Node":"x","Address":"10.0.0.1",
        "TaggedAddresses":{"wan":"198.51.100.7"},
        "Service":{"Service":"web","Address":"10.0.0.2","Port":80,
            "TaggedAddresses":{"wan":{"Address":"198.51.100.8","Port":8080}}}}"#;
    assert_eq!(all.two.put("/v1/catalog/register", body).text(), "true");
    for agent in [&all.one, &all.client] {
        let answer = agent.get("/v1/catalog/service/web?dc=dc2");
        assert_eq!(answer.header("x-consul-translate-addresses"), Some("true"));
        let rows: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(rows[0]["Address"], "198.51.100.7");
        assert_eq!(
            (&rows[0]["ServiceAddress"], &rows[0]["ServicePort"]),
            (&"198.51.100.8".into(), &8080.into())
        );
        let packet = agent.dns(&dns::question("web.service.dc2.consul"));
        assert!(packet.ends_with(&[198, 51, 100, 8]), "{packet:?}");
    }
    let rows = all.two.get("/v1/catalog/service/web?dc=dc2").body;
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(rows[0]["ServiceAddress"], "10.0.0.2", "from inside, nothing is translated");
    let packet = all.two.dns(&dns::question("web.service.dc2.consul"));
    assert!(packet.ends_with(&[10, 0, 0, 2]), "{packet:?}");
}

/// The second server of dc1 is told nothing of other datacenters: the first one brings it in. And when
/// it is started again, it remembers.
#[test]
fn every_server_is_brought_where_all_datacenters_meet() {
    let mut all = Datacenters::start();
    let join = format!("-retry-join={}", all.one.lan);
    let mut second = Agent::prepare_as("n2", &["-server", "-bind=127.0.0.1", &join]);
    second.spawn();
    second.wait_until_ready();
    eventually("it knows dc2", || second.get("/v1/kv/none?dc=dc2").status == 404);
    let remembered = second.data().join("serf/remote.snapshot");
    eventually("it remembers both", || {
        std::fs::read_to_string(&remembered).is_ok_and(|it| it.lines().count() == 2)
    });
    second.kill();
    all.one.kill();
    second.spawn();
    eventually("it finds dc2 by itself", || {
        second.try_call("GET", "/v1/kv/none?dc=dc2", b"").is_ok_and(|it| it.status == 404)
    });
}
