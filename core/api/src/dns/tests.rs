//! The zone, as its clients see it: a catalog, questions, and what is said to them.
//!
//! The table was recorded from the original. Where an answer is ours instead, it says so.

mod query;

use std::collections::{BTreeMap, BTreeSet};

use tribune_base::id::Index;
use tribune_base::rng::Rng;
use tribune_base::time::WallTime;
use tribune_state::{
    Check, Command, Registration, Service, ServiceAddress, Snapshot, Status, Store, Weights,
};

use super::RecordKind::{A, Aaaa, Any, Axfr, Cname, Ns, Other, Ptr, Soa, Srv, Txt};
use super::*;
use crate::coordinate::Places;
use crate::prepared::Asker;

/// A node with one service on it.
fn on(node: &str, address: &str, service: &str, port: i64) -> Registration {
    let service = Service {
        id: format!("{service}-{port}"),
        name: service.into(),
        port,
        ..Service::default()
    };
    Registration {
        node: node.into(),
        address: address.into(),
        services: vec![service],
        ..Registration::default()
    }
}

fn at(mut registration: Registration, address: &str) -> Registration {
    registration.services[0].address = address.into();
    registration
}

fn tagged(mut registration: Registration, tags: &[&str]) -> Registration {
    registration.services[0].tags = tags.iter().map(|it| (*it).to_owned()).collect();
    registration
}

/// With a check of the service, or of the node if the service's name is empty.
fn checked(mut registration: Registration, of: &str, status: Status) -> Registration {
    let service_id = match of {
        "" => String::new(),
        _ => registration.services[0].id.clone(),
    };
    registration.checks.push(Check { id: "c".into(), status, service_id, ..Check::default() });
    registration
}

fn with_meta(mut registration: Registration) -> Registration {
    let meta = [("rfc1035-x", "y"), ("k", "v")].map(|(key, value)| (key.into(), value.into()));
    registration.node_meta = Some(BTreeMap::from(meta));
    registration
}

fn weighted(mut registration: Registration, passing: i64, warning: i64) -> Registration {
    registration.services[0].weights = Weights { passing, warning };
    registration
}

fn both_families() -> Registration {
    let mut registration = on("dn7", "10.1.1.7", "dual", 98);
    let node = [("lan_ipv4", "10.7.7.7"), ("lan_ipv6", "2001:db8::7")];
    let node = node.map(|(tag, address)| (tag.into(), address.into()));
    registration.tagged_addresses = Some(BTreeMap::from(node));
    let six = ServiceAddress { address: "2001:db8::77".into(), port: 99 };
    registration.services[0].tagged_addresses = Some(BTreeMap::from([("lan_ipv6".into(), six)]));
    registration
}

fn catalog() -> Vec<Registration> {
    let dn1 = |service, port| with_meta(on("dn1", "10.1.1.1", service, port));
    vec![
        tagged(at(dn1("dsvc", 81), "10.2.2.2"), &["v1.2", "prim"]),
        tagged(on("dn2", "2001:db8::5", "dsvc", 82), &["sec"]),
        on("dn3", "host.example.com", "csvc", 83),
        checked(on("dn4", "10.1.1.4", "bad", 84), "bad", Status::Critical),
        checked(weighted(on("dn5", "10.1.1.5", "warn", 85), 10, 3), "warn", Status::Warning),
        checked(on("dn8", "10.1.1.8", "nodebad", 86), "", Status::Critical),
        dn1("own", 86),
        dn1("own", 87),
        at(dn1("same", 88), "10.1.1.1"),
        at(on("dn2", "2001:db8::5", "self", 89), "Self.service.consul"),
        at(on("dn5", "10.1.1.5", "self", 90), "self.service.consul."),
        at(on("dn5", "10.1.1.5", "inner", 91), "dsvc.service.consul"),
        at(on("dn5", "10.1.1.5", "mix", 92), "ext.example.com"),
        dn1("mix", 93),
        at(on("dn5", "10.1.1.5", "loopa", 94), "loopb.service.consul"),
        at(on("dn5", "10.1.1.5", "loopb", 95), "loopa.service.consul"),
        at(on("dn5", "10.1.1.5", "six", 96), "2001:DB8::6"),
        tagged(on("DN6.rack", "10.1.1.6", "Upper", 97), &["TagX"]),
        both_families(),
        on("dn9", "dn1.node.consul", "chain", 98),
        on("srv", "127.0.0.1", "consul", 8300),
        weighted(on("heavy", "10.1.1.9", "heavy", 70_000), 70_000, -1),
    ]
}

