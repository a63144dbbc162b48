//! The leader's side: the log to the peers, heartbeats, and what they allow.

use std::collections::BTreeMap;

use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Instant;

use crate::entry::{Entry, Payload};
use crate::message::{Appended, Message, Round};
use crate::node::{Node, Part};
use crate::output::Output;
use crate::progress::Progress;
use crate::quorum;
use crate::transfer::Transfer;

/// What only a leader knows.
#[derive(Debug)]
pub(crate) struct Leader {
    /// Every other member. Invariant: not this server.
    pub(crate) progress: BTreeMap<ServerId, Progress>,
    /// The entry that opened the term. What is committed is known once this one is.
    pub(crate) opened: Index,
    /// The last heartbeat round begun.
    pub(crate) round: Round,
    /// When the next one is due.
    heartbeat_at: Instant,
    /// When this server won its election.
    elected_at: Instant,
    /// When peers are told what was committed, if nothing else tells them before.
    spread_at: Instant,
    /// Leadership on its way to another server.
    pub(crate) transfer: Option<Transfer>,
    /// How many transfers were given up.
    pub(crate) abandoned: u64,
    /// Not to hand leadership over because of the disk before.
    pub(crate) relief_at: Instant,
    /// The lease only counts rounds after this one: before, some peer may have been told to hold
    /// an election.
    pub(crate) lease_floor: u64,
}

impl Node {
    pub(crate) fn become_leader(&mut self) {
        self.part = Part::Leader(Box::new(Leader {
            progress: BTreeMap::new(),
            opened: self.log.last().index.next(),
            round: Round::default(),
            heartbeat_at: Instant::NEVER,
            elected_at: self.now,
            spread_at: Instant::NEVER,
            transfer: None,
            abandoned: 0,
            relief_at: Instant::START,
            lease_floor: 0,
        }));
        self.announce();
        // Entries of earlier terms are never committed by counting (paper, section 5.4.2); one of
        // our own takes them along. It is empty, unless the group has to be told who it is.
        let forced = self.log.forced().cloned();
        self.append_as_leader(forced.map_or(Payload::Empty, Payload::Configuration));
        self.meet_peers();
        self.broadcast_heartbeat();
    }

    /// Have a progress for everybody in the configuration, and for nobody else.
    pub(crate) fn meet_peers(&mut self) {
        let last = self.log.last().index;
        let Part::Leader(leader) = &mut self.part else { return };
        let configuration = self.log.configuration();
        leader.progress.retain(|id, _| configuration.is_member(*id));
        for id in configuration.members().filter(|it| *it != self.id) {
            leader.progress.entry(id).or_insert_with(|| Progress::new(last));
        }
        if leader.progress.is_empty() {
            leader.heartbeat_at = Instant::NEVER;
        } else if leader.heartbeat_at == Instant::NEVER {
            leader.heartbeat_at = self.now;
        }
    }

    /// Put `payload` at the end of the log. `flush` writes and sends it.
    pub(crate) fn append_as_leader(&mut self, payload: Payload) -> LogId {
        let id = LogId::new(self.hard_state.term, self.log.last().index.next());
        self.log.append(Entry { id, payload });
        id
    }

    /// Send every peer what it has room for.
    pub(crate) fn replicate(&mut self) {
        let Part::Leader(leader) = &mut self.part else { return };
        let (term, leader_commit) = (self.hard_state.term, self.commit);
        for (&to, progress) in &mut leader.progress {
            while let Some(due) = progress.due(&self.log, &self.config, leader.round.serial) {
                progress.told = leader_commit;
                let crate::progress::Due { prev_log, entries } = due;
                let message = Message::AppendEntries { term, prev_log, entries, leader_commit };
                self.outputs.push_back(Output::Send { to, message });
            }
        }
        self.replicate_snapshots();
    }

    /// Begin a new round. Its number is what makes reads and the lease safe: an answer to it can
    /// only have been given after this moment.
    pub(crate) fn broadcast_heartbeat(&mut self) -> Round {
        let Part::Leader(leader) = &mut self.part else { return Round::default() };
        leader.round = Round { serial: leader.round.serial + 1, sent: self.now };
        leader.spread_at = Instant::NEVER;
        let (term, round, abandoned) = (self.hard_state.term, leader.round, leader.abandoned);
        // Until it has opened its term, a leader does not know how much of its log is committed.
        let horizon = self.commit.max(leader.opened);
        for (&to, progress) in &mut leader.progress {
            let commit = self.commit.min(progress.matched);
            progress.told = progress.told.max(commit);
            let message = Message::Heartbeat { term, round, commit, horizon, abandoned };
            self.outputs.push_back(Output::Send { to, message });
        }
        if !leader.progress.is_empty() {
            leader.heartbeat_at = self.now + self.config.heartbeat_interval;
        }
        round
    }

