//! Runs simulations: `sim run --seed 17` tells what happened, `sim swarm --seeds 100` looks for
//! trouble, `sim meta --seeds 10` runs seeds in two processes and compares them.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to people.

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use tribune_sim::turmoil::cluster::{SCENARIOS, Scenario};
use tribune_sim::turmoil::scenario::{self, Outcome};

/// Simulated agents: one seed decides everything.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Which story: `crash`, about one server, or one of those about several.
    #[arg(long, global = true, default_value = "crash", value_parser = names())]
    scenario: String,
}

fn names() -> clap::builder::PossibleValuesParser {
    std::iter::once("crash").chain(SCENARIOS.iter().map(|it| it.name)).collect::<Vec<_>>().into()
}

/// Run a seed of the story of this name.
fn tell(name: &str, seed: u64) -> Outcome {
    match Scenario::find(name) {
        Some(scenario) => scenario.run(seed),
        None => scenario::crash_restart(seed),
    }
}

#[derive(Subcommand)]
enum What {
    /// Run one seed, and print what happened.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Print the hash only.
        #[arg(long)]
        hash: bool,
    },
    /// Run many seeds.
    Swarm {
        /// How many.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first of them.
        #[arg(long, default_value_t = 0)]
        first: u64,
    },
    /// Run seeds in two processes each: they must agree on everything.
    Meta {
        /// How many.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
    },
}

fn main() -> ExitCode {
    let Arguments { what, scenario } = Arguments::parse();
    match what {
        What::Run { seed, hash } => {
            let outcome = tell(&scenario, seed);
            if !hash {
                outcome.lines.iter().for_each(|line| println!("{line}"));
            }
            println!("{:016x}", outcome.hash);
            ExitCode::SUCCESS
        }
        What::Swarm { seeds, first } => {
            let (start, bar) = (Instant::now(), ProgressBar::new(seeds));
            let mut simulated = 0.0;
            for seed in first..first + seeds {
                bar.set_message(format!("seed {seed}"));
                simulated += tell(&scenario, seed).elapsed.as_secs_f64();
                bar.inc(1);
            }
            bar.finish_and_clear();
            let real = start.elapsed().as_secs_f64();
            println!(
                "{seeds} seeds, no violation: {simulated:.0} simulated seconds in {real:.1}, \
                 {:.0} a second",
                simulated / real
            );
            ExitCode::SUCCESS
        }
        What::Meta { seeds } => meta(&scenario, seeds),
    }
}

fn meta(scenario: &str, seeds: u64) -> ExitCode {
    let program = std::env::current_exe().expect("a program has a path");
    for seed in 0..seeds {
        let run = || {
            let seed = seed.to_string();
            let arguments = ["run", "--hash", "--scenario", scenario, "--seed", &seed];
            Command::new(&program).args(arguments).output().expect("this very program").stdout
        };
        let (first, second) = (run(), run());
        if first.is_empty() || first != second {
            eprintln!(
                "seed {seed} differs from itself: `sim run --scenario {scenario} --seed {seed}` shows it"
            );
            return ExitCode::FAILURE;
        }
    }
    println!("{seeds} seeds, each the same in two processes");
    ExitCode::SUCCESS
}
