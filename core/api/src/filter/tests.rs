use tribune_state::{
    Check, HealthInstance, Instance, Node, Service, ServiceAddress, Status, Weights,
};

use super::*;

fn service() -> Service {
    let lan = ServiceAddress { address: "10.0.0.1".into(), port: 8080 };
    Service {
        id: "web-1".into(),
        name: "web".into(),
        tags: vec!["blue".into(), "v2".into()],
        tagged_addresses: Some([("lan".to_owned(), lan)].into()),
        meta: Some([("env".to_owned(), "prod".to_owned())].into()),
        port: 80,
        weights: Weights { passing: 3, warning: 1 },
        ..Service::default()
    }
}

fn node() -> Node {
    Node {
        name: "n1".into(),
        address: "192.0.2.1".into(),
        datacenter: "dc1".into(),
        meta: Some([("os".to_owned(), "linux".to_owned())].into()),
        ..Node::default()
    }
}

/// The language, on one service: `web-1`, tagged `blue` and `v2`, of environment `prod`.
#[test]
fn expressions() {
    let cases = [
        ("Service == web", true),
        ("Service==web", true),
        ("Service == \"web\"", true),
        ("Service == `web`", true),
        ("Service == Web", false),
        ("Service != web", false),
        ("ID == \"web-1\"", true),
        ("blue in Tags", true),
        ("green in Tags", false),
        ("green not in Tags", true),
        ("Tags contains blue", true),
        ("Tags not contains blue", false),
        ("Tags is empty", false),
        ("Tags is not empty", true),
        ("Address is empty", true),
        ("we in Service", true),
        ("Service matches `^w.b$`", true),
        ("Service matches eb", true),
        ("Service not matches eb", false),
        ("Meta.env == prod", true),
        ("Meta[\"env\"] == prod", true),
        ("Meta.none == prod", false),
        // What is not there differs from everything.
        ("Meta.none != prod", true),
        ("Meta.none is empty", true),
        ("env in Meta", true),
        ("prod in Meta", false),
        ("Port == 80", true),
        ("Port != 80", false),
        ("Weights.Passing == 3", true),
        ("EnableTagOverride == false", true),
        ("EnableTagOverride != true", true),
        ("TaggedAddresses.lan.Port == 8080", true),
        ("TaggedAddresses.wan.Port == 8080", false),
        ("lan in TaggedAddresses", true),
        ("not Service == web", false),
        ("not (Service == db)", true),
        ("not not Service == web", true),
        // `and` binds tighter than `or`, and `not` tighter than both.
        ("Service == web or Service == db and Port == 1", true),
        ("(Service == web or Service == db) and Port == 1", false),
        ("not Service == db and Port == 80", true),
        (" \t( Service == web\n)\r\n", true),
        ("Service == and or Service == web", true),
    ];
    for (text, want) in cases {
        let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.check(Rows::Services), Ok(()), "{text}");
        assert_eq!(filter.accepts(&service()), want, "{text}");
    }
}

#[test]
fn one_check_is_enough() {
    let (node, service) = (node(), service());
    let good = Check { id: "a".into(), status: Status::Passing, ..Check::default() };
    let bad = Check { id: "b".into(), status: Status::Critical, ..Check::default() };
    let row = HealthInstance { node: &node, service: &service, checks: vec![&good, &bad] };
    let cases = [
        ("Checks.Status == critical", true),
        ("Checks.Status == passing", true),
        ("Checks.Status != passing", true),
        ("Checks.Status == warning", false),
        ("not Checks.Status == warning", true),
        ("Checks is not empty", true),
        ("Node.Meta.os == linux and Service.Port == 80", true),
    ];
    for (text, want) in cases {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.check(Rows::HealthInstances), Ok(()), "{text}");
        assert_eq!(filter.accepts(&row), want, "{text}");
    }
}

