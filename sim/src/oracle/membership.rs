//! RI-10, membership: any two configurations that can decide at the same time have a server in
//! common. It holds if changes come one at a time, each joint with the one before, and whoever leads
//! has a vote.

use tribune_base::id::Index;
use tribune_raft::{Configuration, Payload, Persist};

use super::truth::Saying;
use super::{After, Report, Truth};

#[derive(Debug, Default)]
pub(crate) struct Membership {
    /// The last committed one.
    current: Option<Configuration>,
}

impl Membership {
    pub(crate) fn on_committed(&mut self, report: &mut Report, truth: &Truth, from: usize) {
        for fact in truth.since(from) {
            let Saying::Configuration(next) = &fact.saying else { continue };
            if let Some(current) = &self.current {
                report.require(follows(current, next), "RI-10", || {
                    format!("{}: {next:?} does not follow {current:?}", fact.id)
                });
            }
            self.current = Some(next.clone());
        }
    }
}

/// Somebody leads: it has a vote, or had one before a change that it does not know to be committed.
pub(crate) fn check_leader(report: &mut Report, it: &After<'_>) {
    let raft = it.node.raft();
    let at = raft.configuration_index();
    let votes = raft.configuration().is_voter(it.id())
        || raft.commit() < at && {
            let mut before = (raft.base().index.0 + 1..at.0).rev().map(Index);
            let before = before.find_map(|it| match raft.entry(it).map(|it| &it.payload) {
                Some(Payload::Configuration(group)) => Some(group),
                Some(Payload::Command(_) | Payload::Empty) | None => None,
            });
            before.is_none_or(|group| group.is_voter(it.id()))
        };
    report.require(votes, "RI-10", || {
        format!("{} leads term {} and has no vote", it.id(), raft.term())
    });
}

fn follows(current: &Configuration, next: &Configuration) -> bool {
    if current.is_joint() {
        return !next.is_joint() && next.voters == current.voters;
    }
    let same = next.voters.keys().eq(current.voters.keys());
    if next.is_joint() { next.outgoing == current.voters } else { same }
}

/// A leader appends: no configuration before the last one is committed.
pub(crate) fn check_append(report: &mut Report, it: &After<'_>, batch: &Persist) {
    let raft = it.node.raft();
    if !raft.is_leader() {
        return;
    }
    let changes = |it: &tribune_raft::Entry| matches!(it.payload, Payload::Configuration(_));
    let own = batch.entries.iter().filter(|it| it.id.term == raft.term() && changes(it));
    for entry in own {
        let mut open = (raft.commit().0 + 1..entry.id.index.0).map(Index);
        let open = open.find(|it| raft.entry(*it).is_some_and(changes));
        report.require(open.is_none(), "RI-10", || {
            format!("{} changes the group at {} and {open:?} is open", it.id(), entry.id)
        });
    }
}

#[cfg(test)]
mod tests {
    use tribune_base::id::ServerId;

    use super::*;

    fn group(voters: &[u128], outgoing: &[u128]) -> Configuration {
        let group = |ids: &[u128]| ids.iter().map(|it| (ServerId(*it), String::new())).collect();
        let (voters, outgoing) = (group(voters), group(outgoing));
        Configuration { voters, outgoing, ..Configuration::default() }
    }

    #[test]
    fn a_change_is_joint_and_ends() {
        let (old, new) = (group(&[1, 2, 3], &[]), group(&[1, 2], &[]));
        let joint = group(&[1, 2], &[1, 2, 3]);
        assert!(follows(&old, &joint) && follows(&joint, &new) && follows(&old, &old));
        assert!(!follows(&old, &new), "two majorities need not meet");
        assert!(!follows(&joint, &old) && !follows(&old, &group(&[1, 2], &[1, 2])));
    }
}