fn snapshot(registrations: Vec<Registration>) -> Snapshot {
    let mut store = Store::default();
    for (registration, index) in registrations.into_iter().zip(1..) {
        store.apply(Index(index), WallTime(0), &Command::Register(registration));
    }
    store.snapshot()
}

fn ask(snapshot: &Snapshot, config: &Config, name: &str, kind: RecordKind, seed: u64) -> Answer {
    let question = Question { name, kind, answers_max: 100, asker: &Asker::default() };
    let places = Places::default();
    answer(&question, snapshot, &places, config, 1_700_000_000, &mut Rng::new(seed))
}

/// One line for each row, in the form of a zone file, with the section in front.
fn lines(question: &str, answer: &Answer) -> Vec<String> {
    let section = |name, rows: &[Record]| {
        let line = move |row: &Record| format!("{name} {}", line(question, row));
        rows.iter().map(line).collect::<Vec<_>>()
    };
    let answers = section("AN", &answer.answers);
    let authority = section("NS", &answer.authority);
    [answers, authority, section("AD", &answer.additionals)].concat()
}

fn line(question: &str, row: &Record) -> String {
    let owner = match &row.owner {
        Owner::Question => question,
        Owner::Name(name) => name,
    };
    let data = match &row.data {
        RecordData::A(it) => format!("A {it}"),
        RecordData::Aaaa(it) => format!("AAAA {it}"),
        RecordData::Cname(it) => format!("CNAME {it}"),
        RecordData::Ns(it) => format!("NS {it}"),
        RecordData::Ptr(it) => format!("PTR {it}"),
        RecordData::Soa(it) => format!("SOA {} {} {}", it.mname, it.rname, it.minimum),
        RecordData::Srv { priority, weight, port, target } => {
            format!("SRV {priority} {weight} {port} {target}")
        }
        RecordData::Txt(it) => format!("TXT {it:?}"),
    };
    format!("{owner} {} {data}", row.ttl)
}

