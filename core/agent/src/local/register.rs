//! The verbs: what the API and the configuration ask for.

use bytes::Bytes;
use tribune_base::time::{Duration, Instant};
use tribune_state::health::NODE_MAINTENANCE;
use tribune_state::{Check, Status};

use super::Local;
use crate::check::{LocalCheck, Motor, Probe, truncate};
use crate::definition::{
    CheckDefinition, CheckKind, CheckSpec, InvalidCheck, InvalidService, ServiceDefinition,
};
use crate::maintenance;
use crate::output::{ChangeSeq, CheckOutcome, Event, Output};
use crate::persist;
use crate::sync::Key;
use crate::table::{LocalService, Origin, service_row};
use crate::ttl::Ttl;

/// Why a registration was refused. Nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RegisterError {
    /// The service's definition makes no sense. The client corrects it.
    #[error(transparent)]
    Service(#[from] InvalidService),

    /// A check without a name. The client gives it one.
    #[error("Missing check name")]
    MissingCheckName,

    /// A check that starts with a status that is none.
    #[error("Bad check status")]
    CheckStatus,

    /// The check's definition makes no sense. The client corrects it.
    #[error("Invalid check: {0}")]
    Check(#[from] InvalidCheck),

    /// The operator does not let the API start programs.
    #[error(
        "Scripts are disabled on this agent from remote calls; to enable, configure \
         'enable_script_checks' to true"
    )]
    RemoteScripts,

    /// The operator does not let this agent start programs.
    #[error(
        "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or \
         'enable_local_script_checks' to true"
    )]
    LocalScripts,

    /// A check of a service that is not registered here.
    #[error("ServiceID {0:?} does not exist")]
    UnknownService(String),

    /// Too many services. The operator has a runaway client, or raises the limit.
    #[error("this agent has {0} services, the most it may have")]
    TooManyServices(usize),

    /// Too many checks. As for services.
    #[error("this agent has {0} checks, the most it may have")]
    TooManyChecks(usize),
}

/// Why a report was refused. Nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UpdateCheckError {
    /// Nobody may report to this check, or there is none.
    #[error("CheckID {0:?} does not have associated TTL")]
    NoTtl(String),
}

/// Why maintenance was refused. Nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MaintenanceError {
    /// No such service here.
    #[error("No service registered with ID {0:?}")]
    UnknownService(String),
}

impl Local {
    /// Add a service and its checks, or replace the one of its id. Checks that it had and that are
    /// not mentioned stay, unless `replace_existing_checks`. What is known of a check stays known.
    ///
    /// # Errors
    ///
    /// The definition makes no sense or is not allowed. Then nothing has changed.
    pub fn register_service(
        &mut self,
        now: Instant,
        definition: ServiceDefinition,
        origin: Origin,
        replace_existing_checks: bool,
    ) -> Result<ChangeSeq, RegisterError> {
        definition.validate()?;
        let checks = definition.named_checks();
        let id = definition.id().to_owned();
        let mut kinds = Vec::new();
        for check in &checks {
            kinds.push(self.admit(check, origin)?);
        }
        let room = self.config.service_count_max;
        if !self.tables.services.contains_key(&id) && room <= self.tables.services.len() {
            return Err(RegisterError::TooManyServices(room));
        }
        let ids: Vec<_> = checks.iter().map(|it| it.id.as_str()).collect();
        self.admit_count(&ids)?;

        self.change = ChangeSeq(self.change.0 + 1);
        self.put_service(definition, origin);
        if replace_existing_checks {
            let keep = |old: &&String| !checks.iter().any(|it| it.id == **old);
            let gone: Vec<_> = self.tables.check_ids(&id).filter(keep).cloned().collect();
            for check in gone {
                self.remove_check(&check);
            }
        }
        for (check, kind) in checks.into_iter().zip(kinds) {
            self.put_check(now, check, kind, origin);
        }
        self.finish(now);
        Ok(self.change)
    }

    /// Remove a service and its checks. `None` if there is no such service.
    pub fn deregister_service(&mut self, now: Instant, id: &str) -> Option<ChangeSeq> {
        let removed = self.remove_service(id);
        self.finish(now);
        removed.then_some(self.change)
    }

