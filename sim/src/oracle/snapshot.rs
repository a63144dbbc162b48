//! RI-16, snapshots: the state in a snapshot is the one that the log up to there makes. And WA-12:
//! the log begins no later than the snapshot ends, whenever a server crashes.

use tribune_base::id::Index;
use tribune_raft::SnapshotMeta;
use tribune_state::Snapshot;

use super::{Oracle, Report, Truth};
use crate::world::disk::Disk;

impl Oracle {
    /// A server is about to save, or has just installed, this state.
    pub(crate) fn on_snapshot(&mut self, server: usize, meta: &SnapshotMeta, state: &Snapshot) {
        check_state(&mut self.report, &self.truth, server, meta, state);
    }

    /// A server's log lets go of what is before and including `through`.
    pub(crate) fn on_forget(&mut self, server: usize, through: Index, disk: &Disk) {
        self.report.require(through <= disk.covered(), "WA-12", || {
            let covered = disk.covered();
            format!("server {} forgets {through}, and {covered} is in a snapshot", server + 1)
        });
    }
}

fn check_state(
    report: &mut Report,
    truth: &Truth,
    server: usize,
    meta: &SnapshotMeta,
    state: &Snapshot,
) {
    let Some(fact) = truth.get(meta.last.index) else {
        return report.require(false, "RI-16", || {
            format!("server {} has a snapshot of {}, which never was", server + 1, meta.last)
        });
    };
    report.require(fact.id == meta.last, "RI-16", || {
        format!("server {} has a snapshot of {} instead of {}", server + 1, meta.last, fact.id)
    });
    report.require(&fact.state == state, "RI-16", || {
        format!("server {} has a snapshot of {} with another state", server + 1, meta.last)
    });
}

pub(crate) fn check_start(report: &mut Report, truth: &Truth, server: usize, disk: &Disk) {
    let first = disk.entries().front().map(|it| it.id.index);
    let covered = disk.covered();
    report.require(first.is_none_or(|it| it <= covered.next()), "WA-12", || {
        format!("the log of server {} begins at {first:?} after {covered}", server + 1)
    });
    // What was committed and is on a disk is still what it was.
    let committed = truth.last().id.index;
    let wrong = |it: &&tribune_raft::Entry| {
        it.id.index <= covered && truth.get(it.id.index).is_some_and(|fact| fact.id != it.id)
    };
    // A log that disagrees with an installed snapshot is replaced as a whole: its end gives it away.
    let agrees = disk.term(covered).is_none()
        || truth.get(covered).map(|it| it.id.term) == disk.term(covered);
    let found = if agrees { disk.entries().iter().find(wrong) } else { None };
    report.require(found.is_none(), "WA-2", || {
        format!("server {} has {found:?} on disk, with {committed} committed", server + 1)
    });
}
