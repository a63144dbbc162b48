//! How far back what a server knows lies.
//!
//! To hear the leader is not to be up to date. A server that has just started does not know yet what
//! of its log is committed, and one that was cut off has to be sent what it missed: until then it
//! would answer with what it knew before, and say that it had heard its leader a moment ago.

use tribune_base::bug;
use tribune_base::id::Index;
use tribune_base::time::Instant;

/// As of when a server knows everything that is committed.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    as_of: Option<Instant>,
    /// What it has been told of and does not know to be committed yet: when, and up to where.
    awaited: Option<(Instant, Index)>,
}

impl Knowledge {
    /// At `now` nothing that is committed anywhere lies beyond `horizon`; here it is `commit`.
    pub(crate) fn hear(&mut self, now: Instant, horizon: Index, commit: Index) {
        // What can be reached sooner is worth more, even if it was heard before.
        if self.awaited.is_none_or(|(_, it)| horizon <= it) {
            self.awaited = Some((now, horizon));
        }
        self.reach(if bug!(R46) { horizon.max(commit) } else { commit });
    }

    /// Everything up to `commit` is known to be committed.
    pub(crate) fn reach(&mut self, commit: Index) {
        if let Some((at, _)) = self.awaited.take_if(|(_, it)| *it <= commit) {
            self.know(at);
        }
    }

    /// At this moment nobody knew more.
    pub(crate) fn know(&mut self, at: Instant) {
        self.as_of = self.as_of.max(Some(at));
    }

    pub(crate) const fn as_of(&self) -> Option<Instant> {
        self.as_of
    }
}

#[test]
fn whoever_lags_is_as_fresh_as_what_it_has_reached() {
    let at = |ms| Instant::from_start(tribune_base::time::Duration::from_millis(ms));
    let mut knowledge = Knowledge::default();
    knowledge.hear(at(1), Index(5), Index(3));
    assert_eq!(knowledge.as_of(), None, "it has just started");
    knowledge.hear(at(2), Index(7), Index(4));
    knowledge.reach(Index(5));
    assert_eq!(knowledge.as_of(), Some(at(1)), "since then it has not been told anything it knows");
    knowledge.hear(at(3), Index(9), Index(5));
    knowledge.hear(at(4), Index(6), Index(5));
    knowledge.reach(Index(6));
    assert_eq!(knowledge.as_of(), Some(at(4)), "another leader has promised less");
}
