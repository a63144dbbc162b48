//! Time, as an input.

use std::fmt;
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

impl fmt::Display for WallTime {
    /// To the second, in UTC (RFC 3339): `2026-01-02T03:04:05Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1_000;
        let (year, month, day) = date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The year, month and day of the day that begins `days` after the one that began 1970.
///
/// Counts in years that begin in March, so that the odd day is the last one, and in the 400 years
/// (146,097 days) after which the calendar repeats itself.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // From the first of March of year 0 to the beginning of 1970.
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the five after them.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

#[test]
fn never_stays_never() {
    assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
    assert_eq!(Instant::START.since(Instant::NEVER), Duration::ZERO);
}

#[test]
fn dates_as_people_write_them() {
    let cases = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400_000, "2000-02-29T00:00:00Z"),
        (951_868_799_999, "2000-02-29T23:59:59Z"),
        (951_868_800_000, "2000-03-01T00:00:00Z"),
        (1_767_323_045_678, "2026-01-02T03:04:05Z"),
        (1_798_761_599_000, "2026-12-31T23:59:59Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00Z"),
    ];
    for (millis, want) in cases {
        assert_eq!(WallTime(millis).to_string(), want, "{millis}");
    }
}
