use super::*;

#[test]
fn a_service_is_known_here_at_once_and_to_the_catalog_soon() {
    let mut world = World::new();
    world.leader = false;
    let seq = world.service(r#"{"Name":"web","Port":80,"Check":{"TTL":"30s"}}"#);
    assert!(world.local.service("web").is_some(), "no server is asked");
    assert_eq!(world.local.is_settled(seq), Settled { saved: true, synced: false });
    world.leader = true;
    world.pass(30);
    assert_eq!(world.local.is_settled(seq), Settled { saved: true, synced: true });
}

#[test]
fn a_row_has_what_follows_from_its_definition() {
    let mut world = World::new();
    world.service(
        r#"{"ID":"w2","Name":"web","Tags":["a"],"Port":80,"Address":"10.0.0.9","Meta":{"k":"v"},
            "Check":{"TTL":"30s","Status":"passing","Notes":"no"}}"#,
    );
    let row = world.local.service("w2").unwrap();
    let tagged: Vec<_> = row.tagged_addresses.iter().flatten().map(|(tag, _)| tag).collect();
    assert_eq!(tagged, ["lan_ipv4", "wan_ipv4"]);
    let check = world.local.check("service:w2").unwrap();
    assert_eq!((check.name.as_str(), check.kind.as_str()), ("Service 'web' check", "ttl"));
    assert_eq!((check.service_name.as_str(), &check.service_tags[..]), ("web", &["a".into()][..]));
    assert_eq!((check.node.as_str(), check.notes.as_str()), ("n1", "no"));
    assert_eq!(check.status, Status::Passing);
    world.assert_converged();
}

#[test]
fn checks_that_are_not_mentioned_stay_unless_they_are_to_go() {
    let mut world = World::new();
    world.service(
        r#"{"Name":"x","Checks":[{"CheckID":"a","TTL":"1h"},{"CheckID":"b","TTL":"1h"}]}"#,
    );
    world.update("b", Status::Passing, "fine");
    world.service(r#"{"Name":"x","Check":{"CheckID":"b","TTL":"2h"}}"#);
    let ids = |world: &World| world.local.checks().map(|it| it.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&world), ["a", "b"]);
    assert_eq!(world.output("b"), "fine", "what is known stays known");

    let body = br#"{"Name":"x","Check":{"CheckID":"b","TTL":"2h"}}"#;
    let definition = ServiceDefinition::from_json(body).unwrap();
    world.local.register_service(world.now, definition, Origin::Api, true).unwrap();
    world.pump();
    assert_eq!(ids(&world), ["b"]);
    world.assert_converged();
}

