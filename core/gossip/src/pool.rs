//! One member's part in one pool: its inputs, and what can be seen of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::codec::Writer;
use tribune_base::coordinate::{Coordinate, Latency, Vivaldi};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};

use crate::awareness::Awareness;
use crate::broadcast::{Broadcasts, Subject};
use crate::claim::Rumour;
use crate::codec::{self, PacketError, Received};
use crate::config::Config;
use crate::event::Events;
use crate::exchange::Purpose;
use crate::lamport::Clock;
use crate::leave::Leaving;
use crate::member::{Identity, Member, Record, State, Tags};
use crate::message::Message;
use crate::order::Order;
use crate::output::{Change, Counters, ExchangeId, MemberEvent, Output, Refusal};
use crate::probe::{Probe, Relay};
use crate::query::Queries;
use crate::roster::{Roster, Slot};
use crate::suspicion::Suspicion;
use crate::timer::Timers;

/// One member's part in one pool, of a datacenter or of all of them. See the
/// [crate documentation](crate) for the contract.
#[derive(Debug)]
pub struct Pool {
    pub(crate) config: Arc<Config>,
    pub(crate) rng: Rng,
    pub(crate) now: Instant,

    pub(crate) roster: Roster,
    /// Where we stand in it.
    pub(crate) me: Slot,
    pub(crate) name: Arc<str>,
    /// Invariant: exactly those who are suspect.
    pub(crate) suspicions: BTreeMap<Slot, Suspicion>,
    /// Invariant: the deadlines of `suspicions`.
    pub(crate) verdicts: BTreeSet<(Instant, Slot)>,
    /// Invariant: exactly those who are dead or have left.
    pub(crate) gone: BTreeSet<Slot>,
    /// What was said about those of whom we have not heard anything else.
    pub(crate) rumours: BTreeMap<Arc<str>, Rumour>,
    /// Tags that were seen lately, encoded, to be shared by those who say the same.
    pub(crate) tags_seen: VecDeque<(Bytes, Tags)>,
    /// Whom we have complained about, and when.
    pub(crate) complaints: BTreeMap<(Arc<str>, SocketAddr), Instant>,

    pub(crate) order: Order,
    pub(crate) awareness: Awareness,
    pub(crate) probe: Option<Probe>,
    pub(crate) relays: VecDeque<Relay>,
    pub(crate) seq: u64,

    pub(crate) broadcasts: Broadcasts,
    pub(crate) exchanges: BTreeMap<ExchangeId, Purpose>,
    pub(crate) exchange_serial: u64,

    pub(crate) vivaldi: Vivaldi,
    pub(crate) neighbours: BTreeMap<Slot, Box<Neighbour>>,

    /// Orders intentions.
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    pub(crate) queries: Queries,
    pub(crate) leaving: Leaving,

    pub(crate) timers: Timers,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
}

/// Where a member is that has answered us.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Neighbour {
    pub(crate) coordinate: Coordinate,
    pub(crate) latency: Latency,
}

impl Pool {
    /// A pool in which nobody else is known yet. Everything random follows from `seed`.
    pub fn new(config: impl Into<Arc<Config>>, me: Identity, seed: u64, now: Instant) -> Self {
        Self::with_roster(config, me, seed, now, Roster::default())
    }

    /// A pool in which all of `roster` are known: what it would have come to a while after it was
    /// formed. For simulations that are not about forming one.
    pub fn with_roster(
        config: impl Into<Arc<Config>>,
        me: Identity,
        seed: u64,
        now: Instant,
        mut roster: Roster,
    ) -> Self {
        let config = config.into();
        let name = me.name.clone();
        let slot = roster.find(&name).unwrap_or_else(|| {
            let member = Member::new(me, 1);
            roster.insert(Record {
                member,
                state: State::Alive,
                since: now,
                going: false,
                pruned: false,
            })
        });
        let mut rng = Rng::stream(seed, "gossip");
        let awareness = Awareness::new(if config.lifeguard { config.awareness_max } else { 1 });
        let timers = Timers::new(&config, &mut rng, now);
        let seq = rng.below(SEQ_START_MAX);
        Self {
            rng,
            now,
            roster,
            me: slot,
            name,
            suspicions: BTreeMap::new(),
            verdicts: BTreeSet::new(),
            gone: BTreeSet::new(),
            rumours: BTreeMap::new(),
            tags_seen: VecDeque::new(),
            complaints: BTreeMap::new(),
            order: Order::default(),
            awareness,
            probe: None,
            relays: VecDeque::new(),
            seq,
            broadcasts: Broadcasts::default(),
            exchanges: BTreeMap::new(),
            exchange_serial: 0,
            vivaldi: Vivaldi::default(),
            neighbours: BTreeMap::new(),
            clock: Clock::default(),
            events: Events::default(),
            queries: Queries::default(),
            leaving: Leaving::No,
            timers,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            config,
        }
    }

