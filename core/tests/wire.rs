//! What travels between servers, byte for byte: a release must understand the one before it.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use bytes::Bytes;
use proptest::prelude::*;
use tribune_api::http::{Content, Effective, Method, OwnedRequest, ReadMeta, Response};
use tribune_api::prepared::Asker;
use tribune_base::codec::{self, Writer};
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::time::{Duration, Instant};
use tribune_core::Area;
use tribune_core::wire::{DecodeError, Founder, Hello, Proposal, Proposed, Rejected, Wire};
use tribune_raft::{Appended, Configuration, Entry, Message, Payload, Round, SnapshotMeta};
use tribune_state::{Outcome, Refusal, Registration};

/// One message of each kind and its bytes. If this fails, so does a cluster that is upgraded one
/// server at a time: new fields may be added, what is here must stay.
#[test]
fn bytes_of_each_kind() {
    for (name, message, want) in golden() {
        let bytes = message.encode();
        assert_eq!(hex(&bytes), want, "{name}");
        assert_eq!(Wire::decode(bytes), Ok(message), "{name}");
    }
}

#[test]
fn a_later_release_may_say_more() {
    let mut bytes = Wire::Welcome.encode().to_vec();
    let mut more = Writer::new();
    more.str(99, "news");
    bytes.extend(more.finish());
    assert_eq!(Wire::decode(bytes.into()), Ok(Wire::Welcome));

    let mut writer = Writer::new();
    writer.u64(1, 1_000);
    assert_eq!(Wire::decode(writer.finish()), Err(DecodeError::Unknown { kind: 1_000 }));
    let nothing = codec::DecodeError::Missing { tag: 1 };
    assert_eq!(Wire::decode(Bytes::new()), Err(DecodeError::Malformed(nothing)));
}

/// Whoever does not know why a proposal was rejected does not know whether it was proposed.
#[test]
fn an_unknown_reason_promises_nothing() {
    let mut writer = Writer::new();
    writer.u64(1, 8);
    writer.nested(2, |it| {
        it.nested(1, |it| {
            it.u64(1, 7);
            it.u64(3, 99);
        });
    });
    let proposed = Proposed { serial: 7, result: Err(Rejected::LeadershipLost) };
    assert_eq!(Wire::decode(writer.finish()), Ok(Wire::Proposed(vec![proposed])));
}

/// That others are to answer is said by saying nothing, and not by an answer without a status.
#[test]
fn an_empty_answer_is_not_none() {
    for kind in [10, 18] {
        let mut writer = Writer::new();
        writer.u64(1, kind);
        writer.nested(2, |it| {
            it.u64(1, 5);
            it.nested(2, |_| {});
        });
        let incomplete = codec::DecodeError::Missing { tag: 1 };
        assert_eq!(Wire::decode(writer.finish()), Err(DecodeError::Malformed(incomplete)));
    }
}

proptest! {
    #[test]
    fn bytes_are_the_message(message in message()) {
        prop_assert_eq!(Wire::decode(message.encode()), Ok(message));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
        _ = Wire::decode(bytes.into());
    }

    #[test]
    fn a_damaged_message_is_a_message_or_an_error(
        message in message(), at: prop::sample::Index, byte: u8, cut: bool,
    ) {
        let mut bytes = message.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(message) = Wire::decode(bytes.into()) {
            prop_assert_eq!(Wire::decode(message.encode()), Ok(message));
        }
    }
}

// The strategies. Consensus has its own in its own crate; here it is one message of many.

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9.:]{0,9}"
}

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn founder() -> impl Strategy<Value = Founder> {
    (any::<u128>(), name()).prop_map(|(id, address)| Founder { id: ServerId(id), address })
}

fn founders() -> impl Strategy<Value = Vec<Founder>> {
    prop::collection::vec(founder(), 0..4)
}

