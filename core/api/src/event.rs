//! `/v1/event/*`: what somebody fired, and every agent of the datacenter has heard of.
//!
//! Events are gossip's: no server is asked and nothing is stored. What an agent answers is what it
//! has heard itself, so the lists of two agents differ for a moment, and after a restart are empty.

use std::collections::VecDeque;

use bytes::Bytes;
use tribune_base::id::{Index, Uuid};
use tribune_base::time::Duration;

use crate::error::Error;
use crate::http::Response;
use crate::plan::{Call, Plan};
use crate::pool::PoolCall;
use crate::pretty;
use crate::regexp::compile;
use crate::render::{ARRAY, Json};

/// What a client wants to be fired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fire {
    /// The event's name.
    pub name: String,
    /// What it says.
    pub payload: Bytes,
    /// At whom.
    pub filter: EventFilter,
    /// Whether the client wants its JSON indented.
    pub pretty: bool,
}

/// Which agents an event is for. Each is a regular expression; an empty one fits everybody.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EventFilter {
    /// The node's name.
    pub node: String,
    /// The name of a service that the agent has.
    pub service: String,
    /// A tag of that service.
    pub tag: String,
}

/// An event as an agent has heard it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserEvent {
    /// Tells it from all others.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// What it says.
    pub payload: Bytes,
    /// At whom it was fired.
    pub filter: EventFilter,
    /// Of how it is told. There is one so far.
    pub version: u64,
    /// When it was, in the pool's Lamport time. Zero until it has come back.
    pub ltime: u64,
}

/// A look at what was fired.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventList {
    /// Only events of this name; all, if it is empty.
    pub name: String,
    /// Wait while the list has this index. Zero: do not wait.
    pub index: Index,
    /// How long to wait: defaulted and capped, before jitter.
    pub wait: Duration,
    /// Whether the client wants its JSON indented.
    pub pretty: bool,
}

impl EventFilter {
    /// Understand the expressions, in the words of the original if they make no sense.
    fn check(&self) -> Result<(), Error> {
        if !self.tag.is_empty() && self.service.is_empty() {
            return Err(Error::bad("Cannot provide tag filter without service filter"));
        }
        let parts = [("node", &self.node), ("service", &self.service), ("tag", &self.tag)];
        for (kind, text) in parts {
            compile(text).map_err(|why| {
                Error::bad(format!("Invalid {kind} filter: error parsing regexp: {why}"))
            })?;
        }
        Ok(())
    }

    /// Whether the agent called `node` is meant, which has `services`: their names and tags. What
    /// makes no sense is for nobody: whoever fired it has checked.
    pub fn fits<'a, T>(&self, node: &str, services: impl IntoIterator<Item = (&'a str, T)>) -> bool
    where
        T: IntoIterator<Item = &'a str>,
    {
        let (Ok(of_node), Ok(of_service), Ok(of_tag)) =
            (compile(&self.node), compile(&self.service), compile(&self.tag))
        else {
            return false;
        };
        if !of_node.is_match(node) {
            return false;
        }
        let tagged =
            |tags: T| self.tag.is_empty() || tags.into_iter().any(|it| of_tag.is_match(it));
        self.service.is_empty()
            || services.into_iter().any(|(name, tags)| of_service.is_match(name) && tagged(tags))
    }
}

impl UserEvent {
    /// The index of a list that ends with this event: the two halves of its id, combined. Indexes
    /// of events have no order.
    pub const fn index(&self) -> Index {
        Index((self.id.0 >> 64) as u64 ^ self.id.0 as u64)
    }

    /// What the client is told that had it fired.
    pub fn fired(&self, pretty: bool) -> Response {
        let mut json = Json::with_capacity(256);
        self.write(&mut json);
        pretty::response(200, json.finish(), pretty)
    }

