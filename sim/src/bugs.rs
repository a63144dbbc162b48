//! The score: each bug of the catalogue is planted alone, and the swarm goes looking for it. A
//! harness counts as one when it has caught what was put there on purpose.

use std::fmt;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use tribune_base::bug::{Bug, Standing};
use tribune_base::time::Duration;

use crate::oracle::Violation;
use crate::plan::Plan;
use crate::swarm::thread_time;
use crate::world;

pub use tribune_base::bug::PLANTABLE;

/// How soon a bug was noticed.
#[derive(Clone, Debug)]
pub struct Score {
    /// Which.
    pub bug: Bug,
    /// The first seed that noticed it, and how. `None`, if none did.
    pub found: Option<(u64, Violation)>,
    /// How long that took on one processor.
    pub cpu: Duration,
}

/// The bugs to look for: those that are planted and that this world can show, or those of them that
/// are named.
pub fn wanted(only: Option<&str>) -> Vec<Bug> {
    let named = |bug: &Bug| only.is_none_or(|it| it.split(',').any(|it| it == bug.id()));
    let ours = |bug: &Bug| {
        bug.standing() == Standing::Planted && !ELSEWHERE.iter().any(|(it, _)| it == bug)
    };
    // The log's bytes are tried out by the crash states of `tribune-wal`: here a log is a list.
    // And there is no gossip in it.
    let here = |bug: &Bug| !bug.id().starts_with(['W', 'G']);
    Bug::ALL.iter().copied().filter(|it| ours(it) && here(it) && named(it)).collect()
}

/// Bugs that no run of this world can show, and where they are shown.
pub const ELSEWHERE: &[(Bug, &str)] = &[];

/// Look for each of these bugs. `progress` is told of each.
pub fn score(bugs: &[Bug], seeds_max: u64, progress: impl Fn(&Score)) -> Vec<Score> {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let mut scores = Vec::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(hunt(*bug, seeds_max)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for score in results {
            progress(&score);
            scores.push(score);
        }
    });
    scores.sort_by_key(|it| it.bug);
    scores
}

/// Run one seed after the other with a bug planted, until one notices.
pub fn hunt(bug: Bug, seeds_max: u64) -> Score {
    let start = thread_time();
    let mut seeds = 0..seeds_max;
    let found = seeds.find_map(|seed| {
        let plan = Plan::new(seed);
        let violation = with(bug, || world::run(&plan, false).violation);
        violation.map(|it| (seed, it))
    });
    Score { bug, found, cpu: thread_time().saturating_sub(start) }
}

#[cfg(feature = "planted-bugs")]
fn with<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
    tribune_base::bug::with(bug, run)
}

#[cfg(not(feature = "planted-bugs"))]
fn with<T>(_: Bug, run: impl FnOnce() -> T) -> T {
    run()
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, cpu) = (self.bug.id(), self.cpu.as_secs_f64());
        match &self.found {
            Some((seed, it)) => write!(f, "{id:7} {} at seed {seed}, {cpu:.2} s", it.id),
            None => write!(f, "{id:7} not noticed, {cpu:.2} s"),
        }
    }
}

/// The scores as a table for people.
pub fn table(scores: &[Score]) -> String {
    let mut text = "| Bug | What is wrong | Noticed by | Seed | CPU-seconds |\n".to_owned();
    text.push_str("| --- | --- | --- | ---: | ---: |\n");
    for Score { bug, found, cpu } in scores {
        let (by, seed) = match found {
            Some((seed, it)) => (it.id.as_str(), seed.to_string()),
            None => ("**nobody**", String::new()),
        };
        let (id, title) = (bug.id(), bug.title());
        let _ = writeln!(text, "| {id} | {title} | {by} | {seed} | {:.2} |", cpu.as_secs_f64());
    }
    let found = scores.iter().filter(|it| it.found.is_some());
    let mut times: Vec<_> = found.map(|it| it.cpu.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let (count, median) = (times.len(), times.get(times.len() / 2).copied().unwrap_or_default());
    let worst = times.last().copied().unwrap_or_default();
    let all = scores.len();
    let _ = writeln!(text, "\n{count} of {all}; median {median:.2} s, worst {worst:.2} s.");
    text
}
