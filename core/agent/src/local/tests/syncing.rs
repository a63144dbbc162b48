use super::*;

#[test]
fn a_service_and_its_checks_arrive_together() {
    let mut world = World::new();
    world.service(r#"{"Name":"web","Check":{"TTL":"1h"},"Checks":[{"TTL":"1h"}]}"#);
    assert_eq!(world.writes, 2, "the node, the service");
    world.assert_converged();
}

#[test]
fn the_status_is_told_at_once_and_output_by_and_by() {
    let mut world = World::new();
    world.check(r#"{"Name":"c","TTL":"1h"}"#);
    world.update("c", Status::Passing, "1");
    let writes = world.writes;
    for n in 2..100 {
        world.update("c", Status::Passing, &n.to_string());
    }
    assert_eq!(world.catalog_check("c").unwrap().output, "1");
    assert_eq!(world.writes, writes);
    // Not even the comparison of everything tells earlier.
    world.pass(149);
    assert!(0 < world.reads);
    assert_eq!(world.catalog_check("c").unwrap().output, "1");
    world.pass(301);
    assert_eq!(world.catalog_check("c").unwrap().output, "99");
    assert_eq!(world.writes, writes + 1);
}

#[test]
fn nothing_is_told_when_nothing_has_changed() {
    let mut world = World::new();
    let body = r#"{"Name":"web","Check":{"TTL":"1h","Status":"passing"}}"#;
    world.service(body);
    let (writes, index) = (world.writes, world.index);
    for _ in 0..10 {
        world.service(body);
        world.pass(60);
    }
    assert_eq!((world.writes, world.index), (writes, index));
    assert!(5 <= world.reads, "{} comparisons in ten minutes", world.reads);
}

#[test]
fn a_service_without_a_leader_is_told_when_there_is_one() {
    let mut world = World::new();
    world.leader = false;
    let first = world.service(r#"{"Name":"web"}"#);
    world.pass(5);
    let second = world.service(r#"{"Name":"db"}"#);
    assert!(!world.local.is_settled(second).synced);
    world.leader = true;
    world.local.retry_sync(world.now);
    world.pump();
    assert!(world.local.is_settled(first).synced && world.local.is_settled(second).synced);
    world.assert_converged();
}

#[test]
fn without_a_word_it_is_tried_again_all_the_same() {
    let mut world = World::new();
    world.leader = false;
    world.service(r#"{"Name":"web"}"#);
    world.pass(60);
    let failures = world.events.iter().filter(|it| matches!(it, Event::SyncFailed { .. })).count();
    assert!((2..=5).contains(&failures), "{failures} attempts in a minute");
    world.leader = true;
    world.pass(30);
    world.assert_converged();
}

#[test]
fn what_others_do_to_our_rows_is_undone() {
    let mut world = World::new();
    world.service(r#"{"Name":"web","Tags":["a"],"Check":{"TTL":"10h","Status":"passing"}}"#);
    world.service(r#"{"Name":"db"}"#);
    let node = || "n1".to_owned();
    let changes = [
        Command::Deregister(Deregistration { node: node(), ..Deregistration::default() }),
        Command::Register(Registration {
            node: node(),
            address: "10.6.6.6".into(),
            services: vec![Service { id: "web".into(), name: "web".into(), ..Service::default() }],
            ..Registration::default()
        }),
        Command::Register(Registration {
            node: node(),
            address: "10.0.0.1".into(),
            services: vec![Service { id: "zombie".into(), name: "z".into(), ..Service::default() }],
            ..Registration::default()
        }),
    ];
    for change in changes {
        assert!(!matches!(world.apply(&change), Outcome::Refused(_)));
        world.pass(120);
        world.assert_converged();
    }
    assert!(world.events.contains(&Event::ServiceForgotten { service: "zombie".into() }));
}

#[test]
fn tags_may_be_changed_where_the_service_says_so() {
    let mut world = World::new();
    world.service(r#"{"Name":"web","Tags":["a"],"EnableTagOverride":true,"Check":{"TTL":"1h"}}"#);
    let mut row = world.rows("n1").services.remove(0);
    row.tags = vec!["b".into()];
    let node =
        Registration { node: "n1".into(), address: "10.0.0.1".into(), ..Registration::default() };
    world.apply(&Command::Register(Registration { services: vec![row], ..node }));
    // Telling of a check does not take the tags back.
    world.update("service:web", Status::Passing, "");
    assert_eq!(world.rows("n1").services[0].tags, ["b"]);
    world.pass(120);
    assert_eq!(world.local.service("web").unwrap().tags, ["b"]);
    assert_eq!(world.local.check("service:web").unwrap().service_tags, ["b"]);
    world.assert_converged();
}

#[test]
fn what_servers_say_of_the_node_stays() {
    let mut world = World::new();
    let check = |id: &str, service: &str| Check {
        id: id.into(),
        name: id.into(),
        service_id: service.into(),
        status: Status::Passing,
        ..Check::default()
    };
    world.apply(&Command::Register(Registration {
        node: "n1".into(),
        address: "10.0.0.1".into(),
        services: vec![Service {
            id: "consul".into(),
            name: "consul".into(),
            ..Service::default()
        }],
        checks: vec![check("serfHealth", ""), check("raft", "consul"), check("other", "")],
        ..Registration::default()
    }));
    world.pass(120);
    let rows = world.rows("n1");
    assert_eq!(rows.services.len(), 1);
    let ids: Vec<_> = rows.checks.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["raft", "serfHealth"]);
}

#[test]
fn a_name_that_another_node_has_is_left_alone() {
    let mut world = World::with(config(), {
        let mut store = Store::default();
        let taken = Command::Register(Registration {
            id: Some(THEIRS),
            node: "n1".into(),
            address: "10.0.0.2".into(),
            services: vec![Service { id: "theirs".into(), name: "t".into(), ..Service::default() }],
            checks: vec![Check {
                id: "serfHealth".into(),
                status: Status::Passing,
                ..Check::default()
            }],
            ..Registration::default()
        });
        store.apply(Index(1), WallTime(0), &taken);
        store
    });
    let before = world.rows("n1");
    assert_eq!(before.services.len(), 1, "removed in the first exchange");
    world.service(r#"{"Name":"web"}"#);
    world.pass(600);
    assert_eq!(world.rows("n1"), before);
    assert!(world.events.iter().any(|it| matches!(it, Event::SyncRefused { .. })));
    // The other one leaves; now the name is ours.
    world.apply(&Command::Deregister(Deregistration {
        node: "n1".into(),
        ..Deregistration::default()
    }));
    world.pass(200);
    world.assert_converged();
}

#[test]
fn many_changes_go_in_several_batches() {
    let mut config = config();
    config.sync_batch_max = 3;
    let mut world = World::with(config, Store::default());
    world.leader = false;
    world.pass(1);
    for n in 0..10 {
        world.service(&format!(r#"{{"Name":"s{n}","Check":{{"TTL":"1h"}}}}"#));
    }
    world.leader = true;
    world.pass(120);
    world.assert_converged();
    world.leader = false;
    for n in 0..10 {
        world.local.deregister_service(world.now, &format!("s{n}")).unwrap();
        world.pump();
    }
    world.leader = true;
    world.pass(120);
    world.assert_converged();
    assert_eq!(world.rows("n1").services, []);
}

/// Something that happens here, or to the catalog.
#[derive(Clone, Debug)]
enum Step {
    Service { id: u8, tag: u8, checks: u8, tag_override: bool },
    DropService(u8),
    Check { id: u8, service: u8 },
    DropCheck(u8),
    Report { id: u8, status: Status, output: u8 },
    Maintenance(Option<u8>, bool),
    Leader(bool),
    Pass(u8),
    Foreign(Foreign),
}

/// Somebody changes the catalog behind our back: our node, or another.
#[derive(Clone, Debug)]
enum Foreign {
    Service { ours: bool, id: u8, tag: u8 },
    Check { ours: bool, id: u8 },
    Drop { ours: bool, id: u8 },
    ForgetNode,
}

fn any_step() -> impl Strategy<Value = Step> {
    let statuses =
        prop_oneof![Just(Status::Passing), Just(Status::Warning), Just(Status::Critical)];
    prop_oneof![
        (0..4_u8, 0..2_u8, 0..3_u8, any::<bool>()).prop_map(|(id, tag, checks, tag_override)| {
            Step::Service { id, tag, checks, tag_override }
        }),
        (0..4_u8).prop_map(Step::DropService),
        (0..4_u8, 0..5_u8).prop_map(|(id, service)| Step::Check { id, service }),
        (0..4_u8).prop_map(Step::DropCheck),
        (0..4_u8, statuses, 0..3_u8).prop_map(|(id, status, output)| Step::Report {
            id,
            status,
            output
        }),
        (prop::option::of(0..4_u8), any::<bool>()).prop_map(|(id, on)| Step::Maintenance(id, on)),
        any::<bool>().prop_map(Step::Leader),
        (0..100_u8).prop_map(Step::Pass),
        any_foreign().prop_map(Step::Foreign),
        any_foreign().prop_map(Step::Foreign),
    ]
}

fn any_foreign() -> impl Strategy<Value = Foreign> {
    prop_oneof![
        (any::<bool>(), 0..6_u8, 0..2_u8).prop_map(|(ours, id, tag)| Foreign::Service {
            ours,
            id,
            tag
        }),
        (any::<bool>(), 0..6_u8).prop_map(|(ours, id)| Foreign::Check { ours, id }),
        (any::<bool>(), 0..6_u8).prop_map(|(ours, id)| Foreign::Drop { ours, id }),
        Just(Foreign::ForgetNode),
    ]
}

impl World {
    fn take(&mut self, step: &Step) {
        let now = self.now;
        match step {
            Step::Service { id, tag, checks, tag_override } => {
                let checks: Vec<_> = (0..*checks)
                    .map(|n| format!(r#"{{"CheckID":"c{id}{n}","TTL":"1000h"}}"#))
                    .collect();
                self.service(&format!(
                    r#"{{"Name":"s{id}","Tags":["{tag}"],"EnableTagOverride":{tag_override},
                        "Checks":[{}]}}"#,
                    checks.join(",")
                ));
            }
            Step::DropService(id) => _ = self.local.deregister_service(now, &format!("s{id}")),
            Step::Check { id, service } => {
                let service = if *service == 4 { String::new() } else { format!("s{service}") };
                if service.is_empty() || self.local.service(&service).is_some() {
                    self.check(&format!(
                        r#"{{"Name":"c{id}0","ServiceID":"{service}","TTL":"1000h"}}"#
                    ));
                }
            }
            Step::DropCheck(id) => _ = self.local.deregister_check(now, &format!("c{id}0")),
            Step::Report { id, status, output } => {
                let id = format!("c{id}0");
                _ = self.local.update_check(now, &id, *status, &output.to_string());
            }
            Step::Maintenance(id, on) => {
                let reason = on.then_some("");
                match id {
                    None => _ = self.local.set_node_maintenance(now, reason),
                    Some(id) => {
                        let id = format!("s{id}");
                        _ = self.local.set_service_maintenance(now, &id, reason);
                    }
                }
            }
            Step::Leader(leader) => {
                self.leader = *leader;
                if *leader {
                    self.local.retry_sync(now);
                }
            }
            Step::Pass(seconds) => self.pass(u64::from(*seconds)),
            Step::Foreign(foreign) => self.take_foreign(foreign),
        }
        self.pump();
    }

    fn take_foreign(&mut self, foreign: &Foreign) {
        let name = |ours: bool| if ours { "n1" } else { "n2" }.to_owned();
        let registration = |ours: bool| Registration {
            node: name(ours),
            address: "10.0.0.3".into(),
            ..Registration::default()
        };
        let command = match foreign {
            Foreign::Service { ours, id, tag } => {
                let id = format!("s{id}");
                let tags = vec![tag.to_string()];
                let row = Service { name: id.clone(), id, tags, ..Service::default() };
                Command::Register(Registration { services: vec![row], ..registration(*ours) })
            }
            Foreign::Check { ours, id } => {
                let id = format!("c{id}0");
                let row = Check { name: id.clone(), id, ..Check::default() };
                Command::Register(Registration { checks: vec![row], ..registration(*ours) })
            }
            Foreign::Drop { ours, id } => Command::Deregister(Deregistration {
                node: name(*ours),
                service_id: format!("s{id}"),
                check_id: String::new(),
            }),
            Foreign::ForgetNode => {
                let node = name(true);
                Command::Deregister(Deregistration { node, ..Deregistration::default() })
            }
        };
        self.apply(&command);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// CH-4: whatever happens here or there, one comparison later both are the same; and the rows
    /// of another node are what others have made of them.
    #[test]
    fn it_converges_from_anywhere_and_touches_no_other_node(
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        let mut world = World::new();
        let mut witness = World::new();
        for step in &steps {
            world.take(step);
            if let Step::Foreign(foreign) = step {
                witness.take_foreign(foreign);
            }
        }
        world.take(&Step::Leader(true));
        world.pass(130);
        world.assert_converged();
        prop_assert!(world.local.is_settled(world.local.change).synced);

        let (theirs, want) = (world.rows("n2"), witness.rows("n2"));
        prop_assert_eq!(theirs.services.len(), want.services.len());
        for (row, want) in theirs.services.iter().zip(&want.services) {
            prop_assert!(row.same(want), "{:?} {:?}", row, want);
        }
        prop_assert_eq!(theirs.checks.len(), want.checks.len());
        for (row, want) in theirs.checks.iter().zip(&want.checks) {
            prop_assert!(row.same(want), "{:?} {:?}", row, want);
        }
    }
}
