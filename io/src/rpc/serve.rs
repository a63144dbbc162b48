//! The listening side: connections in, messages out.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};
use tribune_base::id::ServerId;
use tribune_base::time::Duration;
use tribune_core::Wire;
use tribune_core::wire::Lane;
use tribune_raft::{Message, Payload};

use super::frame::{self, FrameError};
use super::preamble::{HandshakeError, Preamble, Unfit};
use super::{Limits, Rpc};
use crate::limit::Connections;
use crate::net::{Listener, Stream};

/// What one read brought.
#[derive(Debug)]
pub struct Heard {
    /// Who says it.
    pub from: ServerId,
    /// What, in order. Never empty.
    pub messages: Vec<Wire>,
}

/// Accepts connections of other servers.
#[derive(Clone, Debug)]
pub struct Server {
    rpc: Rpc,
    connections: Connections,
    heard: mpsc::Sender<Heard>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the peer closed it")]
    Closed,
    #[error("nothing came for long")]
    Idle,
    #[error("nobody listens any more")]
    Deaf,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl Server {
    /// A server that hands what it hears to `heard`. While that is full, nothing is read: it is the
    /// peers' queues that overflow then, and they drop what is too much.
    pub fn new(rpc: Rpc, heard: mpsc::Sender<Heard>) -> Self {
        let Limits { connections_per_address_max, connections_max, .. } = rpc.0.limits;
        let connections =
            Connections::new(AtomicUsize::new(connections_per_address_max), connections_max);
        Self { rpc, connections, heard }
    }

    /// Serve everybody who connects to `listener`, for as long as the future is polled.
    pub async fn listen<L>(self, listener: L)
    where
        L: Listener,
        L::Stream: Stream,
    {
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = tasks.join_next(), if !tasks.is_empty() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => match self.connections.admit(from.ip()) {
                    Some(admitted) => {
                        let this = self.clone();
                        tasks.spawn(async move {
                            this.serve(stream, from.ip()).await;
                            drop(admitted);
                        });
                    }
                    None => self.turn_away(from.ip()),
                },
                Err(error) => {
                    // Out of descriptors, most likely: the next one would fail as well, at once.
                    warn!(target: "rpc", %error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn serve<S: Stream>(&self, stream: S, ip: IpAddr) {
        let Err(ended) = self.hear(stream).await else { return };
        match &ended {
            // The side that dialed says the rest: it knows which address it was.
            Ended::Closed
            | Ended::Idle
            | Ended::Deaf
            | Ended::Io(_)
            | Ended::Handshake(HandshakeError::Io(_) | HandshakeError::Unfit(Unfit::Oneself)) => {
                debug!(target: "rpc", %ip, "connection ended: {ended}");
            }
            Ended::Handshake(_) | Ended::Frame(_) => {
                self.rpc.counts().unfit.add(1);
                if self.rpc.0.complaints.is_due(&format!("from {ip}")) {
                    warn!(target: "rpc", %ip, "a connection was closed: {ended}");
                }
            }
        }
    }

    /// Read from a connection until it ends.
    async fn hear<S: Stream>(&self, mut stream: S) -> Result<(), Ended> {
        let limits = self.rpc.0.limits;
        let mut buffer = BytesMut::with_capacity(READ_LEN);
        let greeted = timeout(limits.handshake_max, self.greet(&mut stream, &mut buffer)).await;
        let peer = greeted.map_err(|_| Ended::Idle)??;
        // When the dialer is to feel that its bytes arrive, if any have.
        let (mut due, mut rested) = (None, Instant::now());
        loop {
            let messages = self.decode(&mut buffer, &peer)?;
            if !messages.is_empty() {
                due = due.or(Some(rested));
                let heard = Heard { from: peer.server, messages };
                self.heard.send(heard).await.map_err(|_| Ended::Deaf)?;
            }
            let now = Instant::now();
            if due.is_some_and(|it| it <= now) {
                stream.write_all(&[0]).await?;
                (due, rested) = (None, now + limits.pulse_interval);
            }
            buffer.reserve(READ_LEN);
            let wake = due.unwrap_or(now + limits.idle_max * 2);
            match timeout_at(wake, stream.read_buf(&mut buffer)).await {
                Ok(Err(error)) => return Err(error.into()),
                Ok(Ok(0)) => return Err(Ended::Closed),
                Ok(Ok(_)) => due = due.or(Some(rested)),
                Err(_) if due.is_some() => {}
                Err(_) => return Err(Ended::Idle),
            }
        }
    }

    /// Exchange preambles. The dialer hears who we are even if it does not fit: it has a log, too.
    async fn greet<S: Stream>(
        &self,
        stream: &mut S,
        buffer: &mut BytesMut,
    ) -> Result<Preamble, HandshakeError> {
        let theirs = Preamble::read(stream, buffer).await?;
        let ours = self.rpc.0.ours.with_across(theirs.across);
        stream.write_all(&ours.encode()).await?;
        ours.agree(&theirs)?;
        Ok(theirs)
    }

    /// Take every whole frame out of `buffer`.
    fn decode(&self, buffer: &mut BytesMut, peer: &Preamble) -> Result<Vec<Wire>, FrameError> {
        let from = peer.server;
        let mut messages = Vec::new();
        while let Some(payload) = frame::take(buffer, self.rpc.0.limits.frame_len_max)? {
            match Wire::decode(payload) {
                // A datacenter's own business is none of another's.
                Ok(message) if peer.across != (message.lane() == Lane::Across) => {
                    self.rpc.counts().misplaced.add(1);
                }
                Ok(mut message) => {
                    detach(&mut message);
                    messages.push(message);
                }
                Err(error) => {
                    self.rpc.counts().unknown.add(1);
                    if self.rpc.0.complaints.is_due(&format!("of {}", from.0)) {
                        let server = tribune_base::id::NodeId::from(from).0;
                        warn!(target: "rpc", %server, "a message was ignored: {error}");
                    }
                }
            }
        }
        Ok(messages)
    }

    fn turn_away(&self, ip: IpAddr) {
        self.rpc.counts().crowded.add(1);
        if self.rpc.0.complaints.is_due(&format!("crowd of {ip}")) {
            warn!(
                target: "rpc", %ip,
                "a connection was closed because there are too many: see limits.rpc_max_conns_per_client"
            );
        }
    }
}

/// Copy what will be kept out of the buffer it was read into: a value of one byte that somebody
/// stores for ever must not keep everything that happened to arrive with it.
fn detach(message: &mut Wire) {
    let Wire::Raft(Message::AppendEntries { entries, .. }) = message else { return };
    for entry in entries {
        if let Payload::Command(command) = &mut entry.payload {
            *command = Bytes::copy_from_slice(command);
        }
    }
}

/// How much is read at once, at least.
const READ_LEN: usize = 64 << 10;

/// How long to leave the listener alone after it failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
