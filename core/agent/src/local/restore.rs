//! Starting again: what the files and the configuration say.

use std::collections::{BTreeMap, BTreeSet};

use tribune_base::time::{Duration, Instant};

use super::Local;
use crate::check::Motor;
use crate::definition::{CheckDefinition, ServiceDefinition};
use crate::output::{ChangeSeq, Event, PersistedFile};
use crate::persist::{self, Record, State};
use crate::table::Origin;

/// What the files say, with their names.
#[derive(Default)]
struct Records {
    services: Vec<(String, ServiceDefinition)>,
    checks: Vec<(String, CheckDefinition)>,
    maintenance: Vec<(String, tribune_state::Check)>,
    /// With its age.
    states: BTreeMap<String, (State, Duration)>,
}

impl Local {
    /// Register what was registered before a restart, and what the configuration says. The
    /// configuration wins; a file that says something else under the same id is removed. A file
    /// that makes no sense stays where it is and is reported, as is a definition that is refused.
    ///
    /// Called once, before anything else is registered.
    pub fn restore(
        &mut self,
        now: Instant,
        files: Vec<PersistedFile>,
        config_services: Vec<ServiceDefinition>,
        config_checks: Vec<CheckDefinition>,
    ) {
        let records = self.read_files(files);
        self.change = ChangeSeq(self.change.0 + 1);
        let services: BTreeSet<_> = config_services.iter().map(|it| it.id().to_owned()).collect();
        let mut checks: BTreeSet<_> = config_checks.iter().map(|it| id_of(it).to_owned()).collect();
        checks.extend(config_services.iter().flat_map(|it| it.named_checks()).map(|it| it.id));

        for service in config_services {
            self.restore_service(now, service, Origin::Config);
        }
        for (file, service) in records.services {
            if services.contains(service.id()) {
                self.purge(file);
            } else {
                self.restore_service(now, service, Origin::Api);
            }
        }
        for check in config_checks {
            self.restore_check(now, check, Origin::Config);
        }
        for (file, check) in records.checks {
            let orphan = !check.service_id.is_empty()
                && !self.tables.services.contains_key(&check.service_id);
            if orphan || checks.contains(id_of(&check)) {
                self.purge(file);
            } else {
                self.restore_check(now, check, Origin::Api);
            }
        }
        for (file, check) in records.maintenance {
            let service = &check.service_id;
            if service.is_empty() || self.tables.services.contains_key(service) {
                self.put_maintenance(now, check);
            } else {
                self.purge(file);
            }
        }
        for (file, (state, age)) in records.states {
            self.restore_state(now, file, state, age);
        }
        self.finish(now);
    }

    fn read_files(&mut self, files: Vec<PersistedFile>) -> Records {
        let mut records = Records::default();
        for PersistedFile { name, bytes, age } in files {
            match persist::read(&bytes) {
                Ok(Record::Service(it)) => records.services.push((name, it)),
                Ok(Record::Check(it)) => records.checks.push((name, *it)),
                Ok(Record::Maintenance(it)) => records.maintenance.push((name, it)),
                Ok(Record::State(it)) => _ = records.states.insert(name, (it, age)),
                Err(reason) => self.event(Event::FileSkipped { name, reason }),
            }
        }
        records
    }

    pub(super) fn restore_service(
        &mut self,
        now: Instant,
        service: ServiceDefinition,
        origin: Origin,
    ) {
        let id = service.id().to_owned();
        if let Err(error) = self.register_service(now, service, origin, false) {
            self.event(Event::DefinitionRefused { id, reason: error.to_string() });
        }
    }

    pub(super) fn restore_check(&mut self, now: Instant, check: CheckDefinition, origin: Origin) {
        let id = id_of(&check).to_owned();
        if let Err(error) = self.register_check(now, check, origin) {
            self.event(Event::DefinitionRefused { id, reason: error.to_string() });
        }
    }

    /// A report that is not too old still counts.
    fn restore_state(&mut self, now: Instant, file: String, state: State, age: Duration) {
        let check = self.tables.checks.get_mut(&state.check_id);
        let resumed = check.and_then(|check| match &mut check.motor {
            Motor::Ttl(ttl) => ttl.resume(now, age).then_some(check),
            Motor::Probe(_) | Motor::Alias(_) | Motor::Maintenance => None,
        });
        let (Some(check), Some(status)) = (resumed, state.status()) else {
            return self.purge(file);
        };
        check.row.output = state.output;
        check.set_status(now, status);
        self.aliases_stale = true;
        let id = state.check_id;
        self.sync.mark(crate::sync::Key::Check(id.clone()), self.change);
        self.schedule(&id);
    }

    fn purge(&mut self, file: String) {
        if self.config.persist {
            self.files.write(self.change, file.clone(), None);
        }
        self.event(Event::FilePurged { name: file });
    }
}

pub(super) fn id_of(check: &CheckDefinition) -> &str {
    if check.id.is_empty() { &check.name } else { &check.id }
}
