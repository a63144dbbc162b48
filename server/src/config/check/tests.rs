//! Mistakes and what is said about them; defaults and what becomes of them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::config::{BuildError, Config, Host, Level, Listen, ScriptChecks, Sources};

/// Build from HCL texts, on a machine called `vm` with one private address.
fn build(texts: &[&str]) -> Result<Config, BuildError> {
    let mut sources = Sources::new(None);
    texts.iter().for_each(|it| sources.fragment(it));
    sources.build(&host())
}

fn host() -> Host {
    let v4 = [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::LOCALHOST].into();
    Host { name: "vm".into(), v4, ..Host::default() }
}

/// What is said about `text`, each time exactly one thing.
#[track_caller]
fn check(cases: &[(&str, &str)]) {
    for &(text, want) in cases {
        let error = build(&["data_dir = \"/nowhere\"", text]).unwrap_err();
        let BuildError::Senseless(problems) = &error else { panic!("{text}: {error}") };
        let messages: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(messages, [want], "{text}");
    }
}

#[test]
fn mistakes_read_like_the_originals() {
    check(&[
        (
            "server = true\nbootstrap_expect = -1",
            "bootstrap_expect cannot be -1. Must be greater than or equal to zero",
        ),
        ("bootstrap_expect = 3", "'bootstrap_expect > 0' requires 'server = true'"),
        ("bootstrap = true", "'bootstrap = true' requires 'server = true'"),
        (
            "server = true\nbootstrap = true\nbootstrap_expect = 3",
            "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive",
        ),
        (
            "performance { raft_multiplier = 11 }",
            "performance.raft_multiplier cannot be 11. Must be between 1 and 10",
        ),
        ("datacenter = \"a b\"", "datacenter cannot be \"a b\". Please use only [a-z0-9-_]"),
        ("datacenter = \"\"", "datacenter cannot be empty"),
        (
            "primary_datacenter = \"B c\"",
            "primary_datacenter cannot be \"b c\". Please use only [a-z0-9-_]",
        ),
        ("encrypt = \"x\"", "encrypt has invalid key: illegal base64 data at input byte 0"),
        ("encrypt = \"eHh4\"", "encrypt has invalid key: key size must be 16, 24 or 32 bytes"),
        ("advertise_addr = \"0.0.0.0\"", "Advertise address cannot be 0.0.0.0, :: or [::]"),
        ("advertise_addr_wan = \"::\"", "Advertise WAN address cannot be 0.0.0.0, :: or [::]"),
        (
            "dns_config { udp_answer_limit = -1 }",
            "dns_config.udp_answer_limit cannot be -1. Must be greater than or equal to zero",
        ),
        (
            "autopilot { max_trailing_logs = -1 }",
            "autopilot.max_trailing_logs cannot be -1. Must be greater than or equal to zero",
        ),
    ]);
}

#[test]
fn mistakes_about_addresses_and_limits() {
    check(&[
        ("acl { default_policy = \"zz\" }", "Unsupported default ACL policy: zz"),
        (
            "log_level = \"zz\"",
            "Invalid log level: zz. Valid log levels are: [TRACE DEBUG INFO WARN ERR ERROR]",
        ),
        ("ports { http = 99999 }", "ports.http: invalid port: 99999"),
        ("ports { http = 8600 }", "HTTP address 127.0.0.1:8600 already configured for DNS"),
        ("ports { server = -1 }", "ports.server must be a port between 1 and 65535"),
        ("client_addr = \"a\"", "client_addr: invalid ip address: a"),
        (
            "bind_addr = \"1.1.1.1 2.2.2.2\"",
            "bind_addr cannot contain multiple addresses. Use 'addresses.{dns,http,https}' instead.",
        ),
        ("addresses { dns = \"unix:///x\" }", "DNS address cannot be a unix socket"),
        ("bind_addr = \"::\"", "No public IPv6 address found"),
        ("node_id = \"x\"", "specified NodeID is invalid: uuid string is wrong length"),
        (
            "node_meta { consul-a = \"1\" }",
            "node_meta invalid: Couldn't load metadata pair ('consul-a', '1'): Key prefix 'consul-' is reserved for internal use",
        ),
        (
            "check_output_max_size = 0",
            "check_output_max_size must be positive, to discard check output use the discard_check_output flag",
        ),
        (
            "ui_content_path = \"a b\"",
            "ui-content-path can only contain alphanumeric, -, _, or /. received: /a b/",
        ),
        (
            "http_config { allow_write_http_from = [\"x\"] }",
            "allow_write_http_from: invalid cidr: x",
        ),
        ("unix_sockets { mode = \"zz\" }", "invalid mode specified: zz"),
        ("recursors = [\"x\"]", "Invalid recursor address: x"),
        ("service { bogus = 1 }", "invalid config key service.bogus"),
        (
            "service {\n name = \"a\"\n port = \"x\"\n}",
            "'service.port' expected type 'int', got unconvertible type 'string'",
        ),
        (
            "watches = [{ type = \"zz\", args = [\"x\"] }]",
            "Failed to parse watch: Unsupported watch type: zz",
        ),
        ("watches {\n type = \"services\"\n}", "Must define a watch handler"),
        (
            "ports { http = -1 }\nwatches {\n type = \"services\"\n args = [\"x\"]\n}",
            "watch plans require an HTTP or HTTPS endpoint",
        ),
        ("services = [{ id = \"w1\" }]", "services \"w1\": Missing service name"),
    ]);
}

