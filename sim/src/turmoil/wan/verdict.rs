//! What must hold between datacenters, by name: how often each was looked at, and what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use tribune_base::time::Duration;

/// An invariant: its name, and what it says.
pub type Invariant = (&'static str, &'static str);

/// All of them, in the order in which they are shown.
pub const INVARIANTS: &[Invariant] = &[
    ("MD-1", "a request for a datacenter is answered from its state, with its index"),
    (
        "MD-2",
        "who is cut off costs the others nothing, and asking for it fails in time and as it must",
    ),
    ("MD-3", "a write that crosses happens once, or not at all if that was said"),
    ("MD-4", "nothing of a datacenter shows up in another"),
    ("MD-5", "the WAN pool has servers only, and routes are back soon after a heal"),
    ("MD-6", "the list of datacenters is whole and waits for nobody"),
    ("KV-2", "what was acknowledged is there, also over crashes"),
    ("BQ-2", "an index is not zero and does not go back"),
    ("BQ-4", "nobody waits for ever"),
    ("CH-2", "whoever asks for instances that are well gets those, over HTTP and DNS"),
    ("LV-1", "once all is well, every datacenter leads"),
    ("LV-2", "once all is well, every datacenter takes writes and reaches every other"),
    ("LV-3", "a crowd that comes at once is answered"),
    ("panic", "no assertion of the program itself fails"),
];

/// What came of them so far. A clone counts for the same run.
#[derive(Clone, Debug, Default)]
pub struct Verdicts(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    now: Duration,
    counts: BTreeMap<&'static str, u64>,
    broken: Vec<Violation>,
}

/// What did not hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// The name of the invariant.
    pub id: &'static str,
    /// When it was noticed.
    pub at: Duration,
    /// What was seen.
    pub text: String,
}

impl Verdicts {
    /// Look at `id` once more. `text` says what was seen, if it does not hold.
    pub fn check(&self, id: &'static str, holds: bool, text: impl FnOnce() -> String) {
        debug_assert!(INVARIANTS.iter().any(|it| it.0 == id), "{id} is not in the list");
        let mut state = self.0.borrow_mut();
        *state.counts.entry(id).or_default() += 1;
        if !holds {
            let at = turmoil::sim_elapsed().unwrap_or(state.now);
            state.broken.push(Violation { id, at, text: text() });
        }
    }

    /// The time, for what is looked at from outside.
    pub(super) fn at(&self, now: Duration) {
        self.0.borrow_mut().now = now;
    }

    /// Whether anything did not hold.
    pub fn are_broken(&self) -> bool {
        !self.0.borrow().broken.is_empty()
    }

    /// What did not hold, in the order in which it was noticed.
    pub fn violations(&self) -> Vec<Violation> {
        self.0.borrow().broken.clone()
    }

    /// How often `id` was looked at.
    pub fn count(&self, id: &str) -> u64 {
        self.0.borrow().counts.get(id).copied().unwrap_or_default()
    }

    /// How often anything was looked at.
    pub fn sum(&self) -> u64 {
        self.0.borrow().counts.values().sum()
    }

    /// All of it as a table for people.
    pub fn table(&self) -> String {
        let mut text =
            format!("{:<6} {:>8}  {:<9} {}\n", "", "checked", "verdict", "what must hold");
        for (id, what) in INVARIANTS {
            let broken = self.0.borrow().broken.iter().any(|it| it.id == *id);
            let count = self.count(id);
            let verdict = match count {
                _ if broken => "VIOLATED",
                0 => "-",
                _ => "holds",
            };
            let _ = writeln!(text, "{id:<6} {count:>8}  {verdict:<9} {what}");
        }
        text
    }
}

#[test]
fn a_verdict_says_how_often_and_what() {
    let verdicts = Verdicts::default();
    verdicts.check("MD-1", true, || unreachable!("it holds"));
    verdicts.check("MD-1", true, || unreachable!("it holds"));
    assert!(!verdicts.are_broken());
    verdicts.at(Duration::from_secs(3));
    verdicts.check("MD-6", false, || "dc2 is missing".into());
    let table = verdicts.table();
    assert!(table.contains("MD-1          2  holds"), "{table}");
    assert!(table.contains("MD-6          1  VIOLATED"), "{table}");
    assert!(table.contains("MD-5          0  -"), "{table}");
    assert_eq!(verdicts.violations()[0].at, Duration::from_secs(3));
}
