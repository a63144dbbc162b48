//! Which server a client agent asks.
//!
//! One at a time, so that its answers never go back in time; another one as soon as that fails, and
//! now and then anyway, so that all servers have their share when one of them has come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use tribune_base::id::ServerId;
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};

/// The servers there are, and the one that is asked.
#[derive(Debug)]
pub(super) struct Route {
    /// The first of them is asked. Invariant: exactly the keys of `addresses`.
    order: Vec<ServerId>,
    addresses: BTreeMap<ServerId, Arc<str>>,
    /// Who was told where this agent is, and when.
    greeted: BTreeMap<ServerId, Instant>,
    rebalance: Instant,
}

impl Route {
    pub(super) fn new(now: Instant, rng: &mut Rng) -> Self {
        let rebalance = now + REBALANCE + rng.up_to(REBALANCE_SPREAD);
        Self { order: Vec::new(), addresses: BTreeMap::new(), greeted: BTreeMap::new(), rebalance }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The server to ask.
    pub(super) fn current(&self) -> Option<ServerId> {
        self.order.first().copied()
    }

    /// Where a server listens.
    pub(super) fn address(&self, id: ServerId) -> Option<&Arc<str>> {
        self.addresses.get(&id)
    }

    /// Who listens there.
    pub(super) fn at(&self, address: &str) -> Option<ServerId> {
        self.addresses.iter().find(|(_, it)| ***it == *address).map(|(id, _)| *id)
    }

    /// There is a server. Agents that learn of the same servers ask different ones.
    pub(super) fn found(&mut self, id: ServerId, address: Arc<str>, rng: &mut Rng) {
        self.greeted.remove(&id);
        if self.addresses.insert(id, address).is_none() {
            let at = rng.below(self.order.len() as u64 + 1) as usize;
            self.order.insert(at, id);
        }
    }

    /// It is there no more. Whether it was.
    pub(super) fn remove(&mut self, id: ServerId) -> bool {
        self.order.retain(|it| *it != id);
        self.greeted.remove(&id);
        self.addresses.remove(&id).is_some()
    }

    /// Whether a server is to be told where this agent is, before it is asked anything: it may have
    /// begun anew, and know nobody.
    pub(super) fn greet(&mut self, now: Instant, id: ServerId) -> bool {
        let known = self.greeted.get(&id).is_some_and(|at| now < *at + GREETING_MAX);
        if !known {
            self.greeted.insert(id, now);
        }
        !known
    }

    /// It did not answer: it is the last to be asked again.
    pub(super) fn failed(&mut self, id: ServerId) {
        self.greeted.remove(&id);
        if self.current() == Some(id) {
            self.order.rotate_left(1);
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        self.rebalance
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, rng: &mut Rng) {
        if self.rebalance <= now {
            self.rebalance = now + REBALANCE + rng.up_to(REBALANCE_SPREAD);
            rng.shuffle(&mut self.order);
        }
    }
}

/// How long a server is believed to remember where this agent is.
const GREETING_MAX: Duration = Duration::from_secs(1);

/// How long an agent sticks to a server that does well, at least.
const REBALANCE: Duration = Duration::from_secs(120);

/// And how much longer at most, so that not all agents move at once.
const REBALANCE_SPREAD: Duration = Duration::from_secs(60);

#[test]
fn whoever_fails_is_asked_last() {
    let mut rng = Rng::new(1);
    let mut route = Route::new(Instant::START, &mut rng);
    for id in 1..=3 {
        route.found(ServerId(id), format!("10.0.0.{id}:8300").into(), &mut rng);
    }
    let first = route.current().expect("there are servers");
    route.failed(first);
    let second = route.current().expect("there are servers");
    assert_ne!(first, second);
    route.failed(first);
    assert_eq!(route.current(), Some(second), "who is not asked does not fail");
    assert!(route.remove(second));
    assert!(!route.remove(second));
    route.failed(route.current().expect("there are servers"));
    assert_eq!(route.current(), Some(first));
}
