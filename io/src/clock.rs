//! The only reader of clocks.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant as TokioInstant;
use tribune_base::time::{Duration, Instant, WallTime};

/// Translates between the runtime's clock and the core's. Under a simulated runtime this is the
/// simulated clock; nothing here knows the difference.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: TokioInstant,
}

impl Clock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self { start: TokioInstant::now() }
    }

    /// The time, for the core.
    pub fn now(&self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    /// Wait until the core's `deadline`; for ever, if it is [`Instant::NEVER`].
    pub async fn sleep_until(&self, deadline: Instant) {
        // Tokio's timers end after some years, and adding to its clock must not overflow.
        let since_start = deadline.since_start().min(Duration::from_secs(365 * 86_400));
        tokio::time::sleep_until(self.start + since_start).await;
        if deadline == Instant::NEVER {
            std::future::pending::<()>().await;
        }
    }
}

/// What the clock on the wall says. Read once, when a node starts: from then on time is counted.
pub fn wall() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}

/// How long ago a file was last written; zero if its time lies ahead.
///
/// # Errors
///
/// It is not there, or cannot be looked at.
pub fn age(path: &Path) -> io::Result<Duration> {
    let written = fs::metadata(path)?.modified()?;
    Ok(SystemTime::now().duration_since(written).unwrap_or_default())
}
