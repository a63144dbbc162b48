//! Two members compare all they know: by digests first, and then only where those differ.
//!
//! ```text
//!   Sync    who I am, and a digest of each bucket of names    ->
//!   Synced  <-  which buckets differ, and all that I know in them
//!   Push    what I know in those that was not in there        ->     only if there is anything
//! ```
//!
//! The original sends everything both ways each time, which is a megabyte each way in a pool of ten
//! thousand. Here two who agree, as most do most of the time, have said so with two kilobytes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::hash::fnv1a_from;
use tribune_base::time::Duration;

use crate::claim::{Intent, alive};
use crate::exchange::Purpose;
use crate::lamport::LTime;
use crate::letter::{Entry, Kind, Letter};
use crate::member::{Claim, Identity, Member, Record, State, Status};
use crate::message::Alive;
use crate::output::{Change, JoinError};
use crate::pool::Pool;
use crate::roster::{BUCKETS, bucket};

impl Pool {
    /// Compare with somebody.
    pub(crate) fn begin_push_pull(&mut self) {
        if self.leaving.has_begun() {
            return;
        }
        let targets = self.pick(1, |_, it| it.state == State::Alive);
        targets.into_iter().for_each(|addr| self.compare_with(addr));
    }

    pub(crate) fn compare_with(&mut self, addr: SocketAddr) {
        let letter = self.sync_letter(false);
        self.begin_exchange(addr, Purpose::Compare { addr }, &letter);
    }

    /// What we are, and digests of what we know.
    pub(crate) fn sync_letter(&self, join: bool) -> Letter {
        Letter {
            join,
            me: Some(self.entry(self.roster.get(self.me))),
            ltimes: self.ltimes().map(|it| it.0),
            digests: self.roster.digests().to_vec(),
            events_known: self.events.known(),
            ..self.letter(Kind::Sync)
        }
    }

    /// Somebody compares with us: what we know where it knows something else.
    pub(crate) fn on_sync(&mut self, letter: Letter) -> Letter {
        self.witness(letter.ltimes);
        if let Some(me) = &letter.me {
            self.merge(me, true);
        }
        let differing = differing(self.roster.digests(), &letter.digests);
        let entries = self.entries_in(&differing, |_| true);
        self.counters.exchanges_differed += u64::from(!entries.is_empty());
        let in_vain = letter.join && !self.config.replay_events;
        let events = if in_vain { Vec::new() } else { self.events.besides(&letter.events_known) };
        Letter {
            join: letter.join,
            me: Some(self.entry(self.roster.get(self.me))),
            ltimes: self.ltimes().map(|it| it.0),
            differing,
            entries,
            events_known: self.events.known(),
            events,
            ..self.letter(Kind::Synced)
        }
    }

    /// What somebody knows where we know something else. Returns how many members were new.
    pub(crate) fn on_synced(
        &mut self,
        addr: SocketAddr,
        letter: Letter,
        join: bool,
    ) -> Result<usize, JoinError> {
        if let Some(reason) = letter.refusal {
            return Err(JoinError::Refused(reason));
        }
        let (Kind::Synced, Some(me)) = (letter.kind, &letter.me) else {
            return Err(JoinError::Malformed);
        };
        if *letter.pool != *self.config.pool {
            return Err(JoinError::Malformed);
        }
        // We may not want to be where we would be let in.
        if *me.alive.name != *self.name
            && let Some(reason) = self.refusal(&me.alive)
        {
            return Err(JoinError::Refused(reason));
        }
        self.witness(letter.ltimes);
        let mut learnt = usize::from(self.merge(me, true));
        let mut told = BTreeMap::new();
        for entry in &letter.entries {
            told.insert(entry.alive.name.to_string(), entry.clone());
            if join && *entry.alive.name == *self.name {
                self.take_over(entry);
            } else {
                learnt += usize::from(self.merge(entry, false));
            }
        }
        if join && !self.config.replay_events {
            self.events.begin_after(LTime(letter.ltimes[1]));
        }
        letter.events.iter().for_each(|it| self.on_event(it, None));
        let lacking = self.entries_in(&letter.differing, |entry| {
            told.get(&*entry.alive.name).is_none_or(|it| it.is_behind(entry))
        });
        let events = self.events.besides(&letter.events_known);
        if !lacking.is_empty() || !events.is_empty() {
            let push = Letter { entries: lacking, events, ..self.letter(Kind::Push) };
            self.begin_exchange(addr, Purpose::Push, &push);
        }
        Ok(learnt)
    }

    /// What we lacked.
    pub(crate) fn on_push(&mut self, letter: Letter) {
        letter.entries.iter().for_each(|it| {
            self.merge(it, false);
        });
        letter.events.iter().for_each(|it| self.on_event(it, None));
    }

    fn witness(&mut self, ltimes: [u64; 3]) {
        let [intents, events, queries] = ltimes.map(LTime);
        self.clock.witness(intents);
        self.events.clock.witness(events);
        self.queries.clock.witness(queries);
    }

