//! KV-1, linearizability; KV-2, at most once and nothing from nowhere; KV-3 and BQ-2, indexes that
//! make sense.
//!
//! The log is an order of all writes, and what each read must have seen is a position in it. So no
//! search is needed: an answer must be what some position says that is not before anything the
//! asker could know of (whatever was answered before it asked) and not after the end of the log.
//! The earliest such position is the least anybody can be held to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use bytes::Bytes;
use tribune_api::http::Response;
use tribune_base::id::Index;
use tribune_state::kv;

use super::model::{Model, Row};
use super::truth::Saying;
use super::{Report, Truth};
use crate::workload::{Action, Mode};

/// What clients know, and what they were told.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) model: Model,
    /// Whoever asks from now on has seen this much.
    floor: Index,
    /// What each client has seen of each life of a server without asking the leader.
    stale: BTreeMap<(usize, usize, u32), Index>,
    /// Values whose writers were told that nothing happened.
    refused: BTreeSet<Bytes>,
    /// The last index that a life of a server gave to a question, and what it had applied then.
    indexes: BTreeMap<(usize, u32, u8, &'static str), (Index, Index)>,
    drifts: bool,
    /// How many writes were acknowledged.
    pub(crate) acknowledged: u64,
    /// How many reads were answered.
    pub(crate) read: u64,
}

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Who.
    pub client: usize,
    /// Of which server.
    pub server: usize,
    /// In which of its lives.
    pub life: u32,
    /// Whether that is a client agent, which asks whichever server it likes.
    pub forwarded: bool,
    /// What.
    pub action: Action,
    /// The number of the request in the script as drawn.
    pub serial: u32,
    /// What is to be written, or nothing.
    pub value: Bytes,
    /// What the client knows of the key, or of what it waits for.
    pub known: u64,
    /// Everything up to here had been seen by somebody when it asked.
    pub floor: Index,
}

/// What an answer tells a client.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answered {
    /// What came of it.
    pub outcome: Outcome,
    /// When the key was last changed, if it is there.
    pub modify: Option<u64>,
    /// What to wait on.
    pub index: Option<u64>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Outcome {
    /// Nobody knows.
    #[default]
    Unknown,
    /// Nothing happened.
    Refused,
    /// It was done, or its condition did not hold.
    Done(bool),
    /// Here it is.
    Read,
}

impl Kv {
    pub(crate) fn new(drifts: bool) -> Self {
        Self {
            model: Model::default(),
            floor: Index(0),
            stale: BTreeMap::new(),
            refused: BTreeSet::new(),
            indexes: BTreeMap::new(),
            drifts,
            acknowledged: 0,
            read: 0,
        }
    }

    /// What has been seen by now.
    pub(crate) const fn floor(&self) -> Index {
        self.floor
    }

    pub(crate) fn on_committed(&mut self, report: &mut Report, truth: &Truth, from: usize) {
        for fact in truth.since(from) {
            let Saying::Command(command) = &fact.saying else { continue };
            let twice = self.model.apply(fact.id.index, command);
            report.require(twice.is_none(), "KV-2", || {
                format!("{twice:?} is written a second time at {}", fact.id)
            });
            if let tribune_state::Command::Kv(
                kv::Command::Set { value, .. } | kv::Command::Cas { value, .. },
            ) = command
            {
                report.require(!self.refused.contains(value), "KV-2", || {
                    format!("{value:?} was refused, and is committed at {}", fact.id)
                });
            }
        }
    }

    /// A server answers a question about keys: its index does not go back, and is not zero.
    pub(crate) fn on_rendered(
        &mut self,
        report: &mut Report,
        (server, life): (usize, u32),
        action: Action,
        (applied, index): (Index, Index),
    ) {
        report.require(index != Index(0), "BQ-2", || format!("{action:?} has index zero"));
        let known =
            self.indexes.entry((server, life, action.kind(), action.subject())).or_default();
        // A rendering that took its time shows an older state than one that did not.
        if applied < known.0 {
            return;
        }
        let before = known.1;
        *known = (applied, index);
        report.require(before <= index, "BQ-2", || {
            let server = server + 1;
            format!("{action:?} had index {before} at server {server}, and at {applied} {index}")
        });
    }

