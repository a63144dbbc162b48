//! The machine: what goes in, what comes out, and the parts a server can play.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::rng::Rng;
use tribune_base::time::Instant;

use crate::config::Config;
use crate::configuration::Configuration;
use crate::disk::Disk;
use crate::election::Loyalty;
use crate::entry::{Entry, Payload};
use crate::error::{BootstrapError, ProposeError};
use crate::knowledge::Knowledge;
use crate::log::Log;
use crate::message::Message;
use crate::output::{HardState, Output, PersistSeq, Role, SnapshotMeta};
use crate::read::Reads;
use crate::replication::Leader;
use crate::snapshot::Receiving;

/// One server in one Raft group. See the [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Node {
    pub(crate) id: ServerId,
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    /// The latest time heard of. Invariant: never goes backwards.
    pub(crate) now: Instant,

    /// Invariant: nobody is told of it before `disk` remembers it.
    pub(crate) hard_state: HardState,
    pub(crate) log: Log,
    /// Invariant: `log.base() <= commit <= log.last()`, and never goes backwards.
    pub(crate) commit: Index,
    pub(crate) part: Part,
    /// When a follower or candidate loses patience.
    pub(crate) deadline: Instant,
    /// When a leader was last heard.
    pub(crate) leader_contact: Option<Instant>,
    /// As of when everything committed is known here.
    pub(crate) knowledge: Knowledge,
    /// Who may count on this server's vote.
    pub(crate) loyalty: Option<Loyalty>,
    /// The log agrees with that of this term's leader up to here.
    pub(crate) agreed: Index,

    pub(crate) disk: Disk,
    pub(crate) reads: Reads,
    /// The last durable snapshot.
    pub(crate) snapshot: SnapshotMeta,
    /// The snapshot the caller was asked to take.
    pub(crate) taking: Option<LogId>,
    /// The snapshot that comes in.
    pub(crate) receiving: Option<Receiving>,

    announced: (Role, Term, Option<ServerId>),
    pub(crate) outputs: VecDeque<Output>,
}

#[derive(Debug)]
pub(crate) enum Part {
    Follower { leader: Option<ServerId> },
    PreCandidate { votes: BTreeMap<ServerId, bool> },
    Candidate { votes: BTreeMap<ServerId, bool> },
    Leader(Box<Leader>),
}

/// What a server remembers from before. The default is a server that has never run.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    /// The last one persisted.
    pub hard_state: HardState,
    /// The last one saved or installed. The replicated state has been restored from it.
    pub snapshot: Option<SnapshotMeta>,
    /// The persisted log: contiguous, and either overlapping the snapshot or following it. A log
    /// that ends before the snapshot does is of no use any more and will be truncated.
    pub entries: Vec<Entry>,
}

impl Node {
    /// A server that goes on where `restored` ends. Everything random follows from `seed`.
    ///
    /// # Panics
    ///
    /// If `config` does not pass [`Config::check`], or `restored` is not something that a node can
    /// have persisted.
    pub fn new(id: ServerId, config: Config, restored: Restored, seed: u64, now: Instant) -> Self {
        if let Err(error) = config.check() {
            panic!("{error}");
        }
        let Restored { hard_state, snapshot, entries } = restored;
        let fresh = hard_state == HardState::default() && snapshot.is_none() && entries.is_empty();
        let snapshot = snapshot.unwrap_or_default();
        let (log, disk) = recover(hard_state, &snapshot, entries);
        assert!(log.last().term <= hard_state.term, "the log is ahead of its term");
        let mut rng = Rng::stream(seed, "raft");
        let reads = Reads::numbered(rng.draw() >> 3);
        let mut this = Self {
            id,
            config,
            rng,
            now,
            hard_state,
            log,
            commit: snapshot.last.index,
            part: Part::Follower { leader: None },
            deadline: now,
            leader_contact: None,
            knowledge: Knowledge::default(),
            loyalty: (!fresh).then_some(Loyalty::unknown(now, hard_state.term)),
            agreed: Index(0),
            disk,
            reads,
            snapshot,
            taking: None,
            receiving: None,
            announced: (Role::Follower, hard_state.term, None),
            outputs: VecDeque::new(),
        };
        // A lone voter has promised nothing to any leader but itself, unless it was not always alone:
        // whoever loses its vote to it leads, and has its lease, until that is committed.
        if !this.log.has_only_had(|it| it.is_lone_voter(id)) {
            this.restart_patience();
        }
        this.check_invariants();
        this
    }

