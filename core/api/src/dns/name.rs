//! The grammar of the zone's names: what a name asks for, before anybody looks whether it is there.
//!
//! ```text
//!   [tag.]web.service[.dc1].consul      instances of a service; a tag may have dots
//!   _web._tag.service[.dc1].consul      the same as RFC 2782 wants it; `_tcp` is no tag
//!   _web._tag[.dc1].consul              the same once more
//!   n1.node[.dc1].consul                a node; its name may have dots
//!   0a000001.addr[.dc1].consul          an address, in hexadecimal
//!   db.query[.dc1].consul               a prepared query; its name may have dots
//!   1.0.0.10.in-addr.arpa               the name of an address
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Config;
use super::reverse;

/// What a name asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lookup<'a> {
    /// The zone itself.
    Apex,
    /// A name that has no rows but names below it, such as `service.consul`.
    Inner,
    /// The instances of a service.
    Service {
        /// The service.
        name: &'a str,
        /// Only instances that have this tag.
        tag: Option<&'a str>,
    },
    /// A node.
    Node(&'a str),
    /// An address spelled out. `None` if it has the wrong length to be one.
    Address(Option<IpAddr>),
    /// A prepared query, by name or id.
    PreparedQuery(&'a str),
    /// The name of an address, in the `arpa` zone. `None` if the address makes no sense.
    Reverse(Option<IpAddr>),
}

/// A name, understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parsed<'a> {
    /// What it asks for.
    pub lookup: Lookup<'a>,
    /// Whose catalog it asks for; `None` is ours.
    pub datacenter: Option<&'a str>,
    /// The zone it was asked in: names in the answer end like the name in the question.
    pub domain: &'a str,
}

/// Why a name asks for nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError<'a> {
    /// Some other zone's name. A recursor may know it.
    #[error("not a name of this zone")]
    OutsideDomain,
    /// A name of our zone that cannot exist, whatever is registered.
    #[error("no such name")]
    Unknown {
        /// The zone it was asked in.
        domain: &'a str,
    },
}

/// What a label right of a name makes it the name of.
#[derive(Clone, Copy)]
enum Kind {
    Service,
    Node,
    Address,
    PreparedQuery,
    /// The names of a service mesh. There is none.
    Mesh,
}

/// Work out what `name` asks for. Expects lower case and no trailing dot.
pub fn parse<'a>(name: &'a str, config: &'a Config) -> Result<Parsed<'a>, NameError<'a>> {
    if name == "arpa" || name.ends_with(".arpa") {
        let lookup = Lookup::Reverse(reverse::parse(name));
        return Ok(Parsed { lookup, datacenter: None, domain: &config.domain });
    }
    let (ours, domain) = in_zone(name, config).ok_or(NameError::OutsideDomain)?;
    let found = |(lookup, datacenter)| Parsed { lookup, datacenter, domain };
    below(ours).map(found).ok_or(NameError::Unknown { domain })
}

/// What is left of the zone's own name, and which of its names that is: the longer one, should one
/// lie within the other.
fn in_zone<'a>(name: &'a str, config: &'a Config) -> Option<(&'a str, &'a str)> {
    let domains = [Some(&config.domain), config.alt_domain.as_ref()];
    let ours = domains.into_iter().flatten().filter_map(|domain| {
        let rest = name.strip_suffix(domain.as_str())?;
        let rest = match rest.strip_suffix('.') {
            Some(rest) => rest,
            None if rest.is_empty() || domain.is_empty() => rest,
            None => return None,
        };
        Some((rest, domain.as_str()))
    });
    ours.max_by_key(|(_, domain)| domain.len())
}

/// What the labels left of the zone's name ask for, and of which datacenter.
fn below(ours: &str) -> Option<(Lookup<'_>, Option<&str>)> {
    if ours.is_empty() {
        return Some((Lookup::Apex, None));
    }
    // The rightmost label that is a kind decides, so a service may be called like a kind.
    let mut rest = ours;
    loop {
        let (path, label) = rest.rsplit_once('.').unwrap_or(("", rest));
        if let Some(kind) = kind(label) {
            let datacenter = ours.get(rest.len() + 1..);
            return Some((of_kind(kind, path)?, one_label(datacenter)?));
        }
        if path.is_empty() {
            return kindless(ours);
        }
        rest = path;
    }
}

fn kind(label: &str) -> Option<Kind> {
    Some(match label {
        "service" => Kind::Service,
        "node" => Kind::Node,
        "addr" => Kind::Address,
        "query" => Kind::PreparedQuery,
        "connect" | "ingress" | "virtual" => Kind::Mesh,
        _ => return None,
    })
}

fn of_kind(kind: Kind, path: &str) -> Option<Lookup<'_>> {
    Some(match kind {
        Kind::Mesh => return None,
        Kind::Service | Kind::Node | Kind::Address | Kind::PreparedQuery if path.is_empty() => {
            Lookup::Inner
        }
        // On the way to the names that RFC 2782 wants.
        Kind::Service if path == "_tcp" => Lookup::Inner,
        Kind::Service => rfc_2782(path).unwrap_or_else(|| match path.rsplit_once('.') {
            Some((tag, name)) => Lookup::Service { name, tag: Some(tag) },
            None => Lookup::Service { name: path, tag: None },
        }),
        Kind::Node => Lookup::Node(path),
        Kind::PreparedQuery => Lookup::PreparedQuery(path),
        Kind::Address => Lookup::Address(hexadecimal(path)?),
    })
}

/// A name without any kind: RFC 2782 without `service`, or a datacenter.
fn kindless(ours: &str) -> Option<(Lookup<'_>, Option<&str>)> {
    if !ours.starts_with('_') {
        return Some((Lookup::Inner, one_label(Some(ours))?));
    }
    let mut dots = ours.match_indices('.').map(|(at, _)| at);
    let end = dots.nth(1).unwrap_or(ours.len());
    Some((rfc_2782(&ours[..end])?, one_label(ours.get(end + 1..))?))
}

