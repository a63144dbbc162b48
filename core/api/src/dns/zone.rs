//! What every row of an answer is made from.

use std::net::IpAddr;

use tribune_state::Snapshot;

use super::Config;
use crate::coordinate::Places;

/// The zone as one question sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zone<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The catalog.
    pub snapshot: &'a Snapshot,
    /// Where its nodes are.
    pub places: &'a Places,
    /// The zone's name, as far as this question is concerned.
    pub domain: &'a str,
    /// The serial number of the zone: seconds since 1970.
    pub now_unix: u64,
}

impl Zone<'_> {
    /// The full name of `label`.
    pub(super) fn name(&self, label: &str) -> String {
        [label, ".", self.domain].concat()
    }

    /// The full name of a node.
    pub(super) fn node_name(&self, node: &str) -> String {
        [node, ".node.", &self.config.datacenter, ".", self.domain].concat()
    }

    /// The full name of a service.
    pub(super) fn service_name(&self, service: &str) -> String {
        [service, ".service.", &self.config.datacenter, ".", self.domain].concat()
    }

    /// The full name of an address: for instances whose address is not their node's.
    pub(super) fn address_name(&self, address: IpAddr) -> String {
        let (datacenter, domain) = (&self.config.datacenter, self.domain);
        match address {
            IpAddr::V4(it) => format!("{:08x}.addr.{datacenter}.{domain}", u32::from(it)),
            IpAddr::V6(it) => format!("{:032x}.addr.{datacenter}.{domain}", u128::from(it)),
        }
    }
}
