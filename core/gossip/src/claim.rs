//! What is said of members, and what becomes of it: of two claims the greater one holds.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::codec::DecodeError;
use tribune_base::hash::fnv1a;
use tribune_base::time::Instant;

use crate::broadcast::Subject;
use crate::codec::{self, tag};
use crate::lamport::LTime;
use crate::member::{Claim, Identity, Member, Record, State, Status, Tags};
use crate::message::{Accusation, Alive, Message, Text};
use crate::output::{Change, Refusal};
use crate::pool::Pool;
use crate::roster::Slot;
use crate::suspicion::Suspicion;

/// What was said about somebody of whom we have not heard that it lives: kept for a while, so that
/// it does not matter what comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rumour {
    pub(crate) heard: Instant,
    /// That it is dead or has left.
    pub(crate) claim: Option<Claim>,
    /// That it means to stay, or to leave.
    pub(crate) intent: Option<(LTime, Intent)>,
}

/// What somebody means to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Intent {
    Stay,
    Leave,
    /// And to be forgotten.
    Vanish,
}

/// Whether a member is who it says it is.
enum Admission {
    /// It is new.
    New,
    /// It is there already.
    Known(Slot),
    Refused(Refusal),
}

/// Whether this is a server, called as servers are where all datacenters meet.
fn is_server(identity: &Identity) -> bool {
    let tag = |name: &str| identity.tags.get(name).map(|it| &**it);
    let named = |dc: &str| {
        let node = identity.name.strip_suffix(dc).and_then(|it| it.strip_suffix('.'));
        !dc.is_empty() && node.is_some_and(|it| !it.is_empty())
    };
    tag("role") == Some("consul") && tag("dc").is_some_and(named)
}

impl Pool {
    /// A member says that it is there. Whether it was not known before.
    pub(crate) fn on_alive(&mut self, alive: &Alive, body: Option<Bytes>) -> bool {
        if *alive.name == *self.name {
            self.on_myself(alive);
            return false;
        }
        // Most of what is said is known.
        let known = self.roster.find(&alive.name);
        if let Some(slot) = known
            && self.claim(alive.incarnation, State::Alive) <= self.roster.get(slot).claim()
        {
            return false;
        }
        let Ok(tags) = self.intern(&alive.tags) else {
            self.counters.malformed += 1;
            return false;
        };
        let identity = Identity::new(&*alive.name, alive.id, alive.addr, tags);
        let isnew = match self.admit(&identity) {
            Admission::Refused(reason) => {
                self.complain(identity.name, alive.addr, reason);
                return false;
            }
            Admission::Known(slot) => {
                self.renew(slot, identity, alive.incarnation);
                false
            }
            Admission::New => {
                self.welcome(identity, alive.incarnation);
                true
            }
        };
        let body = body.unwrap_or_else(|| Message::Alive(alive.clone()).body());
        self.pass_on(Some(Subject::member(&alive.name)), tag::ALIVE, copied(&body));
        isnew
    }

    const fn claim(&self, incarnation: u64, state: State) -> Claim {
        Claim { incarnation, state }
    }

    /// Whether a member with this identity may be here.
    fn admit(&self, identity: &Identity) -> Admission {
        if let Some(reason) = self.foreign(identity) {
            return Admission::Refused(reason);
        }
        let name = || identity.name.clone();
        if let Some(other) = self.roster.find_id(identity.id) {
            let other = self.roster.get(other);
            if other.member.name != identity.name && other.state.is_live() {
                let other = other.member.name.clone();
                return Admission::Refused(Refusal::NodeId { name: name(), other });
            }
        }
        let Some(slot) = self.roster.find(&identity.name) else { return Admission::New };
        let record = self.roster.get(slot);
        // Whoever has the same id has moved. Whoever has not must wait until the name is free.
        let moved = record.member.addr != identity.addr && record.member.id != identity.id;
        let held = match record.state {
            State::Alive | State::Suspect => true,
            State::Dead => self.now.since(record.since) < self.config.dead_reclaim,
            State::Left => false,
        };
        if moved && held && !bug!(G11) {
            return Admission::Refused(Refusal::Name { name: name(), addr: record.member.addr });
        }
        Admission::Known(slot)
    }

