//! A datacenter of servers in one value: what `sim` does with faults and oracles, here without.

mod net;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tribune_agent::ServiceDefinition;
use tribune_api::agent::AgentCall;
use tribune_api::http::{Content, Method, OwnedRequest, ReadMeta, Response};
use tribune_api::plan::{
    self, Consistency, Context, Evaluation, Plan, PoolCall, Query, Read, Selection, Write,
    WriteAnswer,
};
use tribune_base::id::{Index, NodeId, ServerId, Uuid};
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_core::config::Wan;
use tribune_core::wire::{Founder, Hello, Lane};
use tribune_core::{
    Agent, Area, Call, Client, Config, Event, Input, Node, Output, RequestId, Restored, View, Wire,
};
use tribune_raft::{self as raft, SnapshotMeta};
use tribune_state::{Command, Store, kv};

use net::Net;

/// Servers, and what is under way between them.
pub struct World {
    servers: BTreeMap<String, Server>,
    now: Instant,
    /// When, to whom (by address), from whom.
    messages: VecDeque<(Instant, String, ServerId, Wire)>,
    /// When, to where, from where.
    packets: VecDeque<(Instant, SocketAddr, SocketAddr, Bytes)>,
    next_request: u64,
    snapshot_entries_max: u64,
    expect: u64,
    /// The only address everybody is told, in the first datacenter.
    join: String,
    /// Datacenters that nothing reaches from outside, and that reach nothing.
    dark: BTreeSet<u8>,
    /// Whether packets of one pool arrive in the other one, too.
    pub misrouting: bool,
    /// What servers keep as another datacenter has it, from their next start on.
    pub replication: BTreeMap<u8, tribune_core::config::KvReplication>,
    /// How many requests were carried from one datacenter to another.
    pub forwards: usize,
}

struct Server {
    number: u128,
    datacenter: u8,
    renamed: u128,
    /// `None` while it is down.
    node: Option<Agent>,
    /// Whether it is a client agent.
    client: bool,
    disk: Disk,
    incarnation: u64,
    replies: BTreeMap<RequestId, Response>,
    installed: u32,
    stopped: bool,
    conflicts: u32,
    /// What has come while it stood still; `None` while it does not.
    held: Option<Vec<Input>>,
}

/// What survives.
#[derive(Default)]
struct Disk {
    raft: raft::Restored,
    snapshot: Option<(SnapshotMeta, Bytes)>,
    incoming: BytesMut,
}

impl World {
    /// `count` servers that wait for each other, and know only the first.
    pub fn of(count: u128) -> Self {
        Self::with(count, count as u64)
    }

    /// `count` servers, the first `expect` of which begin.
    pub fn with(count: u128, expect: u64) -> Self {
        let servers = (1..=count).map(|it| (format!("n{it}"), Server::down(it))).collect();
        Self::begin(servers, expect)
    }

    /// Datacenters `dc1`, `dc2`, ... of so many servers each, which know nothing of each other yet.
    /// Those of `dc2` are called `b1`, `b2`, ..., and so on.
    pub fn of_datacenters(counts: &[u128]) -> Self {
        let server = |(datacenter, number): (u8, u128)| {
            let mut server = Server::down(number);
            server.datacenter = datacenter;
            let letter = if datacenter == 1 { 'n' } else { char::from(b'a' + datacenter - 1) };
            (format!("{letter}{number}"), server)
        };
        let numbers =
            (1..).zip(counts).flat_map(|(dc, count)| (1..=*count).map(move |it| (dc, it)));
        Self::begin(numbers.map(server).collect(), 0)
    }

    fn begin(servers: BTreeMap<String, Server>, expect: u64) -> Self {
        let mut world = Self {
            servers,
            now: Instant::START,
            messages: VecDeque::new(),
            packets: VecDeque::new(),
            next_request: 0,
            snapshot_entries_max: 10_000,
            expect,
            join: "10.0.0.1:8300".to_owned(),
            dark: BTreeSet::new(),
            misrouting: false,
            forwards: 0,
            replication: BTreeMap::new(),
        };
        for name in world.names() {
            world.start(&name);
        }
        world
    }

