//! The configuration, read again by an agent that runs: by a command, by a request, by a signal.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tribune_tests::agent::{Agent, eventually};
use tribune_tests::dns;

/// An agent whose configuration is in one file.
struct Configured {
    agent: Agent,
    file: PathBuf,
}

impl Configured {
    fn start(config: &Value) -> Self {
        let mut agent = Agent::prepare(&["-dev"]);
        let file = agent.dir().join("agent.json");
        agent.add_argument(format!("-config-file={}", file.display()));
        let mut this = Self { agent, file };
        this.write(config);
        this.agent.spawn();
        this.agent.wait_until_ready();
        this
    }

    fn write(&self, config: &Value) {
        fs::write(&self.file, config.to_string()).unwrap();
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.agent.get(path).body).unwrap()
    }

    /// The ids of what is registered at the agent.
    fn services(&self) -> Vec<String> {
        let services = self.json("/v1/agent/services");
        services.as_object().unwrap().keys().cloned().collect()
    }

    fn ttl(&self) -> Option<u32> {
        dns::first_ttl(&self.agent.dns(&dns::question("web.service.consul")))
    }

    /// What the program of a watch has written there.
    fn seen(&self, name: &str) -> String {
        fs::read_to_string(self.agent.dir().join(name)).unwrap_or_default()
    }

    /// A watch of a key, which notes in a file of the same name that it was told.
    fn watch(&self, key: &str) -> Value {
        let note = format!("cat > /dev/null; echo told >> {}/{key}", self.agent.dir().display());
        json!({ "type": "key", "key": key, "args": ["sh", "-c", note] })
    }
}

#[test]
fn what_files_say_now_takes_the_place_of_what_they_said() {
    let check = json!({ "id": "beat", "ttl": "1h" });
    let web = |port: u16| json!({ "name": "web", "port": port, "check": check });
    let db = json!({ "name": "db" });
    let it = Configured::start(&json!({}));
    let (a, b, c) = (it.watch("a"), it.watch("b"), it.watch("c"));
    it.write(&json!({
        "services": [web(80), db], "watches": [a, b], "log_level": "warn",
        "dns_config": { "service_ttl": { "*": "5s" } },
    }));
    let told = it.agent.cli(&["reload"]);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "Configuration reload triggered\n");
    it.agent.put("/v1/agent/service/register", r#"{ "Name": "api" }"#);
    it.agent.put("/v1/agent/check/pass/beat", "");
    eventually("the service passes", || it.ttl() == Some(5));
    eventually("both watches are told", || [it.seen("a"), it.seen("b")] == ["told\n", "told\n"]);
    assert_eq!(it.services(), ["api", "db", "web"]);

    it.write(&json!({
        "services": [web(81)], "watches": [a, c], "node_meta": { "rack": "7" },
        "dns_config": { "service_ttl": { "*": "9s" } }, "ports": { "serf_lan": 1 },
        "domain": "elsewhere.", "log_level": "info",
    }));
    let reloaded = it.agent.put("/v1/agent/reload", "");
    assert_eq!((reloaded.status, reloaded.text()), (200, ""));
    assert_eq!(it.services(), ["api", "web"], "what was registered by a request stays");
    let instances = it.json("/v1/health/service/web?passing");
    assert_eq!(instances[0]["Service"]["Port"], 81, "and its check is as well as it was");
    assert_eq!(instances[0]["Node"]["Meta"]["rack"], "7");
    assert_eq!(it.ttl(), Some(9), "in the zone that there was");
    eventually("the new watch is told", || it.seen("c") == "told\n");
    it.agent.put("/v1/kv/b", "x");
    it.agent.put("/v1/kv/a", "x");
    eventually("the old one goes on", || it.seen("a") == "told\ntold\n");
    assert_eq!(it.seen("b"), "told\n", "and the other does not");
    let log = it.agent.log();
    for key in ["domain", "ports.serf_lan"] {
        let want = format!("{key} has changed, which has no effect before the agent is started");
        // The flag has the last word about the port, so that nothing has changed.
        assert_eq!(log.contains(&want), key == "domain", "{log}");
    }
}

#[test]
fn what_makes_no_sense_leaves_all_as_it_was() {
    let said = json!({ "service": { "name": "web", "port": 80 }, "node_meta": { "rack": "1" } });
    let it = Configured::start(&said);
    let wrong = [
        ("{", "failed to parse"),
        (r#"{ "service": { "name": "web", "port": 81, "prot": 1 } }"#, "prot"),
        (r#"{ "service": { "name": "web" }, "services": [{ "port": 1 }] }"#, ""),
        (r#"{ "node_meta": { "rack": "2" }, "watches": [{ "type": "zz" }] }"#, "zz"),
        (r#"{ "log_level": "loud", "service": { "name": "db" } }"#, "loud"),
    ];
    for (text, want) in wrong {
        fs::write(&it.file, text).unwrap();
        let refused = it.agent.put("/v1/agent/reload", "");
        assert_eq!(refused.status, 500, "{text}");
        assert!(refused.text().contains(want), "{text}: {}", refused.text());
        assert_eq!(it.services(), ["web"], "{text}");
        let told = it.agent.cli(&["reload"]);
        let complaint = String::from_utf8_lossy(&told.stderr);
        assert!(complaint.starts_with("Error reloading: Unexpected response code: 500"), "{text}");
    }
    assert_eq!(it.json("/v1/agent/service/web")["Port"], 80);
    assert_eq!(it.json("/v1/agent/self")["Meta"]["rack"], "1");
    assert!(it.agent.log().contains("Configuration not reloaded, all stays as it was"));
    it.agent.is_running();
}

#[test]
fn a_signal_asks_for_it() {
    let it = Configured::start(&json!({ "service": { "name": "web" } }));
    it.write(&json!({ "service": { "name": "db" } }));
    it.agent.signal("HUP");
    eventually("the files are read", || it.services() == ["db"]);
    fs::write(&it.file, "{").unwrap();
    it.agent.signal("HUP");
    eventually("the log says what is wrong", || it.agent.log().contains("all stays as it was"));
    assert_eq!(it.services(), ["db"]);
}
