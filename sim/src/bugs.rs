//! The score: each bug of the catalogue is planted alone, and the swarm goes looking for it. A
//! harness counts as one when it has caught what was put there on purpose.
//!
//! Bugs of the log's bytes, and of its files, are not in the simulated world, whose logs are lists.
//! The tests that know these bytes look for them, and say what they have found in lines of their
//! own: [`elsewhere`] runs them and reads that.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use tribune_base::bug::{Bug, Standing};
use tribune_base::time::Duration;

use crate::plan::Plan;
use crate::swarm::thread_time;
use crate::turmoil::tap::Tap;
use crate::turmoil::wan::{Size, Story};
use crate::world;

pub use tribune_base::bug::PLANTABLE;

/// How soon a bug was noticed.
#[derive(Clone, Debug)]
pub struct Score {
    /// Which.
    pub bug: Bug,
    /// Who noticed it. `None`, if nobody did.
    pub found: Option<Found>,
    /// How long that took on one processor, where that was measured: a single test takes nothing.
    pub cpu: Option<Duration>,
}

/// Who noticed a bug.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Where: the world, or the package whose tests did.
    pub place: &'static str,
    /// By what: an invariant, or the name of a test.
    pub by: String,
    /// The first seed that did, where there are seeds.
    pub seed: Option<u64>,
}

/// The bugs to look for in the simulated world, or those of them that are named.
pub fn wanted(only: Option<&str>) -> Vec<Bug> {
    let named = |bug: &Bug| only.is_none_or(|it| it.split(',').any(|it| it == bug.id()));
    let planted = |bug: &Bug| bug.standing() == Standing::Planted;
    // Here a log is a list; nobody gossips about anybody whom a bug of gossip could hurt; and some bugs
    // of datacenters only the tests of core can see.
    let here = |bug: &Bug| match bug.id().as_bytes()[0] {
        b'W' | b'G' => false,
        b'D' => !stories(*bug).is_empty(),
        _ => true,
    };
    Bug::ALL.iter().copied().filter(|it| planted(it) && here(it) && named(it)).collect()
}

/// Look for each of these bugs, for no longer than `budget` each. `progress` is told of each.
pub fn score(bugs: &[Bug], budget: Duration, progress: impl Fn(&Score)) -> Vec<Score> {
    let next = AtomicUsize::new(0);
    let (sender, results) = mpsc::channel();
    let threads = thread::available_parallelism().map_or(1, Into::into);
    let mut scores = Vec::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(hunt(*bug, budget)).is_err() {
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

/// Run one seed after the other with a bug planted, until one notices or the time is up.
pub fn hunt(bug: Bug, budget: Duration) -> Score {
    let start = thread_time();
    let spent = || thread_time().saturating_sub(start);
    let found = (0..).take_while(|_| spent() < budget).find_map(|seed| {
        if let stories @ [_, ..] = stories(bug) {
            return stories.iter().find_map(|story| hunt_between(bug, story, seed));
        }
        let plan = Plan::new(seed);
        let violation = with(bug, || world::run(&plan, false).violation)?;
        Some(Found { place: HERE, by: violation.id, seed: Some(seed) })
    });
    Score { bug, found, cpu: Some(spent()) }
}

/// Between datacenters.
fn hunt_between(bug: Bug, story: &str, seed: u64) -> Option<Found> {
    let (size, tap) = (Size { servers: 3, agents: 1 }, Tap::default());
    let run = || Some(Story::find(story)?.run(seed, size, &tap, &mut |_| {}));
    let violation = with(bug, run)?.verdicts.violations().into_iter().next()?;
    Some(Found { place: BETWEEN, by: format!("{}: {}", story, violation.id), seed: Some(seed) })
}

/// The stories in which a bug of datacenters is looked for.
fn stories(bug: Bug) -> &'static [&'static str] {
    match bug.id() {
        "D01" => &["wan-calm"],
        "D03" => &["wan-cut", "dark"],
        "D04" => &["flapping", "wan-asymmetric", "worst-day"],
        _ => &[],
    }
}

#[cfg(feature = "planted-bugs")]
fn with<T>(bug: Bug, run: impl FnOnce() -> T) -> T {
    tribune_base::bug::with(bug, run)
}

#[cfg(not(feature = "planted-bugs"))]
fn with<T>(_: Bug, run: impl FnOnce() -> T) -> T {
    run()
}

/// Have the tests of other packages look for the bugs that they know. `progress` is told of each
/// package.
///
/// # Errors
///
/// There is no cargo, or no such package where this program was started.
pub fn elsewhere(progress: impl Fn(&str)) -> io::Result<Vec<Score>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut scores = Vec::new();
    for &place in PACKAGES {
        progress(place);
        let test = ["test", "--profile", "sim", "-p", place, "--features", "planted-bugs"];
        let shown = ["planted_bugs_are_caught", "--", "--nocapture", "--test-threads=1"];
        let output = Command::new(&cargo).args(test).args(shown).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        scores.extend(text.lines().filter_map(|it| read(place, it)));
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("the tests of {place} fail: {text}")));
        }
    }
    Ok(scores)
}

