//! RI-2, leader append-only: a leader never overwrites or deletes an entry of its own log.

use tribune_raft::Persist;

use super::{After, Before, Report};

pub(crate) fn check(report: &mut Report, it: &After<'_>, before: &Before, batch: &Persist) {
    let raft = it.node.raft();
    let led = before.leads && raft.is_leader() && before.term == raft.term();
    report.require(!led || batch.truncate_from.is_none(), "RI-2", || {
        format!("{} leads term {} and truncates its log: {batch:?}", it.id(), raft.term())
    });
}
