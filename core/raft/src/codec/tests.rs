use proptest::prelude::*;
use tribune_base::id::ServerId;

use super::*;
use crate::entry::{POSITION_MAX, Payload};

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..300_u64, 0..POSITION_MAX - 1]
}

fn log() -> impl Strategy<Value = LogId> {
    (number(), number()).prop_map(|(term, index)| LogId::new(Term(term), Index(index)))
}

fn group() -> impl Strategy<Value = std::collections::BTreeMap<ServerId, String>> {
    prop::collection::btree_map(any::<u128>().prop_map(ServerId), "[a-z:0-9]{0,12}", 0..4)
}

fn configuration() -> impl Strategy<Value = Configuration> {
    (group(), group(), group()).prop_map(|(voters, non_voters, outgoing)| Configuration {
        voters,
        non_voters,
        outgoing,
    })
}

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn entry() -> impl Strategy<Value = Entry> {
    let payload = prop_oneof![
        Just(Payload::Empty),
        data().prop_map(Payload::Command),
        configuration().prop_map(Payload::Configuration),
    ];
    (number(), 1..POSITION_MAX, payload).prop_map(|(term, index, payload)| Entry {
        id: LogId::new(Term(term), Index(index)),
        payload,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let numbers = (number(), number(), number(), number(), any::<bool>(), log());
    let bodies = (prop::collection::vec(entry(), 0..4), configuration(), data(), any::<u64>());
    (0..14_usize, numbers, bodies).prop_map(|(kind, (term, a, b, c, flag, log), bodies)| {
        let (entries, configuration, data, sent) = bodies;
        let (term, index) = (Term(term), Index(a));
        let sent = Instant::from_start(Duration::from_nanos(sent));
        let round = Round { serial: b, sent };
        let conflict = Appended::Conflict { prev: index, hint: log };
        match kind {
            0 => Message::RequestPreVote { term, last_log: log },
            1 => Message::RequestPreVoteResponse { term, asked: Term(a), granted: flag },
            2 => Message::RequestVote { term, last_log: log, transfer: flag.then_some(b) },
            3 => Message::RequestVoteResponse { term, granted: flag },
            4 => Message::AppendEntries { term, prev_log: log, entries, leader_commit: index },
            5 => Message::AppendEntriesResponse { term, result: Appended::Matched(index) },
            6 => Message::AppendEntriesResponse { term, result: conflict },
            7 => Message::Heartbeat { term, round, commit: index, horizon: index, abandoned: c },
            8 => Message::HeartbeatResponse { term, round, matched: index, agreed: Index(c) },
            9 => Message::TimeoutNow { term, abandoned: c },
            10 => Message::ReadIndex { term, batch: b, leased: flag },
            11 => Message::ReadIndexResponse { term, batch: b, index: flag.then_some(index) },
            12 => {
                let meta = SnapshotMeta { last: log, configuration };
                Message::InstallSnapshot { term, meta, offset: c, data, done: flag }
            }
            _ => Message::InstallSnapshotResponse { term, last: log, offset: c },
        }
    })
}

proptest! {
    #[test]
    fn messages_survive(message in message()) {
        prop_assert_eq!(Message::from_bytes(message.to_bytes()), Ok(message));
    }

    #[test]
    fn entries_survive(entry in entry()) {
        prop_assert_eq!(Entry::from_bytes(entry.to_bytes()), Ok(entry));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>) {
        _ = Message::from_bytes(Bytes::from(bytes.clone()));
        _ = Entry::from_bytes(Bytes::from(bytes));
    }

    /// Closer to home: a message with one byte changed, or cut off.
    #[test]
    fn a_damaged_message_is_a_message_or_an_error(
        message in message(),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut: bool,
    ) {
        let mut bytes = message.to_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        _ = Message::from_bytes(Bytes::from(bytes));
    }
}

#[test]
fn a_later_release_may_say_more() {
    let message = Message::ReadIndex { term: Term(3), batch: 9, leased: false };
    let mut bytes = message.to_bytes().to_vec();
    let mut more = Writer::new();
    more.str(99, "news");
    bytes.extend(more.finish());
    assert_eq!(Message::from_bytes(Bytes::from(bytes)), Ok(message));
}

#[test]
fn numbers_that_would_overflow_are_refused() {
    let mut writer = Writer::new();
    writer.u64(tag::KIND, kind::REQUEST_VOTE);
    writer.u64(tag::TERM, u64::MAX);
    assert_eq!(Message::from_bytes(writer.finish()), Err(DecodeError::Value { tag: tag::TERM }));
}
