//! When to take a snapshot, what the log may forget then, and how a follower that needs what was
//! forgotten gets the snapshot instead (paper, section 7).
//!
//! The bytes of snapshots stay with the caller: it is asked for a piece, the piece travels, the
//! other side writes it to a temporary file and confirms. What was confirmed needs not be sent
//! again by this leader, whatever is lost in between; another leader begins anew, because its file
//! may look different.

use std::collections::VecDeque;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::Instant;

use crate::log::Log;
use crate::message::{Appended, Message};
use crate::node::{Node, Part};
use crate::output::{Output, SnapshotMeta};
use crate::progress::{Progress, Sending, State};

/// A snapshot on its way in. Invariant: `written <= received`.
#[derive(Debug)]
pub(crate) struct Receiving {
    from: ServerId,
    meta: SnapshotMeta,
    /// Everything before this byte was handed out to be written.
    received: u64,
    /// Everything before this byte is written.
    written: u64,
    /// Writes to be confirmed, and how many of them belong to a file that was given up.
    writes: VecDeque<(LogId, u64)>,
    stale_writes: usize,
    /// Whether the last byte was received.
    done: bool,
    /// Whether the file is replacing the state.
    installing: bool,
}

impl Node {
    /// `meta` is durable as a snapshot: what the log has before it may go. Called for
    /// [`Output::TakeSnapshot`]; a snapshot older than the last one changes nothing.
    ///
    /// # Panics
    ///
    /// If the snapshot has what is not committed.
    pub fn snapshot_saved(&mut self, now: Instant, meta: SnapshotMeta) {
        self.advance(now);
        assert!(meta.last.index <= self.commit, "a snapshot of what is not committed");
        if self.taking.is_some_and(|it| it.index <= meta.last.index) {
            self.taking = None;
        }
        if self.snapshot.last.index < meta.last.index {
            assert!(self.log.contains(meta.last), "a snapshot of another history");
            self.snapshot = meta;
            self.forget();
        }
        self.check_invariants();
    }

    /// Ask for a snapshot when the log has grown enough. Only one at a time.
    pub(crate) fn consider_snapshot(&mut self) {
        if self.taking.is_some() || self.is_installing() {
            return;
        }
        let (last, commit) = (self.snapshot.last.index, self.commit);
        // A newer snapshot would make a peer that is receiving this one begin again, so it waits;
        // but the log must not grow for ever because of a slow peer.
        let patience = if self.is_sending() { 4 } else { 1 };
        let entries = commit.0 - last.0;
        if entries < self.config.snapshot_entries_max * patience
            && self.log.bytes(last, commit) < self.config.snapshot_bytes_max * patience
        {
            return;
        }
        let commit = if bug!(S03) { commit.prev() } else { commit };
        let Some(term) = self.log.term(commit) else { return };
        let last = LogId::new(term, commit);
        let configuration = self.log.configuration_at(commit).clone();
        self.taking = Some(last);
        let meta = SnapshotMeta { last, configuration };
        self.outputs.push_back(Output::TakeSnapshot(meta.clone()));
        if bug!(S05) {
            self.snapshot = meta;
            self.forget();
        }
    }

    /// Let go of what the snapshot has, but for some entries that followers who lag a little, or
    /// restart, will ask for; and for some more if one that lags more is at it right now, because
    /// a snapshot would cost it and us more than the entries do.
    fn forget(&mut self) {
        let last = self.snapshot.last.index;
        let alone = self.configuration().members().eq([self.id]);
        let usual = if alone { last } else { self.trailing(1) };
        let needed = self.needed(self.trailing(SLOW_PEERS));
        let through = needed.map_or(usual, |it| it.min(usual)).max(self.log.base().index);
        if self.log.base().index < through {
            self.log.forget(through);
            self.outputs.push_back(Output::ForgetLog { through });
        }
    }

    /// The last entry that may go if `times` as much as usual is to stay behind the snapshot.
    fn trailing(&self, times: u64) -> Index {
        let (last, first) = (self.snapshot.last.index, self.log.base().index);
        let entries = self.config.trailing_entries_max.saturating_mul(times);
        let bytes = self.config.trailing_bytes_max.saturating_mul(times);
        let mut through = Index(last.0.saturating_sub(entries)).max(first);
        while through < last && bytes < self.log.bytes(through, last) {
            through = through.next();
        }
        through
    }

