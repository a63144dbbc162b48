//! Addresses: from the words of the configuration to sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::check::Checker;
use super::host::Host;
use super::runtime::{Listen, Ports};

/// Every address of an agent.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    pub(crate) bind: IpAddr,
    pub(crate) advertise: IpAddr,
    pub(crate) advertise_wan: IpAddr,
    pub(crate) serf_lan: IpAddr,
    pub(crate) serf_wan: IpAddr,
    pub(crate) clients: Vec<IpAddr>,
    pub(crate) ports: Ports,
    pub(crate) dns: Vec<SocketAddr>,
    pub(crate) http: Vec<Listen>,
}

impl Addresses {
    pub(crate) fn read(checker: &mut Checker<'_>) -> Self {
        let ports = ports(checker);
        let bind = one(checker, "bind_addr").unwrap_or(ANY);
        let serf_lan = one(checker, "serf_lan").unwrap_or(bind);
        let serf_wan = one(checker, "serf_wan").unwrap_or(bind);
        let advertise = match one(checker, "advertise_addr") {
            None if bind.is_unspecified() => detect(checker, bind),
            address => address.unwrap_or(bind),
        };
        if checker.settings.some_text("advertise_addr").is_some() && advertise.is_unspecified() {
            checker.complain("advertise_addr", NOT_ADVERTISED);
        }
        let advertise_wan = one(checker, "advertise_addr_wan").unwrap_or(advertise);
        if checker.settings.some_text("advertise_addr_wan").is_some()
            && advertise_wan.is_unspecified()
        {
            let message = NOT_ADVERTISED.replace("address", "WAN address");
            checker.complain("advertise_addr_wan", message);
        }
        let clients = match many(checker, "client_addr") {
            clients if clients.is_empty() => vec![Ipv4Addr::LOCALHOST.into()],
            clients => clients,
        };
        let dns = dns(checker, &clients, ports.dns);
        let http = http(checker, &clients, ports.http);
        let addresses =
            Self { bind, advertise, advertise_wan, serf_lan, serf_wan, clients, ports, dns, http };
        addresses.check_distinct(checker);
        addresses
    }

    /// No two listeners may want the same place.
    fn check_distinct(&self, checker: &mut Checker<'_>) {
        let mut taken: Vec<(&str, &str, Listen)> = Vec::new();
        let tcp = |ip, port| Listen::Tcp(SocketAddr::new(ip, port));
        let dns = self.dns.iter().map(|it| ("DNS", "ports.dns", Listen::Tcp(*it)));
        let http = self.http.iter().map(|it| ("HTTP", "ports.http", it.clone()));
        let rpc = [("Server RPC", "ports.server", tcp(self.bind, self.ports.server))];
        let lan = [("Serf LAN", "ports.serf_lan", tcp(self.serf_lan, self.ports.serf_lan))];
        let wan =
            self.ports.serf_wan.map(|it| ("Serf WAN", "ports.serf_wan", tcp(self.serf_wan, it)));
        for (name, path, listen) in dns.chain(http).chain(rpc).chain(lan).chain(wan) {
            if let Some((other, ..)) = taken.iter().find(|it| it.2 == listen) {
                let place = match &listen {
                    Listen::Tcp(address) => address.to_string(),
                    Listen::Unix(path) => path.display().to_string(),
                };
                let message = format!("{name} address {place} already configured for {other}");
                checker.complain(path, message);
            }
            taken.push((name, path, listen));
        }
    }
}

fn ports(checker: &mut Checker<'_>) -> Ports {
    // A port that must be there has a number even when the configuration is wrong about it.
    let mut needed = |path, default| {
        let port = port(checker, path, default);
        port.unwrap_or_else(|| {
            checker.complain(path, format!("{path} must be a port between 1 and 65535"));
            default
        })
    };
    let server = needed("ports.server", 8300);
    let serf_lan = needed("ports.serf_lan", 8301);
    Ports {
        dns: port(checker, "ports.dns", 8600),
        http: port(checker, "ports.http", 8500),
        server,
        serf_lan,
        serf_wan: port(checker, "ports.serf_wan", 8302),
    }
}

