//! Checks of those who need not answer.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use tokio::time;
use tribune_agent::CheckOutcome;
use tribune_base::time::Duration;

use super::{connect, critical, passing};

/// Send a packet to `address`. Silence is golden: only being told that nobody listens is critical.
pub(super) async fn run(address: &str, timeout: Duration) -> CheckOutcome {
    let exchange = async {
        let addrs = connect::lookup(address).await.map_err(|error| error.to_string())?;
        let addr = *addrs.first().ok_or_else(|| format!("lookup {address}: no such host"))?;
        let explain = |error: io::Error| format!("UDP {addr}: {}", connect::reason(&error));
        exchange(addr).await.map_err(explain)
    };
    match time::timeout(timeout, exchange).await {
        Ok(Err(error)) => critical(error),
        Ok(Ok(())) | Err(_) => passing(format!("UDP connect {address}: Success")),
    }
}

/// Ends with an answer of any kind, or with the news that there is nobody.
async fn exchange(addr: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = if addr.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    socket.send(b"\0").await?;
    socket.recv(&mut [0]).await.map(drop)
}
