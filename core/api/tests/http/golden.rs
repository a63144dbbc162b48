//! Requests against responses, over a real store and a real agent, without a socket.
//!
//! A stanza is comments, a request, `----` and the response:
//!
//! ```text
//! # Why this matters.
//! PUT /v1/kv/a?flags=1
//! the body
//! ----
//! 200 application/json
//! true
//! ```
//!
//! Numbers that count writes are shown as `N`, except by `index`, a command that prints the
//! index of a read and how it changed: `+` when it grew since it was last asked, `=` when not.
//! `{modify KEY}` in a request stands for the `ModifyIndex` of a key. `UPDATE_GOLDEN=1` rewrites
//! the second halves.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use regex::Regex;
use tribune_api::http::{Content, Method, Response};
use tribune_api::plan::{Plan, Query, plan};
use tribune_base::id::Index;
use tribune_base::time::Duration;

use crate::server::{Server, request};

#[test]
fn kv() {
    check("kv.txt");
}

#[test]
fn catalog() {
    check("catalog.txt");
}

#[test]
fn health() {
    check("health.txt");
}

#[test]
fn agent() {
    check("agent.txt");
}

#[test]
fn query() {
    check("query.txt");
}

#[test]
fn operator() {
    check("operator.txt");
}

#[test]
fn coordinate() {
    check("coordinate.txt");
}

#[test]
fn event() {
    check("event.txt");
}

#[test]
fn requests() {
    check("requests.txt");
}

#[test]
fn blocking() {
    check("blocking.txt");
}

/// Run the script in `file` and compare what happens with what it says happens.
#[track_caller]
fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(file);
    let script = fs::read_to_string(&path).unwrap();
    let mut player = Script::default();
    let mut transcript = String::new();
    for stanza in script.trim_end().split("\n\n") {
        match stanza.split_once("\n----") {
            None => transcript += stanza,
            Some((head, _)) => {
                let mut lines = head.lines().skip_while(|it| it.starts_with('#'));
                let command = lines.next().unwrap();
                let body = lines.collect::<Vec<_>>().join("\n");
                let answer = player.run(command, body);
                write!(transcript, "{head}\n----\n{}", answer.trim_end()).unwrap();
            }
        }
        transcript += "\n\n";
    }
    let transcript = format!("{}\n", transcript.trim_end());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, transcript).unwrap();
    } else {
        assert!(script == transcript, "{}:\n{transcript}", path.display());
    }
}

/// What plays a script.
#[derive(Default)]
struct Script {
    server: Server,
    seen: BTreeMap<String, Index>,
}

impl Script {
    /// Commands: a method and a path, `index PATH`, `pretty`, `sleep SECONDS`.
    fn run(&mut self, command: &str, body: String) -> String {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "index" => self.index(rest),
            "pretty" => {
                self.server.context.pretty_always = true;
                "ok".into()
            }
            "sleep" => {
                self.server.sleep(Duration::from_secs(rest.parse().unwrap()));
                "ok".into()
            }
            _ => {
                let target = self.fill_in(rest);
                let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                let request = request(method(word), path, query, body);
                show(&self.server.answer(&request))
            }
        }
    }

    /// How the index of a read changed since it was last asked for.
    fn index(&mut self, target: &str) -> String {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = self.query(path, query);
        let index = query.index(&self.server.store.snapshot());
        let before = self.seen.insert(target.to_owned(), index);
        match before {
            None => "first".into(),
            Some(before) if before < index => "+".into(),
            Some(before) if before == index => "=".into(),
            Some(before) => format!("went back from {before} to {index}"),
        }
    }

    fn query(&self, path: &str, query: &str) -> Query {
        match plan(&request(Method::Get, path, query, String::new()), &self.server.context) {
            Plan::Read(read) => read.query,
            other => panic!("{path} is not a read: {other:?}"),
        }
    }

    /// Put in what only the server knows.
    fn fill_in(&self, target: &str) -> String {
        let modify = Regex::new(r"\{modify ([^}]*)\}").unwrap();
        let snapshot = self.server.store.snapshot();
        let value = |captures: &regex::Captures<'_>| {
            let (_, entry) = snapshot.kv_get(captures[1].as_bytes());
            entry.unwrap().modify().to_string()
        };
        modify.replace_all(target, value).into_owned()
    }
}

fn method(word: &str) -> Method {
    let all = [Method::Get, Method::Put, Method::Post, Method::Delete, Method::Options];
    let all = all.into_iter().chain([Method::Head, Method::Patch]);
    all.into_iter().find(|it| it.name() == word).unwrap_or(Method::Other)
}

/// A response as a script shows it.
fn show(response: &Response) -> String {
    let content = match response.content {
        Content::None => "",
        Content::Json => " json",
        Content::Text => " text",
        Content::Raw => " raw",
    };
    let mut text = format!("{}{content}", response.status);
    for (name, value) in &response.headers {
        write!(text, "\n{name}: {value}").unwrap();
    }
    let counts = Regex::new(r#""(Create|Modify)Index": ?\d+"#).unwrap();
    let body = String::from_utf8_lossy(&response.body);
    write!(text, "\n{}", counts.replace_all(&body, "\"${1}Index\":N")).unwrap();
    text
}
