//! Forgetting deletions. A deleted key is remembered for a while, so that the index of a list it was
//! in does not go backwards; then the leader has every server forget it.

use std::collections::VecDeque;

use tribune_base::id::Index;
use tribune_base::time::{Duration, Instant};
use tribune_state::Command;

use crate::node::Node;
use crate::request::Proposer;

/// When which deletions were made, coarsely: a new leader counts from its first day.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    /// The last index at each of these moments. Invariant: both columns grow.
    marks: VecDeque<(Instant, Index)>,
    next: Option<Instant>,
}

impl Tombstones {
    pub(super) fn start(&mut self, now: Instant) {
        self.next = Some(now + GRANULARITY);
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.next.unwrap_or(Instant::NEVER)
    }

    /// Note that everything up to `index` has happened by `now`, and return what is old enough.
    fn advance(&mut self, now: Instant, index: Index, ttl: Duration) -> Option<Index> {
        if now < self.poll_timeout() {
            return None;
        }
        self.next = Some(now + GRANULARITY);
        if self.marks.back().is_none_or(|(_, last)| *last < index) {
            self.marks.push_back((now, index));
        }
        let mut through = None;
        while let Some((_, index)) = self.marks.pop_front_if(|(at, _)| *at + ttl <= now) {
            through = Some(index);
        }
        through
    }
}

impl Node {
    pub(super) fn reap_tombstones(&mut self, now: Instant) {
        let (applied, ttl) = (self.applied, self.config.tombstone_ttl);
        let has_tombstones = self.store.view().tombstone_count() != 0;
        let Some(reign) = &mut self.reign else { return };
        let Some(through) = reign.tombstones.advance(now, applied, ttl) else { return };
        if has_tombstones && !self.no_space {
            // Refused only if the log is full or this server no longer leads: the next one reaps.
            let _ = self.propose(Command::ReapTombstones { through }, Proposer::Duty);
        }
    }
}

/// How often a mark is made, and so how late a deletion may be forgotten.
const GRANULARITY: Duration = Duration::from_secs(30);

#[test]
fn a_deletion_is_forgotten_after_its_time_and_not_before() {
    let at = |secs| Instant::from_start(Duration::from_secs(secs));
    let ttl = Duration::from_secs(60);
    let mut tombstones = Tombstones::default();
    tombstones.start(at(0));
    assert_eq!(tombstones.advance(at(10), Index(5), ttl), None);
    assert_eq!(tombstones.advance(at(30), Index(7), ttl), None);
    assert_eq!(tombstones.advance(at(60), Index(9), ttl), None);
    assert_eq!(tombstones.advance(at(90), Index(9), ttl), Some(Index(7)));
    assert_eq!(tombstones.advance(at(120), Index(9), ttl), Some(Index(9)));
    assert_eq!(tombstones.advance(at(150), Index(9), ttl), None);
}