#[test]
fn every_problem_is_reported_at_once_with_its_origin() {
    let error = build(&["datacenter = \"Dublin 1\"\nbootstrap_expect = 3"]).unwrap_err();
    let want = "datacenter cannot be \"dublin 1\". Please use only [a-z0-9-_] (-hcl)\n\
                data_dir cannot be empty (the defaults)\n\
                'bootstrap_expect > 0' requires 'server = true' (-hcl)";
    assert_eq!(error.to_string(), want);

    let error = build(&["bogus_key = 1\nserver = \"x\"", "data_dir = 1"]).unwrap_err();
    let want = "failed to parse -hcl: 3 errors occurred:\n\
                \t* invalid config key bogus_key\n\
                \t* 'server' expected type 'bool', got unconvertible type 'string'\n\
                \t* 'data_dir' expected type 'string', got unconvertible type 'int'";
    assert_eq!(error.to_string(), want);
}

#[test]
fn flags_beat_files() {
    let mut sources = Sources::new(None);
    sources.fragment("log_level = \"zz\"\ndatacenter = \"A\"");
    sources.flags(&serde_json::json!({ "log_level": "warn", "data_dir": "/nowhere" }));
    let config = sources.build(&host()).unwrap();
    assert_eq!((config.log.level, config.datacenter.as_str()), (Level::Warn, "a"));
}

#[test]
fn what_nobody_says_has_a_default() {
    let config = build(&["data_dir = \"/nowhere\""]).unwrap();
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(
        (config.node_name.as_str(), config.server, config.bootstrap_expect),
        ("vm", false, 0)
    );
    assert!(config.bind_addr.is_unspecified());
    assert_eq!(config.advertise_addr, IpAddr::from([10, 0, 0, 7]));
    assert_eq!(config.http_listen, [Listen::Tcp((localhost, 8500).into())]);
    assert_eq!(config.dns_listen, [(localhost, 8600).into()]);
    assert_eq!((config.ports.server, config.ports.serf_wan), (8300, Some(8302)));
    assert_eq!((config.dns.domain.as_str(), config.dns.udp_answer_limit), ("consul", 3));
    assert_eq!((config.leave.on_terminate, config.leave.skip_on_interrupt), (true, false));
    assert_eq!((config.raft.multiplier, config.raft.trailing_logs), (5, 10_240));
    assert_eq!(config.max_query_time, Duration::from_secs(600));
    assert_eq!(config.check.scripts, ScriptChecks::Disabled);
    assert_eq!((config.unsupported.len(), config.warnings.len()), (0, 0));
}

#[test]
fn development_mode_is_the_least_important_source() {
    let mut sources = Sources::new(None);
    sources.fragment("log_level = \"warn\"");
    sources.dev();
    let config = sources.build(&host()).unwrap();
    assert_eq!((config.dev, config.server, config.bootstrap_expect), (true, true, 1));
    assert_eq!((config.data_dir, config.log.level), (None, Level::Warn));
    assert_eq!(config.advertise_addr, IpAddr::V4(Ipv4Addr::LOCALHOST));
    assert!(config.ui.enabled && config.http.pretty && config.enable_debug);
    assert_eq!(config.gossip_lan.probe_interval, Some(Duration::from_millis(100)));
}

