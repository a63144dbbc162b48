//! The simulated network, in the shape the shell asks for.

use std::io;
use std::net::SocketAddr;

use tribune_io::net::{Listener, Net, Udp};
use turmoil::net::{TcpListener, TcpStream, UdpSocket};

/// Sockets of the simulated host this is used on.
#[derive(Clone, Copy, Debug, Default)]
pub struct TurmoilNet;

/// A simulated socket for packets.
#[derive(Debug)]
pub struct SimUdp(UdpSocket);

/// Where simulated connections come in.
pub struct SimListener(TcpListener);

impl Net for TurmoilNet {
    type Udp = SimUdp;
    type Listener = SimListener;
    type Stream = TcpStream;

    async fn bind(&self, addr: SocketAddr) -> io::Result<SimUdp> {
        UdpSocket::bind(addr).await.map(SimUdp)
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<SimListener> {
        TcpListener::bind(addr).await.map(SimListener)
    }

    async fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidInput, "no host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        let port = port.parse().map_err(|_| malformed())?;
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(addr).await
    }
}

impl Udp for SimUdp {
    async fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buf).await
    }

    async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send_to(packet, to).await.map(drop)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.try_recv_from(buf)
    }

    fn try_send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.try_send_to(packet, to).map(drop)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Listener for SimListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
