//! RI-15, transfer: a transfer succeeds or is given up within an election timeout.

use tribune_base::time::{Duration, Instant};

use super::{After, Report};

#[derive(Debug)]
pub(crate) struct Transfer {
    since: Vec<Option<Instant>>,
}

impl Transfer {
    pub(crate) fn new(servers: usize) -> Self {
        Self { since: vec![None; servers] }
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.since[server] = None;
    }

    pub(crate) fn on_timer(&mut self, report: &mut Report, it: &After<'_>) {
        let raft = it.node.raft();
        if raft.transferring_to().is_none() {
            self.since[it.server] = None;
            return;
        }
        let since = *self.since[it.server].get_or_insert(it.local);
        let patience = raft.config().election_timeout + raft.config().heartbeat_interval + TICK;
        report.require(it.local.since(since) <= patience, "RI-15", || {
            format!("{} has been handing over for {:?}", it.id(), it.local.since(since))
        });
    }
}

/// What a timer may be late.
const TICK: Duration = Duration::from_millis(1);
