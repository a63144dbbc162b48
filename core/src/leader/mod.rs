//! What a server does because it leads.

#[cfg_attr(not(test), expect(dead_code, reason = "its wire comes with other servers"))]
mod autopilot;
mod reconcile;
mod servers;
mod tombstone;

use std::collections::BTreeMap;

use tribune_base::id::{Index, ServerId};
use tribune_base::time::Instant;

use crate::node::Node;
pub(crate) use reconcile::{Told, split};
use tombstone::Tombstones;

/// One server's time in office.
#[derive(Debug)]
pub(crate) struct Reign {
    /// The entry it opened its term with.
    since: Index,
    established: bool,
    tombstones: Tombstones,
    /// What the catalog has been told about the other servers.
    pub(crate) told: BTreeMap<ServerId, Told>,
    /// Servers that were removed on purpose, and when.
    pub(crate) removed: BTreeMap<ServerId, Instant>,
}

impl Reign {
    /// Elected, with `since` as the entry that opens the term.
    pub(crate) fn new(since: Index) -> Self {
        Self {
            since,
            established: false,
            tombstones: Tombstones::default(),
            told: BTreeMap::new(),
            removed: BTreeMap::new(),
        }
    }

    /// Everything up to the opening entry is applied: the duties begin at `now`.
    pub(crate) fn establish(&mut self, now: Instant) {
        assert!(!self.established, "office is taken once");
        self.established = true;
        self.tombstones.start(now);
    }

    /// The entry whose application makes this server as wise as its predecessors.
    pub(crate) fn since(&self) -> Index {
        self.since
    }

    /// Whether it may answer.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// When the next duty is due.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.tombstones.poll_timeout()
    }
}

impl Node {
    /// Do what is due, if this server leads.
    pub(crate) fn do_duties(&mut self, now: Instant) {
        if self.leads() && !self.no_space {
            self.reap_tombstones(now);
        }
    }
}
