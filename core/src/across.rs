//! What another datacenter answers → one of its servers, and another one if that fails.
//!
//! A request goes there as it came, and is waited for there. It is put to one server after the other
//! until one has heard it. One that was heard and may have changed something is put to nobody else:
//! to have it done twice would be worse than to say that nobody knows. Each server has a connection
//! of its own, so that one that is gone delays nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use tribune_api::coordinate::from_here;
use tribune_api::error::Error;
use tribune_api::http::{OwnedRequest, Response};
use tribune_api::plan::Remote;
use tribune_base::bug;
use tribune_base::id::{ServerId, Term};
use tribune_base::time::{Duration, Instant};

use crate::node::Node;
use crate::output::Output;
use crate::request::{Pending, RequestId};
use crate::wire::Wire;

/// What was asked elsewhere and is not answered.
#[derive(Debug)]
pub(crate) struct Across {
    /// Begins where chance wants it: an answer to this server's former self is no answer to it.
    last_serial: u64,
    asks: BTreeMap<u64, Ask>,
    /// To find it by the client that waits.
    serials: BTreeMap<RequestId, u64>,
}

/// Who wants to know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asker {
    /// A client of this agent's or of another's: what comes back is its answer.
    Client(RequestId),
    /// A client whose query finds nothing here: what comes back is a step towards its answer.
    Failover(RequestId),
    /// The leader, which keeps keys as they are there.
    Replication {
        /// Which of them.
        stream: usize,
        /// In which term it has asked.
        term: Term,
    },
}

/// One request.
#[derive(Debug)]
struct Ask {
    asker: Asker,
    datacenter: Arc<str>,
    request: OwnedRequest,
    /// Whether it must not be done twice.
    changes: bool,
    /// Who was asked last.
    of: Option<ServerId>,
    /// Who is not asked any more.
    tried: BTreeSet<ServerId>,
    /// Whether it was given back already by somebody who had heard it, or with a connection.
    lost: bool,
    deadline: Instant,
}

impl Asker {
    /// The client that gives up if nobody answers it, if there is one.
    const fn client(self) -> Option<RequestId> {
        match self {
            Self::Client(id) | Self::Failover(id) => Some(id),
            Self::Replication { .. } => None,
        }
    }
}

impl Across {
    pub(crate) fn new(first_serial: u64) -> Self {
        Self { last_serial: first_serial, asks: BTreeMap::new(), serials: BTreeMap::new() }
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.asks.values().map(|it| it.deadline).min().unwrap_or(Instant::NEVER)
    }

    fn insert(&mut self, ask: Ask) -> u64 {
        self.last_serial = self.last_serial.wrapping_add(1);
        if let Some(id) = ask.asker.client() {
            self.serials.insert(id, self.last_serial);
        }
        self.asks.insert(self.last_serial, ask);
        self.last_serial
    }

    fn remove(&mut self, serial: u64) -> Option<Ask> {
        let ask = self.asks.remove(&serial)?;
        if let Some(id) = ask.asker.client() {
            self.serials.remove(&id);
        }
        Some(ask)
    }

    /// Those that `of` was asked.
    fn of(&self, of: ServerId) -> Vec<u64> {
        let asked = self.asks.iter().filter(|(_, it)| it.of == Some(of));
        asked.map(|(serial, _)| *serial).collect()
    }
}

/// The side that asks.
impl Node {
    /// The other datacenters there are, nearest first.
    pub(crate) fn datacenters_nearest_first(&self) -> Vec<Arc<str>> {
        self.router.nearest_first()
    }

    /// Have a client's request answered where it belongs.
    pub(crate) fn ask_across(&mut self, id: RequestId, request: OwnedRequest, there: &Remote) {
        self.ledger.wait(id, Pending::Across, Instant::NEVER);
        let patience = if there.changes {
            self.config.write_max
        } else {
            there.wait + there.wait / 16 + self.config.hold_max
        };
        self.forward_to(&there.datacenter, request, there.changes, patience, Asker::Client(id));
    }

    /// Have `request` answered by a server of `datacenter`, nearest first, in `patience`. What comes
    /// back, or why nothing does, goes to [`on_answer_from_afar`](Self::on_answer_from_afar).
    pub(crate) fn forward_to(
        &mut self,
        datacenter: &str,
        mut request: OwnedRequest,
        changes: bool,
        patience: Duration,
        asker: Asker,
    ) {
        if !self.router.knows(datacenter) {
            return self.on_answer_from_afar(asker, Err(Error::NoPathToDatacenter));
        }
        from_here(&mut request.query, &self.config.name);
        let serial = self.across.insert(Ask {
            asker,
            datacenter: datacenter.into(),
            request,
            changes,
            of: None,
            tried: BTreeSet::new(),
            lost: false,
            // Theirs is over first: they know better why.
            deadline: self.now + patience + WAY,
        });
        self.put_across(serial);
    }

    /// What another datacenter says.
    pub(crate) fn on_answer_from_afar(&mut self, asker: Asker, result: Result<Response, Error>) {
        match asker {
            Asker::Client(id) => {
                if self.ledger.take(id).is_some() {
                    self.reply(id, result.unwrap_or_else(Response::from));
                }
            }
            Asker::Failover(id) => self.failed_over(id, result.ok().as_ref()),
            Asker::Replication { stream, term } => {
                let said = result.as_ref().map_err(ToString::to_string);
                self.replicated(stream, term, said);
            }
        }
    }

