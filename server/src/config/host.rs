//! What the machine says about itself: its name and its addresses.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a configuration may ask of the machine. Plain data, so that tests can be other machines.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Host {
    /// The machine's name, up to the first dot or with all of them: as the kernel has it.
    pub name: String,
    /// Its IPv4 addresses.
    pub v4: BTreeSet<Ipv4Addr>,
    /// Its IPv6 addresses, with their interfaces.
    pub v6: Vec<(String, Ipv6Addr)>,
    /// The networks directly reached through an interface: its name, the network, its mask.
    pub networks: Vec<(String, Ipv4Addr, Ipv4Addr)>,
}

impl Host {
    /// Look at this machine. What cannot be found out stays empty: only a configuration that needs
    /// it will complain.
    pub fn probe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            name: read("/proc/sys/kernel/hostname").trim().to_owned(),
            v4: local_v4(&read("/proc/net/fib_trie")),
            v6: local_v6(&read("/proc/net/if_inet6")),
            networks: networks(&read("/proc/net/route")),
        }
    }

    /// IPv4 addresses that are not routed on the internet (RFC 6890), those of loopback and link
    /// apart.
    pub fn private_v4(&self) -> Vec<Ipv4Addr> {
        self.v4.iter().copied().filter(is_private).collect()
    }

    /// IPv4 addresses that are routed on the internet.
    pub fn public_v4(&self) -> Vec<Ipv4Addr> {
        let public = |it: &Ipv4Addr| !is_private(it) && !it.is_loopback() && !it.is_link_local();
        self.v4.iter().copied().filter(public).collect()
    }

    /// IPv6 addresses that are routed on the internet (`2000::/3`).
    pub fn public_v6(&self) -> Vec<Ipv6Addr> {
        self.v6.iter().map(|it| it.1).filter(|it| it.segments()[0] >> 13 == 1).collect()
    }

    /// The addresses of one interface, IPv4 first.
    pub fn interface(&self, name: &str) -> Vec<IpAddr> {
        if name == "lo" {
            return vec![Ipv4Addr::LOCALHOST.into()];
        }
        let within = |address: &Ipv4Addr| {
            let inside = |(interface, network, mask): &(String, Ipv4Addr, Ipv4Addr)| {
                interface == name && *address & *mask == *network
            };
            self.networks.iter().any(inside)
        };
        let v4 = self.v4.iter().copied().filter(within).map(IpAddr::from);
        let v6 = self.v6.iter().filter(|it| it.0 == name).map(|it| it.1.into());
        v4.chain(v6).collect()
    }
}

fn is_private(address: &Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    address.is_private()
        || address.is_documentation() // Laboratories use them.
        || (a == 100 && (64..128).contains(&b)) // Shared, RFC 6598.
        || (a == 198 && (18..20).contains(&b)) // Benchmarks, RFC 2544.
}

/// The kernel's routing trie names each local address before a line `/32 host LOCAL`.
fn local_v4(trie: &str) -> BTreeSet<Ipv4Addr> {
    let lines = trie.lines().map(str::trim);
    let pairs = lines.clone().zip(lines.skip(1));
    let local = pairs.filter(|(_, next)| *next == "/32 host LOCAL");
    local.filter_map(|(line, _)| line.strip_prefix("|-- ")?.parse().ok()).collect()
}

/// One line per address: 32 hexadecimal digits, four numbers, the interface.
fn local_v6(table: &str) -> Vec<(String, Ipv6Addr)> {
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let bits = u128::from_str_radix(words.first()?, 16).ok()?;
        Some(((*words.get(5)?).to_owned(), Ipv6Addr::from_bits(bits)))
    };
    table.lines().filter_map(row).collect()
}

/// One line per route: interface, destination, gateway, flags, three numbers, mask; addresses are
/// eight hexadecimal digits in the machine's byte order.
fn networks(table: &str) -> Vec<(String, Ipv4Addr, Ipv4Addr)> {
    let address =
        |word: &str| u32::from_str_radix(word, 16).ok().map(|it| Ipv4Addr::from(it.to_ne_bytes()));
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let gateway = address(words.get(2)?)?;
        let (network, mask) = (address(words.get(1)?)?, address(words.get(7)?)?);
        gateway.is_unspecified().then(|| (words[0].to_owned(), network, mask))
    };
    table.lines().filter_map(row).collect()
}

#[test]
fn the_kernels_tables_are_understood() {
    let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.1.2.0\n        /24 link UNICAST\n     \
                |-- 10.1.2.3\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
    let v6 = "20010db8000000000000000000000001 02 40 00 80     eth0\n";
    let route = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                 eth0\t00000000\t0101010A\t0003\t0\t0\t0\t00000000\n\
                 eth0\t0002010A\t00000000\t0001\t0\t0\t0\t00FFFFFF\n";
    let host = Host {
        name: "a".into(),
        v4: local_v4(trie),
        v6: local_v6(v6),
        networks: if cfg!(target_endian = "little") { networks(route) } else { return },
    };
    let v4 = Ipv4Addr::new(10, 1, 2, 3);
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    assert_eq!(host.private_v4(), [v4]);
    assert_eq!(host.public_v4(), [] as [Ipv4Addr; 0]);
    assert_eq!(host.public_v6(), [v6]);
    assert_eq!(host.interface("eth0"), [IpAddr::from(v4), IpAddr::from(v6)]);
    assert_eq!(host.interface("eth1"), [] as [IpAddr; 0]);
}
