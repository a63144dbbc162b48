//! Health, as readers see it: many checks, one word.

use tribune_base::bug;

use crate::types::{Check, Status};

/// The check that puts a node into maintenance, whatever its status.
pub const NODE_MAINTENANCE: &str = "_node_maintenance";

/// What the name of a check starts with that puts a service into maintenance.
pub const SERVICE_MAINTENANCE_PREFIX: &str = "_service_maintenance:";

/// The worst of `checks`. Without any, all is well.
pub fn aggregate<'a, I: IntoIterator<Item = &'a Check>>(checks: I) -> Status {
    let statuses = checks.into_iter().map(status);
    if bug!(C01) {
        // Only worse than passing.
        let others = |it: &Status| *it != Status::Maintenance;
        return statuses
            .max_by_key(|it| (others(it) && *it != Status::Passing, *it))
            .unwrap_or(Status::Passing);
    }
    statuses.max().unwrap_or(Status::Passing)
}

fn status(check: &Check) -> Status {
    if check.id == NODE_MAINTENANCE || check.id.starts_with(SERVICE_MAINTENANCE_PREFIX) {
        return Status::Maintenance;
    }
    check.status
}

#[test]
fn the_worst_check_decides() {
    let check = |id: &str, status| Check { id: id.into(), status, ..Check::default() };
    let well = check("a", Status::Passing);
    let shaky = check("b", Status::Warning);
    let down = check("c", Status::Critical);
    let node = check("_node_maintenance", Status::Critical);
    let service = check("_service_maintenance:web", Status::Critical);
    let cases: [(&[&Check], _); 6] = [
        (&[], Status::Passing),
        (&[&well], Status::Passing),
        (&[&shaky, &well], Status::Warning),
        (&[&well, &down, &shaky], Status::Critical),
        (&[&node, &down], Status::Maintenance),
        (&[&well, &service], Status::Maintenance),
    ];
    for (checks, want) in cases {
        assert_eq!(aggregate(checks.iter().copied()), want, "{checks:?}");
    }
}