    /// A question about services is answered from the state after `applied`: that is not before
    /// anything that somebody had seen when it was asked, if it is to be fresh.
    pub(crate) fn on_shown(&self, report: &mut Report, asked: &Asked, applied: Index) {
        let Action::Look(_, mode, _) = asked.action else { return };
        let fresh = mode == Mode::Consistent || mode == Mode::Default && !self.drifts;
        report.require(!fresh || asked.floor <= applied, "KV-1", || {
            format!("{asked:?} is answered from the state after {applied}")
        });
    }

    /// A client has its answer.
    pub(crate) fn on_answer(
        &mut self,
        report: &mut Report,
        truth: &Truth,
        asked: &Asked,
        response: &Response,
    ) -> Answered {
        let end = Index(truth.len() as u64 - 1);
        if !asked.action.is_about_keys() {
            return Self::on_other(report, asked, response, end);
        }
        match (response.status, asked.action.mode()) {
            (200, None) => self.on_written(report, asked, &response.body),
            (200 | 404, Some(mode)) => self.on_read(report, asked, mode, response, end),
            (429 | 503, None) => {
                let done = !asked.value.is_empty() && self.model.write(&asked.value).is_some();
                report.require(!done, "KV-2", || format!("{asked:?} was refused and is committed"));
                self.refused.insert(asked.value.clone());
                Answered { outcome: Outcome::Refused, ..Answered::default() }
            }
            _ => Answered::default(),
        }
    }

    /// An answer about services. What it shows is somebody else's business.
    fn on_other(report: &mut Report, asked: &Asked, response: &Response, end: Index) -> Answered {
        let index = response.meta.map(|it| it.index);
        report.require(index.is_none_or(|it| it <= end.max(Index(1))), "KV-3", || {
            format!("{asked:?} has index {index:?}, and the log ends at {end}")
        });
        let outcome = match (asked.action, response.status) {
            (Action::Look(..), 200) => Outcome::Read,
            (Action::Local(_), 200) => Outcome::Done(true),
            _ => Outcome::Unknown,
        };
        Answered { outcome, modify: None, index: index.map(|it| it.0) }
    }

    fn on_written(&mut self, report: &mut Report, asked: &Asked, body: &[u8]) -> Answered {
        let told = match body {
            b"true" => true,
            b"false" => false,
            _ => {
                report.require(false, "KV-2", || format!("{asked:?} was answered {body:?}"));
                return Answered::default();
            }
        };
        let at = match deletion(asked) {
            Some(command) => self.model.claim(asked.floor, &command, told).map(|at| (at, told)),
            None => self.model.write(&asked.value),
        };
        let Some((at, held)) = at else {
            report.require(false, "KV-2", || {
                format!("{asked:?} was answered {told}, and nothing of it is committed")
            });
            return Answered::default();
        };
        report.require(held == told, "KV-2", || {
            format!("{asked:?} was answered {told}, and at {at} the log says {held}")
        });
        report.require(asked.floor < at, "KV-1", || {
            format!("{asked:?} took effect at {at}, before it was asked")
        });
        self.floor = self.floor.max(at);
        self.acknowledged += 1;
        let modify = held.then_some(at.0).filter(|_| !asked.value.is_empty());
        Answered { outcome: Outcome::Done(told), modify, index: None }
    }

