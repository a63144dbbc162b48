//! Watches of a real agent: a command and configured handlers see every change.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tribune_tests::agent::{Agent, binary, eventually};

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_program_sees_every_change_of_a_key() {
    let agent = Agent::dev();
    let mut child = Command::new(binary());
    child.args(["watch", "-type=key", "-key=colour", "cat"]).stdout(Stdio::piped());
    child.env("CONSUL_HTTP_ADDR", agent.http.to_string());
    let mut watch = Running(child.spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();

    assert_eq!(next(), "null");
    for (value, base64) in [("red", "cmVk"), ("green", "Z3JlZW4="), ("blue", "Ymx1ZQ==")] {
        agent.put("/v1/kv/colour", value);
        let told = next();
        assert!(told.starts_with("{\"Key\":\"colour\",\"CreateIndex\":"), "{told}");
        assert!(told.contains(&format!("\"Value\":\"{base64}\"")), "{told}");
        assert!(told.ends_with("\"Session\":\"\"}"), "{told}");
    }
    agent.call("DELETE", "/v1/kv/colour", b"");
    assert_eq!(next(), "null");
}

#[test]
fn a_program_sees_the_agent_come_back() {
    let mut agent = Agent::durable();
    let mut child = Command::new(binary());
    child.args(["watch", "-type=keyprefix", "-prefix=a/", "wc -c"]).stdout(Stdio::piped());
    child.env("CONSUL_HTTP_ADDR", agent.http.to_string()).stderr(Stdio::piped());
    let mut watch = Running(child.spawn().unwrap());
    let mut out = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut err = BufReader::new(watch.0.stderr.take().unwrap()).lines();
    assert_eq!(out.next().unwrap().unwrap().trim(), "5");
    agent.kill();
    let complaint = err.next().unwrap().unwrap();
    assert!(complaint.contains("Watch errored: type=keyprefix error="), "{complaint}");
    assert!(complaint.ends_with("retry=5s"), "{complaint}");
    agent.spawn();
    agent.wait_until_ready();
    // Told again, whether anything has changed or not: it may have, unseen.
    assert_eq!(out.next().unwrap().unwrap().trim(), "5");
}

#[test]
fn configured_watches_run_programs_and_tell_web_servers() {
    let (sender, told) = mpsc::channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/changes", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while !text.ends_with("\r\n\r\n") {
                assert_ne!(reader.read_line(&mut text).unwrap(), 0);
            }
            let lower = text.to_lowercase();
            let len = lower.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
            let mut body = vec![0; len.parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            if sender.send((text, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });

    let mut agent = Agent::prepare(&["-dev"]);
    let seen = agent.dir().join("seen");
    let watches = serde_json::json!({ "watches": [
        {
            "type": "service", "service": "web", "handler_type": "script",
            "args": ["sh", "-c", format!("cat >> {}; echo $CONSUL_INDEX", seen.display())],
        },
        {
            "type": "key", "key": "a", "handler_type": "http",
            "http_handler_config": {
                "path": url, "method": "PUT", "timeout": "5s", "header": { "X-Team": ["blue"] },
            },
        },
        { "type": "nodes", "args": ["/nope"] },
    ] });
    let file = agent.dir().join("watches.json");
    fs::write(&file, watches.to_string()).unwrap();
    agent.add_argument(format!("-config-file={}", file.display()));
    agent.spawn();
    agent.wait_until_ready();

    let patience = Duration::from_secs(60);
    let (head, body) = told.recv_timeout(patience).unwrap();
    assert!(head.starts_with("PUT /changes HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nX-Team: blue\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{head}");
    assert_eq!(body, "null\n");
    agent.put("/v1/kv/a", "v");
    let (head, body) = told.recv_timeout(patience).unwrap();
    let index = agent.get("/v1/kv/a").index();
    assert!(head.contains(&format!("\r\nX-Consul-Index: {index}\r\n")), "{head}");
    assert!(body.contains("\"Value\":\"dg==\""), "{body}");

    let text = || fs::read_to_string(&seen).unwrap_or_default();
    eventually("the program is told that there is none", || text().starts_with("[]\n"));
    agent.put("/v1/agent/service/register", r#"{"Name": "web", "Port": 80}"#);
    eventually("the program is told of one", || text().contains("\"Service\":\"web\""));
    eventually("what went wrong is logged", || {
        agent.log().contains("fork/exec /nope: no such file or directory")
    });
    agent.signal("TERM");
    assert!(agent.wait().is_some());
}

#[test]
fn a_watch_that_makes_no_sense_is_named_at_the_start() {
    let mut agent = Agent::prepare(&["-dev"]);
    agent.add_argument("-hcl=watches = [{ type = \"zz\", args = [\"x\"] }]");
    agent.spawn();
    assert_eq!(agent.wait(), Some(1));
    let log = agent.log();
    assert!(log.contains("Failed to parse watch: Unsupported watch type: zz"), "{log}");
}
