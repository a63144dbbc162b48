//! What happened, one line per event, chained into one number: two runs of one plan must agree on
//! it, in whatever process and profile.
//!
//! ```text
//!      3.141592 n2    deliver    n1 heartbeat 7 round 31 commit 12
//!      |        |     |          `- what exactly
//!      |        |     `- what kind of event
//!      |        `- where: a server, a client, or the world
//!      `- when, in seconds since the run began
//! ```

use std::fmt;

use crate::dice::mix;
use crate::moment::Moment;

/// A run's trace.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    count: u64,
    /// `None`, if only the hash is wanted.
    lines: Option<Vec<Line>>,
    /// The hash after every so many events, to find out where two runs part.
    checkpoints: Vec<u64>,
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// When.
    pub at: Moment,
    /// Where.
    pub place: Place,
    /// What kind of event.
    pub kind: &'static str,
    /// Where it comes from, and since when it was on its way, if it was.
    pub from: Option<(Place, Moment)>,
    /// What exactly.
    pub text: String,
}

/// Where something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// At this server.
    Server(usize),
    /// At this client.
    Client(usize),
    /// To everybody.
    World,
}

impl Trace {
    /// A trace, of which the lines are kept or not.
    pub fn new(keep: bool) -> Self {
        Self { lines: keep.then(Vec::new), ..Self::default() }
    }

    /// Note an event. `payload` stands for whatever `text` says, and more.
    pub fn note(
        &mut self,
        at: Moment,
        place: Place,
        kind: &'static str,
        payload: u64,
        text: impl FnOnce() -> String,
    ) {
        self.note_from(at, place, kind, None, payload, text);
    }

    /// Note an event that comes from somewhere.
    pub fn note_from(
        &mut self,
        at: Moment,
        place: Place,
        kind: &'static str,
        from: Option<(Place, Moment)>,
        payload: u64,
        text: impl FnOnce() -> String,
    ) {
        let word = (kind.len() as u64) << 8 | u64::from(kind.as_bytes()[0]);
        self.hash = mix(self.hash ^ at.0).wrapping_add(payload);
        self.hash = mix(self.hash ^ place.number() << 32 ^ word);
        self.count += 1;
        if self.count.is_multiple_of(CHECKPOINT) {
            self.checkpoints.push(self.hash);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at, place, kind, from, text: text() });
        }
    }

    /// The hash of everything so far.
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events there were.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The hash after every 4,096 events.
    pub fn checkpoints(&self) -> &[u64] {
        &self.checkpoints
    }

    /// What is kept.
    pub fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Whether lines are kept.
    pub const fn keeps(&self) -> bool {
        self.lines.is_some()
    }
}

impl Place {
    const fn number(self) -> u64 {
        match self {
            Self::World => 0,
            Self::Server(n) => 1 + n as u64,
            Self::Client(n) => 1_000 + n as u64,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(n) => write!(f, "n{}", n + 1),
            Self::Client(n) => write!(f, "c{n}"),
            Self::World => f.write_str("world"),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        write!(f, "{} {place:<5} {:<10} ", self.at, self.kind)?;
        if let Some((from, _)) = self.from {
            write!(f, "{from} ")?;
        }
        f.write_str(&self.text)
    }
}

/// Events between two checkpoints.
const CHECKPOINT: u64 = 4_096;

#[test]
fn order_counts() {
    let hash = |events: [&'static str; 2]| {
        let mut trace = Trace::new(false);
        for kind in events {
            trace.note(Moment(1), Place::World, kind, 0, String::new);
        }
        trace.hash()
    };
    assert_eq!(hash(["a", "b"]), hash(["a", "b"]));
    assert_ne!(hash(["a", "b"]), hash(["b", "a"]));
}

#[test]
fn a_line_is_readable() {
    let mut trace = Trace::new(true);
    let from = Some((Place::Server(0), Moment(0)));
    let at = Moment(3_141_592_653);
    trace.note_from(at, Place::Server(1), "deliver", from, 0, || "heartbeat 7".into());
    assert_eq!(trace.lines()[0].to_string(), "    3.141592 n2    deliver    n1 heartbeat 7");
}
