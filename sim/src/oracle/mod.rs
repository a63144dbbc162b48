//! What must hold, watched from outside by somebody who sees everything: every log, every disk,
//! every message. One property per file, named as in the catalogue of invariants; its id stands in
//! every violation.
//!
//! An oracle keeps what it has learnt and compares it with what has changed: looking at a step
//! costs no more than the step.

mod aggregate;
mod append_only;
mod candour;
mod completeness;
mod contact;
pub(crate) mod detection;
mod disruption;
mod election;
pub(crate) mod entropy;
mod kv;
mod lease;
mod liveness;
mod matching;
mod membership;
mod model;
mod monotone;
mod orphans;
mod passing;
mod persisted;
mod quorum;
mod safety;
mod snapshot;
mod transfer;
mod truth;
mod views;
mod wakeup;

use tribune_api::http::Response;
use tribune_api::plan::Query;
use tribune_base::id::{Index, ServerId, Term};
use tribune_base::time::Instant;
use tribune_core::{Node, Shown};
use tribune_raft::{Message, Persist, Role};

use crate::moment::{Clock, Moment};
use crate::plan::Knobs;
use crate::workload::{Action, Local};
use crate::world::disk::Disk;

pub(crate) use self::kv::base64;
pub use self::kv::{Answered, Asked, Outcome};
pub use self::liveness::{Liveness, WRITES};
use self::truth::Truth;
pub(crate) use self::wakeup::Blocked;

/// Something that must not happen has happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// Which invariant: `RI-5`, or where the code panicked.
    pub id: String,
    /// When.
    pub at: Moment,
    /// What.
    pub text: String,
}

/// The first violation, if there was one. Everything after it is noise.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) now: Moment,
    pub(crate) first: Option<Violation>,
}

impl Report {
    /// `holds`, or it is a violation of `id`.
    pub(crate) fn require(&mut self, holds: bool, id: &str, text: impl FnOnce() -> String) {
        if !holds && self.first.is_none() {
            self.first = Some(Violation { id: id.to_owned(), at: self.now, text: text() });
        }
    }
}

/// A server before a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    pub(crate) term: Term,
    pub(crate) leads: bool,
    pub(crate) commit: Index,
    pub(crate) applied: Index,
}

impl Before {
    pub(crate) fn of(node: &Node, applied: Index) -> Self {
        let raft = node.raft();
        Self { term: raft.term(), leads: raft.is_leader(), commit: raft.commit(), applied }
    }
}

/// A server after a step.
#[derive(Clone, Copy)]
pub(crate) struct After<'a> {
    pub(crate) server: usize,
    pub(crate) node: &'a Node,
    pub(crate) shown: Shown,
    pub(crate) clock: &'a Clock,
    pub(crate) local: Instant,
}

impl After<'_> {
    fn id(&self) -> ServerId {
        self.node.raft().id()
    }
}

/// All oracles.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) report: Report,
    pub(crate) truth: Truth,
    pub(crate) kv: kv::Kv,
    pub(crate) wakeup: wakeup::Wakeup,
    pub(crate) liveness: Liveness,
    election: election::Election,
    matching: matching::Matching,
    monotone: monotone::Monotone,
    membership: membership::Membership,
    disruption: disruption::Disruption,
    contact: contact::Contact,
    lease: lease::Lease,
    transfer: transfer::Transfer,
    pub(crate) candour: candour::Candour,
    pub(crate) detection: detection::Detection,
    pub(crate) entropy: entropy::Entropy,
    views: views::Views,
}

impl Oracle {
    /// Oracles that have seen nothing yet of these servers, nor of anybody else of these names.
    pub(crate) fn new(servers: usize, names: &[String], knobs: &Knobs) -> Self {
        let drifts = knobs.beyond_drift;
        Self {
            report: Report::default(),
            truth: Truth::default(),
            kv: kv::Kv::new(drifts),
            wakeup: wakeup::Wakeup::new(knobs.render_max),
            liveness: Liveness::default(),
            election: election::Election::default(),
            matching: matching::Matching::new(servers),
            monotone: monotone::Monotone::new(servers),
            membership: membership::Membership::default(),
            disruption: disruption::Disruption::new(servers),
            contact: contact::Contact::new(servers),
            lease: lease::Lease::new(servers, drifts),
            transfer: transfer::Transfer::new(servers),
            candour: candour::Candour::new(servers),
            detection: detection::Detection::default(),
            entropy: entropy::Entropy::default(),
            views: views::Views::new(names),
        }
    }

