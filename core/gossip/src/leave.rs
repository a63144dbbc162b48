//! Leaving, so that nobody takes it for a failure: first it is announced, then it is done, and then
//! there is time for everybody to hear of it.

use std::sync::Arc;

use tribune_base::time::Instant;

use crate::broadcast::Subject;
use crate::member::State;
use crate::message::{Accusation, Message, Text};
use crate::output::Output;
use crate::pool::Pool;

/// How far a member has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leaving {
    No,
    /// It says that it is about to, until this moment at the latest.
    Announced(Instant),
    /// It says that it has, until this moment at the latest.
    Told(Instant),
    /// Others tell each other, until this moment.
    Spreading(Instant),
    Done,
}

impl Leaving {
    /// Whether it is meant to happen.
    pub(crate) const fn has_begun(self) -> bool {
        match self {
            Self::No => false,
            Self::Announced(_) | Self::Told(_) | Self::Spreading(_) | Self::Done => true,
        }
    }

    /// Whether others take it for having happened.
    pub(crate) const fn is_gone(self) -> bool {
        match self {
            Self::No | Self::Announced(_) => false,
            Self::Told(_) | Self::Spreading(_) | Self::Done => true,
        }
    }

    pub(crate) const fn deadline(self) -> Instant {
        match self {
            Self::No | Self::Done => Instant::NEVER,
            Self::Announced(at) | Self::Told(at) | Self::Spreading(at) => at,
        }
    }
}

impl Pool {
    /// Leave. [`Output::Left`] says when others know. Does nothing if that has begun already.
    pub fn leave(&mut self, now: Instant) {
        self.advance(now);
        if self.leaving.has_begun() {
            return;
        }
        self.leaving = Leaving::Announced(now + self.config.broadcast_timeout);
        let (ltime, name) = (self.clock.tick(), Arc::clone(&self.name));
        self.roster.edit(self.me, |it| {
            it.going = true;
            it.settle();
            it.member.status_ltime = ltime;
        });
        self.spread_leave(ltime, &name, false, None);
        self.continue_leaving();
        self.check_invariants();
    }

    /// Go on if everybody could have been told, or if it takes too long.
    pub(crate) fn continue_leaving(&mut self) {
        let alone = self.roster.live() <= usize::from(!self.leaving.is_gone());
        let told = |this: &Self, subject: Subject, until: Instant| {
            alone || until <= this.now || !this.broadcasts.contains(subject)
        };
        match self.leaving {
            Leaving::Announced(until) if told(self, Subject::intent(&self.name), until) => {
                self.leaving = Leaving::Told(self.now + self.config.broadcast_timeout);
                self.bury_myself();
                self.continue_leaving();
            }
            Leaving::Told(until) if told(self, Subject::member(&self.name), until) => {
                let delay = self.config.leave_propagate_delay;
                self.leaving = Leaving::Spreading(if alone { self.now } else { self.now + delay });
                self.continue_leaving();
            }
            Leaving::Spreading(until) if until <= self.now => {
                self.leaving = Leaving::Done;
                self.outputs.push_back(Output::Left);
            }
            Leaving::No
            | Leaving::Announced(_)
            | Leaving::Told(_)
            | Leaving::Spreading(_)
            | Leaving::Done => {}
        }
    }

    /// Say that we have left.
    fn bury_myself(&mut self) {
        let incarnation = self.roster.edit(self.me, |it| {
            it.state = State::Left;
            it.settle();
            it.member.incarnation
        });
        self.probe = None;
        self.gone.insert(self.me);
        let name = Text::from(&*self.name);
        let message = Message::Dead(Accusation { incarnation, name: name.clone(), from: name });
        // Whoever misses it takes us for dead, and there is no second chance to say it: in a small
        // pool everybody is told, and not only whom chance picks.
        for to in self.pick(TOLD_MAX, |_, it| it.state.is_live()) {
            self.send(to, std::slice::from_ref(&message));
        }
        self.tell(Some(Subject::member(&self.name.clone())), &message);
    }
}

/// How many are told directly that we have left.
const TOLD_MAX: usize = 16;
