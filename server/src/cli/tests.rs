//! Commands against an agent that answers what a table says, compared with what the original
//! prints.

mod operator;
mod pool;
mod watch;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};

use super::dispatch;
use super::terminal::Terminal;

/// What a command did.
#[derive(Debug, PartialEq)]
struct Ran {
    code: ExitCode,
    out: String,
    err: String,
}

/// An agent with prepared answers: the request line it expects, and the answer to it.
struct Agent {
    address: String,
    thread: JoinHandle<()>,
}

impl Agent {
    /// Answer as many requests as there are answers, in their order. Each is the request's first
    /// line and body, the status, and the answer's body, before which `@8 ` may say that its index is 8
    /// instead of 7.
    fn new(answers: &'static [(&'static str, u16, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            for (want, status, body) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let mut len = 0;
                let mut header = String::new();
                while 2 < reader.read_line(&mut header).unwrap() {
                    let lower = header.to_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        len = value.trim().parse().unwrap();
                    }
                    header.clear();
                }
                let mut data = vec![0; len];
                reader.read_exact(&mut data).unwrap();
                let got = format!("{} {}", line.trim(), String::from_utf8(data).unwrap());
                assert_eq!(got.replace(" HTTP/1.1", "").trim_end(), *want);
                let (index, body) =
                    body.strip_prefix('@').and_then(|it| it.split_once(' ')).unwrap_or(("7", body));
                let head = format!("HTTP/1.1 {status} x\r\nContent-Length: {}\r\n", body.len());
                write!(stream, "{head}X-Consul-Index: {index}\r\n\r\n{body}").unwrap();
            }
        });
        Self { address, thread }
    }

    /// Run a command against this agent, which must have got all its requests by then.
    fn run(self, args: &[&str]) -> Ran {
        self.run_with(args, "")
    }

    /// The same, with something on the command's standard input.
    fn run_with(self, args: &[&str], input: &str) -> Ran {
        let ran = run_at(&self.address, args, input);
        // Whoever still waits for a request shall not wait for ever.
        drop(TcpStream::connect(&self.address));
        self.thread.join().expect("each request was expected, and each expected one came");
        ran
    }
}

fn run_at(address: &str, args: &[&str], input: &str) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut terminal = Terminal {
        env: BTreeMap::from([("CONSUL_HTTP_ADDR".to_owned(), address.to_owned())]),
        input: &mut input.as_bytes(),
        out: &mut out,
        err: &mut err,
    };
    let args: Vec<_> = args.iter().map(|it| (*it).to_owned()).collect();
    let code = dispatch(&args, &mut terminal);
    let text = |it| String::from_utf8(it).unwrap();
    Ran { code, out: text(out), err: text(err) }
}

/// Run a command that asks nobody.
fn run(line: &str) -> Ran {
    run_at("127.0.0.1:1", &line.split_whitespace().collect::<Vec<_>>(), "")
}

fn printed(out: &str) -> Ran {
    Ran { code: ExitCode::SUCCESS, out: format!("{out}\n"), err: String::new() }
}

fn noted(code: u8, err: &str) -> Ran {
    Ran { code: code.into(), out: String::new(), err: format!("{err}\n") }
}

fn failed(err: &str) -> Ran {
    noted(1, err)
}

