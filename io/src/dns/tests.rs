//! Packets, sockets and their limits. Answers are read back with the library's decoder.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tribune_api::coordinate::Places;
use tribune_api::dns::Config;
use tribune_api::prepared::Asker;
use tribune_base::id::Index;
use tribune_base::time::WallTime;
use tribune_state::{Command, Registration, Service, Snapshot, Store};

use super::{Responder, Server, Source, Transport};
use crate::net::TokioNet;

struct Fixed {
    snapshot: Option<Snapshot>,
    config: Arc<Config>,
}

impl Source for Fixed {
    fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.clone()
    }

    fn places(&self) -> Arc<Places> {
        Arc::default()
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn now_unix(&self) -> u64 {
        1_700_000_000
    }
}

/// A catalog with `count` instances of `web`, one on each node.
fn crowd(count: u8) -> Snapshot {
    let mut store = Store::default();
    for n in 1..=count {
        let service =
            Service { id: "web".into(), name: "web".into(), port: 80, ..Service::default() };
        let meta = [("rack".to_owned(), "r".repeat(usize::from(n)))];
        let registration = Registration {
            node: format!("n{n}"),
            address: Ipv4Addr::new(10, 0, 0, n).to_string(),
            node_meta: Some(meta.into()),
            services: vec![service],
            ..Registration::default()
        };
        store.apply(Index(n.into()), WallTime(0), &Command::Register(registration));
    }
    store.snapshot()
}

