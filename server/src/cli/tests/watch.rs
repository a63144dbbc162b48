//! `tribune watch`: what is printed, what a program is told, and when.

use super::{A_B, Agent, failed, printed, run};

const ALIVE: (&str, u16, &str) = ("GET /v1/agent/self", 200, "{}");

#[test]
fn without_a_program_the_present_is_printed() {
    let agent = Agent::new(&[ALIVE, ("GET /v1/kv/a/b", 200, A_B)]);
    let want = "{\n    \"Key\": \"a/b\",\n    \"CreateIndex\": 15,\n    \"ModifyIndex\": 15,\n    \
                \"LockIndex\": 0,\n    \"Flags\": 0,\n    \"Value\": \"dg==\",\n    \
                \"Session\": \"\"\n}";
    assert_eq!(agent.run(&["watch", "-type=key", "-key=/a/b"]), printed(want));
    let agent = Agent::new(&[ALIVE, ("GET /v1/kv/none/?recurse=", 404, "")]);
    assert_eq!(agent.run(&["watch", "-type=keyprefix", "-prefix=none/"]), printed("null"));
    let agent = Agent::new(&[ALIVE, ("GET /v1/catalog/services", 200, r#"{"consul":[]}"#)]);
    let want = printed("{\n    \"consul\": []\n}");
    assert_eq!(agent.run(&["watch", "-type=services"]), want);
    let agent = Agent::new(&[
        ("GET /v1/agent/self?dc=dc2&stale=", 200, "{}"),
        ("GET /v1/catalog/nodes?dc=dc2&stale=", 200, "[]"),
    ]);
    let nodes = ["watch", "-type=nodes", "-datacenter=dc2", "-stale"];
    assert_eq!(agent.run(&nodes), printed("[]"));
    let agent = Agent::new(&[ALIVE, ("GET /v1/health/state/critical", 200, "[]")]);
    assert_eq!(agent.run(&["watch", "-type=checks", "-state=critical"]), printed("[]"));
    let agent = Agent::new(&[ALIVE, ("GET /v1/event/list?name=e", 200, "[]")]);
    assert_eq!(agent.run(&["watch", "-type=event", "-name=e"]), printed("[]"));
}

#[test]
fn a_program_is_told_each_change_once_and_its_failure_ends_the_watch() {
    let agent = Agent::new(&[
        ALIVE,
        ("GET /v1/health/service/web?passing=1&tag=a&tag=b", 200, "[1]"),
        ("GET /v1/health/service/web?index=7&passing=1&tag=a&tag=b", 200, "@8 [1]"),
        ("GET /v1/health/service/web?index=8&passing=1&tag=a&tag=b", 200, "@8 [2]"),
        ("GET /v1/health/service/web?index=8&passing=1&tag=a&tag=b", 200, "@9 [3]"),
    ]);
    let args = [
        "watch",
        "-type=service",
        "-service=web",
        "-tag=a",
        "-tag=b",
        "-passingonly=true",
        "read got; case $CONSUL_INDEX$got in '7[1]') ;; '9[3]') exit 3 ;; *)",
        "exit 4 ;; esac",
    ];
    assert_eq!(agent.run(&args), failed("Error executing handler: exit status 3"));
}

#[test]
fn an_index_that_goes_back_is_followed() {
    let agent = Agent::new(&[
        ALIVE,
        ("GET /v1/catalog/services", 200, "@9 {\"a\":[]}"),
        ("GET /v1/catalog/services?index=9", 200, "@3 {\"b\":[]}"),
    ]);
    let line = "test $CONSUL_INDEX = 9 || exit $CONSUL_INDEX";
    let args = ["watch", "-type=services", "-shell=false", "sh", "-c", line];
    assert_eq!(agent.run(&args), failed("Error executing handler: exit status 3"));
}

#[test]
fn only_new_events_are_told() {
    let agent = Agent::new(&[
        ALIVE,
        (
            "GET /v1/event/list",
            200,
            r#"@3 [{"ID":"00000000-0000-0001-0000-000000000002","Name":"a","LTime":1}]"#,
        ),
        (
            "GET /v1/event/list?index=3",
            200,
            r#"@6 [{"ID":"00000000-0000-0001-0000-000000000002","Name":"a","LTime":1},
                   {"ID":"00000000-0000-0001-0000-000000000007","Name":"b","LTime":2}]"#,
        ),
    ]);
    let args = [
        "watch",
        "-type=event",
        "read got; test $CONSUL_INDEX = 3 && exit; echo $got | grep -q '\"a\"' || exit 4",
    ];
    assert_eq!(agent.run(&args), failed("Error executing handler: exit status 4"));
}

#[test]
fn mistakes_are_found_before_anybody_is_asked() {
    let cases = [
        ("watch -type=connect_roots", "Type connect_roots is not supported in the CLI tool"),
        (
            "watch -type=service -service=web -passingonly=zz",
            "Failed to parse passingonly flag: strconv.ParseBool: parsing \"zz\": invalid syntax",
        ),
        (
            "watch -type=key -key=a -tag=x -state=z -prefix=b",
            "Invalid parameters: [prefix state tag]",
        ),
    ];
    for (line, want) in cases {
        assert_eq!(run(line), failed(want), "{line}");
    }
    assert!(run("watch").err.starts_with("Watch type must be specified\n\nUsage: "));
}

#[test]
fn programs_that_do_not_start_are_named() {
    let agent = Agent::new(&[ALIVE, ("GET /v1/catalog/services", 200, "{}")]);
    let want = "Error starting handler: fork/exec /nope: no such file or directory";
    assert_eq!(agent.run(&["watch", "-type=services", "-shell=false", "/nope"]), failed(want));
    let agent = Agent::new(&[ALIVE, ("GET /v1/catalog/services", 200, "{}")]);
    let want = failed("Error executing handler: signal: killed");
    assert_eq!(agent.run(&["watch", "-type=services", "kill -9 $$"]), want);
}
