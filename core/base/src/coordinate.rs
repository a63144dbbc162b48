//! Network coordinates: where an agent is, as far as round-trip times can tell (Vivaldi, Dabek and
//! others, 2004; with the height, adjustment and gravity that came after it).
//!
//! Each agent moves a point of its own through a space of eight dimensions, a little with each
//! round trip it measures, until distances are times. Then the time between two agents that never
//! spoke is the distance of their points.

use crate::time::Duration;

/// How many dimensions the space has.
pub const DIMENSIONS: usize = 8;

/// A point in the space. Everything is in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coordinate {
    /// Where in the Euclidean part.
    pub vec: [f64; DIMENSIONS],
    /// How little this is to be believed: 0 is certain, [`ERROR_MAX`] is a guess.
    pub error: f64,
    /// What distances to others have been off by, on average, halved.
    pub adjustment: f64,
    /// The way out of the host and its access network, which every path has to go.
    pub height: f64,
}

impl Default for Coordinate {
    fn default() -> Self {
        Self { vec: [0.0; DIMENSIONS], error: ERROR_MAX, adjustment: 0.0, height: HEIGHT_MIN }
    }
}

impl Coordinate {
    /// Whether all of it are numbers.
    pub fn is_valid(&self) -> bool {
        self.vec
            .iter()
            .chain([&self.error, &self.adjustment, &self.height])
            .all(|it| it.is_finite())
    }

    /// The round-trip time that is to be expected between two points.
    pub fn distance(&self, other: &Self) -> Duration {
        Duration::try_from_secs_f64(self.seconds_to(other)).unwrap_or(RTT_MAX)
    }

    fn seconds_to(&self, other: &Self) -> f64 {
        let raw = self.raw_seconds_to(other);
        let adjusted = raw + self.adjustment + other.adjustment;
        if 0.0 < adjusted { adjusted } else { raw }
    }

    fn raw_seconds_to(&self, other: &Self) -> f64 {
        magnitude(&difference(&self.vec, &other.vec)) + self.height + other.height
    }

    /// Pushed away from `other` by so many seconds; drawn to it, if that is negative.
    fn pushed(mut self, force: f64, other: &Self, random: impl FnMut() -> f64) -> Self {
        let mut direction = difference(&self.vec, &other.vec);
        let mut length = magnitude(&direction);
        let apart = ZERO < length;
        if !apart {
            // Two points in one place: any direction will do.
            let mut random = random;
            direction = std::array::from_fn(|_| random() - 0.5);
            length = magnitude(&direction).max(ZERO);
        }
        for (at, step) in self.vec.iter_mut().zip(direction) {
            *at += step / length * force;
        }
        if apart {
            self.height += (self.height + other.height) * force / length;
            self.height = self.height.max(HEIGHT_MIN);
        }
        self
    }
}

/// An agent's own point, and what moves it.
#[derive(Clone, Debug, Default)]
pub struct Vivaldi {
    coordinate: Coordinate,
    /// The last differences between measured and expected times, in a ring.
    differences: [f32; ADJUSTMENT_WINDOW],
    next: usize,
}

/// The last few round-trip times to one peer: their median is believed, so that a single outlier
/// moves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    samples: [f32; LATENCY_SAMPLES],
    count: u8,
}

impl Vivaldi {
    /// Where the agent is.
    pub const fn coordinate(&self) -> &Coordinate {
        &self.coordinate
    }

    /// A peer at `other` answered; `latency` tells how soon it usually does. `random` draws from
    /// `0.0..1.0`. Returns whether it was believed.
    pub fn update(
        &mut self,
        other: &Coordinate,
        latency: &Latency,
        mut random: impl FnMut() -> f64,
    ) -> bool {
        let rtt = latency.median();
        if !other.is_valid() || !(0.0..=RTT_MAX.as_secs_f64()).contains(&rtt) {
            return false;
        }
        let rtt = rtt.max(ZERO);
        let mut moved = self.spring(other, rtt, &mut random);
        self.differences[self.next % ADJUSTMENT_WINDOW] =
            (rtt - moved.raw_seconds_to(other)) as f32;
        self.next = self.next.wrapping_add(1);
        let sum: f64 = self.differences.iter().map(|it| f64::from(*it)).sum();
        moved.adjustment = sum / (2.0 * ADJUSTMENT_WINDOW as f64);
        // Everything is drawn to the middle, weakly, so that the whole does not drift away.
        let origin = Coordinate::default();
        let pull = -(moved.raw_seconds_to(&origin) / GRAVITY_RHO).powi(2);
        moved = moved.pushed(pull, &origin, random);
        self.coordinate = if moved.is_valid() { moved } else { Coordinate::default() };
        true
    }

    /// One step of the algorithm of the paper's figure 3.
    fn spring(&self, other: &Coordinate, rtt: f64, random: impl FnMut() -> f64) -> Coordinate {
        let mut moved = self.coordinate;
        let expected = moved.seconds_to(other);
        let wrong = (expected - rtt).abs() / rtt;
        let weight = moved.error / (moved.error + other.error).max(ZERO);
        let trust = ERROR_STEP * weight;
        moved.error = (trust * wrong + moved.error * (1.0 - trust)).min(ERROR_MAX);
        moved.pushed(POSITION_STEP * weight * (rtt - expected), other, random)
    }
}

