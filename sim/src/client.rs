//! Clients: each follows its script, one request at a time, and remembers what it was told.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_api::http::{Method, Request, Response};
use tribune_base::id::Index;
use tribune_base::time::Duration;
use tribune_core::RequestId;

use crate::moment::Moment;
use crate::oracle::{Answered, Asked};
use crate::workload::{Action, Mode, Op, Script};

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

    /// Begin `op`, asking `server`. Returns what is asked.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        number: usize,
        op: Op,
        (server, life): (usize, u32),
        floor: Index,
    ) -> &Pending {
        self.next += 1;
        self.generation += 1;
        let action = op.action;
        let writes = matches!(action, Action::Set(_) | Action::Cas(_) | Action::Create(_));
        let value = if writes { format!("c{number}.{}", op.serial).into() } else { Bytes::new() };
        let subject = action.subject();
        let known = match action {
            Action::Watch(..) => self.seen.get(&(0, subject)),
            Action::WatchTree(..) | Action::WatchKeys(..) => self.seen.get(&(1, subject)),
            Action::Create(_) => None,
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
        let asked = Asked { client: number, server, life, action, value, known, floor };
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
            let one = matches!(asked.action, Action::Watch(..) | Action::Get(..));
            let kind = u8::from(!one);
            self.seen.insert((kind, subject), index);
        }
        let returned = returned.then_some(now);
        self.history.push(Record { asked, invoked, returned, answered, seen });
    }

    /// Nothing more is to be done after what is pending.
    pub(crate) fn stop(&mut self) {
        self.next = self.script.ops.len();
    }
}

/// How long a client waits for its answer.
pub(crate) fn patience(action: Action) -> Duration {
    match action {
        Action::Watch(_, _, it) | Action::WatchTree(_, _, it) | Action::WatchKeys(_, _, it) => {
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
        | Action::Keys(..) => Duration::from_secs(8),
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
        let mode = |it: Mode| match it {
            Mode::Default => "",
            Mode::Consistent => "&consistent",
            Mode::Stale => "&stale",
        };
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
        };
        let path = format!("/v1/kv/{}", asked.action.subject());
        Self { method, path, query, body: asked.value.clone() }
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
        }
    }
}

fn wait(it: Duration) -> String {
    format!("&wait={}ms", it.as_millis())
}