fn hello() -> impl Strategy<Value = Wire> {
    let names = (name(), name(), name(), prop::collection::vec(name(), 0..4));
    let flags = any::<(bool, bool, bool)>();
    (founder(), names, any::<(u64, u64)>(), any::<u64>(), flags, any::<u16>()).prop_map(
        |(
            server,
            (name, datacenter, version, known),
            protocol,
            expect,
            (fresh, leaving, wants_answer),
            lan_port,
        )| {
            Wire::Hello(Box::new(Hello {
                server,
                name,
                datacenter,
                version,
                protocol,
                expect,
                fresh,
                leaving,
                wants_answer,
                lan_port,
                known,
            }))
        },
    )
}

fn result() -> impl Strategy<Value = Result<(Index, Outcome), Rejected>> {
    prop_oneof![
        any::<(u64, bool)>().prop_map(|(at, it)| Ok((Index(at), Outcome::Done(it)))),
        name().prop_map(|node| Ok((Index(1), Outcome::Refused(Refusal::MissingService { node })))),
        Just(Ok((Index(2), Outcome::Batch(vec![Outcome::Ignored, Outcome::Done(true)])))),
        Just(Err(Rejected::NotLeader)),
        Just(Err(Rejected::Overloaded)),
        Just(Err(Rejected::DiskFull)),
        Just(Err(Rejected::LeadershipLost)),
        Just(Err(Rejected::Unknown)),
    ]
}

fn from_afar() -> impl Strategy<Value = Wire> {
    let forward = (any::<u64>(), name(), name(), any::<u32>(), data());
    let forward = forward.prop_map(|(serial, from, datacenter, millis, body)| {
        let (method, path, query) = (Method::Put, from.clone(), datacenter.clone());
        let asker = Asker::default();
        let request = OwnedRequest { method, path, query, token: None, body, asker };
        let patience = Duration::from_millis(millis.into());
        Wire::Forward { serial, from, datacenter, patience, request }
    });
    let forwarded = (any::<u64>(), prop::option::of(data())).prop_map(|(serial, body)| {
        let response = body.map(|it| Box::new(Response::json(200, it)));
        Wire::Forwarded { serial, response }
    });
    let retract = any::<u64>().prop_map(|serial| Wire::Retract { serial });
    prop_oneof![forward, forwarded, retract]
}

fn message() -> impl Strategy<Value = Wire> {
    let proposal =
        (any::<u64>(), data()).prop_map(|(serial, command)| Proposal { serial, command });
    let proposed =
        (any::<u64>(), result()).prop_map(|(serial, result)| Proposed { serial, result });
    let ask = (any::<u64>(), name(), name(), prop::option::of(name()), data());
    let ask = ask.prop_map(|(serial, path, query, token, body)| {
        let method = Method::Put;
        let asker = Asker {
            agent: path.clone(),
            ip: (serial % 3 == 0).then(|| [10, 0, 0, 1].into()),
            ..Asker::default()
        };
        let request = OwnedRequest { method, path, query, token, body, asker };
        Wire::Ask { serial, request, last: serial % 2 == 0 }
    });
    let rows = (any::<u64>(), prop::option::of(name())).prop_map(|(serial, node)| {
        let rows = node.map(|node| Box::new(Registration { node, ..Registration::default() }));
        Wire::Rows { serial, rows }
    });
    let area = || prop_oneof![Just(Area::Lan), Just(Area::Wan)];
    let exchange = (area(), any::<u64>(), name(), data());
    let exchange = exchange.prop_map(|(area, serial, from, request)| Wire::Exchange {
        area,
        serial,
        from,
        request,
    });
    let exchanged = (area(), any::<u64>(), data());
    let exchanged =
        exchanged.prop_map(|(area, serial, answer)| Wire::Exchanged { area, serial, answer });
    let answer = (any::<u64>(), 100..1_000_u16, data()).prop_map(|(serial, status, body)| {
        Wire::Answer { serial, response: Some(Box::new(Response::json(status, body))) }
    });
    let snapshot = (0..1_u64 << 40, data(), any::<bool>()).prop_map(|(at, data, done)| {
        let meta = SnapshotMeta::default();
        Wire::Raft(Message::InstallSnapshot { term: Term(at), meta, offset: at, data, done })
    });
    prop_oneof![
        hello(),
        founders().prop_map(|servers| Wire::Gather { servers }),
        founders().prop_map(|servers| Wire::Gathered { servers }),
        founders().prop_map(|servers| Wire::Found { servers }),
        Just(Wire::Welcome),
        prop::collection::vec(proposal, 0..4).prop_map(Wire::Propose),
        prop::collection::vec(proposed, 0..4).prop_map(Wire::Proposed),
        ask,
        answer,
        snapshot,
        any::<u64>().prop_map(|serial| Wire::Forget { serial }),
        name().prop_map(|address| Wire::Here { address }),
        (any::<u64>(), name()).prop_map(|(serial, node)| Wire::ReadRows { serial, node }),
        rows,
        from_afar(),
        exchange,
        exchanged,
    ]
}