/// The port at `path`; `None` if it is off: zero or less.
fn port(checker: &mut Checker<'_>, path: &str, default: u16) -> Option<u16> {
    let number = checker.settings.int(path).unwrap_or_else(|| default.into()).max(0);
    match u16::try_from(number) {
        Ok(port) => (port != 0).then_some(port),
        Err(_) => {
            checker.complain(path, format!("{path}: invalid port: {number}"));
            Some(default)
        }
    }
}

fn dns(checker: &mut Checker<'_>, clients: &[IpAddr], port: Option<u16>) -> Vec<SocketAddr> {
    let mut addresses = clients.to_vec();
    if let Some(words) = words(checker, "addresses.dns") {
        if words.iter().any(|it| it.starts_with(UNIX)) {
            checker.complain("addresses.dns", "DNS address cannot be a unix socket");
        }
        let ips = words.into_iter().filter(|it| !it.starts_with(UNIX)).collect();
        addresses = parse(checker, "addresses.dns", ips);
    }
    let Some(port) = port else { return Vec::new() };
    addresses.into_iter().map(|it| SocketAddr::new(it, port)).collect()
}

fn http(checker: &mut Checker<'_>, clients: &[IpAddr], port: Option<u16>) -> Vec<Listen> {
    let mut addresses = clients.to_vec();
    let mut sockets = Vec::new();
    if let Some(words) = words(checker, "addresses.http") {
        let (unix, ips): (Vec<_>, _) = words.into_iter().partition(|it| it.starts_with(UNIX));
        sockets = unix.iter().map(|it| Listen::Unix(PathBuf::from(&it[UNIX.len()..]))).collect();
        addresses = parse(checker, "addresses.http", ips);
    }
    // Switching the port off leaves the sockets that have none.
    let ips = if port.is_some() { addresses } else { Vec::new() };
    let tcp = ips.into_iter().zip(std::iter::repeat(port.unwrap_or(0)));
    sockets.into_iter().chain(tcp.map(|it| Listen::Tcp(it.into()))).collect()
}

/// The address of this machine that others of the same family reach.
fn detect(checker: &mut Checker<'_>, bind: IpAddr) -> IpAddr {
    let host = checker.host;
    let (what, found): (_, Vec<IpAddr>) = match bind {
        IpAddr::V4(_) => {
            ("private IPv4", host.private_v4().into_iter().map(IpAddr::from).collect())
        }
        IpAddr::V6(_) => ("public IPv6", host.public_v6().into_iter().map(IpAddr::from).collect()),
    };
    match found.as_slice() {
        [address] => return *address,
        [] => checker.complain("advertise_addr", format!("No {what} address found")),
        _ => checker.complain(
            "advertise_addr",
            format!(
                "Multiple {what} addresses found. \
                 Please configure one with 'bind' and/or 'advertise'."
            ),
        ),
    }
    bind
}

fn one(checker: &mut Checker<'_>, path: &str) -> Option<IpAddr> {
    let addresses = many(checker, path);
    if 1 < addresses.len() {
        let message = format!(
            "{path} cannot contain multiple addresses. Use 'addresses.{{dns,http,https}}' instead."
        );
        checker.complain(path, message);
    }
    addresses.first().copied()
}

fn many(checker: &mut Checker<'_>, path: &str) -> Vec<IpAddr> {
    let words = words(checker, path).unwrap_or_default();
    parse(checker, path, words)
}

fn parse(checker: &mut Checker<'_>, path: &str, words: Vec<String>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for word in words {
        let bare = word.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&word);
        match bare.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => checker.complain(path, format!("{path}: invalid ip address: {word}")),
        }
    }
    addresses
}

