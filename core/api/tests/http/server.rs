//! A server without sockets, disks or peers.

use std::collections::VecDeque;

use bytes::Bytes;
use tribune_agent::{Config, Local, Output};
use tribune_api::agent::{self, Member, MemberStatus, NodeFacts};
use tribune_api::coordinate::{Place, Places};
use tribune_api::error::Error;
use tribune_api::event::{Fire, UserEvent};
use tribune_api::http::{Method, Request, Response};
use tribune_api::operator::{self, Health, OperatorCall, SerfStatus, ServerHealth};
use tribune_api::plan::{Consistency, Context, Plan, PoolCall, Read, plan};
use tribune_base::coordinate::Coordinate;
use tribune_base::id::{Index, LogId, NodeId, ServerId, Term, Uuid};
use tribune_base::time::{Duration, Instant, WallTime};
use tribune_raft::TransferError;
use tribune_state::Store;

/// A server alone in its datacenter, without consensus: what is proposed is applied.
pub(crate) struct Server {
    pub(crate) context: Context,
    pub(crate) store: Store,
    local: Local,
    facts: NodeFacts,
    heard: VecDeque<UserEvent>,
    /// How many ids were drawn.
    drawn: u128,
    places: Places,
    now: Instant,
}

impl Default for Server {
    fn default() -> Self {
        let id = NodeId(Uuid(0x1fe6_9e6f_feb1_479b_bd82_90b7_1597_419d));
        let config = Config { persist: false, ..Config::new("n1", id, "127.0.0.1") };
        Self {
            context: Context::new("dc1", "n1"),
            store: Store::default(),
            local: Local::new(config, 7, Instant::START),
            facts: facts(id),
            heard: VecDeque::new(),
            drawn: 0,
            places: places(),
            now: Instant::START,
        }
    }
}

impl Server {
    /// Let time pass.
    pub(crate) fn sleep(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.local.handle_timeout(self.now);
        self.sync();
    }

    /// Do what a request asks for.
    pub(crate) fn answer(&mut self, request: &Request<'_>) -> Response {
        match plan(request, &self.context) {
            Plan::Answer(response) => response,
            Plan::Write(mut write) => {
                write.identify(|| {
                    self.drawn += 1;
                    Uuid::from_entropy(self.drawn << 96)
                });
                let index = self.store.index().next();
                let applied = self.store.apply(index, WallTime(0), &write.command);
                write.answer.response(applied.outcome, write.pretty)
            }
            Plan::Read(read) => self.read(&read),
            Plan::Agent(call) => {
                let (response, _) = agent::perform(call, &mut self.local, &self.facts, self.now);
                self.sync();
                response
            }
            Plan::Status(call) => {
                let datacenters = self.places.datacenter_names(&self.context);
                let peers = ["127.0.0.1:8300".to_owned()];
                call.response(Some("127.0.0.1:8300"), &peers, &datacenters)
            }
            Plan::Operator(call) => operate(&call),
            Plan::Pool(call) => self.tell(call),
            Plan::Remote(there) => Response::text(599, format!("to {}", there.datacenter)),
        }
    }

    /// What is fired is heard at once.
    fn tell(&mut self, call: PoolCall) -> Response {
        match call {
            PoolCall::Fire(Fire { name, payload, filter, pretty }) => {
                let number = self.heard.len() as u128 + 1;
                let id = Uuid::from_entropy(number);
                let mut event = UserEvent { id, name, payload, filter, version: 1, ltime: 0 };
                let response = event.fired(pretty);
                event.ltime = number as u64;
                self.heard.push_back(event);
                response
            }
            PoolCall::Events(list) => {
                let waits = list.index != Index(0);
                list.answer(&self.heard, waits).unwrap_or_else(|| {
                    Response::text(599, format!("waits for {}s", list.wait.as_secs()))
                })
            }
            PoolCall::Join { .. } | PoolCall::ForceLeave { .. } | PoolCall::Keyring(_) => {
                Response::text(599, format!("{call:?}"))
            }
        }
    }

    fn read(&self, read: &Read) -> Response {
        let snapshot = self.store.snapshot();
        let evaluation = read.query.evaluate(&snapshot, &self.places, &self.context, read.pretty);
        assert_eq!(evaluation.index, read.query.index(&snapshot), "{:?}", read.query);
        assert!(Index(0) < evaluation.index, "{:?}", read.query);
        let mut response = Response::empty(evaluation.status);
        response.content = evaluation.content;
        response.body = evaluation.body;
        if read.consistency != Consistency::Default {
            response.headers.push(("(read)", format!("{:?}", read.consistency)));
        }
        response
    }