#[test]
fn ports_can_be_off_and_sockets_stay() {
    let config =
        build(&["data_dir = \"/nowhere\"\nports {\n dns = -1\n http = -1\n serf_wan = -1\n}\n\
                          addresses { http = \"unix:///run/t.sock ::1\" }"])
        .unwrap();
    assert_eq!((config.ports.dns, config.ports.http, config.ports.serf_wan), (None, None, None));
    assert_eq!(config.dns_listen, []);
    assert_eq!(config.http_listen, [Listen::Unix("/run/t.sock".into())]);
}

#[test]
fn a_strange_node_name_is_only_worth_a_warning() {
    let config = build(&["data_dir = \"/nowhere\"\nnode_name = \"a.b\""]).unwrap();
    assert_eq!(config.node_name, "a.b");
    assert!(config.warnings[0].contains("will not be discoverable via DNS"), "{config:?}");
}

#[test]
fn a_server_stays_when_it_stops_unless_told_to_leave() {
    let leave = |text: &str| {
        let config = build(&["data_dir = \"/nowhere\"\nserver = true", text]).unwrap();
        (config.leave.on_terminate, config.leave.skip_on_interrupt, config.leave.drain_time)
    };
    let seconds = Duration::from_secs;
    assert_eq!(leave(""), (false, true, seconds(5)));
    let text = "leave_on_terminate = true\nskip_leave_on_interrupt = false\n\
                performance { leave_drain_time = \"1s\" }";
    assert_eq!(leave(text), (true, false, seconds(1)));
}

#[test]
fn a_cluster_of_servers_is_described_in_full() {
    let config = build(&[
        "data_dir = \"/nowhere\"\nserver = true\nraft_protocol = 3",
        "retry_join = [\"a\", \"b\"]\nretry_interval = \"0s\"\nbootstrap_expect = 3",
        "performance { raft_multiplier = 1\n rpc_hold_timeout = \"3s\" }",
        "autopilot {\n cleanup_dead_servers = false\n min_quorum = 3\n }",
    ])
    .unwrap();
    // Nobody tries without a pause.
    assert_eq!(config.join.retry_interval, Duration::from_secs(30));
    assert_eq!((config.raft.multiplier, config.bootstrap_expect), (1, 3));
    assert_eq!(config.rpc_hold_timeout, Duration::from_secs(3));
    assert_eq!((config.autopilot.cleanup_dead_servers, config.autopilot.min_quorum), (false, 3));
    assert_eq!(config.autopilot.server_stabilization_time, Duration::from_secs(10));
    assert_eq!(config.warnings, ["bootstrap_expect > 0: expecting 3 servers"]);
    assert_eq!(config.unsupported.len(), 0);
}

#[test]
fn how_many_servers_begin_may_be_worth_a_warning() {
    let warnings = |text: &str| {
        build(&["data_dir = \"/nowhere\"\nserver = true", text]).unwrap().warnings.join("\n")
    };
    assert_eq!(
        warnings("bootstrap_expect = 1"),
        "BootstrapExpect is set to 1; this is the same as Bootstrap mode.\n\
         bootstrap = true: do not enable unless necessary"
    );
    assert!(warnings("bootstrap_expect = 2").contains("no failure tolerance"));
    assert!(warnings("bootstrap_expect = 4").contains("an even number"));
    assert_eq!(warnings("bootstrap = true"), "bootstrap = true: do not enable unless necessary");
}

#[test]
fn keys_of_gossip_are_read_and_checked_unless_told_otherwise() {
    let data_dir = "data_dir = \"/nowhere\"";
    let usual = build(&[data_dir]).unwrap().encrypt;
    assert_eq!((usual.key, usual.keyring_file), (None, true));
    assert!(usual.verify_incoming && usual.verify_outgoing);
    let text = "z+mtiNYLT3f0Hsp6H8wczTqstP8EP8IcrLos8UsNzWg=";
    let own = format!(
        "encrypt = \"{text}\"\nencrypt_verify_incoming = false\nencrypt_verify_outgoing = false\n\
         disable_keyring_file = true"
    );
    let own = build(&[data_dir, &own]).unwrap().encrypt;
    assert_eq!(own.key.map(|it| it.to_base64()).as_deref(), Some(text));
    assert!(!own.verify_incoming && !own.verify_outgoing && !own.keyring_file);
}
