//! Runs simulations: `sim run --seed 17` tells what happened, `sim run --scenario wan-cut --seed 42`
//! what happens to several datacenters, `sim list` which scenarios there are, `sim swarm --seeds 1000`
//! looks for trouble, `sim shrink --seed 17` makes it small, `sim replay FILE` plays what is left, and
//! `sim meta` runs seeds in two processes and compares them.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to people.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tribune_base::time::Duration;
use tribune_sim::bugs;
use tribune_sim::chart;
use tribune_sim::plan::Plan;
use tribune_sim::pool;
use tribune_sim::pool::measure::{self, Setting};
use tribune_sim::shrink::{self, Cutting};
use tribune_sim::swarm::{Summary, Swarm, cpu_time, thread_time};
use tribune_sim::turmoil::stories;
use tribune_sim::turmoil::tap::Tap;
use tribune_sim::turmoil::wan::{self, Progress};
use tribune_sim::world::{self, Outcome};

/// A simulated world: one seed decides everything.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Say which scenarios there are.
    List,
    /// Run one seed, and print what happened.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Print the hash only.
        #[arg(long)]
        hash: bool,
        #[command(flatten)]
        size: Size,
        /// Print the last lines only, so many.
        #[arg(long)]
        tail: Option<usize>,
        /// Draw it, into this file.
        #[arg(long)]
        html: Option<PathBuf>,
        /// Tell of every request, too: of scenarios that print what happens while it does.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        level: LevelArgument,
    },
    /// Run many seeds.
    Swarm {
        /// How many: a thousand, unless it is said for how long.
        #[arg(long)]
        seeds: Option<u64>,
        /// For how long: then no more are begun.
        #[arg(long)]
        minutes: Option<u64>,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        first: u64,
        #[command(flatten)]
        size: Size,
        /// On how many threads; on all there are, if it is not said.
        #[arg(long)]
        threads: Option<usize>,
        #[command(flatten)]
        level: LevelArgument,
    },
    /// Find the smallest plan that breaks the same invariant as a seed does.
    Shrink {
        /// The seed.
        #[arg(long)]
        seed: u64,
        #[command(flatten)]
        size: Size,
        /// How many runs it may take.
        #[arg(long, default_value_t = 1_000)]
        runs: u32,
        /// Where to write it, for `sim replay`.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Play what `sim shrink` has written.
    Replay {
        /// The file.
        file: PathBuf,
        /// Print the last lines only, so many.
        #[arg(long)]
        tail: Option<usize>,
        /// Draw it, into this file.
        #[arg(long)]
        html: Option<PathBuf>,
    },
    /// Plant the bugs of the catalogue, one by one, and see how soon each is noticed.
    Bugs {
        /// These only, as in `R01,R02`.
        #[arg(long)]
        only: Option<String>,
        /// Give up on a bug after so many seconds of one processor.
        #[arg(long, default_value_t = 120)]
        budget: u64,
        /// Have the tests of other packages look for the bugs that they know, too.
        #[arg(long)]
        all: bool,
        /// Write the table into this file, where its place is.
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Measure pools of gossiping members: how soon they notice, how often they are wrong, and how
    /// loud they are.
    Gossip(GossipArguments),
    /// Run seeds in two processes each: they must agree on everything.
    Meta {
        /// How many.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
        /// Print what each seed comes to, to be compared with another machine or profile.
        #[arg(long)]
        print: bool,
    },
}

#[derive(clap::Args, Clone, Copy)]
struct Size {
    /// How many servers, if the seed is not to decide.
    #[arg(long)]
    servers: Option<usize>,
    /// How many client agents, if the seed is not to decide.
    #[arg(long)]
    agents: Option<usize>,
}

#[derive(clap::Args)]
struct GossipArguments {
    /// How many members; several, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    nodes: Vec<usize>,
    /// How many of a thousand packets are lost.
    #[arg(long, default_value_t = 0)]
    loss: u64,
    /// How many members stall again and again.
    #[arg(long, default_value_t = 0)]
    slow: usize,
    /// Members do not watch their own health.
    #[arg(long)]
    no_lifeguard: bool,
    /// How many seeds.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// How many members crash in each.
    #[arg(long, default_value_t = 3)]
    crashes: usize,
    /// For how many seconds nothing crashes before.
    #[arg(long, default_value_t = 60)]
    quiet: u64,
    /// Everything that the project's page shows: write it into this file, and a plot beside it.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Draw the faults of small pools from so many seeds instead, and look for violations.
    #[arg(long)]
    swarm: Option<u64>,
}

#[derive(clap::Args)]
struct LevelArgument {
    /// Which world: A, unless a scenario is named.
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Which scenario of level B: `sim list` has them.
    #[arg(long, value_parser = names())]
    scenario: Option<String>,
}

impl LevelArgument {
    /// The scenario to run, if it is one.
    fn story(&self) -> Option<&str> {
        let default = || matches!(self.level, Some(Level::B)).then_some("crash");
        self.scenario.as_deref().or_else(default)
    }
}

impl Size {
    /// How large each of several datacenters is.
    fn of_each(self) -> wan::Size {
        let default = wan::Size::default();
        wan::Size {
            servers: self.servers.unwrap_or(default.servers),
            agents: self.agents.unwrap_or(default.agents),
        }
    }
}

fn names() -> clap::builder::PossibleValuesParser {
    stories::all().into_iter().map(|it| it.0).collect::<Vec<_>>().into()
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    /// Clusters of pure nodes.
    A,
    /// The production shell under turmoil.
    B,
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::List => {
            for (name, what) in stories::all() {
                println!("{name:<15} {what}");
            }
            ExitCode::SUCCESS
        }
        What::Run { seed, hash, size, html, all, level, .. } if level.story().is_some() => {
            let story = level.story().unwrap_or_default();
            tell_story(story, seed, size, (hash, all), html)
        }
        What::Run { seed, hash, size, tail, html, .. } => {
            let outcome = world::run(&plan(seed, size), !hash);
            if hash {
                println!("{:016x}", outcome.hash);
                return ExitCode::SUCCESS;
            }
            tell(&outcome, tail, html, &format!("seed {seed}"))
        }
        What::Swarm { seeds, minutes, first, size, threads, level } => {
            let seeds =
                seeds.unwrap_or_else(|| if minutes.is_some() { u64::MAX - first } else { 1_000 });
            let longest = minutes.map(|it| Duration::from_secs(60 * it));
            let all = || thread::available_parallelism().map_or(1, Into::into);
            let threads = threads.unwrap_or_else(all);
            if let Some(story) = level.story() {
                let size = size.of_each();
                return swarm_of_shells(&stories::Swarm {
                    story,
                    first,
                    seeds,
                    size,
                    threads,
                    longest,
                });
            }
            let Size { servers, agents } = size;
            let failures_max = FAILURES_MAX;
            swarm(Swarm { first, seeds, servers, agents, threads, failures_max, longest })
        }
        What::Shrink { seed, size, runs, out } => shrink(&plan(seed, size), runs, out),
        What::Replay { file, tail, html } => replay(&file, tail, html),
        What::Bugs { only, budget, all, write } => {
            bugs(only.as_deref(), Duration::from_secs(budget), all, write)
        }
        What::Meta { seeds, print } => meta(seeds, print),
        What::Gossip(arguments) => gossip(&arguments),
    }
}

