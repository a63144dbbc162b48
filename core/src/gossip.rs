//! Who is there → what this agent does about it: one pool of agents, wired to its network.
//!
//! Packets go out as they are. What does not fit a packet travels as a [`Wire::Exchange`], over the
//! connections that agents have anyway.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_api::agent::{Member as Shown, MemberStatus};
use tribune_api::coordinate::{DatacenterPlaces, Place, Places};
use tribune_api::error::Error;
use tribune_api::http::Response;
use tribune_api::keyring::{KeyOrder, KeyringCall, KeysOrWhy, PoolKeys};
use tribune_base::coordinate::Coordinate;
use tribune_base::id::{NodeId, ServerId};
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{
    Change, EventError, ExchangeId, Identity, Member, MemberEvent, Output as Said, Pool, Query,
    Status, UserEvent,
};

use crate::area::Area;
use crate::config::{Config, Encryption};
use crate::event::Event;
use crate::keys::{Asked, Keys, Outcome};
use crate::output::Output;
use crate::request::RequestId;
use crate::wire::Wire;

/// This agent's part in one pool.
#[derive(Debug)]
pub(crate) struct Gossip {
    area: Area,
    pool: Pool,
    /// Where the pool's other members reach this one.
    own: SocketAddr,
    /// Exchanges under way, and when they are given up.
    exchanges: BTreeMap<ExchangeId, Instant>,
    /// Clients that have asked to join, and are not answered yet.
    joins: Vec<Join>,
    keys: Keys,
    encryption: Encryption,
    /// Where every other member is that is alive, by id.
    located: BTreeMap<ServerId, Arc<str>>,
    /// Where agents are that have said so themselves, before the pool did.
    callers: BTreeMap<ServerId, Arc<str>>,
    /// Where everybody is, how often that was another, and when to look again.
    places: Arc<Places>,
    placed: u64,
    place_at: Instant,
    /// What its owner has yet to be told.
    news: VecDeque<News>,
}

/// Something that this agent has to act on.
#[derive(Debug)]
pub(crate) enum News {
    /// A member came, went, or is another.
    Member(MemberEvent),
    /// Somebody fired an event.
    Fired(UserEvent),
    /// Everything is tried that a client wanted to be joined.
    Joined(RequestId, Response),
    /// What has become of an order about keys.
    Keys(Outcome),
    /// A server of another datacenter has an order about keys for all of this one.
    KeysWanted(Query, KeyOrder),
    /// This agent has left, and others know.
    Left,
}

/// What a client wanted to be joined.
#[derive(Debug)]
struct Join {
    id: RequestId,
    /// Not tried yet.
    waiting: Vec<SocketAddr>,
    joined: usize,
    errors: Vec<String>,
}

impl Gossip {
    /// In the pool of a datacenter.
    pub(crate) fn lan(
        config: &Config,
        tags: &BTreeMap<String, String>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let own = SocketAddr::new(config.ip(), config.serf_lan_port);
        let who = (config.name.as_str(), config.id, tags);
        let settings = (config.gossip.clone(), config.encryption);
        Self::new(Area::Lan, settings, who, own, (seed, now))
    }

    /// In the pool of all datacenters' servers, if this is one of them.
    pub(crate) fn wan(config: &Config, seed: u64, now: Instant) -> Option<Self> {
        let wan = config.wan.as_ref()?;
        let own = SocketAddr::new(wan.address, wan.port);
        let (name, tags) = (config.wan_name(&config.name), config.server_tags());
        let who = (name.as_str(), config.id, &tags);
        let settings = (wan.gossip.clone(), wan.encryption);
        Some(Self::new(Area::Wan, settings, who, own, (seed, now)))
    }

    fn new(
        area: Area,
        (config, encryption): (tribune_gossip::Config, Encryption),
        (name, id, tags): (&str, NodeId, &BTreeMap<String, String>),
        own: SocketAddr,
        (seed, now): (u64, Instant),
    ) -> Self {
        let tags: BTreeMap<Arc<str>, Arc<str>> = tags
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect();
        let me = Identity::new(name, id, own, tags);
        Self {
            area,
            pool: Pool::new(config, me, seed, now),
            own,
            exchanges: BTreeMap::new(),
            joins: Vec::new(),
            keys: Keys::default(),
            encryption,
            located: BTreeMap::new(),
            callers: BTreeMap::new(),
            places: Arc::default(),
            placed: 0,
            place_at: now,
            news: VecDeque::new(),
        }
    }

