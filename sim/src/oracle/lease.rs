//! RI-14, leases: at any instant one server at most believes that it may answer reads on its own,
//! and it knows everything that is committed. Where clocks differ by more than the configuration
//! allows for, nothing is promised.

use super::{After, Report};
use crate::moment::Moment;

#[derive(Debug)]
pub(crate) struct Lease {
    /// Until when each server believes it has one.
    until: Vec<Moment>,
    drifts: bool,
}

impl Lease {
    pub(crate) fn new(servers: usize, drifts: bool) -> Self {
        Self { until: vec![Moment::default(); servers], drifts }
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.until[server] = Moment::default();
    }

    pub(crate) fn on_step(&mut self, report: &mut Report, it: &After<'_>, committed: usize) {
        let until = it.shown.lease_until.filter(|at| it.local < *at);
        let until = until.map_or_else(Moment::default, |at| it.clock.global(at));
        self.until[it.server] = until;
        if until == Moment::default() || self.drifts {
            return;
        }
        let now = report.now;
        let others = self.until.iter().enumerate().filter(|(n, _)| *n != it.server);
        let other = others.filter(|(_, at)| now < **at).map(|(n, _)| n).next();
        report.require(other.is_none(), "RI-14", || {
            format!("{} and server {:?} hold a lease", it.id(), other.map(|it| it + 1))
        });
        let commit = it.node.raft().commit().0 as usize + 1;
        report.require(committed <= commit, "RI-14", || {
            format!("{} holds a lease and misses what is committed after {}", it.id(), commit - 1)
        });
    }
}
