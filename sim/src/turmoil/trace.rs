//! What happened, one line per event, chained into one number: two runs of one seed must agree on
//! it, whatever process they ran in.

use std::fmt;
use std::sync::{Arc, Mutex};

use tribune_base::hash::{FNV1A_START, fnv1a_from};
use tribune_base::time::Duration;

/// A run's trace. A clone writes to the same one.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    hash: u64,
}

impl Trace {
    /// Note an event at the simulated time `at`: `at actor what`, in fixed columns.
    pub fn note(&self, at: Duration, actor: &str, what: fmt::Arguments<'_>) {
        let line = format!("{:>12.6} {actor:<10} {what}", at.as_secs_f64());
        let mut state = self.0.lock().expect("a simulation has one thread");
        state.hash = fnv1a_from(state.hash ^ FNV1A_START, line.as_bytes());
        state.lines.push(line);
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.0.lock().expect("a simulation has one thread").hash
    }

    /// The events so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("a simulation has one thread").lines.clone()
    }
}

#[test]
fn order_counts() {
    let hash = |events: [&str; 2]| {
        let trace = Trace::default();
        events.iter().for_each(|it| trace.note(Duration::ZERO, "n1", format_args!("{it}")));
        trace.hash()
    };
    assert_eq!(hash(["a", "b"]), hash(["a", "b"]));
    assert_ne!(hash(["a", "b"]), hash(["b", "a"]));
}
