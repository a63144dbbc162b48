//! Anti-entropy: what the catalog has yet to be told, and when.
//!
//! A change here is told at once (*partial*). Now and then everything is compared (*full*), because
//! the catalog may have been changed by others, lost an update that was never confirmed, or been
//! restored from a snapshot. The agent wins, except for the tags of services that allow otherwise.

mod compare;

use std::collections::BTreeMap;

use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};

use crate::config::Config;
use crate::output::{ChangeSeq, SyncId};

pub(crate) use compare::{Differences, Local, compare};

/// What the catalog files a row under. A key whose row is gone here is to be removed there.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Key {
    /// The node itself.
    Node,
    /// A service, by id.
    Service(String),
    /// A check, by id.
    Check(String),
}

/// The rows the catalog has yet to hear of, and the exchange that is out.
#[derive(Debug)]
pub(crate) struct Sync {
    rng: Rng,
    /// With the first change that the catalog has not heard of.
    dirty: BTreeMap<Key, ChangeSeq>,
    exchange: Exchange,
    issued: SyncId,
    /// When to compare everything next.
    full_due: Instant,
    /// Nothing but a full comparison, and not before `full_due`: the last exchange failed.
    backing_off: bool,
    /// Somebody saw a leader while an exchange was out.
    leader_seen: bool,
    /// The node of this name is ours. Invariant: while it is not, only `Key::Node` is sent.
    owned: bool,
    member_count: usize,
}

/// What is out.
#[derive(Debug)]
enum Exchange {
    Idle,
    Reading(SyncId),
    /// The rows that each command carries.
    Writing(SyncId, Vec<BTreeMap<Key, ChangeSeq>>),
}

/// What to do next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Read(SyncId),
    Write(SyncId),
}

impl Sync {
    /// Everything is compared first: nobody knows what the catalog has.
    pub(crate) fn new(seed: u64, now: Instant) -> Self {
        Self {
            rng: Rng::stream(seed, "agent.sync"),
            dirty: BTreeMap::new(),
            exchange: Exchange::Idle,
            issued: SyncId::default(),
            full_due: now,
            backing_off: false,
            leader_seen: false,
            owned: true,
            member_count: 1,
        }
    }

    /// The row of `key` is another since change `seq`.
    pub(crate) fn mark(&mut self, key: Key, seq: ChangeSeq) {
        let since = self.dirty.entry(key).or_insert(seq);
        *since = seq.min(*since);
    }

    /// The rows to tell of.
    pub(crate) fn dirty(&self) -> &BTreeMap<Key, ChangeSeq> {
        &self.dirty
    }

    /// True if the rows filed under this node's name are this node's.
    pub(crate) fn is_owned(&self) -> bool {
        self.owned
    }

    /// How many agents share the catalog; the more, the less often each of them compares.
    pub(crate) fn set_member_count(&mut self, count: usize) {
        self.member_count = count;
    }

    /// Somebody can commit again. Compare soon, unless all is well.
    pub(crate) fn leader_seen(&mut self, now: Instant) {
        self.leader_seen = !matches!(self.exchange, Exchange::Idle);
        if self.backing_off {
            let stagger = LEADER_STAGGER * (scale(self.member_count) - 1);
            self.full_due = self.full_due.min(now + self.rng.up_to(stagger));
        }
    }

    /// A server is there that was not: it may know nothing of us. Compare soon; the more agents see
    /// it come, the less all at once.
    pub(crate) fn server_seen(&mut self, now: Instant) {
        let stagger = SERVER_STAGGER * scale(self.member_count);
        self.full_due = self.full_due.min(now + self.rng.up_to(stagger));
    }

