//! Time without clocks (Lamport, 1978).

use std::fmt;

/// A Lamport time: greater than all that whoever chose it had heard of.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct LTime(pub u64);

/// Counts Lamport time. Never goes back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock(u64);

impl Clock {
    /// The last time that was chosen or heard of.
    pub(crate) const fn time(self) -> LTime {
        LTime(self.0)
    }

    /// A time later than all before.
    pub(crate) const fn tick(&mut self) -> LTime {
        self.0 += 1;
        LTime(self.0)
    }

    /// Somebody has chosen `time`.
    pub(crate) fn witness(&mut self, time: LTime) {
        self.0 = self.0.max(time.0);
    }
}

impl fmt::Display for LTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// No honest counter comes near this in the life of a pool, and counting on from here takes as long
/// again. Messages with greater numbers are not decoded.
pub(crate) const COUNTER_MAX: u64 = 1 << 53;