type Case = (&'static str, RecordKind, Rcode, &'static [&'static str]);

const SOA: &str = "NS consul 1 SOA ns.consul hostmaster.consul 1";

const DSVC_SRV: &[&str] = &[
    "AN @ 0 SRV 1 1 81 0a020202.addr.dc1.consul",
    "AN @ 0 SRV 1 1 82 dn2.node.dc1.consul",
    "AD 0a020202.addr.dc1.consul 0 A 10.2.2.2",
    "AD dn1.node.dc1.consul 0 TXT \"y\"",
    "AD dn1.node.dc1.consul 0 TXT \"k=v\"",
    "AD dn2.node.dc1.consul 0 AAAA 2001:db8::5",
];

const SERVICES: &[Case] = &[
    ("dsvc.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.2.2.2"]),
    ("dsvc.service.consul", Aaaa, Rcode::NoError, &["AN @ 0 AAAA 2001:db8::5"]),
    ("dsvc.service.consul", Any, Rcode::NoError, &["AN @ 0 A 10.2.2.2", "AN @ 0 AAAA 2001:db8::5"]),
    ("dsvc.service.consul", Srv, Rcode::NoError, DSVC_SRV),
    // Ours: the original answers with addresses, which nobody asked for.
    ("dsvc.service.consul", Txt, Rcode::NoError, &[SOA]),
    ("dsvc.service.consul", Cname, Rcode::NoError, &[SOA]),
    ("dsvc.service.consul", Other, Rcode::NoError, &[SOA]),
    ("dsvc.service.dc1.consul", A, Rcode::NoError, &["AN @ 0 A 10.2.2.2"]),
    ("dsvc.service.dc9.consul", A, Rcode::NxDomain, &[SOA]),
    ("v1.2.dsvc.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.2.2.2"]),
    ("prim.dsvc.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.2.2.2"]),
    // The name exists, but what it has is of the other family.
    ("prim.dsvc.service.consul", Aaaa, Rcode::NoError, &[SOA]),
    ("_dsvc._tcp.service.consul", Srv, Rcode::NoError, DSVC_SRV),
    ("_dsvc._tcp.consul", Srv, Rcode::NoError, DSVC_SRV),
    ("_dsvc._tcp.dc1.consul", Srv, Rcode::NoError, DSVC_SRV),
    (
        "_dsvc._sec.service.consul",
        Srv,
        Rcode::NoError,
        &["AN @ 0 SRV 1 1 82 dn2.node.dc1.consul", "AD dn2.node.dc1.consul 0 AAAA 2001:db8::5"],
    ),
    ("_dsvc._udp.service.consul", Srv, Rcode::NxDomain, &[SOA]),
    ("bad.service.consul", A, Rcode::NxDomain, &[SOA]),
    ("bad.service.consul", Srv, Rcode::NxDomain, &[SOA]),
    ("nodebad.service.consul", A, Rcode::NxDomain, &[SOA]),
    ("warn.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.5"]),
    (
        "warn.service.consul",
        Srv,
        Rcode::NoError,
        &["AN @ 0 SRV 1 3 85 dn5.node.dc1.consul", "AD dn5.node.dc1.consul 0 A 10.1.1.5"],
    ),
    ("nosvc.service.consul", A, Rcode::NxDomain, &[SOA]),
    ("DSVC.Service.CONSUL", A, Rcode::NoError, &["AN @ 0 A 10.2.2.2"]),
    ("tagx.upper.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.6"]),
    ("a.b.c.dsvc.service.consul", A, Rcode::NxDomain, &[SOA]),
    // What does not fit into its field becomes the nearest that does, or nothing.
    (
        "heavy.service.consul",
        Srv,
        Rcode::NoError,
        &["AN @ 0 SRV 1 65535 0 heavy.node.dc1.consul", "AD heavy.node.dc1.consul 0 A 10.1.1.9"],
    ),
];

const HOSTS: &[Case] = &[
    (
        "own.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 86 dn1.node.dc1.consul",
            "AN @ 0 SRV 1 1 87 dn1.node.dc1.consul",
            // Ours: the original says it all twice, once for each instance.
            "AD dn1.node.dc1.consul 0 A 10.1.1.1",
            "AD dn1.node.dc1.consul 0 TXT \"y\"",
            "AD dn1.node.dc1.consul 0 TXT \"k=v\"",
        ],
    ),
    (
        "same.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 88 0a010101.addr.dc1.consul",
            "AD 0a010101.addr.dc1.consul 0 A 10.1.1.1",
            "AD dn1.node.dc1.consul 0 TXT \"y\"",
            "AD dn1.node.dc1.consul 0 TXT \"k=v\"",
        ],
    ),
    ("self.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.5"]),
    (
        "self.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 89 dn2.node.dc1.consul",
            "AN @ 0 SRV 1 1 90 dn5.node.dc1.consul",
            "AD dn2.node.dc1.consul 0 AAAA 2001:db8::5",
            "AD dn5.node.dc1.consul 0 A 10.1.1.5",
        ],
    ),
    (
        "six.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 96 20010db8000000000000000000000006.addr.dc1.consul",
            "AD 20010db8000000000000000000000006.addr.dc1.consul 0 AAAA 2001:db8::6",
        ],
    ),
    ("dual.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.7.7.7"]),
    ("dual.service.consul", Aaaa, Rcode::NoError, &["AN @ 0 AAAA 2001:db8::77"]),
    (
        "dual.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 98 20010db8000000000000000000000077.addr.dc1.consul",
            "AD 20010db8000000000000000000000077.addr.dc1.consul 0 AAAA 2001:db8::77",
        ],
    ),
    ("dn7.node.consul", A, Rcode::NoError, &["AN @ 0 A 10.7.7.7"]),
    ("dn7.node.consul", Aaaa, Rcode::NoError, &["AN @ 0 AAAA 2001:db8::7"]),
];