    pub(crate) fn heard(&mut self, now: Instant, from: SocketAddr, packet: Bytes) {
        self.pool.handle_packet(now, from, packet);
    }

    /// A member wants an exchange. Returns where the answer goes, and the answer.
    pub(crate) fn on_exchange(
        &mut self,
        now: Instant,
        serial: u64,
        from: &str,
        request: Bytes,
    ) -> Option<Output> {
        let addr = from.parse().ok()?;
        let answer = self.pool.handle_exchange(now, addr, request)?;
        let message = Wire::Exchanged { area: self.area, serial, answer };
        Some(Output::Send { to: from.into(), message })
    }

    pub(crate) fn on_exchanged(&mut self, now: Instant, serial: u64, answer: Bytes) {
        self.complete(now, ExchangeId(serial), Some(answer));
    }

    fn complete(&mut self, now: Instant, id: ExchangeId, answer: Option<Bytes>) {
        if self.exchanges.remove(&id).is_some() {
            self.pool.exchanged(now, id, answer);
        }
    }

    /// An exchange has not left this agent: nobody is there.
    pub(crate) fn undelivered(&mut self, now: Instant, serial: u64) {
        self.complete(now, ExchangeId(serial), None);
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let late = self.exchanges.iter().filter(|(_, until)| **until <= now);
        for id in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.complete(now, id, None);
        }
        self.pool.handle_timeout(now);
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        let exchanges = self.exchanges.values().min().copied();
        let next = [exchanges, self.pool.poll_timeout()].into_iter().flatten().min();
        next.unwrap_or(Instant::NEVER)
    }

    /// Join whoever is at these addresses, and answer `id` when all are tried.
    pub(crate) fn join(&mut self, now: Instant, id: RequestId, addrs: Vec<SocketAddr>) {
        if addrs.is_empty() {
            let nobody = Error::bad("no address to join");
            return self.news.push_back(News::Joined(id, nobody.into()));
        }
        // Lists of addresses are the same for all, and everybody is on its own.
        let (own, waiting): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|it| *it == self.own);
        self.pool.join(now, waiting.iter().copied());
        self.joins.push(Join { id, waiting, joined: own.len(), errors: Vec::new() });
        self.answer_joins();
    }

    /// Whether nobody else is alive, as far as we know: `true` or `false`.
    pub(crate) fn is_alone(&self) -> Response {
        let alone = self.pool.live() <= 1;
        Response::text(200, if alone { "true" } else { "false" })
    }

    /// Join a server that is known otherwise, unless it is here already.
    pub(crate) fn meet(&mut self, now: Instant, addr: SocketAddr, id: ServerId) {
        if addr != self.own && !self.located.contains_key(&id) {
            self.pool.join(now, [addr]);
        }
    }

    /// Join whoever is at these addresses. Nobody waits for it.
    pub(crate) fn bring_in(&mut self, now: Instant, addrs: Vec<SocketAddr>) {
        if !addrs.is_empty() {
            self.pool.join(now, addrs);
        }
    }

    /// Say that this agent goes for good. [`News::Left`] follows.
    pub(crate) fn leave(&mut self, now: Instant) {
        self.pool.leave(now);
    }

    /// Have a member that has failed be gone for good. False, if there is no such member.
    pub(crate) fn force_leave(&mut self, now: Instant, name: &str, prune: bool) -> bool {
        self.pool.force_leave(now, name, prune)
    }

    /// Where this agent is, as far as round-trip times can tell.
    pub(crate) const fn coordinate(&self) -> Coordinate {
        *self.pool.coordinate()
    }

    /// Where a member is, if it has told.
    pub(crate) fn coordinate_of(&self, name: &str) -> Option<Coordinate> {
        self.pool.coordinate_of(name).copied()
    }

    /// How far a member is.
    pub(crate) fn distance(&self, name: &str) -> Option<Duration> {
        Some(self.pool.coordinate().distance(self.pool.coordinate_of(name)?))
    }

    /// Where everybody is. Every server knows, because every agent tells whoever probes it: nothing
    /// of it has to be committed.
    pub(crate) const fn places(&self) -> &Arc<Places> {
        &self.places
    }

    /// Tells [`places`](Self::places) apart.
    pub(crate) const fn placed(&self) -> u64 {
        self.placed
    }

    /// When to look where everybody is. Not each time somebody moves, which is all the time.
    pub(crate) const fn place_at(&self) -> Instant {
        self.place_at
    }

    /// Look where everybody is now. Of other datacenters, it is said here.
    pub(crate) fn place(&mut self, now: Instant, datacenters: Vec<DatacenterPlaces>) {
        self.place_at = now + PLACE_EVERY;
        let place = |it: &Member| {
            let coordinate = *self.pool.coordinate_of(&it.name)?;
            Some((Arc::clone(&it.name), Place { coordinate, server: server(it).is_some() }))
        };
        let places = Places { nodes: self.members().filter_map(place).collect(), datacenters };
        if *self.places != places {
            self.places = Arc::new(places);
            self.placed += 1;
        }
    }

    /// Tell everybody of an event.
    ///
    /// # Errors
    ///
    /// It is longer than what is returned.
    pub(crate) fn fire(&mut self, now: Instant, name: &str, payload: Bytes) -> Result<(), usize> {
        match self.pool.fire(now, name, payload, false) {
            Ok(_) => Ok(()),
            Err(EventError::TooLarge { max, .. }) => Err(max),
            Err(EventError::Ended) => unreachable!("an event has no end"),
        }
    }

    /// Have everybody do something with their keys. [`News::Keys`] follows.
    pub(crate) fn order_keys(
        &mut self,
        now: Instant,
        id: RequestId,
        call: &KeyringCall,
        datacenter: &str,
    ) {
        let (nobody, order) = (self.no_keys(datacenter), (id, call));
        let known = self.keys.give(now, &mut self.pool, nobody, order, self.encryption);
        self.news.extend(known.map(News::Keys));
    }

    /// Have a server of another datacenter do the same there. [`News::Keys`] follows.
    pub(crate) fn order_keys_there(
        &mut self,
        now: Instant,
        id: RequestId,
        call: &KeyringCall,
        to: (Arc<str>, PoolKeys),
    ) {
        let order = (id, call);
        let known = self.keys.give_there(now, &mut self.pool, to, order, self.encryption);
        self.news.extend(known.map(News::Keys));
    }

    /// Tell the server of another datacenter that wanted it what has become of its order.
    pub(crate) fn tell_keys(&mut self, now: Instant, query: &Query, keys: &PoolKeys) {
        Keys::tell(now, &mut self.pool, query, keys, self.encryption);
    }

    /// What is known of this pool's keys before anybody has answered.
    pub(crate) fn no_keys(&self, datacenter: &str) -> PoolKeys {
        let wan = self.area == Area::Wan;
        PoolKeys { wan, datacenter: datacenter.to_owned(), ..PoolKeys::default() }
    }

    /// The shell has done what somebody has ordered, or has not.
    pub(crate) fn keys_done(&mut self, now: Instant, order: u64, outcome: KeysOrWhy) {
        self.keys.done(now, &mut self.pool, order, outcome, self.encryption);
    }

    /// Perform what the pool wants, up to the next thing that its owner has to know.
    pub(crate) fn poll(&mut self, now: Instant, outputs: &mut VecDeque<Output>) -> Option<News> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            match self.pool.poll_output()? {
                Said::Packet { to, bytes } => {
                    outputs.push_back(Output::Packet { area: self.area, to, bytes });
                }
                Said::Exchange { id, to, request, timeout } => {
                    self.exchanges.insert(id, now + timeout);
                    let from = self.own.to_string();
                    let area = self.area;
                    let message = Wire::Exchange { area, serial: id.0, from, request };
                    outputs.push_back(Output::Send { to: to.to_string().into(), message });
                }
                Said::Joined { addr, result } => {
                    let result = result.map(drop).map_err(|it| it.to_string());
                    self.joined(addr, result);
                }
                Said::Member(event) => {
                    self.locate(&event);
                    return Some(News::Member(event));
                }
                Said::Event(event) => return Some(News::Fired(event)),
                Said::Conflict { name, other, reason } => {
                    let (name, reason) = (name.to_string(), reason.to_string());
                    outputs.push_back(Output::Event(Event::Refused { name, other, reason }));
                }
                Said::Left => return Some(News::Left),
                Said::Query(query) => match self.keys.asked(now, self.area, query) {
                    Some(Asked::Here(order, what)) => {
                        outputs.push_back(Output::Keys { area: self.area, order, what });
                    }
                    Some(Asked::Everybody(query, order)) => {
                        return Some(News::KeysWanted(query, order));
                    }
                    None => {}
                },
                Said::Answer { query, from, payload } => {
                    let outcome = self.keys.answered(query, &from, payload);
                    self.news.extend(outcome.map(News::Keys));
                }
                Said::QueryEnded { query } => {
                    self.news.extend(self.keys.ended(query).map(News::Keys));
                }
            }
        }
    }

    fn joined(&mut self, addr: SocketAddr, result: Result<(), String>) {
        for join in &mut self.joins {
            if join.waiting.contains(&addr) {
                join.waiting.retain(|it| *it != addr);
                match &result {
                    Ok(()) => join.joined += 1,
                    Err(why) => join.errors.push(format!("Failed to join {addr}: {why}")),
                }
            }
        }
        self.answer_joins();
    }

    /// Tell those who wanted somebody joined, as soon as all are tried.
    fn answer_joins(&mut self) {
        for join in self.joins.extract_if(.., |it| it.waiting.is_empty()) {
            let response = if join.joined == 0 {
                Error::Join(join.errors.join("; ")).into()
            } else {
                Response::empty(200)
            };
            self.news.push_back(News::Joined(join.id, response));
        }
    }

    fn locate(&mut self, event: &MemberEvent) {
        let member = &event.member;
        let id = ServerId::from(member.id);
        self.callers.remove(&id);
        match event.change {
            Change::Join | Change::Update => {
                self.located.insert(id, member.addr.to_string().into());
            }
            Change::Leave | Change::Failed | Change::Reap => {
                self.located.remove(&id);
            }
        }
    }

    /// Where a member listens, if it is alive.
    pub(crate) fn address(&self, id: ServerId) -> Option<&Arc<str>> {
        self.located.get(&id).or_else(|| self.callers.get(&id))
    }

    /// Where this agent is, for the others.
    pub(crate) const fn own(&self) -> SocketAddr {
        self.own
    }

    /// An agent says where it is. If the pool does not say so, too, that is so because one of the
    /// two has just begun.
    pub(crate) fn called(&mut self, now: Instant, id: ServerId, address: String) {
        if self.located.contains_key(&id) || CALLERS_MAX <= self.callers.len() {
            return;
        }
        if let Ok(addr) = address.parse() {
            self.meet(now, addr, id);
            self.callers.insert(id, address.into());
        }
    }

    /// Everybody, by name, this agent among them.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.pool.members()
    }

    /// The member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        self.pool.member(name)
    }

    /// What the API tells about the pool, by the names of the original.
    pub(crate) fn stats(&self) -> BTreeMap<String, String> {
        let count = |wanted: Status| self.members().filter(|it| it.status == wanted).count();
        let [intents, events, queries] = self.pool.ltimes();
        let rows = [
            ("event_time", events.0.to_string()),
            ("failed", count(Status::Failed).to_string()),
            ("health_score", self.pool.health_score().to_string()),
            ("intent_queue", self.pool.broadcasts_len().to_string()),
            ("left", count(Status::Left).to_string()),
            ("member_time", intents.0.to_string()),
            ("members", self.pool.len().to_string()),
            ("query_time", queries.0.to_string()),
        ];
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// How many are there.
    pub(crate) fn count(&self) -> usize {
        self.located.len() + 1
    }

    /// Everybody, as the API shows them.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let shown = |it: &Member| Shown {
            name: it.name.to_string(),
            address: it.addr.ip(),
            port: it.addr.port(),
            tags: it
                .tags
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            status: match it.status {
                Status::None | Status::Failed => MemberStatus::Failed,
                Status::Alive => MemberStatus::Alive,
                Status::Leaving => MemberStatus::Leaving,
                Status::Left => MemberStatus::Left,
            },
        };
        self.members().map(shown).collect()
    }
}

/// A server, as its tags describe it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ServerTags {
    /// Where it listens for other agents, as `host:port`.
    pub(crate) address: String,
    /// The port of that.
    pub(crate) port: u16,
    /// Its release.
    pub(crate) version: String,
}

/// What a member is beside an agent, if it is a server.
pub(crate) fn server(member: &Member) -> Option<ServerTags> {
    let tag = |name: &str| member.tags.get(name).map(|it| &**it);
    if tag("role") != Some("consul") {
        return None;
    }
    let port: u16 = tag("port")?.parse().ok()?;
    let address = SocketAddr::new(member.addr.ip(), port).to_string();
    let build = tag("build").unwrap_or_default();
    let version = build.split(':').next().unwrap_or_default().to_owned();
    Some(ServerTags { address, port, version })
}

/// How often a server looks where everybody is.
const PLACE_EVERY: Duration = Duration::from_secs(5);

/// Agents that have called and are not in the pool yet. More are answered when they are.
const CALLERS_MAX: usize = 4_096;
