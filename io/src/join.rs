//! Addresses to join: what people write, as what gossip needs.

use std::net::{IpAddr, SocketAddr};

use tribune_api::error::Error;

/// Where `address` is: a host or an address, with a port or without, then `port`. A name may have
/// several addresses.
///
/// # Errors
///
/// It has none.
pub async fn resolve(address: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let address = with_port(address, port);
    let failed =
        |why: &dyn std::fmt::Display| Error::Join(format!("Failed to resolve {address}: {why}"));
    let found = tokio::net::lookup_host(&address).await.map_err(|it| failed(&it))?;
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(failed(&"it has no address")) } else { Ok(found) }
}

/// `host:port`, where only `host` may be given: a name, an address, or an address in brackets.
pub fn with_port(address: &str, port: u16) -> String {
    if let Ok(ip) = address.parse::<IpAddr>() {
        return SocketAddr::new(ip, port).to_string();
    }
    let has_port = address.rsplit_once(':').is_some_and(|(_, it)| it.parse::<u16>().is_ok());
    if has_port { address.to_owned() } else { format!("{address}:{port}") }
}

#[test]
fn an_address_to_join_has_a_port_in_the_end() {
    let cases = [
        ("10.0.0.1", "10.0.0.1:8301"),
        ("10.0.0.1:9", "10.0.0.1:9"),
        ("n1.example.com", "n1.example.com:8301"),
        ("::1", "[::1]:8301"),
        ("[::1]", "[::1]:8301"),
        ("[::1]:9", "[::1]:9"),
    ];
    for (address, want) in cases {
        assert_eq!(with_port(address, 8_301), want, "{address}");
    }
}
