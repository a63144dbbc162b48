//! One member, looked at from close by: what it answers, and what it does not believe.

#![allow(clippy::unwrap_used)] // The whole file is a test.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tribune_base::codec::Writer;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::time::{Duration, Instant};
use tribune_gossip::codec::open;
use tribune_gossip::message::Message;
use tribune_gossip::{Change, Config, EventError, Identity, Output, Pool, Roster, Status, Tags};

/// Members `a`, `b`, ... of a pool that has been formed.
fn identity(name: &str) -> Identity {
    let number = name.bytes().next().unwrap() - b'a' + 1;
    let addr = SocketAddr::from(([10, 0, 0, number], 8301));
    Identity::new(name, NodeId(Uuid(u128::from(number))), addr, Tags::default())
}

fn pool() -> Pool {
    let roster: Roster = ["a", "b", "c", "d"].map(identity).into_iter().collect();
    Pool::with_roster(Config::lan("dc1"), identity("a"), 1, Instant::START, roster)
}

/// A packet of pool `dc1` with one message.
fn packet(tag: u32, body: impl FnOnce(&mut Writer)) -> Bytes {
    let mut writer = Writer::new();
    writer.u64(1, 1);
    writer.str(2, "dc1");
    writer.nested(tag, body);
    writer.finish()
}

fn accusation(tag: u32, incarnation: u64, name: &str, from: &str) -> Bytes {
    packet(tag, |it| accuse(it, incarnation, name, from))
}

fn accuse(it: &mut Writer, incarnation: u64, name: &str, from: &str) {
    it.u64(1, incarnation);
    it.str(2, name);
    it.str(3, from);
}

/// What it does, packets taken apart.
fn drain(pool: &mut Pool) -> (Vec<Output>, Vec<(SocketAddr, Message)>) {
    let (mut outputs, mut messages) = (Vec::new(), Vec::new());
    while let Some(output) = pool.poll_output() {
        match output {
            Output::Packet { to, bytes } => {
                let received = open(bytes, Some("dc1")).unwrap();
                messages.extend(received.map(|it| (to, it.unwrap().message)));
            }
            other @ (Output::Joined { .. }
            | Output::Left
            | Output::Member(_)
            | Output::Event(_)
            | Output::Conflict { .. }
            | Output::Query(_)
            | Output::Answer { .. }
            | Output::QueryEnded { .. })
            | other @ Output::Exchange { .. } => outputs.push(other),
        }
    }
    (outputs, messages)
}

/// Let the next thing happen that is due, and tell when that was.
fn step(pool: &mut Pool) -> Instant {
    let now = pool.poll_timeout().unwrap();
    pool.handle_timeout(now);
    now
}

/// The first ping it sends: to whom, and its number.
fn probe(pool: &mut Pool) -> (Instant, SocketAddr, u64) {
    loop {
        let now = step(pool);
        for (to, message) in drain(pool).1 {
            if let Message::Ping { seq, .. } = message {
                return (now, to, seq);
            }
        }
    }
}

fn ack(seq: u64) -> Bytes {
    packet(5, |it| it.u64(1, seq))
}

#[test]
fn a_ping_is_answered_by_whom_it_is_for() {
    let mut pool = pool();
    let b = identity("b").addr;
    let ping = |target: &str| {
        packet(3, |it| {
            it.u64(1, 9);
            it.str(2, target);
        })
    };
    pool.handle_packet(Instant::START, b, ping("a"));
    let (_, messages) = drain(&mut pool);
    assert!(matches!(&messages[..], [(to, Message::Ack { seq: 9, .. })] if *to == b));
    pool.handle_packet(Instant::START, b, ping("z"));
    assert_eq!(drain(&mut pool).1, []);
}

#[test]
fn an_answer_to_another_probe_is_no_answer_to_this_one() {
    let mut pool = pool();
    let (_, first, seq) = probe(&mut pool);
    pool.handle_packet(pool.poll_timeout().unwrap(), first, ack(seq));
    let (at, second, later) = probe(&mut pool);
    assert_eq!(later, seq + 1);
    // A copy of the first answer comes late, and then nothing.
    pool.handle_packet(at, second, ack(seq));
    assert_eq!(pool.counters().probes_indirect, 0);
    while pool.counters().probes < 3 {
        step(&mut pool);
        for output in drain(&mut pool).0 {
            if let Output::Exchange { id, .. } = output {
                pool.exchanged(pool.poll_timeout().unwrap(), id, None);
            }
        }
    }
    assert_eq!(pool.counters().probes_failed, 1, "the second probe was not answered");
}

