//! Questions in datagrams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tracing::debug;
use tribune_api::dns::Elsewhere;
use tribune_api::prepared::Asker;

use super::{FORWARDS_MAX, Responder, Source, Transport, ask_across, forward};
use crate::net::Udp;

/// Answer what comes in by `socket`, for ever.
pub(super) async fn serve<U: Udp, S: Source>(socket: U, mut responder: Responder<S>) {
    let (socket, mut tasks) = (Arc::new(socket), JoinSet::new());
    let mut packet = vec![0; PACKET_LEN_MAX];
    let mut response = Vec::new();
    loop {
        let mut received = socket.recv(&mut packet).await;
        // Packets come in crowds: look for more before going to sleep.
        for _ in 0..BATCH_MAX {
            match received {
                Ok((len, from)) => {
                    response.clear();
                    let asker = Asker { ip: Some(from.ip()), ..Asker::default() };
                    let packet = &packet[..len];
                    let answered =
                        responder.respond(packet, Transport::Udp, &asker, None, &mut response);
                    match responder.elsewhere() {
                        _ if !answered => {}
                        Some(elsewhere) => {
                            let packet = Bytes::copy_from_slice(packet);
                            let unknown = Bytes::copy_from_slice(&response);
                            let (source, socket) = (responder.source(), Arc::clone(&socket));
                            let asked = (packet, elsewhere, unknown);
                            ask_elsewhere(&mut tasks, source, socket, asked, from);
                        }
                        None => send(&*socket, &response, from).await,
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

/// Have `packet` answered with what another datacenter knows: nobody else waits for it.
fn ask_elsewhere<U: Udp, S: Source>(
    tasks: &mut JoinSet<()>,
    source: &Arc<S>,
    socket: Arc<U>,
    (packet, elsewhere, unknown): (Bytes, Elsewhere, Bytes),
    from: SocketAddr,
) {
    while tasks.try_join_next().is_some() {}
    if FORWARDS_MAX <= tasks.len() {
        return;
    }
    let source = Arc::clone(source);
    tasks.spawn(async move {
        let asker = Asker { ip: Some(from.ip()), ..Asker::default() };
        let question = (packet, Transport::Udp, &asker);
        let response = ask_across(&source, question, elsewhere, unknown).await;
        if !response.is_empty() {
            send(&*socket, &response, from).await;
        }
    });
}

/// Have what comes in by `socket` answered elsewhere, for ever.
pub(super) async fn pass_on<U: Udp, S: Source>(socket: U, source: Arc<S>) {
    let (socket, mut tasks) = (Arc::new(socket), JoinSet::new());
    let mut packet = vec![0; PACKET_LEN_MAX];
    loop {
        while tasks.try_join_next().is_some() {}
        match socket.recv(&mut packet).await {
            Ok(_) if FORWARDS_MAX <= tasks.len() => {}
            Ok((len, from)) => {
                let packet = Bytes::copy_from_slice(&packet[..len]);
                let (socket, source) = (Arc::clone(&socket), Arc::clone(&source));
                tasks.spawn(async move {
                    let Some(node) = source.forwards_to() else { return };
                    let config = source.config();
                    let response = forward(node, packet, Transport::Udp, from.ip(), config).await;
                    if !response.is_empty() {
                        send(&*socket, &response, from).await;
                    }
                });
            }
            Err(error) => {
                debug!(%error, "receiving a question failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
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
