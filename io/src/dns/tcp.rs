//! Questions in streams (RFC 7766): each after its length, as many as the client likes.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;
use tribune_api::prepared::Asker;
use tribune_base::rng::Rng;

use super::{Responder, Source, Transport, ask_across, forward};
use crate::net::{Listener, Stream};

/// Answer what comes in by `listener`, for ever.
pub(super) async fn serve<L, S>(listener: L, source: Arc<S>, seed: u64)
where
    L: Listener<Stream: Stream>,
    S: Source,
{
    let mut rng = Rng::new(seed);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                debug!(%error, "accepting a connection failed");
                tokio::time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        // Without a place the connection is closed at once: the client knows, and may try another
        // server.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let responder = Responder::new(Arc::clone(&source), rng.draw());
        connections.spawn(async move {
            if let Err(error) = connection(stream, responder, from.ip(), IDLE_MAX).await {
                debug!(%error, %from, "connection ended");
            }
            drop(place);
        });
    }
}

/// Answer in order, until the client closes or falls silent for `idle_max`.
pub(super) async fn connection<S: Source>(
    mut stream: impl Stream,
    mut responder: Responder<S>,
    from: IpAddr,
    idle_max: Duration,
) -> io::Result<()> {
    let mut pending = Vec::new();
    let mut responses = Vec::new();
    loop {
        let mut rest = pending.as_slice();
        while let Some((packet, after)) = split(rest)? {
            answer(&mut responder, packet, from, &mut responses).await;
            rest = after;
            if RESPONSES_LEN_MAX < responses.len() {
                break;
            }
        }
        let done = pending.len() - rest.len();
        pending.drain(..done);
        if responses.is_empty() {
            if timeout(idle_max, stream.read_buf(&mut pending)).await?? == 0 {
                return Ok(());
            }
        } else {
            timeout(idle_max, stream.write_all(&responses)).await??;
            responses.clear();
        }
    }
}

/// The first packet of `bytes` and what follows it, if it is complete.
fn split(bytes: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes(*len));
    if PACKET_LEN_MAX < len {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no question is that long"));
    }
    Ok(rest.split_at_checked(len))
}

/// Add the response to `packet`, after its length.
async fn answer<S: Source>(
    responder: &mut Responder<S>,
    packet: &[u8],
    from: IpAddr,
    responses: &mut Vec<u8>,
) {
    if let Some(node) = responder.source().forwards_to() {
        let (packet, config) = (Bytes::copy_from_slice(packet), responder.source().config());
        let response = forward(node, packet, Transport::Tcp, from, config).await;
        return put(&response, responses);
    }
    let start = responses.len();
    responses.extend_from_slice(&[0; 2]);
    let asker = Asker { ip: Some(from), ..Asker::default() };
    if !responder.respond(packet, Transport::Tcp, &asker, None, responses) {
        responses.truncate(start);
        return;
    }
    if let Some(elsewhere) = responder.elsewhere() {
        let question = (Bytes::copy_from_slice(packet), Transport::Tcp, &asker);
        let unknown = Bytes::copy_from_slice(&responses[start + 2..]);
        responses.truncate(start);
        let response = ask_across(responder.source(), question, elsewhere, unknown).await;
        return put(&response, responses);
    }
    let len = u16::try_from(responses.len() - start - 2).expect("messages are kept within that");
    responses[start..start + 2].copy_from_slice(&len.to_be_bytes());
}

/// Add a response, after its length; nothing, if nothing is to be said.
fn put(response: &[u8], responses: &mut Vec<u8>) {
    if let Some(len) = u16::try_from(response.len()).ok().filter(|it| 0 < *it) {
        responses.extend_from_slice(&len.to_be_bytes());
        responses.extend_from_slice(response);
    }
}

/// How many connections at once. More are closed as they come.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a client may say nothing, or not take what it asked for.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// More than any question takes.
const PACKET_LEN_MAX: usize = 4_096;

/// So much is collected at most before it is sent.
const RESPONSES_LEN_MAX: usize = 64 * 1_024;

/// How long to wait after an error: the next one would follow at once.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
