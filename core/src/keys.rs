//! Keys → what members of a pool are to do with them: asked by a query, carried out by each one's
//! shell, which has them, and counted where it was asked.
//!
//! A key travels only where what the pool says is sealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tribune_api::http::Response;
use tribune_api::keyring::{KeyOrder, KeyringCall, KeysOrWhy, PoolKeys};
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::json;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Pool, Query, QueryId, QueryOptions, Status};

use crate::area::Area;
use crate::config::Encryption;
use crate::node::Node;
use crate::output::Output;
use crate::request::RequestId;

/// One pool's orders: those that this agent has yet to carry out, and those that it has given.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Invariant: no more than [`ORDERS_MAX`].
    orders: BTreeMap<u64, Query>,
    serial: u64,
    given: BTreeMap<QueryId, (RequestId, PoolKeys)>,
}

/// What has become of an order in one pool.
pub(crate) type Outcome = (RequestId, PoolKeys);

impl Keys {
    /// Give everybody in `pool` an order. What comes of it, if it is known at once.
    pub(crate) fn give(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        mut answers: PoolKeys,
        (id, call): (RequestId, &KeyringCall),
        encryption: Encryption,
    ) -> Option<Outcome> {
        if let Some(why) = withheld(&call.order, encryption) {
            let me = pool.local().name.to_string();
            answers.members = 1;
            answers.answers.insert(me, Err(why.to_owned()));
            return Some((id, answers));
        }
        answers.members = pool.members().filter(|it| it.status == Status::Alive).count();
        let options = QueryOptions { relays: call.relays, timeout: Duration::ZERO, to: Vec::new() };
        match pool.query(now, ORDER, encode_order(&call.order), options) {
            Ok(query) => {
                self.given.insert(query, (id, answers));
                None
            }
            Err(error) => {
                let me = pool.local().name.to_string();
                answers.answers.insert(me, Err(error.to_string()));
                Some((id, answers))
            }
        }
    }

    /// A member asks. Orders about keys are for the shell.
    pub(crate) fn asked(&mut self, now: Instant, area: Area, query: Query) -> Option<Output> {
        if &*query.name != ORDER {
            return None; // Of a later release.
        }
        let what = decode_order(query.payload.clone()).ok().flatten()?;
        self.orders.retain(|_, it| now < it.deadline);
        if ORDERS_MAX <= self.orders.len() {
            return None;
        }
        self.serial += 1;
        self.orders.insert(self.serial, query);
        Some(Output::Keys { area, order: self.serial, what })
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
            let why = Err("there are too many keys for an answer".to_owned());
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
        let (_, so_far) = self.given.get_mut(&query)?;
        let answer = decode_answer(payload).ok()?;
        so_far.answers.insert(from.to_string(), answer);
        if so_far.answers.len() < so_far.members {
            return None;
        }
        self.given.remove(&query)
    }

    /// No more answers are waited for.
    pub(crate) fn ended(&mut self, query: QueryId) -> Option<Outcome> {
        self.given.remove(&query)
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
struct KeyringRequest {
    call: KeyringCall,
    pools: usize,
    done: Vec<PoolKeys>,
}

impl KeyringRequests {
    /// A request about so many pools.
    pub(crate) fn begin(&mut self, id: RequestId, call: KeyringCall, pools: usize) {
        self.0.insert(id, KeyringRequest { call, pools, done: Vec::new() });
    }

    /// One of the pools is done. The answer, if it was the last one.
    pub(crate) fn done(&mut self, (id, keys): Outcome) -> Option<(RequestId, Response)> {
        let request = self.0.get_mut(&id)?;
        request.done.push(keys);
        if request.done.len() < request.pools {
            return None;
        }
        let KeyringRequest { call, mut done, .. } = self.0.remove(&id)?;
        done.sort_by_key(|it| !it.wan);
        Some((id, call.answer(&done)))
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
    /// Have the members of this agent's pools do something with their keys.
    pub(crate) fn order_keys(&mut self, id: RequestId, call: KeyringCall) {
        let here = self.config.datacenter.as_str();
        let wan = self.wan.as_mut().filter(|_| !call.local_only);
        let mut pools: Vec<_> = wan.into_iter().chain([&mut self.gossip]).collect();
        if let Some(why) = illegible(&call.order) {
            let pools: Vec<_> = pools.iter().map(|it| it.no_keys(here)).collect();
            let response = call.refuse(&pools, &why);
            return self.reply(id, response);
        }
        for pool in &mut pools {
            pool.order_keys(self.now, id, &call, here);
        }
        let count = pools.len();
        self.keyrings.begin(id, call, count);
    }

    /// One of the pools has done with its keys what it was told to.
    pub(crate) fn keys_done(&mut self, outcome: Outcome) {
        if let Some((id, response)) = self.keyrings.done(outcome) {
            self.reply(id, response);
        }
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

/// What the pool calls an order about keys.
const ORDER: &str = "keys";

/// Of other agents, at once.
const ORDERS_MAX: usize = 64;

const IN_THE_CLEAR: &str =
    "encrypt_verify_outgoing is off: keys do not travel where everybody can read them";