    /// Make everybody start anew, and know nobody but `name`.
    pub fn all_join(&mut self, name: &str) {
        self.join = self.address(name);
        for name in self.names() {
            self.stop(&name);
            self.wipe(&name);
            self.start(&name);
        }
    }

    /// Make all servers forget their log after so many entries. They start anew.
    pub fn snapshots_every(&mut self, entries: u64) {
        self.snapshot_entries_max = entries;
        for name in self.names() {
            self.stop(&name);
            self.start(&name);
        }
    }

    pub fn names(&self) -> Vec<String> {
        self.servers.keys().cloned().collect()
    }

    pub fn node(&self, name: &str) -> &Node {
        match self.servers[name].node.as_ref().expect("it is up") {
            Agent::Server(node) => node,
            Agent::Client(_) => panic!("{name} is no server"),
        }
    }

    /// A client agent called `c<number>`. It knows nobody: have it join.
    pub fn add_client(&mut self, number: u128) -> String {
        let name = format!("c{number}");
        let mut server = Server::down(100 + number);
        server.client = true;
        self.servers.insert(name.clone(), server);
        self.start(&name);
        name
    }

    /// Have a server join another one where all datacenters meet.
    pub fn join_wan(&mut self, name: &str, other: &str) -> (String, RequestId) {
        let addrs = vec![SocketAddr::new(host(&self.servers[other]).parse().unwrap(), 8_302)];
        self.call(name, Call::Join { area: Area::Wan, addrs })
    }

    /// Cut a datacenter off from all others, or connect it again.
    pub fn darken(&mut self, datacenter: u8, dark: bool) {
        if dark {
            self.dark.insert(datacenter);
        } else {
            self.dark.remove(&datacenter);
        }
    }

    /// What a client asks, as it came over HTTP to an agent, which sends it where it belongs.
    pub fn ask_there(
        &mut self,
        name: &str,
        method: Method,
        target: &str,
        body: &str,
    ) -> (String, RequestId) {
        let request = request(method, target, body);
        let plan = plan::plan(&request.as_request(), &self.config(name).context);
        let Plan::Remote(there) = plan else { panic!("{target} is not about another datacenter") };
        self.call(name, Call::Across { request, there })
    }

    /// Have a request arrive that another datacenter's server has sent, in its name.
    pub fn hear_forward(&mut self, at: &str, from: &str, datacenter: &str, target: &str) {
        let message = Wire::Forward {
            serial: 1,
            from: self.address(from),
            datacenter: datacenter.to_owned(),
            patience: Duration::from_secs(10),
            request: request(Method::Get, target, ""),
        };
        let from = self.id(from);
        self.input(at, Input::Message { from, message });
    }

    /// Who `at` believes is there, where all datacenters meet.
    pub fn members_wan(&mut self, at: &str) -> Vec<(String, u8)> {
        self.members_of(at, true)
    }

    /// Have an agent join the pool that another is in.
    pub fn join(&mut self, name: &str, other: &str) -> (String, RequestId) {
        let addrs = vec![SocketAddr::new(host(&self.servers[other]).parse().unwrap(), 8_301)];
        self.call(name, Call::Join { area: Area::Lan, addrs })
    }

    /// Who `at` believes is there, and how they are.
    pub fn members(&mut self, at: &str) -> Vec<(String, u8)> {
        self.members_of(at, false)
    }

    fn members_of(&mut self, at: &str, wan: bool) -> Vec<(String, u8)> {
        let call = AgentCall::Members { wan, filter: None, pretty: false };
        let asked = self.agent(at, call);
        let body = self.reply(asked).body;
        let rows: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let row = |it: &serde_json::Value| {
            (it["Name"].as_str().unwrap().to_owned(), it["Status"].as_u64().unwrap() as u8)
        };
        rows.as_array().unwrap().iter().map(row).collect()
    }

    /// What a client agent's client asks, as it came over HTTP.
    pub fn ask(
        &mut self,
        name: &str,
        method: Method,
        target: &str,
        body: &str,
    ) -> (String, RequestId) {
        let changes = method != Method::Get;
        let request = request(method, target, body);
        let plan = plan::plan(&request.as_request(), &self.config(name).context);
        let mut wait = Duration::ZERO;
        if let Plan::Read(read) = plan
            && read.min_index != Index(0)
        {
            wait = read.wait;
        }
        let patience = wait + Duration::from_secs(10);
        self.call(name, Call::Forward { request, changes, patience })
    }