    fn on_read(
        &mut self,
        report: &mut Report,
        asked: &Asked,
        mode: Mode,
        response: &Response,
        end: Index,
    ) -> Answered {
        let session = (asked.client, asked.server, asked.life);
        let fresh = mode == Mode::Consistent || mode == Mode::Default && !self.drifts;
        // Who asks a client agent may be answered by another server each time.
        let seen = || self.stale.get(&session).copied().filter(|_| !asked.forwarded);
        let floor = if fresh { asked.floor } else { seen().unwrap_or_default() };
        let Some(at) = self.witness(asked.action, floor, end, response) else {
            report.require(false, "KV-1", || {
                let body = String::from_utf8_lossy(&response.body);
                format!(
                    "{asked:?} was answered {} {body}, which is true nowhere from {floor} to \
                     {end}; at {end} it is {}",
                    response.status,
                    expected(&self.model, asked.action, end)
                )
            });
            return Answered::default();
        };
        if fresh {
            self.floor = self.floor.max(at);
        } else if mode == Mode::Stale {
            self.stale.insert(session, at);
        }
        let meta = response.meta;
        let index = meta.map(|it| it.index);
        report.require(index.is_some_and(|it| it <= end.max(Index(1))), "KV-3", || {
            format!("{asked:?} has index {index:?}, and the log ends at {end}")
        });
        let newest = self.rows(asked.action, at).map(|(_, it)| it.modify).max();
        report.require(index >= newest, "KV-3", || {
            format!("{asked:?} has index {index:?} and shows something of {newest:?}")
        });
        self.read += 1;
        let modify = is_about_one(asked.action).then(|| newest.map_or(0, |it| it.0));
        Answered { outcome: Outcome::Read, modify, index: index.map(|it| it.0) }
    }

    /// The first position from `floor` to `end` whose answer this is.
    fn witness(
        &self,
        action: Action,
        floor: Index,
        end: Index,
        response: &Response,
    ) -> Option<Index> {
        let subject = action.subject().as_bytes();
        let exact = is_about_one(action);
        let concerns = |key: &Bytes| if exact { key == subject } else { key.starts_with(subject) };
        let changes = self.model.changes(floor, end).iter();
        let changes = changes.filter(|(_, key)| concerns(key)).map(|(at, _)| *at);
        let mut positions = std::iter::once(floor).chain(changes);
        positions.find(|at| {
            let (status, body) = answer(&self.model, action, *at);
            status == response.status && body.as_bytes() == response.body
        })
    }

    fn rows(&self, action: Action, at: Index) -> impl Iterator<Item = (&Bytes, &Row)> {
        let subject = action.subject().as_bytes();
        let exact = is_about_one(action);
        self.model.rows(subject, at).filter(move |(key, _)| !exact || *key == subject)
    }
}

/// The command that an action stands for, if it deletes.
fn deletion(asked: &Asked) -> Option<kv::Command> {
    let subject = Bytes::from_static(asked.action.subject().as_bytes());
    match asked.action {
        Action::Delete(_) => Some(kv::Command::Delete { key: subject }),
        Action::DeleteTree(_) => Some(kv::Command::DeleteTree { prefix: subject }),
        Action::DeleteCas(_) => {
            Some(kv::Command::DeleteCas { key: subject, index: Index(asked.known) })
        }
        Action::Set(_)
        | Action::Cas(_)
        | Action::Create(_)
        | Action::Get(..)
        | Action::List(..)
        | Action::Keys(..)
        | Action::Watch(..)
        | Action::WatchTree(..)
        | Action::WatchKeys(..)
        | Action::Local(_)
        | Action::Look(..) => None,
    }
}

/// Whether a read is about one key, not about all under a prefix.
const fn is_about_one(action: Action) -> bool {
    matches!(action, Action::Get(..) | Action::Watch(..))
}

fn expected(model: &Model, action: Action, at: Index) -> String {
    let (status, body) = answer(model, action, at);
    format!("{status} {body}")
}

/// What the API says about keys after `at`, worked out from its documentation.
pub(super) fn answer(model: &Model, action: Action, at: Index) -> (u16, String) {
    let subject = action.subject().as_bytes();
    let mut body = String::with_capacity(128);
    body.push('[');
    if is_about_one(action) {
        let Some(row) = model.row(subject, at) else { return (404, String::new()) };
        write_row(&mut body, subject, row);
    } else {
        let names = matches!(action, Action::Keys(..) | Action::WatchKeys(..));
        for (n, (key, row)) in model.rows(subject, at).enumerate() {
            body.push_str(if n == 0 { "" } else { "," });
            if names {
                let _ = write!(body, "\"{}\"", String::from_utf8_lossy(key));
            } else {
                write_row(&mut body, key, row);
            }
        }
        if body.len() == 1 && !(names && subject.is_empty()) {
            return (404, String::new());
        }
    }
    body.push(']');
    (200, body)
}

