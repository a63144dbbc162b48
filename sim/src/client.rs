//! Clients: each follows its script, one request at a time, and remembers what it was told.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_api::http::{Method, Request, Response};
use tribune_base::id::Index;
use tribune_base::time::Duration;
use tribune_core::RequestId;

use crate::moment::Moment;
use crate::oracle::{Answered, Asked};
use crate::workload::{Action, Local, Look, Mode, Op, Patience, Script};

/// What a client is told.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nobody listens there: nothing can have happened.
    Refused,
    /// The connection broke.
    Reset,
    /// An answer.
    Response(Box<Response>),
}

/// Something a client has asked, and what came of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// What.
    pub asked: Asked,
    /// When.
    pub invoked: Moment,
    /// When it was told, if ever.
    pub returned: Option<Moment>,
    /// What it was told.
    pub answered: Answered,
    /// The value it was shown, in base64, if it asked for one key and that was there.
    pub seen: Option<String>,
}

/// A client in the middle of its script.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) script: Script,
    next: usize,
    /// Tells this request from earlier ones.
    pub(crate) generation: u32,
    pub(crate) pending: Option<Pending>,
    /// When each key was last changed, as far as this client knows.
    known: BTreeMap<&'static str, u64>,
    /// What it has seen of what it waits for.
    seen: BTreeMap<(u8, &'static str), u64>,
    pub(crate) history: Vec<Record>,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    pub(crate) invoked: Moment,
    /// What the server calls it, if it has asked its node.
    pub(crate) id: Option<RequestId>,
}

impl Client {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script,
            next: 0,
            generation: 0,
            pending: None,
            known: BTreeMap::new(),
            seen: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// What to do next, and how long from now.
    pub(crate) fn next(&self) -> Option<Op> {
        self.script.ops.get(self.next).copied()
    }

    /// Begin `op`, asking the agent at a place. `forwarded`, if that has to ask a server. Returns what
    /// is asked.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        number: usize,
        op: Op,
        (server, life, forwarded): (usize, u32, bool),
        floor: Index,
    ) -> &Pending {
        self.next += 1;
        self.generation += 1;
        let action = op.action;
        let writes = matches!(action, Action::Set(_) | Action::Cas(_) | Action::Create(_));
        let value = if writes { format!("c{number}.{}", op.serial).into() } else { Bytes::new() };
        let serial = op.serial;
        let subject = action.subject();
        let known = match action {
            Action::Watch(..)
            | Action::WatchTree(..)
            | Action::WatchKeys(..)
            | Action::Look(_, _, Some(_)) => self.seen.get(&(action.kind(), subject)),
            Action::Create(_) | Action::Local(_) | Action::Look(_, _, None) => None,
            Action::Set(_)
            | Action::Cas(_)
            | Action::Delete(_)
            | Action::DeleteCas(_)
            | Action::DeleteTree(_)
            | Action::Get(..)
            | Action::List(..)
            | Action::Keys(..) => self.known.get(subject),
        };
        let known = known.copied().unwrap_or(0);
        let client = number;
        let asked = Asked { client, server, life, forwarded, action, serial, value, known, floor };
        self.pending.insert(Pending { asked, invoked: now, id: None })
    }

    /// The pending request has come to an end.
    pub(crate) fn end(
        &mut self,
        now: Moment,
        returned: bool,
        answered: Answered,
        seen: Option<String>,
    ) {
        let Some(Pending { asked, invoked, .. }) = self.pending.take() else { return };
        let subject = asked.action.subject();
        if let Some(modify) = answered.modify {
            self.known.insert(subject, modify);
        }
        if let Some(index) = answered.index {
            self.seen.insert((asked.action.kind(), subject), index);
        }
        let returned = returned.then_some(now);
        self.history.push(Record { asked, invoked, returned, answered, seen });
    }

    /// The next thing is not done.
    pub(crate) fn skip(&mut self) {
        self.next += 1;
    }

    /// Nothing more is to be done after what is pending.
    pub(crate) fn stop(&mut self) {
        self.next = self.script.ops.len();
    }
}

