//! Time in a simulated world, and the clocks of its servers, which need not agree with it.

use std::fmt;
use std::ops::Add;

use tribune_base::time::{Duration, Instant};

/// A moment of a run: nanoseconds since it began.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(pub u64);

impl Moment {
    /// Later than everything that happens.
    pub const NEVER: Self = Self(u64::MAX);

    /// How long after `earlier` this is; zero if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5}.{:06}", self.0 / 1_000_000_000, self.0 / 1_000 % 1_000_000)
    }
}

/// The clock of one server: it starts with the server, and may go fast or slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// A moment and what the clock showed then, in nanoseconds.
    anchor: (Moment, u64),
    /// Thousandths of the true speed.
    rate: u64,
}

impl Clock {
    /// A clock that shows zero `now`.
    pub(crate) const fn start(now: Moment, rate: u64) -> Self {
        Self { anchor: (now, 0), rate }
    }

    /// From now on the clock goes at another speed. It does not jump.
    pub(crate) const fn set_rate(&mut self, now: Moment, rate: u64) {
        self.anchor = (now, self.nanos(now));
        self.rate = rate;
    }

    const fn nanos(&self, now: Moment) -> u64 {
        let elapsed = (now.0 - self.anchor.0.0) as u128 * self.rate as u128 / 1_000;
        self.anchor.1 + elapsed as u64
    }

    /// What the clock shows.
    pub(crate) const fn local(&self, now: Moment) -> Instant {
        Instant::from_start(Duration::from_nanos(self.nanos(now)))
    }

    /// The first moment at which the clock shows `local`, or that it is later.
    pub(crate) fn global(&self, local: Instant) -> Moment {
        let Ok(nanos) = u64::try_from(local.since_start().as_nanos()) else {
            return Moment::NEVER;
        };
        let left = nanos.saturating_sub(self.anchor.1);
        let elapsed = (u128::from(left) * 1_000).div_ceil(u128::from(self.rate));
        Moment(self.anchor.0.0.saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }
}

#[test]
fn a_deadline_has_come_when_the_clock_says_so() {
    for rate in [500, 999, 1_000, 1_001, 2_000] {
        let mut clock = Clock::start(Moment(17), rate);
        clock.set_rate(Moment(1_000_003), rate);
        for nanos in [0, 1, 2, 333, 1_000_000, 123_456_789_123] {
            let deadline = Instant::from_start(Duration::from_nanos(nanos));
            let at = clock.global(deadline);
            assert!(deadline <= clock.local(at.max(Moment(1_000_003))), "{rate} {nanos}");
        }
    }
    assert_eq!(Clock::start(Moment(1), 1_000).global(Instant::NEVER), Moment::NEVER);
}