// The golden messages.

fn golden() -> Vec<(&'static str, Wire, &'static str)> {
    let servers = || {
        let founder = |id, address: &str| Founder { id: ServerId(id), address: address.to_owned() };
        vec![founder(1, "10.0.0.1:8300"), founder(2, "n2:8300")]
    };
    let hello = Hello {
        server: servers().remove(0),
        name: "n1".into(),
        datacenter: "dc1".into(),
        version: "1.2.3".into(),
        protocol: (1, 2),
        expect: 3,
        fresh: true,
        leaving: true,
        wants_answer: true,
        lan_port: 8_301,
        known: vec!["n2:8300".into()],
    };
    let proposals = vec![Proposal { serial: 7, command: Bytes::from_static(b"command") }];
    let refused = Refusal::MissingService { node: "n1".into() };
    let results = vec![
        Proposed { serial: 7, result: Ok((Index(300), Outcome::Done(true))) },
        Proposed { serial: 8, result: Ok((Index(301), Outcome::Refused(refused))) },
        Proposed { serial: 9, result: Err(Rejected::NotLeader) },
    ];
    let request = OwnedRequest {
        method: Method::Get,
        path: "/v1/kv/a".into(),
        query: "consistent".into(),
        token: Some("secret".into()),
        body: Bytes::from_static(b"body"),
        asker: Asker { agent: "c1".into(), ip: Some([10, 0, 0, 9].into()), ..Asker::default() },
    };
    let response = Response {
        status: 404,
        content: Content::Text,
        meta: Some(ReadMeta {
            index: Index(300),
            known_leader: true,
            last_contact: Duration::from_millis(5),
            effective: Some(Effective::Stale),
        }),
        headers: vec![("Location", "/ui/".into())],
        body: Bytes::from_static(b"no"),
    };
    let rows = Registration { node: "c1".into(), address: "10.0.0.9".into(), ..Default::default() };
    let mut list = vec![
        ("hello", Wire::Hello(Box::new(hello)), HELLO),
        ("gather", Wire::Gather { servers: servers() }, GATHER),
        ("gathered", Wire::Gathered { servers: servers() }, GATHERED),
        ("found", Wire::Found { servers: servers() }, FOUND),
        ("welcome", Wire::Welcome, WELCOME),
        ("propose", Wire::Propose(proposals), PROPOSE),
        ("proposed", Wire::Proposed(results), PROPOSED),
        ("ask", Wire::Ask { serial: 5, request: request.clone(), last: false }, ASK),
        ("the last ask", Wire::Ask { serial: 5, request, last: true }, LAST_ASK),
        ("answer", Wire::Answer { serial: 5, response: Some(Box::new(response)) }, ANSWER),
        ("no answer", Wire::Answer { serial: 5, response: None }, NO_ANSWER),
        ("forget", Wire::Forget { serial: 5 }, FORGET),
        ("here", Wire::Here { address: "10.0.0.9:8301".into() }, HERE),
        ("read rows", Wire::ReadRows { serial: 5, node: "c1".into() }, READ_ROWS),
        ("rows", Wire::Rows { serial: 5, rows: Some(Box::new(rows)) }, ROWS),
        ("no rows", Wire::Rows { serial: 5, rows: None }, NO_ROWS),
    ];
    list.extend(pools());
    list.extend(afar());
    list.extend(consensus().map(|(name, message, want)| (name, Wire::Raft(message), want)));
    list
}

