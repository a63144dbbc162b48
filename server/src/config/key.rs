//! Every key that a configuration may contain, as a table.
//!
//! A row is all there is to say about a key: where it stands, what it holds and whether anything
//! comes of it. Reading, merging and warning follow from the row.

use Kind::{Blocks, Bool, Duration, DurationMap, Float, Int, Raw, Text, TextMap, Texts, Uint};

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Where it stands: names joined by dots.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    pub(crate) support: Support,
}

/// What a key holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int,
    /// An integer that is never negative, of 32 bits.
    Uint,
    Float,
    Text,
    /// A text like `10s`.
    Duration,
    Texts,
    /// Names and texts.
    TextMap,
    /// Names and durations.
    DurationMap,
    /// One object, or a list of them, that somebody else understands.
    Blocks,
    /// Anything.
    Raw,
}

/// What comes of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Support {
    /// It does what it says.
    Honoured,
    /// The same, and it is heard again while the agent runs.
    Reloaded,
    /// There is nothing to do: what it asks for is always so, or its subject does not exist here.
    Moot,
    /// Somebody may miss it.
    Ignored,
    /// Somebody may believe to be safe because of it.
    Unguarded,
}

/// The key at `path`, whatever its case.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|it| it.path.eq_ignore_ascii_case(path))
}

/// What the key at `path` holds. There must be one.
pub(crate) fn kind_of(path: &str) -> Kind {
    find(path).unwrap_or_else(|| panic!("no such key: {path}")).kind
}

/// Whether any key stands below `path`.
pub(crate) fn is_group(path: &str) -> bool {
    let below = |it: &Key| {
        it.path
            .split_at_checked(path.len())
            .is_some_and(|(head, tail)| head.eq_ignore_ascii_case(path) && tail.starts_with('.'))
    };
    KEYS.iter().any(below)
}

const fn honoured(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Honoured }
}

const fn reloaded(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Reloaded }
}

const fn moot(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Moot }
}

const fn ignored(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Ignored }
}

const fn unguarded(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, support: Support::Unguarded }
}

