//! When a change is a change, where to wait for the next one, and how long to be patient: pure.

use std::time::Duration;

use serde_json::Value;

/// What a watch knows about the past.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    /// The last answer: its index and its value.
    seen: Option<(u64, Value)>,
    /// Failures since then, in a row.
    failures: u32,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The index of the answer that brought it.
    pub(crate) index: u64,
    pub(crate) value: Value,
}

impl Progress {
    /// The index to wait after. `None` does not wait: nothing is known yet, or nothing any more.
    pub(crate) fn index(&self) -> Option<u64> {
        // 0 would not wait at all, and an agent that has no better index would be asked without end.
        self.seen.as_ref().map(|it| it.0.max(1))
    }

    /// An answer came in. It is a change if both its index and its value differ from the last one's.
    ///
    /// An index that goes back, as after a restored snapshot, is no reason to forget: the value that
    /// came with it is the present, and the next change comes after this index.
    pub(crate) fn answered(&mut self, index: u64, value: Value) -> Option<Change> {
        self.failures = 0;
        if let Some((before, last)) = &mut self.seen {
            if *before == index {
                return None;
            }
            *before = index;
            if *last == value {
                return None;
            }
        }
        self.seen = Some((index, value.clone()));
        Some(Change { index, value })
    }

    /// Nothing came, or nothing of use; how long to wait before asking again. Whoever answers then
    /// may be another agent, or one with another past: what is known is forgotten, and its first
    /// answer is told whatever it says.
    pub(crate) fn failed(&mut self) -> Duration {
        self.seen = None;
        self.failures = self.failures.saturating_add(1);
        let square = self.failures.saturating_mul(self.failures);
        PAUSE.saturating_mul(square).min(PAUSE_MAX)
    }
}

const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(180);

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers, and failures as `None`; what is told, and the index to wait after.
    type Row = (Option<(u64, &'static str)>, bool, Option<u64>);

    #[track_caller]
    fn check(rows: &[Row]) {
        let mut progress = Progress::default();
        for (n, (answer, told, next)) in rows.iter().enumerate() {
            let change = match answer {
                Some((index, value)) => progress.answered(*index, (*value).into()),
                None => {
                    progress.failed();
                    None
                }
            };
            let want =
                answer.filter(|_| *told).map(|(index, it)| Change { index, value: it.into() });
            assert_eq!((change, progress.index()), (want, *next), "row {n}");
        }
    }

    #[test]
    fn a_change_has_another_index_and_another_value() {
        check(&[
            (Some((5, "a")), true, Some(5)),
            // Somebody wrote something else.
            (Some((6, "a")), false, Some(6)),
            // The time was up.
            (Some((6, "a")), false, Some(6)),
            (Some((7, "b")), true, Some(7)),
        ]);
    }

    #[test]
    fn the_same_index_says_that_nothing_has_changed() {
        check(&[(Some((6, "a")), true, Some(6)), (Some((6, "b")), false, Some(6))]);
        // What was not told is told with the next index.
        check(&[
            (Some((6, "a")), true, Some(6)),
            (Some((6, "b")), false, Some(6)),
            (Some((7, "b")), true, Some(7)),
        ]);
    }

    #[test]
    fn an_index_that_goes_back_is_waited_after() {
        check(&[
            (Some((7, "b")), true, Some(7)),
            (Some((3, "c")), true, Some(3)),
            (Some((4, "c")), false, Some(4)),
            (Some((2, "c")), false, Some(2)),
        ]);
    }

    #[test]
    fn an_agent_without_an_index_is_not_asked_without_end() {
        check(&[(Some((0, "d")), true, Some(1)), (Some((0, "d")), false, Some(1))]);
    }

    #[test]
    fn after_a_failure_the_first_answer_is_told_whatever_it_says() {
        check(&[
            (Some((5, "a")), true, Some(5)),
            (None, false, None),
            (Some((5, "a")), true, Some(5)),
        ]);
    }

    #[test]
    fn failures_are_paused_for_longer_and_longer_until_an_answer() {
        let mut progress = Progress::default();
        let pauses: Vec<_> = (0..7).map(|_| progress.failed().as_secs()).collect();
        assert_eq!(pauses, [5, 20, 45, 80, 125, 180, 180]);
        progress.answered(1, Value::Null);
        assert_eq!(progress.failed().as_secs(), 5);
        progress.failures = u32::MAX;
        assert_eq!(progress.failed().as_secs(), 180);
    }
}
