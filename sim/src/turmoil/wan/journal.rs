//! What happened, one line per event, and who told whom; chained into one number: two runs of one
//! seed must agree on it, whatever process they ran in.
//!
//! ```text
//!    31.250000 dc2-n3     leads      cluster leadership acquired term=2
//!    31.271000 dc1-c      put        dc2/dc1 = 17 at dc1-a1: 200 true, 21 ms
//!    |         |          |          `- what exactly
//!    |         |          `- what kind of event
//!    |         `- where: an agent, the clients of a datacenter, or the world
//!    `- when, in seconds since the run began
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use tribune_base::hash::{FNV1A_START, fnv1a_from};
use tribune_base::time::Duration;

/// A run's journal. A clone writes to the same one.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    hash: u64,
}

/// Something that happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// When.
    pub at: Duration,
    /// Since when, if it took time.
    pub since: Option<Duration>,
    /// Where.
    pub place: Arc<str>,
    /// What kind of event.
    pub kind: &'static str,
    /// What exactly.
    pub text: String,
}

impl Journal {
    /// Note an event. What the run comes to depends on it.
    pub fn note(
        &self,
        at: Duration,
        since: Option<Duration>,
        place: &str,
        kind: &'static str,
        text: String,
    ) {
        let mut state = self.lock();
        let mut hash = fnv1a_from(state.hash ^ FNV1A_START, &at.as_nanos().to_le_bytes());
        for part in [place, kind, &text] {
            hash = fnv1a_from(hash, part.as_bytes());
        }
        state.hash = hash;
        state.events.push(Event { at, since, place: place.into(), kind, text });
    }

    /// Have what the run comes to depend on something that is not noted.
    pub fn mix(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.hash = fnv1a_from(state.hash ^ FNV1A_START, bytes);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.lock().hash
    }

    /// The events from number `from` on.
    pub fn events(&self, from: usize) -> Vec<Event> {
        self.lock().events.get(from..).unwrap_or_default().to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("a simulation has one thread")
    }
}

impl Event {
    /// Whether this is about a cluster and what happens to it, and not about one request.
    pub fn is_news(&self) -> bool {
        !REQUESTS.contains(&self.kind)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, place, kind, text, .. } = self;
        write!(f, "{:>12.6} {place:<8} {kind:<9} {text}", at.as_secs_f64())
    }
}

/// Kinds of events that are requests of clients.
pub const REQUESTS: &[&str] = &["put", "get", "wait", "dns", "health", "list", "storm"];

#[test]
fn order_counts_and_a_line_is_readable() {
    let hash = |kinds: [&'static str; 2]| {
        let journal = Journal::default();
        for kind in kinds {
            journal.note(Duration::from_millis(1_500), None, "dc1-n1", kind, "a thing".into());
        }
        (journal.hash(), journal.events(1)[0].to_string())
    };
    assert_eq!(hash(["put", "get"]), hash(["put", "get"]));
    assert_ne!(hash(["put", "get"]).0, hash(["get", "put"]).0);
    assert_eq!(hash(["put", "cut"]).1, "    1.500000 dc1-n1   cut       a thing");
}
