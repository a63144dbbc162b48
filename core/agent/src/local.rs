//! [`Local`]: the machine. Verbs that change registrations are in `register`, what survives a
//! restart comes back in `restore`, and what goes to the catalog is put together in `tell`.

mod register;
mod reload;
mod restore;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tribune_base::rng::Rng;
use tribune_base::time::Instant;
use tribune_state::{Check, Service, Status, aggregate};

use crate::alias;
use crate::check::{Change, LocalCheck, Motor, OUTPUT_PREFIX_MAX, truncate};
use crate::config::Config;
use crate::output::{ChangeSeq, CheckOutcome, Event, Output, RunId, Settled};
use crate::persist::Files;
use crate::sync::{Key, Sync};
use crate::table::{LocalService, Tables};
use crate::ttl::expired_output;

pub use register::{MaintenanceError, RegisterError, UpdateCheckError};
pub use reload::Reload;

/// The services and checks of this node. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Local {
    config: Config,
    rng: Rng,
    tables: Tables,
    /// The number of the last change.
    change: ChangeSeq,

    /// When to look at which check. An entry may be stale: the check knows better.
    timers: BTreeSet<(Instant, String)>,
    /// The check that each run is of. Invariant: its probe names the run.
    runs: BTreeMap<RunId, String>,
    issued: RunId,
    /// Something changed that an alias may copy.
    aliases_stale: bool,
    /// When to look for services that have been critical for too long.
    reap_due: Instant,

    files: Files,
    sync: Sync,
    outputs: VecDeque<Output>,
}

/// A service, and how it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceHealth<'a> {
    /// The worst of `checks`.
    pub status: Status,
    /// The service.
    pub service: &'a Service,
    /// Its checks and the node's.
    pub checks: Vec<&'a Check>,
}

