//! All stories of level B by name, whatever they are about, and many seeds of one.

use std::panic;
use std::time::Instant;

use tribune_base::time::Duration;

use super::cluster::{SCENARIOS, Scenario};
use super::tap::Tap;
use super::wan::{Progress, Run, STORIES, Size, Story};
use super::{datacenter, scenario};
use crate::swarm::each_seed;

/// What a run of any story came to.
#[derive(Debug)]
pub struct Told {
    /// Two runs of one seed agree on this.
    pub hash: u64,
    /// What happened, a line for each event, unless that was told while it ran.
    pub lines: Vec<String>,
    /// What did not hold: the name of the invariant, and what was seen.
    pub violations: Vec<(String, String)>,
    /// Simulated time.
    pub elapsed: Duration,
    /// More about it, if it is about datacenters.
    pub run: Option<Run>,
}

/// The names of all stories, and what each is about.
pub fn all() -> Vec<(&'static str, String)> {
    let single = [
        ("crash", "a server loses power again and again".to_owned()),
        (
            DATACENTER,
            "three servers and five client agents: kills, cuts, checks that fail".to_owned(),
        ),
    ];
    let clusters = SCENARIOS.iter().map(|it| {
        let kinds: Vec<_> = it.kinds.iter().map(|it| format!("{it:?}").to_lowercase()).collect();
        let what = if kinds.is_empty() { "nothing happens".to_owned() } else { kinds.join(", ") };
        (it.name, format!("{} servers: {what}", it.servers))
    });
    let worlds = STORIES.iter().map(|it| (it.name, it.what.to_owned()));
    single.into_iter().chain(clusters).chain(worlds).collect()
}

/// Run a seed of the story of this name. Stories about datacenters are as large as `size` says, and
/// tell `progress` what happens, and `tap` who tells whom.
pub fn run(
    name: &str,
    seed: u64,
    size: Size,
    tap: &Tap,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Told {
    if let Some(story) = Story::find(name) {
        let run = story.run(seed, size, tap, progress);
        let violations = run.verdicts.violations().into_iter();
        let at = |it: Duration| it.as_secs_f64();
        let violations =
            violations.map(|it| (it.id.to_owned(), format!("at {:.3} s: {}", at(it.at), it.text)));
        return Told {
            hash: run.journal.hash(),
            lines: Vec::new(),
            violations: violations.collect(),
            elapsed: run.elapsed,
            run: Some(run),
        };
    }
    let outcome = panic::catch_unwind(|| match Scenario::find(name) {
        Some(scenario) => scenario.run(seed),
        None if name == DATACENTER => datacenter::run(seed),
        None => scenario::crash_restart(seed),
    });
    match outcome {
        Ok(scenario::Outcome { hash, lines, elapsed, .. }) => {
            Told { hash, lines, violations: Vec::new(), elapsed, run: None }
        }
        Err(panicked) => {
            let text = panicked.downcast_ref::<String>().cloned();
            let violations = vec![("panic".to_owned(), text.unwrap_or_default())];
            Told { hash: 0, lines: Vec::new(), violations, elapsed: Duration::ZERO, run: None }
        }
    }
}

/// Which seeds of a story to run.
#[derive(Clone, Copy, Debug)]
pub struct Swarm<'a> {
    /// Its name.
    pub story: &'a str,
    /// The first.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// How large a datacenter is, where there are several.
    pub size: Size,
    /// On how many threads.
    pub threads: usize,
    /// Begin no more after so long.
    pub longest: Option<Duration>,
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many were run.
    pub seeds: u64,
    /// Those that failed: what did not hold first, and what was seen.
    pub failures: Vec<(u64, String, String)>,
    /// Simulated time, in all.
    pub simulated: Duration,
    /// Time on the clock on the wall.
    pub elapsed: Duration,
    /// How often anything was looked at.
    pub checked: u64,
}

impl Swarm<'_> {
    fn tell(&self, seed: u64) -> Told {
        run(self.story, seed, self.size, &Tap::default(), &mut |_| {})
    }

    /// Run them all, those that fail included. `progress` is told how many are done.
    pub fn run(&self, progress: impl Fn(u64)) -> Summary {
        let (start, mut summary) = (Instant::now(), Summary::default());
        // What happened stays with whoever ran it.
        let play = |seed| {
            let told = self.tell(seed);
            let checked = told.run.as_ref().map_or(1, |it| it.verdicts.sum());
            (told.elapsed, checked, told.violations.into_iter().next())
        };
        let take = |seed, (elapsed, checked, violation): (_, _, Option<_>)| {
            summary.seeds += 1;
            summary.simulated += elapsed;
            summary.checked += checked;
            summary.failures.extend(violation.map(|(id, text)| (seed, id, text)));
            progress(summary.seeds);
            self.longest.is_some_and(|it| it <= start.elapsed())
        };
        each_seed((self.first, self.seeds), self.threads, play, take);
        summary.failures.sort();
        summary.elapsed = start.elapsed();
        summary
    }
}

/// The story about servers and client agents.
const DATACENTER: &str = "datacenter";

#[test]
fn every_story_has_a_name_of_its_own_and_a_line() {
    let all = all();
    let names: std::collections::BTreeSet<_> = all.iter().map(|it| it.0).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|(_, what)| !what.is_empty() && !what.contains('\n')));
}
