//! Events that somebody has fired → those who ask this agent what happened.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tribune_agent::Local;
use tribune_api::error::Error;
use tribune_api::event::{EventFilter, EventList, Fire, UserEvent};
use tribune_api::http::Response;
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::{Index, Uuid};
use tribune_base::rng::Rng;
use tribune_base::time::Instant;
use tribune_gossip as gossip;

use crate::gossip::Gossip;
use crate::node::draw_id;
use crate::request::RequestId;

/// What this agent has heard lately, and who waits for more.
#[derive(Debug, Default)]
pub(crate) struct Fired {
    /// Oldest first. Invariant: no more than [`EVENTS_MAX`].
    heard: VecDeque<UserEvent>,
    waiting: BTreeMap<RequestId, (EventList, Instant)>,
}

impl Fired {
    /// The pool has told of an event. It is kept if it is meant for this agent. Returns those who
    /// have waited for it.
    pub(crate) fn hear(
        &mut self,
        event: &gossip::UserEvent,
        node: &str,
        local: &Local,
    ) -> Vec<(RequestId, Response)> {
        if &*event.name != EVENT {
            return Vec::new(); // Of a later release.
        }
        // What makes no sense has come from somebody else than an agent like this one.
        let Ok(mut heard) = decode(event.payload.clone()) else { return Vec::new() };
        let services =
            local.services().map(|it| (it.name.as_str(), it.tags.iter().map(String::as_str)));
        if !heard.filter.fits(node, services) {
            return Vec::new();
        }
        heard.ltime = event.ltime.0;
        if self.heard.len() == EVENTS_MAX {
            self.heard.pop_front();
        }
        self.heard.push_back(heard);
        let heard = &self.heard;
        let wake = |(id, (list, _)): (&RequestId, &(EventList, Instant))| {
            Some((*id, list.answer(heard, true)?))
        };
        let woken: Vec<_> = self.waiting.iter().filter_map(wake).collect();
        for (id, _) in &woken {
            self.waiting.remove(id);
        }
        woken
    }

    /// A client asks what happened. `None` if it knows: it waits until there is more, or its time
    /// is over.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        id: RequestId,
        list: EventList,
        rng: &mut Rng,
    ) -> Option<Response> {
        let answer = list.answer(&self.heard, list.index != Index(0));
        if answer.is_none() {
            // Those who came together do not come back together.
            let until = now + list.wait + rng.up_to(list.wait / 16);
            self.waiting.insert(id, (list, until));
        }
        answer
    }

    /// The client is gone.
    pub(crate) fn cancel(&mut self, id: RequestId) {
        self.waiting.remove(&id);
    }

    /// Those whose patience is over: they are told what they knew.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(RequestId, Response)> {
        if now < self.poll_timeout() {
            return Vec::new();
        }
        let over = self.waiting.extract_if(.., |_, (_, until)| *until <= now);
        let answered = over.map(|(id, (list, _))| {
            let answer = list.answer(&self.heard, false);
            (id, answer.expect("who does not wait is answered"))
        });
        answered.collect()
    }

    /// When the first of them loses patience.
    pub(crate) fn poll_timeout(&self) -> Instant {
        self.waiting.values().map(|(_, until)| *until).min().unwrap_or(Instant::NEVER)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Tell everybody what a client wants them to hear, this agent among them.
///
/// Any agent can: the original's clients ask a server to, and cannot while they know none.
pub(crate) fn fire(gossip: &mut Gossip, now: Instant, fire: Fire, rng: &mut Rng) -> Response {
    let Fire { name, payload, filter, pretty } = fire;
    let id = draw_id(rng);
    let event = UserEvent { id, name, payload, filter, version: VERSION, ltime: 0 };
    let max = match gossip.fire(now, EVENT, encode(&event)) {
        Ok(()) => return event.fired(pretty),
        Err(max) => max,
    };
    // The frame is the original's, for those who look for its words.
    let text = format!(
        "1 error occurred:\n\t* error broadcasting event to segment \"\": user event exceeds \
         configured limit of {max} bytes before encoding\n\n"
    );
    Error::bad(text).into()
}

/// Fields: 1 the id, 2 the name, 3 the payload, 4 to 6 the filters for nodes, services and tags,
/// 7 the version.
fn encode(event: &UserEvent) -> Bytes {
    let mut writer = Writer::new();
    writer.u128(1, event.id.0);
    writer.str(2, &event.name);
    writer.bytes(3, &event.payload);
    writer.str(4, &event.filter.node);
    writer.str(5, &event.filter.service);
    writer.str(6, &event.filter.tag);
    writer.u64(7, event.version);
    writer.finish()
}

fn decode(bytes: Bytes) -> Result<UserEvent, DecodeError> {
    let mut event = UserEvent {
        id: Uuid::default(),
        name: String::new(),
        payload: Bytes::new(),
        filter: EventFilter::default(),
        version: 0,
        ltime: 0,
    };
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => event.id = Uuid(field.u128()?),
            2 => event.name = field.str()?.to_owned(),
            // A copy, so that not the whole packet is kept.
            3 => event.payload = Bytes::copy_from_slice(&field.bytes()?),
            4 => event.filter.node = field.str()?.to_owned(),
            5 => event.filter.service = field.str()?.to_owned(),
            6 => event.filter.tag = field.str()?.to_owned(),
            7 => event.version = field.u64()?,
            _ => {}
        }
    }
    Ok(event)
}

/// What the pool calls them. The names that clients give are inside.
const EVENT: &str = "event";
/// Of how an event is told.
const VERSION: u64 = 1;
/// The newest are kept.
const EVENTS_MAX: usize = 256;
