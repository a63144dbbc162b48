//! Commands about the pool: events, keys, distances, who comes and who goes.

use std::process::ExitCode;

use super::{Agent, Ran, failed, printed, run};

#[test]
fn events_are_fired() {
    const ALIVE: (&str, u16, &str) = ("GET /v1/agent/self", 200, "{}");
    let agent = Agent::new(&[ALIVE, ("PUT /v1/event/fire/e", 200, r#"{"ID":"78c5"}"#)]);
    assert_eq!(agent.run(&["event", "-name=e"]), printed("Event ID: 78c5"));
    let agent = Agent::new(&[
        ALIVE,
        ("PUT /v1/event/fire/e?node=a.%2A&service=s&tag=t pay", 200, r#"{"ID":"78c5"}"#),
    ]);
    let args = ["event", "-name=e", "-node=a.*", "-service=s", "-tag=t", "pay"];
    assert_eq!(agent.run(&args), printed("Event ID: 78c5"));
    let agent = Agent::new(&[ALIVE, ("PUT /v1/event/fire/e", 403, "Permission denied")]);
    let want = "Error firing event: Unexpected response code: 403 (Permission denied)";
    assert_eq!(agent.run(&["event", "-name=e"]), failed(want));
}

#[test]
fn keys_are_made_and_differ() {
    let (one, other) = (run("keygen"), run("keygen"));
    assert_eq!((one.code, one.out.len()), (ExitCode::SUCCESS, 45));
    assert!(one.out.ends_with("=\n"), "{}", one.out);
    assert_ne!(one.out, other.out);
}

#[test]
fn keys_are_listed_and_changed() {
    const POOLS: &str = r#"[{"WAN":true,"Datacenter":"dc1","Segment":"","Keys":{"b=":1,"a=":2},
        "PrimaryKeys":{"a=":2},"NumNodes":2},{"WAN":false,"Datacenter":"dc1","Segment":"",
        "Keys":{"a=":3},"NumNodes":3},{"WAN":false,"Datacenter":"dc1","Segment":"x","Keys":null,
        "NumNodes":0}]"#;
    let keyring = |answers, args: &[&str]| Agent::new(answers).run(&[&["keyring"], args].concat());
    let want = "==> Gathering installed encryption keys...\n\nWAN:\n  a= [2/2]\n  b= [1/2]\n\n\
                dc1 (LAN):\n  a= [3/3]\n\ndc1 (LAN) [x]:";
    assert_eq!(keyring(&[("GET /v1/operator/keyring", 200, POOLS)], &["-list"]), printed(want));
    let request = &[("GET /v1/operator/keyring?local-only=true&relay-factor=3", 200, "[]")];
    let want = printed("==> Gathering installed encryption keys...");
    assert_eq!(keyring(request, &["-list", "-local-only", "-relay-factor=3"]), want);

    let request = &[("POST /v1/operator/keyring?relay-factor=2 {\"Key\":\"a=\"}", 200, "")];
    let want = printed("==> Installing new gossip encryption key...");
    assert_eq!(keyring(request, &["-install=a=", "-relay-factor=2"]), want);
    let request = &[("PUT /v1/operator/keyring {\"Key\":\"a=\"}", 200, "")];
    let want = printed("==> Changing primary gossip encryption key...");
    assert_eq!(keyring(request, &["-use=a="]), want);
    const NO: &str = "1 error occurred:\n\t* n1: Removing the primary key is not allowed\n\n";
    let request = &[("DELETE /v1/operator/keyring {\"Key\":\"a=\"}", 500, NO)];
    let want = Ran {
        code: ExitCode::FAILURE,
        out: "==> Removing gossip encryption key...\n".to_owned(),
        err: "error: Unexpected response code: 500 (1 error occurred:\n\t* n1: Removing the \
              primary key is not allowed)\n"
            .to_owned(),
    };
    assert_eq!(keyring(request, &["-remove=a="]), want);
}

#[test]
fn members_are_joined_until_nobody_is_left() {
    const REFUSED: &str = "1 error occurred:";
    let agent = Agent::new(&[
        ("PUT /v1/agent/join/a:1", 500, REFUSED),
        ("PUT /v1/agent/join/b", 200, ""),
        ("PUT /v1/agent/join/c", 200, ""),
    ]);
    let complaint =
        "Error joining address 'a:1': Unexpected response code: 500 (1 error occurred:)\n";
    let want = Ran {
        err: complaint.to_owned(),
        ..printed("Successfully joined cluster by contacting 2 nodes.")
    };
    assert_eq!(agent.run(&["join", "a:1", "b", "c"]), want);
    let agent = Agent::new(&[("PUT /v1/agent/join/a:1?wan=1", 500, REFUSED)]);
    assert_eq!(agent.run(&["join", "-wan", "a:1"]), failed(complaint.trim_end()));
}

#[test]
fn members_are_let_go() {
    let silence = || Ran { code: ExitCode::SUCCESS, out: String::new(), err: String::new() };
    let agent = Agent::new(&[("PUT /v1/agent/force-leave/n", 200, "")]);
    assert_eq!(agent.run(&["force-leave", "n"]), silence());
    let agent = Agent::new(&[("PUT /v1/agent/force-leave/n?prune=1", 200, "")]);
    assert_eq!(agent.run(&["force-leave", "-prune", "n"]), silence());
    const UNKNOWN: &str = "agent: No node found with name 'n'";
    let agent = Agent::new(&[("PUT /v1/agent/force-leave/n.dc2?wan=1", 200, "")]);
    assert_eq!(agent.run(&["force-leave", "-wan", "n.dc2"]), silence());
    let agent = Agent::new(&[("PUT /v1/agent/force-leave/n", 500, UNKNOWN)]);
    let want = "Error force leaving: Unexpected response code: 500 \
                (agent: No node found with name 'n')";
    assert_eq!(agent.run(&["force-leave", "n"]), failed(want));
}

const NODES: &str = r#"[
    {"Node":"me","Segment":"","Coord":{"Vec":[0.001,0.002,0,0,0,0,0,0],"Error":1.5,"Adjustment":0.0005,"Height":0.0001}},
    {"Node":"b","Segment":"","Coord":{"Vec":[0.004,0.006,0,0,0,0,0,0],"Error":1.5,"Adjustment":-0.0001,"Height":0.0002}},
    {"Node":"n","Segment":"","Coord":{"Vec":[0.001,0.002,0,0,0,0,0,0],"Error":1.5,"Adjustment":-9,"Height":0.0002}},
    {"Node":"s","Segment":"x","Coord":{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0}}]"#;

const ME: (&str, u16, &str) =
    ("GET /v1/agent/self", 200, r#"{"Config":{"NodeName":"me","Datacenter":"dc7"}}"#);

#[test]
fn nodes_are_as_far_apart_as_the_original_says() {
    const ASKED: &[(&str, u16, &str)] = &[("GET /v1/coordinate/nodes", 200, NODES)];
    let rtt = |one, other| Agent::new(ASKED).run(&["rtt", one, other]);
    let lan = |text: &str| printed(&format!("Estimated {text} ms (using LAN coordinates)"));
    assert_eq!(rtt("me", "b"), lan("me <-> b rtt: 5.700"));
    // An adjustment that makes nonsense of it is left out.
    assert_eq!(rtt("n", "b"), lan("n <-> b rtt: 5.400"));
    let unknown = |name| failed(&format!("Could not find a coordinate for node {name:?}"));
    assert_eq!(rtt("x", "b"), unknown("x"));
    assert_eq!(rtt("me", "x"), unknown("x"));
    // Nobody is measured across segments.
    assert_eq!(rtt("me", "s"), unknown("me"));
    let own = Agent::new(&[ME, ("GET /v1/coordinate/nodes", 200, NODES)]);
    assert_eq!(own.run(&["rtt", "b"]), lan("b <-> me rtt: 5.700"));
}

#[test]
fn servers_of_other_datacenters_have_coordinates_of_their_own() {
    const AREAS: &str = r#"[
        {"Datacenter":"dc7","AreaID":"wan","Coordinates":[{"Node":"me","Segment":"",
         "Coord":{"Vec":[0,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.0001}}]},
        {"Datacenter":"dc2","AreaID":"wan","Coordinates":[{"Node":"me","Segment":"",
         "Coord":{"Vec":[0.5,0,0,0,0,0,0,0],"Error":1.5,"Adjustment":0,"Height":0.0001}}]}]"#;
    const ASKED: (&str, u16, &str) = ("GET /v1/coordinate/datacenters", 200, AREAS);
    let agent = Agent::new(&[ME, ASKED]);
    let want = "Estimated me.dc2 <-> me.dc7 rtt: 500.200 ms (using WAN coordinates)";
    assert_eq!(agent.run(&["rtt", "-wan", "me.dc2"]), printed(want));
    let agent = Agent::new(&[ASKED]);
    let want = "Could not find a coordinate for node \"me.dc2\"";
    assert_eq!(agent.run(&["rtt", "-wan", "me.dc2", "me.dc9"]), failed(want));
}

#[test]
fn mistakes_are_found_before_anybody_is_asked() {
    let range = "Error parsing relay factor: Relay factor must be in range: [0, 5]";
    let names = "Node names must be specified as <node name>.<datacenter> with -wan";
    let cases = [
        ("event -name=e -tag=t", "Cannot provide tag filter without service filter."),
        (
            "event -name=e -node=[",
            "Failed to compile node filter regexp: error parsing regexp: missing closing ]: `[`",
        ),
        (
            "members -status=[",
            "Failed to compile status regexp: error parsing regexp: missing closing ]: `[`",
        ),
        ("keyring -list -install=x", "Only a single action is allowed"),
        ("keyring -use=x -remove=y", "Only a single action is allowed"),
        ("keyring -list -relay-factor=9", range),
        ("keyring -list -relay-factor=-1", range),
        (
            "keyring -use=x -local-only",
            "Error validating local-only: local-only can only be set for list requests",
        ),
        ("rtt -wan n1 n2.dc1", names),
        ("rtt -wan a.b.c n2.dc1", names),
    ];
    for (line, want) in cases {
        assert_eq!(run(line), failed(want), "{line}");
    }
    let explained = [
        ("event", "Event name must be specified\n\nUsage: tribune event [options] [payload]\n"),
        ("event -name=e a b", "Too many command line arguments.\n\nUsage: "),
        ("join", "At least one address to join must be specified.\n\nUsage: "),
        ("force-leave", "A single node name must be specified to force leave.\n\nUsage: "),
        ("force-leave a b", "A single node name must be specified to force leave.\n\nUsage: "),
        ("rtt", "One or two node names must be specified\n\nUsage: "),
        ("rtt a b c", "One or two node names must be specified\n\nUsage: "),
        ("keyring", "Usage: tribune keyring [options]\n"),
    ];
    for (line, want) in explained {
        let ran = run(line);
        assert_eq!((ran.code, ran.out.as_str()), (ExitCode::FAILURE, ""), "{line}");
        assert!(ran.err.starts_with(want), "{line}: {}", ran.err);
    }
}
