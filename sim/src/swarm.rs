//! Many seeds, on as many threads as there are processors; and what they came to.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use tribune_base::time::Duration;

use crate::linearize::{self, Verdict};
use crate::oracle::Violation;
use crate::plan::Plan;
use crate::world::{self, Outcome};

/// Which seeds to run.
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// The first.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// How many servers, if the seed is not to decide.
    pub servers: Option<usize>,
    /// How many client agents, if the seed is not to decide.
    pub agents: Option<usize>,
    /// On how many threads.
    pub threads: usize,
    /// Stop after so many failures.
    pub failures_max: usize,
    /// Begin no more after so long.
    pub longest: Option<Duration>,
}

/// What a swarm came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that failed, and how.
    pub failures: Vec<(u64, Violation)>,
    /// Simulated time.
    pub simulated: Duration,
    /// Time on the clock on the wall.
    pub elapsed: Duration,
    /// Time on processors.
    pub cpu: Duration,
    /// Events.
    pub events: u64,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Reads that were answered.
    pub read: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Crashes.
    pub crashes: u64,
    /// Histories that the search looked at, and those it gave up on.
    pub searched: (u64, u64),
    /// How long each cluster took to have a leader once everything was put right, in order.
    pub recoveries: Vec<Duration>,
}

/// Run `play` with each of so many seeds from the first on, on so many threads, and hand what comes of
/// each to `take`, in the order they are done. No more begin when that says that it is enough.
pub(crate) fn each_seed<T: Send>(
    (first, seeds): (u64, u64),
    threads: usize,
    play: impl Fn(u64) -> T + Sync,
    mut take: impl FnMut(u64, T) -> bool,
) {
    let (next, stop, play) = (AtomicU64::new(0), AtomicBool::new(false), &play);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (sender, next, stop) = (sender.clone(), &next, &stop);
            scope.spawn(move || {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if seeds <= n || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let seed = first + n;
                    if sender.send((seed, play(seed))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (seed, result) in results {
            stop.fetch_or(take(seed, result), Ordering::Relaxed);
        }
    });
}

impl Swarm {
    /// Run them all. `progress` is told how many are done.
    pub fn run(&self, progress: impl Fn(u64)) -> Summary {
        let (start, cpu) = (Instant::now(), cpu_time());
        let mut summary = Summary::default();
        let take = |seed, (outcome, searched)| {
            summary.add(seed, outcome, searched);
            progress(summary.seeds);
            let late = self.longest.is_some_and(|it| it <= start.elapsed());
            late || self.failures_max <= summary.failures.len()
        };
        each_seed((self.first, self.seeds), self.threads, |seed| self.play(seed), take);
        summary.failures.sort_by_key(|(seed, _)| *seed);
        summary.recoveries.sort();
        summary.elapsed = start.elapsed();
        summary.cpu = cpu_time().saturating_sub(cpu);
        summary
    }

    fn play(&self, seed: u64) -> (Outcome, (u64, u64)) {
        let plan = Plan::of(seed, self.servers, self.agents);
        let mut outcome = world::run(&plan, false);
        let mut searched = (0, 0);
        // The search is for samples: the oracle of keys sees every run.
        if outcome.violation.is_none() && seed.is_multiple_of(SAMPLE) {
            searched = search(&plan, &mut outcome);
        }
        (outcome, searched)
    }
}

/// Have the search judge what clients saw. Returns how many histories it looked at, and how many it
/// gave up on.
pub fn search(plan: &Plan, outcome: &mut Outcome) -> (u64, u64) {
    let mut searched = (0, 0);
    let histories = linearize::histories(&outcome.history, !plan.knobs.beyond_drift);
    for (key, history) in histories {
        if OPERATIONS_MAX < history.len() {
            continue;
        }
        searched.0 += 1;
        match linearize::check(&history, STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::TooHard => searched.1 += 1,
            Verdict::Impossible => {
                let at = history.iter().filter_map(|it| it.returned).max().unwrap_or_default();
                let text = format!("no order explains what clients saw of {key:?}");
                outcome.violation.get_or_insert_with(|| Violation { id: "KV-1".into(), at, text });
            }
        }
    }
    searched
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: Outcome, searched: (u64, u64)) {
        self.seeds += 1;
        self.failures.extend(outcome.violation.map(|it| (seed, it)));
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.acknowledged += outcome.acknowledged;
        self.read += outcome.read;
        self.committed += outcome.committed;
        self.crashes += outcome.crashes;
        self.searched = (self.searched.0 + searched.0, self.searched.1 + searched.1);
        let liveness = outcome.liveness;
        if let (Some(healed), Some(led)) = (liveness.healed, liveness.led) {
            self.recoveries.push(led.since(healed));
        }
    }

    /// Simulated hours of a whole cluster, for each minute of one processor.
    pub fn cluster_hours_per_minute(&self) -> f64 {
        self.simulated.as_secs_f64() / 60.0 / self.cpu.as_secs_f64().max(1e-9)
    }

    /// How long all but one in a hundred clusters took to have a leader again.
    pub fn recovery(&self) -> Duration {
        let at = self.recoveries.len() * 99 / 100;
        self.recoveries.get(at).copied().unwrap_or_default()
    }
}

/// What this process has used of all processors so far.
pub fn cpu_time() -> Duration {
    // Fields 14 and 15 of `proc(5)`, in hundredths of a second; after the name, which may hold spaces.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, it)| it).split(' ');
    let ticks: u64 = fields.skip(12).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// What this thread has used of a processor so far.
pub fn thread_time() -> Duration {
    // The first field, in nanoseconds: what the scheduler says of a task.
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|it| it.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// One seed in so many has its histories searched.
const SAMPLE: u64 = 8;

/// The longest history that is searched, and for how long.
const OPERATIONS_MAX: usize = 150;
const STEPS_MAX: u64 = 200_000;
