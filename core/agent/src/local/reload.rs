//! The configuration was read again: what it says now takes the place of what it said before.

use std::collections::{BTreeMap, BTreeSet};

use tribune_base::time::Instant;

use super::Local;
use super::restore::id_of;
use crate::definition::{CheckDefinition, ServiceDefinition};
use crate::output::ChangeSeq;
use crate::persist;
use crate::sync::Key;
use crate::table::Origin;

/// What a configuration says that a running agent can take over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reload {
    /// Its services.
    pub services: Vec<ServiceDefinition>,
    /// Its checks that are of no service among them, or of one by its id.
    pub checks: Vec<CheckDefinition>,
    /// What the operator says about the node.
    pub meta: BTreeMap<String, String>,
    /// Keep no output of checks.
    pub discard_check_output: bool,
}

impl Local {
    /// Take over what the configuration says now. What it no longer mentions goes, as far as it was
    /// the configuration that registered it; what it still says as before is not touched, and what
    /// is known of a check stays known. A definition that is refused is reported, and leaves what
    /// stands under its id as it was.
    pub fn reload(&mut self, now: Instant, reload: Reload) -> ChangeSeq {
        let Reload { services, checks, meta, discard_check_output } = reload;
        self.change = ChangeSeq(self.change.0 + 1);
        self.config.discard_check_output = discard_check_output;
        if self.config.meta != meta {
            self.config.meta.clone_from(&meta);
            self.tables.node.meta = Some(meta);
            self.sync.mark(Key::Node, self.change);
        }
        self.remove_unmentioned(&services, &checks);
        for service in services {
            let id = service.id().to_owned();
            self.restore_service(now, service, Origin::Config);
            let taken = self.tables.services.get(&id).is_some_and(|it| it.origin == Origin::Config);
            self.supersede(taken, persist::service_path(&id));
        }
        for check in checks {
            let id = id_of(&check).to_owned();
            self.restore_check(now, check, Origin::Config);
            let taken = self.tables.checks.get(&id).is_some_and(|it| it.origin == Origin::Config);
            self.supersede(taken, persist::check_path(&id));
        }
        self.finish(now);
        self.change
    }

    fn remove_unmentioned(&mut self, services: &[ServiceDefinition], checks: &[CheckDefinition]) {
        let mentioned: BTreeSet<_> = services.iter().map(ServiceDefinition::id).collect();
        let gone = |(id, it): (&String, &crate::table::LocalService)| {
            (it.origin == Origin::Config && !mentioned.contains(id.as_str())).then(|| id.clone())
        };
        for id in self.tables.services.iter().filter_map(gone).collect::<Vec<_>>() {
            self.remove_service(&id);
        }
        let mut mentioned: BTreeSet<_> = checks.iter().map(|it| id_of(it).to_owned()).collect();
        mentioned.extend(services.iter().flat_map(|it| it.named_checks()).map(|it| it.id));
        let gone = |(id, it): (&String, &crate::check::LocalCheck)| {
            (it.origin == Origin::Config && !mentioned.contains(id)).then(|| id.clone())
        };
        for id in self.tables.checks.iter().filter_map(gone).collect::<Vec<_>>() {
            self.remove_check(&id);
        }
    }

    /// What a request had registered under an id that is the configuration's now does not come back
    /// with the next start.
    fn supersede(&mut self, taken: bool, path: String) {
        if taken {
            self.forget(Origin::Api, path);
        }
    }
}
