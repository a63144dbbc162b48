//! What wakes whoever waits for something in the catalog, and what does not.

use super::*;

fn register(registration: Registration) -> Command {
    Command::Register(registration)
}

/// A service of `n1`, with another port.
fn port(id: &str, name: &str) -> Command {
    register(with_service("n1", Service { port: 1, ..service(id, name) }))
}

/// A check of `n1`, still passing, with something new to say.
fn output(id: &str, of: &str) -> Command {
    let output = "new".into();
    register(with_check("n1", Check { output, ..check(id, of, Status::Passing) }))
}

fn moved(name: &str) -> Command {
    register(Registration { address: "10.0.0.9".into(), ..node(name) })
}

fn on_n2(check: Check) -> Command {
    register(with_check("n2", check))
}

/// Each happens in a fresh [`town`].
fn check_cases<const N: usize>(cases: [(&str, Topic, Command, bool); N]) {
    for (name, topic, command, want) in cases {
        let mut store = town();
        let before = store.view().index_of(&topic);
        let touched = store.next(&command).touched;
        let grew = before < store.view().index_of(&topic);
        assert_eq!(touched.contains(&Touch::Topic(topic.clone())), want, "{name}: {topic:?}");
        assert!(grew || !want, "{name}: {topic:?} woke, but its index did not grow");
    }
}

#[test]
fn who_waits_for_nodes() {
    let of = Topic::node_services;
    check_cases([
        ("a service changed", Topic::Nodes, port("db-1", "db"), false),
        ("re-registered unchanged", Topic::Nodes, register(node("n1")), false),
        ("its address changed", Topic::Nodes, moved("n1"), true),
        ("another node changed", of("n2"), moved("n1"), false),
        ("a node whose name it starts changed", of("n"), moved("n1"), false),
        ("a service on it changed", of("n1"), port("db-1", "db"), true),
        ("a check on it changed", of("n1"), output("alive", ""), false),
        ("it was removed", of("n1"), deregister("n1", "", ""), true),
    ]);
}

#[test]
fn who_waits_for_services() {
    let of = Topic::service;
    let unchanged = register(with_service("n1", service("web-1", "web")));
    let appears = register(with_service("n1", service("x", "None")));
    check_cases([
        ("re-registered unchanged", Topic::Services, unchanged.clone(), false),
        ("a port changed", Topic::Services, port("db-1", "db"), true),
        ("a check changed", Topic::Services, output("web", "web-1"), false),
        ("re-registered unchanged", of("web"), unchanged, false),
        ("its port changed", of("web"), port("web-1", "web"), true),
        ("its node changed", of("web"), moved("n2"), true),
        // Finer than the original: what is not shown wakes nobody.
        ("another on the same node changed", of("web"), port("db-1", "db"), false),
        ("a check of it changed", of("web"), output("web", "web-1"), false),
        ("an unknown one appears", of("none"), appears, true),
        ("unknown; another changed", of("none"), port("db-1", "db"), false),
        ("unknown; another vanished", of("none"), deregister("n1", "db-1", ""), false),
    ]);
}

#[test]
fn who_waits_for_the_health_of_a_service() {
    let of = Topic::health;
    let unchanged = register(with_check("n1", check("alive", "", Status::Passing)));
    let failing = register(with_check("n1", check("db", "db-1", Status::Critical)));
    check_cases([
        ("another service changed", of("web"), port("db-1", "db"), false),
        ("its port changed", of("web"), port("web-1", "web"), true),
        ("a check of another service changed", of("web"), failing, false),
        ("a check of it changed", of("web"), output("web", "web-1"), true),
        ("its node's check changed", of("web"), output("alive", ""), true),
        ("its node's check unchanged", of("web"), unchanged, false),
        ("a check elsewhere", of("db"), on_n2(check("alive", "", Status::Critical)), false),
        ("its last instance removed", of("db"), deregister("n1", "db-1", ""), true),
        ("its node removed", of("db"), deregister("n1", "", ""), true),
        ("unknown; a check changed", of("none"), output("alive", ""), false),
    ]);
}

#[test]
fn who_waits_for_checks() {
    let (of_node, of_service) = (Topic::node_checks, Topic::service_checks);
    let in_state = |status| Topic::ChecksState(Some(status));
    let unchanged = register(with_check("n1", check("alive", "", Status::Passing)));
    let failing = register(with_check("n1", check("db", "db-1", Status::Critical)));
    check_cases([
        ("one added", of_service("web"), on_n2(check("new", "web-2", Status::Passing)), true),
        ("one of another service", of_service("db"), output("web", "web-1"), false),
        ("one of its node", of_service("db"), output("alive", ""), false),
        ("one elsewhere", of_node("n2"), output("web", "web-1"), false),
        ("one of a service on it", of_node("n1"), output("web", "web-1"), true),
        ("a service on it", of_node("n1"), port("db-1", "db"), false),
        ("any", Topic::ChecksState(None), output("web", "web-1"), true),
        ("unchanged", Topic::ChecksState(None), unchanged, false),
        ("one turns critical", in_state(Status::Critical), failing.clone(), true),
        ("one turns critical", in_state(Status::Passing), failing.clone(), true),
        ("one turns critical", in_state(Status::Warning), failing, false),
        ("only output", in_state(Status::Passing), output("web", "web-1"), true),
    ]);
}
