//! What is going to happen, in order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::moment::Moment;

/// Events by time, and by order of arrival among those of one time. Keys are small and move;
/// events stay in their slots.
///
/// The keys are in a calendar queue (Brown, 1988): a page for each span of time, of which only the
/// first is in order. Most events are put on a page and wait there untouched, where a heap would
/// move them up and down. The pages are in a tree, so that empty ones cost nothing.
#[derive(Debug)]
pub(crate) struct Heap<E> {
    /// The page that is being worked off, the next event last. Invariant: not empty unless there
    /// is nothing on any page.
    today: Vec<Key>,
    /// Which page that is. What comes for an earlier one comes onto it.
    page: u64,
    later: BTreeMap<u64, Vec<Key>>,
    /// Pages that were worked off.
    blank: Vec<Vec<Key>>,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    serial: u64,
}

type Key = (Moment, u64, u32);

impl<E> Heap<E> {
    pub(crate) const fn new() -> Self {
        Self {
            today: Vec::new(),
            page: 0,
            later: BTreeMap::new(),
            blank: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            serial: 0,
        }
    }

    pub(crate) fn push(&mut self, at: Moment, event: E) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(event);
                slot
            }
            None => {
                self.slots.push(Some(event));
                u32::try_from(self.slots.len() - 1).expect("fewer events than memory")
            }
        };
        self.serial += 1;
        let (key, page) = ((at, self.serial, slot), at.0 >> PAGE_BITS);
        if self.today.is_empty() {
            self.page = page;
            self.today.push(key);
        } else if page <= self.page {
            let place = self.today.partition_point(|it| key < *it);
            self.today.insert(place, key);
        } else {
            let Self { later, blank, .. } = self;
            later.entry(page).or_insert_with(|| blank.pop().unwrap_or_default()).push(key);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, E)> {
        let (at, _, slot) = self.today.pop()?;
        if self.today.is_empty()
            && let Some((page, mut keys)) = self.later.pop_first()
        {
            keys.sort_unstable_by_key(|it| Reverse(*it));
            self.page = page;
            self.blank.push(std::mem::replace(&mut self.today, keys));
        }
        let event = self.slots[slot as usize].take().expect("a key has its event");
        self.free.push(slot);
        Some((at, event))
    }

    /// The next event, if it happens until `end`.
    pub(crate) fn pop_until(&mut self, end: Moment) -> Option<(Moment, E)> {
        let (at, ..) = self.today.last()?;
        if *at <= end { self.pop() } else { None }
    }

    /// The next event, if it happens at `at`.
    pub(crate) fn peek_at(&self, at: Moment) -> Option<&E> {
        let (next, _, slot) = self.today.last()?;
        if *next == at { self.slots[*slot as usize].as_ref() } else { None }
    }

    /// How many events there have been.
    pub(crate) const fn count(&self) -> u64 {
        self.serial
    }
}

/// A page is 17 ms: a few events of a cluster, some hundreds of a large pool.
const PAGE_BITS: u32 = 24;

#[test]
fn events_of_one_time_keep_their_order() {
    let mut heap = Heap::new();
    for (at, name) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
        heap.push(Moment(at), name);
    }
    assert_eq!(heap.pop(), Some((Moment(1), "a")));
    assert_eq!(heap.peek_at(Moment(1)), Some(&"b"));
    assert_eq!(heap.peek_at(Moment(2)), None);
    heap.push(Moment(2), "e");
    let rest: Vec<_> = std::iter::from_fn(|| heap.pop()).map(|(_, it)| it).collect();
    assert_eq!(rest, ["b", "c", "d", "e"]);
}

/// Whatever is put where and when: what comes out is what a list in order would say.
#[test]
fn pages_are_not_to_be_seen() {
    let (mut heap, mut list) = (Heap::new(), Vec::new());
    let mut rng = tribune_base::rng::Rng::stream(7, "heap");
    let (mut now, mut count) = (0, 0);
    for _ in 0..20_000 {
        if rng.chance(1, 2) {
            // Soon, on the same page; or many pages from now; or at the very same moment.
            let reach = [1, 1 << 10, 1 << PAGE_BITS, 1 << (PAGE_BITS + 6)];
            let reach = reach[rng.below(4) as usize];
            let at = now + rng.below(reach);
            heap.push(Moment(at), count);
            list.push((at, count));
            count += 1;
        } else {
            list.sort_unstable();
            let next = (!list.is_empty()).then(|| list.remove(0));
            assert_eq!(heap.pop(), next.map(|(at, it)| (Moment(at), it)));
            now = next.map_or(now, |(at, _)| at);
        }
    }
}