/// The words at `path` with templates filled in. `None` if nothing is said.
fn words(checker: &mut Checker<'_>, path: &str) -> Option<Vec<String>> {
    let text = checker.settings.some_text(path)?;
    match expand(text, checker.host) {
        Ok(text) => Some(text.split_whitespace().map(str::to_owned).collect()),
        Err(error) => {
            checker.complain(path, format!("{path}: error parsing {text:?}: {error}"));
            Some(Vec::new())
        }
    }
}

/// Why a template could not be filled in. The operator writes the address instead.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// `{{` without `}}`.
    #[error("unclosed template")]
    Unclosed,
    /// Not one of the few that are supported.
    #[error("unsupported template {0:?}: use GetPrivateIP, GetPublicIP or GetInterfaceIP \"name\"")]
    Unsupported(String),
    /// The machine has no such address.
    #[error("template {0:?}: no such address on this machine")]
    Nothing(String),
}

/// Fill in `{{ GetPrivateIP }}` and the like.
pub(crate) fn expand(text: &str, host: &Host) -> Result<String, TemplateError> {
    let Some((head, rest)) = text.split_once("{{") else { return Ok(text.to_owned()) };
    let (template, tail) = rest.split_once("}}").ok_or(TemplateError::Unclosed)?;
    let words: Vec<_> = template.split_whitespace().collect();
    let v4 = |it: Vec<Ipv4Addr>| it.into_iter().map(IpAddr::from).collect::<Vec<_>>();
    let found = match words.as_slice() {
        ["GetPrivateIP"] => v4(host.private_v4().into_iter().take(1).collect()),
        ["GetPrivateIPs"] => v4(host.private_v4()),
        ["GetPublicIP"] => v4(host.public_v4().into_iter().take(1).collect()),
        ["GetPublicIPs"] => v4(host.public_v4()),
        ["GetInterfaceIP", name] => host.interface(unquoted(name)).into_iter().take(1).collect(),
        ["GetInterfaceIPs", name] => host.interface(unquoted(name)),
        _ => return Err(TemplateError::Unsupported(template.trim().to_owned())),
    };
    if found.is_empty() {
        return Err(TemplateError::Nothing(template.trim().to_owned()));
    }
    let found: Vec<_> = found.iter().map(IpAddr::to_string).collect();
    Ok(format!("{head}{}{}", found.join(" "), expand(tail, host)?))
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\'', '`'])
}

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const UNIX: &str = "unix://";
const NOT_ADVERTISED: &str = "Advertise address cannot be 0.0.0.0, :: or [::]";

#[test]
fn templates() {
    let host = Host {
        v4: ["10.0.0.7", "192.168.1.2", "8.8.4.4", "127.0.0.1"]
            .map(|it| it.parse().unwrap())
            .into(),
        networks: vec![("eth1".into(), [192, 168, 1, 0].into(), [255, 255, 255, 0].into())],
        ..Host::default()
    };
    let cases = [
        ("1.2.3.4", Ok("1.2.3.4")),
        ("{{ GetPrivateIP }}", Ok("10.0.0.7")),
        ("{{GetPrivateIPs}}", Ok("10.0.0.7 192.168.1.2")),
        ("{{ GetPublicIP }} ::1", Ok("8.8.4.4 ::1")),
        ("{{ GetInterfaceIP \"eth1\" }}", Ok("192.168.1.2")),
        ("{{ GetInterfaceIP \"lo\" }}", Ok("127.0.0.1")),
        (
            "{{ GetInterfaceIP \"eth9\" }}",
            Err(TemplateError::Nothing("GetInterfaceIP \"eth9\"".into())),
        ),
        ("{{ nope }}", Err(TemplateError::Unsupported("nope".into()))),
        ("{{ GetPrivateIP", Err(TemplateError::Unclosed)),
    ];
    for (text, want) in cases {
        assert_eq!(expand(text, &host), want.map(str::to_owned), "{text}");
    }
}
