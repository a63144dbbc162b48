//! A way to reach others: the one seam between the shell and the network.
//!
//! Everything above is generic over [`Net`]. With [`TokioNet`] it is production; the simulator
//! brings its own. Nothing else about the shell differs.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

/// A network: real, or simulated.
pub trait Net: Clone + Send + Sync + 'static {
    /// What [`bind`](Self::bind) returns.
    type Udp: Udp;
    /// What [`listen`](Self::listen) returns.
    type Listener: Listener<Stream = Self::Stream>;
    /// A connection, from either side.
    type Stream: Stream;

    /// Listen for packets at `addr`.
    fn bind(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Udp>> + Send;

    /// Listen for connections at `addr`.
    fn listen(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Listener>> + Send;

    /// Where `address`, which is `host:port`, may be found: the host's name may have several
    /// addresses, and others tomorrow.
    fn resolve(&self, address: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connect to `addr`.
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// A socket for packets.
pub trait Udp: Send + Sync + 'static {
    /// Wait for a packet. Returns its length and its sender; what does not fit `buf` is lost.
    fn recv(&self, buf: &mut [u8]) -> impl Future<Output = io::Result<(usize, SocketAddr)>> + Send;

    /// Send a packet.
    fn send(&self, packet: &[u8], to: SocketAddr) -> impl Future<Output = io::Result<()>> + Send;

    /// A packet that is already there, or [`io::ErrorKind::WouldBlock`].
    fn try_recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Send a packet if that needs no waiting, or [`io::ErrorKind::WouldBlock`].
    fn try_send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()>;

    /// Where this socket listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Where connections come in.
pub trait Listener: Send + 'static {
    /// What comes in.
    type Stream;

    /// Wait for a connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Where this listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The operating system's network.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioNet;

impl Net for TokioNet {
    type Udp = UdpSocket;
    type Listener = TcpListener;
    type Stream = TcpStream;

    /// Several sockets may be bound to one address: the kernel spreads the packets over them.
    async fn bind(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        UdpSocket::from_std(socket.into())
    }

    async fn listen(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        // A restarted agent must not wait for the connections of its predecessor to be forgotten.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }

    async fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        tokio::net::lookup_host(address).await.map(Iterator::collect)
    }

    async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Udp for UdpSocket {
    async fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.recv_from(buf).await
    }

    async fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.send_to(packet, to).await.map(drop)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.try_recv_from(buf)
    }

    fn try_send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        self.try_send_to(packet, to).map(drop)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, from) = self.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, from))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// A socket in the file system: for clients on the same machine, which have no address.
impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, _) = self.accept().await?;
        Ok((stream, NOWHERE))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(NOWHERE)
    }
}

/// The address of who has none.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
