//! Random clusters in a random world: messages are lost, repeated and overtaken, disks are slow,
//! servers crash and come back with what they had persisted, the network splits, leadership moves
//! and members come and go. The [`oracle`](oracle::Oracle) watches what Raft promises (paper,
//! figure 3), and when the world is healed, everything must go on.
//!
//! A failure names its seed. `RAFT_SEED=7` runs one, `RAFT_SEEDS=1000` that many.

#![allow(clippy::unwrap_used)] // The whole file is a test.
#![allow(clippy::disallowed_methods)] // A test may be told its seed.

#[cfg(feature = "planted-bugs")]
mod bugs;
mod oracle;
mod server;
mod world;

use std::env;

use bytes::Bytes;
use tribune_base::id::{Index, LogId, ServerId, Term};
use tribune_base::time::{Duration, Instant};
use tribune_raft::{
    Appended, Config, Configuration, Entry, HardState, Message, Node, Output, Payload, Restored,
    Role, Round, SnapshotMeta,
};
use world::{Faults, World};

/// Nothing bad happens, and in the end something good does.
#[test]
fn one_history_survives_everything() {
    for seed in seeds(20) {
        run(seed, Faults::swarm(seed));
    }
}

/// Without changes of the group the oracle can also check every commit against the disks.
#[test]
fn what_is_committed_is_on_a_quorum_of_disks() {
    for seed in seeds(10) {
        run(seed, Faults { changes: false, ..Faults::swarm(seed) });
    }
}

/// Elections that everybody wants to win, and leadership that is handed on all the time.
#[test]
fn rivals_do_not_both_win() {
    for seed in seeds(5) {
        run(seed, Faults::contested());
        run(seed, Faults::handovers());
        run(seed, Faults::sleepers());
    }
}

/// A minority that is told to go on alone keeps what was committed and one of it had.
#[test]
fn a_minority_goes_on_when_it_is_told_to() {
    for (voters, survivors) in [(3, 1), (5, 2)] {
        for seed in seeds(10) {
            let faults = Faults { changes: false, voters: Some(voters), ..Faults::swarm(seed) };
            let mut world = World::new(seed, faults);
            world.run(Duration::from_secs(15));
            world.lose_all_but(survivors);
            world.run(Duration::from_secs(20));
            world.heal();
            world.run(Duration::from_secs(15));
            world.expect_progress();
        }
    }
}

/// A healthy cluster elects one leader and keeps it.
#[test]
fn without_faults_there_is_one_election() {
    for seed in seeds(5) {
        let mut world = World::new(seed, Faults::none());
        world.run(Duration::from_secs(20));
        world.expect_progress();
        assert_eq!(world.oracle.leaders(), 1, "seed {seed}");
    }
}

/// Servers that wake at the same moment, over links that all take equally long, do not get in each
/// other's way for ever.
#[test]
fn twins_elect_somebody() {
    for seed in seeds(5) {
        twins(seed);
    }
}

/// A server that nobody could hear for a while is not noticed when it comes back.
#[test]
fn isolation_costs_no_election() {
    for seed in seeds(5) {
        isolation(seed);
    }
}

/// What a follower has confirmed to an earlier leader of the same name counts for nothing. This one
/// is not left to chance: a leader that comes back within seconds, with another log, is rare.
#[test]
fn late_answers_are_not_answers() {
    late_answer();
}

fn late_answer() {
    let (one, two) = (ServerId(1), ServerId(2));
    let mut node = Node::new(one, Config::lan(1), Restored::default(), 1, Instant::START);
    let group = Configuration::of_voters((1..=3).map(|it| (ServerId(it), String::new())));
    node.bootstrap(Instant::START, group).unwrap();
    let now = node.poll_timeout();
    node.handle_timeout(now);
    let mut say = |message| {
        node.step(now, two, message);
        while let Some(output) = node.poll_output() {
            if let Output::Persist(persist) = output {
                node.persisted(now, persist.seq);
            }
        }
        (node.role(), node.commit())
    };
    let (term, next) = (Term(1), Term(2));
    say(Message::RequestPreVoteResponse { term, asked: term, granted: true });
    let elected = say(Message::RequestVoteResponse { term: next, granted: true });
    assert_eq!(elected, (Role::Leader, Index(0)));
    let result = Appended::Matched(Index(2));
    assert_eq!(say(Message::AppendEntriesResponse { term, result }).1, Index(0));
    assert_eq!(say(Message::AppendEntriesResponse { term: next, result }).1, Index(2));
}

#[test]
fn to_hear_of_something_is_not_to_know_it() {
    hearsay();
}

