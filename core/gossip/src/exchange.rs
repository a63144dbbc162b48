//! Exchanges over streams: one letter there, one back.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::time::Instant;

use crate::codec::VERSION;
use crate::letter::{Kind, Letter, sender};
use crate::output::{ExchangeId, JoinError, Output, Refusal};
use crate::pool::Pool;

/// What an exchange is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    /// To come in.
    Join { addr: SocketAddr },
    /// To compare, as happens every so often.
    Compare { addr: SocketAddr },
    /// To give what the other lacked.
    Push,
    /// To see whether somebody is there that does not answer packets.
    Ping { seq: u64 },
}

impl Pool {
    /// A peer has opened a stream and sent one request. Returns what to send back, if there is
    /// anything to say.
    pub fn handle_exchange(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: Bytes,
    ) -> Option<Bytes> {
        self.advance(now);
        if self.leaving.is_gone() {
            return None;
        }
        let Ok(letter) = Letter::from_bytes(request) else {
            self.counters.malformed += 1;
            return None;
        };
        let answer = match self.stranger(&letter) {
            Some(reason) => self.turn_away(&letter, from, reason),
            None => self.reply(letter, from)?,
        };
        let bytes = answer.to_bytes();
        self.counters.exchange_bytes_sent += bytes.len() as u64;
        self.check_invariants();
        Some(bytes)
    }

    fn reply(&mut self, letter: Letter, from: SocketAddr) -> Option<Letter> {
        match letter.kind {
            Kind::Ping if *letter.target == *self.name => {
                Some(Letter { seq: letter.seq, ..self.letter(Kind::Ack) })
            }
            Kind::Sync => {
                let refusal = letter.me.as_ref().and_then(|it| self.refusal(&it.alive));
                match refusal {
                    Some(reason) => Some(self.turn_away(&letter, from, reason)),
                    None => Some(self.on_sync(letter)),
                }
            }
            Kind::Push => {
                self.on_push(letter);
                Some(self.letter(Kind::Pushed))
            }
            Kind::Ping | Kind::Ack | Kind::Synced | Kind::Pushed | Kind::Refused => {
                self.counters.malformed += 1;
                None
            }
        }
    }

    /// Why a letter does not concern us.
    fn stranger(&self, letter: &Letter) -> Option<Refusal> {
        let name = Arc::from(letter.me.as_ref().map_or("", |it| &*it.alive.name));
        if VERSION < letter.version {
            return Some(Refusal::Version { name, version: letter.version });
        }
        let pool = Arc::from(&*letter.pool);
        (pool != self.config.pool && !bug!(G12)).then_some(Refusal::Pool { name, pool })
    }

    /// Say no, and say why on both sides.
    fn turn_away(&mut self, letter: &Letter, from: SocketAddr, reason: Refusal) -> Letter {
        let (name, addr) = sender(letter, from);
        let told = match &reason {
            // What is wrong is not what they are, but where they have come to.
            Refusal::Pool { .. } => {
                Refusal::Pool { name: self.name.clone(), pool: self.config.pool.clone() }
            }
            Refusal::Version { .. }
            | Refusal::Datacenter { .. }
            | Refusal::NodeId { .. }
            | Refusal::Name { .. }
            | Refusal::NotServer { .. } => reason.clone(),
        };
        self.refuse(&name, addr, reason);
        Letter { refusal: Some(told), ..self.letter(Kind::Refused) }
    }

    /// An exchange has come to its end; `answer` is what the peer said, or `None` if that failed.
    pub fn exchanged(&mut self, now: Instant, id: ExchangeId, answer: Option<Bytes>) {
        self.advance(now);
        let purpose = self.exchanges.remove(&id);
        let purpose = purpose.expect("an exchange ends once, and was asked for");
        let letter = answer.map(|it| Letter::from_bytes(it).map_err(|_| JoinError::Malformed));
        let letter = letter.unwrap_or(Err(JoinError::Unreachable));
        match purpose {
            Purpose::Join { addr } => {
                let result = letter.and_then(|it| self.on_synced(addr, it, true));
                if result.is_ok() {
                    self.declare_presence();
                }
                self.outputs.push_back(Output::Joined { addr, result });
            }
            Purpose::Compare { addr } => {
                if let Err(JoinError::Malformed) =
                    letter.and_then(|it| self.on_synced(addr, it, false))
                {
                    self.counters.malformed += 1;
                }
            }
            Purpose::Push => {}
            Purpose::Ping { seq } => {
                let acked = letter.is_ok_and(|it| it.kind == Kind::Ack && it.seq == seq);
                if acked && self.probe.as_ref().is_some_and(|it| it.seq == seq) {
                    self.end_probe();
                }
            }
        }
        self.check_invariants();
    }

    /// Come in, by way of whoever is at these addresses. What becomes of each is told by
    /// [`Output::Joined`].
    pub fn join(&mut self, now: Instant, addrs: impl IntoIterator<Item = SocketAddr>) {
        self.advance(now);
        for addr in addrs {
            let letter = self.sync_letter(true);
            if !self.begin_exchange(addr, Purpose::Join { addr }, &letter) {
                self.outputs.push_back(Output::Joined { addr, result: Err(JoinError::Busy) });
            }
        }
        self.check_invariants();
    }

    /// Begin an exchange, unless there are too many.
    pub(crate) fn begin_exchange(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        letter: &Letter,
    ) -> bool {
        if self.config.exchanges_max <= self.exchanges.len() {
            return false;
        }
        self.exchange_serial += 1;
        let id = ExchangeId(self.exchange_serial);
        self.exchanges.insert(id, purpose);
        let (request, timeout) = (letter.to_bytes(), self.config.exchange_timeout);
        self.counters.exchanges_begun += 1;
        self.counters.exchange_bytes_sent += request.len() as u64;
        self.outputs.push_back(Output::Exchange { id, to, request, timeout });
        true
    }

    /// A letter from us.
    pub(crate) fn letter(&self, kind: Kind) -> Letter {
        Letter::new(kind, &self.config.pool)
    }
}