#[test]
fn a_status_is_only_for_a_check_that_nothing_is_known_of() {
    let mut world = World::new();
    let known = |world: &World, id: &str| {
        let check = world.local.check(id).unwrap();
        (check.status, check.output.clone(), check.kind.clone())
    };
    let hi = |kind: &str| (Status::Passing, "hi".to_owned(), kind.to_owned());
    let registrations = [
        (r#"{"TTL":"60s"}"#, "ttl"),
        (r#"{"TTL":"60s","Status":"critical"}"#, "ttl"),
        (r#"{"TTL":"60s","Status":"warning","Notes":"n"}"#, "ttl"),
        (r#"{"TCP":"a:1","Interval":"60s","Status":"critical"}"#, "tcp"),
        (r#"{"TCP":"a:1","Interval":"60s"}"#, "tcp"),
    ];
    for (n, (check, kind)) in registrations.into_iter().enumerate() {
        world.service(&format!(r#"{{"Name":"web","Check":{check}}}"#));
        world.check(&format!(r#"{{"Name":"own",{}"#, &check[1..]));
        if n == 0 {
            world.update("service:web", Status::Passing, "hi");
            world.update("own", Status::Passing, "hi");
        }
        assert_eq!(known(&world, "service:web"), hi(kind), "{check}");
        assert_eq!(known(&world, "own"), hi(kind), "{check}");
        world.assert_converged();
    }
    // What was removed is not known any more.
    world.local.deregister_check(world.now, "own").unwrap();
    world.check(r#"{"Name":"own","TTL":"60s","Status":"warning"}"#);
    assert_eq!(world.status("own"), Status::Warning);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut world = World::new();
    let now = world.now;
    let cases = [
        (r#"{"TTL":"10s"}"#, "Missing check name"),
        (r#"{"Name":"c","TTL":"10s","Status":"zz"}"#, "Bad check status"),
        (r#"{"Name":"c","ServiceID":"none","TTL":"10s"}"#, r#"ServiceID "none" does not exist"#),
        (
            r#"{"Name":"c","Args":["true"],"Interval":"10s"}"#,
            "Scripts are disabled on this agent from remote calls; to enable, configure \
             'enable_script_checks' to true",
        ),
        (
            r#"{"Name":"c","TTL":"10s","HTTP":"http://x","Interval":"1s"}"#,
            "Invalid check: Interval and TTL cannot both be specified",
        ),
        (
            r#"{"Name":"c","HTTP":"HTTPS://x","Interval":"1s"}"#,
            "Invalid check: TLS checks are not supported by this agent",
        ),
    ];
    for (body, want) in cases {
        let definition = CheckDefinition::from_json(body.as_bytes()).unwrap();
        let error = world.local.register_check(now, definition, Origin::Api).unwrap_err();
        assert_eq!(error.to_string(), want, "{body}");
    }
    let error = world.local.update_check(now, "zz", Status::Passing, "").unwrap_err();
    assert_eq!(error.to_string(), r#"CheckID "zz" does not have associated TTL"#);
    let error = world.local.set_service_maintenance(now, "none", Some("")).unwrap_err();
    assert_eq!(error.to_string(), r#"No service registered with ID "none""#);
    assert_eq!(world.local.deregister_service(now, "none"), None);
    assert_eq!(world.local.deregister_check(now, "none"), None);
    assert_eq!(world.local.checks().count(), 0);
}

#[test]
fn an_agent_has_only_so_many() {
    let mut config = config();
    config.service_count_max = 1;
    config.check_count_max = 1;
    let mut world = World::with(config, Store::default());
    world.service(r#"{"Name":"a","Check":{"TTL":"1s"}}"#);
    let register = |world: &mut World, body: &str| {
        let definition = ServiceDefinition::from_json(body.as_bytes()).unwrap();
        world.local.register_service(world.now, definition, Origin::Api, false)
    };
    assert_eq!(register(&mut world, r#"{"Name":"b"}"#), Err(RegisterError::TooManyServices(1)));
    let two = r#"{"Name":"a","Check":{"TTL":"1s"},"Checks":[{"TTL":"1s"}]}"#;
    assert_eq!(register(&mut world, two), Err(RegisterError::TooManyChecks(1)));
    assert!(register(&mut world, r#"{"Name":"a","Check":{"TTL":"1s"}}"#).is_ok());
}

#[test]
fn a_missed_report_is_critical_and_the_last_one_is_quoted() {
    let mut world = World::new();
    world.check(r#"{"Name":"c","TTL":"10s"}"#);
    assert_eq!(world.status("c"), Status::Critical);
    world.update("c", Status::Passing, "fine");
    world.pass(9);
    world.update("c", Status::Warning, "hm");
    world.pass(9);
    assert_eq!(world.status("c"), Status::Warning);
    world.pass(1);
    assert_eq!(world.status("c"), Status::Critical);
    assert_eq!(world.output("c"), "TTL expired (last output before timeout follows): hm");
    assert_eq!(world.catalog_check("c").unwrap().status, Status::Critical);
}

#[test]
fn a_long_report_is_cut() {
    let mut world = World::new();
    world.check(r#"{"Name":"c","TTL":"10s","OutputMaxSize":10}"#);
    world.update("c", Status::Passing, "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(world.output("c"), "abcdefghij ... (captured 10 of 26 bytes)");
}

#[test]
fn a_check_runs_once_at_a_time_and_again_after_its_interval() {
    let mut world = World::new();
    world.check(r#"{"Name":"c","TCP":"a:1","Interval":"10s"}"#);
    assert!(world.runs.is_empty(), "not yet");
    world.pass(100);
    assert_eq!(world.runs.len(), 1, "the first is still out");
    world.finish_run(Status::Passing, "ok");
    assert_eq!(world.status("c"), Status::Passing);
    world.pass(9);
    assert!(world.runs.is_empty());
    world.pass(1);
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn nobody_listens_to_a_run_of_a_check_that_is_gone() {
    let mut world = World::new();
    world.check(r#"{"Name":"c","TCP":"a:1","Interval":"10s"}"#);
    world.pass(10);
    let (_, run) = world.runs[0];
    world.check(r#"{"Name":"c","TCP":"b:1","Interval":"10s"}"#);
    assert_eq!(world.stopped, [run]);
    world.finish_run(Status::Passing, "stale");
    assert_eq!(world.status("c"), Status::Critical);
    world.pass(10);
    world.finish_run(Status::Passing, "fresh");
    assert_eq!(world.status("c"), Status::Passing);
    world.pass(10);
    world.local.deregister_check(world.now, "c").unwrap();
    world.pump();
    world.finish_run(Status::Critical, "stale");
    assert_eq!(world.local.checks().count(), 0);
}

#[test]
fn what_is_too_often_or_too_soon_is_raised() {
    let mut world = World::new();
    world.check(
        r#"{"Name":"c","TCP":"a:1","Interval":"100ms","DeregisterCriticalServiceAfter":"1s"}"#,
    );
    let second = Duration::from_secs(1);
    let raised = [
        Event::DeregisterAfterRaised { check: "c".into(), from: second, to: second * 60 },
        Event::IntervalRaised { check: "c".into(), from: second / 10, to: second },
    ];
    for event in raised {
        assert!(world.events.contains(&event), "{event:?} in {:?}", world.events);
    }
}

#[test]
fn a_service_that_is_critical_for_too_long_goes() {
    let mut world = World::new();
    world.service(
        r#"{"Name":"web","Check":{"TTL":"10s","Status":"passing",
            "DeregisterCriticalServiceAfter":"90s"}}"#,
    );
    world.pass(95);
    assert!(world.local.service("web").is_some(), "critical since 10");
    world.pass(40);
    assert!(world.local.service("web").is_none());
    let reaped = Event::Reaped { service: "web".into(), check: "service:web".into() };
    assert!(world.events.contains(&reaped));
    world.assert_converged();
}

#[test]
fn maintenance_is_a_check() {
    let mut world = World::new();
    world.service(r#"{"Name":"web"}"#);
    world.local.set_node_maintenance(world.now, Some("why"));
    world.pump();
    assert_eq!(world.local.check("_node_maintenance").unwrap().notes, "why");
    let health = world.local.health_of_service("web").unwrap();
    assert_eq!(health.status, Status::Maintenance);
    world.local.set_node_maintenance(world.now, None);
    world.local.set_service_maintenance(world.now, "web", Some("")).unwrap();
    world.pump();
    let notes = &world.local.check("_service_maintenance:web").unwrap().notes;
    assert!(notes.starts_with("Maintenance mode is enabled for this service, but no reason"));
    world.assert_converged();
    world.local.set_service_maintenance(world.now, "web", None).unwrap();
    world.pump();
    assert_eq!(world.local.health_of_service("web").unwrap().status, Status::Passing);
    world.assert_converged();
}

#[test]
fn an_alias_says_the_worst_that_its_target_says() {
    let mut world = World::new();
    world.check(r#"{"ID":"al","Name":"al","AliasService":"web"}"#);
    assert_eq!(world.output("al"), "Service web could not be found on node n1");
    world.service(r#"{"Name":"web"}"#);
    assert_eq!((world.status("al"), world.output("al")), (Status::Passing, "No checks found."));
    world.check(r#"{"ID":"a","Name":"A","ServiceID":"web","TTL":"1h"}"#);
    world.check(r#"{"ID":"b","Name":"B","ServiceID":"web","TTL":"1h"}"#);
    world.update("a", Status::Passing, "");
    world.update("b", Status::Warning, "hm");
    let want = (Status::Warning, r#"Aliased check "B" failing: hm"#);
    assert_eq!((world.status("al"), world.output("al")), want);
    world.update("b", Status::Passing, "");
    assert_eq!((world.status("al"), world.output("al")), (Status::Passing, "All checks passing."));
    world.local.deregister_service(world.now, "web").unwrap();
    world.pump();
    assert_eq!(world.status("al"), Status::Critical);
    world.assert_converged();
}

#[test]
fn aliases_that_copy_each_other_copy_what_somebody_knows() {
    let mut world = World::new();
    world.service(r#"{"Name":"a"}"#);
    world.service(r#"{"Name":"b","Check":{"CheckID":"b","TTL":"1h","Status":"warning"}}"#);
    world.check(r#"{"ID":"x","Name":"x","ServiceID":"a","AliasService":"b"}"#);
    world.check(r#"{"ID":"y","Name":"y","ServiceID":"b","AliasService":"a"}"#);
    assert_eq!((world.status("x"), world.status("y")), (Status::Warning, Status::Warning));
    world.update("b", Status::Passing, "");
    assert_eq!((world.status("x"), world.status("y")), (Status::Passing, Status::Passing));
}

#[test]
fn health_by_id_and_by_name() {
    let mut world = World::new();
    world.service(r#"{"ID":"w1","Name":"web","Check":{"TTL":"1h","Status":"passing"}}"#);
    world.service(r#"{"ID":"w2","Name":"Web","Check":{"TTL":"1h","Status":"critical"}}"#);
    world.check(r#"{"Name":"disk","TTL":"1h","Status":"warning"}"#);
    let statuses: Vec<_> =
        world.local.health_of_services_named("web").iter().map(|it| it.status).collect();
    assert_eq!(statuses, [Status::Warning, Status::Critical]);
    assert_eq!(world.local.health_of_service("w1").unwrap().checks.len(), 2);
    assert_eq!(world.local.health_of_service("none"), None);
}