#[test]
fn arguments_that_are_wrong() {
    let cases = [
        ("kv get", "Error! Missing KEY argument"),
        ("kv get a b c", "Too many arguments (expected 1, got 3)"),
        ("kv put -cas a/n z", "Must specify -modify-index with -cas!"),
        ("kv put -acquire a b", "Error! Missing -session (required with -acquire and -release)"),
        ("kv put", "Error! Missing KEY argument"),
        (
            "kv put /a b",
            "Error! Failed writing data: Invalid key. Key must not begin with a '/': /a",
        ),
        ("kv put a b c", "Error! Too many arguments (expected 1 or 2, got 3)"),
        (
            "kv put a @/nowhere",
            "Error! Failed to read file: open /nowhere: no such file or directory",
        ),
        (
            "kv put -base64 a !!",
            "Error! Cannot base 64 decode data: illegal base64 data at input byte 0",
        ),
        ("kv import", "Error! Missing DATA argument"),
        (
            "kv import {bad",
            "Cannot unmarshal data: invalid character 'b' looking for beginning of object key string",
        ),
        ("kv delete -cas a", "Must specify -modify-index with -cas!"),
        ("kv delete -recurse -cas -modify-index=1 a", "Cannot specify both -cas and -recurse!"),
        ("kv delete", "Error! Missing KEY argument"),
        ("kv export a b", "Too many arguments (expected 1, got 2)"),
        ("catalog nodes x", "Too many arguments (expected 0, got 1)"),
        ("services register", "Service registration requires at least one argument or flags."),
        (
            "services register /nowhere",
            "Error: config: Open failed on /nowhere. open /nowhere: no such file or directory",
        ),
        ("services deregister", "Service deregistration requires at least one argument or -id."),
        ("maint -enable -disable", "Only one of -enable or -disable may be provided"),
        ("maint -reason=x", "Reason may only be provided with -enable"),
        ("maint -service=x", "Service requires either -enable or -disable"),
        ("validate", "Must specify at least one config file or directory"),
        ("watch -type=zz", "Unsupported watch type: zz"),
        ("watch -type=key", "Must specify a single key to watch"),
        ("watch -type=service", "Must specify a single service to watch"),
        ("watch -type=key -key=a -prefix=b", "Invalid parameters: [prefix]"),
        ("watch -type=checks -service=a -state=b", "Cannot specify service and state"),
        (
            "members -http-addr=foo://a",
            "Error connecting to Consul agent: Unknown protocol scheme: foo",
        ),
        (
            "members -http-addr=https://a:1",
            "Error connecting to Consul agent: https is not supported yet: use an http:// or \
             unix:// address",
        ),
        (
            "members -token-file=/nowhere",
            "Error connecting to Consul agent: Error loading token file: open /nowhere: no such \
             file or directory",
        ),
    ];
    for (line, want) in cases {
        assert_eq!(run(line), failed(want), "{line}");
    }
}

#[test]
fn usage_is_shown_where_the_original_shows_it() {
    let cases = [
        ("nosuch", 127, "Usage: tribune [--version] [--help] <command> [<args>]\n\n"),
        ("", 127, "Usage: tribune [--version] [--help] <command> [<args>]\n\n"),
        ("kv", 1, "Usage: tribune kv <subcommand> [options] [args]\n\n"),
        ("kv nosuch", 1, "Usage: tribune kv <subcommand> [options] [args]\n\n"),
        ("members -bogus", 1, "flag provided but not defined: -bogus\nUsage:\n"),
        ("kv put -flags=x a b", 1, "invalid value \"x\" for flag -flags: parse error\nUsage:\n"),
        (
            "services register -name=x -meta bad",
            1,
            "invalid value \"bad\" for flag -meta: Missing \"=\" value in argument: bad\nUsage:\n",
        ),
        ("kv get -separator", 1, "flag needs an argument: -separator\nUsage:\n"),
        ("agent -http-port=x", 1, "invalid value \"x\" for flag -http-port: parse error\nUsage:\n"),
    ];
    for (line, code, want) in cases {
        let ran = run(line);
        assert_eq!((ran.code, ran.out.as_str()), (code.into(), ""), "{line}");
        assert!(ran.err.starts_with(want), "{line}: {}", ran.err);
    }
    let ran = run("watch");
    assert!(ran.err.starts_with("Watch type must be specified\n\nUsage: tribune watch"), "{ran:?}");
    let ran = run("leave x");
    assert_eq!((ran.code, ran.err.as_str()), (1.into(), "Error found unexpected args: [x]\n"));
    assert!(ran.out.starts_with("Usage: tribune leave [options]\n\n  "), "{ran:?}");
    let help = run("kv get -h");
    assert_eq!((help.code, help.err.as_str()), (ExitCode::SUCCESS, ""));
    assert!(help.out.starts_with("Usage: tribune kv get [options] [KEY_OR_PREFIX]\n"), "{help:?}");
    assert!(help.out.contains("-http-addr"), "{}", help.out);
}

