//! Who means to stay and who means to leave, in Lamport time (Serf's layer).
//!
//! Two who have not heard of each other may say something at one Lamport time: a member that it stays,
//! and somebody else that it leaves. Then it stays, for all who hear of both: it is the one who knows.

use std::sync::Arc;

use bytes::Bytes;
use tribune_base::time::Instant;

use crate::broadcast::Subject;
use crate::claim::Intent;
use crate::codec::tag;
use crate::lamport::LTime;
use crate::member::Status;
use crate::message::{Message, Text};
use crate::output::Change;
use crate::pool::Pool;
use crate::roster::Slot;

impl Pool {
    /// Declare that a member which does not answer has left. If it does answer after all, it will
    /// say so. With `prune` it is forgotten as well. Returns whether it is known, and not us.
    pub fn force_leave(&mut self, now: Instant, name: &str, prune: bool) -> bool {
        self.advance(now);
        if self.roster.find(name).is_none_or(|it| it == self.me) {
            return false;
        }
        let ltime = self.clock.tick();
        self.on_leave_intent(ltime, name, prune, None);
        self.check_invariants();
        true
    }

    /// A member means to stay.
    pub(crate) fn on_join_intent(&mut self, ltime: LTime, name: &str, body: Option<Bytes>) {
        self.clock.witness(ltime);
        let Some(slot) = self.roster.find(name) else {
            if self.remember_intent(name, ltime, Intent::Stay) {
                self.spread_join(ltime, name, body);
            }
            return;
        };
        let record = self.roster.get(slot);
        if ltime < record.member.status_ltime
            || ltime == record.member.status_ltime && !record.going
        {
            return;
        }
        let me = slot == self.me;
        self.intend(slot, ltime, me && self.leaving.has_begun(), false);
        self.spread_join(ltime, name, body);
    }

    /// A member means to leave, or somebody says so for it.
    pub(crate) fn on_leave_intent(
        &mut self,
        ltime: LTime,
        name: &str,
        prune: bool,
        body: Option<Bytes>,
    ) {
        self.clock.witness(ltime);
        let Some(slot) = self.roster.find(name) else {
            let intent = if prune { Intent::Vanish } else { Intent::Leave };
            if self.remember_intent(name, ltime, intent) {
                self.spread_leave(ltime, name, prune, body);
            }
            return;
        };
        let known = self.roster.get(slot).member.status_ltime;
        if slot == self.me {
            // Not that we know of. Even if it is only as new as what we said: others may have heard
            // it first.
            if known <= ltime && !self.leaving.has_begun() {
                self.declare_presence();
            }
            return;
        }
        if ltime <= known {
            return;
        }
        self.spread_leave(ltime, name, prune, body);
        self.intend(slot, ltime, true, prune);
    }

    /// Note what a member means to do. Whoever is gone, and meant to be, has left.
    fn intend(&mut self, slot: Slot, ltime: LTime, going: bool, prune: bool) {
        let (before, after) = self.roster.edit(slot, |it| {
            let before = it.member.status;
            it.member.status_ltime = ltime;
            it.going = going;
            it.pruned = going && (it.pruned || prune);
            it.settle();
            (before, it.member.status)
        });
        match (before, after) {
            (Status::Failed, Status::Left) => self.report(Change::Leave, slot),
            (Status::Left, Status::Failed) => self.report(Change::Failed, slot),
            _ => {}
        }
        if self.roster.get(slot).pruned && after == Status::Left {
            self.forget(slot);
        }
    }

    /// Say that we are here, and mean to stay.
    pub(crate) fn declare_presence(&mut self) {
        let (ltime, name) = (self.clock.tick(), Arc::clone(&self.name));
        self.roster.edit(self.me, |it| it.member.status_ltime = ltime);
        self.spread_join(ltime, &name, None);
    }

    /// Keep what somebody unknown means to do, and whether that is news.
    fn remember_intent(&mut self, name: &str, ltime: LTime, intent: Intent) -> bool {
        let known = self.rumours.get(name).and_then(|it| it.intent);
        let news = known.is_none_or(|(before, known)| {
            before < ltime || before == ltime && intent == Intent::Stay && known != Intent::Stay
        });
        if news {
            self.remember(name, |it| it.intent = Some((ltime, intent)));
        }
        news
    }

    fn spread_join(&mut self, ltime: LTime, name: &str, body: Option<Bytes>) {
        let message = || Message::Join { ltime, name: Text::from(name) }.body();
        let body = body.map_or_else(message, |it| Bytes::copy_from_slice(&it));
        self.pass_on(Some(Subject::intent(name)), tag::JOIN, body);
    }

    pub(crate) fn spread_leave(
        &mut self,
        ltime: LTime,
        name: &str,
        prune: bool,
        body: Option<Bytes>,
    ) {
        let message = || Message::Leave { ltime, name: Text::from(name), prune }.body();
        let body = body.map_or_else(message, |it| Bytes::copy_from_slice(&it));
        self.pass_on(Some(Subject::intent(name)), tag::LEAVE, body);
    }
}