    /// When something is due; at once if there is anything to tell.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        matches!(self.exchange, Exchange::Idle).then_some(self.full_due)
    }

    /// What to do now, if anything. A step that is returned has to be taken.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Step> {
        if !matches!(self.exchange, Exchange::Idle) {
            return None;
        }
        let read = self.full_due <= now;
        let sendable =
            !self.dirty.is_empty() && (self.owned || self.dirty.contains_key(&Key::Node));
        if !read && (self.backing_off || !sendable) {
            return None;
        }
        self.issued = SyncId(self.issued.0 + 1);
        if read {
            self.exchange = Exchange::Reading(self.issued);
            return Some(Step::Read(self.issued));
        }
        self.exchange = Exchange::Writing(self.issued, Vec::new());
        Some(Step::Write(self.issued))
    }

    /// These rows are on their way, in this many commands.
    pub(crate) fn sending(&mut self, keys: Vec<Vec<Key>>) {
        let Exchange::Writing(_, sent) = &mut self.exchange else {
            panic!("rows were sent outside of a write");
        };
        let mut take = |key: Key| self.dirty.remove(&key).map(|since| (key, since));
        *sent = keys.into_iter().map(|it| it.into_iter().filter_map(&mut take).collect()).collect();
    }

    /// The catalog was read. True if that is what was asked for.
    pub(crate) fn read(&mut self, now: Instant, id: SyncId, config: &Config, owned: bool) {
        let Exchange::Reading(asked) = self.exchange else { panic!("nothing was read: {id:?}") };
        assert!(asked == id, "read {id:?}, asked for {asked:?}");
        self.exchange = Exchange::Idle;
        self.backing_off = false;
        self.leader_seen = false;
        self.owned = owned;
        let period = config.sync_interval * scale(self.member_count);
        self.full_due = now + self.rng.jitter(period);
    }

    /// The rows of each command that was sent, in order.
    pub(crate) fn written(&mut self, id: SyncId) -> Vec<Vec<Key>> {
        let Exchange::Writing(asked, sent) = std::mem::replace(&mut self.exchange, Exchange::Idle)
        else {
            panic!("nothing was written: {id:?}");
        };
        assert!(asked == id, "wrote {id:?}, asked for {asked:?}");
        sent.into_iter().map(|it| it.into_keys().collect()).collect()
    }

    /// The node's name belongs to another: tell the catalog of nothing else until it is ours.
    pub(crate) fn disown(&mut self) {
        self.owned = false;
    }

    /// Compare everything again soon.
    pub(crate) fn compare_soon(&mut self, now: Instant) {
        self.full_due = now + self.rng.jitter(LEADER_SETTLE);
    }

    /// The exchange came to nothing. When it is tried again.
    pub(crate) fn failed(&mut self, now: Instant, id: SyncId, config: &Config) -> Duration {
        let asked = match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Idle => panic!("nothing was out that could fail: {id:?}"),
            Exchange::Reading(asked) => asked,
            Exchange::Writing(asked, sent) => {
                for (key, since) in sent.into_iter().flatten() {
                    self.mark(key, since);
                }
                asked
            }
        };
        assert!(asked == id, "{id:?} failed, asked for {asked:?}");
        self.backing_off = true;
        let wait = match std::mem::take(&mut self.leader_seen) {
            true => self.rng.jitter(LEADER_SETTLE),
            false => self.rng.jitter(config.sync_retry),
        };
        self.full_due = now + wait;
        wait
    }

    /// True if the catalog has heard of every change up to `seq`.
    pub(crate) fn has_told(&self, seq: ChangeSeq) -> bool {
        let sent = match &self.exchange {
            Exchange::Idle | Exchange::Reading(_) => &[][..],
            Exchange::Writing(_, sent) => sent,
        };
        let mut waiting = sent.iter().flatten().chain(&self.dirty);
        waiting.all(|(_, since)| seq < *since)
    }
}

/// How much less often each of `member_count` agents compares, so that the catalog bears it.
fn scale(member_count: usize) -> u32 {
    // ceil(log2 n - log2 128) + 1, without a fraction to round.
    let doublings = member_count.next_power_of_two().ilog2().saturating_sub(7);
    if member_count <= 128 { 1 } else { doublings + 1 }
}

/// How far agents spread when a leader appears, times how many more there are than a few.
const LEADER_STAGGER: Duration = Duration::from_secs(3);
/// Over how long agents that see a server come spread their looks at it, times [`scale`].
const SERVER_STAGGER: Duration = Duration::from_secs(3);
/// A leader was seen, and still it failed: elections come in groups.
const LEADER_SETTLE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
