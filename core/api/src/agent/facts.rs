//! What the agent's answers need to know of the agent.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use tribune_base::coordinate::Coordinate;
use tribune_base::id::NodeId;

/// What a node knows of itself. Gathered by the node when one of these requests comes in.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub node: String,
    /// What it is, whatever it is called today.
    pub id: NodeId,
    /// The datacenter it is in.
    pub datacenter: String,
    /// The datacenter whose word counts.
    pub primary_datacenter: String,
    /// The release, as `1.2.3`.
    pub version: String,
    /// The revision it was built from.
    pub revision: String,
    /// When it was built (RFC 3339).
    pub build_date: String,
    /// Whether it is a server, and not a client agent.
    pub server: bool,
    /// Its address for the rest of the datacenter.
    pub address: IpAddr,
    /// Its addresses by what they are for: `lan`, `wan`, `lan_ipv4`, ...
    pub tagged_addresses: BTreeMap<String, String>,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
    /// The agents of this datacenter, by name. This one is among them.
    pub members: Vec<Member>,
    /// The servers of all datacenters, by name.
    pub members_wan: Vec<Member>,
    /// Where it is, as far as round-trip times can tell.
    pub coordinate: Coordinate,
    /// The configuration in force, as `DebugConfig` shows it: names and JSON values, secrets
    /// hidden.
    pub config: BTreeMap<String, serde_json::Value>,
    /// What operators look at: a group, a name, a value.
    pub stats: BTreeMap<String, BTreeMap<String, String>>,
}

/// One agent, as gossip sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where it gossips.
    pub address: IpAddr,
    /// Where it gossips.
    pub port: u16,
    /// What it says of itself: `role`, `dc`, `id`, ...
    pub tags: BTreeMap<String, String>,
    /// What is thought of it.
    pub status: MemberStatus,
}

/// What is thought of a member. The numbers are the API's.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum MemberStatus {
    /// It answers.
    Alive = 1,
    /// It says it is going.
    Leaving = 2,
    /// It has gone, and said so.
    Left = 3,
    /// It has gone without a word.
    Failed = 4,
}

impl Member {
    /// One of which nothing is known, to find out which fields there are.
    pub(crate) const fn sample() -> Self {
        Self {
            name: String::new(),
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
            tags: BTreeMap::new(),
            status: MemberStatus::Alive,
        }
    }
}