    pub fn id(&self, name: &str) -> ServerId {
        let server = &self.servers[name];
        ServerId::from(node_id(server))
    }

    pub fn address(&self, name: &str) -> String {
        format!("{}:8300", host(&self.servers[name]))
    }

    pub fn installed(&self, name: &str) -> u32 {
        self.servers[name].installed
    }

    pub fn has_stopped(&self, name: &str) -> bool {
        self.servers[name].stopped
    }

    /// The server that leads and answers.
    pub fn leader(&self) -> Option<String> {
        let leads = |it: &Server| it.node.as_ref().is_some_and(|it| it.view().freshness.leads);
        self.servers.iter().find(|(_, it)| leads(it) && !it.stopped).map(|(name, _)| name.clone())
    }

    /// The server of a datacenter that leads and answers.
    pub fn leader_of(&self, datacenter: u8) -> Option<String> {
        let leads = |it: &Server| it.node.as_ref().is_some_and(|it| it.view().freshness.leads);
        let mut there = self.servers.iter().filter(|(_, it)| it.datacenter == datacenter);
        there.find(|(_, it)| leads(it) && !it.stopped).map(|(name, _)| name.clone())
    }

    /// A server that is up and does not lead.
    pub fn follower(&self) -> String {
        let leader = self.leader();
        let up = self.servers.iter().filter(|(_, it)| it.node.is_some() && !it.client);
        let mut followers =
            up.map(|(name, _)| name.clone()).filter(|it| Some(it) != leader.as_ref());
        followers.next().expect("there is a follower")
    }

    pub fn configuration(&self, name: &str) -> raft::Configuration {
        self.node(name).configuration().clone()
    }

    /// The node's `serfHealth`, as `at` shows it.
    pub fn health(&self, at: &str, node: &str) -> Option<String> {
        let snapshot = self.node(at).view().snapshot;
        let (_, checks) = snapshot.node_checks(node);
        let check = checks.into_iter().find(|it| it.id == "serfHealth")?;
        Some(check.status.as_str().to_owned())
    }

    pub fn start(&mut self, name: &str) {
        let (now, config) = (self.now, self.config(name));
        let server = self.servers.get_mut(name).unwrap();
        server.incarnation += 1;
        let store = match &server.disk.snapshot {
            Some((_, bytes)) => Store::restore([bytes.clone()]).unwrap(),
            None => Store::default(),
        };
        let mut restored = server.disk.raft.clone();
        restored.snapshot = server.disk.snapshot.as_ref().map(|(meta, _)| meta.clone());
        let restored = Restored { store, raft: restored, ..Restored::default() };
        let number = server.number + 1_000 * u128::from(server.datacenter - 1);
        let seed = u64::try_from(number).unwrap() << 32 | server.incarnation;
        server.stopped = false;
        server.node = Some(if server.client {
            Client::new(config, restored, seed, now).into()
        } else {
            Node::new(config, restored, seed, now).into()
        });
        self.drain(name);
    }

    /// Pull the plug.
    pub fn stop(&mut self, name: &str) {
        self.servers.get_mut(name).unwrap().node = None;
    }

    /// Give it another id. Its address stays.
    pub fn rename(&mut self, name: &str) {
        self.servers.get_mut(name).unwrap().renamed += 1;
    }

    pub fn wipe(&mut self, name: &str) {
        self.servers.get_mut(name).unwrap().disk = Disk::default();
    }

    pub fn ask_to_stop(&mut self, name: &str) {
        self.input(name, Input::Stop);
    }

    pub fn write(&mut self, name: &str, command: Command) -> (String, RequestId) {
        let write = Write { command, answer: WriteAnswer::Bool, pretty: false };
        self.call(name, Call::Write(write))
    }

    pub fn read(&mut self, name: &str, read: Read) -> (String, RequestId) {
        self.call(name, Call::Read { read, seen: None })
    }

