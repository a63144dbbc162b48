//! One server, driven by hand: nothing happens that the test does not say.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tribune_agent::ServiceDefinition;
use tribune_api::agent::AgentCall;
use tribune_api::http::Response;
use tribune_api::plan::{Consistency, Context, Query, Read, Write, WriteAnswer};
use tribune_base::id::{Index, NodeId, Uuid};
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_core::{Call, Config, Input, Node, Output, RequestId, Restored, Serve};
use tribune_raft::PersistSeq;
use tribune_state::{Command, kv};

/// A node, and everything it asked for that has not been done.
struct Server {
    node: Node,
    now: Instant,
    writes: VecDeque<PersistSeq>,
    replies: BTreeMap<RequestId, Response>,
    serves: Vec<Serve>,
    next_id: u64,
    /// Registrations do not become durable.
    slow_files: bool,
}

impl Server {
    /// Nothing is durable yet, so nobody leads.
    fn start() -> Self {
        let id = NodeId(Uuid(1));
        let config = Config {
            id,
            name: "n1".into(),
            address: "127.0.0.1".into(),
            server_port: 8_300,
            serf_lan_port: 8_301,
            wan: None,
            datacenter: "dc1".into(),
            version: "0.0.0".into(),
            revision: String::new(),
            build_date: String::new(),
            shown: BTreeMap::new(),
            context: Arc::new(Context::new("dc1", "n1")),
            bootstrap_expect: 1,
            join: Vec::new(),
            autopilot: tribune_state::Autopilot::default(),
            gossip: tribune_gossip::Config::lan("dc1"),
            encryption: tribune_core::Encryption::Off,
            raft: tribune_raft::Config::lan(1),
            agent: tribune_agent::Config::new("n1", id, "127.0.0.1"),
            hold_max: Duration::from_secs(7),
            write_max: Duration::from_secs(30),
            requests_max: 65_536,
            settle_max: Duration::from_millis(500),
            tombstone_ttl: Duration::from_secs(900),
            kv_replication: None,
            started: WallTime(0),
        };
        let node = Node::new(config, Restored::default(), 1, Instant::START);
        let mut server = Self {
            node,
            now: Instant::START,
            writes: VecDeque::new(),
            replies: BTreeMap::new(),
            serves: Vec::new(),
            next_id: 0,
            slow_files: false,
        };
        server.drain();
        server
    }

    /// A server that leads, with everything durable.
    fn leader() -> Self {
        let mut server = Self::start();
        server.settle();
        assert!(server.node.view().freshness.leads);
        server
    }