    /// Whether a member belongs to another datacenter, or to none where only servers of datacenters
    /// belong.
    fn foreign(&self, identity: &Identity) -> Option<Refusal> {
        if self.config.servers_only && !is_server(identity) && !bug!(G12) {
            return Some(Refusal::NotServer { name: identity.name.clone() });
        }
        let (Some(ours), Some(theirs)) = (&self.config.datacenter, identity.tags.get("dc")) else {
            return None;
        };
        let (name, datacenter) = (identity.name.clone(), theirs.clone());
        (ours != theirs).then_some(Refusal::Datacenter { name, datacenter })
    }

    /// Why a member that wants to join cannot: as in gossip, and besides nobody has our own name
    /// or id.
    pub(crate) fn refusal(&self, alive: &Alive) -> Option<Refusal> {
        let tags = codec::read_tags(alive.tags.clone()).ok()?;
        let identity = Identity::new(&*alive.name, alive.id, alive.addr, tags);
        match self.admit(&identity) {
            Admission::Refused(reason) => Some(reason),
            Admission::New | Admission::Known(_) => None,
        }
    }

    /// Somebody new.
    fn welcome(&mut self, identity: Identity, incarnation: u64) {
        let rumour = self.rumours.remove(&identity.name);
        let mut member = Member::new(identity, incarnation);
        let (ltime, intent) = rumour.and_then(|it| it.intent).unwrap_or((LTime(0), Intent::Stay));
        member.status_ltime = ltime;
        let (going, pruned) = (intent != Intent::Stay, intent == Intent::Vanish);
        let (state, since) = (State::Alive, self.now);
        let mut record = Record { member, state, since, going, pruned };
        record.settle();
        let slot = self.roster.insert(record);
        self.report(Change::Join, slot);
        self.arm_gossip();
        let claim = self.claim(incarnation, State::Alive);
        if let Some(worse) = rumour.and_then(|it| it.claim).filter(|it| claim < *it) {
            self.bury(slot, worse);
        }
    }

    /// Somebody who is known has something new to say.
    pub(crate) fn renew(&mut self, slot: Slot, identity: Identity, incarnation: u64) {
        let now = self.now;
        if !bug!(G06) {
            self.acquit(slot);
        }
        let (returned, changed) = self.roster.edit(slot, |it| {
            let returned = !it.state.is_live();
            let before = it.member.identity();
            let changed = before != identity;
            let Identity { id, addr, tags, .. } = identity;
            it.member = Member { id, addr, tags, incarnation, ..it.member.clone() };
            it.state = State::Alive;
            if returned {
                it.since = now;
                it.going = false;
                it.pruned = false;
            }
            it.settle();
            (returned, changed)
        });
        if returned {
            self.gone.remove(&slot);
            self.report(Change::Join, slot);
            self.arm_gossip();
        } else if changed {
            self.report(Change::Update, slot);
        }
    }

    /// Somebody speaks of us as alive.
    pub(crate) fn on_myself(&mut self, alive: &Alive) {
        let member = self.local();
        if alive.addr != member.addr {
            // Somebody else has our name, or we are twice. Both are there; neither must win by
            // shouting louder.
            let (name, addr) = (self.name.clone(), member.addr);
            return self.complain(name.clone(), alive.addr, Refusal::Name { name, addr });
        }
        // From an earlier life of ours: whatever it said, this is what holds.
        if member.incarnation < alive.incarnation {
            self.assert_alive(alive.incarnation);
        }
    }

    /// Somebody says that a member does not answer. `from` may be ourselves.
    pub(crate) fn on_suspect(
        &mut self,
        name: &str,
        incarnation: u64,
        from: &str,
        body: Option<Bytes>,
    ) {
        if name == &*self.name {
            return self.refute(incarnation, from);
        }
        // Nothing else being known, it is nothing that we could doubt.
        let Some(slot) = self.roster.find(name) else { return };
        let (new, known) = (self.claim(incarnation, State::Suspect), self.roster.get(slot).claim());
        if new == known {
            return self.confirm(slot, from, body);
        }
        if new < known && !(bug!(G03) && known.state == State::Alive) {
            return;
        }
        let returned = !known.state.is_live();
        self.roster.edit(slot, |it| {
            it.state = State::Suspect;
            it.member.incarnation = incarnation.max(known.incarnation);
        });
        if returned {
            // It has said something since: we have missed that it is back.
            let now = self.now;
            self.gone.remove(&slot);
            self.roster.edit(slot, |it| {
                it.since = now;
                it.going = false;
                it.settle();
            });
            self.report(Change::Join, slot);
        }
        self.counters.suspected += 1;
        self.suspect(slot, from);
        self.spread_accusation(tag::SUSPECT, name, incarnation, from, body);
    }

