//! RI-7, persist before speaking: nothing is said that a crash would make a lie. What a message
//! promises is compared with the disk at the moment it leaves.

use tribune_base::id::{Index, Term};
use tribune_raft::{Appended, Message};

use super::{After, Report};
use crate::world::disk::Disk;

pub(crate) fn check(report: &mut Report, it: &After<'_>, message: &Message, disk: &Disk) {
    let (id, durable) = (it.id(), disk.hard_state());
    let term = message.term();
    report.require(term <= durable.term, "RI-7", || {
        format!("{id} speaks of term {term}, and has {} on disk", durable.term)
    });
    // What waited for its batch may leave together with what waited for a later one: it was true, and
    // is history.
    let passed = term < durable.term;
    match message {
        Message::RequestVote { .. } => {
            let remembers = durable.term == term && durable.vote == Some(id);
            report.require(passed || remembers, "RI-7", || {
                format!("{id} asks for votes in term {term} with {durable:?} on disk")
            });
        }
        Message::RequestVoteResponse { granted: true, .. } => {
            let remembers = durable.term == term && durable.vote.is_some();
            report.require(passed || remembers, "RI-7", || {
                format!("{id} grants a vote in term {term} with {durable:?} on disk")
            });
        }
        Message::AppendEntriesResponse { result: Appended::Matched(index), .. }
        | Message::HeartbeatResponse { matched: index, .. } => {
            if !passed {
                acknowledged(report, it, term, *index, disk);
            }
        }
        Message::RequestPreVote { .. }
        | Message::RequestPreVoteResponse { .. }
        | Message::RequestVoteResponse { .. }
        | Message::AppendEntries { .. }
        | Message::AppendEntriesResponse { .. }
        | Message::Heartbeat { .. }
        | Message::TimeoutNow { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexResponse { .. }
        | Message::InstallSnapshot { .. }
        | Message::InstallSnapshotResponse { .. } => {}
    }
}

/// What a follower acknowledges is on its disk, and is what it has in memory.
fn acknowledged(report: &mut Report, it: &After<'_>, term: Term, index: Index, disk: &Disk) {
    // What is in memory may have been replaced since the answer was given, and before it left.
    let raft = it.node.raft();
    let memory = raft.entry(index).map(|it| it.id).filter(|it| it.term <= term);
    let holds = memory.map_or_else(|| index <= disk.last(), |it| disk.holds(it));
    report.require(holds, "RI-7", || {
        format!("{} acknowledges {index}, and has {} on disk", it.id(), disk.last())
    });
}
