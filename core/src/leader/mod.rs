//! What a server does because it leads.

mod autopilot;
mod reconcile;
mod replication;
mod servers;
mod tombstone;

use std::collections::BTreeMap;

use tribune_base::id::{Index, ServerId};
use tribune_base::time::{Duration, Instant};
use tribune_raft::Change;

use tribune_state::{Autopilot as Settings, Command, SetAutopilot};

use crate::config::KvReplication;
use crate::node::Node;
use crate::request::Proposer;
pub(crate) use autopilot::Seen;
use autopilot::{Autopilot, Decision};
pub(crate) use reconcile::on_port;
use replication::Replication;
use tombstone::Tombstones;

/// One server's time in office.
#[derive(Debug)]
pub(crate) struct Reign {
    /// The entry it opened its term with.
    since: Index,
    established: bool,
    tombstones: Tombstones,
    replication: Replication,
    /// How the servers are.
    pub(crate) autopilot: Autopilot,
    /// Nodes in the catalog that no member is, and since when that is known.
    unknown: BTreeMap<String, Instant>,
    /// When everybody is looked at again.
    next_reconcile: Instant,
    /// The last entry that says something about members.
    written: Index,
    /// Servers that were removed on purpose, and when.
    pub(crate) removed: BTreeMap<ServerId, Instant>,
}

impl Reign {
    /// Elected, with `since` as the entry that opens the term.
    pub(crate) fn new(
        since: Index,
        now: Instant,
        heartbeat_interval: Duration,
        replication: Option<&KvReplication>,
    ) -> Self {
        Self {
            since,
            established: false,
            tombstones: Tombstones::default(),
            replication: Replication::new(replication, now),
            autopilot: Autopilot::new(now, heartbeat_interval),
            unknown: BTreeMap::new(),
            next_reconcile: Instant::NEVER,
            written: since,
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
        if !self.established {
            return Instant::NEVER;
        }
        let duties = self.tombstones.poll_timeout().min(self.autopilot.poll_timeout());
        duties.min(self.next_reconcile).min(self.replication.poll_timeout())
    }
}

impl Node {
    /// Do what is due, if this server leads.
    pub(crate) fn do_duties(&mut self, now: Instant) {
        if self.leads() {
            self.reap_tombstones(now);
            self.care(now);
            self.reconcile_again(now);
            self.replicate();
        }
    }

    /// Write down how servers are taken care of, if nobody has and it is not as usual.
    pub(crate) fn begin_autopilot(&mut self) {
        let settings = self.config.autopilot.clone();
        let (_, row) = self.store.view().autopilot();
        if row.is_none() && settings != Settings::default() {
            let command = Command::SetAutopilot(SetAutopilot { settings, cas: Some(Index(0)) });
            // Refused only if this server no longer leads: the next leader writes its own.
            let _ = self.propose(command, Proposer::Duty);
        }
    }

    /// Look at everybody again as soon as possible: who may be taken for gone may be another.
    pub(crate) fn reconcile_now(&mut self) {
        if let Some(reign) = self.reign.as_mut().filter(|it| it.established) {
            reign.next_reconcile = self.now;
        }
    }

    /// A server that is dead is gone for good: nobody waits for it in the pool either.
    fn forget_server(&mut self, id: ServerId) {
        let Some(name) = self.roster.get(id).map(|it| it.hello.name.clone()) else { return };
        self.gossip.force_leave(self.now, &name, false);
    }

    /// Look after the servers.
    fn care(&mut self, now: Instant) {
        if self.reign.as_ref().is_none_or(|it| now < it.autopilot.poll_timeout()) {
            return;
        }
        let seen = self.seen();
        let (_, row) = self.store.view().autopilot();
        let settings = row.map_or_else(|| self.config.autopilot.clone(), |it| it.settings.clone());
        let leader = self.raft.last();
        let Some(reign) = &mut self.reign else { return };
        let decision = reign.autopilot.look(now, &settings, leader, &seen);
        match decision {
            Some(Decision::Promote(id)) => self.change(Change::Promote(id)),
            Some(Decision::Remove(id)) => {
                self.change(Change::Remove(id));
                self.forget_server(id);
            }
            None => {}
        }
    }
}