    /// Somebody suspects whom we suspect.
    fn confirm(&mut self, slot: Slot, from: &str, body: Option<Bytes>) {
        let Some(suspicion) = self.suspicions.get_mut(&slot) else { return };
        let before = suspicion.deadline();
        if !suspicion.confirm(fnv1a(from.as_bytes())) {
            return;
        }
        let deadline = suspicion.deadline();
        self.verdicts.remove(&(before, slot));
        self.verdicts.insert((deadline, slot));
        let Member { name, incarnation, .. } = &self.roster.get(slot).member;
        let (name, incarnation) = (name.clone(), *incarnation);
        self.spread_accusation(tag::SUSPECT, &name, incarnation, from, body);
    }

    /// Give a member its time.
    fn suspect(&mut self, slot: Slot, from: &str) {
        self.acquit(slot);
        let live = self.roster.live();
        let min = self.config.suspicion_min(live);
        let wanted = self.config.suspicion_mult.saturating_sub(2) as usize;
        // Besides us and the suspect there must be so many.
        let wanted = if self.config.lifeguard && wanted + 2 <= live { wanted } else { 0 };
        let max = min * self.config.suspicion_max_mult.max(1);
        let suspicion = Suspicion::new(self.now, fnv1a(from.as_bytes()), wanted, min, max);
        self.verdicts.insert((suspicion.deadline(), slot));
        self.suspicions.insert(slot, suspicion);
    }

    /// A member is not suspect, or not any more.
    pub(crate) fn acquit(&mut self, slot: Slot) {
        if let Some(suspicion) = self.suspicions.remove(&slot) {
            self.verdicts.remove(&(suspicion.deadline(), slot));
        }
    }

    /// Whoever has had its time and has not said that it lives is dead.
    pub(crate) fn judge_suspects(&mut self) {
        while let Some((deadline, slot)) = self.verdicts.first().copied()
            && deadline <= self.now
        {
            self.acquit(slot);
            let Member { name, incarnation, .. } = &self.roster.get(slot).member;
            let (name, incarnation) = (name.clone(), *incarnation);
            self.counters.declared_failed += 1;
            let me = self.name.clone();
            self.on_dead(&name, incarnation, &me, None);
        }
    }

    /// Somebody says that a member is dead; that it has left, if it says so itself.
    pub(crate) fn on_dead(
        &mut self,
        name: &str,
        incarnation: u64,
        from: &str,
        body: Option<Bytes>,
    ) {
        let left = name == from && !bug!(G10);
        let new = self.claim(incarnation, if left { State::Left } else { State::Dead });
        if name == &*self.name {
            return self.refute(incarnation, from);
        }
        let Some(slot) = self.roster.find(name) else {
            return self.remember(name, |it| it.claim = it.claim.max(Some(new)));
        };
        if new <= self.roster.get(slot).claim() {
            return;
        }
        self.bury(slot, new);
        self.spread_accusation(tag::DEAD, name, incarnation, from, body);
    }

    /// A member is dead, or has left.
    pub(crate) fn bury(&mut self, slot: Slot, claim: Claim) {
        self.acquit(slot);
        let now = self.now;
        let (before, after) = self.roster.edit(slot, |it| {
            let before = it.member.status;
            if it.state.is_live() {
                it.since = now;
            }
            it.state = claim.state;
            it.member.incarnation = claim.incarnation;
            // Whoever dies on its way out has left.
            it.going &= !bug!(G10);
            it.settle();
            (before, it.member.status)
        });
        self.gone.insert(slot);
        if before != after {
            let change = if after == Status::Left { Change::Leave } else { Change::Failed };
            self.report(change, slot);
        }
        if self.roster.get(slot).pruned && after == Status::Left {
            self.forget(slot);
        }
    }

    /// Somebody doubts that we are alive. Whoever accuses is told at once, and not left to hear of it:
    /// in a small pool, what everybody tells a few others a few times misses one in forty.
    fn refute(&mut self, incarnation: u64, from: &str) {
        if self.leaving.is_gone() {
            return;
        }
        self.contradict(incarnation);
        let accuser = self.roster.find(from).filter(|it| *it != self.me);
        if let Some(accuser) = accuser.map(|it| self.roster.get(it).member.addr) {
            let alive = Message::Alive(alive(self.local()));
            self.send(accuser, &[alive]);
        }
    }

