use super::*;

/// What a path leads to, in a line.
fn show(path: &str) -> String {
    match find(path) {
        Ok(Found::Route { route, rest }) => {
            format!("{:?} {:?}", route.endpoint, String::from_utf8_lossy(&rest))
        }
        Ok(Found::Moved(to)) => format!("moved {to}"),
        Err(error) => format!("{} {error}", error.status()),
    }
}

#[test]
fn paths() {
    let unknown = "404 Invalid URL path: not a recognized HTTP API endpoint";
    let cases = [
        ("/v1/kv/a", r#"Kv "a""#),
        ("/v1/kv/", r#"Kv """#),
        ("/v1/kv/a/b/", r#"Kv "a/b/""#),
        ("/v1/kv/a%2Fb%20c", r#"Kv "a/b c""#),
        ("/v1/kv/u%C3%BC", r#"Kv "uü""#),
        // Escaped, two slashes in a row are part of a key.
        ("/v1/kv/a%2F%2Fb", r#"Kv "a//b""#),
        ("/v1/kv", "moved /v1/kv/"),
        ("/v1/kv//lead", "moved /v1/kv/lead"),
        ("/v1/kv/x/../y", "moved /v1/kv/y"),
        ("/v1/kv/./y/", "moved /v1/kv/y/"),
        ("/v1/kv/..", "moved /v1"),
        ("/../..", "moved /"),
        ("/v1/kv/..y", r#"Kv "..y""#),
        ("/v1/kv/a%00b", "400 "),
        ("/v1/kv/a%0Ab", "400 "),
        ("/v1/kv/a%C2%A0b", "400 "),
        ("/v1/kv/a%FFb", r#"Kv "a�b""#),
        ("/v1/agent/service/register", r#"Agent(RegisterService) """#),
        ("/v1/agent/service/registered", r#"Agent(Service) "registered""#),
        ("/v1/catalog/nodes", r#"Catalog(Nodes) """#),
        ("/v1/catalog/nodes/", unknown),
        ("/v1/nope", unknown),
        ("", unknown),
        ("*", unknown),
    ];
    for (path, want) in cases {
        assert_eq!(show(path), want, "{path}");
    }
}

#[test]
fn every_route_can_be_reached() {
    for route in ROUTES {
        let path = if route.takes_below() { format!("{}x", route.path) } else { route.path.into() };
        let Ok(Found::Route { route: found, .. }) = find(&path) else { panic!("{path} is lost") };
        assert_eq!(found.path, route.path);
    }
}

#[test]
fn every_route_says_which_methods_it_knows() {
    for route in ROUTES {
        let allow = [("Allow", route.allow())];
        let options = route.refuse(Method::Options);
        assert_eq!((options.status, &options.headers[..]), (200, &allow[..]), "{}", route.path);
        let patch = route.refuse(Method::Patch);
        assert_eq!((patch.status, &patch.headers[..]), (405, &allow[..]), "{}", route.path);
        assert_eq!(patch.body, "method PATCH not allowed");
    }
    assert_eq!(ROUTES[0].allow(), "OPTIONS,GET,PUT,DELETE");
}
