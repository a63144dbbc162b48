//! Bytes choose what happens to three servers: two bytes an event, which one and to whom. Whatever
//! they choose, there is one leader in a term, logs that agree on an entry agree on everything
//! before it, and all apply the same history.
//!
//! With the feature `planted-bugs`, `TRIBUNE_BUG=R04` says what to plant.
#![no_main]

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_base::id::{Index, ServerId, Term};
use tribune_base::time::{Duration, Instant};
use tribune_raft::{
    Change, Config, Configuration, Entry, Message, Node, Output, Persist, Restored, Role,
};

fuzz_target!(|bytes: &[u8]| {
    #[cfg(feature = "planted-bugs")]
    if let Some(bug) = planted() {
        return tribune_base::bug::with(bug, || run(bytes));
    }
    run(bytes);
});

#[cfg(feature = "planted-bugs")]
fn planted() -> Option<tribune_base::bug::Bug> {
    let id = std::env::var("TRIBUNE_BUG").ok()?;
    tribune_base::bug::Bug::ALL.iter().copied().find(|it| it.id() == id)
}

fn run(bytes: &[u8]) {
    let mut cluster = Cluster::new();
    for event in bytes.as_chunks::<2>().0.iter().take(EVENTS_MAX) {
        cluster.happen(event[0], event[1]);
    }
}

struct Cluster {
    now: Instant,
    servers: Vec<Server>,
    /// Sender, recipient and what is on its way between them.
    mail: VecDeque<(ServerId, ServerId, Message)>,
    count: u64,
    /// What must be true of all of them together.
    leaders: BTreeMap<Term, ServerId>,
    history: Vec<Entry>,
}

struct Server {
    id: ServerId,
    node: Node,
    /// What a crash leaves.
    disk: Restored,
    writes: VecDeque<Persist>,
    /// What the disk will hold when everything is written.
    log: Vec<Entry>,
    applied: usize,
}

impl Cluster {
    fn new() -> Self {
        let start = |id| Server::start(ServerId(id), Restored::default(), 0, Instant::START);
        let mut this = Self {
            now: Instant::START,
            servers: (1..=3).map(start).collect(),
            mail: VecDeque::new(),
            count: 0,
            leaders: BTreeMap::new(),
            history: Vec::new(),
        };
        let members = (1..=3).map(|it| (ServerId(it), String::new()));
        let configuration = Configuration::of_voters(members);
        for at in 0..3 {
            let node = &mut this.servers[at].node;
            node.bootstrap(this.now, configuration.clone()).expect("nothing has happened yet");
            this.drain(at);
        }
        this
    }

    fn happen(&mut self, what: u8, whom: u8) {
        self.count += 1;
        let (at, choice) = (usize::from(whom % 3), whom / 3);
        match what % 12 {
            0 | 1 => self.deliver(usize::from(whom)),
            2 => _ = self.take(usize::from(whom)),
            3 => {
                let letter = self.take(usize::from(whom));
                self.mail.extend(letter.into_iter().flat_map(|it| [it.clone(), it]));
            }
            4 | 5 => self.persist(at),
            6 => self.now = self.now + Duration::from_millis(10) * u32::from(choice),
            7 => self.timeout(at),
            8 => self.crash(at, choice),
            9 => self.settle(),
            10 => {
                let payload = Bytes::from(self.count.to_string());
                _ = self.servers[at].node.propose(self.now, payload);
                self.drain(at);
            }
            _ => self.administrate(at, choice),
        }
    }

    fn take(&mut self, nth: usize) -> Option<(ServerId, ServerId, Message)> {
        let nth = nth % self.mail.len().max(1);
        self.mail.remove(nth)
    }

    fn deliver(&mut self, nth: usize) {
        let Some((from, to, message)) = self.take(nth) else { return };
        let Some(at) = self.servers.iter().position(|it| it.id == to) else { return };
        self.servers[at].node.step(self.now, from, message);
        self.drain(at);
    }

    fn persist(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let Some(persist) = server.writes.pop_front() else { return };
        let seq = persist.seq;
        write(&mut server.disk, persist);
        server.node.persisted(self.now, seq);
        self.drain(at);
    }

    fn timeout(&mut self, at: usize) {
        let deadline = self.servers[at].node.poll_timeout();
        if deadline != Instant::NEVER {
            self.now = self.now.max(deadline);
        }
        self.servers[at].node.handle_timeout(self.now);
        self.drain(at);
    }