/// A server that has just started is told how far its leader's log is committed.
fn hearsay() {
    let (one, two, now) = (ServerId(1), ServerId(2), Instant::START);
    let mut node = Node::new(one, Config::lan(1), Restored::default(), 1, now);
    let (term, round, nothing) = (Term(1), Round { serial: 1, sent: now }, Index(0));
    let (commit, horizon) = (nothing, Index(1));
    node.step(now, two, Message::Heartbeat { term, round, commit, horizon, abandoned: 0 });
    assert_eq!(node.informed_at(), None, "it has been told, and does not know");
    let entries = vec![Entry { id: LogId::new(term, horizon), payload: Payload::Empty }];
    let prev_log = LogId::default();
    node.step(now, two, Message::AppendEntries { term, prev_log, entries, leader_commit: horizon });
    assert_eq!(node.informed_at(), Some(now));
}

/// Whoever refuses what a leader said in an earlier reign has not answered a question of this one,
/// even if both have the same number. Seldom met, too: the refusal is of a heartbeat that has been
/// on its way for an election or two.
#[test]
fn refusals_are_not_answers() {
    refusal();
}

fn refusal() {
    let (one, two, now) = (ServerId(1), ServerId(2), Instant::START);
    let hard_state = HardState { term: Term(9), vote: None };
    let restored = Restored { hard_state, ..Restored::default() };
    let mut node = Node::new(one, Config::lan(1), restored, 1, now);
    let asked = Round { serial: 5, sent: now };
    let (term, nothing) = (Term(7), Index(0));
    let heartbeat =
        Message::Heartbeat { term, round: asked, commit: nothing, horizon: nothing, abandoned: 0 };
    node.step(now, two, heartbeat);
    let answer = node.poll_output();
    let Some(Output::Send { message: Message::HeartbeatResponse { term, round, .. }, .. }) = answer
    else {
        panic!("whoever lives in an older term is told, not {answer:?}");
    };
    assert_eq!(term, Term(9));
    assert_ne!(round, asked);
}

/// A log that is longer than a snapshot and disagrees with its last entry is given up. Not left to
/// chance either: a tail that is stale and as long as that is rare.
#[test]
fn stale_logs_do_not_survive_a_snapshot() {
    stale_log();
}

fn stale_log() {
    let (one, two, now) = (ServerId(1), ServerId(2), Instant::START);
    let entry = |n| Entry { id: LogId::new(Term(1), Index(n)), payload: Payload::Empty };
    let hard_state = HardState { term: Term(2), vote: None };
    let restored = Restored { hard_state, snapshot: None, entries: (1..=4).map(entry).collect() };
    let mut node = Node::new(one, Config::lan(1), restored, 1, now);
    let last = LogId::new(Term(2), Index(3));
    let meta = SnapshotMeta { last, ..SnapshotMeta::default() };
    let data = Bytes::from_static(b"state");
    let (term, offset, done) = (Term(2), 0, true);
    node.step(now, two, Message::InstallSnapshot { term, meta, offset, data, done });
    node.snapshot_written(now, last, 5);
    node.snapshot_installed(now, last);
    assert_eq!((node.last(), node.commit()), (last, last.index));
}

fn twins(seed: u64) {
    let instantly = Duration::ZERO;
    let faults = Faults { latency_max: instantly, disk_max: instantly, ..Faults::none() };
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(20));
    world.expect_progress();
}

fn isolation(seed: u64) {
    // Nobody writes: a log that lags would be reason enough not to elect who comes back.
    let faults = Faults { clients: false, voters: Some(3), ..Faults::none() };
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(5));
    world.isolate();
    world.run(Duration::from_secs(10));
    world.heal();
    world.run(Duration::from_secs(5));
    assert_eq!(world.oracle.leaders(), 1, "seed {seed}: who came back made an election");
    world.expect_progress();
}

/// Equal seeds give equal traces.
#[test]
fn a_seed_decides_everything() {
    let trace = |seed| {
        let mut world = World::new(seed, Faults::swarm(seed));
        world.run(Duration::from_secs(5));
        (world.oracle.committed(), world.events())
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

fn run(seed: u64, faults: Faults) {
    let mut world = World::new(seed, faults);
    world.run(Duration::from_secs(30));
    world.heal();
    world.run(Duration::from_secs(15));
    world.expect_progress();
}

fn seeds(default: u64) -> Vec<u64> {
    let number = |name| env::var(name).ok().and_then(|it| it.parse().ok());
    match number("RAFT_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("RAFT_SEEDS").unwrap_or(default)).collect(),
    }
}
