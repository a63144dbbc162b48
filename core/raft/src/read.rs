//! Reads that must see everything committed before they were asked for (dissertation, section
//! 6.4), on the leader and on followers.
//!
//! The leader notes its commit index, begins a heartbeat round and answers when a quorum has
//! answered: nobody else was leading when the round began. One round serves all reads that
//! gathered since the one before. A follower asks the leader for the index and waits until it has
//! got that far itself. Who is content with the leader's [lease](crate::Config::lease) does not
//! wait for a quorum, only for the leader.

use std::collections::BTreeMap;

use tribune_base::bug;
use tribune_base::id::{Index, ServerId};
use tribune_base::time::Instant;

use crate::message::Message;
use crate::node::{Node, Part};
use crate::output::{Output, ReadId};

/// The reads of a server, in all stages.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Not even asked for yet.
    queued: Vec<Origin>,
    /// On a follower: the same, of those for whom the leader's lease will do.
    queued_leased: Vec<ReadId>,
    /// On a leader: those that a round is out for.
    batch: Option<Batch>,
    /// On a follower: those that the leader was asked for, by the number of the question.
    asked: BTreeMap<u64, Asked>,
    /// The last number used. An answer to a question of an earlier life may still be on its way,
    /// so a server does not begin with the same one again.
    last_asked: u64,
}

/// Who wants to read.
#[derive(Clone, Copy, Debug)]
enum Origin {
    Local(ReadId),
    Remote { from: ServerId, batch: u64 },
}

#[derive(Debug)]
struct Batch {
    round: u64,
    index: Index,
    origins: Vec<Origin>,
}

#[derive(Debug)]
struct Asked {
    deadline: Instant,
    /// What the leader said.
    index: Option<Index>,
    reads: Vec<ReadId>,
}

impl Reads {
    /// No reads yet, for a server whose questions are numbered from `first` on.
    pub(crate) fn numbered(first: u64) -> Self {
        Self { last_asked: first, ..Self::default() }
    }

    /// When the oldest question to the leader expires.
    pub(crate) fn deadline(&self) -> Instant {
        self.asked.values().next().map_or(Instant::NEVER, |it| it.deadline)
    }

    fn count(&self) -> usize {
        let batch = self.batch.as_ref().map_or(0, |it| it.origins.len());
        self.queued.len()
            + self.queued_leased.len()
            + batch
            + self.asked.values().map(|it| it.reads.len()).sum::<usize>()
    }
}

impl Node {
    /// Find out what a read must see that is asked for now. Answered by [`Output::ReadReady`] or
    /// [`Output::ReadFailed`], once. Works on followers, too: they ask the leader.
    pub fn read_index(&mut self, now: Instant, id: ReadId) {
        self.advance(now);
        if self.leader().is_none() || self.config.reads_max <= self.reads.count() {
            self.outputs.push_back(Output::ReadFailed { id });
        } else {
            self.reads.queued.push(Origin::Local(id));
        }
        self.check_invariants();
    }

    /// The same, with the word of a leader that holds its lease: as sure as clocks that count
    /// seconds alike (dissertation, section 6.4.1). Without a lease it is as
    /// [`read_index`](Self::read_index).
    pub fn read_leased(&mut self, now: Instant, id: ReadId) {
        if self.is_leader() || self.leader().is_none() {
            return self.read_index(now, id);
        }
        self.advance(now);
        if self.config.reads_max <= self.reads.count() {
            self.outputs.push_back(Output::ReadFailed { id });
        } else {
            self.reads.queued_leased.push(id);
        }
        self.check_invariants();
    }

    /// Do something about the reads that have gathered.
    pub(crate) fn flush_reads(&mut self) {
        let leased = std::mem::take(&mut self.reads.queued_leased);
        match self.part {
            Part::Follower { leader: Some(leader) } if !leased.is_empty() => {
                self.ask(leader, leased, true);
            }
            Part::Follower { .. }
            | Part::PreCandidate { .. }
            | Part::Candidate { .. }
            | Part::Leader(_) => {
                self.reads.queued.extend(leased.into_iter().map(Origin::Local));
            }
        }
        if self.reads.queued.is_empty() {
            return;
        }
        match &self.part {
            Part::Leader(leader) => {
                // A new leader has everything that is committed but does not know what that is,
                // until an entry of its own term is.
                let established = leader.opened <= self.commit || bug!(R33);
                if !established || self.reads.batch.is_some() {
                    return;
                }
                let (index, origins) = (self.commit, std::mem::take(&mut self.reads.queued));
                let round = self.broadcast_heartbeat().serial - u64::from(bug!(R35));
                self.reads.batch = Some(Batch { round, index, origins });
                self.settle_batch();
            }
            Part::Follower { leader: Some(leader) } => {
                let leader = *leader;
                let local = |origin| match origin {
                    Origin::Local(id) => Some(id),
                    Origin::Remote { .. } => None,
                };
                let queued = std::mem::take(&mut self.reads.queued);
                self.ask(leader, queued.into_iter().filter_map(local).collect(), false);
            }
            Part::Follower { leader: None }
            | Part::PreCandidate { .. }
            | Part::Candidate { .. } => {
                self.lose_reads();
            }
        }
    }

