//! What clients of all datacenters know of keys, each written by one of them, with values that say
//! where they belong and count up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::verdict::Verdicts;

/// What is known of all keys. A clone knows the same.
#[derive(Clone, Debug)]
pub struct Ledger {
    verdicts: Verdicts,
    keys: Rc<RefCell<BTreeMap<String, Known>>>,
}

/// What was known of a key at some time: reads that begin later show no less.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Floor {
    count: u64,
    index: u64,
}

#[derive(Debug, Default)]
struct Known {
    attempted: u64,
    acknowledged: u64,
    seen: u64,
    index: u64,
    /// What has not happened, and cannot any more: its client was told so.
    refused: BTreeSet<u64>,
    /// At which index which value was written.
    written: BTreeMap<u64, u64>,
}

impl Ledger {
    /// One that finds out for `verdicts`.
    pub fn new(verdicts: Verdicts) -> Self {
        Self { verdicts, keys: Rc::default() }
    }

    /// The value that the owner of `key` writes next, and its number.
    pub fn attempt(&self, key: &str) -> (u64, String) {
        let mut keys = self.keys.borrow_mut();
        let known = keys.entry(key.to_owned()).or_default();
        known.attempted += 1;
        (known.attempted, value(key, known.attempted))
    }

    /// It was told that this has happened.
    pub fn acknowledge(&self, key: &str, count: u64) {
        if let Some(known) = self.keys.borrow_mut().get_mut(key) {
            known.acknowledged = known.acknowledged.max(count);
        }
    }

    /// It was told that this has not happened, and will not.
    pub fn refuse(&self, key: &str, count: u64) {
        let mut keys = self.keys.borrow_mut();
        let Some(known) = keys.get_mut(key) else { return };
        known.refused.insert(count);
        let (seen, index) = (known.seen, known.index);
        self.verdicts.check("MD-3", seen != count, || {
            format!("{key} = {count} was refused and has happened, at {index}")
        });
    }

    /// What a read of `key` that begins now must show at least.
    pub fn floor(&self, key: &str) -> Floor {
        self.keys.borrow().get(key).map_or_else(Floor::default, |it| Floor {
            count: it.acknowledged.max(it.seen),
            index: it.index,
        })
    }

    /// A read of `key` that began when `floor` was taken showed `text` at `index`; nothing, if there
    /// is no such key. `who` has read.
    pub fn read(&self, key: &str, floor: Floor, (text, index): (Option<&str>, u64), who: &str) {
        let check = |id, holds, text: &dyn Fn() -> String| self.verdicts.check(id, holds, text);
        let count = match text {
            None => 0,
            Some(text) => {
                let count = number(key, text);
                check("MD-1", count.is_some(), &|| format!("{who}: {key} = {text:?}"));
                let Some(count) = count else { return };
                count
            }
        };
        let mut keys = self.keys.borrow_mut();
        let known = keys.entry(key.to_owned()).or_default();
        check("KV-2", floor.count <= count, &|| {
            let known = floor.count;
            format!(
                "{who}: {key} was known to be {known} and is {count}: a write is lost, or stale"
            )
        });
        check("MD-3", count <= known.attempted, &|| format!("{who}: nobody wrote {key} = {count}"));
        check("MD-3", !known.refused.contains(&count), &|| {
            format!("{who}: {key} = {count} was refused and has happened, at {index}")
        });
        check("BQ-2", index != 0 && floor.index <= index, &|| {
            format!("{who}: the index of {key} went back from {} to {index}", floor.index)
        });
        if count != 0 {
            let at = *known.written.entry(count).or_insert(index);
            check("MD-1", at == index, &|| {
                format!("{who}: {key} = {count} is at {index} here, and at {at} elsewhere")
            });
        }
        known.seen = known.seen.max(count);
        known.index = known.index.max(index);
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.keys.borrow().values().map(|it| it.acknowledged).sum()
    }
}

fn value(key: &str, count: u64) -> String {
    format!("{key} {count}")
}

fn number(key: &str, text: &str) -> Option<u64> {
    text.strip_prefix(key)?.trim_start().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(tell: impl FnOnce(&Ledger)) -> Vec<&'static str> {
        let verdicts = Verdicts::default();
        let ledger = Ledger::new(verdicts.clone());
        for _ in 0..3 {
            ledger.attempt("dc2/dc1");
        }
        ledger.acknowledge("dc2/dc1", 2);
        tell(&ledger);
        verdicts.violations().iter().map(|it| it.id).collect()
    }

    fn read(ledger: &Ledger, text: Option<&str>, index: u64) {
        ledger.read("dc2/dc1", ledger.floor("dc2/dc1"), (text, index), "somebody");
    }

    #[test]
    fn what_is_true_breaks_nothing() {
        let tell = |ledger: &Ledger| {
            read(ledger, Some("dc2/dc1 2"), 7);
            ledger.refuse("dc2/dc1", 1);
            read(ledger, Some("dc2/dc1 3"), 9);
        };
        assert_eq!(broken(tell), Vec::<&str>::new());
    }

    #[test]
    fn each_lie_has_its_name() {
        assert_eq!(broken(|it| read(it, Some("dc1/dc1 2"), 7)), ["MD-1"]);
        assert_eq!(broken(|it| read(it, Some("dc2/dc1 1"), 7)), ["KV-2"]);
        assert_eq!(broken(|it| read(it, None, 7)), ["KV-2"]);
        assert_eq!(broken(|it| read(it, Some("dc2/dc1 4"), 7)), ["MD-3"]);
        assert_eq!(broken(|it| read(it, Some("dc2/dc1 2"), 0)), ["BQ-2"]);
        let elsewhere = |it: &Ledger| {
            read(it, Some("dc2/dc1 2"), 7);
            read(it, Some("dc2/dc1 2"), 8);
        };
        assert_eq!(broken(elsewhere), ["MD-1"]);
        let refused = |it: &Ledger| {
            it.refuse("dc2/dc1", 3);
            read(it, Some("dc2/dc1 3"), 7);
        };
        assert_eq!(broken(refused), ["MD-3"]);
    }
}