impl Local {
    /// An agent without services. The first thing it does is compare itself with the catalog.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let mut local = Self {
            rng: Rng::stream(seed, "agent"),
            tables: Tables::new(&config),
            change: ChangeSeq::default(),
            timers: BTreeSet::new(),
            runs: BTreeMap::new(),
            issued: RunId::default(),
            aliases_stale: false,
            reap_due: now + config.reap_interval,
            files: Files::default(),
            sync: Sync::new(seed, now),
            outputs: VecDeque::new(),
            config,
        };
        local.finish(now);
        local
    }

    /// A run came back. What belongs to a check that is gone or was replaced is ignored.
    pub fn checked(&mut self, now: Instant, run: RunId, outcome: CheckOutcome) {
        assert!(run <= self.issued, "never issued: {run:?}");
        let Some(id) = self.runs.remove(&run) else { return };
        let check = self.tables.checks.get_mut(&id).expect("a run belongs to a check");
        let Motor::Probe(probe) = &mut check.motor else { panic!("only probes run: {id}") };
        if let Some(outcome) = probe.finish(now, outcome) {
            let len_max = check.output_max + OUTPUT_PREFIX_MAX;
            let output = truncate(&outcome.output, len_max);
            self.observe(now, &id, CheckOutcome { output, ..outcome });
        }
        self.schedule(&id);
        self.finish(now);
    }

    /// The `Save` with this number was performed.
    pub fn saved(&mut self, now: Instant, seq: ChangeSeq) {
        self.files.saved(seq);
        self.finish(now);
    }

    /// How many agents there are in the cluster. The more, the less often each of them compares.
    pub fn set_member_count(&mut self, now: Instant, count: usize) {
        self.sync.set_member_count(count);
        self.finish(now);
    }

    /// A leader has appeared: what failed without one is tried again now.
    pub fn retry_sync(&mut self, now: Instant) {
        self.sync.leader_seen(now);
        self.finish(now);
    }

    /// A server has come into the pool: what it knows is compared soon.
    pub fn compare_with_server(&mut self, now: Instant) {
        self.sync.server_seen(now);
        self.finish(now);
    }

    /// Do what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().cloned() {
            if now < at {
                break;
            }
            self.timers.remove(&(at, id.clone()));
            if let Some(check) = self.tables.checks.get_mut(&id) {
                // Another check of this id may have an entry of its own.
                check.timer = check.timer.filter(|it| *it != at);
                self.on_timer(now, &id);
                self.schedule(&id);
            }
        }
        if self.reap_due <= now {
            self.reap_due = now + self.config.reap_interval;
            self.reap(now);
        }
        self.finish(now);
    }

    /// The next thing to do, or `None` when the caller may wait for the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.sync.deadline(), Some(self.reap_due)].into_iter().flatten().min()
    }

    /// What the agent was told about itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All services, by id.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.tables.services.values().map(|it| &it.row)
    }

    /// One service.
    pub fn service(&self, id: &str) -> Option<&Service> {
        self.tables.services.get(id).map(|it| &it.row)
    }

    /// The token a service was registered with; empty for the agent's own.
    pub fn service_token(&self, id: &str) -> Option<&str> {
        self.tables.services.get(id).map(|it| it.definition.token.as_str())
    }

    /// All checks, by id.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.tables.checks.values().map(|it| &it.row)
    }

    /// One check.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.tables.checks.get(id).map(|it| &it.row)
    }

    /// The health of one service.
    pub fn health_of_service(&self, id: &str) -> Option<ServiceHealth<'_>> {
        self.tables.services.get(id).map(|it| self.health(it))
    }

    /// The health of all services of a name.
    pub fn health_of_services_named(&self, name: &str) -> Vec<ServiceHealth<'_>> {
        let named = |it: &&LocalService| it.row.name.eq_ignore_ascii_case(name);
        self.tables.services.values().filter(named).map(|it| self.health(it)).collect()
    }

    /// How far a change has come. A number from before a restart has come all the way.
    pub fn is_settled(&self, seq: ChangeSeq) -> Settled {
        Settled { saved: self.files.has_saved(seq), synced: self.sync.has_told(seq) }
    }

    fn health<'a>(&'a self, service: &'a LocalService) -> ServiceHealth<'a> {
        let checks: Vec<_> = self.tables.checks_about(&service.row.id).map(|it| &it.row).collect();
        ServiceHealth { status: aggregate(checks.iter().copied()), service: &service.row, checks }
    }

    /// Something about a check is due; or not, if the timer was stale.
    fn on_timer(&mut self, now: Instant, id: &str) {
        let check = self.tables.checks.get_mut(id).expect("the caller looked");
        if check.deferred.take_if(|it| *it <= now).is_some() {
            self.sync.mark(Key::Check(id.to_owned()), self.change);
        }
        match &mut check.motor {
            Motor::Ttl(ttl) => {
                if ttl.take_expired(now) {
                    let output = expired_output(&check.row.output);
                    self.observe(now, id, CheckOutcome { status: Status::Critical, output });
                }
            }
            Motor::Probe(probe) if probe.is_due(now) => {
                self.issued = RunId(self.issued.0 + 1);
                probe.run = Some(self.issued);
                self.runs.insert(self.issued, id.to_owned());
                self.outputs.push_back(Output::RunCheck {
                    check: id.to_owned(),
                    run: self.issued,
                    spec: probe.spec.clone(),
                    timeout: probe.timeout,
                });
            }
            Motor::Probe(_) | Motor::Alias(_) | Motor::Maintenance => {}
        }
    }

    /// Take in what is known of a check now.
    fn observe(&mut self, now: Instant, id: &str, outcome: CheckOutcome) {
        let check =
            self.tables.checks.get_mut(id).expect("only checks that are there are observed");
        let from = check.row.status;
        let change = check.observe(now, outcome, &self.config, &mut self.rng);
        let to = check.row.status;
        match change {
            Change::Nothing => return,
            Change::Later => {}
            Change::Now => {
                self.change = ChangeSeq(self.change.0 + 1);
                self.sync.mark(Key::Check(id.to_owned()), self.change);
            }
        }
        self.aliases_stale = true;
        if from != to {
            self.event(Event::StatusChanged { check: id.to_owned(), from, to });
        }
        self.schedule(id);
    }

    /// Make sure that a check is looked at when something about it is due.
    fn schedule(&mut self, id: &str) {
        let Some(check) = self.tables.checks.get_mut(id) else { return };
        let Some(deadline) = check.deadline() else { return };
        if check.timer.is_none_or(|it| deadline < it) {
            check.timer = Some(deadline);
            self.timers.insert((deadline, id.to_owned()));
        }
    }

    /// Remove what has been critical for too long.
    fn reap(&mut self, now: Instant) {
        let lost = |it: &&LocalCheck| it.is_beyond_hope(now) && !it.row.service_id.is_empty();
        let lost = self.tables.checks.values().filter(lost);
        let lost: BTreeMap<String, String> =
            lost.map(|it| (it.row.service_id.clone(), it.row.id.clone())).collect();
        for (service, check) in lost {
            self.remove_service(&service);
            self.event(Event::Reaped { service, check });
        }
    }

    /// The end of every mutator: what follows from the change, and what is to be done.
    fn finish(&mut self, now: Instant) {
        if std::mem::take(&mut self.aliases_stale) {
            self.refresh_aliases(now);
        }
        self.outputs.extend(self.files.next());
        self.tell(now);
        self.check_invariants();
    }

    fn refresh_aliases(&mut self, now: Instant) {
        let outcomes: Vec<_> = self
            .tables
            .aliases()
            .filter_map(|id| match &self.tables.checks[id].motor {
                Motor::Alias(service) => Some((id.clone(), alias::outcome(&self.tables, service))),
                Motor::Ttl(_) | Motor::Probe(_) | Motor::Maintenance => None,
            })
            .collect();
        for (id, outcome) in outcomes {
            let len_max = self.tables.checks[&id].output_max;
            let output = truncate(&outcome.output, len_max);
            self.observe(now, &id, CheckOutcome { output, ..outcome });
        }
        // What an alias says now was found without asking aliases, so it changes no other.
        self.aliases_stale = false;
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn check_invariants(&self) {
        assert!(self.runs.len() <= self.tables.checks.len(), "more runs than checks");
        debug_assert!(self.tables.is_consistent());
        debug_assert!(self.runs.iter().all(|(run, id)| {
            self.tables.checks.get(id).and_then(LocalCheck::run) == Some(*run)
        }));
        debug_assert!(
            self.tables
                .checks
                .values()
                .all(|it| { it.critical_since.is_some() == (it.row.status == Status::Critical) })
        );
        debug_assert!(self.tables.checks.iter().all(|(id, it)| {
            it.timer.is_none_or(|at| self.timers.contains(&(at, id.clone())))
                && it.deadline().is_none_or(|due| it.timer.is_some_and(|at| at <= due))
        }));
    }
}

#[cfg(test)]
mod tests;
