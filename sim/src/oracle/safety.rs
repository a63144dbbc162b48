//! RI-5, state-machine safety: whoever applies an index applies the same entry there, in order, and
//! nothing is applied twice.

use tribune_base::id::Index;

use super::matching::Matching;
use super::{After, Before, Report, Truth};

pub(crate) fn on_applied(
    report: &mut Report,
    truth: &mut Truth,
    matching: &Matching,
    it: &After<'_>,
    before: &Before,
) {
    let raft = it.node.raft();
    for index in before.applied.0 + 1..=it.shown.applied.0 {
        let index = Index(index);
        // What came with a snapshot is not in the log. The snapshot is compared as a whole.
        let Some(entry) = raft.entry(index) else {
            report.require(index <= raft.base().index, "RI-5", || {
                format!("{} applied {index}, which is not in its log", it.id())
            });
            continue;
        };
        match truth.get(index) {
            Some(fact) => report.require(fact.id == entry.id, "RI-5", || {
                format!("{} applied {} where {} is committed", it.id(), entry.id, fact.id)
            }),
            None => match matching.chain(it.server, index) {
                Some(chain) if truth.len() as u64 == index.0 => {
                    truth.commit(it.node.raft().term(), entry, chain);
                }
                Some(_) => report.require(false, "RI-5", || {
                    format!("{} applied {} before anything before", it.id(), entry.id)
                }),
                None => report.require(false, "RI-5", || {
                    format!("{} applied {}, which it never wrote down", it.id(), entry.id)
                }),
            },
        }
    }
}