    pub(crate) fn on_appended(&mut self, from: ServerId, result: Appended) {
        let last = self.log.last().index;
        let Some(progress) = self.heard(from) else { return };
        match result {
            // Nobody has more of our log than we do.
            Appended::Matched(index) if last < index => {}
            Appended::Matched(index) => {
                if progress.on_matched(index) {
                    self.advance_commit();
                }
            }
            Appended::Conflict { prev, hint } => {
                let Self { part: Part::Leader(leader), log, .. } = self else { return };
                if let Some(progress) = leader.progress.get_mut(&from) {
                    progress.on_conflict(prev, hint, log);
                }
            }
        }
        self.hasten_transfer(from);
    }

    pub(crate) fn on_heartbeat_response(
        &mut self,
        from: ServerId,
        round: Round,
        matched: Index,
        agreed: Index,
    ) {
        let last = self.log.last().index;
        let Part::Leader(leader) = &self.part else { return };
        if leader.round < round || last < agreed || agreed < matched {
            return;
        }
        let now = self.now;
        let Some(progress) = self.heard(from) else { return };
        let round = if bug!(R37) { Round { sent: now, ..round } } else { round };
        progress.acked = progress.acked.max(round);
        let news = progress.matched < matched && progress.on_matched(matched);
        progress.on_agreed(agreed, round.serial);
        self.resume_snapshot(from);
        if news {
            self.advance_commit();
        }
        self.settle_batch();
        self.hasten_transfer(from);
    }

    /// `from` lives. Its progress, if this server leads and `from` is a member.
    pub(crate) fn heard(&mut self, from: ServerId) -> Option<&mut Progress> {
        let Part::Leader(leader) = &mut self.part else { return None };
        let progress = leader.progress.get_mut(&from)?;
        progress.contact = Some(self.now);
        Some(progress)
    }

    /// Commit what a quorum has on disk, this server's own included.
    pub(crate) fn advance_commit(&mut self) {
        let Part::Leader(leader) = &self.part else { return };
        let last = self.log.last().index;
        let durable = if bug!(R22) { last } else { self.disk.durable_index() };
        let matched = |id| {
            if id == self.id {
                durable
            } else {
                leader.progress.get(&id).map_or(Index(0), |it| it.matched)
            }
        };
        let mut index = self.configuration().agreed(matched);
        if bug!(M06) && !self.configuration().is_joint() {
            let voters = self.configuration().voters.keys().filter(|it| **it != self.id);
            index = quorum::committed(voters.chain([&self.id]).map(|it| matched(*it)));
        }
        // Only entries of our own term are committed by counting (paper, section 5.4.2): an older
        // one may be on a majority and still be overwritten.
        let counted = if bug!(R42) { self.commit.next() } else { index };
        let current = self.log.term(counted) == Some(self.hard_state.term);
        if index <= self.commit || !current && !bug!(R01) {
            return;
        }
        self.commit_to(index);
        let spread_at = self.now + self.config.commit_spread;
        if let Part::Leader(leader) = &mut self.part
            && !leader.progress.is_empty()
        {
            leader.spread_at = leader.spread_at.min(spread_at);
        }
        self.continue_change();
    }

    /// The latest round that a quorum has answered.
    pub(crate) fn quorum_round(&self, leader: &Leader) -> Round {
        self.configuration().agreed(|id| {
            if id == self.id {
                leader.round
            } else {
                leader.progress.get(&id).map_or_else(Round::default, |it| it.acked)
            }
        })
    }

    /// When this leader gives up unless a quorum answers.
    fn quorum_deadline(&self, leader: &Leader) -> Instant {
        if self.configuration().is_lone_voter(self.id) {
            return Instant::NEVER;
        }
        if bug!(R31) {
            return Instant::NEVER;
        }
        if bug!(R32) {
            let heard = leader.progress.values().map(|it| it.acked).chain([leader.round]);
            return quorum::committed(heard).sent.max(leader.elected_at)
                + self.config.election_timeout;
        }
        self.quorum_round(leader).sent.max(leader.elected_at) + self.config.election_timeout
    }

    pub(crate) fn leader_deadline(&self, leader: &Leader) -> Instant {
        let transfer = leader.transfer.as_ref().map_or(Instant::NEVER, |it| it.deadline);
        let spread_and_beat = leader.heartbeat_at.min(leader.spread_at);
        let relief = self.relief_deadline(leader);
        self.quorum_deadline(leader).min(transfer).min(relief).min(spread_and_beat)
    }

    pub(crate) fn on_leader_timeout(&mut self) {
        let Part::Leader(leader) = &self.part else { return };
        if self.quorum_deadline(leader) <= self.now {
            // Nobody listens; perhaps somebody else leads already.
            return self.become_follower(self.hard_state.term, None);
        }
        self.expire_transfer();
        self.seek_relief();
        let Part::Leader(leader) = &mut self.part else { return };
        let spread = leader.spread_at <= self.now;
        if spread {
            leader.spread_at = Instant::NEVER;
        }
        let behind = |it: &Progress| it.told < self.commit.min(it.matched);
        if leader.heartbeat_at <= self.now || spread && leader.progress.values().any(behind) {
            self.broadcast_heartbeat();
        }
    }
}
