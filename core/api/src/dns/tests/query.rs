//! Prepared queries as DNS shows them.

use tribune_base::id::Uuid;
use tribune_state::prepared_query::{self, PreparedQuery, ServiceQuery, Template};

use super::*;
use crate::coordinate::Place;

const ID: &str = "00000000-0000-0000-0000-000000000007";

fn query(id: u128, name: &str, service: &str) -> PreparedQuery {
    let service = ServiceQuery { service: service.into(), ..ServiceQuery::default() };
    PreparedQuery { id: Uuid(id), name: name.into(), service, ..PreparedQuery::default() }
}

fn template(mut query: PreparedQuery) -> PreparedQuery {
    query.template = Template { kind: "name_prefix_match".into(), ..Template::default() };
    query
}

fn with_queries(queries: Vec<PreparedQuery>) -> Snapshot {
    let registrations = catalog().into_iter().chain(crowd(5)).map(Command::Register);
    let create = |it| Command::PreparedQuery(prepared_query::Command::Create(Box::new(it)));
    let commands = registrations.chain(queries.into_iter().map(create));
    let mut store = Store::default();
    for (command, index) in commands.zip(1..) {
        let done = store.apply(Index(index), WallTime(0), &command).outcome;
        assert_eq!(done, tribune_state::Outcome::Done(true));
    }
    store.snapshot()
}

#[test]
fn a_query_is_answered_like_its_service_for_as_long_as_it_says() {
    let pq = PreparedQuery { dns_ttl: "7s".into(), ..query(7, "pq", "dsvc") };
    let dotted = query(8, "v1.dotted", "warn");
    let by_name = template(query(9, "svc-", "${name.suffix}"));
    let mut secure = query(10, "sec", "dsvc");
    secure.service.tags = Some(vec!["!PRIM".into()]);
    let mut well = query(11, "well", "warn");
    well.service.only_passing = true;
    let snapshot = with_queries(vec![pq, dotted, by_name, secure, well]);
    let ttl = ServiceTtl::new([("warn", 5), ("csvc", 9)]);
    let config = Config { service_ttl: ttl, ..Config::new("dc1") };
    let srv: &[&str] = &[
        "AN @ 7 SRV 1 1 81 0a020202.addr.dc1.consul",
        "AN @ 7 SRV 1 1 82 dn2.node.dc1.consul",
        "AD 0a020202.addr.dc1.consul 7 A 10.2.2.2",
        "AD dn1.node.dc1.consul 7 TXT \"y\"",
        "AD dn1.node.dc1.consul 7 TXT \"k=v\"",
        "AD dn2.node.dc1.consul 7 AAAA 2001:db8::5",
    ];
    let cases: &[Case] = &[
        ("pq.query.consul", A, Rcode::NoError, &["AN @ 7 A 10.2.2.2"]),
        ("PQ.Query.Consul", A, Rcode::NoError, &["AN @ 7 A 10.2.2.2"]),
        ("pq.query.dc1.consul", Aaaa, Rcode::NoError, &["AN @ 7 AAAA 2001:db8::5"]),
        ("pq.query.consul", Srv, Rcode::NoError, srv),
        (
            "00000000-0000-0000-0000-000000000007.query.consul",
            A,
            Rcode::NoError,
            &["AN @ 7 A 10.2.2.2"],
        ),
        ("pq.query.consul", Other, Rcode::NoError, &[SOA]),
        // What the query does not say, the agent's settings do.
        ("v1.dotted.query.consul", A, Rcode::NoError, &["AN @ 5 A 10.1.1.5"]),
        ("svc-csvc.query.consul", A, Rcode::NoError, &["AN @ 9 CNAME host.example.com"]),
        ("svc-bad.query.consul", A, Rcode::NxDomain, &[SOA]),
        ("svc-nosvc.query.consul", A, Rcode::NxDomain, &[SOA]),
        ("sec.query.consul", A, Rcode::NoError, &[SOA]),
        ("sec.query.consul", Aaaa, Rcode::NoError, &["AN @ 0 AAAA 2001:db8::5"]),
        ("well.query.consul", A, Rcode::NxDomain, &[SOA]),
        ("no.query.consul", A, Rcode::NxDomain, &[SOA]),
        ("pq.query.dc9.consul", A, Rcode::NxDomain, &[SOA]),
    ];
    for (name, kind, rcode, want) in cases {
        let answer = ask(&snapshot, &config, name, *kind, 7);
        assert_eq!(answer.rcode, *rcode, "{name} {kind:?}");
        let mut got = lines("@", &answer);
        let mut want: Vec<_> = want.iter().map(|it| (*it).to_owned()).collect();
        got.sort();
        want.sort();
        assert_eq!(got, want, "{name} {kind:?}");
    }
    assert_eq!(ID.parse(), Ok(Uuid(7)));
}

#[test]
fn what_is_near_comes_first() {
    let mut near = query(1, "near", "web");
    near.service.near = "_ip".into();
    let mut here = query(2, "here", "web");
    here.service.near = "_agent".into();
    let snapshot = with_queries(vec![near, here]);
    let mut places = Places::default();
    for (n, name) in ["n3", "n1", "n5"].into_iter().enumerate() {
        let mut place = Place::default();
        place.coordinate.vec[0] = n as f64;
        places.nodes.insert(name.into(), place);
    }
    let config = Config { node: "n3".into(), ..Config::new("dc1") };
    let mut rng = Rng::new(3);
    let mut first = |name, asker: Asker, count: usize| {
        let question = Question { name, kind: A, answers_max: 8, asker: &asker, found: None };
        let answer = answer(&question, &snapshot, &places, &config, 0, &mut rng);
        assert_eq!(answer.answers.len(), 5);
        answer.answers.iter().take(count).filter_map(address_of).collect::<Vec<_>>().join(" ")
    };
    let from = |ip: &str| Asker { ip: ip.parse().ok(), ..Asker::default() };
    for _ in 0..5 {
        assert_eq!(first("near.query.consul", from("10.0.0.5"), 2), "10.0.0.5 10.0.0.1");
        // Nobody knows where that one is. Still it is the one that was meant.
        assert_eq!(first("near.query.consul", from("10.0.0.4"), 1), "10.0.0.4");
        assert_eq!(first("here.query.consul", from("10.0.0.5"), 3), "10.0.0.3 10.0.0.1 10.0.0.5");
        let elsewhere = Asker { agent: "n1".into(), ..Asker::default() };
        assert_eq!(first("here.query.consul", elsewhere, 1), "10.0.0.1");
    }
    let anybody: BTreeSet<_> =
        (0..50).map(|_| first("near.query.consul", from("10.9.9.9"), 1)).collect();
    assert_eq!(anybody.len(), 5, "{anybody:?}");
}