#[rustfmt::skip] // A table: one row, one line.
pub(crate) const KEYS: &[Key] = &[
    // Who this is.
    honoured("node_name", Text),
    honoured("node_id", Text),
    reloaded("node_meta", TextMap),
    honoured("disable_host_node_id", Bool),
    honoured("datacenter", Text),
    honoured("primary_datacenter", Text),
    honoured("acl_datacenter", Text),
    honoured("data_dir", Text),
    honoured("pid_file", Text),
    honoured("server", Bool),
    honoured("bootstrap", Bool),
    honoured("bootstrap_expect", Int),
    moot("protocol", Int),
    moot("raft_protocol", Int),
    ignored("server_name", Text),
    ignored("non_voting_server", Bool),
    ignored("read_replica", Bool),
    ignored("segment", Text),
    ignored("segments", Blocks),
    ignored("partition", Text),
    ignored("locality", Raw),

    // Addresses and ports.
    honoured("bind_addr", Text),
    honoured("advertise_addr", Text),
    honoured("advertise_addr_wan", Text),
    honoured("advertise_addr_ipv4", Text),
    honoured("advertise_addr_ipv6", Text),
    honoured("advertise_addr_wan_ipv4", Text),
    honoured("advertise_addr_wan_ipv6", Text),
    honoured("tagged_addresses", TextMap),
    honoured("client_addr", Text),
    honoured("addresses.dns", Text),
    honoured("addresses.http", Text),
    ignored("addresses.https", Text),
    ignored("addresses.grpc", Text),
    ignored("addresses.grpc_tls", Text),
    honoured("serf_lan", Text),
    honoured("serf_wan", Text),
    unguarded("serf_lan_allowed_cidrs", Texts),
    unguarded("serf_wan_allowed_cidrs", Texts),
    honoured("translate_wan_addrs", Bool),
    honoured("ports.dns", Int),
    honoured("ports.http", Int),
    honoured("ports.server", Int),
    honoured("ports.serf_lan", Int),
    honoured("ports.serf_wan", Int),
    ignored("ports.https", Int),
    ignored("ports.grpc", Int),
    ignored("ports.grpc_tls", Int),
    ignored("ports.sidecar_min_port", Int),
    ignored("ports.sidecar_max_port", Int),
    ignored("ports.expose_min_port", Int),
    ignored("ports.expose_max_port", Int),
    honoured("unix_sockets.user", Text),
    honoured("unix_sockets.group", Text),
    honoured("unix_sockets.mode", Text),

    // Joining and leaving.
    honoured("start_join", Texts),
    honoured("start_join_wan", Texts),
    honoured("retry_join", Texts),
    honoured("retry_join_wan", Texts),
    honoured("retry_interval", Duration),
    honoured("retry_interval_wan", Duration),
    honoured("retry_max", Uint),
    honoured("retry_max_wan", Uint),
    honoured("rejoin_after_leave", Bool),
    honoured("reconnect_timeout", Duration),
    honoured("reconnect_timeout_wan", Duration),
    ignored("advertise_reconnect_timeout", Duration),
    ignored("server_rejoin_age_max", Duration),
    honoured("leave_on_terminate", Bool),
    honoured("skip_leave_on_interrupt", Bool),
    honoured("performance.leave_drain_time", Duration),
    honoured("performance.raft_multiplier", Int),
    honoured("performance.rpc_hold_timeout", Duration),
    ignored("performance.grpc_keepalive_interval", Duration),
    ignored("performance.grpc_keepalive_timeout", Duration),
    ignored("performance.enable_xds_load_balancing", Bool),

    // Consensus and gossip.
    honoured("raft_snapshot_threshold", Int),
    honoured("raft_snapshot_interval", Duration),
    honoured("raft_trailing_logs", Int),
    moot("raft_boltdb", Raw),
    moot("raft_logstore", Raw),
    honoured("kv_replication.source_datacenter", Text),
    honoured("kv_replication.prefixes", Texts),
    honoured("autopilot.cleanup_dead_servers", Bool),
    honoured("autopilot.last_contact_threshold", Duration),
    honoured("autopilot.max_trailing_logs", Int),
    honoured("autopilot.min_quorum", Uint),
    honoured("autopilot.server_stabilization_time", Duration),
    ignored("autopilot.redundancy_zone_tag", Text),
    ignored("autopilot.disable_upgrade_migration", Bool),
    ignored("autopilot.upgrade_version_tag", Text),
    honoured("gossip_lan.gossip_interval", Duration),
    honoured("gossip_lan.gossip_nodes", Uint),
    honoured("gossip_lan.probe_interval", Duration),
    honoured("gossip_lan.probe_timeout", Duration),
    honoured("gossip_lan.retransmit_mult", Uint),
    honoured("gossip_lan.suspicion_mult", Uint),
    honoured("gossip_wan.gossip_interval", Duration),
    honoured("gossip_wan.gossip_nodes", Uint),
    honoured("gossip_wan.probe_interval", Duration),
    honoured("gossip_wan.probe_timeout", Duration),
    honoured("gossip_wan.retransmit_mult", Uint),
    honoured("gossip_wan.suspicion_mult", Uint),
    honoured("encrypt", Text),
    honoured("encrypt_verify_incoming", Bool),
    honoured("encrypt_verify_outgoing", Bool),
    honoured("disable_keyring_file", Bool),

    // TLS.
    unguarded("tls", Raw),
    ignored("ca_file", Text),
    ignored("ca_path", Text),
    ignored("cert_file", Text),
    ignored("key_file", Text),
    unguarded("verify_incoming", Bool),
    unguarded("verify_incoming_rpc", Bool),
    unguarded("verify_incoming_https", Bool),
    unguarded("verify_outgoing", Bool),
    unguarded("verify_server_hostname", Bool),
    ignored("tls_min_version", Text),
    ignored("tls_cipher_suites", Text),
    ignored("tls_prefer_server_cipher_suites", Bool),
    unguarded("auto_encrypt", Raw),
    unguarded("auto_config", Raw),

    // Access control.
    unguarded("acl.enabled", Bool),
    ignored("acl.default_policy", Text),
    ignored("acl.down_policy", Text),
    ignored("acl.token_ttl", Duration),
    ignored("acl.policy_ttl", Duration),
    ignored("acl.role_ttl", Duration),
    ignored("acl.disabled_ttl", Duration),
    ignored("acl.enable_key_list_policy", Bool),
    ignored("acl.enable_token_replication", Bool),
    ignored("acl.enable_token_persistence", Bool),
    ignored("acl.msp_disable_bootstrap", Bool),
    ignored("acl.tokens.initial_management", Text),
    ignored("acl.tokens.master", Text),
    ignored("acl.tokens.agent_recovery", Text),
    ignored("acl.tokens.agent_master", Text),
    ignored("acl.tokens.agent", Text),
    ignored("acl.tokens.default", Text),
    ignored("acl.tokens.replication", Text),
    ignored("acl.tokens.config_file_service_registration", Text),
    ignored("acl.tokens.dns", Text),
    ignored("acl.tokens.managed_service_provider", Raw),
    unguarded("acl_default_policy", Text),
    ignored("acl_down_policy", Text),
    ignored("acl_enable_key_list_policy", Bool),
    ignored("acl_enforce_version_8", Bool),
    ignored("acl_agent_master_token", Text),
    ignored("acl_agent_token", Text),
    ignored("acl_master_token", Text),
    ignored("acl_replication_token", Text),
    ignored("acl_token", Text),
    ignored("acl_ttl", Duration),
    ignored("enable_acl_replication", Bool),
    unguarded("default_intention_policy", Text),
    ignored("audit", Raw),

    // DNS.
    honoured("domain", Text),
    honoured("alt_domain", Text),
    honoured("recursors", Texts),
    reloaded("dns_config.allow_stale", Bool),
    reloaded("dns_config.a_record_limit", Int),
    reloaded("dns_config.disable_compression", Bool),
    reloaded("dns_config.enable_truncate", Bool),
    honoured("dns_config.max_stale", Duration),
    reloaded("dns_config.node_ttl", Duration),
    reloaded("dns_config.only_passing", Bool),
    honoured("dns_config.recursor_strategy", Text),
    honoured("dns_config.recursor_timeout", Duration),
    reloaded("dns_config.service_ttl", DurationMap),
    reloaded("dns_config.udp_answer_limit", Int),
    reloaded("dns_config.enable_additional_node_meta_txt", Bool),
    honoured("dns_config.use_cache", Bool),
    honoured("dns_config.cache_max_age", Duration),
    reloaded("dns_config.soa.refresh", Uint),
    reloaded("dns_config.soa.retry", Uint),
    reloaded("dns_config.soa.expire", Uint),
    reloaded("dns_config.soa.min_ttl", Uint),
    ignored("dns_config.prefer_namespace", Bool),

    // HTTP and the web interface.
    honoured("http_config.response_headers", TextMap),
    honoured("http_config.block_endpoints", Texts),
    honoured("http_config.allow_write_http_from", Texts),
    honoured("http_config.max_header_bytes", Int),
    ignored("http_config.use_cache", Bool),
    ignored("http_config.read_timeout", Duration),
    ignored("http_config.read_header_timeout", Duration),
    ignored("http_config.write_timeout", Duration),
    ignored("http_config.idle_timeout", Duration),
    ignored("disable_http_unprintable_char_filter", Bool),
    ignored("disable_kv_key_validation", Bool),
    honoured("ui", Bool),
    honoured("ui_dir", Text),
    honoured("ui_content_path", Text),
    honoured("ui_config.enabled", Bool),
    honoured("ui_config.dir", Text),
    honoured("ui_config.content_path", Text),
    ignored("ui_config.metrics_provider", Text),
    ignored("ui_config.metrics_provider_files", Texts),
    ignored("ui_config.metrics_provider_options_json", Text),
    ignored("ui_config.metrics_proxy", Raw),
    ignored("ui_config.dashboard_url_templates", TextMap),

    // What clients may ask for.
    reloaded("limits.http_max_conns_per_client", Int),
    honoured("limits.rpc_max_conns_per_client", Int),
    honoured("limits.rpc_handshake_timeout", Duration),
    honoured("limits.kv_max_value_size", Uint),
    honoured("limits.txn_max_req_len", Uint),
    ignored("limits.https_handshake_timeout", Duration),
    ignored("limits.rpc_client_timeout", Duration),
    ignored("limits.rpc_rate", Float),
    ignored("limits.rpc_max_burst", Int),
    ignored("limits.request_limits.mode", Text),
    ignored("limits.request_limits.read_rate", Float),
    ignored("limits.request_limits.write_rate", Float),
    honoured("default_query_time", Duration),
    honoured("max_query_time", Duration),
    honoured("discovery_max_stale", Duration),
    ignored("cache.entry_fetch_rate", Float),
    ignored("cache.entry_fetch_max_burst", Int),
    moot("rpc.enable_streaming", Bool),
    moot("use_streaming_backend", Bool),
    honoured("session_ttl_min", Duration),

    // Services and checks.
    reloaded("service", Blocks),
    reloaded("services", Blocks),
    reloaded("check", Blocks),
    reloaded("checks", Blocks),
    honoured("enable_script_checks", Bool),
    honoured("enable_local_script_checks", Bool),
    honoured("check_update_interval", Duration),
    honoured("check_output_max_size", Int),
    reloaded("discard_check_output", Bool),
    ignored("enable_agent_tls_for_checks", Bool),
    ignored("enable_central_service_config", Bool),
    reloaded("watches", Blocks),

    // Logs and numbers.
    reloaded("log_level", Text),
    honoured("log_json", Bool),
    ignored("log_file", Text),
    ignored("log_rotate_bytes", Int),
    ignored("log_rotate_duration", Duration),
    ignored("log_rotate_max_files", Int),
    ignored("enable_syslog", Bool),
    ignored("syslog_facility", Text),
    ignored("telemetry.statsd_address", Text),
    ignored("telemetry.statsite_address", Text),
    ignored("telemetry.dogstatsd_addr", Text),
    ignored("telemetry.dogstatsd_tags", Texts),
    ignored("telemetry.prometheus_retention_time", Duration),
    ignored("telemetry.disable_hostname", Bool),
    ignored("telemetry.disable_compat_1.9", Bool),
    ignored("telemetry.enable_host_metrics", Bool),
    ignored("telemetry.metrics_prefix", Text),
    ignored("telemetry.filter_default", Bool),
    ignored("telemetry.prefix_filter", Texts),
    ignored("telemetry.certificate", Raw),
    ignored("telemetry.circonus_api_app", Text),
    ignored("telemetry.circonus_api_token", Text),
    ignored("telemetry.circonus_api_url", Text),
    ignored("telemetry.circonus_broker_id", Text),
    ignored("telemetry.circonus_broker_select_tag", Text),
    ignored("telemetry.circonus_check_display_name", Text),
    ignored("telemetry.circonus_check_force_metric_activation", Text),
    ignored("telemetry.circonus_check_id", Text),
    ignored("telemetry.circonus_check_instance_id", Text),
    ignored("telemetry.circonus_check_search_tag", Text),
    ignored("telemetry.circonus_check_tags", Text),
    ignored("telemetry.circonus_submission_interval", Text),
    ignored("telemetry.circonus_submission_url", Text),

    // The rest.
    honoured("disable_coordinates", Bool),
    honoured("enable_debug", Bool),
    moot("disable_remote_exec", Bool),
    moot("disable_update_check", Bool),
    moot("disable_anonymous_signature", Bool),
    ignored("auto_reload_config", Bool),
    ignored("config_entries", Raw),
    ignored("connect", Raw),
    ignored("primary_gateways", Texts),
    ignored("primary_gateways_interval", Duration),
    ignored("peering", Raw),
    ignored("feature_gates", Raw),
    ignored("experiments", Texts),
    ignored("license_path", Text),
    moot("reporting", Raw),
    ignored("snapshot_agent", Raw),
    ignored("cloud", Raw),
    ignored("xds", Raw),
    ignored("consul", Raw),
    ignored("ae_interval", Duration),
    ignored("check_deregister_interval_min", Duration),
    ignored("check_reap_interval", Duration),
    ignored("sync_coordinate_interval_min", Duration),
    ignored("sync_coordinate_rate_target", Float),
    ignored("version", Text),
    ignored("version_prerelease", Text),
    ignored("revision", Text),
];

#[test]
fn paths_are_unique_and_none_is_both_key_and_group() {
    for key in KEYS {
        assert_eq!(KEYS.iter().filter(|it| it.path == key.path).count(), 1, "{}", key.path);
        assert!(!is_group(key.path), "{}", key.path);
    }
}

#[test]
fn case_does_not_matter() {
    assert_eq!(find("Ports.HTTP").map(|it| it.path), Some("ports.http"));
    assert!(is_group("DNS_config") && is_group("dns_config.soa"));
    assert!(find("port").is_none() && !is_group("port"));
}
