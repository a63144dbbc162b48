//! Who is probed next: everybody once per round, in an order that is random, different for each
//! member and each round, and stored nowhere (SWIM, section 4.3).
//!
//! The order of a round is a permutation computed from a key: a small Feistel network over the
//! next even number of bits, walked until it lands inside (Black and Rogaway, 2002). A list would
//! cost four bytes per member in each of ten thousand simulated members, and a pause at the end of
//! each round.

use tribune_base::bug;
use tribune_base::rng::Rng;

/// An order of places, round after round.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Order {
    key: u64,
    /// How many places this round has.
    len: u32,
    next: u32,
}

impl Order {
    /// The next place of `0..len`. Places that were added since the round began wait for the next
    /// one. `len` is not zero.
    pub(crate) fn next(&mut self, len: u32, rng: &mut Rng) -> u32 {
        if self.len <= self.next {
            *self = Self { key: rng.draw(), len, next: 0 };
        }
        let place = if bug!(G04) { self.next } else { permute(self.key, self.len, self.next) };
        self.next += 1;
        place
    }
}

/// Where `at` stands in the order of `0..len` that belongs to `key`.
fn permute(key: u64, len: u32, at: u32) -> u32 {
    let half = (32 - (len - 1).leading_zeros()).div_ceil(2).max(1);
    let mask = (1_u64 << half) - 1;
    let mut value = u64::from(at);
    loop {
        let (mut left, mut right) = (value >> half, value & mask);
        for round in 0..4 {
            let mixed = (right ^ key.rotate_left(round * 16)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (left, right) = (right, left ^ ((mixed ^ key) >> 40) & mask);
        }
        value = left << half | right;
        // At most three quarters of the places that the bits could name are outside.
        if value < u64::from(len) {
            return value as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_everybody_once() {
        let mut rng = Rng::new(1);
        for len in [1, 2, 3, 4, 5, 16, 17, 100, 1_000] {
            let mut order = Order::default();
            for _ in 0..3 {
                let mut round: Vec<_> = (0..len).map(|_| order.next(len, &mut rng)).collect();
                round.sort_unstable();
                assert!(round.into_iter().eq(0..len), "{len}");
            }
        }
    }

    #[test]
    fn members_do_not_probe_in_step() {
        // Who is first in a round of a hundred is anybody, over a thousand rounds.
        let mut firsts = [0; 100];
        for seed in 0..1_000 {
            firsts[Order::default().next(100, &mut Rng::new(seed)) as usize] += 1;
        }
        assert!(firsts.iter().all(|it| *it < 40), "{firsts:?}");
        assert!(80 < firsts.iter().filter(|it| **it != 0).count(), "{firsts:?}");
    }

    #[test]
    fn who_joins_in_the_middle_of_a_round_waits_for_the_next() {
        let (mut rng, mut order) = (Rng::new(2), Order::default());
        order.next(3, &mut rng);
        let rest = [order.next(5, &mut rng), order.next(5, &mut rng)];
        assert!(rest.iter().all(|it| *it < 3));
        let mut round: Vec<_> = (0..5).map(|_| order.next(5, &mut rng)).collect();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3, 4]);
    }
}
