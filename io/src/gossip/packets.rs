//! Packets of a pool: in from one socket, out by the same.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::debug;
use tribune_base::time::Duration;

use super::guard::{Guard, Kind};
use crate::net::Udp;

/// A pool's socket. A clone is the same.
#[derive(Debug)]
pub struct Packets<U> {
    socket: Arc<U>,
    guard: Guard,
}

/// A packet that has come in.
#[derive(Clone, Debug)]
pub struct Packet {
    /// From where.
    pub from: SocketAddr,
    /// What.
    pub bytes: Bytes,
}

impl<U> Clone for Packets<U> {
    fn clone(&self) -> Self {
        Self { socket: Arc::clone(&self.socket), guard: self.guard.clone() }
    }
}

impl<U: Udp> Packets<U> {
    /// Packets of `socket`, which pass `guard`.
    pub fn new(socket: U, guard: Guard) -> Self {
        Self { socket: Arc::new(socket), guard }
    }

    /// Send a packet, or lose it: gossip does not mind.
    pub fn send(&self, to: SocketAddr, bytes: Bytes) {
        let sealed = self.guard.seal(Kind::Packet, bytes);
        if let Err(error) = self.socket.try_send(&sealed, to) {
            debug!(target: "gossip", %to, %error, "a packet was not sent");
        }
    }

    /// Hand in what comes, for as long as somebody takes it. What comes too fast is lost.
    pub async fn receive(self, packets: mpsc::Sender<Packet>) {
        let mut buf = vec![0; PACKET_LEN_MAX];
        loop {
            match self.socket.recv(&mut buf).await {
                Ok((len, from)) => {
                    let bytes = Bytes::copy_from_slice(&buf[..len]);
                    let Some(bytes) = self.guard.open(Kind::Packet, bytes) else { continue };
                    match packets.try_send(Packet { from, bytes }) {
                        Ok(()) | Err(TrySendError::Full(_)) => {}
                        Err(TrySendError::Closed(_)) => return,
                    }
                }
                Err(error) => {
                    // That of an earlier packet, most likely: nobody listens where it went.
                    debug!(target: "gossip", %error, "a packet was not received");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }
}

/// More than any packet has.
const PACKET_LEN_MAX: usize = 65_536;

/// How long to wait after an error: the next one could follow at once.
const ERROR_PAUSE: Duration = Duration::from_millis(1);
