//! Questions in datagrams.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::debug;

use super::{Responder, Source, Transport};
use crate::net::Udp;

/// Answer what comes in by `socket`, for ever.
pub(super) async fn serve<U: Udp, S: Source>(socket: U, mut responder: Responder<S>) {
    let mut packet = vec![0; PACKET_LEN_MAX];
    let mut response = Vec::new();
    loop {
        let mut received = socket.recv(&mut packet).await;
        // Packets come in crowds: look for more before going to sleep.
        for _ in 0..BATCH_MAX {
            match received {
                Ok((len, from)) => {
                    response.clear();
                    if responder.respond(&packet[..len], Transport::Udp, &mut response) {
                        send(&socket, &response, from).await;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    debug!(%error, "receiving a question failed");
                    tokio::time::sleep(ERROR_PAUSE).await;
                    break;
                }
            }
            received = socket.try_recv(&mut packet);
        }
    }
}

/// A datagram that cannot be sent is lost, as it may be on its way.
async fn send<U: Udp>(socket: &U, response: &[u8], to: SocketAddr) {
    let sent = match socket.try_send(response, to) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            socket.send(response, to).await
        }
        sent => sent,
    };
    if let Err(error) = sent {
        debug!(%error, %to, "sending an answer failed");
    }
}

/// More than any question takes. What is longer is cut off, and then makes no sense.
const PACKET_LEN_MAX: usize = 4_096;

/// How many packets to answer before others on this thread get their turn.
const BATCH_MAX: usize = 64;

/// How long to wait after an error: the next one would follow at once.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
