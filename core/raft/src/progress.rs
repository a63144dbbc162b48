//! What the leader knows of one peer, and how much it sends on trust.

use std::collections::VecDeque;

use tribune_base::bug;
use tribune_base::id::{Index, LogId};
use tribune_base::time::Instant;

use crate::config::Config;
use crate::log::Log;
use crate::message::Round;
use crate::output::SnapshotMeta;

/// One peer, as its leader sees it. Invariant: `matched < next`.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The peer's log agrees up to here, durably.
    pub(crate) matched: Index,
    /// The next entry to send.
    pub(crate) next: Index,
    pub(crate) state: State,
    /// Appends without an answer. Invariant: ascending.
    in_flight: VecDeque<InFlight>,
    /// Invariant: the bytes in `in_flight`.
    in_flight_bytes: usize,
    /// The latest heartbeat round answered.
    pub(crate) acked: Round,
    /// When the peer was last heard.
    pub(crate) contact: Option<Instant>,
    /// The latest commit index sent.
    pub(crate) told: Index,
}

/// How freely the leader sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Where the logs agree is not known: one message at a time.
    Probe,
    /// It is known: as much as the window allows.
    Replicate,
    /// The peer needs what the log has forgotten.
    Snapshot(Box<Sending>),
}

/// A snapshot on its way to a peer. Invariant: `acked <= asked`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sending {
    /// Which snapshot.
    pub(crate) meta: SnapshotMeta,
    /// The peer has everything before this byte.
    pub(crate) acked: u64,
    /// The caller was asked for everything before this byte.
    pub(crate) asked: u64,
    /// Where the snapshot ends, once known.
    pub(crate) len: Option<u64>,
    /// When the peer last received something, or everything was sent again.
    pub(crate) moved: Instant,
    /// The caller does not have it. Ask again when the peer is next heard.
    pub(crate) missing: bool,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    last: Index,
    bytes: usize,
    /// The last round begun when it was sent.
    round: u64,
}

/// What to send: entries after `prev_log`, up to `last`.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) prev_log: LogId,
    pub(crate) entries: Vec<crate::entry::Entry>,
}

impl Progress {
    /// A peer of which nothing is known. Perhaps it only lacks the last entry, `next`.
    pub(crate) const fn new(next: Index) -> Self {
        Self {
            matched: Index(0),
            next,
            state: State::Probe,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            acked: Round { serial: 0, sent: Instant::START },
            contact: None,
            told: Index(0),
        }
    }

    /// The next append, if the window has room and the log the entries.
    pub(crate) fn due(&mut self, log: &Log, config: &Config, round: u64) -> Option<Due> {
        let room = match self.state {
            State::Probe => self.in_flight.is_empty(),
            State::Replicate => {
                self.in_flight.len() < config.window_messages_max
                    && self.in_flight_bytes < config.window_bytes_max
            }
            State::Snapshot(_) => false,
        };
        if !room || log.last().index < self.next {
            return None;
        }
        let prev = self.next.prev();
        let prev_log = LogId::new(log.term(prev)?, prev);
        let entries = log.batch(self.next, config.append_entries_max, config.append_bytes_max);
        let bytes = entries.iter().map(crate::entry::Entry::cost).sum();
        let last = entries.last().map_or(prev, |it| it.id.index);
        self.in_flight.push_back(InFlight { last, bytes, round });
        self.in_flight_bytes += bytes;
        if self.state == State::Replicate {
            self.next = last.next();
        }
        Some(Due { prev_log, entries })
    }

    /// The peer has everything up to `index`, durably. Whether that is news.
    pub(crate) fn on_matched(&mut self, index: Index) -> bool {
        while let Some(it) = self.in_flight.pop_front_if(|it| it.last <= index) {
            self.in_flight_bytes -= it.bytes;
        }
        let news = self.matched < index;
        self.matched = if bug!(R21) { index } else { self.matched.max(index) };
        self.next = self.next.max(self.matched.next());
        let caught_up = match &self.state {
            State::Probe => true,
            State::Replicate => false,
            // With the snapshot or without: an answer may have been on its way.
            State::Snapshot(it) => it.meta.last.index <= self.matched,
        };
        if caught_up {
            self.reset(State::Replicate);
        }
        news
    }

    /// The peer refused what follows `prev` and proposes to go on after `hint`.
    pub(crate) fn on_conflict(&mut self, prev: Index, hint: LogId, log: &Log) {
        let stale = match self.state {
            State::Probe => prev != self.next.prev(),
            State::Replicate => prev <= self.matched,
            State::Snapshot(_) => true,
        };
        if stale {
            return;
        }
        // The peer skipped what is too new for us; we skip what is too new for the peer.
        let agreed = log.last_at_most(hint.index, hint.term).index.min(prev.prev());
        self.probe(agreed);
    }

    /// In the answer to a later round the peer says that it agrees up to `agreed`: an append sent
    /// before that round which reaches further was lost.
    pub(crate) fn on_agreed(&mut self, agreed: Index, round: u64) {
        let lost = |it: &InFlight| it.round < round && agreed < it.last;
        if !self.in_flight.iter().any(lost) {
            return;
        }
        if self.state == State::Probe {
            // The same question again, unless the peer has answered it in passing.
            self.next = self.next.max(agreed.next());
            self.reset(State::Probe);
        } else {
            self.probe(agreed);
        }
    }

    /// Start over after `agreed`.
    fn probe(&mut self, agreed: Index) {
        self.next = if bug!(R43) { agreed } else { agreed.max(self.matched) }.next();
        self.reset(State::Probe);
    }

    pub(crate) fn reset(&mut self, state: State) {
        if state == State::Replicate {
            self.next = self.matched.next();
        }
        let refused = state == State::Probe;
        self.state = state;
        if !(bug!(R40) && refused) {
            self.in_flight.clear();
            self.in_flight_bytes = 0;
        }
    }

    /// How many messages and bytes are without an answer.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.len(), self.in_flight_bytes)
    }

    pub(crate) fn check_invariants(&self, last: Index) {
        debug_assert!(self.matched < self.next);
        debug_assert!(self.matched <= last);
        debug_assert!(self.next <= last.next());
        debug_assert_eq!(
            self.in_flight_bytes,
            self.in_flight.iter().map(|it| it.bytes).sum::<usize>()
        );
    }
}