#[test]
fn whoever_is_asked_by_others_tries_and_says_if_it_fails() {
    let mut pool = pool();
    let (b, c) = (identity("b").addr, identity("c").addr);
    let request = packet(4, |it| {
        it.u64(1, 77);
        it.str(2, "c");
        it.bytes(3, &[10, 0, 0, 3, 0x20, 0x6d]);
        it.bool(4, true);
    });
    pool.handle_packet(Instant::START, b, request);
    let (_, messages) = drain(&mut pool);
    let [(to, Message::Ping { seq, .. })] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(*to, c);
    let mut now = Instant::START;
    let nack = loop {
        now = step(&mut pool).max(now);
        let (_, messages) = drain(&mut pool);
        if let Some(it) = messages.iter().find(|(_, it)| matches!(it, Message::Nack { .. })) {
            break it.clone();
        }
    };
    assert_eq!(nack, (b, Message::Nack { seq: 77 }));
    assert_eq!(now.since_start(), Duration::from_millis(400), "four fifths of the timeout");
    // An answer that comes after all is passed on.
    pool.handle_packet(now, c, ack(*seq));
    let (_, messages) = drain(&mut pool);
    assert!(matches!(&messages[..], [(to, Message::Ack { seq: 77, .. })] if *to == b));
}

#[test]
fn whoever_is_accused_refutes_and_raises_its_incarnation() {
    let mut pool = pool();
    let b = identity("b").addr;
    pool.handle_packet(Instant::START, b, accusation(8, 1, "a", "b"));
    assert_eq!(pool.local().incarnation, 2);
    assert_eq!(pool.health_score(), 1);
    // The same again is refuted already; it is said again, for whoever has not heard.
    pool.handle_packet(Instant::START, b, accusation(8, 1, "a", "c"));
    assert_eq!(pool.local().incarnation, 2);
    assert_eq!(pool.broadcasts_len(), 1);
}

#[test]
fn whoever_is_taken_for_gone_and_asks_is_told() {
    let mut pool = pool();
    let (b, c) = (identity("b").addr, identity("c").addr);
    pool.handle_packet(Instant::START, b, accusation(9, 3, "c", "b"));
    drain(&mut pool);
    let ping = packet(3, |it| {
        it.u64(1, 9);
        it.str(2, "a");
    });
    pool.handle_packet(Instant::START, c, ping.clone());
    let (_, messages) = drain(&mut pool);
    let [(_, Message::Ack { .. }), (to, Message::Dead(told)), ..] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!((*to, told.incarnation, &*told.name, &*told.from), (c, 3, "c", "a"));
    // And whoever is not, is not.
    pool.handle_packet(Instant::START, identity("d").addr, ping);
    let (_, messages) = drain(&mut pool);
    let dead =
        |(_, it): &(SocketAddr, Message)| matches!(it, Message::Dead(it) if &*it.from == "a");
    assert!(!messages.iter().any(dead), "{messages:?}");
}

/// A member says that it stays, and somebody who has not heard it, at the same Lamport time, that it
/// leaves. Nobody goes on believing the latter because it was heard first.
#[test]
fn whoever_stays_is_not_taken_for_leaving_because_of_what_was_said_at_the_same_time() {
    let (stay, leave, alive) = (Saying::Join(4), Saying::Leave(4), Saying::Alive(1));
    for order in [[&alive, &stay, &leave], [&alive, &leave, &stay], [&leave, &stay, &alive]] {
        let sayings = order.map(Clone::clone);
        assert_eq!(told(&sayings), Some((Status::Alive, 1, 4)), "{sayings:?}");
    }
}

