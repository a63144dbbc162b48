//! CH-3, no orphans: what is removed takes its checks with it. A check is of a node that is there,
//! and of a service on it or of none.

use std::collections::BTreeSet;

use tribune_state::{Command, Snapshot};

use super::Report;
use super::truth::{Fact, Saying};

/// A command about the catalog is committed.
pub(crate) fn check(report: &mut Report, fact: &Fact) {
    let state = &fact.state;
    let orphan = find(state);
    report.require(orphan.is_none(), "CH-3", || {
        format!("{}: {orphan:?} is a check of nothing", fact.id)
    });
    if let Saying::Command(command) = &fact.saying {
        let left = left(state, command);
        report.require(left.is_none(), "CH-3", || format!("{}: {left:?} was removed", fact.id));
    }
    let integrity = state.check_integrity();
    report.require(integrity.is_ok(), "CH-3", || format!("{}: {integrity:?}", fact.id));
}

/// A check of nothing: its node, and itself.
fn find(state: &Snapshot) -> Option<(String, String)> {
    let services = |node: &str| {
        let services = state.node_services(node).1.map(|it| it.services).unwrap_or_default();
        services.into_iter().map(|it| it.id.as_str())
    };
    let mut there = BTreeSet::new();
    for node in state.nodes().1 {
        there.insert((node.name.as_str(), ""));
        there.extend(services(&node.name).map(|id| (node.name.as_str(), id)));
    }
    let checks = state.checks_in_state(None).1.into_iter();
    let mut checks =
        checks.filter(|it| !there.contains(&(it.node.as_str(), it.service_id.as_str())));
    checks.next().map(|it| (it.node.clone(), it.id.clone()))
}

/// What `command` removes and is still there. Agents remove last.
fn left(state: &Snapshot, command: &Command) -> Option<(String, String)> {
    match command {
        Command::Batch(commands) => commands.iter().find_map(|it| left(state, it)),
        Command::Deregister(gone) => {
            let (node, service) = (gone.node.as_str(), gone.service_id.as_str());
            let checks = state.node_checks(node).1;
            let mut about = checks.iter().filter(|it| match (service, gone.check_id.as_str()) {
                ("", "") => true,
                ("", check) => it.id == check,
                (service, _) => it.service_id == service,
            });
            about.next().map(|it| (it.node.clone(), it.id.clone()))
        }
        Command::Register(_)
        | Command::Kv(_)
        | Command::ReapTombstones { .. }
        | Command::Ignored => None,
        Command::SetAutopilot(_) | Command::PreparedQuery(_) | Command::SetCoordinate(_) => None,
    }
}

#[test]
fn a_check_that_outlives_its_service_is_noticed() {
    use tribune_state::{Check, Deregistration, Registration, Service};

    let node = || "a1".to_owned();
    let service = Service { id: "web".into(), name: "web".into(), ..Service::default() };
    let check = Check { id: "up".into(), service_id: "web".into(), ..Check::default() };
    let (services, checks) = (vec![service], vec![check]);
    let mut store = tribune_state::Store::default();
    let mut apply = |command: &Command| {
        let at = store.index().next();
        store.apply(at, tribune_base::time::WallTime(0), command);
        store.snapshot()
    };
    let state = apply(&Command::Register(Registration {
        node: node(),
        services,
        checks,
        ..Registration::default()
    }));
    assert_eq!(find(&state), None);
    let service_id = "web".to_owned();
    let gone = Deregistration { node: node(), service_id, ..Deregistration::default() };
    let gone = Command::Deregister(gone);
    assert_eq!(left(&state, &gone), Some((node(), "up".into())), "nothing was removed");
    assert_eq!(left(&apply(&gone), &gone), None);
}
