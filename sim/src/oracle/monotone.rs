//! RI-8, nothing goes back: the term, the vote within a term, the commit index of an incarnation,
//! what is applied, the durable snapshot. And RI-9, what must stand in order at one server.

use tribune_base::id::Index;
use tribune_raft::HardState;

use super::{After, Before, Report};
use crate::world::disk::Disk;

#[derive(Debug)]
pub(crate) struct Monotone {
    /// What each server's disk last held.
    durable: Vec<(HardState, Index)>,
}

impl Monotone {
    pub(crate) fn new(servers: usize) -> Self {
        Self { durable: vec![(HardState::default(), Index(0)); servers] }
    }

    pub(crate) fn on_start(&mut self, report: &mut Report, server: usize, disk: &Disk) {
        self.on_durable(report, server, disk);
    }

    pub(crate) fn on_durable(&mut self, report: &mut Report, server: usize, disk: &Disk) {
        let (old, covered) = self.durable[server];
        let new = disk.hard_state();
        let forward = old.term < new.term
            || old.term == new.term && (old.vote.is_none() || old.vote == new.vote);
        report.require(forward, "RI-8", || {
            format!("server {} went from {old:?} to {new:?} on disk", server + 1)
        });
        report.require(covered <= disk.covered(), "RI-8", || {
            format!("the snapshot of server {} went back from {covered}", server + 1)
        });
        self.durable[server] = (new, disk.covered());
    }

    #[allow(clippy::unused_self)] // It belongs with the others.
    pub(crate) fn on_step(&self, report: &mut Report, it: &After<'_>, before: &Before) {
        let raft = it.node.raft();
        let (commit, applied) = (raft.commit(), it.shown.applied);
        let forward =
            before.term <= raft.term() && before.commit <= commit && before.applied <= applied;
        report.require(forward, "RI-8", || {
            format!("{} went back from {before:?} to {:?}", it.id(), it.shown)
        });
        let snapshot = raft.snapshot().last.index;
        let ordered = raft.base().index <= snapshot.max(commit)
            && snapshot <= commit
            && applied <= commit
            && commit <= raft.last().index;
        report.require(ordered, "RI-9", || {
            format!(
                "{}: base {}, snapshot {snapshot}, applied {applied}, commit {commit}, last {}",
                it.id(),
                raft.base(),
                raft.last()
            )
        });
        // Nobody reads from what is not agreed: what is committed is applied at once, unless a
        // snapshot replaces the state.
        let base = raft.base().index;
        report.require(base <= applied, "RI-9", || {
            format!("{} forgot {base} and applied {applied}", it.id())
        });
    }
}
