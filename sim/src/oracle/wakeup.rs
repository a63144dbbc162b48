//! BQ-1, no lost wake-up; BQ-3, nobody is woken for nothing; BQ-4, nobody waits for ever.

use tribune_base::id::Index;
use tribune_base::time::{Duration, Instant};

use super::model::Model;
use super::{After, Before, Report};
use crate::moment::Moment;
use crate::workload::Action;

/// Everybody who waits for a change.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    blocked: Vec<Blocked>,
}

/// Somebody who waits for a change.
#[derive(Clone, Debug)]
pub(crate) struct Blocked {
    pub(crate) client: usize,
    pub(crate) server: usize,
    pub(crate) action: Action,
    /// What it has seen.
    pub(crate) index: Index,
    /// When it is to be answered anyway, by the server's clock: not before, and not long after.
    pub(crate) patience: (Instant, Instant),
    /// Whether it waits for nothing but a change: not for a leader, nor for a quorum.
    pub(crate) parked: bool,
    /// When there was something to tell it.
    pub(crate) due: Option<Moment>,
    /// Whether the server was unable to keep its promise.
    pub(crate) excused: bool,
}

impl Wakeup {
    pub(crate) fn on_block(&mut self, blocked: Blocked) {
        self.blocked.push(blocked);
    }

    pub(crate) fn on_crash(&mut self, server: usize) {
        self.blocked.retain(|it| it.server != server);
    }

    pub(crate) fn on_pause(&mut self, server: usize) {
        let concerned = self.blocked.iter_mut().filter(|it| it.server == server);
        concerned.for_each(|it| it.excused = true);
    }

    /// A server has applied more: whoever waited for it there is due.
    pub(crate) fn on_applied(&mut self, model: &Model, it: &After<'_>, before: &Before) {
        let now = it.clock.global(it.local);
        for (index, key) in model.changes(before.applied, it.shown.applied) {
            let here = self.blocked.iter_mut().filter(|blocked| blocked.server == it.server);
            for blocked in here.filter(|it| it.due.is_none() && it.index < *index) {
                let subject = blocked.action.subject().as_bytes();
                let concerned = if matches!(blocked.action, Action::WatchTree(..)) {
                    key.starts_with(subject)
                } else {
                    key == subject
                };
                if concerned {
                    blocked.due = Some(now);
                }
            }
        }
    }

    /// Somebody is answered at last, with this index; or has gone, with none.
    pub(crate) fn on_answer(
        &mut self,
        report: &mut Report,
        (client, server): (usize, usize),
        local: Instant,
        index: Option<Index>,
    ) {
        let found = self.blocked.iter().position(|it| it.client == client && it.server == server);
        let Some(found) = found else { return };
        let it = self.blocked.swap_remove(found);
        let now = report.now;
        let late = it.due.is_some_and(|due| due + SLACK < now);
        report.require(it.excused || !it.parked || !late, "BQ-1", || {
            format!("{it:?} was due long before {now}")
        });
        let early = index.is_some_and(|index| index <= it.index) && local < it.patience.0;
        report.require(!early, "BQ-3", || format!("{it:?} was woken for nothing at {local:?}"));
        let forgotten = it.patience.1 < local;
        report.require(it.excused || !it.parked || !forgotten, "BQ-4", || {
            format!("{it:?} still waits at {local:?}")
        });
    }
}

/// How long an answer may be in the making.
pub(crate) const SLACK: Duration = Duration::from_millis(25);