    fn ask(&mut self, call: Call) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.input(Input::Request { id, call });
        id
    }

    fn input(&mut self, input: Input) {
        self.node.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Persist(batch) => self.writes.push_back(batch.seq),
                Output::Reply { id, response } => {
                    let before = self.replies.insert(id, response);
                    assert_eq!(before, None, "{id:?} was answered twice");
                }
                Output::Serve(serve) => self.serves.push(serve),
                Output::Save { seq, .. } if !self.slow_files => {
                    self.node.handle(self.now, Input::Saved(seq));
                }
                Output::Save { .. }
                | Output::Packet { .. }
                | Output::Keys { .. }
                | Output::Resolve { .. }
                | Output::Send { .. }
                | Output::SaveSnapshot { .. }
                | Output::ForgetLog { .. }
                | Output::RunCheck { .. }
                | Output::StopCheck { .. }
                | Output::Event(_)
                | Output::ReadSnapshot { .. }
                | Output::WriteSnapshot { .. }
                | Output::InstallSnapshot(_)
                | Output::Recovered
                | Output::Stop => {}
            }
        }
    }

    /// Let the disk finish everything.
    fn settle(&mut self) {
        while let Some(seq) = self.writes.pop_front() {
            self.input(Input::Persisted(seq));
        }
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.node.handle_timeout(self.now);
        self.drain();
    }

    fn put(&mut self, key: &'static str, value: &'static str) -> RequestId {
        let set = kv::Command::Set { key: key.into(), value: value.into(), flags: 0 };
        let command = Command::Kv(set);
        self.ask(Call::Write(Write { command, answer: WriteAnswer::Bool, pretty: false }))
    }

    fn watch(&mut self, key: &'static str, min_index: Index) -> RequestId {
        self.ask(Call::Read {
            read: Read {
                query: Query::KvGet { key: key.into(), raw: false },
                consistency: Consistency::Default,
                max_stale: None,
                min_index,
                wait: Duration::from_secs(60),
                pretty: false,
            },
            seen: None,
        })
    }

    fn register(&mut self, json: &str) -> RequestId {
        let definition = ServiceDefinition::from_json(json.as_bytes()).unwrap();
        let definition = Box::new(definition);
        self.ask(Call::Agent(AgentCall::RegisterService { definition, replace_checks: false }))
    }

    /// The ids served since the last look, one list for each evaluation.
    fn served(&mut self) -> Vec<Vec<RequestId>> {
        std::mem::take(&mut self.serves).into_iter().map(|it| it.ids).collect()
    }

    fn index_of(&self, key: &[u8]) -> Index {
        self.node.view().snapshot.kv_get(key).0
    }
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut server = Server::leader();
    let id = server.put("a", "1");
    assert_eq!(server.replies.get(&id), None);
    assert_eq!(server.node.view().snapshot.kv_get(b"a").1.map(|it| it.value().to_vec()), None);
    server.settle();
    assert_eq!(server.replies[&id].body, Bytes::from("true"));
    assert_eq!(server.node.view().snapshot.kv_get(b"a").1.unwrap().value(), b"1");
}

#[test]
fn writes_that_arrive_together_share_a_batch() {
    let mut server = Server::leader();
    for n in 0..64 {
        let set = kv::Command::Set { key: n.to_string().into(), value: "1".into(), flags: 0 };
        let command = Command::Kv(set);
        let write = Write { command, answer: WriteAnswer::Bool, pretty: false };
        server
            .node
            .handle(server.now, Input::Request { id: RequestId(n), call: Call::Write(write) });
    }
    server.drain();
    assert_eq!(server.writes.len(), 1);
    server.settle();
    assert_eq!(server.replies.len(), 64);
}

#[test]
fn who_comes_before_the_election_is_held_and_then_answered() {
    let mut server = Server::start();
    let id = server.put("a", "1");
    server.settle();
    assert_eq!(server.replies[&id].status, 200);
}

#[test]
fn nobody_is_held_for_ever() {
    let mut server = Server::start();
    let (write, read) = (server.put("a", "1"), server.watch("a", Index(0)));
    server.wait(Duration::from_secs(6));
    assert!(server.replies.is_empty());
    server.wait(Duration::from_secs(2));
    for id in [write, read] {
        assert_eq!(server.replies[&id].status, 500);
        assert_eq!(server.replies[&id].body, Bytes::from("No cluster leader"));
    }
}

#[test]
fn all_who_wait_for_the_same_are_served_by_one_evaluation() {
    let mut server = Server::leader();
    server.put("a", "1");
    server.settle();
    let index = server.index_of(b"a");
    let waiting: Vec<_> = (0..3).map(|_| server.watch("a", index)).collect();
    let other = server.watch("b", server.index_of(b"b"));
    assert_eq!(server.served(), Vec::<Vec<_>>::new());

    server.put("a", "2");
    server.settle();
    assert_eq!(server.served(), [waiting]);

    // The same value again is no change, and nobody is woken.
    let again = server.watch("a", server.index_of(b"a"));
    server.put("a", "2");
    server.settle();
    assert_eq!(server.served(), Vec::<Vec<_>>::new());

    // Patience ends: they get what there is.
    server.wait(Duration::from_secs(64));
    assert_eq!(server.served(), [vec![again], vec![other]]);
}