    /// Take over what the agent wants in the catalog.
    fn sync(&mut self) {
        while let Some(output) = self.local.poll_output() {
            match output {
                Output::Sync { id, commands } => {
                    let mut outcomes = Vec::new();
                    for command in commands {
                        let index = self.store.index().next();
                        outcomes.push(self.store.apply(index, WallTime(0), &command).outcome);
                    }
                    self.local.synced(self.now, id, Ok(outcomes));
                }
                Output::ReadCatalog { id } => {
                    self.local.catalog_read(self.now, id, &Default::default());
                }
                _ => {}
            }
        }
    }
}

/// Agents on a line, a tenth of a second between each and the next.
fn places() -> Places {
    let place = |(number, name): (usize, &str)| {
        let mut place = Place { server: name == "n1", ..Place::default() };
        place.coordinate.vec[0] = number as f64 / 10.0;
        (name.into(), place)
    };
    let nodes = ["n1", "m3", "m1", "stranger"].into_iter().enumerate().map(place).collect();
    Places { nodes, datacenters: Vec::new() }
}

/// A leader and two servers that it has seen in better days.
fn operate(call: &OperatorCall) -> Response {
    let health = health();
    let servers: Vec<_> = health.servers.iter().map(|it| it.server.clone()).collect();
    match call {
        OperatorCall::RaftConfiguration { pretty, .. } => {
            operator::raft_configuration(&servers, *pretty)
        }
        OperatorCall::RemovePeer(name) if servers.iter().any(|it| name.is(it.id, &it.address)) => {
            operator::peer_removed()
        }
        OperatorCall::RemovePeer(name) => name.unknown().into(),
        OperatorCall::TransferLeader { to, pretty } => match to {
            Some(id) if *id == servers[0].id => Error::from(TransferError::NoTarget).into(),
            Some(_) | None => operator::transferred(*pretty),
        },
        OperatorCall::AutopilotHealth { pretty } => operator::health(&health, *pretty),
        OperatorCall::AutopilotState { pretty } => operator::state(&health, *pretty),
        OperatorCall::KvReplication { pretty } => {
            tribune_api::replication::status(&Default::default(), *pretty)
        }
    }
}

fn health() -> Health {
    let server = |id, name: Option<&str>, port| operator::Server {
        id: ServerId(id),
        name: name.map(str::to_owned),
        address: format!("127.0.0.1:{port}"),
        leader: id == 1,
        voter: id != 3,
        last_index: Index(17),
    };
    let leader = ServerHealth {
        server: server(1, Some("n1"), 8300),
        status: SerfStatus::Alive,
        version: "1.2.3".to_owned(),
        last_contact: Some(Duration::ZERO),
        last_log: LogId::new(Term(2), Index(17)),
        healthy: true,
        stable_since: WallTime(1_767_323_045_678),
        meta: [("rack".to_owned(), "r1".to_owned())].into(),
    };
    let lagging = ServerHealth {
        server: server(2, Some("n2"), 9300),
        last_contact: Some(Duration::from_micros(512_345)),
        healthy: false,
        ..leader.clone()
    };
    let lost = ServerHealth {
        server: server(3, None, 7300),
        status: SerfStatus::None,
        version: String::new(),
        last_contact: None,
        last_log: LogId::default(),
        meta: Default::default(),
        ..lagging
    };
    Health { healthy: false, failure_tolerance: 0, servers: vec![leader, lagging, lost] }
}

fn facts(id: NodeId) -> NodeFacts {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let address = [127, 0, 0, 1].into();
    let member = |name: &str, port| Member {
        name: name.into(),
        address,
        port,
        tags: pairs(&[("dc", "dc1"), ("role", "consul"), ("vsn", "2")]),
        status: MemberStatus::Alive,
    };
    NodeFacts {
        coordinate: Coordinate::default(),
        node: "n1".into(),
        id,
        datacenter: "dc1".into(),
        primary_datacenter: "dc1".into(),
        version: "1.2.3".into(),
        revision: "abc".into(),
        build_date: "2026-01-02T03:04:05Z".into(),
        server: true,
        address,
        tagged_addresses: pairs(&[("lan", "127.0.0.1")]),
        meta: pairs(&[("consul-network-segment", "")]),
        members: vec![member("n1", 8301), member("n2", 9301)],
        members_wan: vec![member("n1.dc1", 8302)],
        config: [("DevMode".to_owned(), true.into())].into(),
        stats: [("raft".to_owned(), pairs(&[("term", "2")]))].into(),
    }
}

/// A request without a token.
pub(crate) fn request<'a>(
    method: Method,
    path: &'a str,
    query: &'a str,
    body: String,
) -> Request<'a> {
    let body = Bytes::from(body);
    Request {
        method,
        path,
        query,
        token: None,
        body,
        remote: None,
        forwarded_for: None,
        wants_text: false,
    }
}
