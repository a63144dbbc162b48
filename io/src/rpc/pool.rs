//! Who has what to say to whom: a queue for each address and lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;
use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_core::Wire;
use tribune_core::wire::{Inquiry, Lane};

use super::conn::Conn;
use super::{Limits, Rpc};
use crate::net::Net;

/// Delivers messages, as well as it can be done without waiting for anybody.
#[derive(Debug)]
pub struct Pool<N> {
    net: N,
    rpc: Rpc,
    seed: u64,
    reports: mpsc::UnboundedSender<Report>,
    queues: BTreeMap<(Arc<str>, Lane), Queue>,
    conns: JoinSet<()>,
}

/// What is known to be lost.
#[derive(Debug)]
pub enum Report {
    /// This inquiry has not left: nobody listens where it was to go.
    Undelivered(Inquiry),
    /// The connection to this address, and perhaps what was on it.
    Lost(Arc<str>),
}

/// The way to a connection's task.
#[derive(Debug)]
struct Queue {
    messages: mpsc::Sender<Queued>,
    /// Bytes in `messages`.
    bytes: Arc<AtomicUsize>,
}

/// A message that waits for its connection. Gives its bytes back when it goes.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) since: Instant,
    pub(super) payload: Bytes,
    /// What it asks, if whoever said it is to hear that it has not left.
    pub(super) inquiry: Option<Inquiry>,
    /// Whether somebody waits for it.
    pub(super) is_answer: bool,
    /// What it is counted in.
    bytes: Option<Arc<AtomicUsize>>,
}

impl<N: Net> Pool<N> {
    /// A pool that speaks for `rpc`'s agent, and says in `reports` what it knows to be lost. When to
    /// dial again follows from `seed`.
    pub fn new(net: N, rpc: Rpc, seed: u64, reports: mpsc::UnboundedSender<Report>) -> Self {
        Self { net, rpc, seed, reports, queues: BTreeMap::new(), conns: JoinSet::new() }
    }

    /// Send `message` to whoever listens at `to`, or lose it. Call inside a runtime.
    pub fn send(&mut self, to: &Arc<str>, message: &Wire) {
        let rpc = self.rpc.clone();
        let (counts, limits) = (rpc.counts(), &rpc.0.limits);
        let payload = message.encode();
        let len = payload.len();
        if limits.frame_len_max < len {
            error!(target: "rpc", peer = %to, len, "a message is too long to be sent");
            return counts.dropped_long.add(1);
        }
        let lane = (Arc::clone(to), message.lane());
        // One that had nothing to carry for long is gone.
        if self.queues.get(&lane).is_none_or(|it| it.messages.is_closed()) {
            self.open(lane.clone());
        }
        let queue = &self.queues[&lane];
        let waiting = queue.bytes.load(Ordering::Relaxed);
        if waiting != 0 && limits.queue_bytes_max < waiting + len {
            return counts.dropped_full.add(1);
        }
        match queue.messages.try_send(Queued::new(payload, message, &queue.bytes)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => counts.dropped_full.add(1),
        }
    }

    /// Send what waits, as far as that can be done in `patience`, and close.
    pub async fn close(mut self, patience: Duration) {
        self.queues.clear();
        let all = async { while self.conns.join_next().await.is_some() {} };
        // Who takes nothing gets nothing.
        let _ = tokio::time::timeout(patience, all).await;
    }

    fn open(&mut self, lane: (Arc<str>, Lane)) {
        while self.conns.try_join_next().is_some() {}
        self.queues.retain(|_, it| !it.messages.is_closed());

        let (messages, queue) = mpsc::channel(self.rpc.0.limits.queue_len_max);
        let rng = Rng::stream(self.seed, &format!("{} {:?}", lane.0, lane.1));
        let reports = self.reports.clone();
        let conn =
            Conn::new(self.net.clone(), self.rpc.clone(), lane.clone(), (queue, reports), rng);
        self.conns.spawn(conn.run());
        self.queues.insert(lane, Queue { messages, bytes: Arc::default() });
    }
}

impl Queued {
    pub(super) fn new(payload: Bytes, message: &Wire, bytes: &Arc<AtomicUsize>) -> Self {
        bytes.fetch_add(payload.len(), Ordering::Relaxed);
        Self {
            since: Instant::now(),
            payload,
            inquiry: message.inquiry(),
            is_answer: message.is_answer(),
            bytes: Some(Arc::clone(bytes)),
        }
    }

    /// Whether it has waited for so long that it is of no use any more.
    pub(super) fn is_late(&self, now: Instant, limits: &Limits) -> bool {
        let age_max = if self.is_answer { limits.answer_age_max } else { limits.age_max };
        age_max < now.duration_since(self.since)
    }

    /// It does not wait any more: others have its room.
    pub(super) fn uncount(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            bytes.fetch_sub(self.payload.len(), Ordering::Relaxed);
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.uncount();
    }
}