    /// A server starts from what its disk holds.
    pub(crate) fn on_start(&mut self, server: usize, disk: &Disk) {
        let report = &mut self.report;
        self.matching.on_start(report, &self.truth, server, disk);
        self.monotone.on_start(report, server, disk);
        snapshot::check_start(report, &self.truth, server, disk);
    }

    /// A server has lost its memory.
    pub(crate) fn on_crash(&mut self, server: usize) {
        self.lease.on_crash(server);
        self.contact.on_crash(server);
        self.transfer.on_crash(server);
        self.candour.on_crash(server);
        self.wakeup.on_crash(server);
    }

    /// A server hands a batch to its disk.
    pub(crate) fn on_persist(&mut self, it: &After<'_>, before: &Before, batch: &Persist) {
        let report = &mut self.report;
        append_only::check(report, it, before, batch);
        self.disruption.on_persist(report, it, batch);
        membership::check_append(report, it, batch);
        self.matching.on_persist(report, &self.truth, it.server, batch);
        self.detection.on_persist(report, &self.truth, it, before, batch);
    }

    /// Something became durable.
    pub(crate) fn on_durable(&mut self, server: usize, disk: &Disk) {
        self.monotone.on_durable(&mut self.report, server, disk);
    }

    /// A server says something.
    pub(crate) fn on_send(&mut self, it: &After<'_>, message: &Message, disk: &Disk) {
        persisted::check(&mut self.report, it, message, disk);
    }

    /// A server hears something.
    pub(crate) fn on_hear(&mut self, server: usize, message: &Message, local: Instant) {
        self.disruption.on_hear(server, message);
        self.candour.on_hear(server, message, local);
    }

    /// A server has taken a step. `disks` are everybody's.
    pub(crate) fn on_step(&mut self, it: &After<'_>, before: &Before, disks: &[Disk]) {
        let report = &mut self.report;
        let raft = it.node.raft();
        self.monotone.on_step(report, it, before);
        if raft.is_leader() && !(before.leads && before.term == raft.term()) {
            self.election.on_leader(report, it);
            completeness::check(report, &self.truth, it);
            membership::check_leader(report, it);
        }
        self.candour.on_step(report, it, before);
        if before.commit < raft.commit() {
            quorum::check_term(report, it, before);
        }
        if before.applied < it.shown.applied {
            let news = self.truth.len();
            safety::on_applied(report, &mut self.truth, &self.matching, it, before);
            if news < self.truth.len() {
                quorum::check(report, &self.truth, it, disks);
                self.membership.on_committed(report, &self.truth, news);
                self.kv.on_committed(report, &self.truth, news);
                for fact in self.truth.since(news).iter().filter(|it| it.is_about_catalog()) {
                    self.views.on_committed(report, fact);
                    orphans::check(report, fact);
                }
            }
            self.wakeup.on_applied(&self.kv.model, it, before);
        }
        self.wakeup.on_step(it);
        self.lease.on_step(report, it, self.truth.len());
    }

    /// A server has made an answer from the state after `applied`.
    pub(crate) fn on_rendered(&mut self, applied: Index, query: &Query, response: &Response) {
        passing::on_rendered(&mut self.report, &self.truth, applied, query, response);
    }

    /// A server has looked a service up in the state after `applied`, and found these ports.
    pub(crate) fn on_resolved(&mut self, applied: Index, service: &str, ports: &[u16]) {
        passing::on_resolved(&mut self.report, &self.truth, applied, service, ports);
    }

    /// A client is told something about an agent itself.
    pub(crate) fn on_told(&mut self, asked: &Asked, response: &Response) {
        self.entropy.on_told(asked, response);
        if matches!(asked.action, Action::Local(Local::Health(_))) {
            aggregate::check_answer(&mut self.report, response);
        }
    }

    /// A server's timer has rung: what need not be looked at all the time.
    pub(crate) fn on_timer(&mut self, it: &After<'_>) {
        self.contact.on_timer(&mut self.report, it);
        self.transfer.on_timer(&mut self.report, it);
    }

    /// A server begins to hand over, if it did not before.
    pub(crate) fn on_transfer(&mut self, server: usize) {
        self.transfer.on_crash(server);
    }

    /// A server has lain still: its deadlines could not be kept.
    pub(crate) fn on_pause(&mut self, server: usize) {
        self.wakeup.on_pause(server);
    }
}

/// The part a server plays, in a letter.
pub(crate) const fn letter(role: Role) -> char {
    match role {
        Role::Follower => 'F',
        Role::Candidate => 'C',
        Role::Leader => 'L',
    }
}