/// How long a client waits for its answer.
pub(crate) fn patience(action: Action) -> Duration {
    match action {
        Action::Watch(_, _, it)
        | Action::WatchTree(_, _, it)
        | Action::WatchKeys(_, _, it)
        | Action::Look(_, _, Some(it)) => {
            // A slow clock makes a long wait.
            it.leaves.unwrap_or_else(|| (it.wait + it.wait / 16) * 2 + Duration::from_secs(9))
        }
        Action::Set(_)
        | Action::Cas(_)
        | Action::Create(_)
        | Action::Delete(_)
        | Action::DeleteCas(_)
        | Action::DeleteTree(_)
        | Action::Get(..)
        | Action::List(..)
        | Action::Keys(..)
        | Action::Local(_)
        | Action::Look(_, _, None) => Duration::from_secs(8),
    }
}

/// A request, as it is made over HTTP.
pub(crate) struct Http {
    method: Method,
    path: String,
    query: String,
    body: Bytes,
}

impl Http {
    pub(crate) fn of(asked: &Asked) -> Self {
        let known = asked.known;
        let write = |method, query: String| (method, query);
        let (method, query) = match asked.action {
            Action::Set(_) => write(Method::Put, String::new()),
            Action::Cas(_) | Action::Create(_) => write(Method::Put, format!("cas={known}")),
            Action::Delete(_) => write(Method::Delete, String::new()),
            Action::DeleteCas(_) => write(Method::Delete, format!("cas={known}")),
            Action::DeleteTree(_) => write(Method::Delete, "recurse".to_owned()),
            Action::Get(_, it) => (Method::Get, mode(it).to_owned()),
            Action::List(_, it) => (Method::Get, format!("recurse{}", mode(it))),
            Action::Keys(_, it) => (Method::Get, format!("keys{}", mode(it))),
            Action::Watch(_, it, patience) => {
                (Method::Get, format!("index={known}{}{}", wait(patience.wait), mode(it)))
            }
            Action::WatchTree(_, it, patience) => {
                (Method::Get, format!("recurse&index={known}{}{}", wait(patience.wait), mode(it)))
            }
            Action::WatchKeys(_, it, patience) => {
                (Method::Get, format!("keys&index={known}{}{}", wait(patience.wait), mode(it)))
            }
            Action::Local(it) => return Self::of_local(it, asked),
            Action::Look(look, mode, patience) => {
                return Self::of_look(look, mode, patience, known);
            }
        };
        let path = format!("/v1/kv/{}", asked.action.subject());
        Self { method, path, query, body: asked.value.clone() }
    }

    fn of_local(local: Local, asked: &Asked) -> Self {
        let method = if matches!(local, Local::Health(_)) { Method::Get } else { Method::Put };
        let (path, query, body) = local.request(asked.server, asked.client, asked.serial);
        Self { method, path, query, body: body.into() }
    }

    fn of_look(look: Look, it: Mode, patience: Option<Patience>, known: u64) -> Self {
        let passing = if matches!(look, Look::Passing(_)) { "&passing" } else { "" };
        let waits = patience.map(|it| format!("&index={known}{}", wait(it.wait)));
        let query = format!("{}{passing}{}", mode(it), waits.unwrap_or_default());
        let query = query.trim_start_matches('&').to_owned();
        Self { method: Method::Get, path: look.path(), query, body: Bytes::new() }
    }

    pub(crate) fn request(&self) -> Request<'_> {
        Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            token: None,
            body: self.body.clone(),
            remote: None,
            forwarded_for: None,
            wants_text: false,
        }
    }
}

const fn mode(it: Mode) -> &'static str {
    match it {
        Mode::Default => "",
        Mode::Consistent => "&consistent",
        Mode::Stale => "&stale",
    }
}

fn wait(it: Duration) -> String {
    format!("&wait={}ms", it.as_millis())
}
