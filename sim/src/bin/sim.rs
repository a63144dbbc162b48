//! Runs simulations: `sim run --seed 17` tells what happened, `sim swarm --seeds 100` looks for
//! trouble, `sim meta --seeds 10` runs seeds in two processes and compares them.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to people.

use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use tribune_sim::turmoil::scenario;

/// Simulated agents: one seed decides everything.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
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
    match Arguments::parse().what {
        What::Run { seed, hash } => {
            let outcome = scenario::crash_restart(seed);
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
                simulated += scenario::crash_restart(seed).elapsed.as_secs_f64();
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
        What::Meta { seeds } => meta(seeds),
    }
}

fn meta(seeds: u64) -> ExitCode {
    let program = std::env::current_exe().expect("a program has a path");
    for seed in 0..seeds {
        let run = || {
            let arguments = ["run", "--hash", "--seed", &seed.to_string()];
            Command::new(&program).args(arguments).output().expect("this very program").stdout
        };
        let (first, second) = (run(), run());
        if first.is_empty() || first != second {
            eprintln!(
                "seed {seed} differs from itself: `sim run --seed {seed}` shows what it does"
            );
            return ExitCode::FAILURE;
        }
    }
    println!("{seeds} seeds, each the same in two processes");
    ExitCode::SUCCESS
}
