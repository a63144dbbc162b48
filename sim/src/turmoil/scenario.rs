//! Stories about an agent.

use std::cell::RefCell;
use std::rc::Rc;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::client::{self, Answer};
use super::disk::Disk;
use super::host::Host;
use super::oracle::Oracle;
use super::trace::Trace;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Two runs of one seed agree on this.
    pub hash: u64,
    /// What happened, a line for each event.
    pub lines: Vec<String>,
    /// How many writes were acknowledged.
    pub acknowledged: u64,
    /// How often the host crashed.
    pub crashes: u32,
    /// How often a host took over another one's snapshot.
    pub installed: u32,
    /// Simulated time.
    pub elapsed: Duration,
}

/// How many clients write, each its own key.
const WRITERS: u64 = 3;

/// A durable server is crashed again and again under concurrent writes. Nothing acknowledged is
/// lost, nothing appears that nobody wrote, nothing goes back; and after the last crash it serves.
///
/// # Panics
///
/// If any of that does not hold.
pub fn crash_restart(seed: u64) -> Outcome {
    crash_restart_on(seed, Disk::new(seed))
}

/// The same, on a disk with its own ideas.
///
/// # Panics
///
/// As [`crash_restart`].
pub fn crash_restart_on(seed: u64, disk: Disk) -> Outcome {
    let mut rng = Rng::stream(seed, "scenario");
    let trace = Trace::default();
    let oracle = Rc::new(RefCell::new(Oracle::default()));
    let latency_max = Duration::from_millis(1 + rng.below(40));
    let mut sim = network(seed, Duration::from_secs(600), latency_max).build();
    let host = Host {
        seed,
        disk,
        snapshot_entries_max: 5 + rng.below(60),
        trailing_entries_max: 0,
        ..Host::new("n1".into(), seed)
    };
    let running = host.clone();
    sim.host("n1", move || running.clone().run());
    for writer in 0..WRITERS {
        let (oracle, trace) = (Rc::clone(&oracle), trace.clone());
        sim.client(format!("c{writer}"), write_and_read(writer, seed, oracle, trace));
    }

    let crashes = 2 + rng.below(6) as u32;
    for _ in 0..crashes {
        let at = sim.elapsed() + Duration::from_millis(200) + rng.up_to(Duration::from_secs(4));
        step_until(&mut sim, at);
        trace.note(sim.elapsed(), "n1", format_args!("crash"));
        host.crash(&mut sim);
        let down = sim.elapsed() + rng.up_to(Duration::from_secs(1));
        step_until(&mut sim, down);
        trace.note(sim.elapsed(), "n1", format_args!("restart"));
        sim.bounce("n1");
    }
    sim.run().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let acknowledged = oracle.borrow().acknowledged();
    assert!(0 < acknowledged, "seed {seed}: nothing was ever acknowledged");
    Outcome {
        hash: trace.hash(),
        lines: trace.lines(),
        acknowledged,
        crashes,
        installed: 0,
        elapsed: sim.elapsed(),
    }
}

/// A network that has nothing from outside: not the time, and no luck of its own. `longest` is what a
/// story may take of simulated time.
pub(super) fn network(seed: u64, longest: Duration, latency_max: Duration) -> turmoil::Builder {
    let mut network = turmoil::Builder::new();
    network
        .rng_seed(seed)
        .epoch(std::time::UNIX_EPOCH)
        .simulation_duration(longest)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(latency_max)
        .tcp_capacity(65_536);
    network
}

pub(super) fn step_until(sim: &mut turmoil::Sim<'_>, at: Duration) {
    while sim.elapsed() < at {
        sim.step().expect("hosts crash only when told to");
    }
}

/// One client: write a counter, read it back, for half a minute and until the last write is acknowledged
/// and seen.
async fn write_and_read(
    writer: u64,
    seed: u64,
    oracle: Rc<RefCell<Oracle>>,
    trace: Trace,
) -> turmoil::Result {
    let name = format!("c{writer}");
    let key = format!("counter/{writer}");
    let mut rng = Rng::stream(seed, &name);
    let start = tokio::time::Instant::now();
    let mut value = 0;
    loop {
        value += 1;
        oracle.borrow_mut().attempt(&key, value);
        let path = format!("/v1/kv/{key}");
        let written = client::call("n1", "PUT", &path, value.to_string(), PATIENCE).await;
        let ok = written.as_ref().is_ok_and(|it| it.status == 200 && &it.body[..] == b"true");
        trace.note(
            turmoil::sim_elapsed().unwrap_or_default(),
            &name,
            format_args!("put {value} {ok}"),
        );
        if ok {
            oracle.borrow_mut().acknowledge(&key, value);
        }
        let seen = read(&name, &key, &oracle, &trace).await;
        if LAST_WRITE <= start.elapsed() && ok && seen == Some(value) {
            return Ok(());
        }
        tokio::time::sleep(rng.up_to(Duration::from_millis(300))).await;
    }
}

/// Read a counter, if the agent answers.
async fn read(name: &str, key: &str, oracle: &Rc<RefCell<Oracle>>, trace: &Trace) -> Option<u64> {
    let path = format!("/v1/kv/{key}?raw&consistent");
    let answer = client::call("n1", "GET", &path, "", PATIENCE).await.ok()?;
    let Answer { status, index, body } = answer;
    let value = match status {
        200 => str::from_utf8(&body).ok()?.parse().ok()?,
        404 => 0,
        _ => return None,
    };
    trace.note(turmoil::sim_elapsed().unwrap_or_default(), name, format_args!("get {value}"));
    oracle.borrow_mut().read(key, value, index.unwrap_or_default());
    Some(value)
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long clients go on writing.
const LAST_WRITE: Duration = Duration::from_secs(30);