/// What stands first in a packet is the newest. Heard in this order, somebody who comes back would
/// have failed once more before, and somebody who dies on its way out would have failed.
#[test]
fn in_one_packet_what_somebody_means_to_do_is_heard_in_its_turn() {
    let together = |sayings: &[Saying]| {
        let mut pool = pool();
        pool.handle_packet(Instant::START, identity("b").addr, Saying::Alive(1).packet("x"));
        for round in sayings.chunks(2) {
            let mut writer = Writer::new();
            writer.u64(1, 1);
            writer.str(2, "dc1");
            round.iter().for_each(|it| it.write(&mut writer, "x"));
            pool.handle_packet(Instant::START, identity("b").addr, writer.finish());
        }
        let (outputs, _) = drain(&mut pool);
        let change = |it: Output| if let Output::Member(it) = it { Some(it.change) } else { None };
        outputs.into_iter().filter_map(change).collect::<Vec<_>>()
    };
    let left = [Saying::Dead(1), Saying::Leave(4)];
    assert_eq!(together(&left), [Change::Join, Change::Leave]);
    let back = left.into_iter().chain([Saying::Join(5), Saying::Alive(2)]).collect::<Vec<_>>();
    assert_eq!(together(&back), [Change::Join, Change::Leave, Change::Join]);
}

#[test]
fn whoever_has_spoken_since_is_not_suspect() {
    let mut pool = pool();
    let b = identity("b").addr;
    pool.handle_packet(Instant::START, b, Saying::Alive(1).packet("x"));
    pool.handle_packet(Instant::START, b, Saying::Alive(2).packet("x"));
    pool.handle_packet(Instant::START, b, accusation(8, 1, "x", "b"));
    assert!(!pool.is_suspect("x"));
    pool.handle_packet(Instant::START, b, accusation(8, 2, "x", "b"));
    assert!(pool.is_suspect("x"));
}

#[test]
fn a_stall_of_our_own_is_nobodys_failure() {
    let mut pool = pool();
    let (at, ..) = probe(&mut pool);
    // Nobody calls for ten seconds, and then all at once.
    pool.handle_timeout(at + Duration::from_secs(10));
    assert_eq!(pool.counters().probes_failed, 0);
    assert_eq!(pool.counters().stalls, 1);
    assert_eq!(pool.health_score(), 1);
    let (_, messages) = drain(&mut pool);
    let ping = |(_, it): &(SocketAddr, Message)| matches!(it, Message::Ping { .. });
    assert!(messages.iter().any(ping), "it is asked again: {messages:?}");
}

#[test]
fn what_is_too_long_is_not_sent() {
    let mut pool = pool();
    let result = pool.fire(Instant::START, "event", vec![0; 508].into(), false);
    assert_eq!(result, Err(EventError::TooLarge { len: 513, max: 512 }));
    assert!(pool.fire(Instant::START, "event", vec![0; 507].into(), false).is_ok());
}

#[test]
fn packets_of_strangers_and_of_the_future_are_counted_and_dropped() {
    let mut pool = pool();
    let b = identity("b").addr;
    let header = |version: u64, name: &str| {
        let mut writer = Writer::new();
        writer.u64(1, version);
        writer.str(2, name);
        writer.finish()
    };
    for packet in [header(1, "wan"), header(2, "dc1"), Bytes::from_static(b"\xff")] {
        pool.handle_packet(Instant::START, b, packet);
    }
    let it = pool.counters();
    assert_eq!((it.strangers, it.versions, it.malformed), (1, 1, 1));
}

/// One thing that is said about somebody.
#[derive(Clone, Debug)]
enum Saying {
    Alive(u64),
    Dead(u64),
    Left(u64),
    Join(u64),
    Leave(u64),
}

impl Saying {
    fn packet(&self, name: &str) -> Bytes {
        let mut writer = Writer::new();
        writer.u64(1, 1);
        writer.str(2, "dc1");
        self.write(&mut writer, name);
        writer.finish()
    }

    /// Append it to a packet.
    fn write(&self, packet: &mut Writer, name: &str) {
        let intent = |it: &mut Writer, ltime| {
            it.u64(1, ltime);
            it.str(2, name);
        };
        match *self {
            Self::Alive(incarnation) => packet.nested(7, |it| {
                it.u64(1, incarnation);
                it.str(2, name);
                it.u128(3, 99);
                it.bytes(4, &[10, 0, 0, 99, 0x20, 0x6d]);
            }),
            Self::Dead(incarnation) => packet.nested(9, |it| accuse(it, incarnation, name, "b")),
            Self::Left(incarnation) => packet.nested(9, |it| accuse(it, incarnation, name, name)),
            Self::Join(ltime) => packet.nested(10, |it| intent(it, ltime)),
            Self::Leave(ltime) => packet.nested(11, |it| intent(it, ltime)),
        }
    }
}

