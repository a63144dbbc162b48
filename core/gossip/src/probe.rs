//! Who is there: one member after the other is asked, and if it does not answer, others are asked
//! to ask it (SWIM, section 3.1), and it is tried over a stream.

use std::net::SocketAddr;
use std::sync::Arc;

use tribune_base::bug;
use tribune_base::coordinate::Coordinate;
use tribune_base::time::{Duration, Instant};

use crate::exchange::Purpose;
use crate::letter::{Kind, Letter};
use crate::member::State;
use crate::message::{Accusation, Message, Text};
use crate::pool::Pool;
use crate::roster::Slot;

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Probe {
    slot: Slot,
    /// Slots are used again; names are not.
    name: Arc<str>,
    addr: SocketAddr,
    pub(crate) seq: u64,
    sent_at: Instant,
    /// How long we try alone.
    direct_until: Instant,
    /// How long we try at all.
    until: Instant,
    /// Others have been asked.
    indirect: bool,
    /// How many of them are to say so if they get no answer either, and how many have.
    nacks_wanted: u32,
    nacks: u32,
    /// Another chance was given.
    repeated: bool,
}

/// A probe on behalf of somebody else.
#[derive(Debug)]
pub(crate) struct Relay {
    seq: u64,
    origin: SocketAddr,
    origin_seq: u64,
    nack_at: Instant,
    until: Instant,
    /// A nack is owed.
    nack: bool,
}

impl Probe {
    pub(crate) const fn deadline(&self) -> Instant {
        if self.indirect { self.until } else { self.direct_until }
    }
}

impl Pool {
    /// Ask the next member whether it is there.
    pub(crate) fn begin_probe(&mut self) {
        if self.probe.is_some() || self.leaving.is_gone() {
            // The next one follows when this one ends: see `end_probe`.
            self.timers.probe = self.now + self.config.probe_interval;
            return;
        }
        self.timers.probe = self.now + self.awareness.scale(self.config.probe_interval);
        let Some(slot) = self.next_target() else { return };
        let record = self.roster.get(slot);
        let (name, addr) = (record.member.name.clone(), record.member.addr);
        self.seq += 1;
        self.probe = Some(Probe {
            slot,
            name,
            addr,
            seq: self.seq,
            sent_at: self.now,
            direct_until: self.now + self.awareness.scale(self.config.probe_timeout),
            until: self.now + self.awareness.scale(self.config.probe_patience()),
            indirect: false,
            nacks_wanted: 0,
            nacks: 0,
            repeated: false,
        });
        self.counters.probes += 1;
        self.ping(slot, self.seq);
    }

    /// Somebody who is alive, in the order of the round.
    fn next_target(&mut self) -> Option<Slot> {
        let slots = self.roster.slots();
        (0..(2 * slots).min(TRIES_MAX)).find_map(|_| {
            let slot = self.order.next(slots, &mut self.rng);
            let found = self.roster.at(slot).is_some_and(|it| it.state.is_live());
            (found && slot != self.me).then_some(slot)
        })
    }

    fn ping(&mut self, slot: Slot, seq: u64) {
        let record = self.roster.get(slot);
        let (addr, target) = (record.member.addr, Text::from(&*record.member.name));
        let ping = Message::Ping { seq, target };
        if record.state == State::Suspect && self.config.lifeguard {
            // Whoever is suspect hears of it from us, and need not wait for others to tell it
            // (Lifeguard, section 3.C); and before it answers, so that its answer can refute it.
            let (name, from) = (Text::from(&*record.member.name), Text::from(&*self.name));
            let incarnation = record.member.incarnation;
            let suspect = Message::Suspect(Accusation { incarnation, name, from });
            self.send(addr, &[suspect, ping]);
        } else {
            self.send(addr, &[ping]);
        }
    }