fn pools() -> [(&'static str, Wire, &'static str); 4] {
    let exchange = |area| Wire::Exchange {
        area,
        serial: 5,
        from: "10.0.0.9:8301".into(),
        request: Bytes::from_static(b"a"),
    };
    let exchanged = |area| Wire::Exchanged { area, serial: 5, answer: Bytes::from_static(b"b") };
    [
        ("exchange", exchange(Area::Lan), EXCHANGE),
        ("exchanged", exchanged(Area::Lan), EXCHANGED),
        ("exchange of the other pool", exchange(Area::Wan), WAN_EXCHANGE),
        ("exchanged of the other pool", exchanged(Area::Wan), WAN_EXCHANGED),
    ]
}

fn afar() -> [(&'static str, Wire, &'static str); 4] {
    let request = OwnedRequest {
        method: Method::Get,
        path: "/v1/kv/a".into(),
        query: "dc=dc2".into(),
        token: None,
        body: Bytes::new(),
        asker: Asker::default(),
    };
    let forward = Wire::Forward {
        serial: 5,
        from: "10.0.0.9:8300".into(),
        datacenter: "dc2".into(),
        patience: Duration::from_millis(7_000),
        request,
    };
    let response = Some(Box::new(Response::empty(404)));
    [
        ("forward", forward, FORWARD),
        ("forwarded", Wire::Forwarded { serial: 5, response }, FORWARDED),
        ("not forwarded", Wire::Forwarded { serial: 5, response: None }, NOT_FORWARDED),
        ("retract", Wire::Retract { serial: 5 }, RETRACT),
    ]
}

