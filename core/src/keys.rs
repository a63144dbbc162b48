//! Keys → what members of a pool are to do with them: asked by a query, carried out by each one's
//! shell, which has them, and counted where it was asked.
//!
//! ```text
//!   operator ──> order_keys ──┬── WAN, LAN: ORDER to everybody ──────────────> shell, and back
//!                             └── WAN: ORDER_THERE to a server of each other datacenter
//!                                        └─> its LAN: ORDER to everybody ────> shell, and back, counted
//! ```
//!
//! A key travels only where what the pool says is sealed: also to other datacenters, which are told by
//! the pool where they meet, and not by the connections that other requests take.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tribune_api::error::Error;
use tribune_api::http::Response;
use tribune_api::keyring::{KeyOrder, KeyringCall, KeysOrWhy, PoolKeys};
use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::json;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Pool, Query, QueryId, QueryOptions, Status};

use crate::area::Area;
use crate::config::Encryption;
use crate::gossip::Gossip;
use crate::node::Node;
use crate::request::RequestId;

/// One pool's orders: those that this agent has yet to carry out, and those that it has given.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Invariant: no more than [`ORDERS_MAX`].
    orders: BTreeMap<u64, Query>,
    serial: u64,
    given: BTreeMap<QueryId, Given>,
}

/// An order that is under way.
#[derive(Debug)]
struct Given {
    id: RequestId,
    /// What has been answered so far.
    keys: PoolKeys,
    /// To one server, for all of its datacenter. Otherwise to everybody.
    there: bool,
}

/// What a query of another agent asks of this one.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Something that the shell does with this agent's keys, and the number of the order.
    Here(u64, KeyOrder),
    /// Something that the datacenter's pool does, for a server of another one.
    Everybody(Query, KeyOrder),
}

/// What has become of an order in one pool.
pub(crate) type Outcome = (RequestId, PoolKeys);

impl Keys {
    /// Give everybody in `pool` an order. What comes of it, if it is known at once.
    pub(crate) fn give(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        mut keys: PoolKeys,
        (id, call): (RequestId, &KeyringCall),
        encryption: Encryption,
    ) -> Option<Outcome> {
        let me = pool.local().name.clone();
        if let Some(why) = withheld(&call.order, encryption) {
            return Some((id, keys.unasked(&me, why)));
        }
        keys.members = pool.members().filter(|it| it.status == Status::Alive).count();
        let options = QueryOptions { relays: call.relays, timeout: Duration::ZERO, to: Vec::new() };
        match pool.query(now, ORDER, encode_order(&call.order), options) {
            Ok(query) => {
                self.given.insert(query, Given { id, keys, there: false });
                None
            }
            Err(error) => Some((id, keys.unasked(&me, error.to_string()))),
        }
    }

    /// Have `server`, of another datacenter, give everybody there an order. What comes of it, if it is
    /// known at once.
    pub(crate) fn give_there(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        (server, mut keys): (Arc<str>, PoolKeys),
        (id, call): (RequestId, &KeyringCall),
        encryption: Encryption,
    ) -> Option<Outcome> {
        if let Some(why) = withheld(&call.order, encryption) {
            return Some((id, keys.unasked(&pool.local().name, why)));
        }
        let (to, timeout) = (vec![Arc::clone(&server)], THERE_MAX);
        let options = QueryOptions { relays: call.relays, timeout, to };
        match pool.query(now, ORDER_THERE, encode_order(&call.order), options) {
            Ok(query) => {
                // Whoever is silent is one member that does not report success.
                keys.members = 1;
                self.given.insert(query, Given { id, keys, there: true });
                None
            }
            Err(error) => Some((id, keys.unasked(&server, error.to_string()))),
        }
    }

    /// A member asks.
    pub(crate) fn asked(&mut self, now: Instant, area: Area, query: Query) -> Option<Asked> {
        let there = match &*query.name {
            ORDER => false,
            ORDER_THERE if area == Area::Wan => true,
            _ => return None, // Of a later release.
        };
        let what = decode_order(query.payload.clone()).ok().flatten()?;
        if there {
            return Some(Asked::Everybody(query, what));
        }
        self.orders.retain(|_, it| now < it.deadline);
        if ORDERS_MAX <= self.orders.len() {
            return None;
        }
        self.serial += 1;
        self.orders.insert(self.serial, query);
        Some(Asked::Here(self.serial, what))
    }

