//! What a client agent cannot answer → a server, and another one if that fails.
//!
//! A question that changes nothing is asked again elsewhere for as long as it has time. One that
//! changes something is asked again only if it is certain that it was not heard: to have it done
//! twice would be worse than to say that nobody knows.

use std::collections::BTreeMap;

use tribune_agent::SyncId;
use tribune_api::coordinate::from_here;
use tribune_api::error::Error;
use tribune_api::http::{OwnedRequest, Response};
use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};

use crate::area::Area;
use crate::client::Client;
use crate::request::RequestId;
use crate::wire::{Inquiry, Proposal, Wire};

/// What was asked and is not answered.
#[derive(Debug)]
pub(super) struct Asks {
    /// Begins where chance wants it: an answer to this agent's former self is no answer to it.
    last_serial: u64,
    asks: BTreeMap<u64, Ask>,
    /// To find it by the client that waits.
    serials: BTreeMap<RequestId, u64>,
}

/// One question.
#[derive(Debug)]
struct Ask {
    /// Who was asked. `None`: nobody yet, and at `next` somebody will be.
    of: Option<ServerId>,
    what: What,
    deadline: Instant,
    /// When to ask somebody, if nobody is asked.
    next: Instant,
}

/// What a question is about.
#[derive(Debug)]
pub(super) enum What {
    /// A client's request.
    Request { id: RequestId, request: OwnedRequest, changes: bool },
    /// A change of this agent's own rows.
    Propose { id: SyncId, command: bytes::Bytes },
    /// This agent's own rows.
    Rows { id: SyncId },
}

impl Asks {
    pub(super) fn new(first_serial: u64) -> Self {
        Self { last_serial: first_serial, asks: BTreeMap::new(), serials: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let due = |it: &Ask| it.deadline.min(if it.of.is_none() { it.next } else { it.deadline });
        self.asks.values().map(due).min().unwrap_or(Instant::NEVER)
    }

    /// The question with this number, if `of` was asked it: it is answered.
    pub(super) fn take(&mut self, of: ServerId, serial: u64) -> Option<What> {
        if self.asks.get(&serial)?.of != Some(of) {
            return None;
        }
        self.remove(serial)
    }

    fn remove(&mut self, serial: u64) -> Option<What> {
        let ask = self.asks.remove(&serial)?;
        if let What::Request { id, .. } = &ask.what {
            self.serials.remove(id);
        }
        Some(ask.what)
    }
}

impl What {
    /// Whether twice is the same as once.
    const fn bears_repeating(&self) -> bool {
        match self {
            Self::Request { changes, .. } => !*changes,
            Self::Propose { .. } | Self::Rows { .. } => true,
        }
    }
}

impl Client {
    /// Have a client's request answered by a server, in `patience`.
    pub(super) fn ask(
        &mut self,
        id: RequestId,
        mut request: OwnedRequest,
        changes: bool,
        patience: Duration,
    ) {
        from_here(&mut request.query, &self.config.name);
        self.config.name.clone_into(&mut request.asker.agent);
        if self.route.is_empty() {
            return self.reply(id, Error::NoServers.into());
        }
        self.ask_about(What::Request { id, request, changes }, patience);
    }

    /// Ask the server whose turn it is.
    pub(super) fn ask_about(&mut self, what: What, patience: Duration) {
        let serial = self.asks.last_serial.wrapping_add(1);
        self.asks.last_serial = serial;
        if let What::Request { id, .. } = &what {
            self.asks.serials.insert(*id, serial);
        }
        let (deadline, next) = (self.now + patience, self.now);
        self.asks.asks.insert(serial, Ask { of: None, what, deadline, next });
        self.put(serial);
    }

    /// Put a question to the server whose turn it is. Without one, it waits until there is.
    fn put(&mut self, serial: u64) {
        let Some(ask) = self.asks.asks.get_mut(&serial) else { return };
        let Some(server) = self.route.current() else {
            ask.of = None;
            ask.next = Instant::NEVER;
            return;
        };
        ask.of = Some(server);
        let message = match &ask.what {
            What::Request { request, .. } => {
                Wire::Ask { serial, request: request.clone(), last: false }
            }
            What::Propose { command, .. } => {
                Wire::Propose(vec![Proposal { serial, command: command.clone() }])
            }
            What::Rows { .. } => Wire::ReadRows { serial, node: self.config.name.clone() },
        };
        self.say(server, message);
    }

    /// A server has answered a client's request.
    pub(super) fn on_answer(&mut self, from: ServerId, serial: u64, response: Response) {
        if let Some(What::Request { id, .. }) = self.asks.take(from, serial) {
            self.reply(id, response);
        }
    }

    /// A server says that it will not answer, and has done nothing.
    pub(super) fn on_no_answer(&mut self, from: ServerId, serial: u64) {
        if self.asks.asks.get(&serial).is_some_and(|it| it.of == Some(from)) {
            self.ask_again(serial);
        }
    }

