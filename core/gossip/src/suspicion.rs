//! How long a suspect has to say that it lives: long if one member thinks so, short if several do
//! who came to it on their own (Lifeguard, section 3.B).

use tribune_base::bug;
use tribune_base::time::{Duration, Instant};

/// One member's doubt about another.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    start: Instant,
    min: Duration,
    max: Duration,
    /// How many others must agree before it takes no longer than `min`.
    wanted: usize,
    /// Who accused, as hashes of names: the first, and those who agreed.
    accusers: Vec<u64>,
    deadline: Instant,
}

impl Suspicion {
    /// `accuser` is the first. The suspect has until `max` from now, or until `min` if `wanted`
    /// others agree.
    pub(crate) fn new(
        now: Instant,
        accuser: u64,
        wanted: usize,
        min: Duration,
        max: Duration,
    ) -> Self {
        let deadline = now + if wanted == 0 { min } else { max };
        Self { start: now, min, max, wanted, accusers: vec![accuser], deadline }
    }

    /// Somebody accuses. Whether that is news, which is worth telling.
    pub(crate) fn confirm(&mut self, accuser: u64) -> bool {
        let known = self.accusers.contains(&accuser) && !bug!(G07);
        if known || self.wanted <= self.confirmations() {
            return false;
        }
        self.accusers.push(accuser);
        let share = (self.confirmations() as f64 + 1.0).ln() / (self.wanted as f64 + 1.0).ln();
        let timeout = self.max.saturating_sub((self.max - self.min).mul_f64(share)).max(self.min);
        // Never later than it was: it may have been put off meanwhile, see `delay`.
        self.deadline = self.deadline.min(self.start + timeout);
        true
    }

    /// We were not there for a while, and may have missed the answer.
    pub(crate) fn delay(&mut self, by: Duration) {
        self.start = self.start + by;
        self.deadline = self.deadline + by;
    }

    /// When it turns into certainty.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    fn confirmations(&self) -> usize {
        self.accusers.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sequence of deadlines, in seconds, as `accusers` come one after the other.
    fn deadlines(wanted: usize, accusers: &[u64]) -> Vec<f64> {
        let (min, max) = (Duration::from_secs(2), Duration::from_secs(30));
        let mut suspicion = Suspicion::new(Instant::START, 0, wanted, min, max);
        let mut deadlines = vec![suspicion.deadline().since_start().as_secs_f64()];
        for accuser in accusers {
            suspicion.confirm(*accuser);
            let seconds = suspicion.deadline().since_start().as_secs_f64();
            deadlines.push((seconds * 10.0).round() / 10.0);
        }
        deadlines
    }

    #[test]
    fn each_independent_accuser_makes_it_shorter_and_the_first_most() {
        assert_eq!(deadlines(3, &[1, 2, 3, 4]), [30.0, 16.0, 7.8, 2.0, 2.0]);
        assert_eq!(deadlines(2, &[1, 2]), [30.0, 12.3, 2.0]);
    }

    #[test]
    fn the_same_accuser_again_is_no_news() {
        assert_eq!(deadlines(3, &[0, 1, 1, 0]), [30.0, 30.0, 16.0, 16.0, 16.0]);
    }

    #[test]
    fn in_a_pool_where_nobody_could_agree_it_is_short_at_once() {
        assert_eq!(deadlines(0, &[1]), [2.0, 2.0]);
    }

    #[cfg(feature = "planted-bugs")]
    #[test]
    fn a_planted_bug_is_noticed() {
        use tribune_base::bug::{self, Bug};
        let test = the_same_accuser_again_is_no_news;
        let noticed = bug::with(Bug::G07, || std::panic::catch_unwind(test).is_err());
        assert!(noticed, "the same accuser counted twice");
    }
}
