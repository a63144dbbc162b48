//! Pre-votes, votes, and who may ask for them.

use std::collections::BTreeMap;

use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::time::{Duration, Instant};

use crate::message::{Message, Round};
use crate::node::{Node, Part};
use crate::output::{HardState, PersistSeq};
use crate::quorum::Tally;

/// What a server owes a leader it has heard: no vote against it for an election timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loyalty {
    /// When the leader was last heard.
    pub(crate) since: Instant,
    /// The term it leads.
    pub(crate) term: Term,
    /// How many transfers it has given up.
    pub(crate) abandoned: u64,
}

impl Loyalty {
    /// After a restart nobody knows what was promised before. Expect the worst.
    pub(crate) const fn unknown(since: Instant, term: Term) -> Self {
        Self { since, term, abandoned: Self::UNKNOWN }
    }

    /// The leader of `term` was heard `now`, and perhaps what it has given up.
    pub(crate) fn renewed(old: Option<Self>, now: Instant, term: Term, heard: Option<u64>) -> Self {
        let old = old.filter(|it| it.term == term).map(|it| it.abandoned);
        let abandoned = match (old, heard) {
            (Some(Self::UNKNOWN) | None, Some(heard)) => heard,
            (Some(old), heard) => heard.map_or(old, |it| it.max(old)),
            (None, None) => 0,
        };
        Self { since: now, term, abandoned }
    }

    const UNKNOWN: u64 = u64::MAX;
}