fn responder(count: u8, config: Config) -> Responder<Fixed> {
    let fixed = Fixed { snapshot: Some(crowd(count)), config: Arc::new(config) };
    Responder::new(Arc::new(fixed), 7)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn with_edns(mut message: Message, len_max: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(len_max);
    message.set_edns(edns);
    message
}

fn ask_bytes(responder: &mut Responder<Fixed>, message: &Message, transport: Transport) -> Vec<u8> {
    let mut response = Vec::new();
    assert!(responder.respond(
        &message.to_vec().unwrap(),
        transport,
        &Asker::default(),
        None,
        &mut response
    ));
    response
}

fn ask(responder: &mut Responder<Fixed>, message: &Message, transport: Transport) -> Message {
    Message::from_vec(&ask_bytes(responder, message, transport)).unwrap()
}

#[test]
fn a_response_repeats_what_it_answers() {
    let mut responder = responder(1, Config::new("dc1"));
    let request = question("WEB.Service.consul.", RecordType::A);
    let response = ask(&mut responder, &request, Transport::Udp);

    assert_eq!(response.metadata.id, 0x1234);
    assert_eq!(response.metadata.message_type, MessageType::Response);
    assert!(response.metadata.recursion_desired);
    assert!(!response.metadata.recursion_available);
    assert!(response.metadata.authoritative);
    assert_eq!(response.queries, request.queries);
    assert_eq!(response.answers.len(), 1);
    // Letter case and all.
    assert_eq!(response.answers[0].name.to_ascii(), "WEB.Service.consul.");
    assert_eq!(response.answers[0].data, RData::A(Ipv4Addr::new(10, 0, 0, 1).into()));
}

#[test]
fn rows_of_every_kind_are_read_as_they_were_meant() {
    for compress in [true, false] {
        let config = Config { disable_compression: !compress, ..Config::new("dc1") };
        let mut responder = responder(2, config);
        let mut text = |name: &str, kind| {
            let response = ask(&mut responder, &question(name, kind), Transport::Tcp);
            let rows = response.all_sections().map(ToString::to_string);
            rows.collect::<BTreeSet<_>>()
        };
        let set = |rows: &[&str]| rows.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<_>>();

        let want = set(&[
            "web.service.consul. 0 IN SRV 1 1 80 n1.node.dc1.consul.",
            "web.service.consul. 0 IN SRV 1 1 80 n2.node.dc1.consul.",
            "n1.node.dc1.consul. 0 IN A 10.0.0.1",
            "n2.node.dc1.consul. 0 IN A 10.0.0.2",
            "n1.node.dc1.consul. 0 IN TXT rack=r",
            "n2.node.dc1.consul. 0 IN TXT rack=rr",
        ]);
        assert_eq!(text("web.service.consul.", RecordType::SRV), want);
        let soa = "consul. 1 IN SOA ns.consul. hostmaster.consul. 1700000000 3600 600 86400 1";
        assert_eq!(text("web.service.consul.", RecordType::TXT), set(&[soa]));
        let ptr = "1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul.";
        assert_eq!(text("1.0.0.10.in-addr.arpa.", RecordType::PTR), set(&[ptr]));
        let six = "20010db8000000000000000000000005.addr.consul. 0 IN AAAA 2001:db8::5";
        let name = "20010db8000000000000000000000005.addr.consul.";
        assert_eq!(text(name, RecordType::AAAA), set(&[six]));
    }
}

#[test]
fn long_answers_are_cut_to_what_the_client_can_take() {
    // Transport, EDNS size, type, then: answers, and whether some are missing.
    let (udp, tcp) = (Transport::Udp, Transport::Tcp);
    let cases = [
        (udp, None, RecordType::A, 3, true),
        (udp, Some(512), RecordType::A, 3, true),
        // Too small a size means the smallest.
        (udp, Some(100), RecordType::A, 3, true),
        (udp, Some(1_232), RecordType::A, 74, true),
        (udp, Some(4_096), RecordType::A, 200, false),
        (udp, Some(u16::MAX), RecordType::A, 200, false),
        (udp, None, RecordType::SRV, 3, true),
        (tcp, None, RecordType::A, 200, false),
        (tcp, Some(1_232), RecordType::SRV, 200, false),
    ];
    let mut responder = responder(200, Config::new("dc1"));
    for (transport, edns, kind, count, truncated) in cases {
        let mut request = question("web.service.consul.", kind);
        if let Some(len_max) = edns {
            request = with_edns(request, len_max);
        }
        let bytes = ask_bytes(&mut responder, &request, transport);
        let response = Message::from_vec(&bytes).unwrap();
        let case = (transport, edns, kind);
        assert_eq!(response.answers.len(), count, "{case:?}");
        assert_eq!(response.metadata.truncation, truncated, "{case:?}");
        assert_eq!(response.edns.is_some(), edns.is_some(), "{case:?}");
        let len_max = match transport {
            Transport::Udp => edns.unwrap_or(0).clamp(512, 4_096),
            Transport::Tcp => u16::MAX,
        };
        assert!(bytes.len() <= len_max.into(), "{case:?} {}", bytes.len());
    }
}

/// Of each instance there is the address, and only then what is nice to know.
#[test]
fn additional_rows_go_first_but_for_addresses() {
    let mut responder = responder(20, Config::new("dc1"));
    let request = question("web.service.consul.", RecordType::SRV);
    let mut ask = |len_max: u16| {
        let response = ask(&mut responder, &with_edns(request.clone(), len_max), Transport::Udp);
        let (hosts, texts): (Vec<_>, Vec<_>) =
            response.additionals.iter().partition(|it| matches!(it.data, RData::A(_)));
        (response.answers.len(), hosts.len(), texts.len(), response.metadata.truncation)
    };
    assert_eq!(ask(4_096), (20, 20, 20, false));
    let (answers, hosts, texts, truncated) = ask(1_400);
    assert_eq!((answers, hosts, truncated), (20, 20, false));
    assert!(texts < 20);
    let (answers, hosts, texts, truncated) = ask(600);
    assert!((5..20).contains(&answers), "{answers}");
    assert_eq!((hosts, texts, truncated), (answers, 0, true));
}

#[test]
fn truncation_can_be_kept_secret_unless_nothing_is_left() {
    let quiet = Config { enable_truncate: false, ..Config::new("dc1") };
    let mut quiet = responder(10, quiet);
    let request = question("web.service.consul.", RecordType::A);
    let response = ask(&mut quiet, &request, Transport::Udp);
    assert_eq!((response.answers.len(), response.metadata.truncation), (3, false));
    // The metadata of this node is longer than a datagram.
    let mut store = Store::default();
    let registration = Registration {
        node: "big".into(),
        address: "10.0.0.1".into(),
        node_meta: Some([("k".to_owned(), "v".repeat(600))].into()),
        ..Registration::default()
    };
    store.apply(Index(1), WallTime(0), &Command::Register(registration));
    let config = Config { enable_truncate: false, ..Config::new("dc1") };
    let fixed = Fixed { snapshot: Some(store.snapshot()), config: Arc::new(config) };
    let mut long = Responder::new(Arc::new(fixed), 1);
    let request = question("big.node.consul.", RecordType::TXT);
    let response = ask(&mut long, &request, Transport::Udp);
    assert_eq!((response.answers.len(), response.metadata.truncation), (0, true));
    let response = ask(&mut long, &request, Transport::Tcp);
    assert_eq!(response.answers.len(), 1);
}

#[test]
fn edns_is_answered_in_kind() {
    let mut responder = responder(1, Config::new("dc1"));
    let mut request = with_edns(question("web.service.consul.", RecordType::A), 1_232);
    let edns = request.edns.as_mut().unwrap();
    edns.set_dnssec_ok(true);
    let subnet = ClientSubnet::new(Ipv4Addr::new(192, 0, 2, 0).into(), 24, 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    let response = ask(&mut responder, &request, Transport::Udp);
    let edns = response.edns.as_ref().unwrap();
    assert_eq!((edns.version(), edns.max_payload(), edns.flags().dnssec_ok), (0, 1_232, true));
    assert_eq!(edns.option(EdnsCode::Subnet), Some(&EdnsOption::Subnet(subnet)));
    assert_eq!(response.answers.len(), 1);

    request.edns.as_mut().unwrap().set_version(1);
    let response = ask(&mut responder, &request, Transport::Udp);
    assert_eq!(response.edns.unwrap().rcode_high(), 1);
    assert!(response.answers.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused_with_the_right_code() {
    let mut responder = responder(1, Config::new("dc1"));
    let web = || question("web.service.consul.", RecordType::A);
    let mut none = web();
    none.queries.clear();
    let mut two = web();
    two.add_query(web().queries[0].clone());
    let mut update = web();
    update.metadata.op_code = OpCode::Status;
    let mut chaos = web();
    chaos.queries[0].set_query_class(DNSClass::CH);
    let cases = [
        ("no question", none, ResponseCode::FormErr),
        ("two questions", two, ResponseCode::FormErr),
        ("not a query", update, ResponseCode::NotImp),
        ("another class", chaos, ResponseCode::Refused),
        ("elsewhere", question("example.com.", RecordType::A), ResponseCode::Refused),
        ("a whole zone", question("consul.", RecordType::AXFR), ResponseCode::NotImp),
        ("no such name", question("no.service.consul.", RecordType::A), ResponseCode::NXDomain),
    ];
    for (case, request, want) in cases {
        let response = ask(&mut responder, &request, Transport::Udp);
        assert_eq!(response.metadata.response_code, want, "{case}");
        assert_eq!(response.metadata.id, 0x1234, "{case}");
    }
    let mut response = Vec::new();
    let bytes = web().to_vec().unwrap();
    assert!(responder.respond(
        &bytes[..14],
        Transport::Udp,
        &Asker::default(),
        None,
        &mut response
    ));
    let response = Message::from_vec(&response).unwrap();
    assert_eq!(response.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn responses_are_not_answered_and_neither_are_scraps() {
    let mut responder = responder(1, Config::new("dc1"));
    let mut reply = question("web.service.consul.", RecordType::A);
    reply.metadata.message_type = MessageType::Response;
    let bytes = reply.to_vec().unwrap();
    let mut response = Vec::new();
    assert!(!responder.respond(&bytes, Transport::Udp, &Asker::default(), None, &mut response));
    assert!(!responder.respond(
        &bytes[..11],
        Transport::Udp,
        &Asker::default(),
        None,
        &mut response
    ));
    assert!(response.is_empty());
}

#[test]
fn without_a_leader_the_server_fails_and_says_so() {
    let fixed = Fixed { snapshot: None, config: Arc::new(Config::new("dc1")) };
    let mut responder = Responder::new(Arc::new(fixed), 1);
    let request = question("web.service.consul.", RecordType::A);
    let response = ask(&mut responder, &request, Transport::Udp);
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
    assert!(response.metadata.authoritative);
}

#[test]
fn a_dot_within_a_label_does_not_end_it() {
    let mut responder = responder(1, Config::new("dc1"));
    let name = Name::from_labels(["web.service".as_bytes(), b"consul"]).unwrap();
    let mut request = question("x.", RecordType::A);
    request.queries[0].set_name(name.clone());
    let response = ask(&mut responder, &request, Transport::Udp);
    assert_eq!(response.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(
        response.queries[0].name().iter().collect::<Vec<_>>(),
        name.iter().collect::<Vec<_>>()
    );
}

/// Packets that are nearly right: a good one with a few bytes changed and its end cut off.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let names =
        ["web.service.consul.", "n1.node.consul.", "1.0.0.10.in-addr.arpa.", "consul.", "."];
    let kinds = [1u16, 2, 5, 6, 12, 16, 28, 33, 251, 252, 255, 999];
    let good = (0..names.len(), 0..kinds.len(), any::<Option<u16>>()).prop_map(
        move |(name, kind, edns)| {
            let message = question(names[name], kinds[kind].into());
            let message = match edns {
                Some(len_max) => with_edns(message, len_max),
                None => message,
            };
            message.to_vec().unwrap()
        },
    );
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let near = (good, changes, 0..20_usize).prop_map(|(mut packet, changes, cut)| {
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        packet.truncate(packet.len() - cut.saturating_sub(12));
        packet
    });
    prop_oneof![near, prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #[test]
    fn any_packet_is_answered_within_its_limits_or_not_at_all(packet in packets()) {
        static CROWD: LazyLock<Snapshot> = LazyLock::new(|| crowd(60));
        let config = Arc::new(Config::new("dc1"));
        let fixed = Fixed { snapshot: Some(CROWD.clone()), config };
        let mut responder = Responder::new(Arc::new(fixed), 7);
        for (transport, len_max) in [(Transport::Udp, 4_096), (Transport::Tcp, 65_535)] {
            let mut response = vec![0xff; 2];
            let answered = responder.respond(&packet, transport, &Asker::default(), None, &mut response);
            let response = &response[2..];
            prop_assert_eq!(answered, !response.is_empty());
            prop_assert!(response.len() <= len_max);
            if answered {
                let message = Message::from_vec(response).unwrap();
                prop_assert_eq!(&response[..2], &packet[..2]);
                prop_assert_eq!(message.metadata.message_type, MessageType::Response);
                let spoke_edns = message.edns.is_some();
                prop_assert!(spoke_edns || transport == Transport::Tcp || response.len() <= 512);
            }
        }
    }
}

async fn start() -> Server {
    let fixed = Fixed { snapshot: Some(crowd(20)), config: Arc::new(Config::new("dc1")) };
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    Server::start(&TokioNet, addr, 2, Arc::new(fixed), 7).await.unwrap()
}

#[tokio::test]
async fn questions_are_answered_over_udp() {
    let server = start().await;
    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server.local_addr()).await.unwrap();
    let request = question("web.service.consul.", RecordType::A).to_vec().unwrap();
    let mut buf = [0; 1_024];
    for _ in 0..100 {
        client.send(&request).await.unwrap();
        let len = client.recv(&mut buf).await.unwrap();
        let response = Message::from_vec(&buf[..len]).unwrap();
        assert_eq!((response.answers.len(), response.metadata.truncation), (3, true));
    }
}

#[tokio::test]
async fn questions_are_answered_over_tcp_in_their_order() {
    let server = start().await;
    let mut client = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    let mut sent = Vec::new();
    for id in 0..200 {
        let mut request = question("web.service.consul.", RecordType::SRV);
        request.metadata.id = id;
        let bytes = request.to_vec().unwrap();
        sent.extend_from_slice(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
        sent.extend_from_slice(&bytes);
    }
    // In pieces that have nothing to do with where a question ends.
    let (mut reader, mut writer) = client.split();
    let write = async {
        for piece in sent.chunks(33) {
            writer.write_all(piece).await.unwrap();
        }
    };
    let read = async {
        for id in 0..200 {
            let len = reader.read_u16().await.unwrap();
            let mut bytes = vec![0; len.into()];
            reader.read_exact(&mut bytes).await.unwrap();
            let response = Message::from_vec(&bytes).unwrap();
            assert_eq!((response.metadata.id, response.answers.len()), (id, 20));
        }
    };
    tokio::join!(write, read);
}

#[tokio::test]
async fn a_client_that_claims_too_much_is_cut_off() {
    let server = start().await;
    let mut client = tokio::net::TcpStream::connect(server.local_addr()).await.unwrap();
    client.write_all(&[0xff, 0xff, 1, 2, 3]).await.unwrap();
    assert!(matches!(client.read(&mut [0; 8]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_client_that_falls_silent_is_cut_off() {
    const IDLE_MAX: Duration = Duration::from_millis(10);
    let (mut client, server) = tokio::io::duplex(64);
    let connection = super::tcp::connection(
        server,
        responder(1, Config::new("dc1")),
        [127, 0, 0, 1].into(),
        IDLE_MAX,
    );
    client.write_all(&[0]).await.unwrap();
    assert_eq!(connection.await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
}