    /// Ask others if it takes too long; give up if that takes too long.
    pub(crate) fn continue_probe(&mut self) {
        let now = self.now;
        if self.probe.as_ref().is_some_and(|it| it.until <= now) {
            return self.fail_probe();
        }
        if let Some(probe) = &mut self.probe
            && !probe.indirect
            && probe.direct_until <= now
        {
            probe.indirect = true;
            self.ask_others();
        }
    }

    fn ask_others(&mut self) {
        let Some(probe) = &self.probe else { return };
        let (slot, seq, addr) = (probe.slot, probe.seq, probe.addr);
        let (nack, target) = (self.config.lifeguard, Text::from(&*probe.name));
        self.counters.probes_indirect += 1;
        let count = self.config.indirect_checks;
        let others = self.pick(count, |it, record| it != slot && record.state == State::Alive);
        for to in &others {
            let target = target.clone();
            self.send(*to, &[Message::PingReq { seq, target, addr, nack }]);
        }
        if let Some(probe) = &mut self.probe {
            probe.nacks_wanted = if nack { others.len() as u32 } else { 0 };
        }
        // Packets may be lost or blocked where streams are not.
        let ping = Letter { seq, target, ..self.letter(Kind::Ping) };
        self.begin_exchange(addr, Purpose::Ping { seq }, &ping);
    }

    fn fail_probe(&mut self) {
        let Some(probe) = self.probe.take() else { return };
        self.counters.probes_failed += 1;
        // If those whom we asked cannot be heard either, it may be us.
        let missed = probe.nacks_wanted.saturating_sub(probe.nacks);
        self.awareness.apply(if probe.nacks_wanted == 0 { 1 } else { missed as i32 });
        let same = self.roster.at(probe.slot).is_some_and(|it| it.member.name == probe.name);
        if same {
            let incarnation = self.roster.get(probe.slot).member.incarnation;
            let me = self.name.clone();
            self.on_suspect(&probe.name, incarnation, &me, None);
        }
    }

    /// The member that is being probed has answered, one way or another.
    pub(crate) fn end_probe(&mut self) {
        if let Some(probe) = self.probe.take() {
            // Others can be heard. Who was cut off has accused many of them, who do not know, and are
            // to hear of it before it is too late: that needs probes, and no more patience.
            let next = probe.sent_at + self.config.probe_interval;
            self.timers.probe = self.timers.probe.min(next).max(self.now);
        }
        self.awareness.apply(-1);
    }

    /// We were not there for so long: whatever we have missed meanwhile is nobody's fault but ours.
    pub(crate) fn on_stall(&mut self, late: Duration) {
        if !self.config.lifeguard || late <= self.config.probe_timeout {
            return;
        }
        self.counters.stalls += 1;
        self.awareness.apply(1);
        for (slot, suspicion) in &mut self.suspicions {
            self.verdicts.remove(&(suspicion.deadline(), *slot));
            suspicion.delay(late);
            self.verdicts.insert((suspicion.deadline(), *slot));
        }
        let Some(probe) = &mut self.probe else { return };
        // Whoever is always late never accuses anybody, unless it does so now.
        if probe.repeated || self.now < probe.until {
            return;
        }
        let live = self.roster.at(probe.slot).is_some_and(|it| it.member.name == probe.name);
        if live {
            probe.repeated = true;
            probe.indirect = false;
            probe.sent_at = self.now;
            probe.direct_until = self.now + self.awareness.scale(self.config.probe_timeout);
            probe.until = self.now + self.awareness.scale(self.config.probe_patience());
            let (slot, seq) = (probe.slot, probe.seq);
            self.ping(slot, seq);
        }
    }

    pub(crate) fn on_ping(&mut self, from: SocketAddr, seq: u64, target: &str) {
        if target != &*self.name {
            // For whoever had this address before us.
            self.counters.malformed += 1;
            return;
        }
        let coordinate = self.config.coordinates.then(|| *self.coordinate());
        let mut messages = vec![Message::Ack { seq, coordinate }];
        messages.extend(self.obituary(from));
        self.send(from, &messages);
    }

