//! Decides: from settings to a [`Config`], or to the list of everything that makes no sense.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tribune_base::id::NodeId;
use tribune_io::gossip::Key;

use super::address::Addresses;
use super::host::Host;
use super::merge::Settings;
use super::runtime::{Check, Config, Encrypt, Leave, Level, Log, ScriptChecks};
use super::source::Problem;

/// Looks at settings and remembers what is wrong with them.
#[derive(Debug)]
pub(crate) struct Checker<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) host: &'a Host,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// Decide, or list everything there is to fix.
pub(crate) fn build(settings: &Settings, dev: bool, host: &Host) -> Result<Config, Vec<Problem>> {
    let mut checker = Checker { settings, host, problems: Vec::new(), warnings: Vec::new() };
    let config = checker.config(dev);
    if checker.problems.is_empty() { Ok(config) } else { Err(checker.problems) }
}

impl Checker<'_> {
    /// Whoever had the last word about `path` should not have said so.
    pub(crate) fn complain(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(self.settings.origin(path), message));
    }

    /// Something at `origin` is wrong.
    pub(crate) fn complain_about(&mut self, origin: &str, message: String) {
        self.problems.push(Problem::new(origin, message));
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    pub(crate) fn flag(&self, path: &str, default: bool) -> bool {
        self.settings.flag(path).unwrap_or(default)
    }

    pub(crate) fn span(&self, path: &str, default: &str) -> Duration {
        let default =
            || tribune_base::duration::parse(default).expect("our own defaults are well-formed");
        self.settings.span(path).unwrap_or_else(default)
    }

    /// A number that is zero or more.
    pub(crate) fn count(&mut self, path: &str, default: u64) -> u64 {
        let Some(number) = self.settings.int(path) else { return default };
        u64::try_from(number).unwrap_or_else(|_| {
            let message =
                format!("{path} cannot be {number}. Must be greater than or equal to zero");
            self.complain(path, message);
            default
        })
    }

    /// A number of which zero and less stand for "no limit".
    pub(crate) fn limit(&self, path: &str, default: usize) -> usize {
        let number = self.settings.int(path).map(|it| it.max(0));
        number.map_or(default, |it| usize::try_from(it).unwrap_or(usize::MAX))
    }

    /// The configuration, which is only good if there was no complaint.
    fn config(&mut self, dev: bool) -> Config {
        let settings = self.settings;
        let server = self.flag("server", false);
        let datacenter = self.datacenter("datacenter").unwrap_or_else(|| "dc1".to_owned());
        let primary = self.datacenter("primary_datacenter");
        let primary = primary.or_else(|| self.datacenter("acl_datacenter"));
        let addresses = Addresses::read(self);
        let watches = self.watches(!addresses.http.is_empty());
        self.check_default_policy();
        let kv_replication = self.kv_replication(&datacenter, server);
        Config {
            dev,
            node_name: self.node_name(),
            node_id: self.node_id(),
            disable_host_node_id: self.flag("disable_host_node_id", true),
            node_meta: self.node_meta(),
            tagged_addresses: self.tagged_addresses(),
            primary_datacenter: primary.unwrap_or_else(|| datacenter.clone()),
            datacenter,
            data_dir: self.data_dir(dev),
            pid_file: settings.some_text("pid_file").map(PathBuf::from),
            server,
            bootstrap_expect: self.bootstrap_expect(dev, server),
            bind_addr: addresses.bind,
            advertise_addr: addresses.advertise,
            advertise_addr_wan: addresses.advertise_wan,
            translate_wan_addrs: self.flag("translate_wan_addrs", false),
            serf_lan_addr: addresses.serf_lan,
            serf_wan_addr: addresses.serf_wan,
            client_addrs: addresses.clients,
            ports: addresses.ports,
            dns_listen: addresses.dns,
            http_listen: addresses.http,
            join: self.join(),
            leave: Leave {
                on_terminate: self.flag("leave_on_terminate", !server),
                skip_on_interrupt: self.flag("skip_leave_on_interrupt", server),
                drain_time: self.span("performance.leave_drain_time", "5s"),
            },
            raft: self.raft(),
            autopilot: self.autopilot(),
            kv_replication,
            gossip_lan: self.gossip("gossip_lan"),
            gossip_wan: self.gossip("gossip_wan"),
            encrypt: self.encrypt(),
            log: self.log(),
            dns: self.dns(),
            http: self.http(dev),
            ui: self.ui(),
            limits: self.limits(),
            check: self.check(),
            default_query_time: self.span("default_query_time", "300s"),
            max_query_time: self.span("max_query_time", "600s"),
            discovery_max_stale: self.span("discovery_max_stale", "0s"),
            rpc_hold_timeout: self.span("performance.rpc_hold_timeout", "7s"),
            session_ttl_min: self.span("session_ttl_min", "10s"),
            disable_coordinates: self.flag("disable_coordinates", false),
            enable_debug: self.flag("enable_debug", false),
            services: self.services(),
            checks: self.checks(),
            watches,
            fixed: settings.fixed(),
            unsupported: settings.unsupported().to_vec(),
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    fn datacenter(&mut self, path: &str) -> Option<String> {
        let name = self.settings.text(path)?.to_lowercase();
        let good = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it);
        if name.is_empty() && path == "datacenter" {
            self.complain(path, "datacenter cannot be empty");
        } else if !name.chars().all(good) {
            let message = format!("{path} cannot be {name:?}. Please use only [a-z0-9-_]");
            self.complain(path, message);
        }
        Some(name).filter(|it| !it.is_empty())
    }

    fn node_name(&mut self) -> String {
        let name = self.settings.some_text("node_name").unwrap_or(&self.host.name).trim();
        if name.is_empty() {
            self.complain("node_name", "node_name cannot be empty");
        } else if !name.chars().all(|it| it.is_ascii_alphanumeric() || it == '-') {
            self.warn(format!(
                "Node name {name:?} will not be discoverable via DNS due to invalid characters. \
                 Valid characters include all alpha-numerics and dashes."
            ));
        }
        name.to_owned()
    }

    fn node_id(&mut self) -> Option<NodeId> {
        let text = self.settings.some_text("node_id")?.to_lowercase();
        match text.parse() {
            Ok(id) => Some(NodeId(id)),
            Err(error) => {
                let message = format!("specified NodeID is invalid: {error}");
                self.complain("node_id", message);
                None
            }
        }
    }

    fn node_meta(&mut self) -> BTreeMap<String, String> {
        let meta = self.settings.text_map("node_meta");
        if META_COUNT_MAX < meta.len() {
            let message = format!(
                "node_meta invalid: Node metadata cannot contain more than {META_COUNT_MAX} \
                 key/value pairs"
            );
            self.complain("node_meta", message);
        }
        for (key, value) in &meta {
            if let Some(reason) = wrong_with_meta(key, value) {
                let message = format!(
                    "node_meta invalid: Couldn't load metadata pair ('{key}', '{value}'): {reason}"
                );
                self.complain("node_meta", message);
            }
        }
        meta
    }

    fn tagged_addresses(&self) -> BTreeMap<String, String> {
        let names = [
            ("lan_ipv4", "advertise_addr_ipv4"),
            ("lan_ipv6", "advertise_addr_ipv6"),
            ("wan_ipv4", "advertise_addr_wan_ipv4"),
            ("wan_ipv6", "advertise_addr_wan_ipv6"),
        ];
        let named = |(name, path): (&str, _)| {
            self.settings.some_text(path).map(|it| (name.to_owned(), it.to_owned()))
        };
        let mut addresses: BTreeMap<_, _> = names.into_iter().filter_map(named).collect();
        addresses.extend(self.settings.text_map("tagged_addresses"));
        addresses
    }

    fn data_dir(&mut self, dev: bool) -> Option<PathBuf> {
        let Some(text) = self.settings.some_text("data_dir") else {
            if !dev {
                self.complain("data_dir", "data_dir cannot be empty");
            }
            return None;
        };
        if Path::new(text).exists() && !Path::new(text).is_dir() {
            self.complain("data_dir", format!("data_dir {text:?} is not a directory"));
        }
        (!dev).then(|| PathBuf::from(text))
    }

    fn bootstrap_expect(&mut self, dev: bool, server: bool) -> u32 {
        let expect = self.count("bootstrap_expect", 0);
        let bootstrap = self.flag("bootstrap", false);
        if bootstrap && !server {
            self.complain("bootstrap", "'bootstrap = true' requires 'server = true'");
        }
        if 0 < expect && !server {
            self.complain("bootstrap_expect", "'bootstrap_expect > 0' requires 'server = true'");
        }
        if 1 < expect && bootstrap {
            let message = "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive";
            self.complain("bootstrap_expect", message);
        }
        if 0 < expect && dev {
            self.complain("bootstrap_expect", "'bootstrap_expect > 0' not allowed in dev mode");
        }
        if expect == 2 {
            self.warn(
                "bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance.",
            );
        } else if 0 < expect && expect.is_multiple_of(2) {
            self.warn(format!(
                "bootstrap_expect = {expect}: an even number of servers tolerates no more \
                 failures than one server less."
            ));
        }
        if expect == 1 {
            self.warn("BootstrapExpect is set to 1; this is the same as Bootstrap mode.");
        }
        if bootstrap || expect == 1 {
            self.warn("bootstrap = true: do not enable unless necessary");
        } else if 0 < expect {
            self.warn(format!("bootstrap_expect > 0: expecting {expect} servers"));
        }
        if dev || bootstrap { 1 } else { u32::try_from(expect).unwrap_or(u32::MAX) }
    }

    fn log(&mut self) -> Log {
        let text = self.settings.some_text("log_level").unwrap_or("INFO");
        let level = Level::parse(text).unwrap_or_else(|| {
            let message = format!(
                "Invalid log level: {text}. Valid log levels are: \
                 [TRACE DEBUG INFO WARN ERR ERROR]"
            );
            self.complain("log_level", message);
            Level::Info
        });
        Log { level, json: self.flag("log_json", false) }
    }

    fn check(&mut self) -> Check {
        let local = self.flag("enable_local_script_checks", false);
        let scripts = match (self.flag("enable_script_checks", false), local) {
            (true, _) => ScriptChecks::Enabled,
            (false, true) => ScriptChecks::Local,
            (false, false) => ScriptChecks::Disabled,
        };
        let output_max_size = self.settings.int("check_output_max_size").unwrap_or(4096);
        if output_max_size < 1 {
            let message = "check_output_max_size must be positive, to discard check output use the \
                           discard_check_output flag";
            self.complain("check_output_max_size", message);
        }
        Check {
            scripts,
            update_interval: self.span("check_update_interval", "5m"),
            output_max_size: usize::try_from(output_max_size).unwrap_or(usize::MAX),
            discard_output: self.flag("discard_check_output", false),
        }
    }

    fn encrypt(&mut self) -> Encrypt {
        let key = self.settings.some_text("encrypt").map(Key::parse).transpose();
        let key = key.unwrap_or_else(|error| {
            self.complain("encrypt", format!("encrypt has invalid key: {error}"));
            None
        });
        Encrypt {
            key,
            verify_incoming: self.flag("encrypt_verify_incoming", true),
            verify_outgoing: self.flag("encrypt_verify_outgoing", true),
            keyring_file: !self.flag("disable_keyring_file", false),
        }
    }

    fn check_default_policy(&mut self) {
        for path in ["acl.default_policy", "acl_default_policy"] {
            let policy = self.settings.some_text(path).unwrap_or("allow").to_lowercase();
            if !["allow", "deny"].contains(&policy.as_str()) {
                self.complain(path, format!("Unsupported default ACL policy: {policy}"));
            }
        }
    }
}

impl Level {
    /// Read a level's name, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_uppercase().as_str() {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" => Self::Warn,
            "ERR" | "ERROR" => Self::Error,
            _ => return None,
        })
    }
}

fn wrong_with_meta(key: &str, value: &str) -> Option<String> {
    let good = |it: char| it.is_ascii_alphanumeric() || "-_".contains(it);
    if key.is_empty() {
        Some("Key cannot be blank".to_owned())
    } else if !key.chars().all(good) {
        Some("Key contains invalid characters".to_owned())
    } else if META_KEY_LEN_MAX < key.len() {
        Some(format!("Key is too long (limit: {META_KEY_LEN_MAX} characters)"))
    } else if key.starts_with("consul-") {
        Some("Key prefix 'consul-' is reserved for internal use".to_owned())
    } else if META_VALUE_LEN_MAX < value.len() {
        Some(format!("Value is too long (limit: {META_VALUE_LEN_MAX} characters)"))
    } else {
        None
    }
}

const META_COUNT_MAX: usize = 64;
const META_KEY_LEN_MAX: usize = 128;
const META_VALUE_LEN_MAX: usize = 512;

#[cfg(test)]
mod tests;