const ALIASES: &[Case] = &[
    ("csvc.service.consul", A, Rcode::NoError, &["AN @ 0 CNAME host.example.com"]),
    ("csvc.service.consul", Aaaa, Rcode::NoError, &["AN @ 0 CNAME host.example.com"]),
    ("csvc.service.consul", Cname, Rcode::NoError, &["AN @ 0 CNAME host.example.com"]),
    ("csvc.service.consul", Srv, Rcode::NoError, &["AN @ 0 SRV 1 1 83 host.example.com"]),
    ("dn3.node.consul", A, Rcode::NoError, &["AN @ 0 CNAME host.example.com"]),
    ("mix.service.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.1"]),
    ("mix.service.consul", Aaaa, Rcode::NoError, &["AN @ 0 CNAME ext.example.com"]),
    // Ours: the original adds the address of the other family.
    (
        "inner.service.consul",
        A,
        Rcode::NoError,
        &["AN @ 0 CNAME dsvc.service.consul", "AN dsvc.service.consul 0 A 10.2.2.2"],
    ),
    (
        "inner.service.consul",
        Srv,
        Rcode::NoError,
        &[
            "AN @ 0 SRV 1 1 91 dsvc.service.consul",
            "AD dsvc.service.consul 0 A 10.2.2.2",
            "AD dsvc.service.consul 0 AAAA 2001:db8::5",
        ],
    ),
    (
        "chain.service.consul",
        A,
        Rcode::NoError,
        &["AN @ 0 CNAME dn1.node.consul", "AN dn1.node.consul 0 A 10.1.1.1"],
    ),
    // Names in a circle, cut where it closes.
    (
        "loopa.service.consul",
        A,
        Rcode::NoError,
        &[
            "AN @ 0 CNAME loopb.service.consul",
            "AN loopb.service.consul 0 CNAME loopa.service.consul",
            "AN loopa.service.consul 0 CNAME loopb.service.consul",
        ],
    ),
];

const NODES: &[Case] = &[
    (
        "dn1.node.consul",
        A,
        Rcode::NoError,
        &["AN @ 0 A 10.1.1.1", "AD @ 0 TXT \"y\"", "AD @ 0 TXT \"k=v\""],
    ),
    (
        "dn1.node.consul",
        Any,
        Rcode::NoError,
        &["AN @ 0 A 10.1.1.1", "AN @ 0 TXT \"y\"", "AN @ 0 TXT \"k=v\""],
    ),
    ("dn1.node.consul", Txt, Rcode::NoError, &["AN @ 0 TXT \"y\"", "AN @ 0 TXT \"k=v\""]),
    // Ours, here and below: the authority says how long to remember that there is nothing.
    ("dn1.node.consul", Aaaa, Rcode::NoError, &[SOA, "AD @ 0 TXT \"y\"", "AD @ 0 TXT \"k=v\""]),
    ("dn1.node.consul", Srv, Rcode::NoError, &[SOA]),
    ("dn3.node.consul", Txt, Rcode::NoError, &[SOA]),
    ("dn6.rack.node.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.6"]),
    // The name of a sick node is still its name.
    ("dn8.node.consul", A, Rcode::NoError, &["AN @ 0 A 10.1.1.8"]),
    ("nonode.node.consul", A, Rcode::NxDomain, &[SOA]),
    ("dn1.node.dc9.consul", A, Rcode::NxDomain, &[SOA]),
];