#[test]
fn an_agent_that_is_not_there() {
    let want = "Error retrieving members: Get \"http://127.0.0.1:1/v1/agent/members?segment=_all\": \
                dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(run("members"), failed(want));
    let want = "Error! Failed writing data: Put \"http://127.0.0.1:1/v1/kv/a/b?flags=7\": \
                dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(run("kv put -flags=7 a/b v"), failed(want));
}

const A_B: &str =
    r#"[{"LockIndex":0,"Key":"a/b","Flags":0,"Value":"dg==","CreateIndex":15,"ModifyIndex":15}]"#;
const A: &str = r#"[{"LockIndex":0,"Key":"a/b","Flags":0,"Value":"dg==","CreateIndex":15,"ModifyIndex":15},
    {"LockIndex":0,"Key":"a/c","Flags":0,"Value":null,"CreateIndex":16,"ModifyIndex":16}]"#;

#[test]
fn keys_are_read() {
    let get = |answers, args: &[&str]| Agent::new(answers).run(&[&["kv", "get"], args].concat());

    assert_eq!(get(&[("GET /v1/kv/a/b", 200, A_B)], &["a/b"]), printed("v"));
    assert_eq!(get(&[("GET /v1/kv/a/b", 200, A_B)], &["/a/b"]), printed("v"));
    assert_eq!(get(&[("GET /v1/kv/a/b", 200, A_B)], &["-base64", "a/b"]), printed("dg=="));
    let missing = failed("Error! No key exists at: nope");
    assert_eq!(get(&[("GET /v1/kv/nope", 404, "")], &["nope"]), missing);
    let denied = failed("Error querying Consul agent: Unexpected response code: 403");
    assert_eq!(get(&[("GET /v1/kv/a", 403, "Permission denied")], &["a"]), denied);
    let elsewhere = get(
        &[("GET /v1/kv/a?dc=zz&stale=", 500, "No path to datacenter")],
        &["-stale", "-datacenter=zz", "a"],
    );
    assert_eq!(elsewhere, failed("Error querying Consul agent: Unexpected response code: 500"));

    let detailed = "CreateIndex      15\nFlags            0\nKey              a/b\n\
                    LockIndex        0\nModifyIndex      15\nSession          -\nValue            v";
    assert_eq!(get(&[("GET /v1/kv/a/b", 200, A_B)], &["-detailed", "a/b"]), printed(detailed));
    let recurse = &[("GET /v1/kv/a/?recurse=", 200, A)];
    assert_eq!(get(recurse, &["-recurse", "a/"]), printed("a/b:v\na/c:"));
    let both = get(recurse, &["-recurse", "-detailed", "a/"]);
    assert!(both.out.ends_with("\n\nCreateIndex      16\nFlags            0\nKey              a/c\n\
                                LockIndex        0\nModifyIndex      16\nSession          -\nValue\n"));
    let nothing = Ran { code: ExitCode::SUCCESS, out: String::new(), err: String::new() };
    assert_eq!(get(&[("GET /v1/kv/n/?recurse=", 404, "")], &["-recurse", "n/"]), nothing);
    let keys = &[("GET /v1/kv/a/?keys=&separator=%2F", 200, r#"["a/b","a/c"]"#)];
    assert_eq!(get(keys, &["-keys", "a/"]), printed("a/b\na/c"));
    let keys = &[("GET /v1/kv/?keys=", 200, r#"["a/b"]"#)];
    assert_eq!(get(keys, &["-keys", "-separator="]), printed("a/b"));
}

#[test]
fn keys_are_written() {
    let put = |answers, args: &[&str]| Agent::new(answers).run(&[&["kv", "put"], args].concat());

    let written = printed("Success! Data written to: a/b");
    assert_eq!(put(&[("PUT /v1/kv/a/b v", 200, "true\n")], &["a/b", "v"]), written);
    assert_eq!(put(&[("PUT /v1/kv/a/b", 200, "true")], &["a/b"]), written);
    assert_eq!(put(&[("PUT /v1/kv/a/b hi", 200, "true")], &["-base64", "a/b", "aGk="]), written);
    assert_eq!(
        put(&[("PUT /v1/kv/a/b?cas=0 v", 200, "true")], &["-cas", "-modify-index=0", "a/b", "v"]),
        written
    );
    let lost = failed("Error! Did not write to a/b: CAS failed");
    let cas = &[("PUT /v1/kv/a/b?cas=1 z", 200, "false")];
    assert_eq!(put(cas, &["-cas", "-modify-index=1", "a/b", "z"]), lost);
    let lock = ["-acquire", "-session=s", "l", "v"];
    let answer = &[("PUT /v1/kv/l?acquire=s v", 200, "true")];
    assert_eq!(put(answer, &lock), printed("Success! Lock acquired on: l"));
    let answer = &[("PUT /v1/kv/l?acquire=s v", 200, "false")];
    assert_eq!(put(answer, &lock), failed("Error! Did not acquire lock"));
    let denied = "Error! Failed writing data: Unexpected response code: 403 (Permission denied)";
    assert_eq!(put(&[("PUT /v1/kv/a b", 403, "Permission denied")], &["a", "b"]), failed(denied));

    let agent = Agent::new(&[("PUT /v1/kv/st abc", 200, "true")]);
    let want = printed("Success! Data written to: st");
    assert_eq!(agent.run_with(&["kv", "put", "st", "-"], "abc"), want);
}

#[test]
fn keys_are_deleted() {
    let delete =
        |answers, args: &[&str]| Agent::new(answers).run(&[&["kv", "delete"], args].concat());
    let gone = printed("Success! Deleted key: nope");
    assert_eq!(delete(&[("DELETE /v1/kv/nope", 200, "true")], &["nope"]), gone);
    let gone = printed("Success! Deleted keys with prefix: a/");
    assert_eq!(delete(&[("DELETE /v1/kv/a/?recurse=", 200, "true")], &["-recurse", "a/"]), gone);
    let lost = failed("Error! Did not delete key i/1: CAS failed");
    let cas = &[("DELETE /v1/kv/i/1?cas=1", 200, "false")];
    assert_eq!(delete(cas, &["-cas", "-modify-index=1", "i/1"]), lost);
}

#[test]
fn keys_travel() {
    let out = "[\n\t{\n\t\t\"key\": \"a/b\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"dg==\"\n\t},\n\
               \t{\n\t\t\"key\": \"a/c\",\n\t\t\"flags\": 0,\n\t\t\"value\": \"\"\n\t}\n]";
    let agent = Agent::new(&[("GET /v1/kv/a/?recurse=", 200, A)]);
    assert_eq!(agent.run(&["kv", "export", "a/"]), printed(out));
    let agent = Agent::new(&[("GET /v1/kv/no?recurse=", 404, "")]);
    assert_eq!(agent.run(&["kv", "export", "no"]), printed("[]"));
    let agent = Agent::new(&[("PUT /v1/kv/i/1?flags=3 hi", 200, "true")]);
    let entries = r#"[{"key":"i/1","flags":3,"value":"aGk="}]"#;
    assert_eq!(agent.run(&["kv", "import", entries]), printed("Imported: i/1"));
}

#[test]
fn members_are_listed() {
    const MEMBERS: &str = r#"[{"Name":"n11","Addr":"127.0.0.1","Port":8301,"Tags":{"acls":"1",
        "build":"1.8.7:","dc":"dc1","role":"consul","segment":"","vsn":"2"},"Status":1,
        "ProtocolMin":1,"DelegateCur":4},{"Name":"c","Addr":"::1","Port":8301,"Tags":{"build":
        "1.8.7:abc","dc":"dc1","role":"node","segment":"","vsn":"2"},"Status":4}]"#;
    let request: &[_] = &[("GET /v1/agent/members?segment=_all", 200, MEMBERS)];
    let members = |args: &[&str]| Agent::new(request).run(&[&["members"], args].concat());
    let want = "Node  Address         Status  Type    Build  Protocol  DC   Segment\n\
                n11   127.0.0.1:8301  alive   server  1.8.7  2         dc1  <all>\n\
                c     [::1]:8301      failed  client  1.8.7  2         dc1  <default>";
    assert_eq!(members(&[]), printed(want));
    let want = "Node  Address         Status  Tags\n\
                n11   127.0.0.1:8301  alive   acls=1,build=1.8.7:,dc=dc1,role=consul,segment=<all>,\
                vsn=2";
    assert_eq!(members(&["-detailed", "-status=alive"]), printed(want));
    let none = Ran { code: ExitCode::from(2), out: String::new(), err: String::new() };
    assert_eq!(members(&["-status=zz"]), none);
}

#[test]
fn the_catalog_is_listed() {
    const NODES: &str = r#"[{"ID":"5284ebd5-0000-0000-0000-000000000000","Node":"n11",
        "Address":"127.0.0.1","Datacenter":"dc1","TaggedAddresses":null,"Meta":null}]"#;
    let agent = Agent::new(&[("GET /v1/catalog/datacenters", 200, r#"["dc1"]"#)]);
    assert_eq!(agent.run(&["catalog", "datacenters"]), printed("dc1"));
    let agent = Agent::new(&[("GET /v1/catalog/nodes", 200, NODES)]);
    let want = "Node  ID        Address    DC\nn11   5284ebd5  127.0.0.1  dc1";
    assert_eq!(agent.run(&["catalog", "nodes"]), printed(want));
    let agent = Agent::new(&[("GET /v1/catalog/nodes?node-meta=a%3Ab", 200, NODES)]);
    let want = "Node  ID                                    Address    DC   TaggedAddresses  Meta\n\
                n11   5284ebd5-0000-0000-0000-000000000000  127.0.0.1  dc1";
    assert_eq!(agent.run(&["catalog", "nodes", "-detailed", "-node-meta", "a=b"]), printed(want));
    let agent = Agent::new(&[("GET /v1/catalog/service/nope", 200, "[]")]);
    let want = noted(0, "No nodes match the given query - try expanding your search.");
    assert_eq!(agent.run(&["catalog", "nodes", "-service=nope"]), want);
    let agent = Agent::new(&[("GET /v1/catalog/nodes?filter=bad", 500, "Failed to create\n")]);
    let want = "Error listing nodes: Unexpected response code: 500 (Failed to create)";
    assert_eq!(agent.run(&["catalog", "nodes", "-filter=bad"]), failed(want));

    const SERVICES: &str = r#"{"web":["b","a"],"consul":[]}"#;
    let agent = Agent::new(&[("GET /v1/catalog/services", 200, SERVICES)]);
    assert_eq!(agent.run(&["catalog", "services"]), printed("consul\nweb"));
    let agent = Agent::new(&[("GET /v1/catalog/services", 200, SERVICES)]);
    let want = "consul      \nweb         a,b";
    assert_eq!(agent.run(&["catalog", "services", "-tags"]), printed(want));
    let agent = Agent::new(&[("GET /v1/catalog/node/nope", 200, "null")]);
    let want = noted(0, "No services match the given query - try expanding your search.");
    assert_eq!(agent.run(&["catalog", "services", "-node=nope"]), want);
}

#[test]
fn services_come_and_go() {
    let agent = Agent::new(&[(
        "PUT /v1/agent/service/register {\"ID\":\"w1\",\"Name\":\"web\",\"Tags\":[\"a\",\"b\"],\
         \"Port\":80,\"Meta\":{\"k\":\"v\"},\"TaggedAddresses\":{\"lan\":{\"Address\":\"1.1.1.1\",\
         \"Port\":81}}}",
        200,
        "",
    )]);
    let args = [
        "services",
        "register",
        "-name=web",
        "-port=80",
        "-tag=a",
        "-tag=b",
        "-id=w1",
        "-meta",
        "k=v",
        "-tagged-address",
        "lan=1.1.1.1:81",
    ];
    assert_eq!(agent.run(&args), printed("Registered service: web"));
    let agent = Agent::new(&[("PUT /v1/agent/service/deregister/web", 200, "")]);
    let want = printed("Deregistered service: web");
    assert_eq!(agent.run(&["services", "deregister", "-id=web"]), want);
    let agent = Agent::new(&[(
        "PUT /v1/agent/service/deregister/nope",
        500,
        "Unknown service {\"nope\" {}}",
    )]);
    let want = "Error registering service \"\": Unexpected response code: 500 \
                (Unknown service {\"nope\" {}})";
    assert_eq!(agent.run(&["services", "deregister", "-id=nope"]), failed(want));
}

#[test]
fn maintenance_is_switched_and_listed() {
    let maint = |answers, args: &[&str]| Agent::new(answers).run(&[&["maint"], args].concat());
    let request = &[("PUT /v1/agent/maintenance?enable=true&reason=r", 200, "")];
    assert_eq!(
        maint(request, &["-enable", "-reason=r"]),
        printed("Node maintenance is now enabled")
    );
    let request = &[("PUT /v1/agent/maintenance?enable=false", 200, "")];
    assert_eq!(maint(request, &["-disable"]), printed("Node maintenance is now disabled"));
    let request =
        &[("PUT /v1/agent/service/maintenance/none?enable=true&reason=", 500, "Unknown service")];
    let want =
        "Error enabling service maintenance: Unexpected response code: 500 (Unknown service)";
    assert_eq!(maint(request, &["-enable", "-service=none"]), failed(want));
    let requests = &[
        ("GET /v1/agent/self", 200, r#"{"Config":{"NodeName":"n11"}}"#),
        (
            "GET /v1/agent/checks",
            200,
            r#"{"_node_maintenance":{"CheckID":"_node_maintenance","Notes":"r"},
                "_service_maintenance:w1":{"CheckID":"_service_maintenance:w1","Notes":"rr",
                "ServiceID":"w1"},"other":{"CheckID":"other"}}"#,
        ),
    ];
    let want = "Node:\n  Name:   n11\n  Reason: r\n\nService:\n  ID:     w1\n  Reason: rr\n";
    assert_eq!(maint(requests, &[]), printed(want));
}

#[test]
fn the_agent_is_asked_about_itself_and_told_to_leave() {
    let agent = Agent::new(&[("PUT /v1/agent/leave", 200, "")]);
    assert_eq!(agent.run(&["leave"]), printed("Graceful leave complete"));
    let agent = Agent::new(&[("PUT /v1/agent/leave", 403, "ACL not found")]);
    let want = failed("Error leaving: Unexpected response code: 403 (ACL not found)");
    assert_eq!(agent.run(&["leave"]), want);
    const STATS: &str = r#"{"Stats":{"raft":{"state":"Leader"},"agent":{"checks":"0"}}}"#;
    let agent = Agent::new(&[("GET /v1/agent/self", 200, STATS)]);
    assert_eq!(agent.run(&["info"]), printed("agent:\n\tchecks = 0\nraft:\n\tstate = Leader"));
}

#[test]
fn the_version_is_told() {
    for line in ["version", "--version", "-v"] {
        let ran = run(line);
        assert!(ran.out.starts_with("Tribune v0.1.0\nProtocol 2 spoken by default"), "{ran:?}");
    }
    assert!(run("version -format=json").out.starts_with("{\n   \"Version\": "));
}