    /// Add a check, or replace the one of its id.
    ///
    /// # Errors
    ///
    /// The definition makes no sense or is not allowed. Then nothing has changed.
    pub fn register_check(
        &mut self,
        now: Instant,
        mut definition: CheckDefinition,
        origin: Origin,
    ) -> Result<ChangeSeq, RegisterError> {
        if definition.name.is_empty() {
            return Err(RegisterError::MissingCheckName);
        }
        if definition.id.is_empty() {
            definition.id.clone_from(&definition.name);
        }
        if !definition.status.is_empty() && definition.status.parse::<Status>().is_err() {
            return Err(RegisterError::CheckStatus);
        }
        let kind = self.admit(&definition, origin)?;
        self.admit_count(&[definition.id.as_str()])?;
        if !definition.service_id.is_empty() {
            let Some(service) = self.tables.services.get(&definition.service_id) else {
                return Err(RegisterError::UnknownService(definition.service_id));
            };
            if definition.token.is_empty() {
                definition.token.clone_from(&service.definition.token);
            }
        }
        self.change = ChangeSeq(self.change.0 + 1);
        self.put_check(now, definition, kind, origin);
        self.finish(now);
        Ok(self.change)
    }

    /// Remove a check. `None` if there is no such check.
    pub fn deregister_check(&mut self, now: Instant, id: &str) -> Option<ChangeSeq> {
        let known = self.tables.checks.contains_key(id);
        if known {
            self.change = ChangeSeq(self.change.0 + 1);
            self.remove_check(id);
        }
        self.finish(now);
        known.then_some(self.change)
    }

    /// Somebody reports to a check with a TTL.
    ///
    /// # Errors
    ///
    /// There is no such check, or we look ourselves.
    pub fn update_check(
        &mut self,
        now: Instant,
        id: &str,
        status: Status,
        output: &str,
    ) -> Result<ChangeSeq, UpdateCheckError> {
        assert!(status != Status::Maintenance, "a check is never in maintenance");
        let check = self.tables.checks.get_mut(id);
        let Some(LocalCheck { motor: Motor::Ttl(ttl), output_max, .. }) = check else {
            return Err(UpdateCheckError::NoTtl(id.to_owned()));
        };
        ttl.renew(now);
        let output = truncate(output, *output_max);
        self.change = ChangeSeq(self.change.0 + 1);
        self.observe(now, id, CheckOutcome { status, output });
        if self.config.persist {
            let state = persist::State::new(&self.tables.checks[id].row);
            self.files.write(self.change, persist::state_path(id), Some(persist::state(&state)));
        }
        self.schedule(id);
        self.finish(now);
        Ok(self.change)
    }

    /// Take the node out of use, with a reason for people, or back into use. `enable` is whether,
    /// and why; an empty reason has a default.
    pub fn set_node_maintenance(&mut self, now: Instant, enable: Option<&str>) -> ChangeSeq {
        self.set_maintenance(now, "", NODE_MAINTENANCE, enable)
    }

    /// Take a service out of use, or back into use.
    ///
    /// # Errors
    ///
    /// There is no such service.
    pub fn set_service_maintenance(
        &mut self,
        now: Instant,
        id: &str,
        enable: Option<&str>,
    ) -> Result<ChangeSeq, MaintenanceError> {
        if !self.tables.services.contains_key(id) {
            return Err(MaintenanceError::UnknownService(id.to_owned()));
        }
        Ok(self.set_maintenance(now, id, &maintenance::service_check_id(id), enable))
    }

    fn set_maintenance(
        &mut self,
        now: Instant,
        service: &str,
        check: &str,
        enable: Option<&str>,
    ) -> ChangeSeq {
        let known = self.tables.checks.contains_key(check);
        // Twice the same is once: the first reason stands.
        if known != enable.is_some() {
            self.change = ChangeSeq(self.change.0 + 1);
            match enable {
                Some(reason) => {
                    self.put_maintenance(now, maintenance::check(service, Some(reason)));
                }
                None => self.remove_check(check),
            }
        }
        self.finish(now);
        self.change
    }

