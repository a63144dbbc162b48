//! The zone itself: its start of authority, and the servers that answer for it.

use tribune_base::rng::Rng;

use super::host::{self, Target};
use super::lookup;
use super::zone::Zone;
use super::{Record, RecordData, SoaData};

/// The start of authority. Its time to live is that of an absence (RFC 2308, section 3).
pub(super) fn record(zone: &Zone<'_>) -> Record {
    let soa = zone.config.soa;
    let data = SoaData {
        mname: zone.name("ns"),
        rname: zone.name("hostmaster"),
        // Serial numbers wrap around (RFC 1982).
        serial: zone.now_unix as u32,
        refresh: soa.refresh,
        retry: soa.retry,
        expire: soa.expire,
        minimum: soa.min_ttl,
    };
    Record::of(zone.domain, soa.min_ttl, RecordData::Soa(Box::new(data)))
}

/// The servers of the zone, and their addresses: a few healthy ones, drawn at random.
pub(super) fn name_servers(zone: &Zone<'_>, rng: &mut Rng) -> (Vec<Record>, Vec<Record>) {
    let mut servers = lookup::candidates(zone.snapshot, zone.config, SERVER_SERVICE, None);
    rng.shuffle(&mut servers);
    servers.truncate(NAME_SERVERS_MAX);

    let (mut rows, mut glue) = (Vec::new(), Vec::new());
    let ttl = zone.config.node_ttl;
    for server in &servers {
        let name = zone.node_name(&server.node.name);
        if let Target::Ip(address) = host::target(&server.node.address) {
            glue.push(Record::of(name.clone(), ttl, host::address(address)));
        }
        rows.push(Record::of(zone.domain, ttl, RecordData::Ns(name)));
    }
    (rows, glue)
}

/// The service that every server registers itself as.
const SERVER_SERVICE: &str = "consul";

/// More of them would be of no use to anybody, and fill the packet.
const NAME_SERVERS_MAX: usize = 3;
