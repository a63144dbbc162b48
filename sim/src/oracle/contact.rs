//! RI-12, check quorum: a leader that no quorum has answered for an election timeout does not lead
//! any more, by its own clock.

use tribune_base::id::{ServerId, Term};
use tribune_base::time::{Duration, Instant};

use super::{After, Report};

#[derive(Debug)]
pub(crate) struct Contact {
    /// Since when each server leads which term.
    since: Vec<Option<(Term, Instant)>>,
}

impl Contact {
    pub(crate) fn new(servers: usize) -> Self {
        Self { since: vec![None; servers] }
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.since[server] = None;
    }

    pub(crate) fn on_timer(&mut self, report: &mut Report, it: &After<'_>) {
        let raft = it.node.raft();
        if !raft.is_leader() {
            self.since[it.server] = None;
            return;
        }
        let since = &mut self.since[it.server];
        if since.is_none_or(|(term, _)| term != raft.term()) {
            *since = Some((raft.term(), it.local));
        }
        let since = since.map_or(it.local, |(_, at)| at);
        let patience = raft.config().election_timeout + raft.config().heartbeat_interval + TICK;
        if it.local.since(since) <= patience {
            return;
        }
        let peers = raft.peers();
        let heard = |id: ServerId| {
            let peer = peers.iter().find(|it| it.id == id);
            let own = if id == it.id() { Some(it.local) } else { None };
            peer.and_then(|it| it.contact).or(own).unwrap_or(Instant::START)
        };
        let quorum = raft.configuration().agreed(heard).max(since);
        report.require(it.local.since(quorum) <= patience, "RI-12", || {
            format!("{} leads and heard no quorum for {:?}", it.id(), it.local.since(quorum))
        });
    }
}

/// What a timer may be late.
const TICK: Duration = Duration::from_millis(1);
