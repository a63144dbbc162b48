//! Checks that somebody reports to, and what it means if they stop.

use tribune_base::time::{Duration, Instant};

/// The time until a report is missed.
#[derive(Debug)]
pub(crate) struct Ttl {
    ttl: Duration,
    /// None once it was missed, until the next report.
    expires: Option<Instant>,
}

impl Ttl {
    /// Time starts to run with the registration.
    pub(crate) fn new(now: Instant, ttl: Duration) -> Self {
        Self { ttl, expires: Some(now + ttl) }
    }

    /// Somebody reported.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.expires = Some(now + self.ttl);
    }

    /// The last report was made this long before `now`. True if it still counts.
    pub(crate) fn resume(&mut self, now: Instant, age: Duration) -> bool {
        let Some(rest) = self.ttl.checked_sub(age).filter(|it| !it.is_zero()) else {
            return false;
        };
        self.expires = Some(now + rest);
        true
    }

    /// When the next report is missed.
    pub(crate) fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// True, once, if a report was missed.
    pub(crate) fn take_expired(&mut self, now: Instant) -> bool {
        self.expires.take_if(|it| *it <= now).is_some()
    }
}

/// What a check says whose report was missed.
pub(crate) fn expired_output(last: &str) -> String {
    // What an expiry left behind is not the last report.
    if last.is_empty() || last == EXPIRED || last.starts_with(EXPIRED_AFTER) {
        return if last.is_empty() { EXPIRED.to_owned() } else { last.to_owned() };
    }
    format!("{EXPIRED_AFTER}{last}")
}

const EXPIRED: &str = "TTL expired";
const EXPIRED_AFTER: &str = "TTL expired (last output before timeout follows): ";

#[test]
fn a_report_is_missed_once() {
    let at = |seconds| Instant::from_start(Duration::from_secs(seconds));
    let mut ttl = Ttl::new(at(0), Duration::from_secs(10));
    assert!(!ttl.take_expired(at(9)));
    ttl.renew(at(9));
    assert!(!ttl.take_expired(at(18)));
    assert!(ttl.take_expired(at(19)));
    assert!(!ttl.take_expired(at(99)), "missed twice");
    ttl.renew(at(100));
    assert_eq!(ttl.expires(), Some(at(110)));
}

#[test]
fn a_report_before_a_restart_counts_for_the_rest_of_its_time() {
    let at = |seconds| Instant::from_start(Duration::from_secs(seconds));
    let mut ttl = Ttl::new(at(5), Duration::from_secs(10));
    assert!(ttl.resume(at(5), Duration::from_secs(7)));
    assert_eq!(ttl.expires(), Some(at(8)));
    assert!(!ttl.resume(at(5), Duration::from_secs(10)));
}

#[test]
fn the_last_report_is_kept() {
    assert_eq!(expired_output(""), "TTL expired");
    let text = "TTL expired (last output before timeout follows): disk full";
    assert_eq!(expired_output("disk full"), text);
    assert_eq!(expired_output(text), text);
}
