//! Packets of a pool: in from one socket, out by the same.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use tracing::debug;
use tribune_base::time::Duration;
use tribune_core::Area;

use super::guard::{Guard, Kind};
use crate::net::Udp;

/// A pool's socket. A clone is the same.
#[derive(Debug)]
pub struct Packets<U> {
    area: Area,
    socket: Arc<U>,
    guard: Guard,
}

/// A packet that has come in.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Of which pool.
    pub area: Area,
    /// From where.
    pub from: SocketAddr,
    /// What.
    pub bytes: Bytes,
}

impl<U> Clone for Packets<U> {
    fn clone(&self) -> Self {
        let (socket, guard) = (Arc::clone(&self.socket), self.guard.clone());
        Self { area: self.area, socket, guard }
    }
}

impl<U: Udp> Packets<U> {
    /// Packets of `socket`, which pass `guard`.
    pub fn new(area: Area, socket: U, guard: Guard) -> Self {
        Self { area, socket: Arc::new(socket), guard }
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
                    match packets.try_send(Packet { area: self.area, from, bytes }) {
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

#[cfg(test)]
mod tests {
    use super::super::guard::Strictness;
    use super::super::{Key, Keyring};
    use super::*;
    use crate::net::{Net as _, TokioNet};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn guard(key: u8) -> Guard {
        let keyring = Keyring::new(Key::new(&[key; 16]).unwrap());
        let strictness = Strictness { incoming: true, outgoing: true };
        Guard::new(keyring, None, "dc1", strictness, u128::from(key) << 80)
    }

    async fn socket(guard: Guard) -> (Packets<tokio::net::UdpSocket>, SocketAddr) {
        let socket = TokioNet.bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = socket.local_addr().unwrap();
        // Until the runtime has looked, nothing can be sent without waiting.
        socket.writable().await.unwrap();
        (Packets::new(Area::Lan, socket, guard), addr)
    }

    #[tokio::test]
    async fn a_socket_with_keys_hears_nothing_of_those_without() {
        let (ours, to) = socket(guard(1)).await;
        let (packets, mut heard) = mpsc::channel(8);
        let receiving = tokio::spawn(ours.receive(packets));
        // In this order: what the last one says, the others would have said before.
        for (sender, text) in [(Guard::default(), "in the clear"), (guard(2), "another key")] {
            socket(sender).await.0.send(to, text.into());
        }
        let (member, from) = socket(guard(1)).await;
        member.send(to, "hello".into());
        let packet = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
        assert_eq!((packet.from, &packet.bytes[..]), (from, &b"hello"[..]));
        receiving.abort();
    }
}
