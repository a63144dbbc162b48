//! Bytes that no client library would send, and what comes back.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tribune_tests::agent::{Agent, eventually};

/// Send `bytes`, and read until the agent closes or has nothing more to say.
fn send(agent: &Agent, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(agent.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The agent may have answered and closed before it has read everything.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn what_is_no_request_is_told_so() {
    let agent = Agent::dev();
    let huge = format!("GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(2 << 20));
    let cases: &[(&str, &str, u16)] = &[
        ("no version", "GET /v1/kv/a\r\n\r\n", 400),
        ("no request", "hello\r\n\r\n", 400),
        ("a negative length", "PUT /v1/kv/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("a huge header", &huge, 431),
        ("a broken escape", "GET /v1/kv/p%zz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    ];
    for (what, bytes, status) in cases {
        let answer = send(&agent, bytes.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer:?}");
    }
    // It still serves.
    assert_eq!(agent.put("/v1/kv/a", "1").text().trim(), "true");
}

#[test]
fn requests_in_one_packet_are_answered_in_their_order() {
    let agent = Agent::dev();
    let answer = send(
        &agent,
        b"PUT /v1/kv/p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none\
          GET /v1/kv/p?raw HTTP/1.1\r\nHost: x\r\n\r\n\
          GET /v1/kv/none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    );
    let at = |text: &str| answer.find(text).unwrap_or_else(|| panic!("{text}: {answer}"));
    assert!(at("true") < at("\r\n\r\none") && at("\r\n\r\none") < at("404 Not Found"), "{answer}");
}

#[test]
fn a_value_that_is_too_large_is_refused_before_it_is_sent() {
    let agent = Agent::dev();
    let refused = send(
        &agent,
        b"PUT /v1/kv/big HTTP/1.1\r\nHost: x\r\nContent-Length: 600000\r\nConnection: close\r\n\r\n",
    );
    assert!(refused.starts_with("HTTP/1.1 413"), "{refused}");
    assert!(refused.contains("limits.kv_max_value_size"), "{refused}");
}

#[test]
fn what_the_configuration_keeps_clients_from_it_keeps_them_from() {
    let rules = "http_config { block_endpoints = [\"/v1/agent/self\"], \
                 allow_write_http_from = [\"192.0.2.0/24\"] }";
    let mut agent = Agent::prepare(&["-dev", "-hcl", rules]);
    agent.spawn();
    eventually("a key is asked for", || {
        agent.try_call("GET", "/v1/kv/a", b"").is_ok_and(|it| it.status == 404)
    });
    for (path, blocked) in
        [("/v1/agent/self", true), ("/v1/agent/%73elf", true), ("/v1/kv/a", false)]
    {
        let answer = agent.get(path);
        assert_eq!(answer.status, if blocked { 403 } else { 404 }, "{path}");
        if blocked {
            assert_eq!(answer.text(), "Endpoint is blocked by agent configuration", "{path}");
        }
    }
    let refused = agent.put("/v1/kv/a", "1");
    assert_eq!((refused.status, refused.text().trim()), (403, "Access is restricted"));
    assert_eq!(agent.get("/v1/kv/a").status, 404, "nothing was written");
}

#[test]
fn health_is_told_in_a_word_to_whoever_accepts_text() {
    let agent = Agent::dev();
    assert_eq!(agent.put("/v1/agent/service/register", r#"{"Name":"web"}"#).status, 200);
    let head = "GET /v1/agent/health/service/name/web HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let json = send(&agent, format!("{head}\r\n").as_bytes());
    let text = send(&agent, format!("{head}Accept: text/plain\r\n\r\n").as_bytes());
    assert!(json.contains("AggregatedStatus"), "{json}");
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\npassing"), "{text}");
}
