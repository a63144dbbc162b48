//! What agents report to their operators → the journal: who stands, who leads, who is believed to be
//! gone, and in which pool.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::journal::Journal;

/// Listens to all agents of a run. Which of them speaks follows from the span that the simulator runs
/// it in.
#[derive(Debug)]
pub(super) struct News {
    journal: Journal,
    last: AtomicU64,
    /// The agents whose turn it is, by span.
    names: Mutex<BTreeMap<u64, String>>,
}

thread_local! {
    /// Whose turn it is in this thread: a run has one.
    static TURN: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

impl News {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, last: AtomicU64::new(0), names: Mutex::default() }
    }

    fn speaker(&self) -> Option<String> {
        let span = TURN.with_borrow(|it| it.last().copied())?;
        self.names.lock().unwrap_or_else(PoisonError::into_inner).get(&span).cloned()
    }
}

impl Subscriber for News {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let turn = metadata.is_span() && metadata.name() == TURNS;
        turn || metadata.is_event() && SPEAKERS.contains(&metadata.target())
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::INFO)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut line = Line::default();
        span.record(&mut line);
        let name = line.fields.remove("name").unwrap_or_default();
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(id, name);
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Some(kind) = line.kind() else { return };
        let (Some(place), Some(at)) = (self.speaker(), turmoil::sim_elapsed()) else { return };
        self.journal.note(at, None, &place, kind, line.to_string());
    }

    fn enter(&self, span: &Id) {
        TURN.with_borrow_mut(|it| it.push(span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        TURN.with_borrow_mut(|it| it.retain(|own| *own != span.into_u64()));
    }

    fn try_close(&self, span: Id) -> bool {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&span.into_u64());
        true
    }
}

/// What one report says.
#[derive(Debug, Default)]
struct Line {
    message: String,
    fields: BTreeMap<&'static str, String>,
}

impl Line {
    /// The kind of event it is, if it is one to note.
    fn kind(&self) -> Option<&'static str> {
        let wan = self.fields.get("pool").is_some_and(|it| it == "wan");
        match self.message.as_str() {
            "cluster leadership acquired" => Some("leads"),
            "election started" => Some("stands"),
            "following" => Some("follows"),
            "no leader is known" => Some("alone"),
            "member failed" if wan => Some("wan-lost"),
            "member failed" => Some("lan-lost"),
            "member joined" if wan => Some("wan-found"),
            "member joined" => Some("lan-found"),
            "state taken over from the leader's snapshot" => Some("install"),
            _ => None,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.fields.get("name") {
            return f.write_str(name);
        }
        f.write_str(&self.message)?;
        let others = self.fields.iter().filter(|(field, _)| **field != "leader");
        others.into_iter().try_for_each(|(field, value)| write!(f, " {field} {value}"))
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.insert(field.name(), text);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// What the simulator calls the span in which an agent has its turn.
const TURNS: &str = "node";

/// Where agents report what happens to them.
const SPEAKERS: &[&str] = &["agent", "gossip"];