    /// What we believe of whoever asks from this address, if we believe that it is gone. Nobody
    /// tells it news, so that it would not hear of it, and could not clear itself, before it
    /// compares with somebody.
    fn obituary(&self, from: SocketAddr) -> Option<Message> {
        let record = |slot: &Slot| self.roster.get(*slot);
        let gone = self.gone.iter().map(record).find(|it| it.member.addr == from)?;
        let (name, from) = (Text::from(&*gone.member.name), Text::from(&*self.name));
        let incarnation = gone.member.incarnation;
        Some(Message::Dead(Accusation { incarnation, name, from }))
    }

    pub(crate) fn on_ping_req(
        &mut self,
        from: SocketAddr,
        origin_seq: u64,
        target: Text,
        addr: SocketAddr,
        nack: bool,
    ) {
        self.seq += 1;
        let seq = self.seq;
        if self.relays.len() == self.config.relays_max {
            self.relays.pop_front();
        }
        let timeout = self.config.probe_timeout;
        self.relays.push_back(Relay {
            seq,
            origin: from,
            origin_seq,
            // Early enough to arrive while it is still waited for.
            nack_at: self.now + timeout * 4 / 5,
            until: self.now + timeout,
            nack,
        });
        self.send(addr, &[Message::Ping { seq, target }]);
    }

    pub(crate) fn on_ack(&mut self, from: SocketAddr, seq: u64, coordinate: Option<Coordinate>) {
        if let Some(probe) = &self.probe
            && (probe.seq == seq || bug!(G05) && seq < probe.seq)
        {
            // A time is only that of a way there and back if nobody else was on it, and if it is
            // clear which of two questions this answers.
            let direct = probe.addr == from && !probe.repeated;
            if let (true, Some(coordinate)) = (direct, coordinate) {
                self.on_distance(probe.slot, coordinate, self.now.since(probe.sent_at));
            }
            return self.end_probe();
        }
        let Some(at) = self.relays.iter().position(|it| it.seq == seq) else { return };
        let relay = self.relays.remove(at).expect("it was just there");
        self.send(relay.origin, &[Message::Ack { seq: relay.origin_seq, coordinate: None }]);
    }

    pub(crate) fn on_nack(&mut self, seq: u64) {
        if let Some(probe) = &mut self.probe
            && probe.seq == seq
        {
            probe.nacks += 1;
        }
    }

    fn on_distance(&mut self, slot: Slot, coordinate: Coordinate, rtt: Duration) {
        if !self.config.coordinates {
            return;
        }
        let neighbour = self.neighbours.entry(slot).or_default();
        neighbour.coordinate = coordinate;
        neighbour.latency.record(rtt);
        let (latency, rng) = (neighbour.latency, &mut self.rng);
        let random = || (rng.draw() >> 11) as f64 / (1_u64 << 53) as f64;
        self.vivaldi.update(&coordinate, &latency, random);
    }

    /// Say to those who asked us that there is no answer, and forget it.
    pub(crate) fn continue_relays(&mut self) {
        let now = self.now;
        while let Some(at) = self.relays.iter().position(|it| it.nack && it.nack_at <= now) {
            let relay = &mut self.relays[at];
            relay.nack = false;
            let (origin, seq) = (relay.origin, relay.origin_seq);
            self.send(origin, &[Message::Nack { seq }]);
        }
        while self.relays.pop_front_if(|it| it.until <= now).is_some() {}
    }

    pub(crate) fn relay_deadline(&self) -> Instant {
        let nack = self.relays.iter().find(|it| it.nack).map_or(Instant::NEVER, |it| it.nack_at);
        self.relays.front().map_or(nack, |it| nack.min(it.until))
    }
}

/// How many are passed over in search of somebody alive, at a time.
const TRIES_MAX: u32 = 64;