impl Latency {
    /// One more round trip.
    pub const fn record(&mut self, rtt: Duration) {
        self.samples[self.count as usize % LATENCY_SAMPLES] = rtt.as_secs_f32();
        // From three on it only matters where in the ring the next one goes.
        self.count = if self.count == 5 { 3 } else { self.count + 1 };
    }

    /// The middle one of the last few, in seconds.
    fn median(&self) -> f64 {
        let mut samples = self.samples;
        let known = &mut samples[..LATENCY_SAMPLES.min(self.count.into())];
        known.sort_by(f32::total_cmp);
        known.get(known.len() / 2).map_or(f64::NAN, |it| f64::from(*it))
    }
}

fn difference(a: &[f64; DIMENSIONS], b: &[f64; DIMENSIONS]) -> [f64; DIMENSIONS] {
    std::array::from_fn(|n| a[n] - b[n])
}

fn magnitude(vec: &[f64; DIMENSIONS]) -> f64 {
    vec.iter().map(|it| it * it).sum::<f64>().sqrt()
}

/// The error of a point that knows nothing.
pub const ERROR_MAX: f64 = 1.5;
/// The least height: nobody is closer to the network than that.
pub const HEIGHT_MIN: f64 = 10.0e-6;
/// Longer round trips than this are mistakes of the clock or of the peer.
pub const RTT_MAX: Duration = Duration::from_secs(10);
/// How much of its error a point gives up or takes on at a time (the paper's `c_e`).
const ERROR_STEP: f64 = 0.25;
/// How far towards the right place a point moves at a time (the paper's `c_c`).
const POSITION_STEP: f64 = 0.25;
const ADJUSTMENT_WINDOW: usize = 20;
const LATENCY_SAMPLES: usize = 3;
/// The greater, the weaker the pull to the middle.
const GRAVITY_RHO: f64 = 150.0;
/// Less than this is nothing.
const ZERO: f64 = 1.0e-6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn at(x: f64, height: f64) -> Coordinate {
        let mut coordinate = Coordinate { height, ..Coordinate::default() };
        coordinate.vec[0] = x;
        coordinate
    }

    #[test]
    fn distances_are_the_way_out_and_the_way_between() {
        let (a, b) = (at(0.0, 0.001), at(0.010, 0.002));
        assert_eq!(a.distance(&b), Duration::from_millis(13));
        let off = Coordinate { adjustment: 0.001, ..b };
        assert_eq!(a.distance(&off), Duration::from_millis(14));
        let absurd = Coordinate { adjustment: -1.0, ..b };
        assert_eq!(a.distance(&absurd), Duration::from_millis(13), "no time is negative");
    }

    #[test]
    fn one_outlier_moves_nothing() {
        let mut latency = Latency::default();
        for ms in [10, 900, 11] {
            latency.record(Duration::from_millis(ms));
        }
        assert!((latency.median() - 0.011).abs() < 1e-6);
    }

    #[test]
    fn nonsense_is_not_believed() {
        let mut me = Vivaldi::default();
        let mut latency = Latency::default();
        assert!(!me.update(&Coordinate::default(), &latency, || 0.5), "nothing was measured");
        latency.record(Duration::from_secs(11));
        assert!(!me.update(&Coordinate::default(), &latency, || 0.5), "that is too long");
        latency = Latency::default();
        latency.record(Duration::from_millis(1));
        assert!(!me.update(&at(f64::NAN, 0.0), &latency, || 0.5));
        assert_eq!(*me.coordinate(), Coordinate::default());
    }

    /// Twenty agents on a line, each a millisecond from the next.
    #[test]
    fn points_come_to_stand_as_far_apart_as_round_trips_take() {
        const COUNT: usize = 20;
        let mut rng = Rng::new(7);
        let mut agents: Vec<_> = (0..COUNT).map(|_| Vivaldi::default()).collect();
        let mut latencies = vec![[Latency::default(); COUNT]; COUNT];
        let truth = |a: usize, b: usize| Duration::from_millis(1 + a.abs_diff(b) as u64);
        for _ in 0..40_000 {
            let (a, b) = (rng.below(COUNT as u64) as usize, rng.below(COUNT as u64) as usize);
            if a == b {
                continue;
            }
            latencies[a][b].record(truth(a, b));
            let other = *agents[b].coordinate();
            let random = || rng.below(1 << 20) as f64 / f64::from(1 << 20);
            assert!(agents[a].update(&other, &latencies[a][b], random));
        }
        let mut wrong = Vec::new();
        for a in 0..COUNT {
            for b in 0..a {
                let told = agents[a].coordinate().distance(agents[b].coordinate()).as_secs_f64();
                let truth = truth(a, b).as_secs_f64();
                wrong.push((told - truth).abs() / truth);
            }
        }
        wrong.sort_by(f64::total_cmp);
        assert!(wrong[wrong.len() / 2] < 0.1, "half of them are off by {}", wrong[wrong.len() / 2]);
    }
}
