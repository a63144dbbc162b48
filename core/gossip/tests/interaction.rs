//! Transcripts of small pools, in `testdata`: prose, a command, `----`, what happened.
//!
//! Packets take a millisecond and streams take four; nothing is lost unless the script says so.
//! `UPDATE_GOLDEN=1` writes down what happens; people read the difference.

#![allow(clippy::unwrap_used)] // The whole file is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs};

use bytes::Bytes;
use tribune_base::duration;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{
    Config, ExchangeId, Identity, MemberEvent, Output, Pool, QueryOptions, Tags, UserEvent,
};

#[test]
fn transcripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().for_each(|it| check(it));
}

/// Run the script in `file` and compare what happens with what it says happens.
#[track_caller]
fn check(file: &Path) {
    let script = fs::read_to_string(file).unwrap();
    let mut world = World::default();
    let mut transcript = String::new();
    for stanza in script.trim_end().split("\n\n") {
        match stanza.split_once("\n----") {
            None => transcript += stanza,
            Some((head, _)) => {
                let mut result = String::new();
                for command in head.lines().filter(|it| !it.starts_with('#')) {
                    result += &world.run(command);
                }
                let result = if result.is_empty() { "ok" } else { result.trim_end() };
                write!(transcript, "{head}\n----\n{result}").unwrap();
            }
        }
        transcript += "\n\n";
    }
    let transcript = format!("{}\n", transcript.trim_end());
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(file, transcript).unwrap();
    } else {
        assert!(script == transcript, "{}:\n{transcript}", file.display());
    }
}

/// Members, and what is on its way between them.
#[derive(Default)]
struct World {
    now: Instant,
    serial: u64,
    members: BTreeMap<SocketAddr, Pool>,
    travelling: BTreeMap<(Instant, u64), Post>,
    /// Whose packets and streams lead nowhere.
    isolated: BTreeSet<SocketAddr>,
    out: String,
}

/// What travels.
enum Post {
    Packet { from: SocketAddr, to: SocketAddr, bytes: Bytes },
    Request { from: SocketAddr, to: SocketAddr, id: ExchangeId, bytes: Bytes },
    Answer { to: SocketAddr, id: ExchangeId, bytes: Option<Bytes> },
}

impl World {
    /// `start NAME [addr=N] [id=N] [dc=DC] [pool=POOL] [lazy]`
    /// (seldom probes), `pass DURATION`, `join NAME OTHER`,
    /// `leave NAME`, `force-leave NAME OTHER [prune]`, `tags NAME KEY=VALUE..`,
    /// `fire NAME EVENT PAYLOAD`, `query NAME QUERY`, `crash NAME`, `isolate NAME..`, `heal`,
    /// `members NAME`, `counters NAME`.
    fn run(&mut self, command: &str) -> String {
        let words: Vec<_> = command.split_whitespace().collect();
        let now = self.now;
        match words[0] {
            "start" => self.start(words[1], &words[2..]),
            "pass" => self.pass(duration::parse(words[1]).unwrap()),
            "join" => {
                let to = self.addr(words[2]);
                self.with(words[1], |it| it.join(now, [to]));
            }
            // Where a member is that shares its name with another one.
            "join-at" => {
                let (at, to) = (self.addr(&format!("@{}", words[1])), self.addr(words[2]));
                self.at(at, |it| it.join(now, [to])).unwrap();
            }
            "leave" => self.with(words[1], |it| it.leave(now)),
            "force-leave" => {
                let known = |it: &mut Pool| it.force_leave(now, words[2], words.len() == 4);
                let known = self.with(words[1], known);
                writeln!(self.out, "known: {known}").unwrap();
            }
            "tags" => {
                let tags: Tags = words[2..].iter().map(|it| pair(it)).collect();
                self.with(words[1], |it| it.set_tags(now, tags));
            }
            "fire" => {
                let payload = Bytes::copy_from_slice(words[3].as_bytes());
                let result = self.with(words[1], |it| it.fire(now, words[2], payload, false));
                writeln!(self.out, "fired: {result:?}").unwrap();
            }
            "query" => {
                let options = QueryOptions::default();
                self.with(words[1], |it| it.query(now, words[2], Bytes::new(), options)).unwrap();
            }
            "crash" => {
                self.members.remove(&self.addr(words[1]));
            }
            "isolate" => {
                let addrs: Vec<_> = words[1..].iter().map(|it| self.addr(it)).collect();
                self.isolated.extend(addrs);
            }
            "heal" => self.isolated.clear(),
            "members" => self.list(words[1]),
            other => panic!("unknown command: {other}"),
        }
        std::mem::take(&mut self.out)
    }