fn consensus() -> impl Iterator<Item = (&'static str, Message, &'static str)> {
    let (term, index) = (Term(3), Index(300));
    let last_log = LogId::new(Term(2), index);
    let round = Round { serial: 9, sent: Instant::from_start(Duration::from_nanos(1_000)) };
    let configuration = Configuration::of_voters([(ServerId(1), "n1:8300".to_owned())]);
    let entry = |at, payload| Entry { id: LogId::new(Term(3), Index(at)), payload };
    let entries = vec![
        entry(301, Payload::Empty),
        entry(302, Payload::Command(Bytes::from_static(b"x"))),
        entry(303, Payload::Configuration(configuration.clone())),
    ];
    let append = Message::AppendEntries { term, prev_log: last_log, entries, leader_commit: index };
    let conflict = Appended::Conflict { prev: index, hint: last_log };
    let meta = SnapshotMeta { last: last_log, configuration };
    let data = Bytes::from_static(b"piece");
    let install = Message::InstallSnapshot { term, meta, offset: 7, data, done: true };
    [
        ("pre-vote", Message::RequestPreVote { term, last_log }, PRE_VOTE),
        (
            "pre-voted",
            Message::RequestPreVoteResponse { term, asked: Term(4), granted: true },
            PRE_VOTED,
        ),
        ("vote", Message::RequestVote { term, last_log, transfer: Some(1) }, VOTE),
        ("voted", Message::RequestVoteResponse { term, granted: true }, VOTED),
        ("append", append, APPEND),
        (
            "appended",
            Message::AppendEntriesResponse { term, result: Appended::Matched(index) },
            APPENDED,
        ),
        ("conflict", Message::AppendEntriesResponse { term, result: conflict }, CONFLICT),
        (
            "heartbeat",
            Message::Heartbeat { term, round, commit: index, horizon: Index(301), abandoned: 1 },
            HEARTBEAT,
        ),
        (
            "heartbeat answered",
            Message::HeartbeatResponse { term, round, matched: index, agreed: Index(2) },
            HEARTBEAT_ANSWERED,
        ),
        ("timeout now", Message::TimeoutNow { term, abandoned: 1 }, TIMEOUT_NOW),
        ("read index", Message::ReadIndex { term, batch: 4, leased: false }, READ_INDEX),
        (
            "read index known",
            Message::ReadIndexResponse { term, batch: 4, index: Some(index) },
            READ_INDEX_KNOWN,
        ),
        ("install", install, INSTALL),
        (
            "installed",
            Message::InstallSnapshotResponse { term, last: last_log, offset: 12 },
            INSTALLED,
        ),
    ]
    .into_iter()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const HELLO: &str = "0802124b0a210a1000000000000000000000000000000001120d31302e302e302e313a3833303012026e311a036463312205312e322e332801300238034001480152076e323a38333030580160ed40";
const GATHER: &str = "080312400a210a1000000000000000000000000000000001120d31302e302e302e313a383330300a1b0a\
    100000000000000000000000000000000212076e323a38333030";
const GATHERED: &str = "080412400a210a1000000000000000000000000000000001120d31302e302e302e313a383330300a1b0a\
    100000000000000000000000000000000212076e323a38333030";
const FOUND: &str = "080512400a210a1000000000000000000000000000000001120d31302e302e302e313a383330300a1b0a\
    100000000000000000000000000000000212076e323a38333030";
const WELCOME: &str = "0806";
const PROPOSE: &str = "0807120d0a0b08071207636f6d6d616e64";
const PROPOSED: &str =
    "080812260a0b080712040801100120ac020a110808120a08021a06080112026e3120ad020a0408091801";
const ASK: &str = "0809123808051234080112082f76312f6b762f611a0a636f6e73697374656e7422067365637265742a04\
    626f6479320263313a0831302e302e302e39";
const ANSWER: &str = "080a122d0805122908940310031a0c08ac02100118c096b102200322100a084c6f636174696f6e12042f\
    75692f2a026e6f";
const NO_ANSWER: &str = "080a12020805";
const PRE_VOTE: &str = "0801120908011003180220ac02";
const PRE_VOTED: &str = "080112080802100318043001";
const VOTE: &str = "0801120b08031003180220ac023802";
const VOTED: &str = "08011206080410033001";
const APPEND: &str = "0801124308051003180220ac0228ac025205080310ad025208080310ae021a01785224080310af02221d\
    0a1b0a100000000000000000000000000000000112076e313a38333030";
const APPENDED: &str = "080112070806100328ac02";
const CONFLICT: &str = "0801120c0807100328ac02180220ac02";
const HEARTBEAT: &str = "0801121108081003380940e80728ac0278ad024801";
const HEARTBEAT_ANSWERED: &str = "0801120e08091003380940e80728ac027002";
const TIMEOUT_NOW: &str = "08011206080a10034801";
const READ_INDEX: &str = "08011206080b10033804";
const READ_INDEX_KNOWN: &str = "0801120b080c10033804300128ac02";
const INSTALL: &str = "08011233080d1003180220ac025a1d0a1b0a100000000000000000000000000000000112076e313a3833\
    303060076a0570696563653001";
const INSTALLED: &str = "0801120b080e1003180220ac02600c";
const LAST_ASK: &str = "0809123a08051234080112082f76312f6b762f611a0a636f6e73697374656e7422067365637265742a04\
    626f6479320263313a0831302e302e302e391801";
const FORGET: &str = "080b12020805";
const READ_ROWS: &str = "080c120608051a026331";
const ROWS: &str = "080d12160805121208101a0e120263311a0831302e302e302e39";
const NO_ROWS: &str = "080d12020805";
const EXCHANGE: &str = "080e121408051201611a0d31302e302e302e393a38333031";
const EXCHANGED: &str = "080f12050805120162";
const WAN_EXCHANGE: &str = "080e121608051201611a0d31302e302e302e393a383330312001";
const WAN_EXCHANGED: &str = "080f120708051201622001";
const FORWARD: &str = "0811122f08051214080112082f76312f6b762f611a0664633d6463321a0d31302e302e302e393a38333030220364633228d836";
const FORWARDED: &str = "08121209080512050894031001";
const NOT_FORWARDED: &str = "081212020805";
const RETRACT: &str = "081312020805";
const HERE: &str = "0810120f1a0d31302e302e302e393a38333031";
