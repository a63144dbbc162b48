//! KV-1, candour: an answer does not claim to be fresher than it is. Whoever does not lead has heard
//! its leader, or led, no longer ago than it says.

use tribune_api::http::ReadMeta;
use tribune_base::time::Instant;
use tribune_core::View;
use tribune_raft::Message;

use super::Report;

#[derive(Debug)]
pub(crate) struct Candour {
    /// When each server last led, or heard somebody who did, by its own clock.
    heard: Vec<Option<Instant>>,
}

impl Candour {
    pub(crate) fn new(servers: usize) -> Self {
        Self { heard: vec![None; servers] }
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.heard[server] = None;
    }

    pub(crate) fn on_hear(&mut self, server: usize, message: &Message, local: Instant) {
        let leads = matches!(
            message,
            Message::AppendEntries { .. }
                | Message::Heartbeat { .. }
                | Message::TimeoutNow { .. }
                | Message::InstallSnapshot { .. }
        );
        if leads {
            self.heard[server] = Some(local);
        }
    }

    /// A server leads.
    pub(crate) fn on_leader(&mut self, server: usize, local: Instant) {
        self.heard[server] = Some(local);
    }

    /// A server has made an answer from `view` at `at`.
    pub(crate) fn on_rendered(
        &self,
        report: &mut Report,
        server: usize,
        (view, at): (&View, Instant),
        meta: &ReadMeta,
    ) {
        if view.freshness.leads || !meta.known_leader {
            return;
        }
        let heard = self.heard[server];
        let true_enough = heard.is_some_and(|it| at.since(it) <= meta.last_contact || at <= it);
        report.require(true_enough, "KV-1", || {
            let (server, claim) = (server + 1, meta.last_contact);
            format!("server {server} heard its leader at {heard:?}, and says at {at:?}: {claim:?}")
        });
    }
}
