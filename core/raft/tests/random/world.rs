//! Time, the network, the disks and bad luck.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_raft::{
    Change, Config, Configuration, Entry, Message, Node, Output, Payload, ReadId, Restored, Role,
    SnapshotMeta,
};

use crate::oracle::Oracle;
use crate::server::Server;

/// How bad the luck is, in parts of a thousand, and what else happens.
pub(crate) struct Faults {
    pub(crate) drop: u64,
    pub(crate) duplicate: u64,
    /// Messages that take seconds.
    pub(crate) late: u64,
    pub(crate) latency_max: Duration,
    pub(crate) disk_max: Duration,
    pub(crate) crash: u64,
    pub(crate) pause: u64,
    pub(crate) partition: u64,
    pub(crate) transfer: u64,
    pub(crate) changes: bool,
    /// Whether anybody writes or reads.
    pub(crate) clients: bool,
    /// How many servers vote in the beginning, if that matters.
    pub(crate) voters: Option<u64>,
}

impl Faults {
    pub(crate) const fn none() -> Self {
        Self {
            drop: 0,
            duplicate: 0,
            late: 0,
            latency_max: Duration::from_millis(5),
            disk_max: Duration::from_millis(5),
            crash: 0,
            pause: 0,
            partition: 0,
            transfer: 0,
            changes: false,
            clients: true,
            voters: None,
        }
    }

    /// Leaders do not last, news travels slowly, and everything is said twice.
    pub(crate) const fn contested() -> Self {
        Self {
            duplicate: 500,
            late: 50,
            latency_max: Duration::from_millis(400),
            crash: 10,
            partition: 20,
            voters: Some(5),
            ..Self::none()
        }
    }

    /// Leadership moves on, and whoever had it may be the last to hear.
    pub(crate) const fn handovers() -> Self {
        Self {
            drop: 300,
            late: 50,
            latency_max: Duration::from_millis(20),
            transfer: 50,
            voters: Some(3),
            ..Self::none()
        }
    }

    /// Servers that sleep, and do not know that they did.
    pub(crate) const fn sleepers() -> Self {
        Self { pause: 20, partition: 5, voters: Some(3), ..Self::none() }
    }

    /// A mixture of its own for each seed: bugs hide behind faults that always come together.
    pub(crate) fn swarm(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, "faults");
        let mut pick = |of: &[u64]| of[rng.below(of.len() as u64) as usize];
        Self {
            drop: pick(&[0, 0, 10, 100, 300]),
            duplicate: pick(&[0, 20, 200]),
            late: pick(&[0, 0, 10, 50]),
            latency_max: Duration::from_millis(pick(&[2, 20, 400])),
            disk_max: Duration::from_millis(pick(&[1, 20, 300, 3_000])),
            crash: pick(&[0, 10, 50]),
            pause: pick(&[0, 0, 10]),
            partition: pick(&[0, 10, 50]),
            transfer: pick(&[0, 0, 30]),
            changes: pick(&[0, 1]) == 1,
            clients: true,
            voters: None,
        }
    }
}

/// Something that happens at a server.
enum Event {
    Deliver { from: ServerId, bytes: Bytes },
    Timeout,
    Read(ReadId),
    Written,
    SnapshotSaved(SnapshotMeta, Bytes),
    SnapshotRead { to: ServerId, last: LogId, offset: u64, len: u64 },
    SnapshotWritten { last: LogId, end: u64 },
    SnapshotInstalled(SnapshotMeta),
    Start,
}