const REST: &[Case] = &[
    ("0a000001.addr.dc1.consul", A, Rcode::NoError, &["AN @ 0 A 10.0.0.1"]),
    ("0a000001.addr.dc9.consul", A, Rcode::NoError, &["AN @ 0 A 10.0.0.1"]),
    // Ours: the original answers with an address of the wrong family.
    ("0a000001.addr.consul", Aaaa, Rcode::NoError, &[SOA]),
    ("0a000001.addr.consul", Srv, Rcode::NoError, &[SOA]),
    ("0a0001.addr.consul", A, Rcode::NoError, &[SOA]),
    ("0a00000x.addr.consul", A, Rcode::NxDomain, &[SOA]),
    ("1.1.1.10.in-addr.arpa", Ptr, Rcode::NoError, &["AN @ 0 PTR dn1.node.dc1.consul"]),
    ("2.2.2.10.in-addr.arpa", Ptr, Rcode::NoError, &["AN @ 0 PTR dsvc.service.dc1.consul"]),
    (
        "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.IP6.arpa",
        Ptr,
        Rcode::NoError,
        &["AN @ 0 PTR dn2.node.dc1.consul"],
    ),
    ("1.1.1.10.in-addr.arpa", A, Rcode::NoError, &[]),
    ("9.9.9.10.in-addr.arpa", Ptr, Rcode::ServFail, &[]),
    ("foo.arpa", Ptr, Rcode::ServFail, &[]),
    ("example.com", A, Rcode::Refused, &[]),
    ("example.com", Axfr, Rcode::Refused, &[]),
    (".", Ns, Rcode::Refused, &[]),
    ("consul", Axfr, Rcode::NotImp, &[]),
    // Ours: these exist, because there are names below them.
    ("consul", A, Rcode::NoError, &[SOA]),
    ("service.consul", A, Rcode::NoError, &[SOA]),
    ("node.dc1.consul", A, Rcode::NoError, &[SOA]),
    ("x.consul", A, Rcode::NxDomain, &[SOA]),
    ("ns.consul", A, Rcode::NxDomain, &[SOA]),
    ("dsvc.service.dc1.foo.consul", A, Rcode::NxDomain, &[SOA]),
    ("dsvc.connect.consul", A, Rcode::NxDomain, &[SOA]),
    ("dsvc.ingress.consul", A, Rcode::NxDomain, &[SOA]),
    ("dsvc.virtual.consul", A, Rcode::NxDomain, &[SOA]),
    ("no.query.consul", A, Rcode::NxDomain, &[SOA]),
    (
        "consul",
        Ns,
        Rcode::NoError,
        &["AN consul 0 NS srv.node.dc1.consul", "AD srv.node.dc1.consul 0 A 127.0.0.1"],
    ),
    (
        "dsvc.service.consul",
        Soa,
        Rcode::NoError,
        &[
            "AN consul 1 SOA ns.consul hostmaster.consul 1",
            "NS consul 0 NS srv.node.dc1.consul",
            "AD srv.node.dc1.consul 0 A 127.0.0.1",
        ],
    ),
];

#[test]
fn answers() {
    let snapshot = snapshot(catalog());
    let config = Config::new("dc1");
    for (name, kind, rcode, want) in [SERVICES, HOSTS, ALIASES, NODES, REST].concat() {
        for seed in 0..4 {
            let answer = ask(&snapshot, &config, name, kind, seed);
            let got: BTreeSet<_> = lines("@", &answer).into_iter().collect();
            let want = want.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!((answer.rcode, got), (rcode, want), "{name} {kind:?}");
            let ours = !matches!(rcode, Rcode::Refused | Rcode::ServFail);
            assert_eq!((answer.authoritative, answer.recurse), (ours, !ours), "{name} {kind:?}");
            assert!(!answer.truncated, "{name} {kind:?}");
        }
    }
}

/// A service with an instance on each of so many nodes.
fn crowd(count: i64) -> Vec<Registration> {
    (1..=count).map(|it| on(&format!("n{it}"), &format!("10.0.0.{it}"), "web", 80)).collect()
}

