//! A network of our own: a namespace for each server, and links that can be cut.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{self, Command};

use crate::agent::Place;

/// Network namespaces on one bridge, on which this process is too. Removed when dropped.
///
/// What this process says to a server arrives whatever is cut: a client that still reaches a
/// server that nobody else does is the interesting one.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    /// Where servers may run.
    pub places: Vec<Place>,
}

impl Network {
    /// A network of `count` places; `None` where we are not allowed to make one.
    pub fn make(count: u8) -> Option<Self> {
        let id = process::id();
        let bridge = format!("tb{id}");
        let ip = |host| Ipv4Addr::new(10, 128 + (id >> 8 & 127) as u8, (id & 255) as u8, host);
        ip_command(&format!("link add {bridge} type bridge")).then_some(())?;
        let mut network = Self { bridge: bridge.clone(), places: Vec::new() };
        let up = ip_command(&format!("addr add {}/24 dev {bridge}", ip(254)))
            && ip_command(&format!("link set {bridge} up"));
        up.then_some(())?;
        for n in 1..=count {
            let (name, port) = (format!("{bridge}-{n}"), format!("{bridge}.{n}"));
            ip_command(&format!("netns add {name}")).then_some(())?;
            network.places.push(Place { ip: ip(n).into(), namespace: Some(name.clone()) });
            let linked = [
                format!("link add {port} type veth peer name eth0 netns {name}"),
                format!("link set {port} master {bridge} up"),
                format!("-n {name} addr add {}/24 dev eth0", ip(n)),
                format!("-n {name} link set eth0 up"),
                format!("-n {name} link set lo up"),
            ];
            linked.iter().all(|it| ip_command(it)).then_some(())?;
        }
        Some(network)
    }

    /// What `from` sends to `to` is lost from now on, without a word to anybody.
    pub fn cut(&self, from: usize, to: usize) {
        // Sent to a station that does not exist.
        let nobody = "lladdr 02:00:00:00:00:01 dev eth0 nud permanent";
        let (from, to) = (self.namespace(from), self.ip(to));
        assert!(ip_command(&format!("-n {from} neigh replace {to} {nobody}")));
    }

    /// Cut in both directions.
    pub fn part(&self, one: usize, other: usize) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Everybody hears everybody again.
    pub fn heal(&self) {
        for from in 0..self.places.len() {
            let from = self.namespace(from);
            assert!(ip_command(&format!("-n {from} neigh flush dev eth0 nud permanent")));
        }
    }

    fn namespace(&self, place: usize) -> &str {
        self.places[place].namespace.as_deref().expect("all of ours have one")
    }

    fn ip(&self, place: usize) -> IpAddr {
        self.places[place].ip
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in 0..self.places.len() {
            ip_command(&format!("netns del {}", self.namespace(place)));
        }
        ip_command(&format!("link del {}", self.bridge));
    }
}

/// Run `ip`; whether it worked.
fn ip_command(arguments: &str) -> bool {
    let run = Command::new("ip").args(arguments.split(' ')).output();
    run.is_ok_and(|it| it.status.success())
}
