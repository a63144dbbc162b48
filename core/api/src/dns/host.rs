//! Where a node or an instance can be reached: an address, or another name.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tribune_state::{Node, Service};

use super::{RecordData, RecordKind};

/// What somebody registered as an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target<'a> {
    /// An address.
    Ip(IpAddr),
    /// A name, without the last dot.
    Host(&'a str),
}

/// Read what was registered as an address.
pub(super) fn target(address: &str) -> Target<'_> {
    let host = || Target::Host(address.strip_suffix('.').unwrap_or(address));
    address.parse().map_or_else(|_| host(), Target::Ip)
}

/// The row that says `address`.
pub(super) const fn address(address: IpAddr) -> RecordData {
    match address {
        IpAddr::V4(it) => RecordData::A(it),
        IpAddr::V6(it) => RecordData::Aaaa(it),
    }
}

/// Whether `kind` asks for rows like the one that says `address`.
pub(super) const fn wanted(kind: RecordKind, address: IpAddr) -> bool {
    match kind {
        RecordKind::A => address.is_ipv4(),
        RecordKind::Aaaa => address.is_ipv6(),
        RecordKind::Any | RecordKind::Srv => true,
        RecordKind::Axfr
        | RecordKind::Cname
        | RecordKind::Ns
        | RecordKind::Ptr
        | RecordKind::Soa
        | RecordKind::Txt
        | RecordKind::Other => false,
    }
}

/// Where `node` is, for somebody who asks for `kind`, maybe from afar.
pub(super) fn of_node(node: &Node, kind: RecordKind, afar: bool) -> &str {
    let tagged = node.tagged_addresses.as_ref();
    tagged.and_then(|it| tagged_for(it, kind, afar, String::as_str)).unwrap_or(&node.address)
}

/// The port of `service`, for somebody who may be afar.
pub(super) fn port(service: &Service, afar: bool) -> i64 {
    let tagged = service.tagged_addresses.as_ref().filter(|_| afar).and_then(|it| it.get("wan"));
    tagged.map(|it| it.port).filter(|it| *it != 0).unwrap_or(service.port)
}

/// Where `service` is, if it is not simply where its node is.
pub(super) fn of_service(service: &Service, kind: RecordKind, afar: bool) -> Option<&str> {
    let tagged = service.tagged_addresses.as_ref();
    let tagged = tagged.and_then(|it| tagged_for(it, kind, afar, |it| it.address.as_str()));
    tagged.or(Some(service.address.as_str())).filter(|it| !it.is_empty())
}

/// Somebody with addresses of both families says so with tags; the family asked for decides.
fn tagged_for<T>(
    tagged: &BTreeMap<String, T>,
    kind: RecordKind,
    afar: bool,
    address: impl Fn(&T) -> &str,
) -> Option<&str> {
    let of_kind = |tag: &&str| {
        let address = address(tagged.get(*tag)?);
        address.parse().is_ok_and(|it| wanted(kind, it)).then_some(address)
    };
    let from_here = || ["lan_ipv6", "lan_ipv4"].iter().find_map(of_kind);
    if !afar {
        return from_here();
    }
    // It may be a name.
    let any = || tagged.get("wan").map(&address).filter(|it| !it.is_empty());
    ["wan_ipv6", "wan_ipv4"].iter().find_map(of_kind).or_else(any).or_else(from_here)
}

#[test]
fn the_family_asked_for_decides_between_tagged_addresses() {
    let entry = |tag: &str, address: &str| (tag.to_owned(), address.to_owned());
    let both = [entry("lan_ipv4", "10.7.7.7"), entry("lan_ipv6", "2001:db8::7")];
    let node = Node {
        address: "10.1.1.7".into(),
        tagged_addresses: Some(both.into_iter().collect()),
        ..Node::default()
    };
    assert_eq!(of_node(&node, RecordKind::A, false), "10.7.7.7");
    assert_eq!(of_node(&node, RecordKind::Aaaa, false), "2001:db8::7");
    assert_eq!(of_node(&node, RecordKind::Txt, false), "10.1.1.7");

    let mut public = node.clone();
    public.tagged_addresses.get_or_insert_default().insert("wan".into(), "198.51.100.7".into());
    assert_eq!(of_node(&public, RecordKind::A, true), "198.51.100.7");
    assert_eq!(of_node(&public, RecordKind::A, false), "10.7.7.7");
    assert_eq!(of_node(&node, RecordKind::A, true), "10.7.7.7", "it says nothing else");

    let plain = Node { address: "host.example.com.".into(), ..Node::default() };
    assert_eq!(target(of_node(&plain, RecordKind::A, false)), Target::Host("host.example.com"));
}
