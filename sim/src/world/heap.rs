//! What is going to happen, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::moment::Moment;

/// Events by time, and by order of arrival among those of one time. Keys are small and move;
/// events stay in their slots.
#[derive(Debug)]
pub(crate) struct Heap<E> {
    keys: BinaryHeap<Reverse<(Moment, u64, u32)>>,
    slots: Vec<Option<E>>,
    free: Vec<u32>,
    serial: u64,
}

impl<E> Heap<E> {
    pub(crate) const fn new() -> Self {
        Self { keys: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), serial: 0 }
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
        self.keys.push(Reverse((at, self.serial, slot)));
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, E)> {
        let Reverse((at, _, slot)) = self.keys.pop()?;
        let event = self.slots[slot as usize].take().expect("a key has its event");
        self.free.push(slot);
        Some((at, event))
    }

    /// The next event, if it happens until `end`.
    pub(crate) fn pop_until(&mut self, end: Moment) -> Option<(Moment, E)> {
        let Reverse((at, ..)) = self.keys.peek()?;
        if *at <= end { self.pop() } else { None }
    }

    /// The next event, if it happens at `at`.
    pub(crate) fn peek_at(&self, at: Moment) -> Option<&E> {
        let Reverse((next, _, slot)) = self.keys.peek()?;
        if *next == at { self.slots[*slot as usize].as_ref() } else { None }
    }

    /// How many events there have been.
    pub(crate) const fn count(&self) -> u64 {
        self.serial
    }
}

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
