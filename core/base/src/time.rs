//! Time, as an input.

use std::ops::{Add, Sub};

pub use std::time::Duration;

/// A moment, counted from the start of the node. Can be built, compared and written into a golden
/// file, which the standard library's cannot.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Instant(Duration);

impl Instant {
    /// When the node started.
    pub const START: Self = Self(Duration::ZERO);

    /// Later than everything that happens.
    pub const NEVER: Self = Self(Duration::MAX);

    /// The moment `elapsed` after the start.
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the start this is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    /// Stops at the start.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

/// Milliseconds since 1970, by the clock on the wall. Exists only inside commands, stamped by the
/// leader, and in what people read; nothing is ever decided by comparing it with a clock.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct WallTime(pub u64);

#[test]
fn never_stays_never() {
    assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
    assert_eq!(Instant::START.since(Instant::NEVER), Duration::ZERO);
}
