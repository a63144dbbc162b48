//! Transcripts of small clusters, in `testdata`: prose, a command, `----`, what happened.
//!
//! Nothing moves unless the script says so: messages wait in inboxes, writes wait for `persist`,
//! time stands still until somebody lets it pass. `UPDATE_GOLDEN=1` writes down what happens;
//! people read the difference.

#![allow(clippy::unwrap_used)] // The whole file is a test.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use bytes::Bytes;
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::time::{Duration, Instant};
use tribune_raft::{
    Appended, Change, Config, Configuration, Entry, HardState, Message, Node, Output, Payload,
    Persist, ReadId, Restored, Role, SnapshotMeta,
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
    let mut cluster = Cluster::default();
    let mut transcript = String::new();
    for stanza in script.trim_end().split("\n\n") {
        match stanza.split_once("\n----") {
            None => transcript += stanza,
            Some((head, _)) => {
                let mut result = String::new();
                for command in head.lines().filter(|it| !it.starts_with('#')) {
                    result += &cluster.run(command);
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

/// Nodes, the messages between them and the writes they wait for.
#[derive(Default)]
struct Cluster {
    now: Instant,
    config: Option<Config>,
    servers: BTreeMap<ServerId, Server>,
    inboxes: BTreeMap<ServerId, VecDeque<(ServerId, Message)>>,
    /// Whose disk does not answer.
    stalled: Option<ServerId>,
    /// Whether heartbeats are worth mentioning.
    heartbeats: bool,
    out: String,
}

/// A node and its disk.
struct Server {
    node: Node,
    writes: VecDeque<Persist>,
    disk: Restored,
}

impl Cluster {
    /// Commands, or `quiet` and a command:
    /// `config NAME=N..`, `cluster N`, `fresh ID` (a server that knows nothing yet);
    /// `persist ID`, `deliver ID [COUNT]`, `drop ID`, `duplicate ID`, `settle [ID..]`;
    /// `pass MS`, `timeout ID` (lets time pass until the server acts), `heartbeats on|off`;
    /// `stand ID [VOTER..]` (has it elected), `work MS ID..` (time passes for these alone), `restore ID term=T TERM..`, `forge TO FROM RequestVote TERM`;
    /// `stall ID` (its disk does not answer), `unstall`;
    /// `lose ID` (one message), `propose ID TEXT..`, `read ID N`, `transfer ID [TO]`, `crash ID`,
    /// `recover ID MEMBER..` (after a crash: go on as a group of these);
    /// `change ID add-non-voter|add-voter|promote|demote|remove WHOM`;
    /// `saved ID TERM/INDEX`, `piece ID TO OFFSET TEXT [done]`, `gone ID TO`,
    /// `written ID TERM/INDEX END`, `installed ID TERM/INDEX`;
    /// `state`, `peers ID`, `lease ID`, `informed ID`, `log ID`, `members ID`.
    fn run(&mut self, command: &str) -> String {
        let words: Vec<_> = command.split_whitespace().collect();
        match words[0] {
            "quiet" => {
                self.run(command.strip_prefix("quiet ").unwrap());
            }
            "config" => self.configure(&words[1..]),
            "cluster" => self.boot(words[1].parse().unwrap()),
            "fresh" => self.add(id(words[1]), Restored::default()),
            "persist" => {
                if !self.persist(id(words[1])) {
                    self.out += "nothing to persist\n";
                }
            }
            "deliver" => {
                for _ in 0..words.get(2).map_or(1, |it| it.parse().unwrap()) {
                    if !self.deliver(id(words[1])) {
                        self.out += "nothing to deliver\n";
                    }
                }
            }
            "drop" => self.inboxes.get_mut(&id(words[1])).unwrap().clear(),
            "duplicate" => {
                let inbox = self.inboxes.get_mut(&id(words[1])).unwrap();
                inbox.push_back(inbox[0].clone());
            }
            "settle" => self.settle(&words[1..]),
            "pass" => self.now = self.now + Duration::from_millis(words[1].parse().unwrap()),
            "timeout" => self.timeout(id(words[1])),
            "stand" => self.stand(id(words[1]), &words[2..]),
            "stall" => self.stalled = Some(id(words[1])),
            "unstall" => self.stalled = None,
            "work" => self.work(words[1].parse().unwrap(), &words[2..]),
            "lose" => _ = self.inboxes.get_mut(&id(words[1])).unwrap().pop_front(),
            "restore" => self.restore(&words[1..]),
            "forge" => self.forge(&words[1..]),
            "heartbeats" => self.heartbeats = words[1] == "on",
            "crash" => self.crash(id(words[1])),
            "state" => self.state(),
            "peers" | "lease" | "informed" | "log" | "members" => self.look(words[0], id(words[1])),
            _ => self.request(&words),
        }
        std::mem::take(&mut self.out)
    }

    /// What callers ask of a node.
    fn request(&mut self, words: &[&str]) {
        let (now, at) = (self.now, id(words[1]));
        let node = &mut self.servers.get_mut(&at).unwrap().node;
        let failed = match words[0] {
            "propose" => words[2..].iter().find_map(|it| {
                let payload = Bytes::copy_from_slice(it.as_bytes());
                node.propose(now, payload).err().map(|it| it.to_string())
            }),
            "read" => {
                node.read_index(now, ReadId(words[2].parse().unwrap()));
                None
            }
            "read-leased" => {
                node.read_leased(now, ReadId(words[2].parse().unwrap()));
                None
            }
            "transfer" => {
                let to = words.get(2).map(|it| id(it));
                node.transfer(now, to).err().map(|it| it.to_string())
            }
            "recover" => {
                let members = words[2..].iter().map(|it| (id(it), format!("server-{it}")));
                let configuration = Configuration::of_voters(members);
                node.recover(now, configuration).err().map(|it| it.to_string())
            }
            "change" => {
                let change = change(words[2], id(words[3]));
                node.propose_configuration(now, change).err().map(|it| it.to_string())
            }
            _ => {
                self.snapshot(words);
                None
            }
        };
        if let Some(failed) = failed {
            writeln!(self.out, "{at}: refused: {failed}").unwrap();
        }
        self.drain(at);
    }

    fn snapshot(&mut self, words: &[&str]) {
        let (now, at) = (self.now, id(words[1]));
        let server = self.servers.get_mut(&at).unwrap();
        match words[0] {
            "saved" | "installed" => {
                let last = log_id(words[2]);
                let configuration = server.node.configuration().clone();
                let meta = SnapshotMeta { last, configuration };
                server.disk.snapshot = Some(meta.clone());
                if words[0] == "saved" {
                    server.node.snapshot_saved(now, meta);
                } else {
                    server.node.snapshot_installed(now, last);
                }
            }
            "piece" => {
                let (to, offset) = (id(words[2]), words[3].parse().unwrap());
                let data = Bytes::copy_from_slice(words[4].as_bytes());
                let last = server.node.snapshot().last;
                let piece = Some((data, words.get(5) == Some(&"done")));
                server.node.snapshot_read(now, to, last, offset, piece);
            }
            "gone" => {
                let last = server.node.snapshot().last;
                server.node.snapshot_read(now, id(words[2]), last, 0, None);
            }
            "written" => {
                let end = words[3].parse().unwrap();
                server.node.snapshot_written(now, log_id(words[2]), end);
            }
            other => panic!("unknown command: {other}"),
        }
    }

    fn configure(&mut self, settings: &[&str]) {
        let mut config = Config::lan(1);
        for setting in settings {
            let (name, value) = setting.split_once('=').unwrap();
            let value: u64 = value.parse().unwrap();
            match name {
                "append_entries_max" => config.append_entries_max = value as usize,
                "window_messages_max" => config.window_messages_max = value as usize,
                "uncommitted_entries_max" => config.uncommitted_entries_max = value,
                "snapshot_entries_max" => config.snapshot_entries_max = value,
                "trailing_entries_max" => config.trailing_entries_max = value,
                "chunk_len_max" => config.chunk_len_max = value,
                "chunk_window_max" => config.chunk_window_max = value,
                other => panic!("unknown setting: {other}"),
            }
        }
        self.config = Some(config);
    }

    /// A cluster of servers that have never run, but for having written down who they are.
    fn boot(&mut self, count: u128) {
        let members = (1..=count).map(|it| (ServerId(it), format!("server-{it}")));
        let configuration = Configuration::of_voters(members);
        for id in (1..=count).map(ServerId) {
            self.add(id, Restored::default());
            let node = &mut self.servers.get_mut(&id).unwrap().node;
            node.bootstrap(self.now, configuration.clone()).unwrap();
            self.drain(id);
        }
        if 1 < count {
            self.settle(&[]);
            self.out.clear();
        }
    }

    fn add(&mut self, id: ServerId, disk: Restored) {
        let config = self.config.clone().unwrap_or_else(|| Config::lan(1));
        let node = Node::new(id, config, disk.clone(), id.0 as u64, self.now);
        self.servers.insert(id, Server { node, writes: VecDeque::new(), disk });
        self.inboxes.entry(id).or_default().clear();
        self.drain(id);
    }

    /// A server of a group of seven whose log has entries of these terms.
    fn restore(&mut self, words: &[&str]) {
        let members = (1..=7).map(|it| (ServerId(it), format!("server-{it}")));
        let configuration = Configuration::of_voters(members);
        let snapshot = Some(SnapshotMeta { last: LogId::default(), configuration });
        let term = Term(words[1].strip_prefix("term=").unwrap().parse().unwrap());
        let hard_state = HardState { term, vote: None };
        let entry = |(n, term): (usize, &&str)| Entry {
            id: LogId::new(Term(term.parse().unwrap()), Index(n as u64 + 1)),
            payload: Payload::Empty,
        };
        let entries = words[2..].iter().enumerate().map(entry).collect();
        self.add(id(words[0]), Restored { hard_state, snapshot, entries });
    }

    /// A message that nobody sent: `forge TO FROM RequestVote TERM`.
    fn forge(&mut self, words: &[&str]) {
        assert_eq!(words[2], "RequestVote", "nothing else is forged");
        let (to, term) = (id(words[0]), Term(words[3].parse().unwrap()));
        let last_log = LogId::new(term, Index(99));
        let message = Message::RequestVote { term, last_log, transfer: None };
        self.servers.get_mut(&to).unwrap().node.step(self.now, id(words[1]), message);
        self.drain(to);
    }

    /// Have a server elected, and stop there: its voters have voted and know nothing else.
    fn stand(&mut self, id: ServerId, voters: &[&str]) {
        for _ in 0..20 {
            match self.servers[&id].node.role() {
                Role::Leader => break,
                Role::Follower => self.timeout(id),
                Role::Candidate => {}
            }
            for it in self.named(voters).into_iter().filter(|it| *it != id) {
                self.deliver(it);
                self.persist(it);
            }
            self.persist(id);
            self.deliver(id);
        }
        assert!(self.servers[&id].node.is_leader(), "{id} is not elected");
        self.inboxes.get_mut(&id).unwrap().clear();
    }

    /// Let time pass for these servers, who hear each other and nobody else hears.
    fn work(&mut self, ms: u64, names: &[&str]) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            self.now = self.now + Duration::from_millis(10);
            for id in self.named(names) {
                self.servers.get_mut(&id).unwrap().node.handle_timeout(self.now);
                self.drain(id);
            }
            self.settle(names);
        }
        let others: Vec<_> =
            self.servers.keys().filter(|it| !self.named(names).contains(it)).collect();
        for id in others {
            self.inboxes.get_mut(id).unwrap().clear();
        }
    }

    /// The servers of these names, or all if there are no names.
    fn named(&self, names: &[&str]) -> Vec<ServerId> {
        let named = |it: &ServerId| names.is_empty() || names.contains(&it.to_string().as_str());
        self.servers.keys().copied().filter(named).collect()
    }

    /// Only what was persisted survives.
    fn crash(&mut self, id: ServerId) {
        let disk = self.servers[&id].disk.clone();
        self.add(id, disk);
    }

    fn persist(&mut self, id: ServerId) -> bool {
        if self.stalled == Some(id) {
            return false;
        }
        let server = self.servers.get_mut(&id).unwrap();
        let Some(persist) = server.writes.pop_front() else { return false };
        let seq = persist.seq;
        write(&mut server.disk, persist);
        server.node.persisted(self.now, seq);
        self.drain(id);
        true
    }

    /// The next message that is worth mentioning, and whatever comes before.
    fn deliver(&mut self, id: ServerId) -> bool {
        while let Some((from, message)) = self.inboxes.get_mut(&id).unwrap().pop_front() {
            let quiet = !self.heartbeats && is_heartbeat(&message);
            self.servers.get_mut(&id).unwrap().node.step(self.now, from, message);
            self.drain(id);
            if !quiet {
                return true;
            }
        }
        false
    }

    /// Persist and deliver until nothing moves; only on the servers named, if any are.
    fn settle(&mut self, names: &[&str]) {
        let ids = self.named(names);
        while ids.iter().fold(false, |moved, &id| self.persist(id) | self.deliver(id) | moved)
            || ids.iter().any(|it| !self.inboxes[it].is_empty())
        {}
    }

    fn timeout(&mut self, id: ServerId) {
        let node = &mut self.servers.get_mut(&id).unwrap().node;
        self.now = self.now.max(node.poll_timeout());
        assert!(self.now < Instant::NEVER, "this server is in no hurry");
        node.handle_timeout(self.now);
        self.drain(id);
    }

    fn drain(&mut self, id: ServerId) {
        while let Some(output) = self.servers.get_mut(&id).unwrap().node.poll_output() {
            let quiet = if let Output::Send { message, .. } = &output {
                !self.heartbeats && is_heartbeat(message)
            } else {
                false
            };
            if !quiet {
                writeln!(self.out, "{id}: {}", describe(&output)).unwrap();
            }
            match output {
                Output::Persist(it) => self.servers.get_mut(&id).unwrap().writes.push_back(it),
                Output::Send { to, message } => {
                    // Whoever is not there does not get any mail.
                    if let Some(inbox) = self.inboxes.get_mut(&to) {
                        inbox.push_back((id, message));
                    }
                }
                Output::Commit(_)
                | Output::ReadReady { .. }
                | Output::ReadFailed { .. }
                | Output::RoleChanged { .. }
                | Output::TakeSnapshot(_)
                | Output::ForgetLog { .. }
                | Output::ReadSnapshot { .. }
                | Output::WriteSnapshot { .. }
                | Output::InstallSnapshot(_) => {}
            }
        }
    }

    fn state(&mut self) {
        for (id, Server { node, .. }) in &self.servers {
            let role = role(node.role(), node.leader(), *id);
            let (term, last, commit) = (node.term(), node.last(), node.commit());
            writeln!(self.out, "{id}: {role} term={term} last={last} commit={commit}").unwrap();
        }
    }

    fn look(&mut self, what: &str, at: ServerId) {
        let Server { node, disk, .. } = &self.servers[&at];
        match what {
            "peers" => {
                for it in node.peers() {
                    let voter = if it.voter { "" } else { " non-voter" };
                    let (state, matched, count) = (it.state, it.matched, it.in_flight_count);
                    let id = it.id;
                    writeln!(
                        self.out,
                        "{id}: {state:?}{voter} matched={matched} in-flight={count}"
                    )
                    .unwrap();
                }
            }
            "lease" => {
                let text = match node.lease_until() {
                    None => "none".to_owned(),
                    Some(Instant::NEVER) => "for ever".to_owned(),
                    Some(until) if until <= self.now => "over".to_owned(),
                    Some(until) => format!("{} ms", until.since(self.now).as_millis()),
                };
                writeln!(self.out, "{text}").unwrap();
            }
            "informed" => {
                let text = match node.informed_at() {
                    None => "never".to_owned(),
                    Some(at) => format!("as of {} ms ago", self.now.since(at).as_millis()),
                };
                writeln!(self.out, "{text}").unwrap();
            }
            "members" => {
                let members = node.configuration();
                writeln!(self.out, "{}", group(members)).unwrap();
            }
            _ => writeln!(self.out, "{}", list(&disk.entries)).unwrap(),
        }
    }
}

/// What a write-ahead log does with a batch.
fn write(disk: &mut Restored, persist: Persist) {
    let Persist { hard_state, truncate_from, entries, .. } = persist;
    disk.hard_state = hard_state.unwrap_or(disk.hard_state);
    if let Some(from) = truncate_from {
        disk.entries.retain(|it| it.id.index < from);
    }
    disk.entries.extend(entries);
}

fn id(word: &str) -> ServerId {
    ServerId(word.parse().unwrap())
}

fn log_id(word: &str) -> LogId {
    let (term, index) = word.split_once('/').unwrap();
    LogId::new(Term(term.parse().unwrap()), Index(index.parse().unwrap()))
}

fn change(kind: &str, id: ServerId) -> Change {
    let address = format!("server-{id}");
    match kind {
        "add-non-voter" => Change::AddNonVoter { id, address },
        "add-voter" => Change::AddVoter { id, address },
        "promote" => Change::Promote(id),
        "demote" => Change::Demote(id),
        "remove" => Change::Remove(id),
        other => panic!("unknown change: {other}"),
    }
}

fn is_heartbeat(message: &Message) -> bool {
    matches!(message, Message::Heartbeat { .. } | Message::HeartbeatResponse { .. })
}

fn describe(output: &Output) -> String {
    match output {
        Output::Persist(Persist { seq, hard_state, truncate_from, entries }) => {
            let hard_state = hard_state.map_or_else(String::new, |HardState { term, vote }| {
                let vote = vote.map_or_else(|| "-".to_owned(), |it| it.to_string());
                format!(" term={term} vote={vote}")
            });
            let truncate = truncate_from.map_or_else(String::new, |it| format!(" cut={it}"));
            format!("persist #{}{hard_state}{truncate} {}", seq.0, list(entries))
        }
        Output::Send { to, message } => format!("-> {to} {}", say(message)),
        Output::Commit(entries) => format!("commit {}", list(entries)),
        Output::ReadReady { id, index } => format!("read {} sees {index}", id.0),
        Output::ReadFailed { id } => format!("read {} failed", id.0),
        Output::RoleChanged { role: new, term, leader } => {
            format!("{} term={term}", role(*new, *leader, ServerId(0)))
        }
        Output::TakeSnapshot(meta) => format!("take snapshot {}", meta.last),
        Output::ForgetLog { through } => format!("forget through {through}"),
        Output::ReadSnapshot { to, last, offset, len } => {
            format!("read snapshot {last} for {to} from {offset}, {len} bytes")
        }
        Output::WriteSnapshot { last, offset, data } => {
            format!("write snapshot {last} at {offset}: {}", text(data))
        }
        Output::InstallSnapshot(meta) => format!("install snapshot {}", meta.last),
    }
}

fn say(message: &Message) -> String {
    let term = message.term();
    match message {
        Message::RequestPreVote { last_log, .. } => {
            format!("RequestPreVote {term} last={last_log}")
        }
        Message::RequestPreVoteResponse { granted, .. } => {
            format!("PreVote {term} granted={granted}")
        }
        Message::RequestVote { last_log, transfer, .. } => {
            let transfer = if transfer.is_some() { " transfer" } else { "" };
            format!("RequestVote {term} last={last_log}{transfer}")
        }
        Message::RequestVoteResponse { granted, .. } => format!("Vote {term} granted={granted}"),
        Message::AppendEntries { prev_log, entries, leader_commit, .. } => {
            let entries = list(entries);
            format!("AppendEntries {term} prev={prev_log} {entries} commit={leader_commit}")
        }
        Message::AppendEntriesResponse { result: Appended::Matched(index), .. } => {
            format!("Appended {term} matched={index}")
        }
        Message::AppendEntriesResponse { result: Appended::Conflict { prev, hint }, .. } => {
            format!("Appended {term} conflict={prev} hint={hint}")
        }
        Message::Heartbeat { round, commit, .. } => {
            format!("Heartbeat {term} round={} commit={commit}", round.serial)
        }
        Message::HeartbeatResponse { round, matched, agreed, .. } => {
            format!(
                "HeartbeatResponse {term} round={} matched={matched} agreed={agreed}",
                round.serial
            )
        }
        Message::TimeoutNow { .. } => format!("TimeoutNow {term}"),
        Message::ReadIndex { leased: true, .. } => format!("ReadIndex {term} leased"),
        Message::ReadIndex { .. } => format!("ReadIndex {term}"),
        Message::ReadIndexResponse { index, .. } => {
            let index = index.map_or_else(|| "-".to_owned(), |it| it.to_string());
            format!("ReadIndexResponse {term} index={index}")
        }
        Message::InstallSnapshot { meta, offset, data, done, .. } => {
            let done = if *done { " done" } else { "" };
            format!("InstallSnapshot {term} {} at {offset}: {}{done}", meta.last, text(data))
        }
        Message::InstallSnapshotResponse { last, offset, .. } => {
            format!("SnapshotReceived {term} {last} offset={offset}")
        }
    }
}

fn role(role: Role, leader: Option<ServerId>, own: ServerId) -> String {
    match (role, leader) {
        (Role::Leader, _) => "leader".to_owned(),
        (Role::Candidate, _) => "candidate".to_owned(),
        (Role::Follower, Some(leader)) if leader != own => format!("follower of {leader}"),
        (Role::Follower, _) => "follower".to_owned(),
    }
}

/// Entries by name, with what they say if it is not nothing.
fn list(entries: &[Entry]) -> String {
    let entry = |it: &Entry| match &it.payload {
        Payload::Empty => it.id.to_string(),
        Payload::Command(bytes) => format!("{} {}", it.id, text(bytes)),
        Payload::Configuration(members) => format!("{} {}", it.id, group(members)),
    };
    format!("[{}]", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
}

fn group(configuration: &Configuration) -> String {
    let Configuration { voters, non_voters, outgoing } = configuration;
    let groups = [("voters", voters), ("non-voters", non_voters), ("outgoing", outgoing)];
    let group = |(name, group): (&str, &BTreeMap<ServerId, String>)| {
        let ids: Vec<_> = group.keys().map(ServerId::to_string).collect();
        format!("{name}={}", ids.join(","))
    };
    let groups = groups.into_iter().filter(|(_, it)| !it.is_empty());
    groups.map(group).collect::<Vec<_>>().join(" ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