#[test]
fn the_seed_decides_the_order() {
    let snapshot = snapshot(crowd(20));
    let config = Config::new("dc1");
    let order = |seed| ask(&snapshot, &config, "web.service.consul", A, seed).answers;
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    for seed in 0..50 {
        let mut rows: Vec<_> = order(seed).iter().map(|it| line("@", it)).collect();
        rows.sort_unstable();
        let mut want: Vec<_> = (1..=20).map(|it| format!("@ 0 A 10.0.0.{it}")).collect();
        want.sort_unstable();
        assert_eq!(rows, want);
    }
}

#[test]
fn everybody_is_first_about_equally_often() {
    let snapshot = snapshot(crowd(5));
    let config = Config::new("dc1");
    let mut rng = Rng::new(7);
    let mut first = BTreeMap::<String, u32>::new();
    for _ in 0..5_000 {
        let (asker, places) = (Asker::default(), Places::default());
        let question =
            Question { name: "web.service.consul", kind: A, answers_max: 3, asker: &asker };
        let answer = answer(&question, &snapshot, &places, &config, 0, &mut rng);
        *first.entry(line("@", &answer.answers[0])).or_default() += 1;
    }
    assert_eq!(first.len(), 5);
    assert!(first.values().all(|it| (800..1_200).contains(it)), "{first:?}");
}

#[test]
fn a_critical_instance_never_appears() {
    let mut registrations = crowd(6);
    let well: BTreeSet<_> = ["10.0.0.1", "10.0.0.3", "10.0.0.5"].into();
    for (registration, n) in registrations.iter_mut().zip(1..) {
        let of = if n == 2 { "" } else { "web" };
        let status = if n % 2 == 0 { Status::Critical } else { Status::Passing };
        *registration = checked(std::mem::take(registration), of, status);
    }
    let snapshot = snapshot(registrations);
    for kind in [A, Any, Srv] {
        for seed in 0..20 {
            let answer = ask(&snapshot, &Config::new("dc1"), "web.service.consul", kind, seed);
            let rows = answer.answers.iter().chain(&answer.additionals);
            let named: BTreeSet<_> = rows.filter_map(address_of).collect();
            assert!(named.iter().eq(&well), "{kind:?} {named:?}");
        }
    }
}

fn address_of(row: &Record) -> Option<String> {
    match &row.data {
        RecordData::A(address) => Some(address.to_string()),
        RecordData::Aaaa(_)
        | RecordData::Cname(_)
        | RecordData::Ns(_)
        | RecordData::Ptr(_)
        | RecordData::Soa(_)
        | RecordData::Srv { .. }
        | RecordData::Txt(_) => None,
    }
}

#[test]
fn only_passing_leaves_out_warnings() {
    let snapshot = snapshot(catalog());
    let config = Config { only_passing: true, ..Config::new("dc1") };
    let answer = ask(&snapshot, &config, "warn.service.consul", A, 0);
    assert_eq!(answer.rcode, Rcode::NxDomain);
}

#[test]
fn limits_cut_what_they_are_about() {
    let snapshot = snapshot(crowd(10));
    let asked = |kind, answers_max, a_record_limit| {
        let config = Config { a_record_limit, ..Config::new("dc1") };
        let (asker, places) = (Asker::default(), Places::default());
        let question = Question { name: "web.service.consul", kind, answers_max, asker: &asker };
        let answer = answer(&question, &snapshot, &places, &config, 0, &mut Rng::new(1));
        (answer.answers.len(), answer.additionals.len(), answer.truncated)
    };
    assert_eq!(asked(A, 100, 0), (10, 0, false));
    assert_eq!(asked(A, 10, 0), (10, 0, false));
    assert_eq!(asked(A, 3, 0), (3, 0, true));
    // What is left out because it is unwanted is not missing.
    assert_eq!(asked(A, 100, 4), (4, 0, false));
    assert_eq!(asked(A, 4, 4), (4, 0, false));
    assert_eq!(asked(A, 3, 4), (3, 0, true));
    // The additional rows are those of the hosts that stay.
    assert_eq!(asked(Srv, 100, 4), (10, 10, false));
    assert_eq!(asked(Srv, 3, 4), (3, 3, true));
}

