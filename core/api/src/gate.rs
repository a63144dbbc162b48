//! Who may ask for what, before anybody looks at what it is.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use crate::error::Error;
use crate::http::{Method, Request};

/// What the configuration keeps clients of this agent from. By default, nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gate {
    /// How paths begin that nobody may ask for: `http_config.block_endpoints`.
    pub blocked: Vec<String>,
    /// From where writes may come: `http_config.allow_write_http_from`. Empty: from everywhere.
    pub writers: Vec<Network>,
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    /// The first of them.
    address: IpAddr,
    /// How many bits. Invariant: at most 32 or 128.
    bits: u8,
}

impl Gate {
    /// Whether `request` may come in.
    ///
    /// # Errors
    ///
    /// The answer that says why not.
    pub fn admit(&self, request: &Request<'_>) -> Result<(), Error> {
        if !self.blocked.is_empty() {
            // As it is meant: `%6b` is a `k`.
            let path = percent_decode_str(request.path).decode_utf8_lossy();
            if self.blocked.iter().any(|it| path.starts_with(it)) {
                return Err(Error::Blocked);
            }
        }
        let reads = matches!(request.method, Method::Get | Method::Head | Method::Options);
        // Who has no address, at a Unix socket, is at none of those that may write.
        let may_write = || request.remote.is_some_and(|it| self.is_writer(it));
        if reads || self.writers.is_empty() || may_write() {
            return Ok(());
        }
        Err(Error::Restricted)
    }

    fn is_writer(&self, address: IpAddr) -> bool {
        self.writers.iter().any(|it| it.contains(address))
    }
}

impl Network {
    /// Read `10.0.0.0/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        match (address, address.to_canonical()) {
            // An IPv4 network, written as IPv6 (RFC 4291, section 2.5.5.2).
            (IpAddr::V6(_), IpAddr::V4(it)) if (96..=128).contains(&bits) => {
                Some(Self { address: it.into(), bits: bits - 96 })
            }
            (IpAddr::V4(_), _) => (bits <= 32).then_some(Self { address, bits }),
            (IpAddr::V6(_), _) => (bits <= 128).then_some(Self { address, bits }),
        }
    }

    /// Whether `address` is one of them. An IPv4 address written as IPv6 is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).unwrap()
    }

    fn admit(gate: &Gate, method: Method, path: &str, remote: Option<&str>) -> Result<(), Error> {
        let remote = remote.map(|it| it.parse().unwrap());
        let body = Bytes::new();
        let (query, token, forwarded_for) = ("", None, None);
        let wants_text = false;
        let request =
            Request { method, path, query, token, body, remote, forwarded_for, wants_text };
        gate.admit(&request)
    }

    #[test]
    fn a_network_is_its_first_bits() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.200.3.4", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "255.255.255.255", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("::1/128", "::1", "::2"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
        ] {
            let network = network(text);
            assert!(network.contains(inside.parse().unwrap()), "{inside} is in {text}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} is not in {text}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_blocked_is_so_however_it_is_written() {
        let gate = Gate { blocked: vec!["/v1/kv/secret".to_owned()], ..Gate::default() };
        let ask = |path| admit(&gate, Method::Get, path, Some("127.0.0.1"));
        assert_eq!(ask("/v1/kv/public"), Ok(()));
        assert_eq!(ask("/v1/kv/secret"), Err(Error::Blocked));
        assert_eq!(ask("/v1/kv/secret/one"), Err(Error::Blocked));
        assert_eq!(ask("/v1/kv/%73ecret"), Err(Error::Blocked));
        assert_eq!(ask("/%76%31/kv/secret"), Err(Error::Blocked));
    }

    #[test]
    fn everybody_reads_and_some_write() {
        let gate = Gate { writers: vec![network("10.0.0.0/8")], ..Gate::default() };
        for method in [Method::Get, Method::Head, Method::Options] {
            assert_eq!(admit(&gate, method, "/v1/kv/a", Some("192.0.2.1")), Ok(()));
        }
        for method in [Method::Put, Method::Post, Method::Delete, Method::Patch, Method::Other] {
            assert_eq!(admit(&gate, method, "/v1/kv/a", Some("10.1.1.1")), Ok(()));
            assert_eq!(admit(&gate, method, "/v1/kv/a", Some("192.0.2.1")), Err(Error::Restricted));
            assert_eq!(admit(&gate, method, "/v1/kv/a", None), Err(Error::Restricted));
            assert_eq!(admit(&Gate::default(), method, "/v1/kv/a", None), Ok(()));
        }
    }
}
