use super::*;

/// The agent after a restart, `seconds` later, with the files it left behind.
fn restart(before: &World, seconds: u64, services: &[&str], checks: &[&str]) -> World {
    let mut world = World::with(config(), Store::default());
    world.files = before.files.clone();
    let age = Duration::from_secs(seconds);
    let file = |(name, bytes): (&String, &bytes::Bytes)| PersistedFile {
        name: name.clone(),
        bytes: bytes.clone(),
        age,
    };
    let files = before.files.iter().map(file).collect();
    let services = services.iter().map(|it| ServiceDefinition::from_json(it.as_bytes()).unwrap());
    let checks = checks.iter().map(|it| CheckDefinition::from_json(it.as_bytes()).unwrap());
    world.local.restore(world.now, files, services.collect(), checks.collect());
    world.pump();
    world
}

#[test]
fn what_was_registered_comes_back() {
    let mut before = World::new();
    let seq = before.service(r#"{"Name":"web","Port":80,"Token":"t","Check":{"TTL":"30s"}}"#);
    before.check(r#"{"Name":"disk","TTL":"1h"}"#);
    before.local.set_node_maintenance(before.now, Some("why"));
    before.pump();
    assert!(before.local.is_settled(seq).saved);

    let after = restart(&before, 1, &[], &[]);
    let ids: Vec<_> = after.local.checks().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["_node_maintenance", "disk", "service:web"]);
    assert_eq!(after.local.service("web").unwrap().port, 80);
    assert_eq!(after.local.service_token("web"), Some("t"));
    assert_eq!(after.local.check("_node_maintenance").unwrap().notes, "why");
    assert_eq!(before.files, after.files);
    after.assert_converged();
}

#[test]
fn what_was_deregistered_does_not() {
    let mut before = World::new();
    before.service(r#"{"Name":"web","Check":{"TTL":"30s"}}"#);
    before.update("service:web", Status::Passing, "");
    before.local.set_service_maintenance(before.now, "web", Some("")).unwrap();
    before.local.deregister_service(before.now, "web").unwrap();
    before.pump();
    assert!(before.files.is_empty(), "{:?}", before.files);
}

#[test]
fn a_report_survives_as_long_as_it_would_have_anyway() {
    let mut before = World::new();
    before.check(r#"{"Name":"c","TTL":"30s"}"#);
    before.update("c", Status::Passing, "fine");
    let mut after = restart(&before, 20, &[], &[]);
    assert_eq!((after.status("c"), after.output("c")), (Status::Passing, "fine"));
    after.pass(9);
    assert_eq!(after.status("c"), Status::Passing);
    after.pass(1);
    assert_eq!(after.status("c"), Status::Critical);

    let after = restart(&before, 30, &[], &[]);
    assert_eq!(after.status("c"), Status::Critical);
    assert_eq!(after.files.len(), 1, "the report is of no use any more: {:?}", after.files);
}

#[test]
fn the_configuration_wins() {
    let mut before = World::new();
    before.service(r#"{"Name":"web","Port":80}"#);
    before.check(r#"{"Name":"disk","TTL":"1h","Notes":"old"}"#);
    let check = r#"{"Name":"disk","TTL":"1h","Notes":"new"}"#;
    let script = r#"{"Name":"script","Args":["true"],"Interval":"1s"}"#;
    let after = restart(&before, 1, &[r#"{"Name":"web","Port":81}"#], &[check, script]);
    assert_eq!(after.local.service("web").unwrap().port, 81);
    assert_eq!(after.local.check("disk").unwrap().notes, "new");
    assert!(after.local.check("script").is_some(), "the configuration may start programs");
    assert!(after.files.is_empty(), "{:?}", after.files);
    let purged = after.events.iter().filter(|it| matches!(it, Event::FilePurged { .. }));
    assert_eq!(purged.count(), 2);
}

#[test]
fn a_file_that_makes_no_sense_is_reported_and_left_alone() {
    let mut before = World::new();
    before.service(r#"{"Name":"web"}"#);
    before.files.insert("services/junk".into(), "{".into());
    before.files.insert("services/later".into(), r#"{"Version":9,"Service":{"Name":"x"}}"#.into());
    let after = restart(&before, 1, &[], &[]);
    let skipped = after.events.iter().filter(|it| matches!(it, Event::FileSkipped { .. }));
    assert_eq!(skipped.count(), 2);
    assert!(after.local.service("web").is_some());
    assert_eq!(after.files, before.files);
}

#[test]
fn nothing_is_written_in_development_mode() {
    let mut config = config();
    config.persist = false;
    let mut world = World::with(config, Store::default());
    let seq = world.service(r#"{"Name":"web","Check":{"TTL":"30s"}}"#);
    world.update("service:web", Status::Passing, "");
    assert!(world.files.is_empty() && world.local.is_settled(seq).saved);
}
