//! Waiting without a thread: a blocking query is an entry in a map and a deadline.
//!
//! A query waits for one [`Topic`]. Applying a command yields [`Touch`]es, and each wakes exactly
//! the topics whose answer it may have changed. A query waits at most once: waking it removes it.
//! It then asks again, which either answers or parks it anew, so a spurious wake would cost a
//! lookup and never a wrong answer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::time::Instant;

use crate::kv;
use crate::types::{Name, Status, fold};

/// Who waits. Unique among those who do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WatchId(pub u64);

/// What a query asks for, and so what it waits for. Names are folded: use the constructors.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Topic {
    /// One key, whether it is there or not.
    Kv(Bytes),
    /// All keys that start with this.
    KvPrefix(Bytes),
    /// Everything about nodes, services and checks: for questions that join them.
    Catalog,
    /// The settings of autopilot.
    Autopilot,
    /// Prepared queries, without what they find.
    PreparedQueries,
    /// Rows of nodes.
    Nodes,
    /// Rows of services; their names and tags in particular.
    Services,
    /// The instances of a service, and their nodes' rows.
    Service(Name),
    /// The instances of a service, their nodes' rows, and the checks of both.
    Health(Name),
    /// One node's row, and the services on it.
    NodeServices(Name),
    /// The checks on one node, of its services too.
    NodeChecks(Name),
    /// The checks of a service's instances, without those of their nodes.
    ServiceChecks(Name),
    /// The checks in one state, or all.
    ChecksState(Option<Status>),
}

/// Something that a command changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Touch {
    /// This key, as it became, or was before it went: whoever waits for it, or for a prefix of it.
    Key(kv::Entry),
    /// Whoever waits for this topic, which is not about keys.
    Topic(Topic),
}

impl Topic {
    /// The instances of the service called `name`, in any case.
    pub fn service(name: &str) -> Self {
        Self::Service(fold(name))
    }

    /// The instances of the service called `name` and their health.
    pub fn health(name: &str) -> Self {
        Self::Health(fold(name))
    }

    /// The node called `name`, in any case, and its services.
    pub fn node_services(name: &str) -> Self {
        Self::NodeServices(fold(name))
    }

    /// The checks on the node called `name`.
    pub fn node_checks(name: &str) -> Self {
        Self::NodeChecks(fold(name))
    }

    /// The checks of the service called `name`.
    pub fn service_checks(name: &str) -> Self {
        Self::ServiceChecks(fold(name))
    }
}

/// Queries waiting for a change, or for their patience to run out.
#[derive(Debug, Default)]
pub struct Watches {
    /// Invariant: the sets are not empty, and hold exactly the ids of `parked`.
    by_topic: BTreeMap<Topic, BTreeSet<WatchId>>,
    by_key: BTreeMap<Bytes, BTreeSet<WatchId>>,
    by_prefix: BTreeMap<Bytes, BTreeSet<WatchId>>,
    parked: BTreeMap<WatchId, (Instant, Topic)>,
    /// Invariant: one for each of `parked`.
    deadlines: BTreeSet<(Instant, WatchId)>,
}

impl Watches {
    /// Wake `id` when `topic` is touched, or at `deadline`.
    pub fn park(&mut self, id: WatchId, topic: Topic, deadline: Instant) {
        let set = if let Topic::Kv(key) = &topic {
            self.by_key.entry(key.clone()).or_default()
        } else if let Topic::KvPrefix(prefix) = &topic {
            self.by_prefix.entry(prefix.clone()).or_default()
        } else {
            self.by_topic.entry(topic.clone()).or_default()
        };
        set.insert(id);
        self.deadlines.insert((deadline, id));
        let before = self.parked.insert(id, (deadline, topic));
        assert!(before.is_none(), "{id:?} is already waiting");
    }

    /// Something changed: whoever waits for it, in a fixed order.
    pub fn touch(&mut self, touch: &Touch) -> Vec<WatchId> {
        let mut woken = Vec::new();
        match touch {
            Touch::Topic(topic) => woken.extend(self.by_topic.remove(topic).into_iter().flatten()),
            Touch::Key(entry) => self.touch_key(entry.key(), &mut woken),
        }
        for id in &woken {
            let (deadline, _) = self.parked.remove(id).expect("sets hold who is parked");
            self.deadlines.remove(&(deadline, *id));
        }
        woken
    }

    /// Forget `id`, if it still waits.
    pub fn cancel(&mut self, id: WatchId) {
        let Some((deadline, topic)) = self.parked.remove(&id) else { return };
        self.deadlines.remove(&(deadline, id));
        if let Topic::Kv(key) = &topic {
            leave(&mut self.by_key, key, id);
        } else if let Topic::KvPrefix(prefix) = &topic {
            leave(&mut self.by_prefix, prefix, id);
        } else {
            leave(&mut self.by_topic, &topic, id);
        }
    }

    /// Whose deadline has come by `now`, earliest first.
    pub fn expire(&mut self, now: Instant) -> Vec<WatchId> {
        let mut expired = Vec::new();
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.cancel(id);
            expired.push(id);
        }
        expired
    }

    /// When somebody's patience runs out next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The whole state was replaced: everybody.
    pub fn restored(&mut self) -> Vec<WatchId> {
        if bug!(K09) {
            return Vec::new();
        }
        std::mem::take(self).parked.into_keys().collect()
    }

    /// How many are waiting.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    fn touch_key(&mut self, key: &[u8], woken: &mut Vec<WatchId>) {
        woken.extend(self.by_key.remove(key).into_iter().flatten());
        // From the longest prefix of the key that somebody waits for to the shortest.
        let mut len = Some(key.len());
        while let Some(end) = len {
            let up_to = (Bound::Unbounded, Bound::Included(&key[..end]));
            let waited = self.by_prefix.range::<[u8], _>(up_to).next_back();
            let Some((waited, _)) = waited else { return };
            let shared = shared_len(waited, key);
            if shared == waited.len() {
                let ids = self.by_prefix.remove(&key[..shared]);
                woken.extend(ids.into_iter().flatten());
                len = shared.checked_sub(1);
            } else {
                len = Some(shared);
            }
        }
    }
}

/// How many bytes two keys have in common at their start.
///
/// Of all keys up to `key`, those that are a prefix of it are no longer than what it shares with
/// the greatest: a longer one would lie between the two.
pub(crate) fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Take `id` out of the set at `key`, and the set away when it was the last one.
fn leave<Q, K>(sets: &mut BTreeMap<K, BTreeSet<WatchId>>, key: &Q, id: WatchId)
where
    K: Ord + std::borrow::Borrow<Q>,
    Q: Ord + ?Sized,
{
    let Some(set) = sets.get_mut(key) else { return };
    set.remove(&id);
    if set.is_empty() {
        sets.remove(key);
    }
}

#[cfg(test)]
mod tests;
