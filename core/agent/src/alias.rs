//! Checks that copy what others say: the worst of a service's, or of the node's.

use std::collections::BTreeSet;

use tribune_state::Status;

use crate::check::Motor;
use crate::output::CheckOutcome;
use crate::table::Tables;

/// What a check says that copies `service`, or the node if that is empty.
///
/// Aliases of aliases are followed to the checks that know something themselves, each once: two
/// that copy each other would otherwise stay critical for ever.
pub(crate) fn outcome(tables: &Tables, service: &str) -> CheckOutcome {
    if !service.is_empty() && !tables.services.contains_key(service) {
        let output = format!("Service {service} could not be found on node {}", tables.node.name);
        return CheckOutcome { status: Status::Critical, output };
    }
    let mut worst = None;
    let mut waiting = vec![service];
    let mut seen = BTreeSet::from([service]);
    while let Some(target) = waiting.pop() {
        for check in tables.checks_about(target) {
            if let Motor::Alias(next) = &check.motor {
                if seen.insert(next) {
                    waiting.push(next);
                }
                continue;
            }
            if worst.is_none_or(|(status, _)| status < check.row.status) {
                worst = Some((check.row.status, check));
            }
        }
    }
    let (status, output) = match worst {
        None => (Status::Passing, "No checks found.".to_owned()),
        Some((Status::Passing, _)) => (Status::Passing, "All checks passing.".to_owned()),
        Some((status, check)) => {
            let output =
                format!("Aliased check {:?} failing: {}", check.row.name, check.row.output);
            (status, output)
        }
    };
    CheckOutcome { status, output }
}