    /// Put a request to the server whose turn it is.
    fn put_across(&mut self, serial: u64) {
        let Some(ask) = self.across.asks.get_mut(&serial) else { return };
        let next = self.router.next(self.now, &ask.datacenter, &ask.tried);
        let Some((server, address)) = next else {
            let known = self.router.knows(&ask.datacenter);
            let nobody =
                if known { Error::DatacenterUnreachable } else { Error::NoPathToDatacenter };
            return self.give_up_across(serial, nobody);
        };
        ask.of = Some(server);
        ask.tried.insert(server);
        let message = Wire::Forward {
            serial,
            from: self.config.wan_address(),
            datacenter: ask.datacenter.to_string(),
            patience: ask.deadline.since(self.now + WAY),
            request: ask.request.clone(),
        };
        self.outputs.push_back(Output::Send { to: Arc::clone(address), message });
    }

    fn give_up_across(&mut self, serial: u64, why: Error) {
        if let Some(ask) = self.across.remove(serial) {
            self.on_answer_from_afar(ask.asker, Err(why));
        }
    }

    /// A server of another datacenter has answered; `None`, if others are to.
    pub(crate) fn on_forwarded(
        &mut self,
        from: ServerId,
        serial: u64,
        response: Option<Box<Response>>,
    ) {
        self.router.trust(from);
        if self.across.asks.get(&serial).is_none_or(|it| it.of != Some(from)) {
            return;
        }
        match response {
            None => self.put_across_again(serial, from),
            Some(response) => {
                if let Some(ask) = self.across.remove(serial) {
                    self.on_answer_from_afar(ask.asker, Ok(*response));
                }
            }
        }
    }

    /// A request has not left this server: nobody is there, for certain.
    pub(crate) fn not_forwarded(&mut self, serial: u64) {
        let Some(of) = self.across.asks.get(&serial).and_then(|it| it.of) else { return };
        self.router.shun(self.now, of);
        self.put_across(serial);
    }

    /// The connection to `address` is gone, and with it perhaps what was on it.
    pub(crate) fn lost_across(&mut self, address: &str) {
        if let Some(of) = self.router.at(address) {
            self.router.shun(self.now, of);
            self.ask_others_across(of);
        }
    }

    /// `of` seems to be gone, and may not be. What others can do as well they are asked for, too. What
    /// may happen once only waits for an answer, as long as there is a connection.
    pub(crate) fn doubt_across(&mut self, of: ServerId) {
        for serial in self.across.of(of) {
            if self.across.asks.get(&serial).is_some_and(|it| !it.changes) {
                self.put_across_again(serial, of);
            }
        }
    }

    /// What `of` was asked it may never answer.
    pub(crate) fn ask_others_across(&mut self, of: ServerId) {
        for serial in self.across.of(of) {
            let Some(ask) = self.across.asks.get_mut(&serial) else { continue };
            if ask.changes && !bug!(D04) {
                self.give_up_across(serial, Error::ServerLost);
                continue;
            }
            self.put_across_again(serial, of);
        }
    }

    /// Put a request to whoever is next, `of` among them: it may have been only the connection, or a
    /// rumour. Once.
    fn put_across_again(&mut self, serial: u64, of: ServerId) {
        if let Some(ask) = self.across.asks.get_mut(&serial)
            && !std::mem::replace(&mut ask.lost, true)
        {
            ask.tried.remove(&of);
        }
        self.put_across(serial);
    }

    /// Give up on those whose time is over.
    pub(crate) fn expire_across(&mut self) {
        let now = self.now;
        if now < self.across.poll_timeout() {
            return;
        }
        let over = self.across.asks.iter().filter(|(_, it)| it.deadline <= now);
        for serial in over.map(|(serial, _)| *serial).collect::<Vec<_>>() {
            let Some(ask) = self.across.asks.get(&serial) else { continue };
            if let Some(of) = ask.of {
                self.router.shun(now, of);
            }
            let why = if ask.changes { Error::Timeout } else { Error::DatacenterUnreachable };
            self.give_up_across(serial, why);
        }
    }

    /// The client is gone, and with it whoever waits elsewhere.
    pub(crate) fn retract(&mut self, id: RequestId) {
        let Some(serial) = self.across.serials.get(&id).copied() else { return };
        let of = self.across.remove(serial).and_then(|it| it.of);
        if let Some(address) = of.and_then(|it| self.router.address(it)) {
            let to = Arc::clone(address);
            self.outputs.push_back(Output::Send { to, message: Wire::Retract { serial } });
        }
    }
}

/// The side that is asked.
impl Node {
    /// A server of another datacenter has a request for this one.
    pub(crate) fn on_forward(
        &mut self,
        from: ServerId,
        (serial, address): (u64, String),
        datacenter: &str,
        patience: Duration,
        request: OwnedRequest,
    ) {
        let ours = datacenter == self.config.datacenter;
        let crowded = self.config.requests_max <= self.ledger.len();
        if !ours || crowded || self.leave.is_some() {
            let message = Wire::Forwarded { serial, response: None };
            return self.outputs.push_back(Output::Send { to: address.into(), message });
        }
        let id = self.own_request();
        let changes = request.changes();
        self.forwards.welcome_from_afar(id, (from, serial), address.into(), changes);
        self.answer_guest(id, from, request, false, Some(self.now + patience));
    }
}

/// How long a request and its answer may be on their way, besides the time that they take there.
const WAY: Duration = Duration::from_secs(2);

impl crate::config::Config {
    /// Where servers of other datacenters speak to this one.
    pub(crate) fn wan_address(&self) -> String {
        let ip = self.wan.as_ref().map_or_else(|| self.ip(), |it| it.address);
        SocketAddr::new(ip, self.server_port).to_string()
    }
}
