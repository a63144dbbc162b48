//! Entropy, as an input: everything random in a machine follows from the seed it was built with.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng};

use crate::hash::fnv1a;
use crate::time::Duration;

/// A seeded generator. Not for secrets: those are drawn by the shell and arrive with a request.
#[derive(Clone, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// A generator whose every draw follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A generator for one concern, independent of the others: a draw more here moves none there.
    pub fn stream(seed: u64, concern: &str) -> Self {
        // Any mixing does: the generator's own seeding spreads it.
        Self::new(seed ^ fnv1a(concern.as_bytes()))
    }

    /// 64 random bits.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..end`. `end` is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end != 0, "an empty range has no number to draw");
        // Lemire's multiplication; its bias is below 2^-32 for every range used here.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// True `numerator` times out of `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// A duration in `0..max`; zero if `max` is.
    pub fn up_to(&mut self, max: Duration) -> Duration {
        let nanos = u64::try_from(max.as_nanos()).unwrap_or(u64::MAX);
        if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(self.below(nanos)) }
    }

    /// `base`, and up to as much again: Raft's randomised timeouts (section 5.2).
    pub fn jitter(&mut self, base: Duration) -> Duration {
        base + self.up_to(base)
    }

    /// Put `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u64 + 1) as usize);
        }
    }
}

#[test]
fn the_seed_decides() {
    let first = |seed| Rng::new(seed).draw();
    assert_eq!(first(7), first(7));
    assert_ne!(first(7), first(8));
    assert_ne!(Rng::stream(7, "disk").draw(), Rng::stream(7, "network").draw());
}

#[test]
fn a_shuffle_keeps_everything() {
    let mut items: Vec<_> = (0..100).collect();
    Rng::new(1).shuffle(&mut items);
    assert!(!items.is_sorted());
    items.sort_unstable();
    assert!(items.into_iter().eq(0..100));
}

#[test]
fn jitter_stays_between_once_and_twice() {
    let mut rng = Rng::new(3);
    let base = Duration::from_millis(10);
    for _ in 0..1_000 {
        let drawn = rng.jitter(base);
        assert!(base <= drawn && drawn < base * 2);
    }
    assert_eq!(rng.up_to(Duration::ZERO), Duration::ZERO);
}