    /// Everybody here has done what a server of another datacenter wanted, or has not.
    pub(crate) fn tell(
        now: Instant,
        pool: &mut Pool,
        query: &Query,
        keys: &PoolKeys,
        encryption: Encryption,
    ) {
        let why = |keys: &PoolKeys, why: &str| {
            let PoolKeys { members, .. } = *keys;
            encode_keys(&PoolKeys { members, ..PoolKeys::default() }.unasked("keys", why))
        };
        let answer = if encryption != Encryption::On && !keys.installed.is_empty() {
            why(keys, IN_THE_CLEAR)
        } else {
            encode_keys(keys)
        };
        if pool.answer(now, query, answer).is_err() {
            // Too late is too late. What is too long can be told to be.
            _ = pool.answer(now, query, why(keys, TOO_MANY));
        }
    }

    /// The shell has carried out an order, or has not.
    pub(crate) fn done(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        order: u64,
        outcome: KeysOrWhy,
        encryption: Encryption,
    ) {
        let Some(query) = self.orders.remove(&order) else { return };
        let outcome = match outcome {
            Ok(keys) if encryption != Encryption::On && !keys.is_empty() => {
                Err(IN_THE_CLEAR.to_owned())
            }
            Ok(_) | Err(_) => outcome,
        };
        if pool.answer(now, &query, encode_answer(&outcome)).is_err() {
            // Too late is too late. What is too long can be told to be.
            let why = Err(TOO_MANY.to_owned());
            _ = pool.answer(now, &query, encode_answer(&why));
        }
    }

    /// A member has answered. The outcome, if it was the last.
    pub(crate) fn answered(
        &mut self,
        query: QueryId,
        from: &Arc<str>,
        payload: Bytes,
    ) -> Option<Outcome> {
        let given = self.given.get_mut(&query)?;
        if given.there {
            given.keys = decode_keys(payload, &given.keys).ok()?;
        } else {
            given.keys.hear(from, decode_answer(payload).ok()?);
            if given.keys.answered < given.keys.members {
                return None;
            }
        }
        self.ended(query)
    }

    /// No more answers are waited for.
    pub(crate) fn ended(&mut self, query: QueryId) -> Option<Outcome> {
        self.given.remove(&query).map(|it| (it.id, it.keys))
    }
}

/// Why an order is not given, if it is not.
fn withheld(order: &KeyOrder, encryption: Encryption) -> Option<&'static str> {
    order.key()?;
    match encryption {
        Encryption::On => None,
        Encryption::Incoming => Some(IN_THE_CLEAR),
        Encryption::Off => Some("No keyring to modify (encryption not enabled)"),
    }
}

/// Requests of operators, each about several pools.
#[derive(Debug, Default)]
pub(crate) struct KeyringRequests(BTreeMap<RequestId, KeyringRequest>);

#[derive(Debug)]
enum KeyringRequest {
    /// Of a client, about so many pools.
    Client { call: KeyringCall, pools: usize, done: Vec<PoolKeys> },
    /// Of a server in another datacenter, about this one's pool.
    Guest(Query),
}

/// A request that every pool it is about has been asked for.
#[derive(Debug)]
pub(crate) enum Done {
    /// The answer to a client.
    Client(RequestId, Response),
    /// What to tell another datacenter.
    Guest(Query, PoolKeys),
}

impl KeyringRequests {
    /// A client's request about so many pools.
    pub(crate) fn begin(&mut self, id: RequestId, call: KeyringCall, pools: usize) {
        self.0.insert(id, KeyringRequest::Client { call, pools, done: Vec::new() });
    }

    /// Another datacenter's request.
    fn begin_guest(&mut self, id: RequestId, query: Query) {
        self.0.insert(id, KeyringRequest::Guest(query));
    }

    /// One of the pools is done. What to do, if it was the last one.
    pub(crate) fn done(&mut self, (id, keys): Outcome, here: &str) -> Option<Done> {
        match self.0.get_mut(&id)? {
            KeyringRequest::Client { pools, done, .. } => {
                done.push(keys);
                if done.len() < *pools {
                    return None;
                }
                let KeyringRequest::Client { call, mut done, .. } = self.0.remove(&id)? else {
                    return None;
                };
                done.sort_by_key(|it| (!it.wan, it.datacenter != here, it.datacenter.clone()));
                Some(Done::Client(id, call.answer(&done)))
            }
            KeyringRequest::Guest(_) => {
                let KeyringRequest::Guest(query) = self.0.remove(&id)? else { return None };
                Some(Done::Guest(query, keys))
            }
        }
    }

