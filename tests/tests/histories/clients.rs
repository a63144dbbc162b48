//! What clients do, and what they see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tribune_base::rng::Rng;
use tribune_sim::linearize::Call;
use tribune_tests::agent::Response;
use tribune_tests::client::{Client, Failure};

use crate::Clock;

/// Something a client did to a key.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Who did it.
    pub(crate) client: u32,
    /// Where.
    pub(crate) http: SocketAddr,
    /// To which key.
    pub(crate) key: String,
    /// As it was asked for.
    pub(crate) asked: String,
    /// When it was asked for.
    pub(crate) invoked: Duration,
    /// When the answer came, or was no longer waited for.
    pub(crate) returned: Duration,
    /// What it came to.
    pub(crate) outcome: Outcome,
}

/// What an operation came to.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// This was done or seen.
    Done(Call),
    /// This was seen, by somebody who asked for no more than a state of the past.
    Stale(Option<u32>),
    /// This was done, or it was not, or it will be.
    Unknown(Call),
    /// It did not happen; why.
    Refused(String),
}

/// What the clients of one history share.
pub(crate) struct Bench {
    seed: u64,
    clock: Clock,
    stopped: AtomicBool,
}

impl Bench {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, clock: Clock(Instant::now()), stopped: AtomicBool::new(false) }
    }

    /// No client does anything more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Wait until every server takes writes; how long that took.
    ///
    /// # Errors
    ///
    /// This one did not in time.
    pub(crate) fn settle(&self, https: &[SocketAddr], max: Duration) -> Result<Duration, usize> {
        let begun = Instant::now();
        for (server, http) in https.iter().enumerate() {
            let mut client = Client::new(*http, TIMEOUT);
            let mut write = || client.call("PUT", "/v1/kv/settled", b"");
            while !write().is_ok_and(|it| it.status == 200) {
                if max < begun.elapsed() {
                    return Err(server);
                }
                thread::sleep(RESPITE);
            }
        }
        Ok(begun.elapsed())
    }

    /// Every key once more, at every server: what was acknowledged is there, however it is asked.
    pub(crate) fn look_at_all(&self, https: &[SocketAddr], records: &[Record]) -> Vec<Record> {
        let keys: BTreeSet<&String> = records.iter().map(|it| &it.key).collect();
        let mut looks = Vec::new();
        for (server, http) in (0..).zip(https) {
            let mut actor = Actor::new(LOOKING + server, *http, self);
            for key in &keys {
                let mode = if server == 0 { "?consistent" } else { "" };
                actor.read(key, mode);
            }
            looks.extend(actor.records);
        }
        looks
    }
}

/// Be a client until it is stopped.
pub(crate) fn run(id: u32, http: SocketAddr, bench: &Bench) -> Vec<Record> {
    let mut actor = Actor::new(id, http, bench);
    // Should nobody come to stop us.
    while !bench.stopped.load(Ordering::SeqCst) && bench.clock.now() < Duration::from_secs(120) {
        actor.act();
        thread::sleep(actor.rng.up_to(THINKING));
    }
    actor.records
}

struct Actor<'a> {
    id: u32,
    bench: &'a Bench,
    http: SocketAddr,
    client: Client,
    rng: Rng,
    /// What it last saw of a key: the value, and its index.
    known: BTreeMap<String, (Option<u32>, u64)>,
    records: Vec<Record>,
    written: u32,
}

impl<'a> Actor<'a> {
    fn new(id: u32, http: SocketAddr, bench: &'a Bench) -> Self {
        Self {
            id,
            bench,
            http,
            client: Client::new(http, TIMEOUT),
            rng: Rng::stream(bench.seed, &format!("client {id}")),
            known: BTreeMap::new(),
            records: Vec::new(),
            written: 0,
        }
    }

    fn act(&mut self) {
        // Keys change every other second: a history that ends is one that can be judged.
        let era = self.bench.clock.now().as_secs() / 2;
        let key = format!("h/{era}/{}", self.rng.below(3));
        let known = self.known.get(&key).copied();
        match self.rng.below(20) {
            0..6 => self.read(&key, ""),
            6..9 => self.read(&key, "?consistent"),
            9 => self.read(&key, "?stale"),
            10..15 => {
                let value = self.value();
                self.write("PUT", &key, "", value, Call::Write(value), None);
            }
            15..18 => {
                let (from, index) = known.unwrap_or((None, 0));
                let value = self.value();
                let (done, not) = (Call::Swap(from, value), Call::Differs(from));
                self.write("PUT", &key, &format!("?cas={index}"), value, done, Some(not));
            }
            18 => self.write("DELETE", &key, "", None, Call::Write(None), None),
            _ => {
                let Some((Some(from), index)) = known else { return };
                let (done, not) = (Call::Remove(from), Call::Differs(Some(from)));
                self.write("DELETE", &key, &format!("?cas={index}"), None, done, Some(not));
            }
        }
    }

