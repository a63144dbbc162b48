//! How many connections there may be, from one address and in all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Counts open connections by where they come from. A clone counts the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    per_address_max: Arc<AtomicUsize>,
    max: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    by_address: BTreeMap<IpAddr, usize>,
    /// Invariant: the sum of `by_address`.
    count: usize,
}

/// One connection's place. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    from: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Connections {
    /// At most `per_address_max` from one address, which may change, and `max` in all; zero for no
    /// limit.
    pub(crate) fn new(per_address_max: impl Into<Arc<AtomicUsize>>, max: usize) -> Self {
        let per_address_max = per_address_max.into();
        Self { per_address_max, max, open: Arc::default() }
    }

    /// A place for a connection from `from`, unless there are too many.
    pub(crate) fn admit(&self, from: IpAddr) -> Option<Admitted> {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        let is_full = |max, count| max != 0 && max <= count;
        let count = open.by_address.get(&from).copied().unwrap_or(0);
        if is_full(self.per_address_max.load(Ordering::Relaxed), count)
            || is_full(self.max, open.count)
        {
            return None;
        }
        open.by_address.insert(from, count + 1);
        open.count += 1;
        Some(Admitted { from, open: Arc::clone(&self.open) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.open.lock().expect("nobody panics while holding it");
        open.count -= 1;
        let count = open.by_address.get_mut(&self.from).expect("an admitted connection is counted");
        *count -= 1;
        if *count == 0 {
            open.by_address.remove(&self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    #[test]
    fn a_place_is_given_back() {
        let connections = Connections::new(AtomicUsize::new(1), 0);
        let first = connections.admit(HERE);
        assert!(first.is_some());
        assert!(connections.admit(HERE).is_none());
        assert!(connections.admit(THERE).is_some());
        drop(first);
        assert!(connections.admit(HERE).is_some());
    }

    #[test]
    fn there_is_room_for_so_many_in_all() {
        let connections = Connections::new(AtomicUsize::new(0), 1);
        let first = connections.admit(HERE);
        assert!(connections.admit(THERE).is_none());
        drop(first);
        assert!(connections.admit(THERE).is_some());
    }
}