    /// Begin a brand-new cluster: `configuration` becomes entry 1. Either one server does this and
    /// adds the others later, or all the first voters do it with the same configuration.
    ///
    /// # Errors
    ///
    /// This server has state already, or nobody could vote.
    pub fn bootstrap(
        &mut self,
        now: Instant,
        configuration: Configuration,
    ) -> Result<(), BootstrapError> {
        self.advance(now);
        if !self.is_fresh() {
            return Err(BootstrapError::NotFresh);
        }
        if configuration.voters.is_empty() || configuration.is_joint() {
            return Err(BootstrapError::Invalid);
        }
        let id = LogId::new(Term(1), Index(1));
        self.log.append(Entry { id, payload: Payload::Configuration(configuration) });
        self.become_follower(Term(1), None);
        if self.configuration().is_lone_voter(self.id) {
            self.campaign(None);
        }
        self.check_invariants();
        Ok(())
    }

    /// Take in a message from a peer.
    pub fn step(&mut self, now: Instant, from: ServerId, message: Message) {
        self.advance(now);
        let (term, own) = (message.term(), self.hard_state.term);
        // A newer term wins whatever carries it, except an election that nobody here wanted; an
        // older one is answered so that its sender learns, and then ignored. What is left is a
        // message between equals, and pre-votes: those are about a term that may never come, and
        // their answers often from servers that have not even heard of the last one.
        if from == self.id || self.is_disruptive(&message) {
            return;
        }
        let newer = own < term && !matches!(message, Message::RequestPreVote { .. });
        let newer = newer && !(bug!(R16) && self.is_leader() && message.is_answer());
        let older = term < own && !matches!(message, Message::RequestPreVoteResponse { .. });
        let older = older && !is_mistaken(&message);
        if newer {
            self.become_follower(term, message.is_from_leader().then_some(from));
        } else if older {
            return self.reject_stale(from, &message);
        }
        self.dispatch(from, message);
        self.check_invariants();
    }

    fn dispatch(&mut self, from: ServerId, message: Message) {
        match message {
            Message::RequestPreVote { term, last_log } => {
                self.on_request_pre_vote(from, term, last_log);
            }
            Message::RequestPreVoteResponse { asked, granted, .. } => {
                self.on_pre_vote(from, asked, granted);
            }
            Message::RequestVote { last_log, transfer, .. } => {
                self.on_request_vote(from, last_log, transfer);
            }
            Message::RequestVoteResponse { granted, .. } => self.on_vote(from, granted),
            Message::AppendEntries { prev_log, entries, leader_commit, .. } => {
                self.on_append(from, prev_log, entries, leader_commit);
            }
            Message::AppendEntriesResponse { result, .. } => self.on_appended(from, result),
            Message::Heartbeat { round, commit, horizon, abandoned, .. } => {
                self.follow(from, Some(abandoned));
                self.on_heartbeat(from, round, commit, horizon);
            }
            Message::HeartbeatResponse { round, matched, agreed, .. } => {
                self.on_heartbeat_response(from, round, matched, agreed);
            }
            Message::TimeoutNow { abandoned, .. } => self.on_timeout_now(from, abandoned),
            Message::ReadIndex { batch, leased, .. } => self.on_read_index(from, batch, leased),
            Message::ReadIndexResponse { batch, index, .. } => {
                self.on_read_index_response(batch, index);
            }
            Message::InstallSnapshot { meta, offset, data, done, .. } => {
                self.on_install_snapshot(from, meta, offset, data, done);
            }
            Message::InstallSnapshotResponse { last, offset, .. } => {
                self.on_snapshot_received(from, last, offset);
            }
        }
    }

    /// Append `payload` to the log. It is committed when [`Output::Commit`] hands out an entry of
    /// the returned name, and lost when it hands out another one of that index.
    ///
    /// # Errors
    ///
    /// This server does not lead, is about to stop leading, or has too much to do.
    pub fn propose(&mut self, now: Instant, payload: Bytes) -> Result<LogId, ProposeError> {
        self.advance(now);
        let Part::Leader(leader) = &self.part else {
            return Err(ProposeError::NotLeader { leader: self.leader() });
        };
        if leader.transfer.is_some() {
            return Err(ProposeError::Transferring);
        }
        let last = self.log.last().index;
        let uncommitted = last.0 - self.commit.0;
        if self.config.uncommitted_entries_max <= uncommitted
            || self.config.uncommitted_bytes_max <= self.log.bytes(self.commit, last)
        {
            return Err(ProposeError::Overloaded { uncommitted });
        }
        Ok(self.append_as_leader(Payload::Command(payload)))
    }

    /// Every [`Persist`](crate::Persist) batch up to and including `seq` is durable.
    pub fn persisted(&mut self, now: Instant, seq: PersistSeq) {
        self.advance(now);
        for (to, message) in self.disk.confirm(seq) {
            self.outputs.push_back(Output::Send { to, message });
        }
        // Our own disk is one voter among many: it counts when it is done, not before.
        match &self.part {
            Part::Candidate { .. } if self.disk.remembers(self.hard_state) => {
                self.on_vote(self.id, true);
            }
            Part::Leader(_) => self.advance_commit(),
            Part::Follower { .. } | Part::PreCandidate { .. } | Part::Candidate { .. } => {}
        }
        self.consider_install();
        self.consider_snapshot();
        self.check_invariants();
    }