    fn start(&mut self, name: &str, options: &[&str]) {
        let option = |key: &str| options.iter().find_map(|it| it.strip_prefix(key));
        let number = name.bytes().next().unwrap() - b'a' + 1;
        let at = option("addr=").map_or(number, |it| it.parse::<u8>().unwrap());
        let id = option("id=").map_or_else(|| u128::from(number), |it| it.parse().unwrap());
        let dc = option("dc=").unwrap_or("dc1");
        let addr = SocketAddr::from(([10, 0, 0, at], 8301));
        let tags: Tags = [(Arc::from("dc"), Arc::from(dc))].into_iter().collect();
        let me = Identity::new(name, NodeId(Uuid(id)), addr, tags);
        let mut config = Config::lan(option("pool=").unwrap_or(dc));
        if option("pool=").is_some() {
            config.datacenter = Some(dc.into());
        }
        if options.contains(&"lazy") {
            config.probe_interval = Duration::from_secs(60);
        }
        self.members.insert(addr, Pool::new(config, me, u64::from(at), self.now));
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let post = self.travelling.first_key_value().map(|((at, _), _)| *at);
            let timer =
                self.members.iter().filter_map(|(addr, it)| Some((it.poll_timeout()?, *addr)));
            let timer = timer.min();
            let at = post.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(at) = at.filter(|it| *it <= end) else { break };
            self.now = self.now.max(at);
            if post == Some(at) {
                let (_, post) = self.travelling.pop_first().unwrap();
                self.deliver(post);
            } else if let Some((_, addr)) = timer {
                let now = self.now;
                self.at(addr, |it| it.handle_timeout(now));
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, post: Post) {
        let now = self.now;
        match post {
            Post::Packet { from, to, bytes } => {
                self.at(to, |it| it.handle_packet(now, from, bytes));
            }
            Post::Request { from, to, id, bytes } => {
                let answer = self.at(to, |it| it.handle_exchange(now, from, bytes)).flatten();
                self.send(Duration::from_millis(1), Post::Answer { to: from, id, bytes: answer });
            }
            Post::Answer { to, id, bytes } => {
                self.at(to, |it| it.exchanged(now, id, bytes));
            }
        }
    }

    fn send(&mut self, delay: Duration, post: Post) {
        self.serial += 1;
        self.travelling.insert((self.now + delay, self.serial), post);
    }

    fn with<T>(&mut self, name: &str, act: impl FnOnce(&mut Pool) -> T) -> T {
        self.at(self.addr(name), act).unwrap()
    }

    fn at<T>(&mut self, addr: SocketAddr, act: impl FnOnce(&mut Pool) -> T) -> Option<T> {
        let result = act(self.members.get_mut(&addr)?);
        while let Some(output) = self.members.get_mut(&addr).and_then(Pool::poll_output) {
            self.perform(addr, output);
        }
        Some(result)
    }

    fn perform(&mut self, from: SocketAddr, output: Output) {
        let alone = self.isolated.contains(&from);
        let now = self.now;
        let name = self.members[&from].local().name.clone();
        let at = format!("{:>9.3}s {name}:", now.since_start().as_secs_f64());
        let out = &mut self.out;
        match output {
            Output::Packet { to, bytes } => {
                if !alone && !self.isolated.contains(&to) {
                    self.send(Duration::from_millis(1), Post::Packet { from, to, bytes });
                }
            }
            Output::Exchange { id, to, request, timeout } => {
                if alone || self.isolated.contains(&to) {
                    self.send(timeout, Post::Answer { to: from, id, bytes: None });
                } else if self.members.contains_key(&to) {
                    let post = Post::Request { from, to, id, bytes: request };
                    self.send(Duration::from_millis(3), post);
                } else {
                    self.send(Duration::from_millis(2), Post::Answer { to: from, id, bytes: None });
                }
            }
            Output::Member(MemberEvent { change, member }) => writeln!(
                out,
                "{at} {change:?} {} ({}, incarnation {})",
                member.name, member.status, member.incarnation
            )
            .unwrap(),
            Output::Event(UserEvent { ltime, name, payload, .. }) => {
                writeln!(out, "{at} event {name} {payload:?} at {ltime}").unwrap();
            }
            Output::Joined { addr, result } => {
                let result = result.map_err(|it| it.to_string());
                writeln!(out, "{at} joined {addr}: {result:?}").unwrap();
            }
            Output::Left => writeln!(out, "{at} left").unwrap(),
            Output::Conflict { name, other, reason } => {
                writeln!(out, "{at} conflict with {name} at {other}: {reason}").unwrap();
            }
            Output::Query(query) => {
                let answer = Bytes::copy_from_slice(name.as_bytes());
                self.at(from, |it| it.answer(now, &query, answer)).unwrap().unwrap();
            }
            Output::Answer { from, payload, .. } => {
                writeln!(out, "{at} answer {payload:?} from {from}").unwrap();
            }
            Output::QueryEnded { .. } => writeln!(out, "{at} no more answers").unwrap(),
        }
    }

    fn list(&mut self, name: &str) {
        for it in self.members[&self.addr(name)].members() {
            let tags: Vec<_> =
                it.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
            writeln!(
                self.out,
                "{} {} {} incarnation {} at {} {}",
                it.name,
                it.addr,
                it.status,
                it.incarnation,
                it.status_ltime,
                tags.join(",")
            )
            .unwrap();
        }
    }

    /// Of a member that is there, or of the place where it would be.
    fn addr(&self, name: &str) -> SocketAddr {
        if let Some(at) = name.strip_prefix('@') {
            return SocketAddr::from(([10, 0, 0, at.parse().unwrap()], 8301));
        }
        let named = |(_, it): &(&SocketAddr, &Pool)| &*it.local().name == name;
        let found = self.members.iter().find(named).map(|(addr, _)| *addr);
        found.unwrap_or_else(|| {
            let number = name.bytes().next().unwrap() - b'a' + 1;
            SocketAddr::from(([10, 0, 0, number], 8301))
        })
    }
}

fn pair(text: &str) -> (Arc<str>, Arc<str>) {
    let (key, value) = text.split_once('=').unwrap();
    (key.into(), value.into())
}