/// Read what a test says of a bug: `planted W01 | crash states 17 | 0.25`.
fn read(place: &'static str, line: &str) -> Option<Score> {
    // The test's name may be in front of it.
    let (_, line) = line.split_once("planted ")?;
    let mut parts = line.split(" | ");
    let (id, said, seconds) = (parts.next()?, parts.next()?.trim(), parts.next());
    let bug = Bug::ALL.iter().copied().find(|it| it.id() == id)?;
    let (by, seed) = match said.rsplit_once(' ') {
        Some((by, seed)) if seed.parse::<u64>().is_ok() => (by, seed.parse().ok()),
        _ => (said, None),
    };
    let cpu = seconds.and_then(|it| Duration::try_from_secs_f64(it.trim().parse().ok()?).ok());
    Some(Score { bug, found: Some(Found { place, by: by.to_owned(), seed }), cpu })
}

/// One score for each bug, and what else has noticed it: the world counts first, because there
/// nobody knew what to look for.
pub fn merge(here: Vec<Score>, elsewhere: Vec<Score>) -> BTreeMap<Bug, Vec<Score>> {
    let mut all: BTreeMap<Bug, Vec<Score>> = BTreeMap::new();
    for score in here.into_iter().chain(elsewhere) {
        all.entry(score.bug).or_default().push(score);
    }
    for scores in all.values_mut() {
        scores.sort_by_key(|it| it.found.is_none());
    }
    all
}

/// The scores as a table for people.
pub fn table(scores: &BTreeMap<Bug, Vec<Score>>) -> String {
    let mut text =
        "| Bug | What is wrong | Noticed by | Seed | CPU-seconds | Also by |\n".to_owned();
    text.push_str("| --- | --- | --- | ---: | ---: | --- |\n");
    for (bug, scores) in scores {
        let mut all = scores.iter();
        let Some(Score { found, cpu, .. }) = all.next() else { continue };
        let (by, seed) = match found {
            Some(Found { place, by, seed }) => {
                let seed = seed.map_or_else(String::new, |it| it.to_string());
                (if *place == HERE { by.clone() } else { format!("{by} (`{place}`)") }, seed)
            }
            None => ("**nobody**".to_owned(), String::new()),
        };
        let also: Vec<_> = all.filter_map(|it| Some(it.found.as_ref()?.place)).collect();
        let also = also.first().map_or_else(String::new, |it| format!("`{it}`"));
        let (id, title) = (bug.id(), bug.title());
        let cpu = cpu.map_or_else(String::new, |it| format!("{:.2}", it.as_secs_f64()));
        let _ = writeln!(text, "| {id} | {title} | {by} | {seed} | {cpu} | {also} |");
    }
    let first: Vec<_> = scores.values().filter_map(|it| it.first()).collect();
    let found = first.iter().filter(|it| it.found.is_some());
    let mut times: Vec<_> = found.map(|it| it.cpu.unwrap_or_default().as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let (count, all) = (times.len(), first.len());
    let median = times.get(count / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    let _ = writeln!(text, "\n{count} of {all}; median {median:.2} s, worst {worst:.2} s.");
    text
}

/// The rest of the catalogue, and why it is not planted, as a table for people.
pub fn unplanted() -> String {
    let mut text = "| Bug | What would be wrong | Why not |\n| --- | --- | --- |\n".to_owned();
    for bug in Bug::ALL {
        let why = match bug.standing() {
            Standing::Planted => continue,
            Standing::Equivalent(why) => why.to_owned(),
            Standing::NotYet(what) => format!("not yet: {what}"),
        };
        let _ = writeln!(text, "| {} | {} | {why} |", bug.id(), bug.title());
    }
    text
}

/// `document` with `text` between the lines that stand for it.
pub fn insert(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, cpu) = (self.bug.id(), self.cpu.unwrap_or_default().as_secs_f64());
        match &self.found {
            Some(Found { by, seed: Some(seed), .. }) => {
                write!(f, "{id:7} {by} at seed {seed}, {cpu:.2} s")
            }
            Some(Found { by, .. }) => write!(f, "{id:7} {by}, {cpu:.2} s"),
            None => write!(f, "{id:7} not noticed, {cpu:.2} s"),
        }
    }
}

/// The simulated world.
const HERE: &str = "world";

/// The simulated world of several datacenters.
const BETWEEN: &str = "datacenters";

/// Whose tests look for planted bugs, too.
const PACKAGES: &[&str] = &["tribune-wal", "tribune-io", "tribune-raft", "tribune-state"];

/// Where tables go in a document.
const BEGIN: &str = "<!-- sim bugs -->";
const END: &str = "<!-- end of sim bugs -->";

#[test]
fn what_tests_say_is_read() {
    let millis = |it: Duration| it.as_millis();
    let said = |it| read("tribune-wal", it).map(|it| (it.bug, it.found, it.cpu.map(millis)));
    let found = |by: &str, seed| Some(Found { place: "tribune-wal", by: by.to_owned(), seed });
    let line = "test tests::planted_bugs_are_caught ... planted W01 | crash states 17 | 0.25";
    assert_eq!(said(line), Some((Bug::W01, found("crash states", Some(17)), Some(250))));
    let line = "planted W07 | rot in the middle";
    assert_eq!(said(line), Some((Bug::W07, found("rot in the middle", None), None)));
    assert_eq!(said("planted X99 | what | 1"), None);
    assert_eq!(said("running 3 tests"), None);
}

#[test]
fn a_table_replaces_the_last_one() {
    let document = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
    let new = insert(&document, "new").expect("there is room for it");
    assert_eq!(new, format!("above\n{BEGIN}\n\nnew\n{END}\nbelow\n"));
    assert_eq!(insert(&new, "new"), Some(new));
    assert_eq!(insert("nothing", "new"), None);
}