    /// The client is gone. What it wanted may happen all the same.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        self.0.remove(&id);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Node {
    /// Have the members of this agent's pools do something with their keys, and those of all other
    /// datacenters.
    pub(crate) fn order_keys(&mut self, id: RequestId, call: KeyringCall) {
        let here = self.config.datacenter.clone();
        let others = if call.local_only { Vec::new() } else { self.elsewhere() };
        let wan = self.wan.as_mut().filter(|_| !call.local_only);
        let mut pools: Vec<_> = wan.into_iter().chain([&mut self.gossip]).collect();
        let of = |datacenter: &str| PoolKeys {
            datacenter: datacenter.to_owned(),
            ..PoolKeys::default()
        };
        if let Some(why) = illegible(&call.order) {
            let pools = pools.iter().map(|it| it.no_keys(&here));
            let pools: Vec<_> = pools.chain(others.iter().map(|it| of(&it.0))).collect();
            let response = call.refuse(&pools, &why);
            return self.reply(id, response);
        }
        for pool in &mut pools {
            pool.order_keys(self.now, id, &call, &here);
        }
        let count = pools.len() + others.len();
        self.keyrings.begin(id, call.clone(), count);
        for (datacenter, servers) in others {
            let nobody = of(&datacenter);
            let nth = self.rng.below(servers.len().max(1) as u64) as usize;
            match (servers.into_iter().nth(nth), &mut self.wan) {
                (Some(server), Some(wan)) => {
                    wan.order_keys_there(self.now, id, &call, (server, nobody));
                }
                _ => {
                    let why = Error::DatacenterUnreachable.to_string();
                    self.keys_done((id, nobody.unasked(&datacenter, why)));
                }
            }
        }
    }

    /// A server of another datacenter wants the members of this one's pool to do something with their
    /// keys.
    pub(crate) fn order_keys_for(&mut self, query: Query, order: KeyOrder) {
        if ORDERS_MAX <= self.keyrings.len() {
            return;
        }
        let id = self.own_request();
        let call = KeyringCall { order, relays: 0, local_only: true, pretty: false };
        let here = self.config.datacenter.clone();
        self.gossip.order_keys(self.now, id, &call, &here);
        self.keyrings.begin_guest(id, query);
    }

    /// One of the pools has done with its keys what it was told to.
    pub(crate) fn keys_done(&mut self, outcome: Outcome) {
        match self.keyrings.done(outcome, &self.config.datacenter) {
            Some(Done::Client(id, response)) => self.reply(id, response),
            Some(Done::Guest(query, keys)) => {
                if let Some(wan) = &mut self.wan {
                    wan.tell_keys(self.now, &query, &keys);
                }
            }
            None => {}
        }
    }

    /// All other datacenters, and which of their servers are there.
    fn elsewhere(&self) -> Vec<(String, Vec<Arc<str>>)> {
        let mut all = BTreeMap::<String, Vec<Arc<str>>>::new();
        for member in self.wan.iter().flat_map(Gossip::members) {
            let Some(datacenter) = member.tags.get("dc") else { continue };
            if **datacenter == *self.config.datacenter || member.status == Status::Left {
                continue;
            }
            let servers = all.entry(datacenter.to_string()).or_default();
            servers.extend((member.status == Status::Alive).then(|| member.name.clone()));
        }
        all.into_iter().collect()
    }
}

/// What is wrong with the text of a key, as far as that can be seen before anybody is asked.
fn illegible(order: &KeyOrder) -> Option<String> {
    json::base64_decode(order.key()?).err().map(|it| it.to_string())
}

/// Fields: 1 what to do, 2 the key.
fn encode_order(order: &KeyOrder) -> Bytes {
    let mut writer = Writer::new();
    writer.u64(
        1,
        match order {
            KeyOrder::List => 1,
            KeyOrder::Install(_) => 2,
            KeyOrder::Use(_) => 3,
            KeyOrder::Remove(_) => 4,
        },
    );
    writer.str(2, order.key().unwrap_or_default());
    writer.finish()
}