impl Node {
    /// Follow `leader`, or wait for one, in `term`. The caller knows that `term` is not older.
    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<ServerId>) {
        assert!(self.hard_state.term <= term, "terms went backwards");
        if self.hard_state.term < term {
            self.hard_state.term = term;
            self.hard_state.vote = self.hard_state.vote.filter(|_| bug!(R09));
            self.agreed = Index(0);
        }
        if let Part::Leader(leader) = &self.part {
            // As long as a quorum followed it, nobody knew more than this server.
            let sure = self.quorum_round(leader).sent;
            self.leader_contact = self.leader_contact.max(Some(sure));
            if leader.opened <= self.commit {
                self.knowledge.know(sure);
            }
        }
        if !matches!(self.part, Part::Follower { .. }) {
            self.restart_patience();
        }
        if self.leader() != leader {
            self.lose_reads();
        }
        self.part = Part::Follower { leader };
        self.announce();
    }

    /// Whether this server would do any good by standing for election. Also one that has lost its
    /// vote does, until that is committed: others may need what only its log has (dissertation,
    /// section 4.2.2). Its own vote does not count then.
    pub(crate) fn may_campaign(&self) -> bool {
        let at = self.log.configuration_index();
        let voted = self.commit < at && self.log.configuration_at(at.prev()).is_voter(self.id);
        (self.configuration().is_voter(self.id) || voted) && !self.is_installing()
    }

    /// Nobody leads, it seems. Ask whether the others think so, too, before disturbing them.
    pub(crate) fn on_impatience(&mut self) {
        if self.configuration().is_lone_voter(self.id) || bug!(M08) {
            // Our vote is all that is needed, and it may be on its way to a slow disk: another
            // campaign would only make it wait for another write.
            if matches!(self.part, Part::Candidate { .. }) {
                return self.restart_patience();
            }
            return self.campaign(None);
        }
        self.lose_reads();
        self.restart_patience();
        if bug!(R28) {
            self.hard_state = HardState { term: self.hard_state.term.next(), vote: None };
        }
        self.part = Part::PreCandidate { votes: BTreeMap::new() };
        self.announce();
        let (term, last_log) = (self.hard_state.term, self.log.last());
        for to in self.other_voters() {
            self.send(to, Message::RequestPreVote { term, last_log });
        }
        self.on_pre_vote(self.id, term, true);
    }

    /// Stand for election in a new term. `transfer` says that the leader wants it.
    pub(crate) fn campaign(&mut self, transfer: Option<u64>) {
        self.lose_reads();
        self.restart_patience();
        self.hard_state.term = self.hard_state.term.next();
        self.hard_state.vote = Some(self.id);
        self.agreed = Index(0);
        // Our own vote counts when it is on disk: `persisted` casts it.
        self.part = Part::Candidate { votes: BTreeMap::new() };
        self.announce();
        let (term, last_log) = (self.hard_state.term, self.log.last());
        for to in self.other_voters() {
            self.send(to, Message::RequestVote { term, last_log, transfer });
        }
    }

    pub(crate) fn on_request_pre_vote(&mut self, from: ServerId, asked: Term, last_log: LogId) {
        let term = self.hard_state.term;
        let free = !self.is_bound(asked.next(), None) || bug!(R29);
        let granted = term <= asked && free && self.is_complete(last_log);
        if granted && bug!(R26) {
            self.loyalty = Some(Loyalty::renewed(self.loyalty, self.now, term, None));
        }
        self.send(from, Message::RequestPreVoteResponse { term, asked, granted });
    }

    pub(crate) fn on_pre_vote(&mut self, from: ServerId, asked: Term, granted: bool) {
        let term = self.hard_state.term;
        let Part::PreCandidate { votes } = &mut self.part else { return };
        if asked != term {
            return;
        }
        votes.insert(from, granted);
        match self.log.configuration().tally(votes) {
            Tally::Won => self.campaign(None),
            // Somebody sees a leader that we do not, or a log that has more. Wait for it.
            Tally::Lost => self.become_follower(term, None),
            Tally::Open => {}
        }
    }

    pub(crate) fn on_request_vote(
        &mut self,
        from: ServerId,
        last_log: LogId,
        transfer: Option<u64>,
    ) {
        let HardState { term, vote } = self.hard_state;
        let unpromised = vote.is_none_or(|it| it == from || bug!(R07) && it != self.id);
        let free = self.leader().is_none() && !self.is_bound(term, transfer);
        let standing = matches!(self.part, Part::Candidate { .. }) && bug!(R08);
        let granted = (unpromised && free || standing) && self.is_complete(last_log);
        if granted && !standing {
            self.hard_state.vote = Some(from);
            if !bug!(R24) {
                self.restart_patience();
            }
            self.become_follower(term, None);
        }
        let promise = self.disk.promise(self.hard_state);
        let seq = if bug!(R02) { PersistSeq::default() } else { promise };
        self.send_after(seq, from, Message::RequestVoteResponse { term, granted });
    }

    /// Whether somebody whose log ends with `last_log` may lead. Only a log at least as complete
    /// as ours: that is what keeps every committed entry in every future leader (paper, section
    /// 5.4.1).
    fn is_complete(&self, last_log: LogId) -> bool {
        let own = self.log.last();
        if bug!(R44) {
            return (own.index, own.term) <= (last_log.index, last_log.term);
        }
        let longer = bug!(R05) && own.index <= last_log.index;
        let newer = bug!(R06) && own.term <= last_log.term;
        own <= last_log || longer || newer || bug!(R04)
    }

    pub(crate) fn on_vote(&mut self, from: ServerId, granted: bool) {
        let term = self.hard_state.term;
        let Part::Candidate { votes } = &mut self.part else { return };
        if bug!(R10) && votes.contains_key(&from) {
            let silent = self.log.configuration().members().find(|it| !votes.contains_key(it));
            votes.extend(silent.map(|it| (it, granted)));
        }
        votes.insert(from, granted);
        match self.log.configuration().tally(votes) {
            Tally::Won => self.become_leader(),
            Tally::Lost => self.become_follower(term, None),
            Tally::Open => {}
        }
    }

    /// Whether `message` is an election in a newer term that this server must not even notice,
    /// because it has heard its leader recently. Somebody who cannot hear the leader would
    /// otherwise depose it again and again.
    pub(crate) fn is_disruptive(&self, message: &Message) -> bool {
        let Message::RequestVote { term, transfer, .. } = message else { return false };
        self.hard_state.term < *term && self.is_bound(*term, *transfer)
    }

    /// Whether some leader may count on this server not to elect another one in `term`. A leader
    /// counts on itself for as long as it leads.
    fn is_bound(&self, term: Term, transfer: Option<u64>) -> bool {
        let loyalty = match &self.part {
            Part::Leader(leader) => {
                let (since, term) = (self.now, self.hard_state.term);
                Some(Loyalty { since, term, abandoned: leader.abandoned })
            }
            Part::Follower { .. } | Part::PreCandidate { .. } | Part::Candidate { .. } => {
                self.loyalty
            }
        };
        loyalty.is_some_and(|it| {
            let recent = self.now.since(it.since) < self.config.election_timeout;
            // The leader itself may want the election; unless it has changed its mind since and
            // answers reads again, trusting in our loyalty.
            let changed = |wish| it.term.next() == term && wish < it.abandoned;
            recent && transfer.is_none_or(changed) && !bug!(M08)
        })
    }

    /// Tell whoever lives in an older term about ours.
    ///
    /// By the time that this arrives, the recipient may lead or stand in our term itself. So it says
    /// nothing that could be taken for an answer to what is asked in this term: no round, no
    /// conflict, no refused vote. An answer to a round was given after the round began, and reads
    /// and the lease rest on that.
    pub(crate) fn reject_stale(&mut self, from: ServerId, message: &Message) {
        let term = self.hard_state.term;
        let answer = match message {
            Message::RequestPreVote { term: asked, .. } => {
                Message::RequestPreVoteResponse { term, asked: *asked, granted: false }
            }
            Message::Heartbeat { round, .. } if bug!(R45) => {
                let (matched, agreed) = (Index(0), Index(0));
                Message::HeartbeatResponse { term, round: *round, matched, agreed }
            }
            Message::RequestVote { .. }
            | Message::AppendEntries { .. }
            | Message::Heartbeat { .. }
            | Message::InstallSnapshot { .. } => {
                let (round, nothing) = (Round::default(), Index(0));
                Message::HeartbeatResponse { term, round, matched: nothing, agreed: nothing }
            }
            Message::ReadIndex { batch, .. } => {
                Message::ReadIndexResponse { term, batch: *batch, index: None }
            }
            Message::RequestPreVoteResponse { .. }
            | Message::RequestVoteResponse { .. }
            | Message::AppendEntriesResponse { .. }
            | Message::HeartbeatResponse { .. }
            | Message::TimeoutNow { .. }
            | Message::ReadIndexResponse { .. }
            | Message::InstallSnapshotResponse { .. } => return,
        };
        self.send(from, answer);
    }

    /// Wait for a leader for another election timeout, and up to half as much again.
    ///
    /// The paper (section 5.2) spreads the timeouts so that one server stands before the others
    /// wake. What has to fit into the spread is an election, a few round trips and a write; half a
    /// timeout is a hundred times that in a datacenter. Two who stand together cost little: they
    /// find each other by pre-votes, which change nothing. And whatever the spread is, clients
    /// wait for it when a leader dies.
    pub(crate) fn restart_patience(&mut self) {
        let timeout = self.config.election_timeout;
        let spread = if bug!(R27) { Duration::ZERO } else { timeout / 2 };
        self.deadline = self.now + timeout + self.rng.up_to(spread);
    }

    fn other_voters(&self) -> Vec<ServerId> {
        let configuration = self.configuration();
        let others = configuration.members().filter(|it| *it != self.id);
        others.filter(|it| configuration.is_voter(*it)).collect()
    }
}
