//! BQ-1, no lost wake-up; BQ-3, nobody is woken for nothing; BQ-4, nobody waits for ever.

use bytes::Bytes;
use tribune_base::id::Index;
use tribune_base::time::{Duration, Instant};
use tribune_core::RequestId;

use super::kv::answer;
use super::model::Model;
use super::{After, Before, Report};
use crate::moment::Moment;
use crate::workload::Action;

/// Everybody who waits for a change.
#[derive(Debug)]
pub(crate) struct Wakeup {
    blocked: Vec<Blocked>,
    /// How long an answer may be in the making.
    slack: Duration,
}

/// Somebody who waits for a change.
#[derive(Clone, Debug)]
pub(crate) struct Blocked {
    pub(crate) client: usize,
    pub(crate) server: usize,
    /// What the server calls it.
    pub(crate) id: RequestId,
    pub(crate) action: Action,
    /// What it has seen.
    pub(crate) index: Index,
    /// When it is to be answered anyway, by the server's clock: not before, and not long after.
    pub(crate) patience: (Instant, Instant),
    /// Since when it waits for nothing but a change: not for a leader, nor for a quorum. Only the
    /// node can tell: what was asked in one step with the end of a lease looks as if it were
    /// answered from it. By the server's clock.
    pub(crate) parked: Option<Instant>,
    /// When there was something to tell it.
    pub(crate) due: Option<Moment>,
    /// Whether the server was unable to keep its promise.
    pub(crate) excused: bool,
}

impl Wakeup {
    /// `render_max` is how long a rendering may take. The one that is under way when something
    /// changes may come to nothing, and the next one tells of it.
    pub(crate) fn new(render_max: Duration) -> Self {
        Self { blocked: Vec::new(), slack: SLACK + render_max * 2 }
    }

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

    /// A server has taken a step: who was waiting for a leader may be waiting for a change now.
    pub(crate) fn on_step(&mut self, it: &After<'_>) {
        let here = self.blocked.iter_mut().filter(|blocked| blocked.server == it.server);
        for blocked in here.filter(|it| it.parked.is_none()) {
            blocked.parked = it.node.is_parked(blocked.id).then_some(it.local);
        }
    }

    /// A server has applied more: whoever waited for it there is due.
    pub(crate) fn on_applied(&mut self, model: &Model, it: &After<'_>, before: &Before) {
        let now = it.clock.global(it.local);
        let applied = it.shown.applied;
        let changes = model.changes(before.applied, applied);
        for blocked in self.blocked.iter_mut().filter(|blocked| blocked.server == it.server) {
            let subject = blocked.action.subject().as_bytes();
            let concerns = |(index, key): &(Index, Bytes)| {
                let exact = matches!(blocked.action, Action::Watch(..));
                let inside = if exact { key == subject } else { key.starts_with(subject) };
                blocked.index < *index && inside
            };
            if !changes.iter().any(concerns) {
                continue;
            }
            if !matches!(blocked.action, Action::WatchKeys(..)) {
                blocked.due.get_or_insert(now);
            } else if answer(model, blocked.action, blocked.index)
                == answer(model, blocked.action, applied)
            {
                // Nothing to tell, or nothing any more: what came may be gone before it is rendered.
                blocked.due = None;
            } else {
                blocked.due.get_or_insert(now);
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
        let late = it.due.is_some_and(|due| due + self.slack < now);
        report.require(it.excused || it.parked.is_none() || !late, "BQ-1", || {
            format!("{it:?} was due long before {now}")
        });
        let early = index.is_some_and(|index| index <= it.index) && local < it.patience.0;
        report.require(!early, "BQ-3", || format!("{it:?} was woken for nothing at {local:?}"));
        // Patience may end while it waits for a leader: then as soon as it need not.
        let forgotten =
            it.parked.is_some_and(|since| it.patience.1.max(since + self.slack) < local);
        report.require(it.excused || !forgotten, "BQ-4", || {
            format!("{it:?} still waits at {local:?}")
        });
    }
}

/// What else may delay an answer.
const SLACK: Duration = Duration::from_millis(25);