    /// A question has not left this agent: nobody is there.
    pub(super) fn undelivered(&mut self, inquiry: Inquiry) {
        match inquiry {
            Inquiry::Ask(serial) | Inquiry::ReadRows(serial) => self.not_heard(serial),
            Inquiry::Propose(serials) => serials.into_iter().for_each(|it| self.not_heard(it)),
            Inquiry::Exchange(Area::Lan, serial) => self.gossip.undelivered(self.now, serial),
            // Client agents are in no other pool.
            Inquiry::Exchange(Area::Wan, _) | Inquiry::Forward(_) => {}
        }
    }

    /// A question was not heard, for certain. Somebody else is asked, after a moment.
    fn not_heard(&mut self, serial: u64) {
        let Some(ask) = self.asks.asks.get_mut(&serial) else { return };
        let Some(of) = ask.of.take() else { return };
        ask.next = self.now + RETRY + self.rng.up_to(RETRY);
        self.route.failed(of);
    }

    /// `of` cannot do what it was asked, for lack of a leader. Ask again when there may be one.
    pub(super) fn ask_later(&mut self, of: ServerId, serial: u64) {
        let later = self.now + LATER + self.rng.up_to(LATER);
        if let Some(ask) = self.asks.asks.get_mut(&serial).filter(|it| it.of == Some(of)) {
            ask.of = None;
            ask.next = later;
        }
    }

    /// The connection to `to` is gone, and with it whatever was on it.
    pub(super) fn lost(&mut self, to: &str) {
        if let Some(id) = self.route.at(to) {
            self.route.failed(id);
            self.ask_others(id, true);
        }
    }

    /// What `of` was asked it will not answer; or, if that is not certain, may not.
    pub(super) fn ask_others(&mut self, of: ServerId, certain: bool) {
        let concerned = |it: &Ask| it.of == Some(of) && (certain || it.what.bears_repeating());
        let asked = self.asks.asks.iter().filter(|(_, it)| concerned(it));
        for serial in asked.map(|(serial, _)| *serial).collect::<Vec<_>>() {
            self.ask_again(serial);
        }
    }

    /// Ask somebody, after a moment, unless that could do something twice.
    fn ask_again(&mut self, serial: u64) {
        let Some(ask) = self.asks.asks.get_mut(&serial) else { return };
        if ask.what.bears_repeating() {
            ask.of = None;
            ask.next = self.now + RETRY + self.rng.up_to(RETRY);
        } else if let Some(what) = self.asks.remove(serial) {
            self.give_up(what, Error::ServerLost);
        }
    }

    /// Ask those questions again that are to be asked, and give up those whose time is over.
    pub(super) fn expire_asks(&mut self) {
        let now = self.now;
        if now < self.asks.poll_timeout() {
            return;
        }
        let over = self.asks.asks.iter().filter(|(_, it)| it.deadline <= now);
        for serial in over.map(|(serial, _)| *serial).collect::<Vec<_>>() {
            let asked = self.asks.asks.get(&serial).is_some_and(|it| it.of.is_some());
            let Some(what) = self.asks.remove(serial) else { continue };
            let why = match () {
                // Somebody may have heard it, and done it.
                () if asked && !what.bears_repeating() => Error::Timeout,
                () if self.route.is_empty() => Error::NoServers,
                () => Error::NoClusterLeader,
            };
            self.give_up(what, why);
        }
        let due = self.asks.asks.iter().filter(|(_, it)| it.of.is_none() && it.next <= now);
        for serial in due.map(|(serial, _)| *serial).collect::<Vec<_>>() {
            self.put(serial);
        }
    }

    /// There are servers again: those who waited for one ask it.
    pub(super) fn ask_now(&mut self) {
        for ask in self.asks.asks.values_mut().filter(|it| it.of.is_none()) {
            ask.next = ask.next.min(self.now);
        }
        self.expire_asks();
    }

    fn give_up(&mut self, what: What, why: Error) {
        match what {
            What::Request { id, .. } => self.reply(id, why.into()),
            What::Propose { id, .. } | What::Rows { id } => {
                self.local.synced(self.now, id, Err(tribune_agent::SyncFailed));
            }
        }
    }

    /// The client is gone.
    pub(super) fn cancel(&mut self, id: RequestId) {
        self.ledger.take(id);
        self.fired.cancel(id);
        let Some(serial) = self.asks.serials.get(&id).copied() else { return };
        let of = self.asks.asks.get(&serial).and_then(|it| it.of);
        self.asks.remove(serial);
        if let Some(of) = of {
            self.say(of, Wire::Forget { serial });
        }
    }
}

/// How long a question rests that needs a leader where there is none: up to twice as long.
const LATER: Duration = Duration::from_millis(250);

/// How long a question rests that nobody heard: up to twice as long.
const RETRY: Duration = Duration::from_millis(50);
