//! Which instances of a service may be named in an answer.

use tribune_base::bug;
use tribune_state::{HealthInstance, Node, Service, Snapshot, Status, aggregate};

use super::Config;

/// One instance that clients may be sent to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Where it runs.
    pub node: &'a Node,
    /// What it is.
    pub service: &'a Service,
    /// The worst of its checks and its node's: passing, or warning.
    pub status: Status,
}

/// The instances of `service` that clients may be sent to, narrowed down to those with `tag`.
///
/// Names and tags are equal if they differ in case only.
pub(super) fn candidates<'a>(
    snapshot: &'a Snapshot,
    config: &Config,
    service: &str,
    tag: Option<&str>,
) -> Vec<Candidate<'a>> {
    let (_, instances) = snapshot.health_service(service);
    let candidates = instances.iter().map(Candidate::of);
    let tagged = |it: &Candidate<'_>| {
        tag.is_none_or(|tag| it.service.tags.iter().any(|it| it.eq_ignore_ascii_case(tag)))
    };
    candidates.filter(|it| is_usable(it.status, config) && tagged(it)).collect()
}

fn is_usable(status: Status, config: &Config) -> bool {
    match status {
        Status::Passing => true,
        Status::Warning => !config.only_passing,
        Status::Critical => bug!(C06),
        Status::Maintenance => false,
    }
}

impl<'a> Candidate<'a> {
    /// An instance, as clients are told of it.
    pub(super) fn of(instance: &HealthInstance<'a>) -> Self {
        let status = aggregate(instance.checks.iter().copied());
        Self { node: instance.node, service: instance.service, status }
    }

    /// Its share of the clients.
    pub(super) fn weight(&self) -> u16 {
        let weights = self.service.weights;
        let weight = match self.status {
            Status::Passing => weights.passing,
            Status::Warning => weights.warning,
            Status::Critical | Status::Maintenance => 0,
        };
        u16::try_from(weight.max(0)).unwrap_or(u16::MAX)
    }
}
