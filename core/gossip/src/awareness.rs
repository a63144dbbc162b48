//! How well we are ourselves (Lifeguard, section 3.A): whoever misses answers that others get
//! should doubt itself first, and take more time before it accuses anybody.

use tribune_base::time::Duration;

/// The local health score: 0 is well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Awareness {
    score: u32,
    /// Invariant: `score < max`.
    max: u32,
}

impl Awareness {
    /// Well. With a `max` of one it stays so.
    pub(crate) fn new(max: u32) -> Self {
        Self { score: 0, max: max.max(1) }
    }

    /// Better, if negative; worse, if positive.
    pub(crate) fn apply(&mut self, delta: i32) {
        self.score = self.score.saturating_add_signed(delta).min(self.max - 1);
    }

    pub(crate) const fn score(self) -> u32 {
        self.score
    }

    /// As much longer as we are unwell.
    pub(crate) fn scale(self, timeout: Duration) -> Duration {
        timeout * (self.score + 1)
    }
}

#[test]
fn the_score_stays_within_its_bounds() {
    let mut awareness = Awareness::new(8);
    awareness.apply(-1);
    assert_eq!(awareness.score(), 0);
    awareness.apply(100);
    assert_eq!(awareness.score(), 7);
    assert_eq!(awareness.scale(Duration::from_secs(1)), Duration::from_secs(8));
    let mut indifferent = Awareness::new(1);
    indifferent.apply(1);
    assert_eq!(indifferent.score(), 0);
}
