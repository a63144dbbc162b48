//! Names that stand for other names, followed as long as they stay within the zone.

use super::host::{self, Target};
use super::name::{self, Lookup};
use super::zone::Zone;
use super::{Owner, Record, RecordData, RecordKind, lookup};

/// The row that makes `host` the canonical name of `owner`, and what is known of `host`.
pub(super) fn rows(
    zone: &Zone<'_>,
    kind: RecordKind,
    owner: Owner,
    host: &str,
    ttl: u32,
    rows: &mut Vec<Record>,
) {
    rows.push(Record { owner, ttl, data: RecordData::Cname(host.to_owned()) });
    if !matches!(kind, RecordKind::Cname) {
        resolve(zone, kind, host, rows);
    }
}

/// The rows of `host`, if it is a name of this zone. Others are a recursor's.
pub(super) fn resolve(zone: &Zone<'_>, kind: RecordKind, host: &str, rows: &mut Vec<Record>) {
    let mut visited = Vec::new();
    let mut host = host.to_owned();
    while let Some(next) = step(zone, kind, &host, rows) {
        // Names can be registered so that they lead in a circle, or nearly nowhere.
        if STEPS_MAX <= visited.len() || visited.contains(&next.to_ascii_lowercase()) {
            return;
        }
        visited.push(host.to_ascii_lowercase());
        host = next;
    }
}

/// Add the rows of `host`; returns the name to go on with.
fn step(zone: &Zone<'_>, kind: RecordKind, host: &str, rows: &mut Vec<Record>) -> Option<String> {
    let lower = host.to_ascii_lowercase();
    let parsed = name::parse(&lower, zone.config).ok()?;
    if parsed.datacenter.is_some_and(|it| it != zone.config.datacenter) {
        return None;
    }
    let afar = zone.config.afar;
    let (targets, ttl) = match parsed.lookup {
        Lookup::Service { name, tag } => {
            let candidates = lookup::candidates(zone.snapshot, zone.config, name, tag);
            let places = candidates.iter().map(|it| {
                host::of_service(it.service, kind, afar)
                    .unwrap_or_else(|| host::of_node(it.node, kind, afar))
            });
            (places.map(host::target).collect(), zone.config.service_ttl.of(name))
        }
        Lookup::Node(name) => {
            let (_, node) = zone.snapshot.node(name);
            let places = node.map(|it| host::target(host::of_node(it, kind, afar)));
            (places.into_iter().collect(), zone.config.node_ttl)
        }
        Lookup::Address(address) => (address.map(Target::Ip).into_iter().collect(), 0),
        Lookup::Apex | Lookup::Inner | Lookup::PreparedQuery(_) | Lookup::Reverse(_) => {
            (Vec::new(), 0)
        }
    };
    let mut elsewhere = None;
    let before = rows.len();
    for target in targets {
        match target {
            Target::Ip(address) if host::wanted(kind, address) => {
                let row = Record::of(host, ttl, host::address(address));
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
            Target::Ip(_) => {}
            Target::Host(host) => elsewhere = elsewhere.or(Some(host)),
        }
    }
    let next = elsewhere.filter(|_| rows.len() == before)?.to_owned();
    rows.push(Record::of(host, ttl, RecordData::Cname(next.clone())));
    Some(next)
}

/// How many names may stand for each other in a row.
const STEPS_MAX: usize = 3;