fn plan(seed: u64, size: Size) -> Plan {
    Plan::of(seed, size.servers, size.agents)
}

/// Say what happened.
fn tell(outcome: &Outcome, tail: Option<usize>, html: Option<PathBuf>, title: &str) -> ExitCode {
    if let Some(html) = html
        && let Err(error) = fs::write(&html, chart::draw(outcome, title))
    {
        eprintln!("{}: {error}", html.display());
        return ExitCode::FAILURE;
    }
    let lines = &outcome.lines;
    let from = lines.len().saturating_sub(tail.unwrap_or(usize::MAX));
    lines[from..].iter().for_each(|line| println!("{line}"));
    println!("{:016x}", outcome.hash);
    match &outcome.violation {
        None => ExitCode::SUCCESS,
        Some(it) => {
            eprintln!("{} at {}: {}", it.id, it.at, it.text);
            ExitCode::FAILURE
        }
    }
}

fn swarm(swarm: Swarm) -> ExitCode {
    let bar = bar(swarm.seeds);
    let summary = swarm.run(|done| bar.set_position(done));
    bar.finish_and_clear();
    print_summary(&summary);
    for (seed, it) in &summary.failures {
        eprintln!("seed {seed}: {} at {}: {}", it.id, it.at, it.text);
        eprintln!("    sim run --seed {seed}; sim shrink --seed {seed}");
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_summary(it: &Summary) {
    let cpu = it.cpu.as_secs_f64().max(1e-9);
    println!(
        "{} seeds, {} failed: {:.1} cluster-hours in {:.1} s, {:.1} CPU-seconds",
        it.seeds,
        it.failures.len(),
        it.simulated.as_secs_f64() / 3_600.0,
        it.elapsed.as_secs_f64(),
        cpu,
    );
    println!(
        "{:.1} cluster-hours per CPU-minute, {:.0} events per CPU-second, {} crashes, {} entries \
         committed, {} writes acknowledged, {} reads answered",
        it.cluster_hours_per_minute(),
        it.events as f64 / cpu,
        it.crashes,
        it.committed,
        it.acknowledged,
        it.read,
    );
    println!(
        "{} histories searched, {} given up; a leader within {:.2?} of healing in 99 of 100 runs",
        it.searched.0,
        it.searched.1,
        it.recovery(),
    );
}

/// Run a scenario, and say what happens while it does.
fn tell_story(
    story: &str,
    seed: u64,
    size: Size,
    (hash, all): (bool, bool),
    html: Option<PathBuf>,
) -> ExitCode {
    let (start, cpu, bar) = (Instant::now(), thread_time(), bar(1));
    let mut progress = |it: Progress<'_>| {
        bar.set_length(it.expected.as_secs().max(it.elapsed.as_secs()));
        bar.set_position(it.elapsed.as_secs());
        let told = it.events.iter().filter(|it| !hash && (all || it.is_news()));
        told.for_each(|it| bar.suspend(|| println!("{it}")));
    };
    let tap = if html.is_some() { Tap::open() } else { Tap::default() };
    let told = stories::run(story, seed, size.of_each(), &tap, &mut progress);
    bar.finish_and_clear();
    if hash {
        println!("{:016x}", told.hash);
        return ExitCode::SUCCESS;
    }
    told.lines.iter().for_each(|line| println!("{line}"));
    if let Some(run) = &told.run {
        let (simulated, real) = (told.elapsed.as_secs_f64(), start.elapsed().as_secs_f64());
        println!("\n{}", run.verdicts.table());
        println!(
            "{simulated:.0} simulated seconds in {real:.1}, {:.1} a CPU-second; {} writes acknowledged",
            simulated / thread_time().saturating_sub(cpu).as_secs_f64().max(1e-9),
            run.acknowledged
        );
        if let Some(html) = html
            && let Err(error) = fs::write(&html, chart::draw_run(run, &format!("{story} {seed}")))
        {
            eprintln!("{}: {error}", html.display());
            return ExitCode::FAILURE;
        }
    }
    println!("{:016x}", told.hash);
    for (id, text) in &told.violations {
        eprintln!("{id} {text}");
    }
    if told.violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("\n    {}", again(story, seed, size.of_each()));
    ExitCode::FAILURE
}

/// The command that runs this once more.
fn again(story: &str, seed: u64, size: wan::Size) -> String {
    let mut command = format!("sim run --scenario {story} --seed {seed}");
    if size != wan::Size::default() {
        command += &format!(" --servers {} --agents {}", size.servers, size.agents);
    }
    command
}

fn swarm_of_shells(swarm: &stories::Swarm<'_>) -> ExitCode {
    let (bar, cpu) = (bar(swarm.seeds), cpu_time());
    let summary = swarm.run(|done| bar.set_position(done));
    bar.finish_and_clear();
    let cpu = cpu_time().saturating_sub(cpu).as_secs_f64().max(1e-9);
    let (simulated, real) = (summary.simulated.as_secs_f64(), summary.elapsed.as_secs_f64());
    println!(
        "{}: {} seeds, {} failed: {} checks, {simulated:.0} simulated seconds in {real:.1}, {:.1} a \
         CPU-second",
        swarm.story,
        summary.seeds,
        summary.failures.len(),
        summary.checked,
        simulated / cpu
    );
    for (seed, id, text) in &summary.failures {
        eprintln!("seed {seed}: {id} {text}");
        eprintln!("    {}", again(swarm.story, *seed, swarm.size));
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn gossip(arguments: &GossipArguments) -> ExitCode {
    if let Some(seeds) = arguments.swarm {
        return gossip_swarm(seeds);
    }
    let settings = match &arguments.write {
        Some(_) => measure::settings(),
        None => {
            let GossipArguments { loss, slow, seeds, crashes, no_lifeguard, .. } = *arguments;
            let quiet = Duration::from_secs(arguments.quiet);
            let lifeguard = !no_lifeguard;
            let nodes = arguments.nodes.iter();
            nodes
                .map(|nodes| Setting {
                    nodes: *nodes,
                    loss,
                    slow,
                    lifeguard,
                    quiet,
                    crashes,
                    seeds,
                })
                .collect()
        }
    };
    let bar = bar(settings.len() as u64);
    let mut rows = Vec::new();
    for setting in settings {
        bar.set_message(format!("{} members", setting.nodes));
        rows.push((setting, setting.run()));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{}", measure::table(&rows));
    let Some(file) = &arguments.write else { return ExitCode::SUCCESS };
    let plot = file.with_extension("svg");
    let pages = [(file, measure::page(&rows)), (&plot, measure::plot(&rows))];
    for (file, text) in pages {
        if let Err(error) = fs::write(file, text) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn gossip_swarm(seeds: u64) -> ExitCode {
    let (start, bar) = (Instant::now(), bar(seeds));
    let (mut failed, mut simulated, mut healed) = (0, 0.0, Vec::new());
    for seed in 0..seeds {
        let outcome = pool::swarm::run(seed);
        bar.inc(1);
        simulated += outcome.simulated.as_secs_f64();
        healed.push(outcome.healed);
        if let Some(it) = outcome.violation {
            failed += 1;
            eprintln!("seed {seed}: {} at {:?}: {}", it.id, it.at.since_start(), it.text);
        }
    }
    bar.finish_and_clear();
    let real = start.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {failed} failed: {simulated:.0} simulated seconds in {real:.1}, {:.0} a \
         second; healed within {:.0} s, half of them within {:.0}",
        simulated / real,
        measure::worst(&healed),
        measure::median(&healed),
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn shrink(plan: &Plan, runs: u32, out: Option<PathBuf>) -> ExitCode {
    let bar = ProgressBar::new_spinner();
    let step = |it: &Cutting| {
        bar.set_message(format!("{} faults, {} requests", it.items.len(), it.ops.len()));
        bar.tick();
    };
    let small = shrink::shrink(plan, runs, step);
    bar.finish_and_clear();
    let Some(small) = small else {
        eprintln!("seed {} breaks nothing", plan.seed);
        return ExitCode::FAILURE;
    };
    let rest = small.plan();
    println!("# {} faults of {}", rest.items.len(), plan.items.len());
    for item in &rest.items {
        println!("#   {} {:?}", item.at, item.what);
    }
    for (client, script) in rest.scripts.iter().enumerate() {
        for op in &script.ops {
            println!("#   client {client}: {:?}", op.action);
        }
    }
    print!("{small}");
    if let Some(out) = out
        && let Err(error) = fs::write(&out, small.to_string())
    {
        eprintln!("{}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn replay(file: &PathBuf, tail: Option<usize>, html: Option<PathBuf>) -> ExitCode {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    };
    match text.parse::<Cutting>() {
        Ok(cutting) => {
            let title = format!("seed {}, cut down", cutting.seed);
            tell(&world::run(&cutting.plan(), true), tail, html, &title)
        }
        Err(error) => {
            eprintln!("{}: this makes no sense: {}", file.display(), error.0);
            ExitCode::FAILURE
        }
    }
}

fn bugs(only: Option<&str>, budget: Duration, all: bool, write: Option<PathBuf>) -> ExitCode {
    if !bugs::PLANTABLE {
        eprintln!("no bug can be planted in this build: it takes `--features planted-bugs`");
        return ExitCode::FAILURE;
    }
    let here = bugs::score(&bugs::wanted(only), budget, |it| eprintln!("{it}"));
    let elsewhere = if all {
        match bugs::elsewhere(|it| eprintln!("the tests of {it} ...")) {
            Ok(scores) => scores,
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    } else {
        Vec::new()
    };
    let scores = bugs::merge(here, elsewhere);
    let table = bugs::table(&scores);
    print!("{table}");
    if let Some(write) = write
        && let Err(error) = fill_in(&write, &format!("{table}\n{}", bugs::unplanted()))
    {
        eprintln!("{}: {error}", write.display());
        return ExitCode::FAILURE;
    }
    let noticed = |it: &Vec<bugs::Score>| it.first().is_some_and(|it| it.found.is_some());
    if scores.values().all(noticed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Put the tables into a document.
fn fill_in(document: &Path, text: &str) -> io::Result<()> {
    let before = fs::read_to_string(document)?;
    let after = bugs::insert(&before, text);
    fs::write(document, after.ok_or_else(|| io::Error::other("it has no place for tables"))?)
}

fn meta(seeds: u64, print: bool) -> ExitCode {
    let program = std::env::current_exe().expect("a program has a path");
    let worlds = [("--level", "a", seeds), ("--level", "b", seeds), ("--scenario", "worst-day", 1)];
    for (option, world, seeds) in worlds {
        for seed in 0..seeds {
            let run = || {
                let seed = seed.to_string();
                let arguments = ["run", "--hash", option, world, "--seed", &seed];
                Command::new(&program).args(arguments).output().expect("this very program").stdout
            };
            let (first, second) = (run(), run());
            if first.is_empty() || first != second {
                eprintln!(
                    "seed {seed} differs from itself: `sim run {option} {world} --seed {seed}` shows \
                     what it does"
                );
                return ExitCode::FAILURE;
            }
            if print {
                print!("{world} {seed} {}", String::from_utf8_lossy(&first));
            }
        }
    }
    println!("{seeds} seeds of each level and one of three datacenters, the same in two processes");
    ExitCode::SUCCESS
}

fn bar(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}");
    ProgressBar::new(seeds).with_style(style.expect("this template is well-formed"))
}

/// Failures after which a swarm stops: one is enough to work on, and a few tell whether they are
/// alike.
const FAILURES_MAX: usize = 20;
