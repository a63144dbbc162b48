//! CH-2, health filtering: whoever asks for instances that are well, over HTTP or DNS, is given those
//! that were at the answer's index, and no other.

use std::collections::BTreeSet;

use tribune_api::http::Response;
use tribune_api::plan::Query;
use tribune_base::id::Index;
use tribune_state::{Check, Snapshot, Status};

use super::aggregate::{strings, worst};
use super::{Report, Truth};

/// An answer was made from the state after `applied`.
pub(crate) fn on_rendered(
    report: &mut Report,
    truth: &Truth,
    applied: Index,
    query: &Query,
    response: &Response,
) {
    let Query::HealthService { service, passing: true, tags, .. } = query else { return };
    let Some(fact) = truth.get(applied).filter(|_| tags.is_empty() && response.status == 200)
    else {
        return;
    };
    let well = |checks: &[&Check]| checks.iter().all(|it| it.status == Status::Passing);
    let body = String::from_utf8_lossy(&response.body);
    let ports = numbers(&body, "Port");
    let want = ports_of(&fact.state, service, well);
    report.require(ports == want, "CH-2", || {
        let names: Vec<_> = strings(&body, "Node").collect();
        format!("passing {service:?} at {applied}: told {ports:?} on {names:?}, and it is {want:?}")
    });
}

/// A name was looked up in the state after `applied`, and led to these ports.
pub(crate) fn on_resolved(
    report: &mut Report,
    truth: &Truth,
    applied: Index,
    service: &str,
    ports: &[u16],
) {
    let Some(fact) = truth.get(applied) else { return };
    let usable = |checks: &[&Check]| matches!(worst(checks), Status::Passing | Status::Warning);
    let told: BTreeSet<i64> = ports.iter().map(|it| i64::from(*it)).collect();
    let want = ports_of(&fact.state, service, usable);
    report.require(told == want, "CH-2", || {
        format!("{service:?} in DNS at {applied}: told {told:?}, and it is {want:?}")
    });
}

/// The ports of the instances of which `wanted` holds. Each has its own. Nothing is taken from how
/// the state finds instances and their checks: only that it has these rows.
fn ports_of(state: &Snapshot, name: &str, wanted: impl Fn(&[&Check]) -> bool) -> BTreeSet<i64> {
    let mut ports = BTreeSet::new();
    for node in state.nodes().1 {
        let checks = state.node_checks(&node.name).1;
        let services = state.node_services(&node.name).1.map(|it| it.services).unwrap_or_default();
        for service in services.into_iter().filter(|it| it.name == name) {
            let about = |it: &&&Check| it.service_id.is_empty() || it.service_id == service.id;
            let checks: Vec<&Check> = checks.iter().filter(about).copied().collect();
            if wanted(&checks) {
                ports.insert(service.port);
            }
        }
    }
    ports
}

/// Every number that a field of this name has.
fn numbers(json: &str, field: &str) -> BTreeSet<i64> {
    let start = format!("\"{field}\":");
    let digits = |it: &str| it.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("").to_owned();
    json.split(&start).skip(1).filter_map(|it| digits(it).parse().ok()).collect()
}

#[test]
fn an_instance_that_is_not_well_is_noticed() {
    use tribune_state::{Command, Registration, Service};

    let (id, name) = ("web-0".to_owned(), "web".to_owned());
    let service = Service { id: id.clone(), name, port: 80, ..Service::default() };
    let warns =
        Check { id, status: Status::Warning, service_id: service.id.clone(), ..Check::default() };
    let node = "a1".to_owned();
    let (services, checks) = (vec![service], vec![warns]);
    let command =
        Command::Register(Registration { node, services, checks, ..Registration::default() });
    let mut truth = Truth::default();
    truth.say(command);

    let (tags, selection) = (Vec::new(), tribune_api::plan::Selection::default());
    let query = Query::HealthService { service: "web".into(), tags, passing: true, selection };
    let told = |body: &str| {
        let mut report = Report::default();
        let response = Response::json(200, body.to_owned());
        on_rendered(&mut report, &truth, Index(1), &query, &response);
        report.first.map(|it| it.id)
    };
    assert_eq!(told("[]"), None);
    assert_eq!(told(r#"[{"Service":{"Port":80}}]"#), Some("CH-2".into()), "it warns");
    let resolved = |ports: &[u16]| {
        let mut report = Report::default();
        on_resolved(&mut report, &truth, Index(1), "web", ports);
        report.first.map(|it| it.id)
    };
    assert_eq!(resolved(&[80]), None, "who only warns is still there");
    assert_eq!(resolved(&[]), Some("CH-2".into()));
}
