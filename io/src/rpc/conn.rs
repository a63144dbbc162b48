//! One connection to one peer: dialed when there is something to say, and only written to.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};
use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_core::wire::Lane;

use super::frame;
use super::pool::{Queued, Report};
use super::preamble::{HandshakeError, Preamble, Unfit};
use super::unfelt::Unfelt;
use super::{Limits, Rpc};
use crate::net::Net;

/// The task of a connection.
#[derive(Debug)]
pub(super) struct Conn<N> {
    net: N,
    rpc: Rpc,
    address: Arc<str>,
    lane: Lane,
    queue: mpsc::Receiver<Queued>,
    reports: mpsc::UnboundedSender<Report>,
    /// What was taken from `queue` and not sent yet.
    waiting: VecDeque<Queued>,
    /// What was sent and may be lost.
    unfelt: Unfelt,
    rng: Rng,
}

/// Why a connection ended.
#[derive(Debug)]
enum Ended {
    /// Nobody has anything more to say.
    Done,
    /// There was nothing to carry for long.
    Idle,
    /// The other side is gone.
    Broken(io::Error),
}

impl<N: Net> Conn<N> {
    /// A connection that carries `queue` to `address`.
    pub(super) fn new(
        net: N,
        rpc: Rpc,
        (address, lane): (Arc<str>, Lane),
        (queue, reports): (mpsc::Receiver<Queued>, mpsc::UnboundedSender<Report>),
        rng: Rng,
    ) -> Self {
        let (waiting, unfelt) = (VecDeque::new(), Unfelt::default());
        Self { net, rpc, address, lane, queue, reports, waiting, unfelt, rng }
    }

