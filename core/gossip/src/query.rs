//! Queries: a question to everybody, and answers until a deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::codec::Writer;
use tribune_base::time::{Duration, Instant};

use crate::codec::{self, tag};
use crate::lamport::{Clock, LTime};
use crate::message::{Message, QueryMessage, Text};
use crate::output::{EventError, Output, Query, QueryId};
use crate::pool::Pool;

/// How a query is asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct QueryOptions {
    /// How long answers are waited for. Zero leaves it to the size of the pool.
    pub timeout: Duration,
    /// Who is asked, by name. Everybody, if it is empty.
    pub to: Vec<Arc<str>>,
    /// Through how many others each answer also goes.
    pub relays: usize,
}

/// Queries: those we wait for, and those we have seen.
#[derive(Debug, Default)]
pub(crate) struct Queries {
    pub(crate) clock: Clock,
    /// Ours, until when, and who has answered.
    open: BTreeMap<QueryId, (Instant, BTreeSet<Arc<str>>)>,
    /// Those of the last few Lamport times.
    seen: BTreeSet<QueryId>,
}

impl Queries {
    /// When the first of ours ends.
    pub(crate) fn deadline(&self) -> Instant {
        self.open.values().map(|(until, _)| *until).min().unwrap_or(Instant::NEVER)
    }

    /// Whether a query has not been seen, and is not too old.
    fn witness(&mut self, id: QueryId, window: u64) -> bool {
        self.clock.witness(id.ltime);
        let oldest = LTime((self.clock.time().0 + 1).saturating_sub(window));
        self.seen = self.seen.split_off(&QueryId { ltime: oldest, id: 0 });
        oldest <= id.ltime && self.seen.len() < SEEN_MAX && self.seen.insert(id)
    }
}

impl Pool {
    /// Ask everybody, ourselves included. [`Output::Answer`]s follow, and [`Output::QueryEnded`].
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn query(
        &mut self,
        now: Instant,
        name: &str,
        payload: Bytes,
        options: QueryOptions,
    ) -> Result<QueryId, EventError> {
        self.advance(now);
        let QueryOptions { timeout, to, relays } = options;
        let filter: usize = to.iter().map(|it| it.len() + 2).sum();
        let (len, max) = (name.len() + payload.len() + filter, self.config.query_len_max);
        if max < len {
            return Err(EventError::TooLarge { len, max });
        }
        let usual = self.config.query_timeout(self.roster.live());
        let timeout = if timeout.is_zero() { usual } else { timeout };
        let id = QueryId { ltime: self.queries.clock.tick(), id: self.rng.draw() >> 32 };
        self.queries.open.insert(id, (now + timeout, BTreeSet::new()));
        let query = QueryMessage {
            ltime: id.ltime,
            id: id.id,
            addr: self.local().addr,
            from: Text::from(&*self.name),
            name: Text::from(name),
            payload,
            timeout_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            relays: relays as u64,
            to: to.iter().map(|it| Text::from(&**it)).collect(),
        };
        let body = Message::Query(query.clone()).body();
        self.on_query(query, body);
        self.check_invariants();
        Ok(id)
    }

    /// Answer a query that came by [`Output::Query`].
    ///
    /// # Errors
    ///
    /// The answer is too long, or too late.
    pub fn answer(
        &mut self,
        now: Instant,
        query: &Query,
        payload: Bytes,
    ) -> Result<(), EventError> {
        self.advance(now);
        let (len, max) = (payload.len(), self.config.answer_len_max);
        if max < len {
            return Err(EventError::TooLarge { len, max });
        }
        if query.deadline <= now {
            return Err(EventError::Ended);
        }
        let QueryId { ltime, id } = query.id;
        if query.from == self.name {
            let me = self.name.clone();
            self.on_answer(ltime, id, &me, payload);
            return Ok(());
        }
        let from = Text::from(&*self.name);
        let answer = Message::Answer { ltime, id, from, payload };
        self.send(query.addr, std::slice::from_ref(&answer));
        let mut writer = Writer::new();
        codec::begin(&mut writer, &self.config.pool);
        answer.write(&mut writer);
        let packet = writer.finish();
        let around = self.pick(query.relays.min(RELAYS_MAX), |_, it| it.state.is_live());
        for by in around.into_iter().filter(|it| *it != query.addr) {
            self.send(by, &[Message::Relay { to: query.addr, packet: packet.clone() }]);
        }
        Ok(())
    }

    /// Somebody asks everybody.
    pub(crate) fn on_query(&mut self, query: QueryMessage, body: Bytes) {
        let id = QueryId { ltime: query.ltime, id: query.id };
        if !self.queries.witness(id, self.config.events_max) {
            return;
        }
        self.pass_on(None, tag::QUERY, Bytes::copy_from_slice(&body));
        if !query.to.is_empty() && !query.to.iter().any(|it| **it == *self.name) {
            return;
        }
        self.outputs.push_back(Output::Query(Query {
            id,
            from: Arc::from(&*query.from),
            addr: query.addr,
            name: Arc::from(&*query.name),
            payload: Bytes::copy_from_slice(&query.payload),
            deadline: self.now + Duration::from_millis(query.timeout_ms),
            relays: usize::try_from(query.relays).unwrap_or(usize::MAX),
        }));
    }

    /// Somebody answers us. Each counts once.
    pub(crate) fn on_answer(&mut self, ltime: LTime, id: u64, from: &str, payload: Bytes) {
        let query = QueryId { ltime, id };
        let now = self.now;
        let Some((until, answered)) = self.queries.open.get_mut(&query) else { return };
        let from = Arc::<str>::from(from);
        if now < *until && answered.insert(from.clone()) {
            let payload = Bytes::copy_from_slice(&payload);
            self.outputs.push_back(Output::Answer { query, from, payload });
        }
    }

    /// Pass on what somebody has to say to somebody else.
    pub(crate) fn on_relay(&mut self, to: SocketAddr, packet: Bytes) {
        // Only to members, and only what is from this pool: we do not speak for strangers.
        let ours = codec::open(packet.clone(), Some(&self.config.pool)).is_ok();
        if ours && packet.len() <= self.config.packet_budget() {
            self.put_packet(to, packet);
        } else {
            self.counters.malformed += 1;
        }
    }

    pub(crate) fn end_queries(&mut self) {
        let now = self.now;
        while let Some(query) =
            self.queries.open.iter().find(|(_, (until, _))| *until <= now).map(|(id, _)| *id)
        {
            self.queries.open.remove(&query);
            self.outputs.push_back(Output::QueryEnded { query });
        }
    }
}

/// Queries of the last few Lamport times that are remembered.
const SEEN_MAX: usize = 4_096;
/// Nobody needs an answer more often.
const RELAYS_MAX: usize = 5;