    /// Some of what was not confirmed is on the disk nevertheless.
    fn crash(&mut self, at: usize, survivors: u8) {
        let server = &mut self.servers[at];
        for persist in server.writes.drain(..).take(usize::from(survivors % 4)) {
            write(&mut server.disk, persist);
        }
        let disk = std::mem::take(&mut server.disk);
        *server = Server::start(server.id, disk, self.count, self.now);
        // Nothing of it was ever written, so nobody has heard of it.
        if server.disk == Restored::default() {
            let members = (1..=3).map(|it| (ServerId(it), String::new()));
            let begun = server.node.bootstrap(self.now, Configuration::of_voters(members));
            begun.expect("there is nothing on the disk");
        }
        self.drain(at);
    }

    /// Let things take their course for a while.
    fn settle(&mut self) {
        for _ in 0..SETTLE_MAX {
            (0..3).for_each(|at| self.persist(at));
            self.deliver(0);
        }
    }

    fn administrate(&mut self, at: usize, choice: u8) {
        let (now, whom) = (self.now, ServerId(u128::from(choice % 3) + 1));
        let node = &mut self.servers[at].node;
        match choice / 3 % 6 {
            0 => _ = node.transfer(now, None),
            1 => _ = node.transfer(now, Some(whom)),
            2 => _ = node.propose_configuration(now, Change::Demote(whom)),
            3 => _ = node.propose_configuration(now, Change::Promote(whom)),
            4 => _ = node.propose_configuration(now, Change::Remove(whom)),
            _ => {
                let change = Change::AddVoter { id: whom, address: String::new() };
                _ = node.propose_configuration(now, change);
            }
        }
        self.drain(at);
    }

    fn drain(&mut self, at: usize) {
        while let Some(output) = self.servers[at].node.poll_output() {
            let id = self.servers[at].id;
            match output {
                Output::Persist(persist) => {
                    let server = &mut self.servers[at];
                    append(&mut server.log, &persist);
                    server.writes.push_back(persist);
                    self.check_log(at);
                }
                Output::Send { to, message } => {
                    if self.mail.len() < MAIL_MAX {
                        self.mail.push_back((id, to, message));
                    }
                }
                Output::Commit(entries) => {
                    entries.into_iter().for_each(|it| self.apply(at, it));
                }
                Output::RoleChanged { role: Role::Leader, term, .. } => {
                    let other = self.leaders.insert(term, id);
                    assert!(other.is_none_or(|it| it == id), "two leaders in term {term}");
                    let complete = self.servers[at].log.starts_with(&self.history);
                    assert!(complete, "{id} leads without what is committed");
                }
                Output::RoleChanged { role: Role::Follower | Role::Candidate, .. } => {}
                Output::ReadReady { .. } | Output::ReadFailed { .. } => {
                    unreachable!("nobody reads")
                }
                Output::TakeSnapshot(_)
                | Output::ForgetLog { .. }
                | Output::ReadSnapshot { .. }
                | Output::WriteSnapshot { .. }
                | Output::InstallSnapshot(_) => unreachable!("the log is short"),
            }
        }
    }

    /// Everybody applies the same.
    fn apply(&mut self, at: usize, entry: Entry) {
        let server = &mut self.servers[at];
        server.applied += 1;
        assert_eq!(entry.id.index, Index(server.applied as u64), "applied out of order");
        match self.history.get(server.applied - 1) {
            Some(agreed) => assert_eq!(*agreed, entry, "{} disagrees", server.id),
            None => self.history.push(entry),
        }
    }

    /// Two logs that have one entry in common have everything before it in common.
    fn check_log(&self, at: usize) {
        let own = &self.servers[at].log;
        for other in self.servers.iter().map(|it| &it.log) {
            let common = own.iter().zip(other).rposition(|(a, b)| a.id == b.id);
            let len = common.map_or(0, |it| it + 1);
            assert!(own[..len] == other[..len], "logs agree on an entry but not on the way to it");
        }
    }
}

impl Server {
    fn start(id: ServerId, disk: Restored, seed: u64, now: Instant) -> Self {
        let config = Config {
            append_entries_max: 2,
            window_messages_max: 2,
            snapshot_entries_max: 1 << 40,
            snapshot_bytes_max: 1 << 40,
            ..Config::lan(1)
        };
        let node = Node::new(id, config, disk.clone(), seed, now);
        let log = disk.entries.clone();
        Self { id, node, disk, writes: VecDeque::new(), log, applied: 0 }
    }
}

/// What a write-ahead log does with a batch.
fn write(disk: &mut Restored, persist: Persist) {
    append(&mut disk.entries, &persist);
    disk.hard_state = persist.hard_state.unwrap_or(disk.hard_state);
}

fn append(log: &mut Vec<Entry>, persist: &Persist) {
    if let Some(from) = persist.truncate_from {
        log.retain(|it| it.id.index < from);
    }
    log.extend(persist.entries.iter().cloned());
}

/// Long enough for anything that three servers can do, and short enough to try often.
const EVENTS_MAX: usize = 2_000;
const MAIL_MAX: usize = 256;
const SETTLE_MAX: usize = 24;
