//! Reads: how fresh, when to answer, and who hears of a change.

use std::collections::BTreeMap;

use tribune_api::http::Response;
use tribune_api::plan::{Consistency, Query, Read};
use tribune_base::bug;
use tribune_base::id::Index;
use tribune_base::time::Instant;
use tribune_raft::ReadId;
use tribune_state::{Touch, WatchId};

use crate::node::Node;
use crate::output::{Output, Serve};
use crate::request::{Held, Pending, RequestId, Waiting};
use crate::view::Freshness;

/// Who may share one evaluation and one rendering.
type Group = (Query, bool, Consistency, Option<u64>);

impl Node {
    /// A client wants to see the state.
    pub(crate) fn read(&mut self, id: RequestId, read: Read, seen: Option<u64>) {
        let waiting = self.patient(read, seen);
        self.try_read(id, waiting);
    }

    /// A client elsewhere wants to see the state, and waits no longer than until `deadline`.
    pub(crate) fn read_until(&mut self, id: RequestId, read: Read, deadline: Instant) {
        let mut waiting = self.patient(read, None);
        waiting.patience = waiting.patience.min(deadline);
        waiting.hold_until = waiting.hold_until.min(deadline);
        self.try_read(id, waiting);
    }

    /// Answer from this state if it is fresh enough; else have it confirmed that it is.
    pub(crate) fn try_read(&mut self, id: RequestId, waiting: Waiting) {
        let read = &waiting.read;
        let freshness = self.freshness();
        if freshness.satisfies(self.now, read.consistency, read.max_stale) {
            return self.look(id, waiting);
        }
        // A follower asks its leader what the answer must include, and answers by itself.
        if self.leads() || self.other_leader().is_some() {
            let (deadline, consistency) = (waiting.hold_until, read.consistency);
            self.ledger.wait(id, Pending::Confirmation(waiting), deadline);
            match consistency {
                // What the leader itself would have answered from.
                Consistency::Default => self.raft.read_leased(self.now, ReadId(id.0)),
                Consistency::Consistent | Consistency::Stale => {
                    self.raft.read_index(self.now, ReadId(id.0));
                }
            }
        } else {
            self.hold(id, Held::Read(waiting));
        }
    }

    /// A quorum confirmed the leader: what was committed up to `index` is what `id` must see.
    pub(crate) fn confirmed(&mut self, id: RequestId, index: Index) {
        let Some(Pending::Confirmation(waiting)) = self.ledger.take(id) else { return };
        if index <= self.applied {
            self.look(id, waiting);
        } else {
            let deadline = waiting.hold_until;
            self.ledger.wait(id, Pending::Apply { index, waiting }, deadline);
        }
    }

    /// No quorum confirmed the leader: ask again once there is one.
    pub(crate) fn unconfirmed(&mut self, id: RequestId) {
        let Some(Pending::Confirmation(waiting)) = self.ledger.take(id) else { return };
        self.hold(id, Held::Read(waiting));
    }

    /// The state was replaced: everybody looks again.
    pub(crate) fn look_again(&mut self) {
        let woken = self.watches.restored();
        self.wake(woken, false);
    }

    /// The state has advanced: those who waited for that may look.
    pub(crate) fn caught_up(&mut self) {
        if !self.ledger.waits_for_apply() {
            return;
        }
        let applied = self.applied;
        let ready = |it: &Pending| matches!(it, Pending::Apply { index, .. } if *index <= applied);
        for id in self.ledger.waiting(ready) {
            if let Some(Pending::Apply { waiting, .. }) = self.ledger.take(id) {
                self.look(id, waiting);
            }
        }
    }

    /// Answer, or wait for a change if the client has already seen what there is.
    fn look(&mut self, id: RequestId, waiting: Waiting) {
        if waiting.read.waits(self.store.view()) {
            self.park(id, waiting);
        } else if let Some(failover) = self.failover(&waiting.read) {
            self.fail_over(id, failover);
        } else {
            let anyway = waiting.read.min_index == Index(0);
            self.serve([(id, waiting)], anyway);
        }
    }

