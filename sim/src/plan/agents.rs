//! What goes wrong with client agents. It is drawn apart from everything else, so that a plan
//! without any of them is what it was before there were such things.

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::{Direction, FOREVER, Fault, Item, Knobs, Target, millis, moments, pick};
use crate::moment::Moment;

/// How many client agents there are: none in half of all plans.
pub(super) fn count(seed: u64) -> usize {
    let rng = &mut Rng::stream(seed, "agents");
    pick(rng, &[0, 0, 0, 0, 0, 1, 2, 3, 4, 5])
}

/// Draw their faults. Returns whether two of them have one name.
pub(super) fn draw(
    seed: u64,
    (servers, agents): (usize, usize),
    end: Moment,
    knobs: &mut Knobs,
    items: &mut Vec<Item>,
) -> bool {
    let rng = &mut Rng::stream(seed, "agents' faults");
    let secs = Duration::from_secs;
    knobs.sync = pick(rng, &[(secs(5), secs(1)), (secs(60), secs(15)), (secs(20), secs(3))]);
    knobs.reconnect = secs(5);
    let one = |rng: &mut Rng| Target::Server(servers + rng.below(agents as u64) as usize);
    if rng.chance(1, 2) {
        let gap = millis(rng, &[1_000, 5_000, 20_000]);
        let down = millis(rng, &[1, 500, 5_000, 20_000]);
        let forever = rng.chance(1, 4);
        for at in moments(rng, gap, end) {
            let target = one(rng);
            let down = if forever && rng.chance(1, 4) {
                FOREVER
            } else {
                Duration::from_millis(1) + rng.up_to(down * 2)
            };
            items.push(Item { at, what: Fault::Crash { target, down } });
        }
    }
    if rng.chance(1, 3) {
        let (gap, length) = (millis(rng, &[2_000, 10_000]), millis(rng, &[500, 5_000, 20_000]));
        for at in moments(rng, gap + length, end) {
            let direction = pick(rng, &[Direction::Both, Direction::From, Direction::To]);
            let (target, length) = (one(rng), rng.jitter(length / 2));
            items.push(Item { at, what: Fault::Isolate { target, direction, length } });
        }
    }
    if rng.chance(1, 5) {
        let (gap, length) = (millis(rng, &[2_000, 10_000]), millis(rng, &[100, 1_500, 10_000]));
        for at in moments(rng, gap + length, end) {
            let (target, length) = (one(rng), rng.jitter(length / 2));
            items.push(Item { at, what: Fault::Pause { target, length } });
        }
    }
    2 <= agents && rng.chance(1, 6)
}