    /// The index of what a server has.
    pub fn index(&self, name: &str, read: &Read) -> Index {
        self.node(name).view().snapshot.index_of(&read.query.topic())
    }

    /// Wait for something newer than `min_index`.
    pub fn watch(&mut self, name: &str, read: Read, min_index: Index) -> (String, RequestId) {
        self.read(name, Read { min_index, wait: Duration::from_secs(60), ..stale(read) })
    }

    pub fn agent(&mut self, name: &str, call: AgentCall) -> (String, RequestId) {
        self.call(name, Call::Agent(call))
    }

    /// Register a service with the agent of a server.
    pub fn register(&mut self, name: &str, service: &str) -> (String, RequestId) {
        let json = format!(r#"{{"Name":"{service}","Port":80}}"#);
        let definition = Box::new(ServiceDefinition::from_json(json.as_bytes()).unwrap());
        self.agent(name, AgentCall::RegisterService { definition, replace_checks: false })
    }

    /// What an operator asks of a server, as it came over HTTP.
    pub fn operate(&mut self, name: &str, method: Method, target: &str) -> (String, RequestId) {
        let request = request(method, target, "");
        let plan = plan::plan(&request.as_request(), &Context::new("dc1", name));
        let Plan::Operator(call) = plan else { panic!("{target} is not about the servers") };
        self.call(name, Call::Operator { call, request })
    }

    /// What a client asks an agent about events, as it came over HTTP.
    pub fn events(&mut self, name: &str, target: &str, body: &str) -> (String, RequestId) {
        let method = if target.starts_with("fire/") { Method::Put } else { Method::Get };
        let request = request(method, &format!("/v1/event/{target}"), body);
        let plan = plan::plan(&request.as_request(), &Context::new("dc1", name));
        let Plan::Pool(call) = plan else { panic!("{target} is not about events") };
        let call = match call {
            PoolCall::Fire(fire) => Call::Fire(fire),
            PoolCall::Events(list) => Call::Events(list),
            PoolCall::Join { .. } | PoolCall::ForceLeave { .. } | PoolCall::Keyring(_) => {
                unreachable!("{target}")
            }
        };
        self.call(name, call)
    }

    /// A client has gone before it was answered.
    pub fn cancel(&mut self, (name, id): &(String, RequestId)) {
        self.input(name, Input::Cancel(*id));
    }

    /// Whether a request is answered.
    pub fn is_answered(&self, (name, id): &(String, RequestId)) -> bool {
        self.servers[name].replies.contains_key(id)
    }

    fn call(&mut self, name: &str, call: Call) -> (String, RequestId) {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.input(name, Input::Request { id, call });
        (name.to_owned(), id)
    }

    /// What a request was answered with.
    pub fn reply(&mut self, (name, id): (String, RequestId)) -> Response {
        let server = self.servers.get_mut(&name).unwrap();
        server.replies.remove(&id).expect("it has been answered")
    }

    /// How often a server has complained about another that is not who it says.
    pub fn conflicts(&self, name: &str) -> u32 {
        self.servers[name].conflicts
    }

    /// Have `at` hear a hello in the name of `original`, from elsewhere.
    pub fn hear_a_copy_of(&mut self, at: &str, original: &str, address: &str) {
        let from = self.id(original);
        let hello = Hello {
            server: Founder { id: from, address: address.into() },
            name: original.into(),
            datacenter: "dc1".into(),
            version: "0.0.0".into(),
            protocol: (1, 1),
            expect: self.expect,
            fresh: false,
            leaving: false,
            wants_answer: true,
            lan_port: 8_301,
            known: Vec::new(),
        };
        self.input(at, Input::Message { from, message: Wire::Hello(Box::new(hello)) });
    }

    /// Have an agent stand still, as a process does that is stopped: what comes meanwhile waits.
    pub fn pause(&mut self, name: &str) {
        self.servers.get_mut(name).unwrap().held = Some(Vec::new());
    }

    /// It goes on, and sees first what time it is.
    pub fn resume(&mut self, name: &str) {
        let held = self.servers.get_mut(name).unwrap().held.take().expect("it stands still");
        let now = self.now;
        self.servers.get_mut(name).unwrap().node.as_mut().expect("it is up").handle_timeout(now);
        self.drain(name);
        for input in held {
            self.input(name, input);
        }
    }

    /// Let time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = self.now + Duration::from_millis(1);
            for name in self.names() {
                let Server { node: Some(node), held: None, .. } = &self.servers[&name] else {
                    continue;
                };
                if node.poll_timeout() <= self.now {
                    let now = self.now;
                    let node = self.servers.get_mut(&name).unwrap().node.as_mut().unwrap();
                    node.handle_timeout(now);
                    self.drain(&name);
                    let next = self.servers[&name].node.as_ref().unwrap().poll_timeout();
                    assert!(now < next, "{name} was due at {next:?}, and is again at {now:?}");
                }
            }
            while self.messages.front().is_some_and(|it| it.0 <= self.now) {
                let (_, to, from, message) = self.messages.pop_front().unwrap();
                self.arrive(&to, from, message);
            }
            while self.packets.front().is_some_and(|it| it.0 <= self.now) {
                let (_, to, from, packet) = self.packets.pop_front().unwrap();
                if let Some(name) = self.listener(&to.to_string()) {
                    let area = if to.port() == 8_302 { Area::Wan } else { Area::Lan };
                    if self.misrouting && area == Area::Lan {
                        let packet = packet.clone();
                        self.input(&name, Input::Packet { area: Area::Wan, from, packet });
                    }
                    self.input(&name, Input::Packet { area, from, packet });
                }
            }
        }
    }

    fn arrive(&mut self, to: &str, from: ServerId, message: Wire) {
        let afar = message.lane() == Lane::Across;
        match self.listener(to) {
            Some(name) if afar => {
                self.forwards += usize::from(matches!(message, Wire::Forward { .. }));
                self.input(&name, Input::Message { from, message });
            }
            Some(name) => {
                let own = self.names().into_iter().find(|it| self.id(it) == from);
                let own = own.map_or(1, |it| self.servers[&it].datacenter);
                let theirs = self.servers[&name].datacenter;
                assert_eq!(own, theirs, "{message:?} is a datacenter's own business");
                self.input(&name, Input::Message { from, message });
            }
            // Nobody listens there, and whoever has dialed knows.
            None => {
                let sender = self.names().into_iter().find(|it| self.id(it) == from);
                if let (true, Some(inquiry), Some(sender)) = (afar, message.inquiry(), sender)
                    && self.servers[&sender].node.is_some()
                {
                    self.input(&sender, Input::Undelivered(inquiry));
                }
            }
        }
    }

    /// Tell a server that its connection to another one is gone.
    pub fn lose(&mut self, at: &str, to: &str) {
        let to = self.address(to).into();
        self.input(at, Input::Lost { to });
    }

    /// Who is up and listens there.
    fn listener(&self, address: &str) -> Option<String> {
        let (ip, _) = address.rsplit_once(':').unwrap();
        let up = self.servers.iter().filter(|(_, it)| it.node.is_some() && !it.stopped);
        let mut there = up.filter(|(_, it)| host(it) == ip).map(|(name, _)| name.clone());
        there.next()
    }

    fn input(&mut self, name: &str, input: Input) {
        let now = self.now;
        let server = self.servers.get_mut(name).unwrap();
        if let Some(held) = &mut server.held {
            return held.push(input);
        }
        server.node.as_mut().expect("it is up").handle(now, input);
        self.drain(name);
    }

    fn drain(&mut self, name: &str) {
        let id = self.id(name);
        let now = self.now;
        let server = self.servers.get_mut(name).unwrap();
        let mut net = Net {
            dark: &self.dark,
            datacenter: server.datacenter,
            messages: &mut self.messages,
            packets: &mut self.packets,
        };
        let from: IpAddr = host(server).parse().unwrap();
        let Some(node) = &mut server.node else { return };
        while let Some(output) = node.poll_output() {
            match output {
                Output::Persist(batch) => {
                    server.disk.persist(&batch);
                    node.handle(now, Input::Persisted(batch.seq));
                }
                Output::Send { to, message } => net.send(now, id, &to, message),
                Output::Packet { area, to, bytes } => net.send_packet(now, (area, from), to, bytes),
                // Nobody has any here.
                Output::Keys { .. } => {}
                Output::Reply { id, response } => {
                    let before = server.replies.insert(id, response);
                    assert_eq!(before, None, "{id:?} was answered twice");
                }
                Output::Serve(serve) => {
                    let evaluation = evaluate(name, &node.view(), &serve.query);
                    for id in serve.ids.iter().filter(|it| !it.is_own()) {
                        let before = server.replies.insert(*id, shown(&evaluation));
                        assert_eq!(before, None, "{id:?} was answered twice");
                    }
                    let response = Some(shown(&evaluation));
                    node.handle(now, Input::Served { ids: serve.ids, response });
                }
                Output::SaveSnapshot { meta, snapshot } => {
                    server.disk.snapshot = Some((meta.clone(), concat(snapshot.records())));
                    node.handle(now, Input::SnapshotSaved(meta));
                }
                Output::ReadSnapshot { to, last, offset, len } => {
                    let piece = server.disk.read(last, offset, len);
                    node.handle(now, Input::SnapshotRead { to, last, offset, piece });
                }
                Output::WriteSnapshot { last, offset, data } => {
                    server.disk.incoming.truncate(usize::try_from(offset).unwrap());
                    server.disk.incoming.extend_from_slice(&data);
                    let end = offset + data.len() as u64;
                    node.handle(now, Input::SnapshotWritten { last, end });
                }
                Output::InstallSnapshot(meta) => {
                    let bytes = server.disk.incoming.split().freeze();
                    let store = Box::new(Store::restore([bytes.clone()]).unwrap());
                    let last = meta.last;
                    server.disk.snapshot = Some((meta, bytes));
                    server.installed += 1;
                    node.handle(now, Input::SnapshotInstalled { last, store });
                }
                Output::ForgetLog { through } => {
                    server.disk.raft.entries.retain(|it| through < it.id.index);
                }
                Output::Save { seq, .. } => node.handle(now, Input::Saved(seq)),
                Output::Event(Event::Conflict { .. }) => server.conflicts += 1,
                Output::Stop => server.stopped = true,
                Output::RunCheck { .. }
                | Output::Resolve { .. }
                | Output::StopCheck { .. }
                | Output::Recovered
                | Output::Event(_) => {}
            }
        }
    }

    fn config(&self, name: &str) -> Config {
        let server = &self.servers[name];
        let (id, address) = (node_id(server), host(server));
        let datacenter = format!("dc{}", server.datacenter);
        let many = self.servers.values().any(|it| it.datacenter != 1);
        let wan = Wan {
            address: address.parse().unwrap(),
            port: 8_302,
            gossip: tribune_gossip::Config::wan(),
            encryption: tribune_core::Encryption::Off,
        };
        let here = self.servers.values().filter(|it| it.datacenter == server.datacenter);
        let expect = if many { here.filter(|it| !it.client).count() as u64 } else { self.expect };
        let first = format!("10.0.{}.1:8300", server.datacenter - 1);
        Config {
            id,
            encryption: tribune_core::Encryption::Off,
            name: name.into(),
            address: address.clone(),
            server_port: 8_300,
            serf_lan_port: 8_301,
            wan: (many && !server.client).then_some(wan),
            datacenter: datacenter.clone(),
            version: "0.0.0".into(),
            revision: String::new(),
            build_date: String::new(),
            shown: BTreeMap::new(),
            context: Arc::new(Context::new(datacenter.as_str(), name)),
            bootstrap_expect: expect,
            join: vec![if server.datacenter == 1 { self.join.clone() } else { first }],
            autopilot: tribune_state::Autopilot::default(),
            gossip: tribune_gossip::Config::lan(datacenter.as_str()),
            raft: raft::Config {
                snapshot_entries_max: self.snapshot_entries_max,
                trailing_entries_max: self.snapshot_entries_max.min(10),
                ..raft::Config::lan(1)
            },
            agent: tribune_agent::Config::new(name, id, &address),
            hold_max: Duration::from_secs(7),
            write_max: Duration::from_secs(30),
            requests_max: 65_536,
            settle_max: Duration::from_millis(500),
            tombstone_ttl: Duration::from_secs(900),
            kv_replication: self.replication.get(&server.datacenter).cloned(),
            started: WallTime(0),
        }
    }
}

