mod model;
mod wake;

use tribune_base::id::Uuid;

use super::*;
use crate::command::{Command, Deregistration, Registration};
use crate::outcome::Outcome;
use crate::store::Store;
use crate::watch::{Topic, Touch};

fn node(name: &str) -> Registration {
    let address = "10.0.0.1".into();
    Registration { node: name.into(), address, ..Registration::default() }
}

fn with_service(name: &str, service: Service) -> Registration {
    Registration { services: vec![service], ..node(name) }
}

fn with_check(name: &str, check: Check) -> Registration {
    Registration { checks: vec![check], ..node(name) }
}

fn service(id: &str, name: &str) -> Service {
    Service { id: id.into(), name: name.into(), ..Service::default() }
}

fn check(id: &str, service_id: &str, status: Status) -> Check {
    Check { id: id.into(), service_id: service_id.into(), status, ..Check::default() }
}

fn deregister(node: &str, service_id: &str, check_id: &str) -> Command {
    Command::Deregister(Deregistration {
        node: node.into(),
        service_id: service_id.into(),
        check_id: check_id.into(),
    })
}

fn id(n: u128) -> Option<NodeId> {
    Some(NodeId(Uuid(n << 64)))
}

/// `n1` runs `web` and `db`, with a check each and one of its own; `n2` runs another `web`.
fn town() -> Store {
    let mut store = Store::default();
    let n1 = Registration {
        services: vec![service("web-1", "web"), service("db-1", "db")],
        checks: vec![
            check("alive", "", Status::Passing),
            check("web", "web-1", Status::Passing),
            check("db", "db-1", Status::Passing),
        ],
        ..node("n1")
    };
    store.next(&Command::Register(n1));
    store.next(&Command::Register(with_service("n2", service("web-2", "web"))));
    store
}

#[test]
fn the_index_of_a_service_that_is_gone() {
    let mut store = town(); // At 2.
    let index = |store: &Store| store.view().service("none").0.0;
    assert_eq!(index(&store), 2, "nothing was ever removed: the newest service");
    store.next(&Command::Register(with_service("n3", service("x", "other"))));
    assert_eq!(index(&store), 3);
    store.next(&deregister("n1", "db-1", ""));
    assert_eq!((index(&store), store.view().service("db").0.0), (4, 4), "the last extinction");
    store.next(&Command::Register(with_service("n3", service("y", "other"))));
    assert_eq!(index(&store), 4);
    store.next(&deregister("n3", "y", ""));
    assert_eq!(index(&store), 4, "one of two is no extinction");
}

#[test]
fn refusals_say_what_the_original_says() {
    let mut store = town();
    let serf = |status| check(SERF_HEALTH, "", status);
    let owner =
        |name: &str, n, status| Registration { id: id(n), ..with_check(name, serf(status)) };
    store.next(&Command::Register(owner("alive", 1, Status::Passing)));
    store.next(&Command::Register(owner("dead", 2, Status::Critical)));
    store.next(&Command::Register(Registration { id: id(3), ..node("me") }));
    let as_node = |name: &str, n| Registration { id: id(n), ..node(name) };
    let reserved = |name: &str, n: u128| {
        format!(
            "failed inserting node: Error while renaming Node ID: \"{}\": Node name {name} is \
             reserved by node 00000000-0000-0001-0000-000000000000 with name alive",
            Uuid(n << 64)
        )
    };
    let missing = "failed inserting check: Missing service registration on node \"n2\"";
    let elsewhere = Check { node: "other".into(), ..check("c", "", Status::Passing) };
    let cases = [
        (with_check("n2", check("c", "web-1", Status::Passing)), Err(missing.to_owned())),
        (with_check("n1", check("c", "web-1", Status::Passing)), Ok(())),
        (
            with_check("n1", elsewhere),
            Err("check node \"other\" does not match node \"n1\"".to_owned()),
        ),
        (as_node("alive", 9), Err(reserved("alive", 9))),
        (as_node("ALIVE", 9), Err(reserved("ALIVE", 9))),
        (as_node("alive", 3), Err(reserved("alive", 3))),
        (as_node("dead", 9), Ok(())),
        (as_node("dead", 3), Ok(())),
        (as_node("free", 3), Ok(())),
        // No agent there: a new node may take the name, and anybody without an id.
        (as_node("n1", 9), Ok(())),
        (node("alive"), Ok(())),
    ];
    for (registration, want) in cases {
        let mut store = Store::restore(store.view().records()).unwrap();
        let before = store.snapshot();
        let applied = store.next(&Command::Register(registration.clone()));
        let got = if let Outcome::Refused(refusal) = applied.outcome {
            Err(refusal.to_string())
        } else {
            assert_eq!(applied.outcome, Outcome::Done(true));
            Ok(())
        };
        assert_eq!(got, want, "{registration:?}");
        if want.is_err() {
            assert_eq!(before.catalog, store.view().catalog);
            assert_eq!(applied.touched, []);
        }
    }
}

