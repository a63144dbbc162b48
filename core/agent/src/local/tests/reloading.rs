use super::*;

/// What a configuration says: services and checks, as JSON.
fn says(services: &[&str], checks: &[&str]) -> Reload {
    let services = services.iter().map(|it| ServiceDefinition::from_json(it.as_bytes()).unwrap());
    let checks = checks.iter().map(|it| CheckDefinition::from_json(it.as_bytes()).unwrap());
    Reload { services: services.collect(), checks: checks.collect(), ..Reload::default() }
}

fn reload(world: &mut World, reload: Reload) {
    world.local.reload(world.now, reload);
    world.pump();
    world.assert_converged();
}

fn ids(world: &World) -> (Vec<&str>, Vec<&str>) {
    let services = world.local.services().map(|it| it.id.as_str()).collect();
    (services, world.local.checks().map(|it| it.id.as_str()).collect())
}

#[test]
fn what_the_configuration_no_longer_says_goes_and_what_requests_said_stays() {
    let mut world = World::new();
    world.service(r#"{"Name":"api","Check":{"TTL":"30s"}}"#);
    let web = r#"{"Name":"web","Port":80,"Check":{"TTL":"30s"}}"#;
    reload(&mut world, says(&[web, r#"{"Name":"db"}"#], &[r#"{"Name":"disk","TTL":"30s"}"#]));
    assert_eq!(ids(&world).0, ["api", "db", "web"]);
    assert_eq!(ids(&world).1, ["disk", "service:api", "service:web"]);

    reload(&mut world, says(&[r#"{"Name":"web","Port":81}"#], &[]));
    assert_eq!(ids(&world), (vec!["api", "web"], vec!["service:api"]));
    assert_eq!(world.local.service("web").unwrap().port, 81);
}

#[test]
fn what_is_known_of_a_check_stays_known() {
    let mut world = World::new();
    let web = |port: u16| format!(r#"{{"Name":"web","Port":{port},"Check":{{"TTL":"30s"}}}}"#);
    reload(&mut world, says(&[&web(80)], &[]));
    world.update("service:web", Status::Passing, "fine");
    let writes = world.writes;
    reload(&mut world, says(&[&web(80)], &[]));
    assert_eq!(world.writes, writes, "the same again is no news");
    reload(&mut world, says(&[&web(81)], &[]));
    assert_eq!(
        (world.status("service:web"), world.output("service:web")),
        (Status::Passing, "fine")
    );
    world.pass(29);
    assert_eq!(world.status("service:web"), Status::Passing);
    world.pass(1);
    assert_eq!(world.status("service:web"), Status::Critical, "reading files again is no report");
}

#[test]
fn a_status_that_the_configuration_says_later_is_not_what_is_known() {
    let mut world = World::new();
    let web = |check: &str| format!(r#"{{"Name":"web","Check":{check}}}"#);
    let disk = |check: &str| format!(r#"{{"Name":"disk",{}"#, &check[1..]);
    let mut load = |check: &str| {
        reload(&mut world, says(&[&web(check)], &[&disk(check)]));
        for id in ["service:web", "disk"] {
            if world.local.check(id).unwrap().output.is_empty() {
                world.update(id, Status::Passing, "hi");
            }
            assert_eq!((world.status(id), world.output(id)), (Status::Passing, "hi"), "{check}");
        }
    };
    load(r#"{"TTL":"60s"}"#);
    load(r#"{"TTL":"60s","Status":"warning"}"#);
    load(r#"{"TCP":"a:1","Interval":"60s","Status":"critical"}"#);
}

#[test]
fn a_definition_that_is_refused_leaves_what_was_there() {
    let mut world = World::new();
    reload(&mut world, says(&[], &[r#"{"Name":"disk","TTL":"30s","Notes":"old"}"#]));
    let tls = r#"{"Name":"disk","HTTP":"https://localhost/","Interval":"5s","Notes":"new"}"#;
    reload(&mut world, says(&[], &[tls]));
    assert_eq!(world.local.check("disk").unwrap().notes, "old");
    let refused = |it: &&Event| matches!(it, Event::DefinitionRefused { id, .. } if id == "disk");
    assert_eq!(world.events.iter().filter(refused).count(), 1);
}

#[test]
fn what_the_configuration_takes_over_does_not_come_back_without_it() {
    let mut world = World::new();
    world.service(r#"{"Name":"web","Port":80}"#);
    assert_eq!(world.files.len(), 1);
    reload(&mut world, says(&[r#"{"Name":"web","Port":81}"#], &[]));
    assert!(world.files.is_empty(), "{:?}", world.files);
    reload(&mut world, says(&[], &[]));
    assert!(world.local.service("web").is_none());
}

#[test]
fn what_is_said_of_the_node_reaches_the_catalog() {
    let mut world = World::new();
    let meta = BTreeMap::from([("rack".to_owned(), "7".to_owned())]);
    reload(&mut world, Reload { meta: meta.clone(), ..Reload::default() });
    assert_eq!(world.store.view().node("n1").1.unwrap().meta, Some(meta));
}
