use proptest::prelude::*;

use super::*;
use tribune_base::time::Duration;

fn service(body: &str) -> Result<ServiceDefinition, String> {
    ServiceDefinition::from_json(body.as_bytes()).map_err(|error| error.to_string())
}

fn check(body: &str) -> Result<CheckDefinition, String> {
    CheckDefinition::from_json(body.as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn what_cannot_be_read_says_why() {
    let cases = [
        ("", "EOF"),
        (r#"{"Name":"x""#, "unexpected EOF"),
        (r#"{"Name":"x","Foo":1}"#, r#"json: unknown field "Foo""#),
        (r#"{"Name":"x","Check":{"Foo":1}}"#, r#"json: unknown field "Foo""#),
        (r#"{"Name":"x","Weights":{"Foo":1}}"#, r#"json: unknown field "Foo""#),
        (r#"{"Name":"x","Check":{"TTL":"abc"}}"#, r#"time: invalid duration "abc""#),
        (r#"{"Name":"x","Check":{"TTL":"-abc"}}"#, r#"time: invalid duration "-abc""#),
    ];
    for (body, want) in cases {
        assert_eq!(service(body).unwrap_err(), want, "{body}");
    }
    let cases = [
        (r#"{"Port":"abc"}"#, "string into Go struct field .Port of type int"),
        (r#"{"Port":1.5}"#, "number 1.5 into Go struct field .Port of type int"),
        (r#"{"Port":true}"#, "bool into Go struct field .Port of type int"),
        (r#"{"Name":1}"#, "number into Go struct field .Name of type string"),
        (r#"{"Tags":"a"}"#, "string into Go struct field .Tags of type []string"),
        (r#"{"Tags":[1]}"#, "number into Go struct field .Tags of type string"),
        (r#"{"Meta":{"a":1}}"#, "number into Go struct field .Meta of type string"),
        (r#"{"Meta":[]}"#, "array into Go struct field .Meta of type map[string]string"),
        (
            r#"{"Weights":{"Passing":"1"}}"#,
            "string into Go struct field Weights.Weights.Passing of type int",
        ),
        (r#"{"Check":{"HTTP":1}}"#, "number into Go struct field .Check of type string"),
        (r#"{"Checks":{}}"#, "object into Go struct field .Checks of type structs.CheckTypes"),
        (
            r#"{"Checks":[{"Header":{"a":"b"}}]}"#,
            "string into Go struct field .Checks of type []string",
        ),
        (
            r#"{"TaggedAddresses":{"lan":"a"}}"#,
            "string into Go struct field .TaggedAddresses of type structs.ServiceAddress",
        ),
        (
            r#"{"TaggedAddresses":{"lan":{"Port":"z"}}}"#,
            "string into Go struct field ServiceAddress.TaggedAddresses.Port of type int",
        ),
    ];
    for (body, want) in cases {
        let want = format!("json: cannot unmarshal {want}");
        assert_eq!(service(body).unwrap_err(), want, "{body}");
    }
    let want = "json: cannot unmarshal number into Go struct field .HTTP of type string";
    assert_eq!(check(r#"{"Name":"x","HTTP":1}"#).unwrap_err(), want);
    assert_eq!(
        check(r#"{"Name":"x","TTL":"abc"}"#).unwrap_err(),
        r#"time: invalid duration "abc""#
    );
}

#[test]
fn names_of_fields_come_in_every_case() {
    let camel = r#"{"ID":"w","Name":"web","EnableTagOverride":true,
        "TaggedAddresses":{"lan":{"Address":"10.0.0.1","Port":80}},
        "Check":{"ScriptArgs":["true"],"Interval":"10s","DeregisterCriticalServiceAfter":"1m"}}"#;
    let snake = r#"{"id":"w","name":"web","enable_tag_override":true,
        "tagged_addresses":{"lan":{"address":"10.0.0.1","port":80}},
        "check":{"args":["true"],"interval":10000000000,"deregister_critical_service_after":"60s"}}"#;
    assert_eq!(service(camel).unwrap(), service(snake).unwrap());
}

#[test]
fn what_clients_write_for_nothing_is_nothing() {
    let body = r#"{"Name":"x","Tags":null,"Check":null,"Port":null,"Connect":{"Native":false},
        "Proxy":null,"Namespace":"default","Checks":[],"Meta":null,"Weights":null}"#;
    let plain = ServiceDefinition { name: "x".into(), ..ServiceDefinition::default() };
    assert_eq!(service(body), Ok(plain.clone()));
    assert_eq!(service(r#"{"Name":"x","Check":{}}"#), Ok(plain));
    let connect = service(r#"{"Name":"x","Connect":{"Native":true}}"#).unwrap();
    assert_eq!(connect.validate(), Err(InvalidService::Connect));
}

#[test]
fn what_makes_no_sense_says_why() {
    let cases = [
        ("{}", "Missing service name"),
        (r#"{"Name":"x","Address":"0.0.0.0"}"#, "Invalid service address"),
        (r#"{"Name":"x","Address":"::"}"#, "Invalid service address"),
        (
            r#"{"Name":"x","Check":{"Interval":"10s"}}"#,
            "Invalid check: TTL must be > 0 for TTL checks",
        ),
        (
            r#"{"Name":"x","Check":{"TCP":"h:1"}}"#,
            "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks",
        ),
        (
            r#"{"Name":"x","Check":{"TTL":"1s","Status":"weird"}}"#,
            "Status for checks must 'passing', 'warning', 'critical'",
        ),
        (
            r#"{"Name":"x","Weights":{"Passing":0,"Warning":1}}"#,
            "Invalid Weights: Passing must be greater than 0",
        ),
        (
            r#"{"Name":"x","Weights":{"Passing":70000,"Warning":1}}"#,
            "Invalid Weights: DNS Weight must be between 0 and 65535",
        ),
        (
            r#"{"Name":"x","Weights":{"Passing":1,"Warning":-1}}"#,
            "Invalid Weights: Warning must be greater or equal than 0",
        ),
        (
            r#"{"Name":"x","Meta":{"":"a"}}"#,
            "Invalid Service Meta: Couldn't load metadata pair ('', 'a'): Key cannot be blank",
        ),
        (
            r#"{"Name":"x","Meta":{"a b":"a"}}"#,
            "Invalid Service Meta: Couldn't load metadata pair ('a b', 'a'): Key contains invalid \
             characters",
        ),
        (
            r#"{"Name":"x","Meta":{"consul-x":"a"}}"#,
            "Invalid Service Meta: Couldn't load metadata pair ('consul-x', 'a'): Key prefix \
             'consul-' is reserved for internal use",
        ),
    ];
    for (body, want) in cases {
        assert_eq!(service(body).unwrap().validate().unwrap_err().to_string(), want, "{body}");
    }
}

#[test]
fn a_check_that_says_nothing_is_none_and_one_that_says_too_little_is_refused() {
    let blank =
        ["{}", "null", r#"{"TTL":"0s"}"#, r#"{"Interval":"","Args":[]}"#, r#"{"TTL":0}"#, "[]"];
    for form in blank {
        let service = service(&format!(r#"{{"Name":"x","Check":{form}}}"#)).unwrap();
        assert_eq!((service.checks.len(), service.validate()), (0, Ok(())), "{form}");
    }
    let said = [
        r#"{"TTL":"-5s"}"#,
        r#"{"Interval":"-5s"}"#,
        r#"{"Interval":-5}"#,
        r#"{"Timeout":"-5s"}"#,
        r#"{"OutputMaxSize":-1}"#,
        r#"{"Notes":"x"}"#,
        r#"[{},{"TTL":"-5s"}]"#,
    ];
    for form in said {
        let service = service(&format!(r#"{{"Name":"x","Check":{form}}}"#)).unwrap();
        let refused = Err(InvalidService::Check(InvalidCheck::NoTtl));
        assert_eq!((service.checks.len(), service.validate()), (1, refused), "{form}");
    }
}

#[test]
fn a_check_is_of_one_kind() {
    let kind = |body| check(body).unwrap().kind(4096).map(|it| it.name());
    let cases = [
        (r#"{"TTL":"10s"}"#, Ok("ttl")),
        (r#"{"HTTP":"http://a","Interval":"1s"}"#, Ok("http")),
        (r#"{"TCP":"a:1","Interval":"1s"}"#, Ok("tcp")),
        (r#"{"UDP":"a:1","Interval":"1s"}"#, Ok("udp")),
        (r#"{"Args":["true"],"Interval":"1s"}"#, Ok("script")),
        (r#"{"AliasService":"q"}"#, Ok("alias")),
        (r#"{"AliasNode":"n1","Interval":"1s"}"#, Ok("alias")),
        // Both are given, one decides.
        (r#"{"HTTP":"http://a","Args":["true"],"Interval":"1s"}"#, Ok("http")),
        ("{}", Err(InvalidCheck::NoTtl)),
        (r#"{"TTL":"-1s"}"#, Err(InvalidCheck::NoTtl)),
        (r#"{"TTL":"-1s","OutputMaxSize":-1}"#, Err(InvalidCheck::NoTtl)),
        (r#"{"TTL":"1s","OutputMaxSize":-1}"#, Err(InvalidCheck::OutputMaxSize)),
        (r#"{"HTTP":"http://a","OutputMaxSize":-1}"#, Err(InvalidCheck::NoInterval)),
        (
            r#"{"HTTP":"http://a","Interval":"1s","OutputMaxSize":-1}"#,
            Err(InvalidCheck::OutputMaxSize),
        ),
        // What is below zero is not there, as long as something else is.
        (r#"{"TTL":"1s","Interval":"-1s"}"#, Ok("ttl")),
        (r#"{"TTL":"-1s","HTTP":"http://a","Interval":"1s"}"#, Ok("http")),
        (r#"{"TTL":"-1s","Interval":"1s"}"#, Err(InvalidCheck::NoTtl)),
        (r#"{"TTL":"1s","HTTP":"a","Interval":"1s"}"#, Err(InvalidCheck::IntervalAndTtl)),
        (r#"{"TCP":"a:1","Interval":"-1s"}"#, Err(InvalidCheck::NoInterval)),
        (r#"{"AliasService":"q","TTL":"1s"}"#, Err(InvalidCheck::AliasWithTtl)),
        (
            r#"{"AliasService":"q","TCP":"a:1","Interval":"1s"}"#,
            Err(InvalidCheck::AliasWithInterval),
        ),
        (r#"{"GRPC":"a:1","Interval":"1s"}"#, Err(InvalidCheck::Unsupported("GRPC"))),
    ];
    for (body, want) in cases {
        assert_eq!(kind(body), want, "{body}");
    }
}

#[test]
fn a_look_has_a_time_limit() {
    let timeout = |body| match check(body).unwrap().kind(4096).unwrap() {
        CheckKind::Probe { timeout, .. } => timeout.as_secs(),
        CheckKind::Ttl(_) | CheckKind::Alias { .. } => panic!("{body} does not look"),
    };
    assert_eq!(timeout(r#"{"HTTP":"http://a","Interval":"1s"}"#), 10);
    assert_eq!(timeout(r#"{"TCP":"a:1","Interval":"1s"}"#), 10);
    assert_eq!(timeout(r#"{"Args":["true"],"Interval":"1s"}"#), 30);
    assert_eq!(timeout(r#"{"Args":["true"],"Interval":"1s","Timeout":"3s"}"#), 3);
}

#[test]
fn checks_of_a_service_are_named_after_it() {
    let names = |body| {
        let checks = service(body).unwrap().named_checks().into_iter();
        checks.map(|it| (it.id, it.name, it.service_id)).collect::<Vec<_>>()
    };
    let named = |id: &str, name: &str| (id.to_owned(), name.to_owned(), "w2".to_owned());
    let single = r#"{"ID":"w2","Name":"web","Check":{"TTL":"1s"}}"#;
    assert_eq!(names(single), [named("service:w2", "Service 'web' check")]);
    let several = r#"{"ID":"w2","Name":"web","Check":{"TTL":"1s","CheckID":"mine","Name":"my name"},
        "Checks":[{"TTL":"2s"}]}"#;
    let want = [named("mine", "my name"), named("service:w2:2", "Service 'web' check")];
    assert_eq!(names(several), want);
    let blocks = r#"{"id":"w2","name":"web","check":[{"ttl":"1s"},{"ttl":"2s"}]}"#;
    assert_eq!(names(blocks).len(), 2);
}

fn any_check() -> impl Strategy<Value = CheckDefinition> {
    let text = "[ -~ü]{0,8}";
    let texts = (text, text, text, text, text, text);
    let times = (0..100_000_u64, 0..100_000_u64, 0..100_000_u64, 0..100_000_u64);
    let counts = (0..9_u32, 0..9_u32, 0..9_u32, any::<bool>());
    let lists = (
        prop::collection::vec(text, 0..3),
        prop::collection::btree_map(text, prop::collection::vec(text, 0..3), 0..3),
    );
    (texts, times, counts, lists).prop_map(|(texts, times, counts, (args, header))| {
        let ms = Duration::from_millis;
        CheckDefinition {
            id: texts.0,
            name: texts.1,
            notes: texts.2,
            service_id: texts.3,
            http: texts.4,
            body: texts.5,
            ttl: ms(times.0),
            interval: ms(times.1),
            timeout: ms(times.2),
            deregister_critical_service_after: ms(times.3),
            success_before_passing: counts.0,
            failures_before_warning: counts.1,
            failures_before_critical: counts.2,
            disable_redirects: counts.3,
            tls_skip_verify: counts.3,
            h2ping_use_tls: Some(counts.3),
            args,
            header,
            ..CheckDefinition::default()
        }
    })
}

proptest! {
    #[test]
    fn a_check_is_read_as_it_was_written(check in any_check()) {
        let written = serde_json::to_vec(&check).unwrap();
        prop_assert_eq!(CheckDefinition::from_json(&written).unwrap(), check);
    }

    /// Neither a panic nor a difference between reading once and twice.
    #[test]
    fn whatever_is_read_can_be_written(body in r#"\{("[A-Za-z_]{1,8}":("[a-z0-9]{0,5}"|[0-9]{1,5}|true|null|\[\]|\{\}),?){0,4}\}"#) {
        if let Ok(definition) = ServiceDefinition::from_json(body.as_bytes()) {
            let written = serde_json::to_vec(&definition).unwrap();
            let again = ServiceDefinition::from_json(&written).unwrap();
            prop_assert_eq!(again.name, definition.name);
        }
    }
}