    /// Something changed: whoever waits for it.
    pub(crate) fn touch(&mut self, touch: &Touch) {
        let woken = self.watches.touch(touch);
        self.wake(woken, false);
    }

    /// Those whose patience is over are answered with what there is.
    pub(crate) fn expire_watches(&mut self, now: Instant) {
        let expired = self.watches.expire(now);
        self.wake(expired, true);
    }

    fn wake(&mut self, ids: Vec<WatchId>, anyway: bool) {
        let mut woken = Vec::with_capacity(ids.len());
        for WatchId(id) in ids {
            let id = RequestId(id);
            match self.ledger.take(id) {
                // A server that catches up goes through what its client has seen elsewhere.
                Some(Pending::Change(waiting))
                    if !anyway && waiting.read.waits(self.store.view()) =>
                {
                    self.park(id, waiting);
                }
                Some(Pending::Change(waiting)) => woken.push((id, waiting)),
                other => unreachable!("{id:?} was woken, but waits for {other:?}"),
            }
        }
        self.serve(woken, anyway);
    }

    fn park(&mut self, id: RequestId, waiting: Waiting) {
        self.watches.park(WatchId(id.0), waiting.read.query.topic(), waiting.patience);
        self.ledger.wait(id, Pending::Change(waiting), Instant::NEVER);
    }

    /// Have these answered: one evaluation and one rendering for all who asked the same. `anyway`,
    /// if even an answer they already have will do.
    #[allow(clippy::mutable_key_type)] // A filter's regular expression has caches, but no other value.
    fn serve(&mut self, waiting: impl IntoIterator<Item = (RequestId, Waiting)>, anyway: bool) {
        let mut groups: BTreeMap<Group, Vec<RequestId>> = BTreeMap::new();
        for (id, waiting) in waiting {
            let seen = waiting.seen.filter(|_| !anyway);
            let read = &waiting.read;
            let group = (read.query.clone(), read.pretty, read.consistency, seen);
            groups.entry(group).or_default().push(id);
            self.ledger.wait(id, Pending::Rendering(waiting), Instant::NEVER);
        }
        for ((query, pretty, consistency, seen), ids) in groups {
            self.outputs.push_back(Output::Serve(Serve { ids, query, pretty, consistency, seen }));
        }
    }

    /// These have their answer, or get it now, if they wait at another agent.
    pub(crate) fn served(&mut self, ids: Vec<RequestId>, response: Option<Response>) {
        for id in ids {
            let waited = self.ledger.take(id).is_some();
            if waited
                && id.is_own()
                && let Some(response) = &response
            {
                self.reply(id, response.clone());
            }
        }
    }

    /// What these would have got is what they already have: they go on waiting, unless something
    /// has changed since it was rendered.
    pub(crate) fn unchanged(&mut self, ids: Vec<RequestId>, index: Index) {
        for id in ids {
            let Some(Pending::Rendering(mut waiting)) = self.ledger.take(id) else { continue };
            waiting.read.min_index = if bug!(K07) { self.store.index() } else { index };
            if waiting.patience <= self.now {
                self.serve([(id, waiting)], true);
            } else {
                self.look(id, waiting);
            }
        }
    }

    /// The client is gone.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        self.fired.cancel(id);
        self.keyrings.cancel(id);
        self.retract(id);
        if let Some(Pending::Change(_)) = self.ledger.take(id) {
            self.watches.cancel(WatchId(id.0));
        }
    }

    /// Fix until when a read waits: what it asked for and up to a sixteenth more, so that clients
    /// that came together do not come back together.
    fn patient(&mut self, read: Read, seen: Option<u64>) -> Waiting {
        let patience = self.now + read.wait + self.rng.up_to(read.wait / 16);
        Waiting { read, seen, patience, hold_until: self.now + self.config.hold_max }
    }

    /// How far this server's state can be trusted.
    pub(crate) fn freshness(&self) -> Freshness {
        let established = self.leads();
        Freshness {
            leads: established,
            lease_until: self.raft.lease_until().filter(|_| established),
            informed_at: self.raft.informed_at(),
        }
    }
}