impl Server {
    fn down(number: u128) -> Self {
        Self {
            number,
            datacenter: 1,
            renamed: 0,
            node: None,
            client: false,
            disk: Disk::default(),
            incarnation: 0,
            replies: BTreeMap::new(),
            installed: 0,
            stopped: false,
            conflicts: 0,
            held: None,
        }
    }
}

impl Disk {
    fn persist(&mut self, batch: &raft::Persist) {
        if let Some(hard_state) = batch.hard_state {
            self.raft.hard_state = hard_state;
        }
        if let Some(from) = batch.truncate_from {
            self.raft.entries.retain(|it| it.id.index < from);
        }
        self.raft.entries.extend(batch.entries.iter().cloned());
        let indexes: BTreeSet<_> = self.raft.entries.iter().map(|it| it.id.index).collect();
        assert_eq!(indexes.len(), self.raft.entries.len(), "an index is in the log once");
    }

    fn read(&self, last: tribune_base::id::LogId, offset: u64, len: u64) -> Option<(Bytes, bool)> {
        let (_, bytes) = self.snapshot.as_ref().filter(|(meta, _)| meta.last == last)?;
        let start = usize::try_from(offset).unwrap().min(bytes.len());
        let end = usize::try_from(offset + len).unwrap().min(bytes.len());
        Some((bytes.slice(start..end), end == bytes.len()))
    }
}

