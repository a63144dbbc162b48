//! How fast, beside the bare system calls. Not a test of anything: run it by name, optimised.
//!
//! `cargo test --release -p tribune-io -- --ignored --nocapture durable_records_per_second`
//!
//! `TRIBUNE_WAL_DIR` chooses the disk; `/tmp` may be none.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use super::*;

/// All measurements in turn, several times, so that the neighbours' noise falls on all alike.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout, reason = "it is what this is for")]
fn durable_records_per_second() {
    let root = std::env::var_os("TRIBUNE_WAL_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = Dir(root.join(format!("tribune-wal-speed-{}", std::process::id())));
    let (events, receiver) = unbounded_channel();
    let (wal, recovered) = MappedWal::open(&dir.0, Options::default(), events).unwrap();
    let mut log = Log { wal, events: receiver, recovered, seq: 0 };
    log.write(vec![entry(1)]);
    let mut next = 2;

    let pages = zero_filled(&dir.0.join("pages"), 4096);
    let large = zero_filled(&dir.0.join("large"), 1 << 20);
    let mut rows = vec![
        Row::new("bare 4 KiB", 1),
        Row::new("bare 4 KiB, zero-filled by 1 MiB", 1),
        Row::new("log, 4 KiB records", 1),
    ];
    rows.extend([1, 16, 64, 256].map(|count| Row::new("log, 256 B records", count)));
    for round in 0..ROUNDS {
        let at = round * FLUSHES * 4096;
        rows[0].measure(|n| durable_page(&pages, at + n * 4096));
        rows[1].measure(|n| durable_page(&large, at + n * 4096));
        rows[2].measure(|_| log.write(batch(&mut next, 1, 4096 - 80)));
        for row in &mut rows[3..] {
            let count = row.count;
            row.measure(|_| log.write(batch(&mut next, count, 256)));
        }
        // Segments that are done with are in nobody's way.
        log.wal.forget(Index(next - 1));
    }
    for row in &mut rows {
        println!("{}", row.report());
    }
    println!("bare to log by p50, one 4 KiB record: {:.2}", rows[0].p50() / rows[2].p50());
    println!("bare to log by p50, one 256 B record: {:.2}", rows[0].p50() / rows[3].p50());
}

/// A kind of flush, and how long each took.
struct Row {
    name: &'static str,
    /// Records per flush.
    count: u64,
    rates: Vec<f64>,
    micros: Vec<u128>,
}

impl Row {
    const fn new(name: &'static str, count: u64) -> Self {
        Self { name, count, rates: Vec::new(), micros: Vec::new() }
    }

    fn measure(&mut self, mut flush: impl FnMut(u64)) {
        let started = Instant::now();
        for n in 0..FLUSHES {
            let flushed = Instant::now();
            flush(n);
            self.micros.push(flushed.elapsed().as_micros());
        }
        self.rates.push((FLUSHES * self.count) as f64 / started.elapsed().as_secs_f64());
    }

    /// The median of all rounds.
    fn rate(&mut self) -> f64 {
        self.rates.sort_unstable_by(f64::total_cmp);
        self.rates[self.rates.len() / 2]
    }

    /// In microseconds. Neighbours that stall the disk now and then do not move it.
    fn p50(&mut self) -> f64 {
        self.micros.sort_unstable();
        self.micros[self.micros.len() / 2] as f64
    }

    fn report(&mut self) -> String {
        let rate = self.rate();
        self.micros.sort_unstable();
        let at = |percent| self.micros[self.micros.len() * percent / 100];
        let (name, count, p50, p99) = (self.name, self.count, at(50), at(99));
        format!("{name:34} x{count:<4} {rate:>9.0} records/s, p50 {p50} us, p99 {p99} us")
    }
}

fn batch(next: &mut u64, count: u64, len: usize) -> Vec<Record> {
    let payload = Bytes::from(vec![7; len]);
    let from = *next;
    *next += count;
    let entry = |index| Entry { index: Index(index), term: Term(1), payload: payload.clone() };
    (from..*next).map(entry).map(Record::Entry).collect()
}

fn zero_filled(path: &Path, chunk: usize) -> File {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).unwrap();
    let zeros = vec![0; chunk];
    for _ in 0..(ROUNDS * FLUSHES * 4096).div_ceil(chunk as u64) {
        file.write_all(&zeros).unwrap();
    }
    file.sync_all().unwrap();
    file
}

fn durable_page(file: &File, at: u64) {
    file.write_all_at(&[7; 4096], at).unwrap();
    file.sync_data().unwrap();
}

const ROUNDS: u64 = 9;
const FLUSHES: u64 = 400;