    fn write(&self, json: &mut Json) {
        json.raw(r#"{"ID":"#);
        json.uuid(self.id);
        json.field(r#","Name":"#, &self.name);
        json.raw(r#","Payload":"#);
        json.base64(&self.payload);
        json.field(r#","NodeFilter":"#, &self.filter.node);
        json.field(r#","ServiceFilter":"#, &self.filter.service);
        json.field(r#","TagFilter":"#, &self.filter.tag);
        json.raw(r#","Version":"#);
        json.number(self.version);
        json.raw(r#","LTime":"#);
        json.number(self.ltime);
        json.raw("}");
    }
}

impl EventList {
    /// The answer from what was `heard`, oldest first, and nothing if the client has it and would
    /// rather wait.
    pub fn answer(&self, heard: &VecDeque<UserEvent>, waits: bool) -> Option<Response> {
        let wanted: Vec<_> =
            heard.iter().filter(|it| self.name.is_empty() || it.name == self.name).collect();
        // Never zero: whoever waits for the first event must wait for something.
        let index = wanted.last().map_or(Index(1), |it| it.index());
        if waits && index == self.index {
            return None;
        }
        let mut json = Json::with_capacity(16 + wanted.len() * 192);
        json.list(ARRAY, wanted, |json, it| it.write(json));
        let response = pretty::response(200, json.finish(), self.pretty);
        Some(response.with_header("X-Consul-Index", index.to_string()))
    }
}

/// The plan to fire an event.
pub(crate) fn fire(call: &Call<'_>) -> Result<Plan, Error> {
    if let Some(plan) = call.remote() {
        return Ok(plan);
    }
    let name = call.name("Missing name")?;
    let text = |name: &str| call.params.get(name).unwrap_or_default().to_owned();
    let filter = EventFilter { node: text("node"), service: text("service"), tag: text("tag") };
    filter.check()?;
    let (payload, pretty) = (call.request.body.clone(), call.pretty());
    Ok(Plan::Pool(PoolCall::Fire(Fire { name, payload, filter, pretty })))
}

/// The plan to list events.
pub(crate) fn list(call: &Call<'_>) -> Result<Plan, Error> {
    let (index, wait) = call.params.waiting(call.context)?;
    let name = call.params.get("name").unwrap_or_default().to_owned();
    Ok(Plan::Pool(PoolCall::Events(EventList { name, index, wait, pretty: call.pretty() })))
}

#[test]
fn an_event_is_for_those_it_names() {
    let services = || [("web", ["v1", "blue"]), ("db", ["v2", "red"])];
    let fits = |node: &str, service: &str, tag: &str| {
        let filter = EventFilter { node: node.into(), service: service.into(), tag: tag.into() };
        filter.fits("n1", services())
    };
    assert!(fits("", "", ""), "everybody");
    assert!(fits("^n", "", "") && !fits("^m", "", ""));
    assert!(fits("", "^w", "") && !fits("", "mail", ""));
    assert!(fits("n1", "web", "blue"));
    assert!(!fits("n1", "web", "red"), "the tag is another service's");
    assert!(!fits("n2", "web", "blue"), "all of it has to fit");
    assert!(!fits("(", "", ""), "what makes no sense is for nobody");
}

#[test]
fn the_index_of_a_list_is_that_of_its_last_event() {
    let event = |id: u128, name: &str| UserEvent {
        id: Uuid(id),
        name: name.to_owned(),
        payload: Bytes::new(),
        filter: EventFilter::default(),
        version: 1,
        ltime: 1,
    };
    let heard = [event(5 << 64 | 3, "a"), event(9 << 64 | 1, "b")].into();
    let ask = |name: &str, index, waits| {
        let (name, index) = (name.to_owned(), Index(index));
        let list = EventList { name, index, wait: Duration::ZERO, pretty: false };
        list.answer(&heard, waits).map(|it| it.headers[0].1.clone())
    };
    assert_eq!(ask("", 0, true).as_deref(), Some("8"));
    assert_eq!(ask("a", 8, true).as_deref(), Some("6"), "it is another index: no need to wait");
    assert_eq!(ask("", 8, true), None);
    assert_eq!(ask("", 8, false).as_deref(), Some("8"));
    assert_eq!(ask("none", 1, true), None, "there is nothing, and the client knows");
}
