//! Chance that follows from what it is about, not from when it is asked.
//!
//! A generator hands out its numbers in the order it is asked; take one question away and every
//! later answer is another. Here a decision is a hash of its subject: the seventh message from one
//! server to another meets the same fate whatever else a plan has left out.

use tribune_base::time::Duration;

/// A source of decisions about one subject.
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Decisions about `subject`, in a run with this seed.
    pub fn about(seed: u64, subject: &[u64]) -> Self {
        Self(subject.iter().fold(mix(seed), |state, it| mix(state ^ it.wrapping_add(GOLDEN))))
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in `0..end`. `end` is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end != 0, "an empty range has no number to draw");
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// True `permille` times out of a thousand.
    pub fn permille(&mut self, permille: u64) -> bool {
        permille != 0 && self.below(1_000) < permille
    }

    /// A duration in `0..max`; zero if `max` is.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        let nanos = max.as_nanos() as u64;
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(self.below(nanos)) }
    }

    /// One of `items`, of which there are some.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// The finaliser of `SplitMix64`: every bit of the input moves every bit of the output.
pub fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[test]
fn a_decision_follows_from_its_subject() {
    let first = |subject: &[u64]| Dice::about(7, subject).draw();
    assert_eq!(first(&[1, 2, 3]), first(&[1, 2, 3]));
    assert_ne!(first(&[1, 2, 3]), first(&[1, 3, 2]));
    assert_ne!(first(&[0]), first(&[0, 0]));
}

#[test]
fn chances_are_about_right() {
    let hits = (0..10_000).filter(|n| Dice::about(1, &[*n]).permille(100)).count();
    assert!((900..1_100).contains(&hits), "{hits}");
}
