//! One check: when it runs, what its outcomes change, and when the catalog should hear of it.

use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_state::{Check, Status};

use crate::config::Config;
use crate::definition::{CheckDefinition, CheckSpec};
use crate::output::{CheckOutcome, RunId};
use crate::table::Origin;
use crate::ttl::Ttl;

/// A check registered here.
#[derive(Debug)]
pub(crate) struct LocalCheck {
    pub(crate) definition: CheckDefinition,
    pub(crate) origin: Origin,
    /// As the API and the catalog show it.
    pub(crate) row: Check,
    pub(crate) motor: Motor,
    /// Bytes of output to keep.
    pub(crate) output_max: usize,
    /// Remove the service when it has been critical for this long.
    pub(crate) deregister_after: Option<Duration>,
    /// Invariant: set if and only if the status is critical.
    pub(crate) critical_since: Option<Instant>,
    /// When the catalog hears of output that has changed while the status has not.
    pub(crate) deferred: Option<Instant>,
    /// The earliest entry for this check among the timers, if there is one.
    pub(crate) timer: Option<Instant>,
}

/// What makes a check change.
#[derive(Debug)]
pub(crate) enum Motor {
    /// Somebody reports.
    Ttl(Ttl),
    /// We look.
    Probe(Probe),
    /// Other checks. The service whose status is copied; empty for the node.
    Alias(String),
    /// An operator.
    Maintenance,
}

/// When to look, and how often something has to be seen to be believed.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) spec: CheckSpec,
    pub(crate) timeout: Duration,
    interval: Duration,
    thresholds: Thresholds,
    due: Instant,
    /// The run that is out. While there is one, no other starts.
    pub(crate) run: Option<RunId>,
}

/// How many outcomes of a kind it takes in a row: what is not critical is a success, also a
/// warning. Zero and one mean the same.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Thresholds {
    success_before_passing: u32,
    failures_before_warning: u32,
    failures_before_critical: u32,
    /// In a row, up to now. Both start full, so that the first outcome takes effect at once.
    successes: u32,
    failures: u32,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    /// Nothing anybody sees.
    Nothing,
    /// Output only: the catalog hears of it by and by.
    Later,
    /// The catalog hears of it at once.
    Now,
}

impl LocalCheck {
    /// Take in what is now known.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        outcome: CheckOutcome,
        config: &Config,
        rng: &mut Rng,
    ) -> Change {
        let CheckOutcome { status, output } = outcome;
        let output = if config.discard_check_output { String::new() } else { output };
        if status == self.row.status && output == self.row.output {
            return Change::Nothing;
        }
        self.row.output = output;
        if status != self.row.status {
            self.set_status(now, status);
            self.deferred = None;
            return Change::Now;
        }
        let interval = config.check_update_interval;
        if interval.is_zero() {
            return Change::Now;
        }
        // Changes to come until then are told together.
        self.deferred.get_or_insert_with(|| now + interval / 2 + rng.up_to(interval));
        Change::Later
    }

    /// Set the status and what follows from it.
    pub(crate) fn set_status(&mut self, now: Instant, status: Status) {
        self.row.status = status;
        let critical = status == Status::Critical;
        self.critical_since = critical.then(|| self.critical_since.unwrap_or(now));
    }

    /// The run that is out, if there is one.
    pub(crate) fn run(&self) -> Option<RunId> {
        match &self.motor {
            Motor::Probe(probe) => probe.run,
            Motor::Ttl(_) | Motor::Alias(_) | Motor::Maintenance => None,
        }
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let motor = match &self.motor {
            Motor::Ttl(ttl) => ttl.expires(),
            Motor::Probe(probe) => probe.deadline(),
            Motor::Alias(_) | Motor::Maintenance => None,
        };
        [motor, self.deferred].into_iter().flatten().min()
    }

    /// True if it has been critical for longer than its service may be.
    pub(crate) fn is_beyond_hope(&self, now: Instant) -> bool {
        match (self.deregister_after, self.critical_since) {
            (Some(after), Some(since)) => after < now.since(since),
            (None, _) | (_, None) => false,
        }
    }
}

impl Probe {
    /// One that looks for the first time within `interval` from now: many checks registered
    /// together must not run together.
    pub(crate) fn new(
        spec: CheckSpec,
        interval: Duration,
        timeout: Duration,
        definition: &CheckDefinition,
        now: Instant,
        rng: &mut Rng,
    ) -> Self {
        let thresholds = Thresholds::new(definition);
        Self { spec, timeout, interval, thresholds, due: now + rng.up_to(interval), run: None }
    }

    /// When to look next; not while we are looking.
    fn deadline(&self) -> Option<Instant> {
        self.run.is_none().then_some(self.due)
    }

    /// True if it is time to look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|it| it <= now)
    }

    /// The run came back. What to believe, if anything new.
    pub(crate) fn finish(&mut self, now: Instant, outcome: CheckOutcome) -> Option<CheckOutcome> {
        assert!(self.run.is_some(), "a run came back that was not out");
        self.run = None;
        // Counted from the end, so that a slow check rests as long as a fast one.
        self.due = now + self.interval;
        let status = self.thresholds.judge(outcome.status)?;
        Some(CheckOutcome { status, ..outcome })
    }
}

impl Thresholds {
    fn new(definition: &CheckDefinition) -> Self {
        let critical = definition.failures_before_critical;
        let warning = match definition.failures_before_warning {
            0 => critical,
            count => count,
        };
        Self {
            success_before_passing: definition.success_before_passing,
            failures_before_warning: warning,
            failures_before_critical: critical,
            successes: definition.success_before_passing,
            failures: critical.max(warning),
        }
    }

    /// Count an outcome. The status it leads to, or nothing if the one before still holds.
    fn judge(&mut self, status: Status) -> Option<Status> {
        if status != Status::Critical {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            return (self.success_before_passing <= self.successes).then_some(status);
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.failures_before_critical <= self.failures {
            return Some(status);
        }
        (self.failures_before_warning <= self.failures).then_some(Status::Warning)
    }
}

/// Cut `output` to `len_max` bytes, and say so.
pub(crate) fn truncate(output: &str, len_max: usize) -> String {
    if output.len() <= len_max {
        return output.to_owned();
    }
    let end = (0..=len_max).rev().find(|at| output.is_char_boundary(*at)).unwrap_or(0);
    format!("{} ... (captured {end} of {} bytes)", &output[..end], output.len())
}

/// What the shell may add to a probe's output, to say where it comes from.
pub(crate) const OUTPUT_PREFIX_MAX: usize = 1024;

#[cfg(test)]
mod tests;
