//! What the catalog has, against what it should have.

use std::collections::BTreeMap;

use tribune_base::bug;
use tribune_state::{Check, Node, Service};

use super::Key;
use crate::output::CatalogRows;

/// What it should have.
pub(crate) struct Local<'a> {
    pub(crate) node: &'a Node,
    pub(crate) services: BTreeMap<&'a str, &'a Service>,
    /// True: its output may differ, the catalog hears of that later.
    pub(crate) checks: BTreeMap<&'a str, (&'a Check, bool)>,
}

/// What has to change so that both are the same.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Differences {
    /// The rows there are another node's. Nothing else is said then.
    pub(crate) disowned: bool,
    /// Rows to tell the catalog of, or to remove there.
    pub(crate) keys: Vec<Key>,
    /// Tags that somebody else chose, by service.
    pub(crate) tags: Vec<(String, Vec<String>)>,
}

/// Compare.
pub(crate) fn compare(local: &Local<'_>, catalog: &CatalogRows) -> Differences {
    let mut differences = Differences::default();
    match &catalog.node {
        Some(node) if node.id.is_some() && node.id != local.node.id && !bug!(C03) => {
            return Differences { disowned: true, keys: vec![Key::Node], tags: Vec::new() };
        }
        Some(node) if same_node(local.node, node) => {}
        Some(_) | None => differences.keys.push(Key::Node),
    }
    compare_services(local, catalog, &mut differences);
    compare_checks(local, catalog, &mut differences);
    differences
}

fn compare_services(local: &Local<'_>, catalog: &CatalogRows, differences: &mut Differences) {
    let there: BTreeMap<_, _> = catalog.services.iter().map(|it| (it.id.as_str(), it)).collect();
    for (id, ours) in &local.services {
        let Some(theirs) = there.get(id) else {
            differences.keys.push(Key::Service((*id).to_owned()));
            continue;
        };
        // The catalog may know better only if the service says so.
        let adopts = ours.enable_tag_override && theirs.tags != ours.tags;
        if adopts {
            differences.tags.push(((*id).to_owned(), theirs.tags.clone()));
        }
        if !same_service(ours, theirs, adopts) {
            differences.keys.push(Key::Service((*id).to_owned()));
        }
    }
    let foreign = there.keys().filter(|id| !local.services.contains_key(**id));
    let foreign = foreign.filter(|id| **id != SERVERS_SERVICE);
    differences.keys.extend(foreign.map(|id| Key::Service((*id).to_owned())));
}

fn compare_checks(local: &Local<'_>, catalog: &CatalogRows, differences: &mut Differences) {
    let there: BTreeMap<_, _> = catalog.checks.iter().map(|it| (it.id.as_str(), it)).collect();
    for (id, (ours, output_may_differ)) in &local.checks {
        let same = there.get(id).is_some_and(|it| same_check(ours, it, *output_may_differ));
        if !same {
            differences.keys.push(Key::Check((*id).to_owned()));
        }
    }
    for (id, check) in there {
        let servers = id == SERVERS_CHECK
            || check.service_id == SERVERS_SERVICE && !local.services.contains_key(SERVERS_SERVICE);
        if !servers && !local.checks.contains_key(id) {
            differences.keys.push(Key::Check(id.to_owned()));
        }
    }
}

fn same_node(ours: &Node, theirs: &Node) -> bool {
    ours.id == theirs.id
        && ours.address == theirs.address
        && same_map(ours.tagged_addresses.as_ref(), theirs.tagged_addresses.as_ref())
        && same_map(ours.meta.as_ref(), theirs.meta.as_ref())
}

fn same_service(ours: &Service, theirs: &Service, tags_may_differ: bool) -> bool {
    ours.name == theirs.name
        && (tags_may_differ || ours.tags == theirs.tags)
        && ours.address == theirs.address
        && same_map(ours.tagged_addresses.as_ref(), theirs.tagged_addresses.as_ref())
        && same_map(ours.meta.as_ref(), theirs.meta.as_ref())
        && ours.port == theirs.port
        && ours.weights == theirs.weights
        && ours.enable_tag_override == theirs.enable_tag_override
        && ours.kind == theirs.kind
}

/// The service's name and tags follow from the service, and are not compared.
fn same_check(ours: &Check, theirs: &Check, output_may_differ: bool) -> bool {
    ours.name == theirs.name
        && ours.status == theirs.status
        && ours.notes == theirs.notes
        && (output_may_differ || ours.output == theirs.output)
        && ours.service_id == theirs.service_id
        && ours.kind == theirs.kind
}

/// None and empty are the same.
fn same_map<V: PartialEq>(
    ours: Option<&BTreeMap<String, V>>,
    theirs: Option<&BTreeMap<String, V>>,
) -> bool {
    let filled = |it: &&BTreeMap<String, V>| !it.is_empty();
    ours.filter(filled) == theirs.filter(filled)
}

/// What servers register for themselves, on whichever node they run.
pub(crate) const SERVERS_SERVICE: &str = "consul";
/// What the leader says about every node.
pub(crate) const SERVERS_CHECK: &str = "serfHealth";