fn saying() -> impl Strategy<Value = Saying> {
    prop_oneof![
        (1..4_u64).prop_map(Saying::Alive),
        (1..4_u64).prop_map(Saying::Dead),
        (1..4_u64).prop_map(Saying::Left),
    ]
}

fn intent() -> impl Strategy<Value = Saying> {
    let ltime = 1..4_u64;
    prop_oneof![ltime.clone().prop_map(Saying::Leave), ltime.prop_map(Saying::Join)]
}

/// What a member that was told all of this thinks of `x`.
fn told(sayings: &[Saying]) -> Option<(Status, u64, u64)> {
    let mut pool = pool();
    for it in sayings {
        pool.handle_packet(Instant::START, identity("b").addr, it.packet("x"));
    }
    drain(&mut pool);
    pool.member("x").map(|it| (it.status, it.incarnation, it.status_ltime.0))
}

proptest! {
    /// GO-5: what is known follows from what was said, in whatever order and however often.
    #[test]
    fn the_order_of_news_does_not_matter(
        sayings in prop::collection::vec(saying(), 1..6), again in 0..6_usize, seed: u64,
    ) {
        // Of somebody who was never said to be alive nothing is known, whatever else was said.
        let mut sayings = sayings;
        sayings.push(Saying::Alive(1));
        let expected = told(&sayings);
        let mut shuffled = sayings.clone();
        tribune_base::rng::Rng::new(seed).shuffle(&mut shuffled);
        shuffled.push(sayings[again % sayings.len()].clone());
        prop_assert_eq!(told(&shuffled), expected, "{:?}", shuffled);
    }

    /// The same of intentions, for somebody who is there.
    #[test]
    fn the_order_of_intentions_does_not_matter(
        intents in prop::collection::vec(intent(), 1..6), at in 0..6_usize, seed: u64,
    ) {
        let mut intents = intents;
        let with_alive = |intents: &[Saying]| {
            let mut all = intents.to_vec();
            all.insert(at.min(all.len()), Saying::Alive(1));
            told(&all)
        };
        let expected = with_alive(&intents);
        tribune_base::rng::Rng::new(seed).shuffle(&mut intents);
        prop_assert_eq!(with_alive(&intents), expected);
    }

    /// Whatever comes, nothing breaks.
    #[test]
    fn any_bytes_leave_a_member_whole(
        inputs in prop::collection::vec((0..4_u8, prop::collection::vec(any::<u8>(), 0..80)), 0..40),
    ) {
        let mut pool = pool();
        let mut now = Instant::START;
        let b = identity("b").addr;
        for (kind, bytes) in inputs {
            match kind {
                0 => pool.handle_packet(now, b, bytes.into()),
                1 => drop(pool.handle_exchange(now, b, bytes.into())),
                2 => {
                    // Half of it is right.
                    let tag = u32::from(bytes.first().copied().unwrap_or_default() % 16);
                    pool.handle_packet(now, b, packet(tag.max(3), |it| {
                        it.u64(1, bytes.len() as u64);
                        it.str(2, "b");
                        it.bytes(3, &bytes);
                    }));
                }
                _ => {
                    now = now.max(pool.poll_timeout().unwrap());
                    pool.handle_timeout(now);
                }
            }
            for output in drain(&mut pool).0 {
                if let Output::Exchange { id, .. } = output {
                    pool.exchanged(now, id, Some(Bytes::new()));
                }
            }
        }
    }
}

#[test]
fn a_member_that_is_gone_is_reported_once() {
    let mut pool = pool();
    let b = identity("b").addr;
    for _ in 0..3 {
        pool.handle_packet(Instant::START, b, accusation(9, 1, "c", "b"));
    }
    let (outputs, _) = drain(&mut pool);
    let changes: Vec<_> = outputs
        .iter()
        .filter_map(|it| {
            let Output::Member(it) = it else { return None };
            Some((it.change, Arc::clone(&it.member.name)))
        })
        .collect();
    assert_eq!(changes, [(Change::Failed, Arc::from("c"))]);
}

#[cfg(feature = "planted-bugs")]
#[test]
fn a_planted_bug_is_noticed() {
    use tribune_base::bug::{self, Bug};
    let test = an_answer_to_another_probe_is_no_answer_to_this_one;
    let noticed = bug::with(Bug::G05, || std::panic::catch_unwind(test).is_err());
    assert!(noticed, "an answer to an earlier probe was taken for one");
}