#[test]
fn an_answer_that_they_have_is_not_sent_again() {
    let mut server = Server::leader();
    server.put("a", "1");
    server.settle();
    let index = server.index_of(b"a");
    let id = server.watch("a", index);
    server.put("a", "2");
    server.settle();
    assert_eq!(server.served(), [vec![id]]);

    // The shell found that nothing they see has changed: they wait on, for the next change.
    let index = server.index_of(b"a");
    server.input(Input::Unchanged { ids: vec![id], index });
    assert_eq!(server.served(), Vec::<Vec<_>>::new());
    server.put("a", "3");
    server.settle();
    assert_eq!(server.served(), [vec![id]]);

    // What changed while it was being rendered is not missed.
    server.put("a", "4");
    server.settle();
    server.input(Input::Unchanged { ids: vec![id], index });
    assert_eq!(server.served(), [vec![id]]);
}

#[test]
fn who_has_gone_is_not_answered() {
    let mut server = Server::leader();
    server.put("a", "1");
    server.settle();
    let index = server.index_of(b"a");
    let id = server.watch("a", index);
    server.input(Input::Cancel(id));
    server.put("a", "2");
    server.settle();
    assert_eq!(server.served(), Vec::<Vec<_>>::new());
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let mut server = Server::leader();
    server.put("a", "1");
    server.settle();
    server.input(Input::NoSpace("free some".into()));
    let refused = server.put("a", "2");
    assert_eq!(server.replies[&refused].status, 503);
    let read = server.watch("a", Index(0));
    assert_eq!(server.served(), [vec![read]]);
    server.input(Input::Space);
    let accepted = server.put("a", "3");
    server.settle();
    assert_eq!(server.replies[&accepted].status, 200);
}

#[test]
fn a_change_that_nobody_waits_for_is_shown() {
    let mut server = Server::leader();
    let registered =
        server.register(r#"{"Name": "web", "Check": {"TTL": "10s", "Status": "passing"}}"#);
    server.settle();
    assert_eq!(server.replies[&registered].status, 200);
    let before = server.node.shown();
    server.wait(Duration::from_secs(11));
    server.settle();
    assert_ne!(server.node.shown(), before, "the catalog says critical now");
}

#[test]
fn a_registration_is_acknowledged_when_it_is_durable_and_shown() {
    let mut server = Server::leader();
    let id = server.register(r#"{"Name": "web"}"#);
    assert_eq!(server.replies.get(&id), None, "the catalog does not show it");
    server.settle();
    assert_eq!(server.replies[&id].status, 200);

    // The catalog may take its time ...
    let id = server.register(r#"{"Name": "db"}"#);
    server.wait(Duration::from_secs(1));
    assert_eq!(server.replies[&id].status, 200);
    server.settle();

    // ... the disk may not: what is not on it would not survive.
    server.slow_files = true;
    let id = server.register(r#"{"Name": "cache"}"#);
    server.settle();
    assert_eq!(server.replies.get(&id), None);
    server.wait(Duration::from_secs(1));
    assert_eq!(server.replies[&id].status, 500);
}

#[test]
fn a_write_that_finds_no_quorum_is_told_so() {
    let mut server = Server::leader();
    let id = server.put("a", "1");
    server.wait(Duration::from_secs(31));
    assert_eq!(server.replies[&id].status, 500);
    // What comes of it later is nobody's business any more.
    server.settle();
    assert_eq!(server.node.view().snapshot.kv_get(b"a").1.unwrap().value(), b"1");
}

#[test]
fn who_leaves_while_the_answer_is_rendered_is_forgotten() {
    let mut server = Server::leader();
    server.put("a", "1");
    server.settle();
    let index = server.index_of(b"a");
    let id = server.watch("a", index);
    server.put("a", "2");
    server.settle();
    assert_eq!(server.served(), [vec![id]]);
    server.input(Input::Cancel(id));
    server.input(Input::Unchanged { ids: vec![id], index });
    server.put("a", "3");
    server.settle();
    assert_eq!(server.served(), Vec::<Vec<_>>::new());
}
