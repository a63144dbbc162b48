//! Clients of a real cluster to which things happen. Whatever they saw, one register for each key
//! could have shown them.
//!
//! A seed decides what is asked and what happens; when exactly, the machine does, so a seed is not
//! a repetition. `TRIBUNE_HISTORIES` says how many, `TRIBUNE_SEED` which is the first.

#![allow(clippy::unwrap_used)]

mod clients;
mod judge;
mod nemesis;

use std::env;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tribune_tests::cluster::Cluster;
use tribune_tests::network::Network;

use crate::clients::{Bench, Record};
use crate::nemesis::Plan;

#[test]
fn what_clients_see_of_a_key_is_one_register() {
    let number = |name| env::var(name).ok().and_then(|it| it.parse::<u64>().ok());
    let count = number("TRIBUNE_HISTORIES").unwrap_or(2);
    let first = number("TRIBUNE_SEED").unwrap_or(1);
    let network = Network::make(SERVERS);
    let mut failed = Vec::new();
    for seed in first..first + count {
        let faults = run(seed, network.as_ref());
        if !faults.is_empty() {
            failed.push((seed, faults));
        }
    }
    assert!(failed.is_empty(), "{} of {count} histories: {failed:#?}", failed.len());
}

/// One history. Returns what is wrong with it.
#[allow(clippy::print_stdout, reason = "histories take long, and their figures are wanted")]
fn run(seed: u64, network: Option<&Network>) -> Vec<String> {
    let mut cluster = match network {
        Some(network) => Cluster::start_at(&network.places),
        None => Cluster::start(SERVERS.into()),
    };
    let plan = Plan::new(seed, network.is_some());
    let bench = Bench::new(seed);
    let https = cluster.https();
    let (records, healed) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|id| {
                let (bench, http) = (&bench, https[id as usize % https.len()]);
                scope.spawn(move || clients::run(id, http, bench))
            })
            .collect();
        plan.play(&mut cluster, network);
        let healed = bench.settle(&https, LIVENESS_MAX);
        bench.stop();
        let records: Vec<_> = clients.into_iter().flat_map(|it| it.join().unwrap()).collect();
        (records, healed)
    });
    let mut records = records;
    records.extend(bench.look_at_all(&https, &records));
    let mut faults = judge::check(&records);
    match healed {
        Ok(_) => {}
        Err(server) => faults.push(format!("n{} takes no writes after the end", server + 1)),
    }
    for (n, server) in cluster.servers.iter_mut().enumerate() {
        if let Some(status) = server.ended() {
            faults.push(format!("n{} stopped with {status}", n + 1));
        }
    }
    println!(
        "seed {seed}: {}, longest pause {:?}, all write after {:?}; {plan}: {}",
        judge::Figures::of(&records),
        judge::longest_pause(&records),
        healed.unwrap_or(LIVENESS_MAX),
        if faults.is_empty() { "linearizable" } else { "WRONG" },
    );
    if !faults.is_empty() {
        keep(seed, &cluster, &records, &faults);
    }
    faults
}

/// Write down what went wrong.
fn keep(seed: u64, cluster: &Cluster, records: &[Record], faults: &[String]) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("history-{seed}"));
    fs::create_dir_all(&dir).unwrap();
    let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
    fs::write(dir.join("history"), lines.join("\n")).unwrap();
    fs::write(dir.join("faults"), faults.join("\n")).unwrap();
    for (n, server) in cluster.servers.iter().enumerate() {
        fs::write(dir.join(format!("n{}.log", n + 1)), server.log()).unwrap();
    }
}

/// When something began, as everybody counts.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    fn now(self) -> Duration {
        self.0.elapsed()
    }
}

const SERVERS: u8 = 3;

/// Three at each server.
const CLIENTS: u32 = 9;

/// How soon after the last fault every server must take writes: an election takes a second or two,
/// and a machine may be busy.
const LIVENESS_MAX: Duration = Duration::from_secs(20);
