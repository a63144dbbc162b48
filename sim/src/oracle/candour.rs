//! KV-1, candour: an answer does not claim to be fresher than it is. Whoever does not lead knew all
//! that was committed, by the word of its leader, no longer ago than it says.

use tribune_api::http::ReadMeta;
use tribune_base::id::Index;
use tribune_base::time::Instant;
use tribune_core::View;
use tribune_raft::Message;

use super::{After, Before, Report};

#[derive(Debug)]
pub(crate) struct Candour {
    servers: Vec<Knowledge>,
}

/// What a server knows, by its own clock.
#[derive(Clone, Debug, Default)]
struct Knowledge {
    /// How far what is committed can reach, as it was told, and when: both grow.
    told: Vec<(Instant, Index)>,
    /// When it was last told of no more than it has applied, or led.
    complete: Option<Instant>,
    /// When it was last told anything, or led.
    heard: Option<Instant>,
}

impl Candour {
    pub(crate) fn new(servers: usize) -> Self {
        Self { servers: vec![Knowledge::default(); servers] }
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.servers[server] = Knowledge::default();
    }

    pub(crate) fn on_hear(&mut self, server: usize, message: &Message, local: Instant) {
        if let Message::Heartbeat { horizon, .. }
        | Message::ReadIndexResponse { index: Some(horizon), .. } = message
        {
            let told = &mut self.servers[server].told;
            while told.pop_if(|(_, it)| *horizon <= *it).is_some() {}
            told.push((local, *horizon));
            self.servers[server].heard = Some(local);
        }
    }

    /// A server has taken a step.
    pub(crate) fn on_step(&mut self, report: &mut Report, it: &After<'_>, before: &Before) {
        let knowledge = &mut self.servers[it.server];
        let applied = it.shown.applied;
        let reached = knowledge.told.partition_point(|(_, horizon)| *horizon <= applied);
        if let Some((at, _)) = knowledge.told.drain(..reached).next_back() {
            knowledge.complete = knowledge.complete.max(Some(at));
        }
        // Or stopped leading in the same step that opened its term.
        let raft = it.node.raft();
        let opened = raft.term_at(raft.commit()) == Some(before.term);
        if it.shown.leads || before.leads && opened {
            (knowledge.complete, knowledge.heard) = (Some(it.local), Some(it.local));
        }
        let complete = knowledge.complete;
        report.require(it.shown.leads || it.shown.informed_at <= complete, "KV-1", || {
            let (server, claim) = (it.server + 1, it.shown.informed_at);
            format!("server {server} knew everything at {complete:?}, and says at {claim:?}")
        });
    }

    /// A server has made an answer from `view` at `at`, perhaps in the midst of a step.
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
        let heard = self.servers[server].heard;
        let true_enough = heard.is_some_and(|it| at.since(it) <= meta.last_contact || at <= it);
        report.require(true_enough, "KV-1", || {
            let (server, claim) = (server + 1, meta.last_contact);
            format!("server {server} heard its leader at {heard:?}, and says at {at:?}: {claim:?}")
        });
    }
}