#[test]
fn one_address_is_said_once() {
    let twice = ["a", "b"].map(|node| at(on(node, "10.0.0.1", "web", 80), "10.9.9.9"));
    let answer = ask(&snapshot(twice.into()), &Config::new("dc1"), "web.service.consul", A, 0);
    assert_eq!(lines("@", &answer), ["AN @ 0 A 10.9.9.9"]);
}

#[test]
fn rows_may_be_remembered_as_long_as_the_settings_say() {
    let snapshot = snapshot(catalog());
    let config = Config {
        node_ttl: 5,
        service_ttl: ServiceTtl::new([("d*", 7)]),
        ptr_ttl: 9,
        soa: super::Soa { min_ttl: 11, ..super::Soa::default() },
        ..Config::new("dc1")
    };
    let ttls = |name, kind| {
        let answer = ask(&snapshot, &config, name, kind, 0);
        let rows = [answer.answers, answer.authority, answer.additionals].concat();
        rows.into_iter().map(|it| it.ttl).collect::<BTreeSet<_>>()
    };
    let cases = [
        ("dn1.node.consul", A, 5),
        ("DSVC.service.consul", Srv, 7),
        ("own.service.consul", Srv, 0),
        ("1.1.1.10.in-addr.arpa", Ptr, 9),
        ("nosvc.service.consul", A, 11),
        ("consul", Ns, 5),
    ];
    for (name, kind, want) in cases {
        assert_eq!(ttls(name, kind), BTreeSet::from([want]), "{name}");
    }
}

#[test]
fn answers_are_in_the_zone_that_was_asked() {
    let snapshot = snapshot(catalog());
    let config = Config::new("dc1").with_alt_domain("test.example");
    let answer = ask(&snapshot, &config, "warn.service.test.example", Srv, 0);
    let want = [
        "AN @ 0 SRV 1 3 85 dn5.node.dc1.test.example",
        "AD dn5.node.dc1.test.example 0 A 10.1.1.5",
    ];
    assert_eq!(lines("@", &answer), want);
    let answer = ask(&snapshot, &config, "x.test.example", A, 0);
    assert_eq!(lines("@", &answer)[0], SOA.replace("consul", "test.example"));
}

#[test]
fn metadata_can_be_left_out() {
    let snapshot = snapshot(catalog());
    let config = Config { enable_additional_node_meta_txt: false, ..Config::new("dc1") };
    assert!(ask(&snapshot, &config, "dn1.node.consul", A, 0).additionals.is_empty());
    assert_eq!(ask(&snapshot, &config, "dn1.node.consul", Txt, 0).answers.len(), 2);
}

#[test]
fn sick_servers_do_not_answer_for_the_zone() {
    let sick = checked(on("srv", "127.0.0.1", "consul", 8300), "", Status::Critical);
    let answer = ask(&snapshot(vec![sick]), &Config::new("dc1"), "consul", Ns, 0);
    assert_eq!((answer.rcode, lines("@", &answer)), (Rcode::NoError, vec![SOA.to_owned()]));
}

#[test]
fn without_a_catalog_only_our_own_names_fail() {
    let config = Config::new("dc1");
    let said = |name| {
        let answer = unavailable(
            &Question { name, kind: A, answers_max: 3, asker: &Asker::default() },
            &config,
        );
        (answer.rcode, answer.authoritative, answer.recurse)
    };
    assert_eq!(said("web.service.consul"), (Rcode::ServFail, true, false));
    assert_eq!(said("x.y.z.consul"), (Rcode::ServFail, true, false));
    assert_eq!(said("example.com"), (Rcode::Refused, false, true));
    assert_eq!(said("1.0.0.10.in-addr.arpa"), (Rcode::ServFail, false, true));
}