fn evaluate(at: &str, view: &View, query: &Query) -> Evaluation {
    query.evaluate(&view.snapshot, &view.places, &Context::new("dc1", at), false)
}

fn shown(evaluation: &Evaluation) -> Response {
    Response {
        status: evaluation.status,
        content: Content::Raw,
        meta: Some(ReadMeta {
            index: evaluation.index,
            known_leader: true,
            last_contact: Duration::ZERO,
            effective: None,
        }),
        headers: Vec::new(),
        body: evaluation.body.clone(),
    }
}

fn node_id(server: &Server) -> NodeId {
    let datacenter = u128::from(server.datacenter - 1) << 64;
    NodeId(Uuid::from_entropy(datacenter + server.number + 100 * server.renamed))
}

fn host(server: &Server) -> String {
    format!("10.0.{}.{}", server.datacenter - 1, server.number)
}

/// A request as it came over HTTP; `target` may have parameters.
fn request(method: Method, target: &str, body: &str) -> OwnedRequest {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    OwnedRequest {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        token: None,
        body: Bytes::copy_from_slice(body.as_bytes()),
        asker: Default::default(),
    }
}

fn concat(chunks: impl IntoIterator<Item = Bytes>) -> Bytes {
    chunks
        .into_iter()
        .fold(BytesMut::new(), |mut all, it| {
            all.extend_from_slice(&it);
            all
        })
        .freeze()
}

/// Set a key.
pub fn kv_set(key: &str, value: &str) -> Command {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    Command::Kv(kv::Command::Set { key, value, flags: 0 })
}

/// Read a key, as fresh as can be had without asking for more.
pub fn kv_get(key: &str) -> Read {
    Read {
        query: Query::KvGet { key: Bytes::copy_from_slice(key.as_bytes()), raw: true },
        consistency: Consistency::Default,
        max_stale: None,
        min_index: Index(0),
        wait: Duration::ZERO,
        pretty: false,
    }
}

/// The instances of a service, from whatever the server has.
pub fn health(service: &str) -> Read {
    let (service, selection) = (service.to_owned(), Selection::default());
    let query = Query::HealthService { service, tags: Vec::new(), passing: false, selection };
    stale(Read { query, ..kv_get("") })
}

/// The same, from whatever the server has.
pub fn stale(read: Read) -> Read {
    Read { consistency: Consistency::Stale, ..read }
}

/// The value in an answer, if the key was there.
pub fn key(response: &Response) -> Option<String> {
    (response.status == 200).then(|| String::from_utf8_lossy(&response.body).into_owned())
}