    /// The last entry that no peer asks for, of those that this leader has heard recently and that
    /// have `least` already: for the others a snapshot is the only way.
    fn needed(&self, least: Index) -> Option<Index> {
        let Part::Leader(leader) = &self.part else { return None };
        let recent = |it: &&Progress| {
            it.contact.is_some_and(|at| self.now.since(at) < self.config.election_timeout)
        };
        let has = |it: &Progress| match &it.state {
            State::Probe | State::Replicate => it.matched,
            State::Snapshot(sending) => sending.meta.last.index,
        };
        leader.progress.values().filter(recent).map(has).filter(|it| least <= *it).min()
    }

    /// Whether a peer is receiving the snapshot, and has recently received a part of it.
    fn is_sending(&self) -> bool {
        let Part::Leader(leader) = &self.part else { return false };
        leader.progress.values().any(|it| match &it.state {
            State::Snapshot(sending) => {
                self.now.since(sending.moved) < self.config.election_timeout * 2
            }
            State::Probe | State::Replicate => false,
        })
    }

    /// Whether the state is being replaced, so that nothing can be applied to it.
    pub(crate) fn is_installing(&self) -> bool {
        self.receiving.as_ref().is_some_and(|it| it.installing)
    }
}

/// How much more than usual the log keeps for peers that lag.
const SLOW_PEERS: u64 = 4;

/// The leader's side.
impl Node {
    /// The piece asked for with [`Output::ReadSnapshot`], and whether the snapshot ends with it;
    /// or `None` if there is no such snapshot any more.
    pub fn snapshot_read(
        &mut self,
        now: Instant,
        to: ServerId,
        last: LogId,
        offset: u64,
        piece: Option<(Bytes, bool)>,
    ) {
        self.advance(now);
        let term = self.hard_state.term;
        let Part::Leader(leader) = &mut self.part else { return };
        let Some(progress) = leader.progress.get_mut(&to) else { return };
        let State::Snapshot(sending) = &mut progress.state else { return };
        if sending.meta.last != last {
            return;
        }
        let Some((data, done)) = piece else {
            if self.snapshot.last == last {
                sending.missing = true;
            } else {
                **sending = Sending::new(self.snapshot.clone(), now);
            }
            return;
        };
        let end = offset + data.len() as u64;
        if done {
            sending.len = Some(end);
            sending.asked = sending.asked.min(end);
        }
        // Asked for beyond the end, before the end was known.
        if data.is_empty() && 0 < offset {
            return;
        }
        let meta = sending.meta.clone();
        let message = Message::InstallSnapshot { term, meta, offset, data, done };
        self.outputs.push_back(Output::Send { to, message });
        self.check_invariants();
    }

    /// Ask for the pieces that the windows have room for.
    pub(crate) fn replicate_snapshots(&mut self) {
        let Part::Leader(leader) = &mut self.part else { return };
        for (&to, progress) in &mut leader.progress {
            let forgotten = progress.next <= self.log.base().index;
            if forgotten && !matches!(progress.state, State::Snapshot(_)) {
                let sending = Sending::new(self.snapshot.clone(), self.now);
                progress.reset(State::Snapshot(Box::new(sending)));
            }
            let State::Snapshot(sending) = &mut progress.state else { continue };
            let (len, last) = (self.config.chunk_len_max, sending.meta.last);
            while let Some(offset) = sending.due(len, self.config.chunk_window_max) {
                self.outputs.push_back(Output::ReadSnapshot { to, last, offset, len });
            }
        }
    }

    pub(crate) fn on_snapshot_received(&mut self, from: ServerId, last: LogId, offset: u64) {
        let now = self.now;
        let Some(Progress { state: State::Snapshot(sending), .. }) = self.heard(from) else {
            return;
        };
        if sending.meta.last != last {
            return;
        }
        // Less than before: the peer has restarted, and its file is gone. More than was asked for:
        // it has that since we led before.
        let restarted = offset < sending.acked;
        sending.asked = if restarted { offset } else { sending.asked.max(offset) };
        sending.acked = offset;
        sending.moved = now;
    }

    /// The peer is there. If nothing has moved for long, something was lost.
    pub(crate) fn resume_snapshot(&mut self, from: ServerId) {
        let (now, patience) = (self.now, self.config.election_timeout);
        let Some(Progress { state: State::Snapshot(sending), .. }) = self.heard(from) else {
            return;
        };
        let stuck = patience <= now.since(sending.moved) && !bug!(R41);
        if sending.missing || stuck {
            sending.missing = false;
            sending.asked = sending.acked;
            sending.moved = now;
        }
    }
}

