//! Core's typed events as lines for people, with the same field names everywhere.

use tracing::{debug, error, info, warn};
use tribune_agent as agent;
use tribune_core::Event;
use tribune_raft::Role;

/// Tell the operator.
pub fn report(event: &Event) {
    match event {
        Event::RoleChanged { role: Role::Leader, term, .. } => {
            info!(%term, "cluster leadership acquired");
        }
        Event::RoleChanged { role: Role::Candidate, term, .. } => {
            info!(%term, "election started");
        }
        Event::RoleChanged { role: Role::Follower, term, leader } => match leader {
            Some(leader) => info!(%term, %leader, "following"),
            None => info!(%term, "no leader is known"),
        },
        Event::Established { term } => info!(%term, "ready to answer"),
        Event::SnapshotSaved { index } => info!(%index, "snapshot saved"),
        Event::NoSpace { advice } => error!("{advice}"),
        Event::Space => info!("there is room on the disk again"),
        Event::Agent(event) => report_agent(event),
    }
}

fn report_agent(event: &agent::Event) {
    use agent::Event;
    match event {
        Event::IntervalRaised { check, from, to } => {
            warn!(check, ?from, ?to, "check runs too often: interval raised");
        }
        Event::DeregisterAfterRaised { check, from, to } => {
            warn!(check, ?from, ?to, "deregister_critical_service_after is too short: raised");
        }
        Event::StatusChanged { check, from, to } => {
            info!(check, %from, %to, "check status changed");
        }
        Event::Reaped { service, check } => {
            info!(service, check, "service was critical for too long: deregistered");
        }
        Event::FileSkipped { name, reason } => {
            warn!(name, reason, "persisted registration skipped");
        }
        Event::FilePurged { name } => info!(name, "persisted registration removed"),
        Event::DefinitionRefused { id, reason } => {
            error!(id, reason, "definition refused");
        }
        Event::TagsAdopted { service } => debug!(service, "tags adopted from the catalog"),
        Event::ServiceForgotten { service } => {
            info!(service, "service that is not registered here removed from the catalog");
        }
        Event::CheckForgotten { check } => {
            info!(check, "check that is not registered here removed from the catalog");
        }
        Event::SyncFailed { retry_after } => {
            debug!(?retry_after, "the catalog could not be reached");
        }
        Event::SyncRefused { what, reason } => {
            warn!(what, reason, "the catalog refused a change");
        }
    }
}
