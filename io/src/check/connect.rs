//! Connecting: the only place where checks meet the network, and the words for why it failed.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpStream, lookup_host};

/// Why there is no connection, in the words of the original.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Not `host:port`.
    #[error("dial tcp: address {0}: missing port in address")]
    MissingPort(String),

    /// The name has no address, or nobody who knows it could be asked.
    #[error("dial tcp: lookup {0}: no such host")]
    Lookup(String),

    /// There is an address, but nobody who wants to talk.
    #[error("dial tcp {0}: connect: {1}")]
    Connect(SocketAddr, String),
}

/// Connect to `host:port`, trying each of the host's addresses.
pub(super) async fn connect(address: &str) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::Lookup(host(address).to_owned());
    for addr in lookup(address).await? {
        match TcpStream::connect(addr).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ConnectError::Connect(addr, reason(&error)),
        }
    }
    Err(last)
}

/// The addresses of `host:port`.
pub(super) async fn lookup(address: &str) -> Result<Vec<SocketAddr>, ConnectError> {
    let port = address.rsplit_once(':').filter(|(host, _)| {
        // An IPv6 address has colons of its own; with a port it wears brackets.
        !host.contains(':') || host.starts_with('[') && host.ends_with(']')
    });
    if port.is_none() {
        return Err(ConnectError::MissingPort(address.to_owned()));
    }
    let found = lookup_host(address).await;
    found.map(Iterator::collect).map_err(|_| ConnectError::Lookup(host(address).to_owned()))
}

/// What the original's users are used to read; the system's own words for everything else.
pub(super) fn reason(error: &io::Error) -> String {
    #[allow(clippy::wildcard_enum_match_arm)] // The standard library's, and there are many.
    match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::ConnectionReset => "connection reset by peer".into(),
        ErrorKind::HostUnreachable => "no route to host".into(),
        ErrorKind::NetworkUnreachable => "network is unreachable".into(),
        ErrorKind::NotFound => "no such file or directory".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::TimedOut => "connection timed out".into(),
        _ => error.to_string(),
    }
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
