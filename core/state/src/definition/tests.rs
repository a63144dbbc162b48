use super::*;
use crate::row;
use crate::types::{Check, Status};

/// One with something in every field.
fn full() -> Definition {
    Definition {
        interval: Duration::from_secs(30),
        timeout: Duration::from_millis(1500),
        deregister_critical_service_after: Duration::from_secs(600),
        http: "http://192.0.2.1/".into(),
        tls_skip_verify: true,
        header: BTreeMap::from([
            ("A".into(), vec!["b".into(), String::new(), "c".into()]),
            ("None".into(), vec![]),
        ]),
        method: "PUT".into(),
        body: "hello".into(),
        tcp: "192.0.2.1:80".into(),
        udp: "192.0.2.1:53".into(),
        output_max_size: 7,
        script_args: vec!["true".into(), String::new()],
        docker_container_id: "d".into(),
        shell: "sh".into(),
        grpc: "192.0.2.1:81".into(),
        grpc_use_tls: true,
        alias_node: "n".into(),
        alias_service: "s".into(),
        ttl: Duration::from_nanos(1),
    }
}

#[test]
fn bytes_are_the_definition() {
    for definition in [full(), Definition::default()] {
        let mut writer = Writer::new();
        write(&mut writer, &definition);
        assert_eq!(read(Reader::new(writer.finish())), Ok(definition));
    }
}

#[test]
fn a_check_that_an_earlier_release_wrote_has_none() {
    let definition = Some(Box::new(full()));
    let check = Check { id: "c".into(), status: Status::Warning, definition, ..Check::default() };
    let bytes = |check: &Check| {
        let mut writer = Writer::new();
        row::write_check(&mut writer, check);
        writer.finish()
    };
    let without = Check { definition: None, ..check.clone() };
    // Nothing is added to the bytes of a check that has no definition, and nothing else is moved by
    // one: either release reads what the other wrote.
    assert!(bytes(&check).starts_with(&bytes(&without)));
    assert_eq!(row::read_check(Reader::new(bytes(&without))), Ok(without));
    assert_eq!(row::read_check(Reader::new(bytes(&check))), Ok(check));
}

#[test]
fn a_definition_says_what_kind_it_is() {
    let every = Duration::from_secs(1);
    let of = |change: fn(&mut Definition)| {
        let mut definition = Definition { interval: every, ..Definition::default() };
        change(&mut definition);
        definition.kind()
    };
    assert_eq!(full().kind(), "grpc");
    assert_eq!(Definition { interval: Duration::ZERO, ..full() }.kind(), "ttl");
    assert_eq!(of(|_| {}), "");
    assert_eq!(of(|it| (it.http, it.tcp) = ("a".into(), "b".into())), "http");
    assert_eq!(of(|it| (it.http, it.interval) = ("a".into(), Duration::ZERO)), "");
    assert_eq!(of(|it| it.tcp = "b".into()), "tcp");
    assert_eq!(of(|it| it.udp = "b".into()), "udp");
    assert_eq!(of(|it| it.docker_container_id = "d".into()), "");
    assert_eq!(of(|it| it.alias_node = "n".into()), "alias");
    assert_eq!(of(|it| it.script_args = vec!["true".into()]), "script");
}
