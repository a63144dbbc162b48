//! User events: told to everybody, and seen once by each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::time::Instant;

use crate::codec::tag;
use crate::lamport::{Clock, LTime};
use crate::message::{Event, Message, Text};
use crate::output::{EventError, Output, UserEvent};
use crate::pool::Pool;
use crate::push_pull::event_hash;

/// Events of the last few Lamport times.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) clock: Clock,
    /// Earlier ones are none of our business.
    begin: LTime,
    /// Invariant: none is older than the configured number of Lamport times.
    recent: BTreeMap<LTime, Vec<Event>>,
}

impl Events {
    /// Whatever happened until `ltime` happened before we came.
    pub(crate) fn begin_after(&mut self, ltime: LTime) {
        self.begin = self.begin.max(LTime(ltime.0 + 1));
    }

    /// Take in an event. Whether it was not known.
    fn insert(&mut self, event: Event, window: u64) -> bool {
        if !bug!(G13) {
            self.clock.witness(event.ltime);
        }
        let oldest = LTime((self.clock.time().0 + 1).saturating_sub(window)).max(self.begin);
        if event.ltime < oldest {
            return false;
        }
        self.recent = self.recent.split_off(&oldest);
        let same = self.recent.entry(event.ltime).or_default();
        let known = same.contains(&event) || EVENTS_PER_LTIME_MAX <= same.len();
        if !known {
            same.push(event);
        }
        !known || bug!(G13)
    }

    /// Their times, and hashes of them. A hash of zero stands for all that were before that time.
    pub(crate) fn known(&self) -> Vec<(LTime, u64)> {
        let events = self.recent.values().flatten();
        let known = events.map(|it| (it.ltime, event_hash(&it.name, &it.payload)));
        let begin = (self.begin != LTime(0)).then_some((self.begin, 0));
        begin.into_iter().chain(known).collect()
    }

    /// Those that are not among `known`.
    pub(crate) fn besides(&self, known: &[(LTime, u64)]) -> Vec<Event> {
        if self.recent.is_empty() {
            return Vec::new();
        }
        let begin = known.iter().filter(|(_, hash)| *hash == 0).map(|(ltime, _)| *ltime).max();
        let begin = begin.unwrap_or_default();
        let known: BTreeSet<_> = known.iter().copied().collect();
        let lacking = |it: &&Event| {
            begin <= it.ltime && !known.contains(&(it.ltime, event_hash(&it.name, &it.payload)))
        };
        self.recent.values().flatten().filter(lacking).cloned().collect()
    }
}

impl Pool {
    /// Tell everybody, ourselves included. Returns when it was.
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn fire(
        &mut self,
        now: Instant,
        name: &str,
        payload: Bytes,
        coalesce: bool,
    ) -> Result<LTime, EventError> {
        self.advance(now);
        let (len, max) = (name.len() + payload.len(), self.config.event_len_max);
        if max < len {
            return Err(EventError::TooLarge { len, max });
        }
        let ltime = self.events.clock.tick();
        let event = Event { ltime, name: Text::from(name), payload, coalesce };
        self.on_event(&event, None);
        self.check_invariants();
        Ok(ltime)
    }

    /// Something happened somewhere.
    pub(crate) fn on_event(&mut self, event: &Event, body: Option<Bytes>) {
        let kept = Event {
            name: Text::from(&*event.name),
            payload: Bytes::copy_from_slice(&event.payload),
            ..event.clone()
        };
        if !self.events.insert(kept, self.config.events_max) {
            return;
        }
        let body = body
            .map_or_else(|| Message::Event(event.clone()).body(), |it| Bytes::copy_from_slice(&it));
        self.pass_on(None, tag::EVENT, body);
        self.outputs.push_back(Output::Event(UserEvent {
            ltime: event.ltime,
            name: Arc::from(&*event.name),
            payload: Bytes::copy_from_slice(&event.payload),
            coalesce: event.coalesce,
        }));
    }
}

/// Nobody fires more at once before hearing of the first.
const EVENTS_PER_LTIME_MAX: usize = 64;