#[test]
fn an_instance_has_the_fields_of_its_answer() {
    let (node, service) = (node(), service());
    let row = Instance { node: &node, service: &service };
    for text in [
        "Node == n1",
        "NodeMeta.os == linux",
        "Address == \"192.0.2.1\"",
        "ServiceName == web",
        "ServiceID == \"web-1\"",
        "blue in ServiceTags",
        "ServiceMeta.env == prod",
        "ServicePort == 80",
        "ServiceWeights.Passing == 3",
        "ServiceTaggedAddresses.lan.Address == \"10.0.0.1\"",
        "ServiceKind is empty",
    ] {
        let filter = Filter::parse(text).unwrap();
        assert_eq!(filter.check(Rows::Instances), Ok(()), "{text}");
        assert!(filter.accepts(&row), "{text}");
    }
    for text in ["Service == web", "Meta.os == linux", "ServiceService == web", "Name == n1"] {
        assert!(Filter::parse(text).unwrap().check(Rows::Instances).is_err(), "{text}");
    }
}

#[test]
fn what_is_no_expression_says_where() {
    let cases = [
        ("Bad", "1:4 (3): no match found, expected: "),
        ("", "1:1 (0): no match found, expected: "),
        ("CheckID==_node_maintenance", "1:10 (9): no match found, expected: "),
        ("a == 1 b", "1:8 (7): no match found, expected: "),
        ("(a == 1", "1:8 (7): no match found, expected: "),
        ("a == \"x", "1:8 (7): no match found, expected: "),
        ("a == 1.", "1:8 (7): no match found, expected: "),
        ("1 == a", "1:2 (1): no match found, expected: "),
        ("a is b", "1:5 (4): no match found, expected: "),
        ("a not is empty", "1:6 (5): no match found, expected: "),
        ("a < 1", "1:2 (1): no match found, expected: "),
        ("a[b] == 1", "1:3 (2): no match found, expected: "),
        ("a matches \"(\"", "regex parse error"),
    ];
    for (text, want) in cases {
        let error = Filter::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn nothing_is_too_deep_or_too_long() {
    let nested = |n: usize| format!("{}Port == 1{}", "(".repeat(n), ")".repeat(n));
    assert!(Filter::parse(&nested(DEPTH_MAX)).is_ok());
    assert_eq!(Filter::parse(&nested(DEPTH_MAX + 1)), Err(FilterError::TooLarge));
    assert_eq!(Filter::parse(&"not ".repeat(1000)), Err(FilterError::TooLarge));
    assert_eq!(Filter::parse(&"a".repeat(TEXT_LEN_MAX + 1)), Err(FilterError::TooLarge));
}

#[test]
fn rows_refuse_what_they_cannot_answer() {
    let cases = [
        (Rows::Nodes, "Nope==1", "Selector \"Nope\" is not valid"),
        (Rows::Nodes, "Node.x==1", "Selector \"Node.x\" is not valid"),
        (Rows::Nodes, "Meta.a.b==1", "Selector \"Meta.a.b\" is not valid"),
        (Rows::Services, "Tags==a", "\"==\" makes no sense for selector \"Tags\""),
        (Rows::Services, "Port is empty", "\"is empty\" makes no sense for selector \"Port\""),
        (Rows::Services, "Port==web", "\"web\" is no value for selector \"Port\""),
        (Rows::HealthInstances, "Checks == 1", "\"==\" makes no sense for selector \"Checks\""),
        (Rows::HealthInstances, "Checks.Nope == 1", "Selector \"Checks.Nope\" is not valid"),
        (Rows::Checks, "Definition == x", "Selector \"Definition\" is not valid"),
        (Rows::Members, "Tags.role == x or Addr2 == y", "Selector \"Addr2\" is not valid"),
    ];
    for (rows, text, want) in cases {
        let error = Filter::parse(text).unwrap().check(rows).unwrap_err();
        assert_eq!(error.to_string(), want, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_is_a_surprise(text in "[A-Za-z.=!\"`\\\\ \\[\\]()0-9ü-]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.check(Rows::Services);
            filter.accepts(&service());
        }
    }
}