    /// What a check means, if this agent does that.
    pub(super) fn admit(
        &self,
        definition: &CheckDefinition,
        origin: Origin,
    ) -> Result<CheckKind, RegisterError> {
        let kind = definition.kind(self.config.output_max)?;
        match &kind {
            CheckKind::Ttl(_) => {}
            CheckKind::Alias { node, .. } => {
                if !node.is_empty() && !node.eq_ignore_ascii_case(&self.config.node) {
                    return Err(InvalidCheck::Unsupported("Alias of another node's").into());
                }
            }
            CheckKind::Probe { spec, .. } => self.admit_spec(spec, origin)?,
        }
        Ok(kind)
    }

    fn admit_spec(&self, spec: &CheckSpec, origin: Origin) -> Result<(), RegisterError> {
        if spec.is_tls() && !self.config.capabilities.tls {
            return Err(InvalidCheck::Unsupported("TLS").into());
        }
        match spec {
            CheckSpec::Udp { .. } if !self.config.capabilities.udp => {
                Err(InvalidCheck::Unsupported("UDP").into())
            }
            CheckSpec::Script { .. } => match (origin, self.config.script_checks) {
                (Origin::Api, allowed) if !allowed.remote => Err(RegisterError::RemoteScripts),
                (Origin::Config, allowed) if !allowed.local && !allowed.remote => {
                    Err(RegisterError::LocalScripts)
                }
                (Origin::Api | Origin::Config, _) => Ok(()),
            },
            CheckSpec::Http { .. } | CheckSpec::Tcp { .. } | CheckSpec::Udp { .. } => Ok(()),
        }
    }

    fn admit_count(&self, ids: &[&str]) -> Result<(), RegisterError> {
        let new = ids.iter().filter(|id| !self.tables.checks.contains_key(**id)).count();
        let room = self.config.check_count_max;
        if new != 0 && room < self.tables.checks.len() + new {
            return Err(RegisterError::TooManyChecks(room));
        }
        Ok(())
    }

    pub(super) fn put_service(&mut self, mut definition: ServiceDefinition, origin: Origin) {
        let row = service_row(&definition);
        let id = row.id.clone();
        definition.checks.clear();
        if origin == Origin::Config
            && let Some(old) = self.tables.services.get(&id)
            && (old.origin, &old.definition) == (origin, &definition)
        {
            // The same files, read again. Its tags may be what the catalog says.
            return;
        }
        self.keep(origin, persist::service_path(&id), || persist::service(&definition));
        let old = self.tables.services.insert(id.clone(), LocalService { definition, origin, row });
        let row = &self.tables.services[&id].row;
        if old.is_none_or(|it| it.row != *row) {
            self.sync.mark(Key::Service(id.clone()), self.change);
        }
        self.tables.refresh_checks_of(&id);
        self.aliases_stale = true;
    }

    /// What is known of a check carries over, whatever the new definition is and says: its status
    /// is for a check that nothing is known of. An unchanged one keeps its rhythm.
    pub(super) fn put_check(
        &mut self,
        now: Instant,
        definition: CheckDefinition,
        kind: CheckKind,
        origin: Origin,
    ) {
        let id = definition.id.clone();
        self.keep(origin, persist::check_path(&id), || persist::check(&definition));
        if let Some(old) = self.tables.checks.get_mut(&id)
            && old.definition == definition
        {
            old.origin = origin;
            return;
        }
        let mut row = self.row(&definition, kind.name());
        let deregister_after = self.deregister_after(&definition);
        let motor = self.motor(now, &definition, kind);
        if let Some(old) = self.tables.checks.get(&id) {
            row.status = old.row.status;
            row.output.clone_from(&old.row.output);
        }
        let mut check = LocalCheck {
            output_max: definition.output_max(self.config.output_max),
            definition,
            origin,
            motor,
            deregister_after,
            critical_since: self.tables.checks.get(&id).and_then(|it| it.critical_since),
            deferred: None,
            timer: None,
            row,
        };
        check.set_status(now, check.row.status);
        self.insert_check(check);
    }

