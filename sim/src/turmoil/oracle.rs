//! What must hold, watched from outside: by what clients were told, and nothing else.

use std::collections::BTreeMap;

/// What clients know about a few keys, each written by one client only, with values that count up.
///
/// * **Acknowledged writes survive** (WA-1): a key never shows less than what was acknowledged.
/// * **No phantom** (KV-2): it never shows more than what was attempted.
/// * **Monotonic reads** (KV-1): it never goes back, over any number of crashes.
/// * **Indexes never go back** (BQ-2): not that of any one key.
#[derive(Debug, Default)]
pub struct Oracle {
    keys: BTreeMap<String, Known>,
}

/// What was known of a key at some time: linearizable reads that begin later show no less.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Floor {
    value: u64,
    index: u64,
}

#[derive(Debug, Default)]
struct Known {
    attempted: u64,
    acknowledged: u64,
    seen: u64,
    index: u64,
}

impl Oracle {
    /// A client is about to write `value`, greater than all before.
    pub fn attempt(&mut self, key: &str, value: u64) {
        let known = self.keys.entry(key.to_owned()).or_default();
        assert!(known.attempted < value, "a client counts up");
        known.attempted = value;
    }

    /// The agent said it has `value`.
    pub fn acknowledge(&mut self, key: &str, value: u64) {
        let known = self.keys.get_mut(key).expect("attempted before");
        known.acknowledged = known.acknowledged.max(value);
    }

    /// A read that began after everything noted so far returned `value`; zero for no such key.
    pub fn read(&mut self, key: &str, value: u64, index: u64) {
        let known = self.keys.entry(key.to_owned()).or_default();
        assert!(
            known.acknowledged <= value,
            "acknowledged {key}={} is lost: {value}",
            known.acknowledged
        );
        assert!(value <= known.attempted, "nobody wrote {key}={value}");
        assert!(known.seen <= value, "{key} went back from {} to {value}", known.seen);
        assert!(index != 0, "an index is never zero");
        assert!(
            known.index <= index,
            "the index of {key} went back from {} to {index}",
            known.index
        );
        known.seen = value;
        known.index = index;
    }

    /// What a read that begins now must show at least.
    pub fn floor(&self, key: &str) -> Floor {
        self.keys.get(key).map_or_else(Floor::default, |it| Floor {
            value: it.acknowledged.max(it.seen),
            index: it.index,
        })
    }

    /// A read that began when `floor` was taken returned `value`; zero for no such key.
    pub fn read_since(&mut self, key: &str, floor: Floor, value: u64, index: u64) {
        let known = self.keys.entry(key.to_owned()).or_default();
        assert!(
            floor.value <= value,
            "{key} was known to be {} and is {value}: an acknowledged write is lost, or the read \
             is stale",
            floor.value
        );
        assert!(value <= known.attempted, "nobody wrote {key}={value}");
        assert!(index != 0, "an index is never zero");
        assert!(
            floor.index <= index,
            "the index of {key} went back from {} to {index}",
            floor.index
        );
        known.seen = known.seen.max(value);
        known.index = known.index.max(index);
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.keys.values().map(|it| it.acknowledged).sum()
    }
}

#[test]
#[should_panic(expected = "acknowledged k=2 is lost: 1")]
fn a_lost_write_is_noticed() {
    let mut oracle = Oracle::default();
    oracle.attempt("k", 1);
    oracle.attempt("k", 2);
    oracle.acknowledge("k", 2);
    oracle.read("k", 1, 7);
}

#[test]
#[should_panic(expected = "nobody wrote k=3")]
fn a_phantom_is_noticed() {
    let mut oracle = Oracle::default();
    oracle.attempt("k", 1);
    oracle.read("k", 3, 7);
}

#[test]
#[should_panic(expected = "k went back from 2 to 1")]
fn going_back_is_noticed() {
    let mut oracle = Oracle::default();
    oracle.attempt("k", 2);
    oracle.read("k", 2, 7);
    oracle.read("k", 1, 7);
}
