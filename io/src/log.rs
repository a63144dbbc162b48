//! Core's typed events as lines for people, with the same field names everywhere.

use tracing::{debug, error, info, warn};
use tribune_agent as agent;
use tribune_core::Event;
use tribune_raft::{Change, Role};

/// Tell the operator.
pub fn report(event: &Event) {
    match event {
        Event::RoleChanged { role: Role::Leader, term, .. } => {
            info!(target: TARGET, %term, "cluster leadership acquired");
        }
        Event::RoleChanged { role: Role::Candidate, term, .. } => {
            info!(target: TARGET, %term, "election started");
        }
        Event::RoleChanged { role: Role::Follower, term, leader } => match leader {
            Some(leader) => info!(target: TARGET, %term, %leader, "following"),
            None => info!(target: TARGET, %term, "no leader is known"),
        },
        Event::Established { term } => info!(target: TARGET, %term, "ready to answer"),
        Event::Founded { servers } => {
            info!(target: TARGET, servers, "a cluster begins");
        }
        Event::Welcomed => info!(target: TARGET, "joining the cluster"),
        Event::Conflict { known, claimed } => {
            error!(
                target: TARGET,
                known = %known.0, at = known.1, claimed = %claimed.0, claimed_at = claimed.1,
                "two servers have the same id or the same address; stop one of them, and remove its \
                 node-id if its data directory is a copy"
            );
        }
        Event::Refused { name, other, reason } => {
            error!(target: TARGET, name, address = %other, "{reason}");
        }
        Event::Member { area, name, addr, change } => {
            let pool = area.name();
            use tribune_gossip::Change;
            match change {
                Change::Join => info!(target: GOSSIP, pool, name, address = %addr, "member joined"),
                Change::Leave => info!(target: GOSSIP, pool, name, address = %addr, "member left"),
                Change::Failed => {
                    warn!(target: GOSSIP, pool, name, address = %addr, "member failed");
                }
                Change::Update => {
                    debug!(target: GOSSIP, pool, name, address = %addr, "member updated");
                }
                Change::Reap => {
                    info!(target: GOSSIP, pool, name, address = %addr, "member forgotten");
                }
            }
        }
        Event::MembersChanged { change } => report_change(change),
        Event::SnapshotInstalled { index } => {
            info!(target: TARGET, %index, "state taken over from the leader's snapshot");
        }
        Event::SnapshotSaved { index } => info!(target: TARGET, %index, "snapshot saved"),
        Event::NoSpace { advice } => error!(target: TARGET, "{advice}"),
        Event::Space => info!(target: TARGET, "there is room on the disk again"),
        Event::Agent(event) => report_agent(event),
    }
}

fn report_change(change: &Change) {
    match change {
        Change::AddNonVoter { id, address } => {
            info!(target: TARGET, %id, address, "server joins, without a vote at first");
        }
        Change::AddVoter { id, address } => {
            info!(target: TARGET, %id, address, "voter has an address");
        }
        Change::Promote(id) => info!(target: TARGET, %id, "server gets a vote"),
        Change::Demote(id) => info!(target: TARGET, %id, "server loses its vote"),
        Change::Remove(id) => warn!(target: TARGET, %id, "server is removed from the cluster"),
    }
}

fn report_agent(event: &agent::Event) {
    use agent::Event;
    match event {
        Event::IntervalRaised { check, from, to } => {
            warn!(target: TARGET, check, ?from, ?to, "check runs too often: interval raised");
        }
        Event::DeregisterAfterRaised { check, from, to } => {
            warn!(target: TARGET, check, ?from, ?to, "deregister_critical_service_after is too short: raised");
        }
        Event::StatusChanged { check, from, to } => {
            info!(target: TARGET, check, %from, %to, "check status changed");
        }
        Event::Reaped { service, check } => {
            info!(target: TARGET, service, check, "service was critical for too long: deregistered");
        }
        Event::FileSkipped { name, reason } => {
            warn!(target: TARGET, name, reason, "persisted registration skipped");
        }
        Event::FilePurged { name } => info!(target: TARGET, name, "persisted registration removed"),
        Event::DefinitionRefused { id, reason } => {
            error!(target: TARGET, id, reason, "definition refused");
        }
        Event::TagsAdopted { service } => {
            debug!(target: TARGET, service, "tags adopted from the catalog");
        }
        Event::ServiceForgotten { service } => {
            info!(target: TARGET, service, "service that is not registered here removed from the catalog");
        }
        Event::CheckForgotten { check } => {
            info!(target: TARGET, check, "check that is not registered here removed from the catalog");
        }
        Event::SyncFailed { retry_after } => {
            debug!(target: TARGET, ?retry_after, "the catalog could not be reached");
        }
        Event::SyncRefused { what, reason } => {
            warn!(target: TARGET, what, reason, "the catalog refused a change");
        }
    }
}

/// What these lines are filed under: a node has one voice.
/// Where lines about the pool come from.
const GOSSIP: &str = "gossip";

const TARGET: &str = "agent";
