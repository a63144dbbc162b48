//! RI-4, leader completeness: who becomes leader has everything that was committed before its term.
//! Of what a later leader commits meanwhile it need not know: it cannot get anything committed.

use super::{After, Report, Truth};

pub(crate) fn check(report: &mut Report, truth: &Truth, it: &After<'_>) {
    let raft = it.node.raft();
    let last = truth.last_before(raft.term()).id;
    let has = match raft.entry(last.index) {
        Some(entry) => entry.id == last,
        None => raft.base() == last || last.index < raft.base().index,
    };
    report.require(has, "RI-4", || {
        format!("{} leads term {} and lacks {last}, which is committed", it.id(), raft.term())
    });
}
