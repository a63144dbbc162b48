//! Those who are gone are remembered for a while, tried again now and then, and then forgotten.

use crate::claim::Intent;
use crate::member::{Record, Status};
use crate::output::Change;
use crate::pool::Pool;
use crate::roster::Slot;

impl Pool {
    /// Forget whoever has been gone for too long, and what was said about those who never came.
    pub(crate) fn reap(&mut self) {
        let now = self.now;
        let overdue = |slot: &&Slot| {
            let record = self.roster.get(**slot);
            **slot != self.me && self.remembered(record.member.status) <= now.since(record.since)
        };
        let overdue: Vec<_> = self.gone.iter().filter(overdue).copied().collect();
        overdue.into_iter().for_each(|slot| self.forget(slot));
        let keep = self.config.recent_intent_timeout;
        self.rumours.retain(|_, it| now.since(it.heard) < keep);
    }

    /// How long somebody who is gone is remembered.
    pub(crate) fn remembered(&self, status: Status) -> tribune_base::time::Duration {
        match status {
            Status::Left => self.config.tombstone_timeout,
            Status::None | Status::Alive | Status::Leaving | Status::Failed => {
                self.config.reconnect_timeout
            }
        }
    }

    /// Forget a member that is gone.
    pub(crate) fn forget(&mut self, slot: Slot) {
        assert!(slot != self.me, "we cannot forget ourselves");
        self.report(Change::Reap, slot);
        let Record { member, pruned, .. } = self.roster.get(slot);
        let (name, ltime) = (member.name.clone(), member.status_ltime);
        if *pruned {
            // Those who have not heard of it yet will tell us of it again.
            self.remember(&name, |it| it.intent = Some((ltime, Intent::Vanish)));
        }
        self.acquit(slot);
        self.gone.remove(&slot);
        self.neighbours.remove(&slot);
        self.roster.remove(slot);
    }

    /// Try a failed member again: not always, so that the whole pool does it at a steady rate.
    pub(crate) fn reconnect(&mut self) {
        let failed = |slot: &&Slot| self.roster.get(**slot).member.status == Status::Failed;
        let count = self.gone.iter().filter(failed).count();
        if count == 0 || self.leaving.has_begun() {
            return;
        }
        let live = self.roster.live().max(1) as u64;
        if !self.rng.chance((count as u64).min(live), live) {
            return;
        }
        let nth = self.rng.below(count as u64) as usize;
        let failed = |slot: &&Slot| self.roster.get(**slot).member.status == Status::Failed;
        let Some(slot) = self.gone.iter().filter(failed).nth(nth) else { return };
        let addr = self.roster.get(*slot).member.addr;
        self.compare_with(addr);
    }
}
