//! What operators are told about peers: everything once, and again now and then.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::Instant;
use tribune_base::time::Duration;

/// Remembers what was said, so that a peer that tries again ten times a second does not fill the
/// log.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<BTreeMap<String, Instant>>);

impl Complaints {
    /// Whether it is time to say something about `subject`.
    pub(super) fn is_due(&self, subject: &str) -> bool {
        let now = Instant::now();
        let mut said = self.0.lock().expect("nobody panics while holding it");
        if said.get(subject).is_some_and(|it| now.duration_since(*it) < INTERVAL) {
            return false;
        }
        // Subjects come from outside: whoever makes up many of them is not remembered.
        if SUBJECTS_MAX <= said.len() {
            said.retain(|_, at| now.duration_since(*at) < INTERVAL);
        }
        if SUBJECTS_MAX <= said.len() {
            return false;
        }
        said.insert(subject.to_owned(), now);
        true
    }
}

/// How long a subject rests.
const INTERVAL: Duration = Duration::from_secs(30);

/// How many subjects are remembered. More go unsaid.
const SUBJECTS_MAX: usize = 256;

#[test]
fn nothing_is_said_twice_in_a_row() {
    let complaints = Complaints::default();
    assert!(complaints.is_due("a"));
    assert!(!complaints.is_due("a"));
    assert!(complaints.is_due("b"));
    let many = (0..SUBJECTS_MAX * 2).filter(|it| complaints.is_due(&it.to_string()));
    assert_eq!(many.count(), SUBJECTS_MAX - 2);
}
