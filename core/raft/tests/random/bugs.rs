//! The worlds of this test find the mistakes that they are there for.
//!
//! `cargo test -p tribune-raft --features planted-bugs --test random bugs -- --nocapture` prints
//! which seed finds what. `RAFT_BUG=R01,R02` looks at these only.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::{env, thread};

use tribune_base::bug::{self, Bug, Standing};

use crate::world::Faults;
use crate::{hearsay, isolation, late_answer, refusal, run, stale_log, twins};

/// Its name, and what it does with a seed.
type Scenario = (&'static str, fn(u64));

const SCENARIOS: &[Scenario] = &[
    ("swarm", |seed| run(seed, Faults::swarm(seed))),
    ("steady group", |seed| run(seed, Faults { changes: false, ..Faults::swarm(seed) })),
    ("contested", |seed| run(seed, Faults::contested())),
    ("handovers", |seed| run(seed, Faults::handovers())),
    ("sleepers", |seed| run(seed, Faults::sleepers())),
    ("isolation", isolation),
    ("twins", twins),
    ("late answer", |_| late_answer()),
    ("stale log", |_| stale_log()),
    ("refusal", |_| refusal()),
    ("hearsay", |_| hearsay()),
];

/// Bugs of elections, the log, membership and snapshots that these worlds cannot show.
const ELSEWHERE: &[(Bug, &str)] = &[
    (Bug::R39, "the clocks of these worlds all run at one rate"),
    (Bug::S07, "the state here is a list: see `tribune-state`"),
];

const SEEDS_MAX: u64 = 100;

#[test]
#[allow(clippy::print_stdout, reason = "the table is what a long run is for")]
fn planted_bugs_are_caught() {
    panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for (bug, found) in hunt_all() {
        if let Some(found) = found {
            let Found { scenario, seed, said, cpu } = found;
            println!("planted {} | {scenario} {seed} | {cpu:.3}", bug.id());
            println!("    {}: {said}", bug.title());
        } else {
            println!("{:7} was not noticed", bug.id());
            missed.push(bug.id());
        }
    }
    drop(panic::take_hook());
    assert!(missed.is_empty(), "nobody noticed: {missed:?}");
}

/// One after the other on each processor: what is planted is planted in one thread.
fn hunt_all() -> Vec<(Bug, Option<Found>)> {
    let bugs: Vec<_> = Bug::ALL.iter().copied().filter(|it| is_ours(*it)).collect();
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let (next, (sender, results)) = (AtomicUsize::new(0), mpsc::channel());
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, bugs) = (sender.clone(), &next, &bugs);
            scope.spawn(move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    sender.send((*bug, hunt(*bug))).expect("the test waits for all");
                }
            });
        }
    });
    drop(sender);
    results.into_iter().collect()
}

fn is_ours(bug: Bug) -> bool {
    let chosen = env::var("RAFT_BUG").ok();
    let chosen = chosen.is_none_or(|it| it.split(',').any(|it| it == bug.id()));
    let here = bug.id().starts_with(['R', 'M', 'S']) && !ELSEWHERE.iter().any(|it| it.0 == bug);
    chosen && here && bug.standing() == Standing::Planted
}

/// The first run that fails with `bug`, and how.
fn hunt(bug: Bug) -> Option<Found> {
    let start = thread_time();
    for seed in crate::seeds(SEEDS_MAX) {
        for (scenario, run) in SCENARIOS {
            let failed = panic::catch_unwind(AssertUnwindSafe(|| bug::with(bug, || run(seed))));
            let Err(payload) = failed else { continue };
            let said = payload.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| payload.downcast_ref::<&str>().copied());
            let said = said.unwrap_or_default().lines().next().unwrap_or_default().to_owned();
            return Some(Found { seed, scenario, said, cpu: thread_time() - start });
        }
    }
    None
}

struct Found {
    seed: u64,
    scenario: &'static str,
    said: String,
    /// Seconds of one processor.
    cpu: f64,
}

/// What this thread has used, in seconds, where the system says so.
fn thread_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|it| it.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