/// `None`: something that a later release can do.
fn decode_order(bytes: Bytes) -> Result<Option<KeyOrder>, DecodeError> {
    let (mut what, mut key) = (0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => what = field.u64()?,
            2 => key = field.str()?.to_owned(),
            _ => {}
        }
    }
    Ok(match what {
        1 => Some(KeyOrder::List),
        2 => Some(KeyOrder::Install(key)),
        3 => Some(KeyOrder::Use(key)),
        4 => Some(KeyOrder::Remove(key)),
        _ => None,
    })
}

/// Fields: 1 each key, the primary one first; 2 why not.
fn encode_answer(answer: &KeysOrWhy) -> Bytes {
    let mut writer = Writer::new();
    match answer {
        Ok(keys) => keys.iter().for_each(|it| writer.str(1, it)),
        Err(why) => writer.str(2, why),
    }
    writer.finish()
}

fn decode_answer(bytes: Bytes) -> Result<KeysOrWhy, DecodeError> {
    let (mut keys, mut why) = (Vec::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => keys.push(field.str()?.to_owned()),
            2 => why = Some(field.str()?.to_owned()),
            _ => {}
        }
    }
    Ok(why.map_or(Ok(keys), Err))
}

/// What has become of an order in a datacenter: fields 1 members, 2 of whom have answered, 3 each key
/// (1 itself, 2 how many have it, 3 how many use it), 4 how many have failed, 5 some of those (1 who,
/// 2 why).
fn encode_keys(keys: &PoolKeys) -> Bytes {
    let mut writer = Writer::new();
    writer.u64(1, keys.members as u64);
    writer.u64(2, keys.answered as u64);
    for (key, count) in &keys.installed {
        writer.nested(3, |it| {
            it.str(1, key);
            it.u64(2, *count);
            it.u64(3, keys.primary.get(key).copied().unwrap_or_default());
        });
    }
    writer.u64(4, keys.failed as u64);
    for (member, why) in keys.failures.iter().take(FAILURES_MAX) {
        writer.nested(5, |it| {
            it.str(1, member);
            it.str(2, why);
        });
    }
    writer.finish()
}

/// Of the datacenter that `asked` is about.
fn decode_keys(bytes: Bytes, asked: &PoolKeys) -> Result<PoolKeys, DecodeError> {
    let datacenter = asked.datacenter.clone();
    let mut keys = PoolKeys { datacenter, ..PoolKeys::default() };
    let count = |field: &Field| Ok(usize::try_from(field.u64()?).unwrap_or(usize::MAX));
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => keys.members = count(&field)?,
            2 => keys.answered = count(&field)?,
            3 => {
                let (key, installed, primary) = decode_key(field.nested()?)?;
                if primary != 0 {
                    keys.primary.insert(key.clone(), primary);
                }
                keys.installed.insert(key, installed);
            }
            4 => keys.failed = count(&field)?,
            5 => keys.failures.extend([decode_failure(field.nested()?)?]),
            _ => {}
        }
    }
    Ok(keys)
}

fn decode_key(mut reader: Reader) -> Result<(String, u64, u64), DecodeError> {
    let (mut key, mut installed, mut primary) = (String::new(), 0, 0);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => field.str()?.clone_into(&mut key),
            2 => installed = field.u64()?,
            3 => primary = field.u64()?,
            _ => {}
        }
    }
    Ok((key, installed, primary))
}

fn decode_failure(mut reader: Reader) -> Result<(String, String), DecodeError> {
    let (mut member, mut why) = (String::new(), String::new());
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => field.str()?.clone_into(&mut member),
            2 => field.str()?.clone_into(&mut why),
            _ => {}
        }
    }
    Ok((member, why))
}

/// What the pool calls an order about keys.
const ORDER: &str = "keys";
/// What it calls one for all of a datacenter.
const ORDER_THERE: &str = "keys-there";

/// How long a datacenter may take: longer than everybody in a large pool is given.
const THERE_MAX: Duration = Duration::from_secs(20);

/// How many of those who failed are named to another datacenter.
const FAILURES_MAX: usize = 4;

const TOO_MANY: &str = "there are too many keys for an answer";

/// Of other agents, at once.
const ORDERS_MAX: usize = 64;

const IN_THE_CLEAR: &str =
    "encrypt_verify_outgoing is off: keys do not travel where everybody can read them";