/// `_name._tag`. `_tcp` says nothing about the service; it is there because the RFC wants it.
fn rfc_2782(path: &str) -> Option<Lookup<'_>> {
    let (name, tag) = path.split_once('.')?;
    let (name, tag) = (name.strip_prefix('_')?, tag.strip_prefix('_')?);
    let tag = Some(tag).filter(|it| *it != "tcp");
    let exact = tag.is_none_or(|it| !it.contains('.'));
    exact.then_some(Lookup::Service { name, tag })
}

/// One label or none; more name nothing.
fn one_label(labels: Option<&str>) -> Option<Option<&str>> {
    labels.is_none_or(|it| !it.contains('.')).then_some(labels)
}

/// The address in `label`: none at all if there are other digits in it, or other labels.
fn hexadecimal(label: &str) -> Option<Option<IpAddr>> {
    if !label.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    Some(match label.len() {
        8 => Some(Ipv4Addr::from(u32::from_str_radix(label, 16).ok()?).into()),
        32 => Some(Ipv6Addr::from(u128::from_str_radix(label, 16).ok()?).into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (&'a str, Option<(Lookup<'a>, Option<&'a str>)>);

    const fn service<'a>(name: &'a str, tag: Option<&'a str>) -> Lookup<'a> {
        Lookup::Service { name, tag }
    }

    #[test]
    fn names() {
        let cases: &[Case<'_>] = &[
            ("web.service.consul", Some((service("web", None), None))),
            ("web.service.dc2.consul", Some((service("web", None), Some("dc2")))),
            ("blue.web.service.consul", Some((service("web", Some("blue")), None))),
            // All labels left of the service are one tag.
            ("v1.2.web.service.consul", Some((service("web", Some("v1.2")), None))),
            ("_web._blue.service.consul", Some((service("web", Some("blue")), None))),
            ("_web._tcp.service.dc2.consul", Some((service("web", None), Some("dc2")))),
            ("_web._tcp.consul", Some((service("web", None), None))),
            ("_web._blue.dc2.consul", Some((service("web", Some("blue")), Some("dc2")))),
            // Not as the RFC has it, so these are names and tags like others.
            ("_web.service.consul", Some((service("_web", None), None))),
            ("a._web._b.service.consul", Some((service("_b", Some("a._web")), None))),
            ("n1.node.consul", Some((Lookup::Node("n1"), None))),
            ("n1.rack.node.dc1.consul", Some((Lookup::Node("n1.rack"), Some("dc1")))),
            ("a.b.query.consul", Some((Lookup::PreparedQuery("a.b"), None))),
            // Things may be called like a kind; the rightmost label decides.
            ("node.node.consul", Some((Lookup::Node("node"), None))),
            ("query.service.consul", Some((service("query", None), None))),
            // Nothing is here, but something is below.
            ("consul", Some((Lookup::Apex, None))),
            ("service.consul", Some((Lookup::Inner, None))),
            ("node.dc1.consul", Some((Lookup::Inner, Some("dc1")))),
            ("dc1.consul", Some((Lookup::Inner, Some("dc1")))),
            ("_tcp.service.consul", Some((Lookup::Inner, None))),
            // And these cannot be.
            ("web.x.consul", None),
            ("web.service.dc1.foo.consul", None),
            ("_web._tcp.dc1.foo.consul", None),
            ("_web.consul", None),
            ("web.connect.consul", None),
            ("a.0a000001.addr.consul", None),
            ("0a00000x.addr.consul", None),
        ];
        let config = Config::new("dc1");
        for (name, want) in cases {
            let got = parse(name, &config);
            match want {
                Some((lookup, datacenter)) => {
                    let want =
                        Parsed { lookup: *lookup, datacenter: *datacenter, domain: "consul" };
                    assert_eq!(got, Ok(want), "{name}");
                }
                None => assert_eq!(got, Err(NameError::Unknown { domain: "consul" }), "{name}"),
            }
        }
    }

    #[test]
    fn addresses() {
        let cases = [
            ("0a000001.addr.dc1.consul", Some("10.0.0.1".parse().unwrap())),
            ("20010db8000000000000000000000005.addr.consul", Some("2001:db8::5".parse().unwrap())),
            ("0a0001.addr.consul", None),
        ];
        let config = Config::new("dc1");
        for (name, want) in cases {
            assert_eq!(parse(name, &config).unwrap().lookup, Lookup::Address(want), "{name}");
        }
        let reverse = parse("1.0.0.10.in-addr.arpa", &config).unwrap();
        assert_eq!(reverse.lookup, Lookup::Reverse(Some("10.0.0.1".parse().unwrap())));
        assert_eq!(parse("arpa", &config).unwrap().lookup, Lookup::Reverse(None));
    }

    #[test]
    fn other_zones_are_not_ours() {
        let config = Config::new("dc1");
        for name in ["", "com", "notconsul", "web.service.example.com", "consul.example"] {
            assert_eq!(parse(name, &config), Err(NameError::OutsideDomain), "{name}");
        }
        let root = Config::new("dc1").with_domain(".");
        assert_eq!(parse("web.service", &root).unwrap().lookup, service("web", None));
    }

    #[test]
    fn the_zone_may_have_two_names_one_within_the_other() {
        let config = Config::new("dc1").with_alt_domain("test.consul");
        let domain = |name| parse(name, &config).unwrap().domain;
        assert_eq!(domain("web.service.test.consul"), "test.consul");
        assert_eq!(domain("web.service.consul"), "consul");
        assert_eq!(domain("test.consul"), "test.consul");
    }
}