    /// A value that nobody else writes.
    fn value(&mut self) -> Option<u32> {
        self.written += 1;
        Some(self.id * 1_000_000 + self.written)
    }

    fn read(&mut self, key: &str, mode: &str) {
        let invoked = self.bench.clock.now();
        let answer = self.client.call("GET", &format!("/v1/kv/{key}{mode}"), b"");
        let mut index = None;
        let outcome = match answer {
            Ok(answer) if answer.status == 404 || answer.status == 200 => {
                let (value, at) = parse(&answer);
                index = Some(at);
                if mode == "?stale" {
                    Outcome::Stale(value)
                } else {
                    self.known.insert(key.to_owned(), (value, at));
                    Outcome::Done(Call::Read(value))
                }
            }
            Ok(answer) => Outcome::Refused(answer.text().to_owned()),
            Err(Failure::Unsent(error) | Failure::Unanswered(error)) => {
                Outcome::Refused(error.to_string())
            }
        };
        let asked = match index {
            Some(index) => format!("GET{mode} at {index}"),
            None => format!("GET{mode}"),
        };
        self.note(key, asked, invoked, outcome);
    }

    fn write(
        &mut self,
        method: &str,
        key: &str,
        condition: &str,
        value: Option<u32>,
        done: Call,
        not_done: Option<Call>,
    ) {
        let body = value.map(|it| it.to_string()).unwrap_or_default();
        let invoked = self.bench.clock.now();
        let path = format!("/v1/kv/{key}{condition}");
        let outcome = match self.client.call(method, &path, body.as_bytes()) {
            Ok(answer) if answer.status == 200 => match (answer.text(), not_done) {
                ("true", _) => Outcome::Done(done),
                ("false", Some(not_done)) => Outcome::Done(not_done),
                (text, _) => panic!("{method} {path}: {text}"),
            },
            Ok(answer) if answer.text().contains("may still take effect") => Outcome::Unknown(done),
            Ok(answer) => Outcome::Refused(answer.text().to_owned()),
            Err(Failure::Unsent(error)) => Outcome::Refused(error.to_string()),
            Err(Failure::Unanswered(_)) => Outcome::Unknown(done),
        };
        self.note(key, format!("{method}{condition} {body}"), invoked, outcome);
    }

    fn note(&mut self, key: &str, asked: String, invoked: Duration, outcome: Outcome) {
        let returned = self.bench.clock.now();
        if matches!(outcome, Outcome::Refused(..) | Outcome::Unknown(_)) {
            thread::sleep(RESPITE);
        }
        let (client, http, key) = (self.id, self.http, key.to_owned());
        self.records.push(Record { client, http, key, asked, invoked, returned, outcome });
    }
}

/// The value that was read, and its index.
fn parse(answer: &Response) -> (Option<u32>, u64) {
    if answer.status == 404 {
        return (None, 0);
    }
    let rows: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let value = BASE64_STANDARD.decode(rows[0]["Value"].as_str().unwrap()).unwrap();
    let value = str::from_utf8(&value).unwrap().parse().unwrap();
    (Some(value), rows[0]["ModifyIndex"].as_u64().unwrap())
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, http, key, asked, invoked, returned, outcome } = self;
        write!(f, "{invoked:>14?} {returned:>14?} c{client} {http} {key} {asked}: {outcome}")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(call) => write!(f, "{call:?}"),
            Self::Stale(value) => write!(f, "{value:?}, or newer"),
            Self::Unknown(call) => write!(f, "{call:?}, perhaps"),
            Self::Refused(text) => write!(f, "no: {text}"),
        }
    }
}

/// How long a client waits: longer than an election takes.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long a client waits before it asks for something else.
const THINKING: Duration = Duration::from_millis(12);

/// How long it waits after it got no answer, or not the one it wanted.
const RESPITE: Duration = Duration::from_millis(20);

/// Who looks at everything in the end.
const LOOKING: u32 = 100;