fn write_row(body: &mut String, key: &[u8], row: &Row) {
    let _ = write!(
        body,
        r#"{{"LockIndex":0,"Key":"{}","Flags":{},"Value":"{}","CreateIndex":{},"ModifyIndex":{}}}"#,
        String::from_utf8_lossy(key),
        row.flags,
        base64(&row.value),
        row.create,
        row.modify
    );
}

/// Base64 (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use tribune_api::http::ReadMeta;
    use tribune_base::time::Duration;
    use tribune_state::Command;

    use super::*;

    fn history() -> Kv {
        let mut kv = Kv::new(false);
        for (at, value) in [(2, "c0.0"), (4, "c0.1")] {
            let value = Bytes::from_static(value.as_bytes());
            let key = Bytes::from_static(b"a");
            kv.model.apply(Index(at), &Command::Kv(kv::Command::Set { key, value, flags: 0 }));
        }
        kv
    }

    fn asked(action: Action, floor: u64) -> Asked {
        let (client, server, life, serial, known) = (0, 0, 1, 0, 0);
        let (value, floor) = (Bytes::new(), Index(floor));
        Asked { client, server, life, forwarded: false, action, serial, value, known, floor }
    }

    fn read(kv: &mut Kv, mode: Mode, floor: u64, at: u64, index: u64) -> Option<String> {
        let mut report = Report::default();
        let action = Action::Get(0, mode);
        let (status, body) = answer(&kv.model, action, Index(at));
        let meta = ReadMeta {
            index: Index(index),
            known_leader: true,
            last_contact: Duration::ZERO,
            effective: None,
        };
        let response = Response { meta: Some(meta), ..Response::json(status, body) };
        kv.on_read(&mut report, &asked(action, floor), mode, &response, Index(9));
        report.first.map(|it| it.id)
    }

    #[test]
    fn a_stale_answer_is_noticed() {
        let kv = &mut history();
        assert_eq!(read(kv, Mode::Consistent, 0, 2, 2), None, "true somewhere since then");
        assert_eq!(read(kv, Mode::Consistent, 3, 4, 4), None);
        assert_eq!(read(kv, Mode::Consistent, 4, 2, 2), Some("KV-1".into()), "overwritten by then");
        assert_eq!(read(kv, Mode::Default, 4, 2, 2), Some("KV-1".into()));
        assert_eq!(read(kv, Mode::Stale, 4, 2, 2), None, "that is what stale means");
        assert_eq!(read(kv, Mode::Stale, 4, 4, 4), None);
        assert_eq!(read(kv, Mode::Stale, 4, 2, 2), Some("KV-1".into()), "it has seen more there");
        assert_eq!(read(kv, Mode::Consistent, 0, 4, 12), Some("KV-3".into()), "from the future");
        assert_eq!(read(kv, Mode::Consistent, 0, 4, 3), Some("KV-3".into()), "older than its row");
    }

    #[test]
    fn an_acknowledgement_needs_an_entry() {
        let kv = &mut history();
        let write = |kv: &mut Kv, value: &'static str, floor, body: &[u8]| {
            let mut report = Report::default();
            let value = Bytes::from_static(value.as_bytes());
            let asked = Asked { value, ..asked(Action::Set(0), floor) };
            kv.on_written(&mut report, &asked, body);
            report.first.map(|it| it.id)
        };
        assert_eq!(write(kv, "c0.1", 3, b"true"), None);
        assert_eq!(write(kv, "c0.2", 3, b"true"), Some("KV-2".into()), "it is nowhere");
        assert_eq!(write(kv, "c0.1", 3, b"false"), Some("KV-2".into()), "it did take effect");
        assert_eq!(write(kv, "c0.0", 3, b"true"), Some("KV-1".into()), "before it was asked");
    }

    #[test]
    fn base64_is_the_published_one() {
        for (text, want) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(text.as_bytes()), want);
        }
    }
}