    /// Dial while there is something to say, and say it.
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.waiting.is_empty() {
                let Some(first) = self.queue.recv().await else { return };
                self.waiting.push_back(first);
            }
            match self.connect().await {
                Ok(stream) => {
                    failures = 0;
                    match self.carry(stream).await {
                        Ended::Done | Ended::Idle => return,
                        Ended::Broken(error) => {
                            debug!(target: "rpc", peer = %self.address, %error, "connection lost");
                            let _ = self.reports.send(Report::Lost(Arc::clone(&self.address)));
                            self.waiting = self.unfelt.lost(std::mem::take(&mut self.waiting));
                        }
                    }
                }
                Err(error) => {
                    self.complain(&error);
                    self.give_back();
                    let pause = self.pause(failures, &error);
                    failures += 1;
                    sleep(pause).await;
                    if self.queue.is_closed() {
                        return;
                    }
                    self.give_back();
                    self.forget_late();
                }
            }
        }
    }

    /// Find the peer, connect to it and exchange preambles.
    async fn connect(&self) -> Result<N::Stream, HandshakeError> {
        let mut stream = self.dial().await?;
        let ours = self.rpc.0.ours.with_across(self.lane == Lane::Across);
        let exchange = async {
            stream.write_all(&ours.encode()).await?;
            Preamble::read(&mut stream, &mut BytesMut::new()).await
        };
        let theirs = timeout(self.rpc.0.limits.silence_max, exchange).await.map_err(late)??;
        let version = ours.agree(&theirs)?;
        debug!(target: "rpc", peer = %self.address, server = %theirs.server.0, version, "connected");
        Ok(stream)
    }

    async fn dial(&self) -> io::Result<N::Stream> {
        let Limits { resolve_max, connect_max, .. } = self.rpc.0.limits;
        let found = timeout(resolve_max, self.net.resolve(&self.address)).await;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for addr in found.map_err(late)?? {
            match timeout(connect_max, self.net.connect(addr)).await.map_err(late).flatten() {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Write whatever comes, everything that is there at once.
    async fn carry(&mut self, mut stream: N::Stream) -> Ended {
        let limits = self.rpc.0.limits;
        let mut out = BytesMut::new();
        // When the last bytes were written, and the first that no pulse has followed.
        let (mut written, mut unfelt_since) = (Instant::now(), None);
        loop {
            while self.fill(&mut out) {
                if let Err(error) = write(&mut stream, &mut out, limits.silence_max).await {
                    return Ended::Broken(error);
                }
                written = Instant::now();
                unfelt_since = unfelt_since.or(Some(written));
            }
            // A long message was an exception: its room is not kept.
            if limits.write_len_max * 2 < out.capacity() {
                out = BytesMut::new();
            }
            let deadline =
                unfelt_since.map_or(written + limits.idle_max, |it| it + limits.silence_max);
            let mut pulses = [0; 16];
            tokio::select! {
                biased;
                read = stream.read(&mut pulses) => match read {
                    Ok(0) => return Ended::Broken(io::ErrorKind::UnexpectedEof.into()),
                    Ok(_) => {
                        unfelt_since = None;
                        self.unfelt.felt();
                    }
                    Err(error) => return Ended::Broken(error),
                },
                message = self.queue.recv() => match message {
                    Some(message) => self.waiting.push_back(message),
                    None => {
                        // Everything is written; whether it arrives is nobody's business here.
                        let _ = stream.shutdown().await;
                        return Ended::Done;
                    }
                },
                () = sleep_until(deadline) => return match unfelt_since {
                    Some(_) => Ended::Broken(io::ErrorKind::TimedOut.into()),
                    None => Ended::Idle,
                },
            }
        }
    }

    /// Move what waits into `out`, up to a limit. False, if there is nothing.
    fn fill(&mut self, out: &mut BytesMut) -> bool {
        let (limits, now) = (&self.rpc.0.limits, Instant::now());
        while out.is_empty() || out.len() < limits.write_len_max {
            let next = self.waiting.pop_front().or_else(|| self.queue.try_recv().ok());
            let Some(message) = next else { break };
            if message.is_late(now, limits) {
                self.rpc.counts().dropped_late.add(1);
            } else {
                frame::put(&message.payload, out);
                self.unfelt.sent(message);
            }
        }
        !out.is_empty()
    }

    /// Give back the questions that wait: others may answer them.
    fn give_back(&mut self) {
        while let Ok(message) = self.queue.try_recv() {
            self.waiting.push_back(message);
        }
        for mut message in std::mem::take(&mut self.waiting) {
            match message.inquiry.take() {
                Some(inquiry) => _ = self.reports.send(Report::Undelivered(inquiry)),
                None => self.waiting.push_back(message),
            }
        }
    }

    /// Drop what has waited for too long: whoever said it has said something newer since.
    fn forget_late(&mut self) {
        while let Ok(message) = self.queue.try_recv() {
            self.waiting.push_back(message);
        }
        let (now, limits) = (Instant::now(), &self.rpc.0.limits);
        let before = self.waiting.len();
        self.waiting.retain(|it| !it.is_late(now, limits));
        self.rpc.counts().dropped_late.add((before - self.waiting.len()) as u64);
    }

    /// How long to leave the peer alone. Who does not fit will not fit in a second either.
    fn pause(&mut self, failures: u32, error: &HandshakeError) -> Duration {
        let Limits { backoff_min, backoff_max, .. } = self.rpc.0.limits;
        let base = match error {
            HandshakeError::Io(_) => backoff_min.saturating_mul(1 << failures.min(16)),
            HandshakeError::Magic
            | HandshakeError::Frame(_)
            | HandshakeError::Malformed(_)
            | HandshakeError::Unfit(_) => backoff_max,
        };
        self.rng.jitter(base.min(backoff_max) / 2)
    }

    fn complain(&self, error: &HandshakeError) {
        let peer = &*self.address;
        let is_unfit = !matches!(error, HandshakeError::Io(_));
        self.rpc.counts().unfit.add(u64::from(is_unfit));
        if !self.rpc.0.complaints.is_due(peer) {
            return;
        }
        match error {
            HandshakeError::Unfit(Unfit::Oneself) => {
                info!(target: "rpc", peer, "this address is not another server's: {error}");
            }
            HandshakeError::Io(_)
            | HandshakeError::Magic
            | HandshakeError::Frame(_)
            | HandshakeError::Malformed(_)
            | HandshakeError::Unfit(_) => {
                warn!(target: "rpc", peer, "a server cannot be reached: {error}");
            }
        }
    }
}

fn late(_: Elapsed) -> io::Error {
    io::ErrorKind::TimedOut.into()
}

/// Write all of `out`, as long as the other side takes something now and then.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    out: &mut BytesMut,
    patience: Duration,
) -> io::Result<()> {
    while out.has_remaining() {
        match timeout(patience, stream.write_buf(out)).await {
            Ok(written) => _ = written?,
            Err(elapsed) => return Err(late(elapsed)),
        }
    }
    out.clear();
    Ok(())
}