    pub(super) fn put_maintenance(&mut self, now: Instant, mut row: Check) {
        row.node.clone_from(&self.config.node);
        let mut check = LocalCheck {
            definition: CheckDefinition::default(),
            origin: Origin::Api,
            motor: Motor::Maintenance,
            output_max: 0,
            deregister_after: None,
            critical_since: None,
            deferred: None,
            timer: None,
            row,
        };
        check.set_status(now, Status::Critical);
        let path = persist::check_path(&check.row.id);
        self.keep(Origin::Api, path, || persist::maintenance(&check.row));
        self.insert_check(check);
    }

    fn insert_check(&mut self, check: LocalCheck) {
        let id = check.row.id.clone();
        let service = check.row.service_id.clone();
        if let Some(old) = self.tables.insert_check(check) {
            self.stop(&old);
        }
        self.tables.refresh_checks_of(&service);
        self.sync.mark(Key::Check(id.clone()), self.change);
        self.aliases_stale = true;
        self.schedule(&id);
    }

    /// False if there is no such service.
    pub(super) fn remove_service(&mut self, id: &str) -> bool {
        if !self.tables.services.contains_key(id) {
            return false;
        }
        self.change = ChangeSeq(self.change.0 + 1);
        let checks: Vec<_> = self.tables.check_ids(id).cloned().collect();
        for check in checks {
            self.remove_check(&check);
        }
        let service = self.tables.services.remove(id).expect("it was there a moment ago");
        self.forget(service.origin, persist::service_path(id));
        self.sync.mark(Key::Service(id.to_owned()), self.change);
        self.aliases_stale = true;
        true
    }

    pub(super) fn remove_check(&mut self, id: &str) {
        let check = self.tables.remove_check(id).expect("the caller looked");
        self.stop(&check);
        self.forget(check.origin, persist::check_path(id));
        if matches!(check.motor, Motor::Ttl(_)) && self.config.persist {
            self.files.write(self.change, persist::state_path(id), None);
        }
        self.sync.mark(Key::Check(id.to_owned()), self.change);
        self.aliases_stale = true;
    }

    /// Nobody waits for the check's run any more.
    fn stop(&mut self, check: &LocalCheck) {
        if let Some(run) = check.run() {
            self.runs.remove(&run);
            self.outputs.push_back(Output::StopCheck { run });
        }
    }

    fn row(&self, definition: &CheckDefinition, kind: &str) -> Check {
        Check {
            node: self.config.node.clone(),
            id: definition.id.clone(),
            name: definition.name.clone(),
            status: definition.status.parse().unwrap_or_default(),
            notes: definition.notes.clone(),
            service_id: definition.service_id.clone(),
            kind: kind.to_owned(),
            ..Check::default()
        }
    }

    fn motor(&mut self, now: Instant, definition: &CheckDefinition, kind: CheckKind) -> Motor {
        match kind {
            CheckKind::Ttl(ttl) => Motor::Ttl(Ttl::new(now, ttl)),
            CheckKind::Alias { service, .. } => Motor::Alias(service),
            CheckKind::Probe { spec, interval, timeout } => {
                let min = self.config.check_interval_min;
                if interval < min {
                    let check = definition.id.clone();
                    self.event(Event::IntervalRaised { check, from: interval, to: min });
                }
                let interval = interval.max(min);
                Motor::Probe(Probe::new(spec, interval, timeout, definition, now, &mut self.rng))
            }
        }
    }

    fn deregister_after(&mut self, definition: &CheckDefinition) -> Option<Duration> {
        let after = definition.deregister_critical_service_after;
        if after.is_zero() {
            return None;
        }
        let min = self.config.deregister_after_min;
        if after < min {
            let check = definition.id.clone();
            self.event(Event::DeregisterAfterRaised { check, from: after, to: min });
        }
        Some(after.max(min))
    }

    /// Write down what the API asked for. What the configuration asks for now needs no file.
    fn keep(&mut self, origin: Origin, path: String, bytes: impl FnOnce() -> Bytes) {
        if self.config.persist && origin == Origin::Api {
            self.files.write(self.change, path, Some(bytes()));
        }
    }

    pub(super) fn forget(&mut self, origin: Origin, path: String) {
        if self.config.persist && origin == Origin::Api {
            self.files.write(self.change, path, None);
        }
    }
}
