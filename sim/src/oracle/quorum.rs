//! RI-6, commit justified: what is committed is on the disks of a quorum, and the leader that
//! commits it commits an entry of its own term with it.

use tribune_base::id::ServerId;

use super::{After, Before, Report, Truth};
use crate::world::disk::Disk;

/// Something was committed for the first time.
pub(crate) fn check(report: &mut Report, truth: &Truth, it: &After<'_>, disks: &[Disk]) {
    let last = truth.last().id;
    let configuration = it.node.raft().configuration();
    let holds = |id: ServerId| {
        let disk = disks.get((id.0 as usize).wrapping_sub(1));
        u64::from(disk.is_some_and(|it| it.holds(last)))
    };
    report.require(configuration.agreed(holds) == 1, "RI-6", || {
        let holders: Vec<_> = configuration.members().filter(|it| holds(*it) == 1).collect();
        format!("{} committed {last}, which only {holders:?} have on disk", it.id())
    });
}

/// A server has committed more.
pub(crate) fn check_term(report: &mut Report, it: &After<'_>, before: &Before) {
    let raft = it.node.raft();
    if !(before.leads && raft.is_leader() && before.term == raft.term()) {
        return;
    }
    let Some(entry) = raft.entry(raft.commit()) else { return };
    report.require(entry.id.term == raft.term(), "RI-6", || {
        format!("{} leads term {} and committed {}", it.id(), raft.term(), entry.id)
    });
}