    fn ask(&mut self, leader: ServerId, reads: Vec<ReadId>, leased: bool) {
        self.reads.last_asked += 1;
        let (term, batch) = (self.hard_state.term, self.reads.last_asked);
        let deadline = self.now + self.config.election_timeout;
        self.reads.asked.insert(batch, Asked { deadline, index: None, reads });
        self.send(leader, Message::ReadIndex { term, batch, leased });
    }

    pub(crate) fn on_read_index(&mut self, from: ServerId, batch: u64, leased: bool) {
        if leased && self.is_read_safe() {
            self.answer_read(Origin::Remote { from, batch }, Some(self.commit));
        } else if self.is_leader() && self.reads.count() < self.config.reads_max {
            self.reads.queued.push(Origin::Remote { from, batch });
        } else {
            self.answer_read(Origin::Remote { from, batch }, None);
        }
    }

    /// Whether this server leads, knows what is committed, and nobody else can lead.
    fn is_read_safe(&self) -> bool {
        let Part::Leader(leader) = &self.part else { return false };
        leader.opened <= self.commit && self.lease_until().is_some_and(|it| self.now < it)
    }

    pub(crate) fn on_read_index_response(&mut self, batch: u64, index: Option<Index>) {
        let Some(asked) = self.reads.asked.get_mut(&batch) else { return };
        if let Some(horizon) = index {
            asked.index = index;
            self.knowledge.hear(self.now, horizon, self.commit);
            self.settle_reads();
        } else if let Some(asked) = self.reads.asked.remove(&batch) {
            self.fail(asked.reads);
        }
    }

    /// On a leader: answer the batch if a quorum has answered its round, or a later one.
    pub(crate) fn settle_batch(&mut self) {
        let (Part::Leader(leader), Some(batch)) = (&self.part, &self.reads.batch) else { return };
        if self.quorum_round(leader).serial < batch.round && !bug!(R34) {
            return;
        }
        let Some(Batch { index, origins, .. }) = self.reads.batch.take() else { return };
        for origin in origins {
            self.answer_read(origin, Some(index));
        }
    }

    /// On a follower: answer what the commit index has reached.
    pub(crate) fn settle_reads(&mut self) {
        let commit = self.commit;
        let ready =
            |_: &u64, it: &mut Asked| it.index.is_some_and(|index| index <= commit || bug!(R36));
        for (_, Asked { index, reads, .. }) in self.reads.asked.extract_if(.., ready) {
            let index = index.unwrap_or(commit);
            self.outputs.extend(reads.into_iter().map(|id| Output::ReadReady { id, index }));
        }
    }

    /// Give up on what the leader has not answered in time.
    pub(crate) fn expire_reads(&mut self) {
        let now = self.now;
        let expired = self.reads.asked.extract_if(.., |_, it| it.deadline <= now);
        let reads = expired.flat_map(|(_, it)| it.reads).collect();
        self.fail(reads);
    }

    /// Whoever was to answer does not lead any more.
    pub(crate) fn lose_reads(&mut self) {
        let Reads { queued, queued_leased, batch, asked, .. } = &mut self.reads;
        let asked = std::mem::take(asked).into_values().flat_map(|it| it.reads);
        let asked = std::mem::take(queued_leased).into_iter().chain(asked).collect();
        let mut origins = std::mem::take(queued);
        origins.extend(batch.take().into_iter().flat_map(|it| it.origins));
        self.fail(asked);
        for origin in origins {
            self.answer_read(origin, None);
        }
    }

    fn fail(&mut self, reads: Vec<ReadId>) {
        self.outputs.extend(reads.into_iter().map(|id| Output::ReadFailed { id }));
    }

    fn answer_read(&mut self, origin: Origin, index: Option<Index>) {
        match (origin, index) {
            (Origin::Local(id), Some(index)) => {
                self.outputs.push_back(Output::ReadReady { id, index });
            }
            (Origin::Local(id), None) => self.outputs.push_back(Output::ReadFailed { id }),
            (Origin::Remote { from, batch }, index) => {
                let term = self.hard_state.term;
                self.send(from, Message::ReadIndexResponse { term, batch, index });
            }
        }
    }
}