impl Receiving {
    /// Whether every byte is in the file.
    fn is_complete(&self) -> bool {
        self.done && self.writes.is_empty()
    }
}

impl Sending {
    const fn new(meta: SnapshotMeta, now: Instant) -> Self {
        Self { meta, acked: 0, asked: 0, len: None, moved: now, missing: false }
    }

    /// The next byte to ask for, if the window has room.
    fn due(&mut self, len: u64, window: u64) -> Option<u64> {
        let room = self.asked == self.acked || self.asked + len <= self.acked + window;
        let ended = self.len.is_some_and(|it| it <= self.asked && 0 < self.asked);
        if self.missing || ended || !room {
            return None;
        }
        let offset = self.asked;
        self.asked += len;
        Some(offset)
    }
}

/// The follower's side.
impl Node {
    pub(crate) fn on_install_snapshot(
        &mut self,
        from: ServerId,
        meta: SnapshotMeta,
        offset: u64,
        data: Bytes,
        done: bool,
    ) {
        self.follow(from, None);
        let last = meta.last;
        if self.is_installing() {
            return;
        }
        if last.index <= self.commit && !bug!(S01) {
            return self.confirm_snapshot(from);
        }
        let same = |it: &Receiving| it.from == from && (it.meta.last == last || bug!(S04));
        let resumed = self.receiving.as_ref().is_some_and(same);
        if !resumed && offset == 0 {
            self.begin_receiving(from, meta);
        }
        let term = self.hard_state.term;
        let Some(receiving) = self.receiving.as_mut().filter(|it| same(it)) else {
            return self.send(from, Message::InstallSnapshotResponse { term, last, offset: 0 });
        };
        if offset != receiving.received || receiving.done {
            let offset = receiving.written;
            return self.send(from, Message::InstallSnapshotResponse { term, last, offset });
        }
        receiving.received += data.len() as u64;
        receiving.done = done;
        receiving.writes.push_back((last, receiving.received));
        self.outputs.push_back(Output::WriteSnapshot { last, offset, data });
    }

    fn begin_receiving(&mut self, from: ServerId, meta: SnapshotMeta) {
        let writes = self.receiving.take().map(|it| it.writes).unwrap_or_default();
        self.receiving = Some(Receiving {
            from,
            meta,
            received: 0,
            written: 0,
            stale_writes: writes.len(),
            writes,
            done: false,
            installing: false,
        });
    }

