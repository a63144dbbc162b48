//! Whatever is asked, there is an answer, and it is well-formed.

use proptest::prelude::*;
use tribune_api::http::{Content, Method, Request, Response};
use tribune_api::route::ROUTES;

use crate::server::{Server, request};

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Put,
    Method::Post,
    Method::Delete,
    Method::Options,
    Method::Head,
    Method::Patch,
    Method::Other,
];

/// A path that leads somewhere, or nearly.
fn path() -> impl Strategy<Value = String> {
    let known = (0..ROUTES.len()).prop_map(|it| ROUTES[it].path);
    let rest = prop_oneof![
        4 => "(web|db|n1|b1|any|critical|a/b|c)",
        2 => "[a-z/.%0-9:_]{0,8}",
        1 => "\\PC{0,6}",
    ];
    (known, rest).prop_map(|(known, rest)| format!("{known}{rest}"))
}

/// Parameters that mean something, with values that may not.
fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&[
        "recurse",
        "keys",
        "raw",
        "separator",
        "cas",
        "flags",
        "acquire",
        "index",
        "wait",
        "stale",
        "consistent",
        "max_stale",
        "cached",
        "dc",
        "id",
        "address",
        "ns",
        "passing",
        "tag",
        "node-meta",
        "near",
        "filter",
        "enable",
        "reason",
        "note",
        "format",
        "pretty",
        "wan",
        "replace-existing-checks",
    ]);
    let value = prop_oneof![
        2 => "",
        2 => "[0-9]{1,21}",
        2 => "(true|false|5s|-1|1h|text|dc1|a:b|/|Node==n1|Status+!=+passing|ID+is+empty)",
        1 => "[%a-f0-9=+]{0,6}",
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(pair, 0..3).prop_map(|it| it.join("&"))
}

/// JSON that registers something, or nearly.
fn body() -> impl Strategy<Value = String> {
    let field = prop_oneof![
        4 => "\"(Node|Name|ID|Address|Status|Output|ServiceID|CheckID|Datacenter)\":\"(n1|b1|web|passing|x)\"",
        1 => "\"(Service|Check)\":\\{(\"(Service|Name|ID|TTL|Status)\":\"(web|10s|passing|b)\")?\\}",
        1 => "\"(Checks|Tags|Port|Meta|Weights|TTL|Foo)\":(null|1|\"10s\"|\\[\\]|\\{\\}|true)",
    ];
    let object = prop::collection::vec(field, 0..5).prop_map(|it| format!("{{{}}}", it.join(",")));
    prop_oneof![8 => object, 1 => "\\PC{0,12}", 1 => "[\\[{\"0-9,:]{0,12}"]
}

fn check(request: &Request<'_>, response: &Response) {
    let text = || String::from_utf8_lossy(&response.body);
    match response.content {
        Content::Json => {
            let parsed = serde_json::from_slice::<serde_json::Value>(&response.body);
            assert!(parsed.is_ok(), "{request:?} -> {}", text());
        }
        Content::None => assert!(response.body.is_empty(), "{request:?} -> {}", text()),
        Content::Text => assert!(!response.body.is_empty(), "{request:?} -> nothing"),
        Content::Raw => {}
    }
}

proptest! {
    #[test]
    fn every_request_has_an_answer(
        requests in prop::collection::vec((0..METHODS.len(), path(), query(), body()), 1..30),
    ) {
        let mut server = Server::default();
        for (method, path, query, body) in requests {
            let request = request(METHODS[method], &path, &query, body);
            check(&request, &server.answer(&request));
        }
    }

    #[test]
    fn no_bytes_are_a_surprise(path in "\\PC*", query in "\\PC*", body in "\\PC*") {
        let mut server = Server::default();
        for method in METHODS {
            let request = request(method, &path, &query, body.clone());
            check(&request, &server.answer(&request));
        }
    }

    /// Indented or not, it says the same.
    #[test]
    fn pretty_is_only_pretty(registrations in prop::collection::vec(body(), 1..10), path in path()) {
        let mut server = Server::default();
        for body in registrations {
            for path in ["/v1/catalog/register", "/v1/agent/service/register"] {
                server.answer(&request(Method::Put, path, "", body.clone()));
            }
        }
        let compact = server.answer(&request(Method::Get, &path, "", String::new()));
        let pretty = server.answer(&request(Method::Get, &path, "pretty", String::new()));
        prop_assert_eq!((compact.status, compact.content), (pretty.status, pretty.content));
        if compact.content == Content::Json {
            let parse = |it: &Response| serde_json::from_slice::<serde_json::Value>(&it.body).unwrap();
            prop_assert_eq!(parse(&compact), parse(&pretty));
            prop_assert!(pretty.body.ends_with(b"\n"));
        }
    }
}