    /// Somebody sees a member like this. Returns whether it was unknown to us. `own` if it speaks
    /// of itself.
    fn merge(&mut self, entry: &Entry, own: bool) -> bool {
        let Entry { alive, state, going, status_ltime, .. } = entry;
        let (name, incarnation) = (&*alive.name, alive.incarnation);
        let known = self.roster.find(name).map(|it| self.roster.get(it).claim());
        if name == &*self.name && own {
            // We have called ourselves, or somebody who has our name.
            return false;
        }
        let me = self.name.clone();
        let mut new = false;
        match (state, known) {
            (State::Alive, _) => {
                new = self.on_alive(alive, None);
                if bug!(G02) {
                    self.resurrect(alive);
                }
            }
            (State::Suspect, None) => {
                new = self.on_alive(alive, None);
                self.on_suspect(name, incarnation, &me, None);
            }
            (State::Dead | State::Left, None) => new = self.learn_gone(entry),
            (State::Dead, Some(known)) if !known.state.is_live() => {
                self.adopt(name, Claim { incarnation, state: *state });
            }
            // Whoever another takes for dead may live, and gets a chance to say so.
            (State::Suspect | State::Dead, Some(known)) => {
                if known.incarnation < incarnation {
                    self.on_alive(alive, None);
                }
                self.on_suspect(name, incarnation, &me, None);
            }
            (State::Left, Some(_)) => self.on_dead(name, incarnation, name, None),
        }
        if self.roster.find(name).is_some() && LTime(0) < *status_ltime {
            if *going {
                self.on_leave_intent(*status_ltime, name, false, None);
            } else {
                self.on_join_intent(*status_ltime, name, None);
            }
        }
        new
    }

    /// What must never happen: see the catalogue of bugs.
    fn resurrect(&mut self, alive: &Alive) {
        let Some(slot) = self.roster.find(&alive.name) else { return };
        if !self.roster.get(slot).state.is_live() {
            let identity = self.roster.get(slot).member.identity();
            self.renew(slot, identity, alive.incarnation);
        }
    }

    /// Somebody knows what we said of ourselves in an earlier life. It holds no longer, wherever
    /// that was spent; only if somebody else lives under our name, that must be told to people.
    fn take_over(&mut self, entry: &Entry) {
        let Alive { id, addr, incarnation, .. } = &entry.alive;
        let local = self.local();
        if entry.state.is_live() && *id != local.id && *addr != local.addr {
            return self.on_myself(&entry.alive);
        }
        let same = *addr == local.addr && *incarnation == local.incarnation;
        if local.incarnation <= *incarnation && !(same && entry.state == State::Alive) {
            self.assert_alive(*incarnation);
        }
    }

    /// Both sides take it for dead; the greater claim holds.
    fn adopt(&mut self, name: &str, claim: Claim) {
        let Some(slot) = self.roster.find(name) else { return };
        if self.roster.get(slot).claim() < claim {
            self.bury(slot, claim);
        }
    }

    /// Somebody who is gone, and whom we have never seen. It is remembered for as long as others
    /// remember it, and not taught to those who have just forgotten it.
    fn learn_gone(&mut self, entry: &Entry) -> bool {
        let status =
            if entry.going || entry.state == State::Left { Status::Left } else { Status::Failed };
        let remembered = self.remembered(status);
        let age = Duration::from_secs(entry.age);
        let name = &*entry.alive.name;
        let pruned = self.rumours.get(name).and_then(|it| it.intent);
        let pruned =
            pruned.is_some_and(|(ltime, it)| it == Intent::Vanish && entry.status_ltime <= ltime);
        let Ok(tags) = self.intern(&entry.alive.tags) else { return false };
        if pruned || remembered * 7 / 8 <= age || name == &*self.name {
            return false;
        }
        let identity = Identity::new(name, entry.alive.id, entry.alive.addr, tags);
        let mut member = Member::new(identity, entry.alive.incarnation);
        member.status = status;
        member.status_ltime = entry.status_ltime;
        let (state, since) = (entry.state, self.now - age);
        let slot =
            self.roster.insert(Record { member, state, since, going: entry.going, pruned: false });
        self.gone.insert(slot);
        let change = if status == Status::Left { Change::Leave } else { Change::Failed };
        self.report(change, slot);
        true
    }

    fn entry(&self, record: &Record) -> Entry {
        let gone = !record.state.is_live();
        Entry {
            alive: alive(&record.member),
            state: record.state,
            going: record.going,
            status_ltime: record.member.status_ltime,
            age: if gone { self.now.since(record.since).as_secs() } else { 0 },
        }
    }

    /// Everybody in these buckets who passes.
    fn entries_in(&self, buckets: &[u8], pass: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        if buckets.iter().all(|it| *it == 0) {
            return Vec::new();
        }
        let within = |record: &Record| {
            let bucket = bucket(&record.member.name);
            buckets.get(bucket / 8).is_some_and(|it| it & 1 << (bucket % 8) != 0)
        };
        let records = self.roster.iter().map(|(_, it)| it).filter(|it| within(it));
        records.map(|it| self.entry(it)).filter(|it| pass(it)).collect()
    }
}

impl Entry {
    /// Whether whoever sees it like this would learn something from `other`.
    fn is_behind(&self, other: &Self) -> bool {
        let claim = |it: &Self| Claim { incarnation: it.alive.incarnation, state: it.state };
        // At one time staying outweighs leaving.
        let intent = |it: &Self| (it.status_ltime, !it.going);
        claim(self) < claim(other) || intent(self) < intent(other)
    }
}

/// Which buckets differ, a bit for each; nothing, if none do.
fn differing(ours: &[u64; BUCKETS], theirs: &[u64]) -> Bytes {
    let mut bits = vec![0_u8; BUCKETS / 8];
    let mut any = false;
    for (bucket, digest) in ours.iter().enumerate() {
        // Whoever sends no digests knows nothing.
        if *digest != theirs.get(bucket).copied().unwrap_or_default() {
            bits[bucket / 8] |= 1 << (bucket % 8);
            any = true;
        }
    }
    if any { bits.into() } else { Bytes::new() }
}

/// Tells events of one time apart.
pub(crate) fn event_hash(name: &str, payload: &[u8]) -> u64 {
    let name = fnv1a_from(name.len() as u64, name.as_bytes());
    fnv1a_from(name, payload)
}