    /// A packet has come. Whatever is wrong with it is counted, and dropped.
    pub fn handle_packet(&mut self, now: Instant, from: SocketAddr, packet: Bytes) {
        self.advance(now);
        if self.leaving == Leaving::Done {
            return;
        }
        self.counters.packets_received += 1;
        let pool = if bug!(G12) { None } else { Some(&*self.config.pool) };
        let messages = match codec::open(packet, pool) {
            Ok(messages) => messages,
            Err(PacketError::Stranger) => return self.counters.strangers += 1,
            Err(PacketError::Version(_)) => return self.counters.versions += 1,
            Err(PacketError::Malformed(_)) => return self.counters.malformed += 1,
        };
        let mut told = Vec::new();
        for received in messages {
            match received {
                Ok(received) => told.push(received),
                Err(_) => self.counters.malformed += 1,
            }
        }
        // The newest stands first, so that effects would come before their causes.
        told.sort_by_key(|it| it.message.turn());
        told.into_iter().for_each(|it| self.on_message(from, it));
        self.check_invariants();
    }

    fn on_message(&mut self, from: SocketAddr, received: Received) {
        let Received { message, body } = received;
        match message {
            Message::Ping { seq, target } => self.on_ping(from, seq, &target),
            Message::PingReq { seq, target, addr, nack } => {
                self.on_ping_req(from, seq, target, addr, nack);
            }
            Message::Ack { seq, coordinate } => self.on_ack(from, seq, coordinate),
            Message::Nack { seq } => self.on_nack(seq),
            Message::Alive(alive) => {
                self.on_alive(&alive, Some(body));
            }
            Message::Suspect(it) => self.on_suspect(&it.name, it.incarnation, &it.from, Some(body)),
            Message::Dead(it) => self.on_dead(&it.name, it.incarnation, &it.from, Some(body)),
            Message::Join { ltime, name } => self.on_join_intent(ltime, &name, Some(body)),
            Message::Leave { ltime, name, prune } => {
                self.on_leave_intent(ltime, &name, prune, Some(body));
            }
            Message::Event(event) => self.on_event(&event, Some(body)),
            Message::Query(query) => self.on_query(query, body),
            Message::Answer { ltime, id, from, payload } => {
                self.on_answer(ltime, id, &from, payload);
            }
            Message::Relay { to, packet } => self.on_relay(to, packet),
        }
    }

