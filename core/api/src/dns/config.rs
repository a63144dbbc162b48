//! The settings of the zone, named as in the configuration file's `dns_config`.

mod codec;

use std::collections::BTreeMap;

/// What an operator may decide about the zone. Times in seconds.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Config {
    /// The datacenter whose catalog this is, lower case.
    pub datacenter: String,
    /// The node of this agent: what is near to it is near to those who ask it.
    pub node: String,
    /// The zone, lower case, without the last dot.
    pub domain: String,
    /// A second name of the zone, in the same form.
    pub alt_domain: Option<String>,
    /// Answer from a state that may be out of date, rather than not at all.
    pub allow_stale: bool,
    /// At most so many address rows in an answer; zero means no limit. SRV rows do not count.
    pub a_record_limit: usize,
    /// At most so many rows in an answer over UDP to a client that does not speak EDNS.
    pub udp_answer_limit: usize,
    /// Say that an answer was cut short, so that the client asks again over TCP.
    pub enable_truncate: bool,
    /// Leave out instances with warnings, not only critical ones.
    pub only_passing: bool,
    /// Send compressed names uncompressed.
    pub disable_compression: bool,
    /// Add the metadata of nodes to the additional section.
    pub enable_additional_node_meta_txt: bool,
    /// Ask other datacenters for the addresses that are for this one.
    pub translate_wan_addrs: bool,
    /// Tell the addresses that are for other datacenters, where nodes and services have such.
    pub afar: bool,
    /// How long rows of a node may be remembered.
    pub node_ttl: u32,
    /// How long rows of a service may be remembered.
    pub service_ttl: ServiceTtl,
    /// How long the name of an address may be remembered.
    pub ptr_ttl: u32,
    /// The start of authority; its `min_ttl` is how long an absence may be remembered.
    pub soa: Soa,
}

/// The times of the start of authority (RFC 1035, section 3.3.13), in seconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Soa {
    /// How often a secondary looks for changes.
    pub refresh: u32,
    /// How soon it looks again after a failure.
    pub retry: u32,
    /// How long it believes what it has.
    pub expire: u32,
    /// How long anybody may remember that there is no such record (RFC 2308).
    pub min_ttl: u32,
}

/// How long rows of a service may be remembered, by its name.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct ServiceTtl {
    /// By whole name, lower case.
    exact: BTreeMap<String, u32>,
    /// By the beginning of the name, lower case and without the `*`, longest first.
    prefixes: Vec<(String, u32)>,
}

impl Config {
    /// The defaults, for the catalog of `datacenter`.
    pub fn new(datacenter: &str) -> Self {
        Self {
            datacenter: datacenter.to_ascii_lowercase(),
            node: String::new(),
            domain: "consul".to_owned(),
            alt_domain: None,
            allow_stale: true,
            a_record_limit: 0,
            udp_answer_limit: 3,
            enable_truncate: true,
            only_passing: false,
            disable_compression: false,
            enable_additional_node_meta_txt: true,
            translate_wan_addrs: false,
            afar: false,
            node_ttl: 0,
            service_ttl: ServiceTtl::default(),
            ptr_ttl: 0,
            soa: Soa::default(),
        }
    }

    /// Serve the zone as `domain`, written in any case and with or without dots around it.
    #[must_use]
    pub fn with_domain(mut self, domain: &str) -> Self {
        self.domain = zone(domain);
        self
    }

    /// These settings, for an answer that the agent of `ours` gives to another agent's client: whose
    /// catalog it is does not depend on who asks.
    #[must_use]
    pub fn answered_by(&self, ours: &Self) -> Self {
        Self {
            datacenter: ours.datacenter.clone(),
            node: ours.node.clone(),
            translate_wan_addrs: ours.translate_wan_addrs,
            ..self.clone()
        }
    }

    /// Serve it as `domain` too.
    #[must_use]
    pub fn with_alt_domain(mut self, domain: &str) -> Self {
        self.alt_domain = Some(zone(domain)).filter(|it| !it.is_empty());
        self
    }
}

/// A domain as [`Config`] keeps it.
fn zone(domain: &str) -> String {
    domain.trim_matches('.').to_ascii_lowercase()
}

impl Default for Soa {
    fn default() -> Self {
        // An absence is remembered for a second: long enough to stop a storm of questions for a
        // name that is not there, too short to hide one that comes.
        Self { refresh: 3_600, retry: 600, expire: 86_400, min_ttl: 1 }
    }
}

impl ServiceTtl {
    /// From the configuration's map: a name, a prefix followed by `*`, or `*` for all the rest.
    pub fn new<P: AsRef<str>>(entries: impl IntoIterator<Item = (P, u32)>) -> Self {
        let mut ttl = Self::default();
        for (pattern, seconds) in entries {
            let pattern = pattern.as_ref().to_ascii_lowercase();
            match pattern.strip_suffix('*') {
                Some(prefix) => ttl.prefixes.push((prefix.to_owned(), seconds)),
                None => _ = ttl.exact.insert(pattern, seconds),
            }
        }
        Self::sort(&mut ttl.prefixes);
        ttl
    }

    /// The longest first.
    fn sort(prefixes: &mut [(String, u32)]) {
        prefixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
    }

    /// What holds for `service`, in lower case: the exact name, or the longest prefix, or zero.
    pub fn of(&self, service: &str) -> u32 {
        if let Some(seconds) = self.exact.get(service) {
            return *seconds;
        }
        let prefix = self.prefixes.iter().find(|(prefix, _)| service.starts_with(prefix));
        prefix.map_or(0, |(_, seconds)| *seconds)
    }
}

#[test]
fn the_most_specific_ttl_wins() {
    let ttl = ServiceTtl::new([("*", 1), ("db*", 2), ("db-main*", 3), ("DB-main-1", 4), ("z", 5)]);
    let cases =
        [("web", 1), ("db", 2), ("db-x", 2), ("db-main", 3), ("db-main-1", 4), ("z", 5), ("zz", 1)];
    for (service, want) in cases {
        assert_eq!(ttl.of(service), want, "{service}");
    }
    assert_eq!(ServiceTtl::default().of("web"), 0);
}

#[test]
fn a_domain_is_taken_however_it_is_written() {
    let config = Config::new("DC1").with_domain(".Consul.").with_alt_domain("Example.COM.");
    assert_eq!(config.domain, "consul");
    assert_eq!(config.alt_domain.as_deref(), Some("example.com"));
    assert_eq!(config.with_alt_domain("").alt_domain, None);
}
