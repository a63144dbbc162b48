//! What agents say to each other, over connections that carry one direction each.
//!
//! ```text
//!   driver ──> [ pool ] ──> [ conn ] ── preamble, frames ──> [ serve ] ──> driver
//!                           one for each address and lane    one for each connection
//! ```
//!
//! Who has something to say dials, and speaks; an answer comes back over the other side's own
//! connection. So a message may be lost, doubled or late, and nothing here waits for an answer:
//! whoever needs one has a deadline of its own. A [`Report`] tells it earlier, where that is known. There are up to three connections to a peer, one for
//! each [`Lane`](tribune_core::wire::Lane), so that a long answer delays no heartbeat.
//!
//! # The format
//!
//! ```text
//!   connection := preamble frame*            the dialer
//!               | preamble pulse*            the listener, once it has read the dialer's
//!   preamble   := magic:8 frame              of at most 4 KiB
//!   frame      := len:u32 crc:u32 payload    little endian; `len` counts the payload
//!   pulse      := byte                       of any value
//! ```
//!
//! The magic is `tribrpc` and a line feed. `crc` is the CRC-32 (IEEE 802.3) of the four bytes of
//! `len` and the payload: eight zero bytes are no frame. The preamble's payload is a message in the
//! encoding of [`tribune_base::codec`]; every other payload is a [`Wire`](tribune_core::Wire):
//!
//! ```text
//!   1, 2  the oldest and the newest version of this protocol that its sender speaks
//!   3     who sends it, 128 bits
//!   4     the datacenter
//!   5     whether this connection is for what servers of different datacenters say to each other
//! ```
//!
//! Both sides go on with the lower of the two newest versions. If one of them does not speak it, or
//! the datacenters differ, both close and say so in their logs; so it is if the magic is wrong. The
//! datacenters may differ on a connection of which both say that they may; but it carries nothing that
//! is a datacenter's own business, and what does come there is dropped.
//!
//! A pulse says that bytes arrived since the last one; there are at most four in a second. A dialer
//! that has written and feels none for [`Limits::silence_max`] gives the connection up and dials
//! again. Without that, it would go on filling a connection whose other end is gone, or wait for TCP,
//! which after a partition takes its time.
//!
//! # Damage and malice
//!
//! * `len` is compared with [`Limits::frame_len_max`] before anything is done with it, and memory
//!   grows as bytes arrive, never because they are promised.
//! * A wrong checksum or length ends the connection: what follows cannot be found.
//! * A payload that is no message is counted and skipped: a later release said it, most likely.
//! * TCP ends in the middle of a frame when a peer crashes. The rest is gone, which is loss.
//!
//! Everything that queues or waits has a limit, all of them in [`Limits`]. What does not fit is
//! dropped and counted in [`Counts`].

mod complaint;
mod conn;
pub mod frame;
mod pool;
pub mod preamble;
mod serve;
#[cfg(test)]
mod tests;
mod unfelt;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tribune_base::time::Duration;

use complaint::Complaints;

pub use pool::{Pool, Report};
pub use preamble::Preamble;
pub use serve::{Heard, Server};

/// What everything that speaks for one server has in common. A clone is the same.
#[derive(Clone, Debug)]
pub struct Rpc(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ours: Preamble,
    limits: Limits,
    counts: Counts,
    complaints: Complaints,
}

impl Rpc {
    /// For a server that introduces itself with `ours`.
    pub fn new(ours: Preamble, limits: Limits) -> Self {
        let (counts, complaints) = (Counts::default(), Complaints::default());
        Self(Arc::new(Shared { ours, limits, counts, complaints }))
    }

    /// What was lost so far.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }
}

/// How much is kept for a peer, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages that wait for one connection. The newest is dropped.
    pub queue_len_max: usize,
    /// Bytes that wait for one connection. The newest message is dropped, unless it is alone.
    pub queue_bytes_max: usize,
    /// Bytes written at once; a single frame may be longer.
    pub write_len_max: usize,
    /// The longest payload.
    pub frame_len_max: usize,
    /// How long a message may wait for a connection. Then it is dropped.
    pub age_max: Duration,
    /// The same, for an answer: whoever waits for it asks somebody else when the pool tells it that
    /// this server is gone, and not before.
    pub answer_age_max: Duration,
    /// How long it may take to find out where a peer is.
    pub resolve_max: Duration,
    /// How long dialing a peer may take.
    pub connect_max: Duration,
    /// How long somebody who has connected may take to introduce itself.
    pub handshake_max: Duration,
    /// How long a peer may take no byte at all, or give no sign that it took one.
    pub silence_max: Duration,
    /// The shortest time between two signs that bytes arrive. Much less than `silence_max`, which
    /// may be another server's.
    pub pulse_interval: Duration,
    /// How long a connection may have nothing to carry. Listeners wait twice as long.
    pub idle_max: Duration,
    /// The longest pause after the first failure to connect, and twice the shortest. It doubles
    /// with each failure that follows.
    pub backoff_min: Duration,
    /// The longest pause between two attempts to connect.
    pub backoff_max: Duration,
    /// Connections from one address. More are closed.
    pub connections_per_address_max: usize,
    /// Connections in all. More are closed.
    pub connections_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_len_max: 16_384,
            queue_bytes_max: 32 << 20,
            write_len_max: 256 << 10,
            frame_len_max: 128 << 20,
            age_max: Duration::from_secs(2),
            answer_age_max: Duration::from_mins(1),
            resolve_max: Duration::from_secs(5),
            connect_max: Duration::from_secs(1),
            handshake_max: Duration::from_secs(5),
            silence_max: Duration::from_secs(2),
            pulse_interval: Duration::from_millis(250),
            idle_max: Duration::from_secs(15),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(1),
            connections_per_address_max: 100,
            connections_max: 1_024,
        }
    }
}

/// What was lost on the way, and why. Raft does not mind; an operator may.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages dropped because too many waited for a connection.
    pub dropped_full: Count,
    /// Messages dropped because they had waited for too long.
    pub dropped_late: Count,
    /// Messages dropped because they were too long for a frame.
    pub dropped_long: Count,
    /// Payloads that came in and were no message this release knows.
    pub unknown: Count,
    /// Messages dropped because they came by a connection that is not for them.
    pub misplaced: Count,
    /// Connections that did not come about, because the two sides do not fit each other.
    pub unfit: Count,
    /// Connections closed because there were too many.
    pub crowded: Count,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Add `n`.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
