//! The simulated network, in the shape the shell asks for.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tribune_io::net::{Listener, Net, Udp};
use turmoil::net::{TcpListener, TcpStream, UdpSocket};

use super::tap::Tap;

/// Sockets of one simulated host. A clone is the same host's.
#[derive(Clone, Debug, Default)]
pub struct TurmoilNet {
    connections: Arc<Mutex<Connections>>,
    /// Notes what it says to others, and hears.
    tap: Tap,
    /// Where it is, once it runs.
    ip: Option<IpAddr>,
}

/// A host's connections. When it crashes they close in the order in which they were made.
///
/// Left to the runtime they would not: it drops the tasks of a host by numbers it gives out to the
/// whole process, so what else runs there would decide which peer hears of the crash first.
#[derive(Debug, Default)]
struct Connections {
    made: u64,
    open: u64,
    /// The host has crashed, and not everything it had is dropped.
    crashing: bool,
    /// Dropped since, by number.
    dropped: BTreeMap<u64, TcpStream>,
}

/// A simulated connection.
#[derive(Debug)]
pub struct SimStream {
    number: u64,
    /// Invariant: there until this is dropped.
    stream: Option<TcpStream>,
    host: TurmoilNet,
    /// This end, and the other.
    ends: Option<(SocketAddr, SocketAddr)>,
    /// How much was written and read, in all.
    written: u64,
    read: u64,
}

/// A simulated socket for packets.
#[derive(Debug)]
pub struct SimUdp {
    socket: UdpSocket,
    host: TurmoilNet,
}

/// Where simulated connections come in.
pub struct SimListener {
    listener: TcpListener,
    host: TurmoilNet,
}

impl TurmoilNet {
    /// One of which `tap` notes what goes over it.
    pub fn tapped(tap: Tap) -> Self {
        Self { tap, ..Self::default() }
    }

    /// The same, of a host that runs at `ip`.
    pub fn at(&self, ip: IpAddr) -> Self {
        Self { ip: Some(ip), ..self.clone() }
    }

    /// The host is about to crash: everything it has is dropped next.
    pub fn crash(&self) {
        let mut connections = self.lock();
        connections.crashing = 0 < connections.open;
    }

    fn connection(&self, stream: TcpStream) -> SimStream {
        let mut connections = self.lock();
        connections.made += 1;
        connections.open += 1;
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        let number = connections.made;
        SimStream { number, stream: Some(stream), host: self.clone(), ends, written: 0, read: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().expect("a simulation has one thread")
    }
}

impl Net for TurmoilNet {
    type Udp = SimUdp;
    type Listener = SimListener;
    type Stream = SimStream;

    async fn bind(&self, addr: SocketAddr) -> io::Result<SimUdp> {
        let socket = UdpSocket::bind(addr).await?;
        Ok(SimUdp { socket, host: self.clone() })
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<SimListener> {
        let listener = TcpListener::bind(addr).await?;
        Ok(SimListener { listener, host: self.clone() })
    }

    async fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidInput, "no host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        let port = port.parse().map_err(|_| malformed())?;
        Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<SimStream> {
        let stream = self.connection(TcpStream::connect(addr).await?);
        if let Some((own, other)) = stream.ends {
            self.tap.connected(own, other);
        }
        Ok(stream)
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let mut connections = self.host.lock();
        connections.open -= 1;
        if !connections.crashing {
            return;
        }
        connections.dropped.insert(self.number, stream);
        if connections.open == 0 {
            connections.crashing = false;
            // A map drops its values in the order of their keys.
            drop(std::mem::take(&mut connections.dropped));
        }
    }
}

impl SimStream {
    fn pinned(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("not dropped"))
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = self.pinned().poll_read(context, buf);
        self.read += (buf.filled().len() - before) as u64;
        if let Some((own, other)) = self.ends {
            self.host.tap.read(other, own, self.read);
        }
        polled
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.pinned().poll_write(context, bytes);
        if let (Poll::Ready(Ok(len)), Some((own, other))) = (&polled, self.ends) {
            self.written += *len as u64;
            self.host.tap.wrote(own, other, self.written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pinned().poll_shutdown(context)
    }
}

impl Udp for SimUdp {
    async fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from) = self.socket.recv_from(buf).await?;
        self.heard(&buf[..len], from);
        Ok((len, from))
    }

    async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.host.tap.sent(self.host.ip, to, packet);
        self.socket.send_to(packet, to).await.map(drop)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from) = self.socket.try_recv_from(buf)?;
        self.heard(&buf[..len], from);
        Ok((len, from))
    }

    fn try_send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.socket.try_send_to(packet, to)?;
        self.host.tap.sent(self.host.ip, to, packet);
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl SimUdp {
    fn heard(&self, packet: &[u8], from: SocketAddr) {
        if let (Some(ip), Ok(own)) = (self.host.ip, self.socket.local_addr()) {
            self.host.tap.received(from.ip(), SocketAddr::new(ip, own.port()), packet);
        }
    }
}

impl Listener for SimListener {
    type Stream = SimStream;

    async fn accept(&self) -> io::Result<(SimStream, SocketAddr)> {
        let (stream, from) = self.listener.accept().await?;
        Ok((self.host.connection(stream), from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
