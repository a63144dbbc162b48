//! What the weather between datacenters costs those who have nothing to do with it.

use std::fmt;

use tribune_base::time::Duration;

use super::verdict::Verdicts;

/// How long requests took that stayed at home.
#[derive(Debug, Default)]
pub(super) struct AtHome {
    calm: Vec<Duration>,
    foul: Vec<Duration>,
}

/// How long most of them took, and the slowest.
#[derive(Clone, Copy, Debug)]
struct Spread {
    median: Duration,
    longest: Duration,
}

impl AtHome {
    /// One has taken so long, while the weather was `foul` somewhere.
    pub(super) fn took(&mut self, took: Duration, foul: bool) {
        if foul { &mut self.foul } else { &mut self.calm }.push(took);
    }

    /// Whether foul weather has cost them anything.
    pub(super) fn judge(&mut self, verdicts: &Verdicts) {
        let (calm, foul) = (Spread::of(&mut self.calm), Spread::of(&mut self.foul));
        let unchanged = |calm: Duration, foul: Duration, always: Duration| {
            foul <= (calm + calm / 2).max(calm + always)
        };
        let fair = unchanged(calm.median, foul.median, TICKS)
            && unchanged(calm.longest, foul.longest, SLOWEST);
        verdicts.check("MD-2", fair, || {
            format!("requests at home took {calm}, and {foul} while others suffered")
        });
    }
}

impl Spread {
    fn of(all: &mut [Duration]) -> Self {
        all.sort_unstable();
        let median = all.get(all.len() / 2).copied().unwrap_or_default();
        Self { median, longest: all.last().copied().unwrap_or_default() }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, at most {:?}", self.median, self.longest)
    }
}

/// What may come and go with the steps of simulated time.
const TICKS: Duration = Duration::from_millis(2);

/// What one of them may take more than all the others, because it met an election of its own
/// datacenter's, or a full queue.
const SLOWEST: Duration = Duration::from_millis(100);

#[test]
fn what_costs_more_in_foul_weather_is_told() {
    let judge = |foul: &[u64]| {
        let (mut at_home, verdicts) = (AtHome::default(), Verdicts::default());
        for took in [10, 12, 14, 40] {
            at_home.took(Duration::from_millis(took), false);
        }
        for took in foul {
            at_home.took(Duration::from_millis(*took), true);
        }
        at_home.judge(&verdicts);
        verdicts.are_broken()
    };
    assert!(!judge(&[]), "there was none");
    assert!(!judge(&[11, 12, 15, 60]));
    assert!(judge(&[22, 22, 22, 22]), "most are slower");
    assert!(judge(&[10, 12, 14, 200]), "one is");
}