    /// The piece of snapshot `last` that ends before byte `end` is in the temporary file. Called
    /// for each [`Output::WriteSnapshot`], in order.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub fn snapshot_written(&mut self, now: Instant, last: LogId, end: u64) {
        self.advance(now);
        let receiving =
            self.receiving.as_mut().expect("a write was confirmed that nobody asked for");
        assert_eq!(receiving.writes.pop_front(), Some((last, end)), "confirmed out of order");
        if 0 < receiving.stale_writes {
            receiving.stale_writes -= 1;
            return;
        }
        receiving.written = end;
        let from = receiving.from;
        if !receiving.is_complete() {
            let term = self.hard_state.term;
            if self.leader() == Some(from) {
                self.send(from, Message::InstallSnapshotResponse { term, last, offset: end });
            }
        }
        self.consider_install();
        self.check_invariants();
    }

    /// Install the snapshot that was received, if it is time.
    pub(crate) fn consider_install(&mut self) {
        let Some(receiving) = self.receiving.as_mut().filter(|it| it.is_complete()) else { return };
        if receiving.installing {
            return;
        }
        if receiving.meta.last.index <= self.commit && !bug!(S01) {
            // The log was faster.
            self.receiving = None;
        } else if self.disk.remembers(self.hard_state) {
            // A disk with a snapshot of a term that its log has not heard of looks like one whose
            // log was lost.
            receiving.installing = true;
            self.outputs.push_back(Output::InstallSnapshot(receiving.meta.clone()));
        }
    }

    /// The file of [`Output::InstallSnapshot`] is not what the leader has. Nothing was replaced; the
    /// leader will send it again.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub fn snapshot_damaged(&mut self, now: Instant, last: LogId) {
        self.advance(now);
        assert!(self.is_installing(), "an installation failed that nobody asked for");
        let receiving = self.receiving.take();
        assert_eq!(receiving.map(|it| it.meta.last), Some(last), "another snapshot was damaged");
        self.check_invariants();
    }

    /// The snapshot of [`Output::InstallSnapshot`] is durable, and the state is what it says.
    ///
    /// # Panics
    ///
    /// If it was not asked for.
    pub fn snapshot_installed(&mut self, now: Instant, last: LogId) {
        self.advance(now);
        assert!(self.is_installing(), "an installation was confirmed that nobody asked for");
        let Some(Receiving { meta, .. }) = self.receiving.take() else { return };
        assert_eq!(meta.last, last, "another snapshot was installed");
        assert!(self.commit < last.index, "an older snapshot was installed over newer state");
        let known = self.log.term(last.index);
        if known == Some(last.term) || known.is_some() && bug!(S02) {
            self.disk.snapshot(last.index);
            self.log.forget(last.index);
        } else {
            // A log that disagrees with the snapshot, or ends before it, is of no use.
            self.log = Log::after(&meta);
            self.disk.replace(last.index);
        }
        self.snapshot = meta;
        self.commit = last.index;
        self.log.settle(last.index);
        self.agreed = self.agreed.max(last.index);
        self.taking = self.taking.filter(|it| last.index < it.index);
        self.outputs.push_back(Output::ForgetLog { through: last.index });
        self.knowledge.reach(last.index);
        self.settle_reads();
        if let Part::Follower { leader: Some(leader) } = self.part {
            self.confirm_snapshot(leader);
        }
        self.check_invariants();
    }

    /// Tell the leader that we have everything up to our commit index, however we got it.
    fn confirm_snapshot(&mut self, leader: ServerId) {
        let term = self.hard_state.term;
        let seq = self.disk.reach(self.commit, self.hard_state);
        let result = Appended::Matched(self.commit);
        self.send_after(seq, leader, Message::AppendEntriesResponse { term, result });
    }
}

#[cfg(test)]
mod tests {
    use tribune_base::id::Term;

    use super::*;
    use crate::{Config, Configuration, PersistSeq, Restored};

    const LEADER: ServerId = ServerId(1);
    const LAST: LogId = LogId::new(Term(5), Index(9));

    fn outputs(node: &mut Node) -> Vec<Output> {
        std::iter::from_fn(|| node.poll_output()).collect()
    }

    fn whole_snapshot() -> Message {
        let configuration = Configuration::of_voters([(LEADER, String::new())]);
        let meta = SnapshotMeta { last: LAST, configuration };
        let data = Bytes::from_static(b"state");
        Message::InstallSnapshot { term: Term(6), meta, offset: 0, data, done: true }
    }

    /// A follower that has written a whole snapshot, but not yet the term it came in.
    fn follower() -> Node {
        let mut node =
            Node::new(ServerId(2), Config::lan(1), Restored::default(), 7, Instant::START);
        node.step(Instant::START, LEADER, whole_snapshot());
        assert!(outputs(&mut node).iter().any(|it| matches!(it, Output::WriteSnapshot { .. })));
        node.snapshot_written(Instant::START, LAST, 5);
        node
    }

    /// Or else a crash between the two would leave a disk that seems to have lost its log.
    #[test]
    fn a_snapshot_is_not_installed_before_its_term_is_durable() {
        let mut node = follower();
        assert_eq!(outputs(&mut node), []);
        node.persisted(Instant::START, PersistSeq(1));
        assert!(outputs(&mut node).iter().any(|it| matches!(it, Output::InstallSnapshot(_))));
    }

    #[test]
    fn a_damaged_snapshot_is_received_again() {
        let mut node = follower();
        node.persisted(Instant::START, PersistSeq(1));
        outputs(&mut node);
        node.snapshot_damaged(Instant::START, LAST);
        node.step(Instant::START, LEADER, whole_snapshot());
        assert!(outputs(&mut node).iter().any(|it| matches!(it, Output::WriteSnapshot { .. })));
        node.snapshot_written(Instant::START, LAST, 5);
        assert!(outputs(&mut node).iter().any(|it| matches!(it, Output::InstallSnapshot(_))));
        node.snapshot_installed(Instant::START, LAST);
        assert_eq!(node.commit(), LAST.index);
    }
}