    fn contradict(&mut self, incarnation: u64) {
        if incarnation < self.local().incarnation {
            // That was refuted, but whoever says so has not heard it.
            if !self.broadcasts.contains(Subject::member(&self.name)) {
                self.tell_alive();
            }
            return;
        }
        self.counters.refuted += 1;
        self.awareness.apply(1);
        self.assert_alive(incarnation);
    }

    /// Say something of ourselves that is newer than `incarnation`.
    pub(crate) fn assert_alive(&mut self, incarnation: u64) {
        if self.leaving.is_gone() {
            return;
        }
        self.roster.edit(self.me, |it| {
            let newest = it.member.incarnation.max(incarnation);
            it.member.incarnation = if bug!(G01) { it.member.incarnation } else { newest + 1 };
        });
        self.tell_alive();
    }

    /// Tell everybody what we say of ourselves.
    pub(crate) fn tell_alive(&mut self) {
        let alive = Message::Alive(alive(self.local()));
        self.tell(Some(Subject::member(&self.name.clone())), &alive);
    }

    fn spread_accusation(
        &mut self,
        tag: u32,
        name: &str,
        incarnation: u64,
        from: &str,
        body: Option<Bytes>,
    ) {
        let body = body.map_or_else(
            || {
                let (name, from) = (Text::from(name), Text::from(from));
                Message::Suspect(Accusation { incarnation, name, from }).body()
            },
            |it| copied(&it),
        );
        self.pass_on(Some(Subject::member(name)), tag, body);
    }

    /// Keep something about somebody unknown. The oldest such is forgotten if there are too many.
    pub(crate) fn remember(&mut self, name: &str, change: impl FnOnce(&mut Rumour)) {
        let now = self.now;
        if !self.rumours.contains_key(name) {
            if self.rumours.len() == self.config.rumours_max {
                let oldest = self.rumours.iter().min_by_key(|(_, it)| it.heard);
                let Some(oldest) = oldest.map(|(name, _)| name.clone()) else { return };
                self.rumours.remove(&oldest);
            }
            let rumour = Rumour { heard: now, claim: None, intent: None };
            self.rumours.insert(name.into(), rumour);
        }
        let rumour = self.rumours.get_mut(name).expect("it is there now");
        rumour.heard = now;
        change(rumour);
    }

    /// Tags as others have them too, if they do.
    pub(crate) fn intern(&mut self, bytes: &Bytes) -> Result<Tags, DecodeError> {
        if let Some((_, tags)) = self.tags_seen.iter().find(|(it, _)| it == bytes) {
            return Ok(tags.clone());
        }
        let tags = codec::read_tags(bytes.clone())?;
        if self.tags_seen.len() == TAGS_SEEN_MAX {
            self.tags_seen.pop_front();
        }
        self.tags_seen.push_back((copied(bytes), tags.clone()));
        Ok(tags)
    }

    /// Somebody at `other` says of itself what cannot be.
    pub(crate) fn refuse(&mut self, name: &str, other: SocketAddr, reason: Refusal) {
        self.complain(Arc::from(name), other, reason);
    }
}

/// What a member says of itself.
pub(crate) fn alive(member: &Member) -> Alive {
    let Member { name, id, addr, tags, incarnation, .. } = member;
    let (name, tags) = (Text::from(&**name), codec::write_tags(tags));
    Alive { incarnation: *incarnation, name, id: *id, addr: *addr, tags }
}

/// Bytes that do not keep the packet alive they came in.
fn copied(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Agents of one kind say the same, and there are few kinds.
const TAGS_SEEN_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tribune_base::id::{NodeId, Uuid};

    #[test]
    fn only_servers_are_let_in_where_all_datacenters_meet() {
        let cases = [
            ("n1.dc1", "consul", "dc1", true),
            ("n1.rack.dc1", "consul", "dc1", true),
            ("n1", "consul", "dc1", false),
            (".dc1", "consul", "dc1", false),
            ("n1.dc1", "consul", "dc2", false),
            ("n1.dc1", "node", "dc1", false),
            ("n1.", "consul", "", false),
        ];
        for (name, role, dc, want) in cases {
            let tags = [("role", role), ("dc", dc)];
            let tags: BTreeMap<Arc<str>, Arc<str>> =
                tags.map(|(name, value)| (name.into(), value.into())).into();
            let addr = ([10, 0, 0, 1], 8302).into();
            let identity = Identity::new(name, NodeId(Uuid(1)), addr, tags);
            assert_eq!(is_server(&identity), want, "{name} {role} {dc}");
        }
    }
}
