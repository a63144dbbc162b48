//! Names of addresses: `4.3.2.1.in-addr.arpa`, and the thirty-two nibbles of `ip6.arpa`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that `name` is the name of. Expects lower case and no trailing dot.
pub(super) fn parse(name: &str) -> Option<IpAddr> {
    if let Some(octets) = name.strip_suffix(".in-addr.arpa") {
        let mut address = [0; 4];
        numbers(octets, 10, 3, &mut address)?;
        return Some(Ipv4Addr::from(address).into());
    }
    let mut nibbles = [0; 32];
    numbers(name.strip_suffix(".ip6.arpa")?, 16, 1, &mut nibbles)?;
    let address = nibbles.iter().fold(0, |address, it| address << 4 | u128::from(*it));
    Some(Ipv6Addr::from(address).into())
}

/// Read labels of at most `digits_max` digits, backwards, into exactly all of `into`.
fn numbers(labels: &str, radix: u32, digits_max: usize, into: &mut [u8]) -> Option<()> {
    let mut labels = labels.rsplit('.');
    for number in into {
        let label = labels.next()?;
        let plain = label.bytes().all(|it| it.is_ascii_alphanumeric());
        if !plain || digits_max < label.len() {
            return None;
        }
        *number = u8::from_str_radix(label, radix).ok()?;
    }
    labels.next().is_none().then_some(())
}

#[test]
fn addresses() {
    let nibbles = "5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2";
    let six = |it: &str| parse(&format!("{it}.ip6.arpa"));
    assert_eq!(six(nibbles), Some("2001:db8::5".parse().unwrap()));
    assert_eq!(six(&nibbles[2..]), None);
    assert_eq!(six(&format!("0.{nibbles}")), None);
    assert_eq!(six(&nibbles.replace("b.d", "bd")), None);

    let cases = [
        ("1.2.3.10.in-addr.arpa", Some([10, 3, 2, 1])),
        ("255.255.255.255.in-addr.arpa", Some([255; 4])),
        ("256.2.3.10.in-addr.arpa", None),
        ("+1.2.3.10.in-addr.arpa", None),
        ("0001.2.3.10.in-addr.arpa", None),
        ("2.3.10.in-addr.arpa", None),
        ("0.1.2.3.10.in-addr.arpa", None),
        ("in-addr.arpa", None),
        ("1.2.3.10.ip6.arpa", None),
        ("1.2.3.10.example.com", None),
    ];
    for (name, want) in cases {
        assert_eq!(parse(name), want.map(IpAddr::from), "{name}");
    }
}
