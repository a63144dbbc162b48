//! What the log looks like: one line per event, for people or for programs.
//!
//! ```text
//! 2026-11-22T10:00:00.000Z [INFO]  agent: Started HTTP server: address=127.0.0.1:8500 network=tcp
//! {"@level":"info","@message":"Started HTTP server","@module":"agent","@timestamp":"2026-…",…}
//! ```

use std::fmt::{self, Write as _};
use std::io;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::{Level, Log};

/// Write events to the standard output from now on. Once per process; later calls do nothing.
pub fn init(log: &Log) {
    let (filter, handle) = reload::Layer::new(filter(log.level));
    let lines = tracing_subscriber::fmt::layer()
        .event_format(Lines { json: log.json })
        .with_writer(io::stdout);
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        _ = FILTER.set(handle);
    }
}

/// Write less from now on, or more. Nothing happens before [`init`].
pub fn set_level(level: Level) {
    if let Some(handle) = FILTER.get() {
        handle.reload(filter(level)).expect("the process's log lives as long as the process");
    }
}

fn filter(level: Level) -> Targets {
    let level = match level {
        Level::Trace => LevelFilter::TRACE,
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    // Libraries have much to say about themselves that operators need not know.
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN));
    ours.with_target("tribune", level).with_target("agent", level)
}

/// What decides whether an event is written. There is one log in a process.
static FILTER: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Turns events into lines.
#[derive(Clone, Copy, Debug)]
struct Lines {
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let (level, module) = (level(*metadata.level()), module(metadata.target()));
        let now = now();
        if self.json {
            writeln!(out, "{}", fields.json(level, &module, &now))
        } else {
            let bracket = format!("[{level}]");
            writeln!(out, "{now} {bracket:7} {module}: {}", fields.text())
        }
    }
}

/// An event's message and fields.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    /// `message: name=value name="a value"`.
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (n, (name, value)) in self.others.iter().enumerate() {
            let separator = if n == 0 && !text.is_empty() { ": " } else { " " };
            let separator = if text.is_empty() { "" } else { separator };
            let plain = value.as_str().filter(|it| is_plain(it)).map(str::to_owned);
            let value = plain.unwrap_or_else(|| value.to_string());
            write!(text, "{separator}{name}={value}").expect("writing to a string cannot fail");
        }
        text
    }

    fn json(self, level: &str, module: &str, now: &str) -> Value {
        let mut map = Map::new();
        map.insert("@level".into(), level.to_lowercase().into());
        map.insert("@message".into(), self.message.into());
        map.insert("@module".into(), module.into());
        map.insert("@timestamp".into(), now.into());
        map.extend(self.others.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(map)
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|it| !it.is_whitespace() && !it.is_control() && it != '"')
}

fn level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::TRACE => "TRACE",
        tracing::Level::DEBUG => "DEBUG",
        tracing::Level::INFO => "INFO",
        tracing::Level::WARN => "WARN",
        tracing::Level::ERROR => "ERROR",
    }
}

/// Which part of the agent speaks: `tribune_io::http::serve` is `agent.http.serve`.
fn module(target: &str) -> String {
    let Some(path) = target.strip_prefix("tribune_") else { return target.replace("::", ".") };
    let names = path.split("::").skip(1).filter(|it| *it != "agent");
    ["agent"].into_iter().chain(names).collect::<Vec<_>>().join(".")
}

/// The time in milliseconds, UTC.
pub(crate) fn now() -> String {
    let mut text = String::new();
    _ = SystemTime.format_time(&mut Writer::new(&mut text));
    // The library writes microseconds.
    if text.len() == "2026-11-22T10:00:00.000000Z".len() {
        text.replace_range(text.len() - 4..text.len() - 1, "");
    }
    text
}

#[test]
fn lines_for_people_and_programs() {
    let fields = || Fields {
        message: "Started HTTP server".into(),
        others: vec![("address", "127.0.0.1:8500".into()), ("why", "a b".into()), ("n", 1.into())],
    };
    let want = "Started HTTP server: address=127.0.0.1:8500 why=\"a b\" n=1";
    assert_eq!(fields().text(), want);
    let want = serde_json::json!({
        "@level": "info", "@message": "Started HTTP server", "@module": "agent",
        "@timestamp": "now", "address": "127.0.0.1:8500", "why": "a b", "n": 1,
    });
    assert_eq!(fields().json("INFO", "agent", "now"), want);
}

#[test]
fn modules_are_named_after_the_agent() {
    let cases = [
        ("tribune_server::agent", "agent"),
        ("tribune_io::http::serve", "agent.http.serve"),
        ("agent.raft", "agent.raft"),
        ("hyper::proto", "hyper.proto"),
    ];
    for (target, want) in cases {
        assert_eq!(module(target), want);
    }
}

#[test]
fn the_time_is_in_milliseconds() {
    let now = now();
    assert_eq!(now.len(), "2026-11-22T10:00:00.000Z".len(), "{now}");
    assert!(now.ends_with('Z') && now.as_bytes()[19] == b'.', "{now}");
}