/// Everything there is.
pub(crate) struct World {
    seed: u64,
    rng: Rng,
    now: Instant,
    config: Config,
    /// Who belongs to the group in the beginning.
    first: Configuration,
    faults: Faults,
    servers: BTreeMap<ServerId, Server>,
    agenda: BTreeMap<(Instant, u64), (ServerId, u64, Event)>,
    count: u64,
    /// Who will never come back.
    lost: BTreeSet<ServerId>,
    /// What the survivors are told, and who has taken it in.
    recovery: Option<Configuration>,
    recovered: BTreeSet<ServerId>,
    /// Who is on the other side of a partition.
    apart: BTreeSet<ServerId>,
    pub(crate) oracle: Oracle,
    last_read: u64,
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let mut rng = Rng::stream(seed, "world");
        let small = rng.chance(1, 2);
        // Small limits, so that every one of them is met.
        let config = Config {
            append_entries_max: if small { 1 + rng.below(2) as usize } else { 64 },
            window_messages_max: if small { 3 } else { 64 },
            snapshot_entries_max: if small { 15 } else { 100 },
            trailing_entries_max: rng.below(20),
            chunk_len_max: 2_000,
            chunk_window_max: if small { 2_000 } else { 10_000 },
            ..Config::lan(1)
        };
        let mut world = Self {
            seed,
            rng,
            now: Instant::START,
            config,
            first: Configuration::default(),
            faults,
            servers: (1..=5).map(|it| (ServerId(it), Server::new(ServerId(it)))).collect(),
            agenda: BTreeMap::new(),
            count: 0,
            lost: BTreeSet::new(),
            recovery: None,
            recovered: BTreeSet::new(),
            apart: BTreeSet::new(),
            oracle: Oracle::default(),
            last_read: 0,
        };
        let voters = 1 + world.rng.below(5);
        let voters = u128::from(world.faults.voters.unwrap_or(voters));
        world.first = group((1..=voters).map(ServerId));
        for id in world.ids() {
            world.start(id);
        }
        world
    }

    /// Let `duration` pass, a few milliseconds between one act of fate and the next.
    pub(crate) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        let mut fate = self.now;
        let events_max = self.count + 2_000_000;
        while self.now < end {
            assert!(self.count < events_max, "seed {}: the world does not come to rest", self.seed);
            if self.agenda.first_key_value().is_some_and(|((at, _), _)| *at <= fate) {
                let ((at, _), (id, life, event)) = self.agenda.pop_first().unwrap();
                self.now = self.now.max(at);
                self.happen(id, life, event);
            } else {
                self.now = fate;
                fate = fate + Duration::from_millis(10);
                self.tempt_fate();
            }
        }
    }

    /// Somebody who does not lead is cut off.
    pub(crate) fn isolate(&mut self) {
        let voters: Vec<_> = self.first.voters.keys().copied().collect();
        let follower = voters.into_iter().find(|it| self.role(*it) == Some(Role::Follower));
        self.apart.extend(follower);
    }

    /// No more bad luck.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::none();
        self.apart.clear();
        for id in self.ids() {
            if self.servers[&id].node.is_none() && !self.lost.contains(&id) {
                self.start(id);
            }
        }
    }

    /// All but `count` servers are lost for good, and the others are told to go on without them.
    /// The one with the most complete log survives.
    pub(crate) fn lose_all_but(&mut self, count: usize) {
        for id in self.ids() {
            self.crash(id);
        }
        let mut ids: Vec<_> = self.first.voters.keys().copied().collect();
        self.rng.shuffle(&mut ids);
        let end = |id: &ServerId| self.servers[id].end();
        let most = ids.iter().copied().max_by_key(end).unwrap();
        ids.retain(|it| *it != most);
        let survivors: BTreeSet<_> = ids.into_iter().take(count - 1).chain([most]).collect();
        self.lost = self.ids().into_iter().filter(|it| !survivors.contains(it)).collect();
        self.recovery = Some(group(survivors));
    }

    /// Somebody leads, everybody in the group has what is committed, and more can be.
    pub(crate) fn expect_progress(&mut self) {
        let seed = self.seed;
        let leader = self.ids().into_iter().find(|it| self.role(*it) == Some(Role::Leader));
        let leader =
            leader.unwrap_or_else(|| panic!("seed {seed}: nobody leads: {}", self.state()));
        let before = self.oracle.committed();
        self.propose(leader);
        self.run(Duration::from_secs(2));
        assert!(before < self.oracle.committed(), "seed {seed}: nothing is committed any more");
        let configuration = self.servers[&leader].node.as_ref().unwrap().configuration().clone();
        let behind = |id: &ServerId| self.servers[id].applied.len() + 20 < before;
        let behind: Vec<_> = configuration.members().filter(behind).collect();
        let peers = self.servers[&leader].node.as_ref().unwrap().peers();
        assert!(behind.is_empty(), "seed {seed}: {behind:?} have not caught up: {peers:?}");
    }

    fn state(&self) -> String {
        let node = |it: &Server| {
            let node = it.node.as_ref()?;
            let (term, last, commit) = (node.term(), node.last(), node.commit());
            let configuration = node.configuration();
            Some(format!("\n{} {:?} {term} {last} {commit} {configuration:?}", it.id, node.role()))
        };
        self.servers.values().filter_map(node).collect()
    }

    /// A number for everything that has happened.
    pub(crate) const fn events(&self) -> u64 {
        self.count
    }

    fn ids(&self) -> Vec<ServerId> {
        self.servers.keys().copied().collect()
    }

    /// The server, unless it is down or sleeps.
    fn awake(&mut self, id: ServerId) -> Option<&mut Node> {
        let now = self.now;
        let server = self.servers.get_mut(&id).filter(|it| it.paused_until <= now)?;
        server.node.as_mut()
    }

    fn role(&self, id: ServerId) -> Option<Role> {
        self.servers[&id].node.as_ref().map(Node::role)
    }

    fn schedule(&mut self, after: Duration, id: ServerId, event: Event) {
        self.count += 1;
        let life = self.servers[&id].life;
        self.agenda.insert((self.now + after, self.count), (id, life, event));
    }

    fn start(&mut self, id: ServerId) {
        if self.lost.contains(&id) {
            return;
        }
        let (seed, now) = (self.rng.draw(), self.now);
        self.oracle.on_told(id);
        let server = self.servers.get_mut(&id).unwrap();
        server.start(&self.config, seed, now);
        // A first voter that remembers nothing has told nobody anything yet.
        if server.disk == Restored::default() && self.first.is_voter(id) {
            server.node.as_mut().unwrap().bootstrap(now, self.first.clone()).unwrap();
        }
        // The operator's file stays where it is until the group knows what it says.
        if let Some(recovery) = self.recovery.as_ref().filter(|_| !self.recovered.contains(&id)) {
            server.node.as_mut().unwrap().recover(now, recovery.clone()).unwrap();
        }
        self.drain(id);
    }

    fn happen(&mut self, id: ServerId, life: u64, event: Event) {
        let now = self.now;
        let server = self.servers.get_mut(&id).unwrap();
        let mail = matches!(event, Event::Deliver { .. } | Event::Start);
        // The network outlives a crash; writes, timers and reads do not.
        if !mail && server.life != life || server.node.is_none() != matches!(event, Event::Start) {
            if let Event::Read(read) = event {
                self.oracle.on_read_failed(read);
            }
            return;
        }
        // Who sleeps finds everything at once when it wakes, in any order.
        if now < server.paused_until {
            let late = server.paused_until.since(now) + self.rng.up_to(Duration::from_millis(1));
            return self.schedule(late, id, event);
        }
        if let Event::Start = event {
            return self.start(id);
        }
        let node = server.node.as_mut().unwrap();
        match event {
            Event::Deliver { from, bytes } => {
                let message = Message::from_bytes(bytes).unwrap();
                if matches!(message, Message::TimeoutNow { .. }) {
                    self.oracle.on_told(id);
                } else if message.is_from_leader() && node.term() <= message.term() {
                    self.oracle.on_calm(now, id);
                }
                node.step(now, from, message);
            }
            Event::Timeout => {
                server.timer = Instant::NEVER;
                node.handle_timeout(now);
            }
            // Clocks run alike in these worlds, so one is as good as the other.
            Event::Read(read) if read.0 % 2 == 0 => node.read_leased(now, read),
            Event::Read(read) => node.read_index(now, read),
            Event::Written => server.complete(now),
            Event::SnapshotSaved(meta, bytes) => server.saved(now, meta, bytes),
            Event::SnapshotRead { to, last, offset, len } => {
                let saved = server.disk.snapshot.as_ref().is_some_and(|it| it.last == last);
                let all = &server.snapshot;
                let (from, end) =
                    (offset.min(all.len() as u64), (offset + len).min(all.len() as u64));
                let piece = (all.slice(from as usize..end as usize), end == all.len() as u64);
                node.snapshot_read(now, to, last, offset, saved.then_some(piece));
            }
            Event::SnapshotWritten { last, end } => node.snapshot_written(now, last, end),
            Event::SnapshotInstalled(meta) => {
                server.install(&meta);
                let state = self.oracle.state_at(meta.last.index);
                assert_eq!(server.applied, state, "a snapshot of another history");
                server.node.as_mut().unwrap().snapshot_installed(now, meta.last);
            }
            Event::Start => unreachable!("handled above"),
        }
        self.drain(id);
    }

    /// Perform what a node wants done, and look at it.
    fn drain(&mut self, id: ServerId) {
        while let Some(output) =
            self.servers.get_mut(&id).unwrap().node.as_mut().unwrap().poll_output()
        {
            self.perform(id, output);
        }
        let node = self.servers[&id].node.as_ref().unwrap();
        if self.recovery.is_some() && node.is_configuration_settled() {
            self.recovered.insert(id);
        }
        let deadline = node.poll_timeout();
        // One timer at a time: a later deadline is noticed when the earlier timer rings.
        let server = self.servers.get_mut(&id).unwrap();
        if deadline < server.timer {
            server.timer = deadline;
            self.schedule(deadline.since(self.now), id, Event::Timeout);
        }
        for (id, server) in &self.servers {
            if let Some(node) = &server.node {
                self.oracle.on_look(self.now, *id, node);
            }
        }
    }

    fn perform(&mut self, id: ServerId, output: Output) {
        let disk_max = self.faults.disk_max;
        let delay = self.rng.up_to(disk_max);
        let server = self.servers.get_mut(&id).unwrap();
        match output {
            Output::Persist(persist) => {
                let vote = persist.hard_state.and_then(|it| it.vote);
                server.submit(persist);
                if let Some(candidate) = vote.filter(|it| *it != id) {
                    self.oracle.on_calm(self.now, id);
                    let voter = self.servers[&id].node.as_ref().unwrap();
                    if let Some(candidate) = &self.servers[&candidate].node {
                        self.oracle.on_vote(id, voter, candidate);
                    }
                }
                self.schedule(delay, id, Event::Written);
            }
            Output::Send { to, message } => self.send(id, to, &message),
            Output::Commit(entries) => {
                self.oracle.on_commits(id, server.node.as_ref().unwrap(), &entries);
                for entry in entries {
                    self.commit(id, entry);
                }
            }
            Output::ReadReady { id: read, index } => {
                let commit = Index(server.applied.len() as u64);
                self.oracle.on_read_ready(read, index, commit);
            }
            Output::ReadFailed { id: read } => self.oracle.on_read_failed(read),
            Output::RoleChanged { role: Role::Leader, .. } => {
                self.oracle.on_leader(self.now, id, server.node.as_ref().unwrap(), &server.log);
            }
            Output::RoleChanged { role: Role::Candidate, .. } => {
                self.oracle.on_candidate(self.now, id, server.node.as_ref().unwrap());
            }
            Output::RoleChanged { role: Role::Follower, .. } => {}
            Output::TakeSnapshot(meta) => {
                let bytes = server.capture(meta.last);
                self.schedule(delay, id, Event::SnapshotSaved(meta, bytes));
            }
            Output::ForgetLog { through } => server.forget(through),
            Output::ReadSnapshot { to, last, offset, len } => {
                self.schedule(delay, id, Event::SnapshotRead { to, last, offset, len });
            }
            Output::WriteSnapshot { last, offset, data } => {
                if offset == 0 {
                    server.incoming.clear();
                }
                assert_eq!(server.incoming.len() as u64, offset, "a piece is missing");
                server.incoming.extend(&data);
                let end = offset + data.len() as u64;
                // In order: the disk takes no time for these.
                self.schedule(Duration::ZERO, id, Event::SnapshotWritten { last, end });
            }
            Output::InstallSnapshot(meta) => {
                self.schedule(delay, id, Event::SnapshotInstalled(meta));
            }
        }
    }

    fn commit(&mut self, id: ServerId, entry: Entry) {
        if self.oracle.on_commit(id, &entry) {
            // A configuration is committed by itself; what else is in force changes meanwhile.
            let in_force = match &entry.payload {
                Payload::Configuration(it) => Some(it),
                Payload::Empty | Payload::Command(_) if self.faults.changes => None,
                Payload::Empty | Payload::Command(_) => {
                    self.servers[&id].node.as_ref().map(Node::configuration)
                }
            };
            let disk = |id| self.servers.get(&id).map(|it| &it.disk);
            if let Some(configuration) = in_force {
                self.oracle.on_first_commit(&entry, configuration, disk);
            }
        }
        self.servers.get_mut(&id).unwrap().apply(entry);
    }

    fn send(&mut self, from: ServerId, to: ServerId, message: &Message) {
        self.oracle.on_send(from, message, &self.servers[&from].disk);
        let cut = self.apart.contains(&from) != self.apart.contains(&to);
        if cut || self.rng.chance(self.faults.drop, 1_000) {
            return;
        }
        let bytes = message.to_bytes();
        let copies = 1 + u64::from(self.rng.chance(self.faults.duplicate, 1_000));
        for _ in 0..copies {
            let late = self.rng.chance(self.faults.late, 1_000);
            let late = self.rng.up_to(Duration::from_secs(if late { 5 } else { 0 }));
            let delay = self.rng.up_to(self.faults.latency_max) + late;
            self.schedule(delay, to, Event::Deliver { from, bytes: bytes.clone() });
        }
    }

    /// What clients, operators and bad luck do now and then.
    fn tempt_fate(&mut self) {
        let id = ServerId(1 + u128::from(self.rng.below(5)));
        self.look();
        if self.faults.clients && self.rng.chance(1, 3) {
            self.propose(id);
        }
        if self.faults.clients && self.rng.chance(1, 10) {
            self.read(id);
        }
        if self.rng.chance(self.faults.crash, 1_000) {
            self.crash(id);
        }
        if self.rng.chance(self.faults.pause, 1_000) {
            let until = self.now + self.rng.up_to(Duration::from_secs(3));
            let server = self.servers.get_mut(&id).unwrap();
            server.paused_until = server.paused_until.max(until);
        }
        if self.rng.chance(self.faults.partition, 1_000) {
            let rng = &mut self.rng;
            self.apart = self.servers.keys().copied().filter(|_| rng.chance(1, 3)).collect();
        }
        if self.rng.chance(self.faults.partition, 2_000) {
            self.apart.clear();
        }
        let now = self.now;
        if self.rng.chance(self.faults.transfer, 1_000)
            && let Some(node) = self.awake(id)
        {
            _ = node.transfer(now, None);
            self.drain(id);
        }
        if self.faults.changes && self.rng.chance(30, 1_000) {
            self.change(id);
        }
    }

    /// What must be true of everybody who is awake, whatever happened last.
    fn look(&mut self) {
        for (id, server) in &self.servers {
            let awake = server.paused_until + Duration::from_millis(1) <= self.now;
            let Some(node) = server.node.as_ref().filter(|_| awake) else {
                continue;
            };
            self.oracle.on_rest(self.now, *id, node);
            for peer in node.peers() {
                let disk = &self.servers[&peer.id].disk;
                self.oracle.on_matched(node.term(), peer.matched, &server.log, disk);
            }
            if self.recovery.is_none() {
                self.oracle.on_configuration(*id, node, &server.log);
            }
        }
    }

    fn propose(&mut self, id: ServerId) {
        let now = self.now;
        let count = if self.rng.chance(1, 30) { 40 } else { 1 + self.rng.below(4) };
        let Some(node) = self.awake(id) else { return };
        for n in 0..count {
            _ = node.propose(now, Bytes::from(format!("{n} at {now:?}")));
        }
        self.drain(id);
    }

    fn read(&mut self, id: ServerId) {
        if self.servers[&id].node.is_none() {
            return;
        }
        self.last_read += 1;
        let read = ReadId(self.last_read);
        self.oracle.on_read(read);
        self.schedule(Duration::ZERO, id, Event::Read(read));
    }

    fn crash(&mut self, id: ServerId) {
        let survivors = self.rng.below(4) as usize;
        // Some are back before anybody notices.
        let down_max = if self.rng.chance(1, 2) { 50 } else { 3_000 };
        let down = self.rng.up_to(Duration::from_millis(down_max));
        let server = self.servers.get_mut(&id).unwrap();
        if server.node.is_some() {
            server.crash(survivors);
            self.schedule(down, id, Event::Start);
        }
    }

    fn change(&mut self, id: ServerId) {
        let now = self.now;
        let whom = ServerId(1 + u128::from(self.rng.below(5)));
        let address = String::new();
        let change = match self.rng.below(5) {
            0 => Change::AddNonVoter { id: whom, address },
            1 => Change::AddVoter { id: whom, address },
            2 => Change::Promote(whom),
            3 => Change::Demote(whom),
            _ => Change::Remove(whom),
        };
        let Some(node) = self.awake(id) else { return };
        let (term, commit) = (node.term(), node.commit());
        if node.propose_configuration(now, change).is_ok() {
            let server = &self.servers[&id];
            let is_change = |it: &&Entry| matches!(it.payload, Payload::Configuration(_));
            let last = server.log.entries.iter().rfind(is_change).map(|it| it.id.index);
            self.oracle.on_change(id, term, commit, last.unwrap_or_default());
        }
        self.drain(id);
    }
}

fn group(ids: impl IntoIterator<Item = ServerId>) -> Configuration {
    Configuration::of_voters(ids.into_iter().map(|it| (it, String::new())))
}

/// Commands, so that an empty history does not pass for a tested one.
#[test]
fn the_world_is_worth_looking_at() {
    let mut world = World::new(1, Faults::none());
    world.run(Duration::from_secs(10));
    let commands = world.oracle.state_at(Index(world.oracle.committed() as u64));
    let commands = commands.iter().filter(|it| matches!(it.payload, Payload::Command(_)));
    assert!(100 < commands.count());
    assert!(20 < world.oracle.reads_answered());
}