#[test]
fn a_renamed_node_leaves_nothing_behind() {
    let mut store = Store::default();
    let before = Registration { id: id(1), ..with_service("old", service("web", "web")) };
    store.next(&Command::Register(before));
    store.next(&Command::Register(Registration { id: id(1), ..node("new") }));
    let state = store.view();
    assert_eq!(state.nodes().1.map(|it| it.name.as_str()).collect::<Vec<_>>(), ["new"]);
    assert!(state.service("web").1.is_empty());
    assert_eq!(state.check_integrity(), Ok(()));
}

#[test]
fn a_node_without_an_id_keeps_the_one_it_has() {
    let mut store = Store::default();
    store.next(&Command::Register(Registration { id: id(1), ..node("n") }));
    assert_eq!(store.next(&Command::Register(node("n"))).touched, []);
}

#[test]
fn a_check_follows_its_service() {
    let mut store = town();
    let tags = vec!["blue".to_owned()];
    let renamed = Service { tags: tags.clone(), ..service("web-1", "shop") };
    store.next(&Command::Register(with_service("n1", renamed)));
    let (_, checks) = store.view().service_checks("shop");
    assert_eq!(checks.len(), 1);
    assert_eq!((checks[0].service_name.as_str(), &checks[0].service_tags), ("shop", &tags));
    assert_eq!(checks[0].modify, store.index());
    assert!(store.view().service_checks("web").1.is_empty());
}

#[test]
fn a_check_that_leaves_a_renamed_service_never_has_its_new_name() {
    let mut store = town();
    let rename = Registration {
        services: vec![service("db-1", "shop")],
        checks: vec![check("db", "", Status::Passing)],
        ..node("n1")
    };
    let touched = store.next(&Command::Register(rename)).touched;
    assert!(!touched.contains(&Touch::Topic(Topic::service_checks("shop"))));
    assert!(touched.contains(&Touch::Topic(Topic::service_checks("db"))));
}

#[test]
fn deregistering_takes_the_most_specific() {
    let left = |command| {
        let mut store = town();
        assert_eq!(store.next(&command).outcome, Outcome::Done(true));
        let state = store.view();
        let services = state.node_services("n1").1.map(|it| it.services.len());
        (services, state.node_checks("n1").1.len())
    };
    assert_eq!(left(deregister("n1", "web-1", "")), (Some(1), 2), "a service and its checks");
    assert_eq!(left(deregister("n1", "web-1", "alive")), (Some(1), 2), "the service wins");
    assert_eq!(left(deregister("n1", "", "alive")), (Some(2), 2), "a check");
    assert_eq!(left(deregister("N1", "", "")), (None, 0), "everything, in any case");
    assert_eq!(left(deregister("nobody", "", "")), (Some(2), 3), "who is absent is gone already");
    assert_eq!(left(deregister("n1", "WEB-1", "")), (Some(2), 3), "ids are exact");
}

#[test]
fn skipping_the_node_is_for_nodes_that_are_there() {
    let mut store = town();
    let moved = |name| Registration {
        address: "10.9.9.9".into(),
        skip_node_update: true,
        ..with_service(name, service("x", "x"))
    };
    store.next(&Command::Register(moved("n1")));
    store.next(&Command::Register(moved("n9")));
    let address = |name| store.view().node(name).1.map(|it| it.address.as_str());
    assert_eq!((address("n1"), address("n9")), (Some("10.0.0.1"), Some("10.9.9.9")));
    assert_eq!(store.view().service("x").1.len(), 2);
}

#[test]
fn nodes_are_found_by_name_id_or_the_start_of_one() {
    let mut store = Store::default();
    for (name, n) in [("n1", 0xab12 << 112), ("n2", 0xab34 << 112), ("ab12", 0xcd << 120)] {
        let id = Some(NodeId(Uuid(n)));
        store.next(&Command::Register(Registration { id, ..node(name) }));
    }
    let cases = [
        ("n1", Some("n1")),
        ("N2", Some("n2")),
        ("ab12", Some("ab12")),
        ("ab120000-0000-0000-0000-000000000000", Some("n1")),
        ("ab120000-", Some("n1")),
        ("ab3", Some("n2")),
        ("ab", None),
        ("c", None),
        ("cd", Some("ab12")),
        ("ab1é", None),
        ("ab12000000", None),
        ("ef", None),
        ("", None),
    ];
    for (text, want) in cases {
        let found = store.view().resolve_node(text).map(|it| it.name.as_str());
        assert_eq!(found, want, "{text}");
    }
}

#[test]
fn addresses_lead_back_to_names() {
    let mut store = Store::default();
    let inside = Service { address: "2001:db8:0::1".into(), ..service("a", "web") };
    store.next(&Command::Register(with_service("n1", inside)));
    store.next(&Command::Register(node("n2")));
    let state = store.view();
    let nodes = state.node_by_address("10.0.0.1");
    assert_eq!(nodes.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["n1", "n2"]);
    let services = state.service_by_address("2001:db8::1");
    assert_eq!(services.iter().map(|it| it.service.id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert!(state.service_by_address("10.0.0.1").is_empty(), "the address of its node is not its");
    assert!(state.node_by_address("n1").is_empty());
}