    /// Time has passed. Call when [`Self::poll_timeout`] has come; earlier does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.expire_reads();
        match &self.part {
            Part::Leader(_) => self.on_leader_timeout(),
            Part::Follower { .. } | Part::PreCandidate { .. } | Part::Candidate { .. } => {
                if self.deadline <= now && self.may_campaign() {
                    self.on_impatience();
                }
            }
        }
        self.check_invariants();
    }

    /// When to call [`Self::handle_timeout`]; [`Instant::NEVER`] if nothing will happen by itself.
    pub fn poll_timeout(&self) -> Instant {
        let deadline = match &self.part {
            Part::Leader(leader) => self.leader_deadline(leader),
            Part::Follower { .. } | Part::PreCandidate { .. } | Part::Candidate { .. } => {
                if self.may_campaign() { self.deadline } else { Instant::NEVER }
            }
        };
        deadline.min(self.reads.deadline())
    }

    /// The next thing to do, or `None` when the caller may wait for the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.flush();
        }
        self.outputs.pop_front()
    }

    /// Turn everything that has gathered into one batch for the disk and one message per peer.
    fn flush(&mut self) {
        self.flush_reads();
        if let Some(persist) = self.disk.batch(self.now, self.hard_state, &self.log) {
            self.outputs.push_back(Output::Persist(persist));
        }
        self.replicate();
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        assert!(self.now <= now, "time went backwards");
        self.now = now;
    }

    /// Say `message` once the disk has made it true.
    pub(crate) fn send_after(&mut self, seq: PersistSeq, to: ServerId, message: Message) {
        if let Some((to, message)) = self.disk.hold(seq, to, message) {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Say `message`, which promises nothing but our term.
    pub(crate) fn send(&mut self, to: ServerId, message: Message) {
        self.send_after(self.disk.promise(self.hard_state), to, message);
    }

    /// Everything up to `index` is committed.
    pub(crate) fn commit_to(&mut self, index: Index) {
        // While a snapshot replaces the state, nothing can be applied to it.
        if index <= self.commit || self.is_installing() {
            return;
        }
        assert!(index <= self.log.last().index, "committed what is not in the log");
        let entries = self.log.range(self.commit.next(), index);
        self.commit = index;
        self.log.settle(index);
        self.outputs.push_back(Output::Commit(entries));
        self.knowledge.reach(index);
        self.settle_reads();
        self.consider_snapshot();
    }

    pub(crate) fn announce(&mut self) {
        let now = (self.role(), self.hard_state.term, self.leader());
        if self.announced != now {
            self.announced = now;
            let (role, term, leader) = now;
            self.outputs.push_back(Output::RoleChanged { role, term, leader });
        }
    }

    /// Whether there is nothing to remember.
    pub(crate) fn is_fresh(&self) -> bool {
        self.hard_state == HardState::default() && self.log.last() == LogId::default()
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.log.base().index <= self.commit, "forgot what is not committed");
        assert!(self.commit <= self.log.last().index, "committed beyond the end of the log");
        assert!(self.log.last().term <= self.hard_state.term, "an entry from the future");
        self.disk.check_invariants();
        if let Part::Leader(leader) = &self.part {
            assert_eq!(self.hard_state.vote, Some(self.id), "leads without its own vote");
            debug_assert!(!leader.progress.contains_key(&self.id));
            for progress in leader.progress.values() {
                progress.check_invariants(self.log.last().index);
            }
        }
    }
}

/// Whether a planted bug makes us listen to `message` although its term is over.
fn is_mistaken(message: &Message) -> bool {
    bug!(R11) && matches!(message, Message::RequestVoteResponse { .. })
        || bug!(R15) && matches!(message, Message::AppendEntries { .. })
        || bug!(R19) && message.is_answer()
}

/// What memory and disk hold after a start.
fn recover(hard_state: HardState, snapshot: &SnapshotMeta, entries: Vec<Entry>) -> (Log, Disk) {
    let Some(first) = entries.first().map(|it| it.id.index) else {
        return (Log::after(snapshot), Disk::holding(hard_state, snapshot.last.index));
    };
    let last = snapshot.last;
    assert!(first <= last.index.next(), "the log begins after the snapshot ends");
    let at_end = entries.iter().find(|it| it.id.index == last.index).map(|it| it.id);
    // A log that ends before the snapshot, or disagrees with it, is what a follower was left with
    // that crashed after installing the snapshot and before truncating the log.
    if first <= last.index && at_end != Some(last) {
        let mut disk = Disk::holding(hard_state, last.index);
        disk.replace(last.index);
        return (Log::after(snapshot), disk);
    }
    let log = Log::overlapping(snapshot, entries);
    let disk = Disk::holding(hard_state, log.last().index);
    (log, disk)
}