    /// When [`Pool::handle_timeout`] wants to be called, at the latest. `None` once we have left.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.leaving != Leaving::Done).then(|| self.next_deadline())
    }

    /// The next thing to do, or `None` when the caller may wait for the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Say something else about ourselves from now on. Nobody listens to those who have left.
    pub fn set_tags(&mut self, now: Instant, tags: impl Into<Tags>) {
        self.advance(now);
        if self.leaving.is_gone() {
            return;
        }
        let tags = tags.into();
        let changed = self.roster.edit(self.me, |it| {
            let changed = it.member.tags != tags;
            it.member.tags = tags;
            it.member.incarnation += u64::from(changed);
            changed
        });
        if changed {
            self.tell_alive();
            self.report(Change::Update, self.me);
        }
        self.check_invariants();
    }

    /// Everybody who is known, in the order of their names; also ourselves.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.roster.iter().map(|(_, it)| &it.member)
    }

    /// The member of this name, if it is known.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.roster.find(name).map(|it| &self.roster.get(it).member)
    }

    /// Ourselves.
    pub fn local(&self) -> &Member {
        &self.roster.get(self.me).member
    }

    /// How many members are known.
    pub fn len(&self) -> usize {
        self.roster.len()
    }

    /// Never: we are a member ourselves.
    pub fn is_empty(&self) -> bool {
        self.roster.is_empty()
    }

    /// How many members are alive, as far as anybody can tell.
    pub const fn live(&self) -> usize {
        self.roster.live()
    }

    /// Whether the member of this name is alive, but is being doubted.
    pub fn is_suspect(&self, name: &str) -> bool {
        self.roster.find(name).is_some_and(|it| self.roster.get(it).state == State::Suspect)
    }

    /// Where we are.
    pub const fn coordinate(&self) -> &Coordinate {
        self.vivaldi.coordinate()
    }

    /// Where the member of this name is, if it has told us.
    pub fn coordinate_of(&self, name: &str) -> Option<&Coordinate> {
        let slot = self.roster.find(name)?;
        if slot == self.me {
            return Some(self.coordinate());
        }
        self.neighbours.get(&slot).map(|it| &it.coordinate)
    }

    /// How unwell we are: 0 is well.
    pub const fn health_score(&self) -> u32 {
        self.awareness.score()
    }

    /// What has happened so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many pieces of news wait to be told.
    pub fn broadcasts_len(&self) -> usize {
        self.broadcasts.len()
    }

    /// The Lamport times of intentions, events and queries.
    pub const fn ltimes(&self) -> [crate::LTime; 3] {
        [self.clock.time(), self.events.clock.time(), self.queries.clock.time()]
    }

    /// How this pool behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        assert!(self.now <= now, "time went backwards");
        self.now = now;
    }

    /// Send a packet, and as much news as fits beside what it is about.
    pub(crate) fn send(&mut self, to: SocketAddr, messages: &[Message]) {
        let quiet = self.broadcasts.is_empty();
        let budget = self.config.packet_budget();
        let mut writer = Writer::with_capacity(if quiet { PACKET_LEN_USUAL } else { budget });
        codec::begin(&mut writer, &self.config.pool);
        messages.iter().for_each(|it| it.write(&mut writer));
        if !quiet {
            let transmits_max = self.config.transmits_max(self.roster.live());
            self.broadcasts.fill(&mut writer, budget, transmits_max);
        }
        self.put_packet(to, writer.finish());
    }

    pub(crate) fn put_packet(&mut self, to: SocketAddr, bytes: Bytes) {
        debug_assert!(bytes.len() <= self.config.packet_budget(), "a packet is too long");
        self.counters.packets_sent += 1;
        self.counters.bytes_sent += bytes.len() as u64;
        self.outputs.push_back(Output::Packet { to, bytes });
    }

    /// Tell everybody.
    pub(crate) fn tell(&mut self, subject: Option<Subject>, message: &Message) {
        self.pass_on(subject, message.tag(), message.body());
    }

    /// Tell everybody what we were told.
    pub(crate) fn pass_on(&mut self, subject: Option<Subject>, tag: u32, body: Bytes) {
        let len_max = self.config.broadcasts_max.max(2 * self.roster.len());
        self.broadcasts.push(subject, tag, body, len_max);
        self.arm_gossip();
    }

    /// Something has changed about a member.
    pub(crate) fn report(&mut self, change: Change, slot: Slot) {
        let member = self.roster.get(slot).member.clone();
        self.outputs.push_back(Output::Member(MemberEvent { change, member }));
    }

    /// Somebody is not let in. Told once in a while.
    pub(crate) fn complain(&mut self, name: Arc<str>, other: SocketAddr, reason: Refusal) {
        self.counters.refused += 1;
        let now = self.now;
        self.complaints.retain(|_, at| now.since(*at) < COMPLAINTS_EVERY);
        let key = (name.clone(), other);
        if self.complaints.contains_key(&key) || COMPLAINTS_MAX <= self.complaints.len() {
            return;
        }
        self.complaints.insert(key, now);
        self.outputs.push_back(Output::Conflict { name, other, reason });
    }

    /// Up to `count` random members that pass, without looking at all of them.
    pub(crate) fn pick(
        &mut self,
        count: usize,
        pass: impl Fn(Slot, &Record) -> bool,
    ) -> Vec<SocketAddr> {
        let slots = u64::from(self.roster.slots());
        let mut picked: Vec<SocketAddr> = Vec::with_capacity(count);
        for _ in 0..(3 * slots).clamp(PICKS_MIN, PICKS_MAX) {
            if picked.len() == count {
                break;
            }
            let slot = self.rng.below(slots) as Slot;
            let found = self.roster.at(slot).filter(|it| slot != self.me && pass(slot, it));
            if let Some(record) = found
                && !picked.contains(&record.member.addr)
            {
                picked.push(record.member.addr);
            }
        }
        picked
    }

    pub(crate) fn check_invariants(&self) {
        debug_assert_eq!(self.roster.live() + self.gone.len(), self.roster.len());
        debug_assert_eq!(self.suspicions.len(), self.verdicts.len());
        debug_assert!(self.relays.len() <= self.config.relays_max);
        debug_assert!(self.rumours.len() <= self.config.rumours_max);
    }
}

/// A ping or an answer, with a name or a coordinate.
const PACKET_LEN_USUAL: usize = 112;
/// Sequence numbers of one life begin somewhere, so that answers to an earlier one mean nothing.
const SEQ_START_MAX: u64 = 1 << 20;
/// Somebody who is not let in tries again and again.
const COMPLAINTS_EVERY: Duration = Duration::from_secs(30);
const COMPLAINTS_MAX: usize = 64;
/// How often chance is tried before it is given up.
const PICKS_MIN: u64 = 48;
const PICKS_MAX: u64 = 256;
