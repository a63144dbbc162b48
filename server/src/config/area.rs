//! The areas of a configuration that stand for themselves: DNS, HTTP, consensus, gossip, limits.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tribune_api::gate::{Gate, Network};
use tribune_core::config::KvReplication;

use super::address;
use super::check::Checker;
use super::runtime::{Autopilot, Dns, Gossip, Http, Join, Limits, Raft, Soa, Ui, UnixSocket};

impl Checker<'_> {
    pub(crate) fn join(&self) -> Join {
        let settings = self.settings;
        // Trying again at once, for ever, is not what anybody means by zero.
        let interval = |path| match self.span(path, "30s") {
            Duration::ZERO => Duration::from_secs(30),
            interval => interval,
        };
        Join {
            start_join: settings.texts("start_join"),
            start_join_wan: settings.texts("start_join_wan"),
            retry_join: settings.texts("retry_join"),
            retry_join_wan: settings.texts("retry_join_wan"),
            retry_interval: interval("retry_interval"),
            retry_interval_wan: interval("retry_interval_wan"),
            retry_max: self.small("retry_max").unwrap_or(0),
            retry_max_wan: self.small("retry_max_wan").unwrap_or(0),
            rejoin_after_leave: self.flag("rejoin_after_leave", false),
            reconnect_timeout: settings.span("reconnect_timeout"),
            reconnect_timeout_wan: settings.span("reconnect_timeout_wan"),
        }
    }

    pub(crate) fn raft(&mut self) -> Raft {
        let path = "performance.raft_multiplier";
        let multiplier = self.settings.int(path).unwrap_or(5);
        if !(1..=10).contains(&multiplier) {
            let message = format!("{path} cannot be {multiplier}. Must be between 1 and 10");
            self.complain(path, message);
        }
        // Zero means the default here, as it always has.
        let positive = |path, default| {
            let number = self.settings.int(path).and_then(|it| u64::try_from(it).ok());
            number.filter(|it| 0 < *it).unwrap_or(default)
        };
        let interval = self.span("raft_snapshot_interval", "30s");
        Raft {
            multiplier: u32::try_from(multiplier).unwrap_or(5),
            snapshot_threshold: positive("raft_snapshot_threshold", 16_384),
            snapshot_interval: if interval.is_zero() { Duration::from_secs(30) } else { interval },
            trailing_logs: positive("raft_trailing_logs", 10_240),
        }
    }

    pub(crate) fn autopilot(&mut self) -> Autopilot {
        Autopilot {
            cleanup_dead_servers: self.flag("autopilot.cleanup_dead_servers", true),
            last_contact_threshold: self.span("autopilot.last_contact_threshold", "200ms"),
            max_trailing_logs: self.count("autopilot.max_trailing_logs", 250),
            min_quorum: self.small("autopilot.min_quorum").unwrap_or(0),
            server_stabilization_time: self.span("autopilot.server_stabilization_time", "10s"),
        }
    }

    /// Keys that are kept as another datacenter has them: a server's business.
    pub(crate) fn kv_replication(
        &mut self,
        datacenter: &str,
        server: bool,
    ) -> Option<KvReplication> {
        let path = "kv_replication.source_datacenter";
        let source = self.settings.some_text(path).map(str::to_ascii_lowercase);
        let prefixes = self.settings.texts("kv_replication.prefixes");
        let Some(source) = source else {
            if !prefixes.is_empty() {
                self.complain(path, format!("{path} is missing, but there are prefixes"));
            }
            return None;
        };
        if source == datacenter {
            self.complain(path, format!("{path} cannot be {source}: that is this datacenter"));
        }
        if prefixes.is_empty() {
            let path = "kv_replication.prefixes";
            self.complain(path, format!("{path} is missing. For all keys, it has to say \"\""));
        }
        server.then_some(KvReplication { source, prefixes })
    }

    pub(crate) fn gossip(&self, pool: &str) -> Gossip {
        let span = |name: &str| self.settings.span(&format!("{pool}.{name}"));
        let small = |name: &str| self.small(&format!("{pool}.{name}"));
        Gossip {
            gossip_interval: span("gossip_interval"),
            gossip_nodes: small("gossip_nodes"),
            probe_interval: span("probe_interval"),
            probe_timeout: span("probe_timeout"),
            retransmit_mult: small("retransmit_mult"),
            suspicion_mult: small("suspicion_mult"),
        }
    }

    pub(crate) fn dns(&mut self) -> Dns {
        let zone = |it: &str| it.trim_matches('.').to_lowercase();
        let domain = zone(self.settings.some_text("domain").unwrap_or("consul"));
        let alt_domain = self.settings.some_text("alt_domain").map(zone);
        let soa =
            |name: &str, default| self.small(&format!("dns_config.soa.{name}")).unwrap_or(default);
        let soa = Soa {
            refresh: soa("refresh", 3_600),
            retry: soa("retry", 600),
            expire: soa("expire", 86_400),
            min_ttl: soa("min_ttl", 0),
        };
        let recursors_random = self.recursors_random();
        Dns {
            alt_domain: alt_domain.filter(|it| *it != domain),
            domain,
            recursors: self.recursors(),
            recursors_random,
            recursor_timeout: self.span("dns_config.recursor_timeout", "2s"),
            allow_stale: self.flag("dns_config.allow_stale", true),
            max_stale: self.span("dns_config.max_stale", "87600h"),
            a_record_limit: self.answers("dns_config.a_record_limit", 0),
            udp_answer_limit: self.answers("dns_config.udp_answer_limit", 3),
            disable_compression: self.flag("dns_config.disable_compression", false),
            enable_truncate: self.flag("dns_config.enable_truncate", false),
            only_passing: self.flag("dns_config.only_passing", false),
            node_ttl: self.span("dns_config.node_ttl", "0s"),
            service_ttl: self.settings.span_map("dns_config.service_ttl"),
            enable_additional_node_meta_txt: self
                .flag("dns_config.enable_additional_node_meta_txt", true),
            use_cache: self.flag("dns_config.use_cache", false),
            cache_max_age: self.span("dns_config.cache_max_age", "0s"),
            soa,
        }
    }

    pub(crate) fn http(&mut self, dev: bool) -> Http {
        let settings = self.settings;
        let mut writers = Vec::new();
        for text in settings.texts("http_config.allow_write_http_from") {
            match Network::parse(&text) {
                Some(network) => writers.push(network),
                None => {
                    let message = format!("allow_write_http_from: invalid cidr: {text}");
                    self.complain("http_config.allow_write_http_from", message);
                }
            }
        }
        Http {
            response_headers: settings.text_map("http_config.response_headers"),
            gate: Gate { blocked: settings.texts("http_config.block_endpoints"), writers },
            max_header_bytes: match self.limit("http_config.max_header_bytes", 0) {
                0 => 1 << 20,
                bytes => bytes,
            },
            pretty: dev,
            unix_socket: self.unix_socket(),
        }
    }

    pub(crate) fn ui(&mut self) -> Ui {
        let settings = self.settings;
        let path = if settings.text("ui_config.content_path").is_some() {
            "ui_config.content_path"
        } else {
            "ui_content_path"
        };
        let text = settings.some_text(path).unwrap_or("ui").trim_matches('/');
        let content_path = if text.is_empty() { "/".to_owned() } else { format!("/{text}/") };
        let good = |it: char| it.is_ascii_alphanumeric() || "-_/".contains(it);
        if !content_path.chars().all(good) {
            let message = format!(
                "ui-content-path can only contain alphanumeric, -, _, or /. received: {content_path}"
            );
            self.complain(path, message);
        }
        let dir = settings.some_text("ui_config.dir").or_else(|| settings.some_text("ui_dir"));
        Ui {
            enabled: settings.flag("ui_config.enabled").unwrap_or_else(|| self.flag("ui", false)),
            dir: dir.map(PathBuf::from),
            content_path,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            http_max_conns_per_client: self.limit("limits.http_max_conns_per_client", 200),
            rpc_max_conns_per_client: self.limit("limits.rpc_max_conns_per_client", 100),
            rpc_handshake_timeout: self.span("limits.rpc_handshake_timeout", "5s"),
            kv_max_value_size: self.limit("limits.kv_max_value_size", 512 * 1024),
            txn_max_req_len: self.limit("limits.txn_max_req_len", 512 * 1024),
        }
    }

    /// A number that the table of keys keeps within 32 bits.
    fn small(&self, path: &str) -> Option<u32> {
        self.settings.int(path).map(|it| u32::try_from(it).expect("the schema has checked"))
    }

    fn answers(&mut self, path: &str, default: u64) -> usize {
        usize::try_from(self.count(path, default)).unwrap_or(usize::MAX)
    }

    fn recursors_random(&mut self) -> bool {
        let path = "dns_config.recursor_strategy";
        match self.settings.some_text(path).unwrap_or("sequential") {
            "random" => true,
            "sequential" => false,
            other => {
                let message =
                    format!("{path} cannot be {other:?}. Must be \"sequential\" or \"random\"");
                self.complain(path, message);
                false
            }
        }
    }

    /// Duplicates are dropped; the port is 53 unless it is named.
    fn recursors(&mut self) -> Vec<SocketAddr> {
        let mut recursors = Vec::new();
        for text in self.settings.texts("recursors") {
            let expanded = address::expand(&text, self.host).unwrap_or_else(|_| text.clone());
            let ip = expanded.parse::<IpAddr>().map(|it| SocketAddr::new(it, 53));
            match ip.or_else(|_| expanded.parse::<SocketAddr>()) {
                Ok(address) if recursors.contains(&address) => {}
                Ok(address) => recursors.push(address),
                Err(_) => self.complain("recursors", format!("Invalid recursor address: {text}")),
            }
        }
        recursors
    }

    fn unix_socket(&mut self) -> UnixSocket {
        let path = "unix_sockets.mode";
        let text = self.settings.some_text(path);
        let mode = text.map(|it| u32::from_str_radix(it, 8));
        if let Some(Err(_)) = mode {
            let message = format!("invalid mode specified: {}", text.unwrap_or_default());
            self.complain(path, message);
        }
        let owned = |it: &str| Some(it.to_owned());
        UnixSocket {
            user: self.settings.some_text("unix_sockets.user").and_then(owned),
            group: self.settings.some_text("unix_sockets.group").and_then(owned),
            mode: mode.and_then(Result::ok),
        }
    }
}
