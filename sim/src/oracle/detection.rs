//! CH-5, failure detection: what the catalog says of an agent's life is what the pool says. Whoever
//! writes it down leads and believes it, writes it once for each change, and not again because
//! somebody else leads now. Once everything is put right, it is true.

use std::collections::BTreeMap;

use tribune_core::apply::Envelope;
use tribune_gossip::Status as Standing;
use tribune_raft::{Payload, Persist};
use tribune_state::{Command, Registration, Snapshot, Status};

use super::{After, Before, Report, Truth};
use crate::moment::Moment;

/// When each server last changed its mind about each agent.
#[derive(Debug, Default)]
pub(crate) struct Detection {
    changed: BTreeMap<(usize, String), Moment>,
}

impl Detection {
    /// A server has news of a member.
    pub(crate) fn on_member(&mut self, server: usize, name: &str, now: Moment) {
        self.changed.insert((server, name.to_owned()), now);
    }

    /// A leader appends.
    pub(crate) fn on_persist(
        &self,
        report: &mut Report,
        truth: &Truth,
        it: &After<'_>,
        before: &Before,
        batch: &Persist,
    ) {
        let raft = it.node.raft();
        if !raft.is_leader() {
            return;
        }
        for entry in batch.entries.iter().filter(|it| it.id.term == raft.term()) {
            let Payload::Command(bytes) = &entry.payload else { continue };
            // Most are about something else, and reading them takes time.
            if !bytes.windows(NEEDLE.len()).any(|it| it == NEEDLE) {
                continue;
            }
            let Ok(Envelope { command: Command::Register(registration), .. }) =
                Envelope::decode(bytes.clone())
            else {
                continue;
            };
            self.on_verdict(report, truth, it, before, &registration);
        }
    }

    fn on_verdict(
        &self,
        report: &mut Report,
        truth: &Truth,
        it: &After<'_>,
        before: &Before,
        registration: &Registration,
    ) {
        let name = registration.node.as_str();
        let Some(check) = registration.checks.iter().find(|it| it.id == SERF_HEALTH) else {
            return;
        };
        // A leader writes itself down whenever it begins.
        if registration.id.is_some_and(|id| tribune_base::id::ServerId::from(id) == it.id()) {
            return;
        }
        let told = self.changed.get(&(it.server, name.to_owned()));
        // It may have changed its mind twice at once.
        if told == Some(&report.now) {
            return;
        }
        let member = it.node.members().find(|it| *it.name == *name);
        let alive = member.map(|it| matches!(it.status, Standing::Alive | Standing::Leaving));
        let writes = check.status;
        let believed = match alive {
            Some(alive) => alive == (writes == Status::Passing),
            None => writes == Status::Critical,
        };
        report.require(believed, "CH-5", || {
            format!("{} writes that {name} is {writes}, and believes {member:?}", it.id())
        });
        let known = |state: &Snapshot| adds_nothing(state, registration);
        let again = truth.get(before.applied).is_some_and(|it| known(&it.state))
            && known(it.node.store().view());
        report.require(!again, "CH-5", || {
            format!("{} writes again that {name} is {writes}", it.id())
        });
    }
}

/// Whether `state` says all of it already.
fn adds_nothing(state: &Snapshot, registration: &Registration) -> bool {
    let checks = state.node_checks(&registration.node).1;
    let says = registration
        .checks
        .iter()
        .all(|new| checks.iter().any(|it| it.id == new.id && it.status == new.status));
    says && registration.skip_node_update && registration.services.is_empty()
}

/// What the catalog says of a node's life. `None`, if it says nothing.
pub(crate) fn verdict(state: &Snapshot, name: &str) -> Option<Status> {
    let checks = state.node_checks(name).1;
    checks.into_iter().find(|it| it.id == SERF_HEALTH).map(|it| it.status)
}

/// What is wrong with what the catalog says of an agent of which it is known whether it lives.
pub(crate) fn problem(state: &Snapshot, name: &str, lives: bool) -> Option<String> {
    let verdict = verdict(state, name);
    let right = if lives {
        verdict == Some(Status::Passing)
    } else {
        // Gone for good is right, too.
        verdict.is_none_or(|it| it == Status::Critical)
    };
    let is = if lives { "lives" } else { "is dead" };
    (!right).then(|| format!("{name} {is}, and the catalog says {verdict:?}"))
}

const SERF_HEALTH: &str = "serfHealth";
const NEEDLE: &[u8] = SERF_HEALTH.as_bytes();

#[test]
fn what_is_known_is_told_from_what_is_new() {
    use tribune_state::Check;

    let register = |status| {
        let check = Check { id: SERF_HEALTH.into(), status, ..Check::default() };
        Registration {
            node: "a1".into(),
            checks: vec![check],
            skip_node_update: true,
            ..Registration::default()
        }
    };
    let mut truth = Truth::default();
    truth.say(Command::Register(register(Status::Passing)));
    let state = &truth.last().state;
    assert!(adds_nothing(state, &register(Status::Passing)));
    assert!(!adds_nothing(state, &register(Status::Critical)));
    assert_eq!(problem(state, "a1", true), None);
    assert!(problem(state, "a1", false).is_some());
    assert_eq!(problem(state, "a2", false), None, "it was never there");
    assert!(problem(state, "a2", true).is_some());
}
