//! Checks that an operator sets: the node, or a service, is not to be used for now.

use tribune_state::health::{NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX};
use tribune_state::{Check, Status};

/// The id of a service's maintenance check.
pub(crate) fn service_check_id(service: &str) -> String {
    format!("{SERVICE_MAINTENANCE_PREFIX}{service}")
}

/// The check that puts `service` into maintenance; the node if that is empty.
pub(crate) fn check(service: &str, reason: Option<&str>) -> Check {
    let of_node = service.is_empty();
    let (id, name, default) = if of_node {
        (NODE_MAINTENANCE.to_owned(), "Node Maintenance Mode", NODE_NOTES)
    } else {
        (service_check_id(service), "Service Maintenance Mode", SERVICE_NOTES)
    };
    let reason = reason.filter(|it| !it.is_empty());
    Check {
        id,
        name: name.to_owned(),
        status: Status::Critical,
        notes: reason.unwrap_or(default).to_owned(),
        service_id: service.to_owned(),
        kind: "maintenance".to_owned(),
        ..Check::default()
    }
}

const NODE_NOTES: &str = "Maintenance mode is enabled for this node, but no reason was provided. \
                          This is a default message.";
const SERVICE_NOTES: &str = "Maintenance mode is enabled for this service, but no reason was \
                             provided. This is a default message.";

#[test]
fn the_ids_say_what_is_in_maintenance() {
    let node = check("", None);
    assert_eq!((node.id.as_str(), node.notes.as_str()), ("_node_maintenance", NODE_NOTES));
    let service = check("web", Some("upgrade"));
    assert_eq!(service.id, "_service_maintenance:web");
    assert_eq!(service.notes, "upgrade");
    assert_eq!(service.status, Status::Critical);
}
