//! Between consensus and its log: what Raft wants kept, as the log's records, and back.

use tribune_base::codec::DecodeError;
use tribune_raft::{Entry, HardState, Persist, SnapshotMeta};
use tribune_wal::{Record, Recovered};

use crate::wal::Batch;

/// What Raft wants kept, as the log keeps it.
pub fn batch(persist: &Persist) -> Batch {
    let mut records = Vec::with_capacity(persist.entries.len() + 2);
    if let Some(HardState { term, vote }) = persist.hard_state {
        records.push(Record::HardState(tribune_wal::HardState { term, vote }));
    }
    if let Some(from) = persist.truncate_from {
        records.push(Record::Truncate { from });
    }
    records.extend(persist.entries.iter().map(|entry| {
        Record::Entry(tribune_wal::Entry {
            index: entry.id.index,
            term: entry.id.term,
            payload: entry.to_bytes(),
        })
    }));
    Batch { seq: persist.seq.0, records }
}

/// What the log and the newest snapshot say of consensus.
///
/// # Errors
///
/// An entry is not Raft's: its checksum was right, so another release wrote it.
pub fn restored(
    recovered: &Recovered,
    snapshot: Option<SnapshotMeta>,
) -> Result<tribune_raft::Restored, DecodeError> {
    let tribune_wal::HardState { term, vote } = recovered.hard_state;
    let entries = recovered.entries.iter().map(|it| Entry::from_bytes(it.payload.clone()));
    Ok(tribune_raft::Restored {
        hard_state: HardState { term, vote },
        snapshot,
        entries: entries.collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tribune_base::id::{Index, LogId, ServerId, Term};
    use tribune_base::time::Instant;
    use tribune_raft::{Appended, Config, Configuration, Message, Node, Output, Payload, Restored};
    use tribune_wal::{SegmentId, Tail};

    use super::*;

    const LAST: LogId = LogId { term: Term(5), index: Index(100) };
    const LEADER: ServerId = ServerId(1);

    /// A log in memory, written and read back as on a disk.
    struct Log {
        tail: Tail,
        bytes: Vec<u8>,
    }

    impl Log {
        /// With entries `1..=count` of `term`.
        fn new(term: u64, count: u64) -> Self {
            let mut this = Self { tail: Tail::default(), bytes: Vec::new() };
            this.tail.begin(SegmentId(1), &mut this.bytes);
            let entries = (1..=count).map(|it| entry(term, it)).collect();
            let hard_state = Some(HardState { term: Term(term), vote: None });
            let seq = tribune_raft::PersistSeq(1);
            this.write(&Persist { seq, hard_state, truncate_from: None, entries });
            this
        }

        fn write(&mut self, persist: &Persist) {
            let mut records = batch(persist).records;
            self.tail.bridge(&mut records);
            self.tail.append(&records, &mut self.bytes);
        }

        fn recover(&self) -> Recovered {
            let recovered =
                tribune_wal::recover(&[(SegmentId(1), Bytes::from(self.bytes.clone()))]);
            assert_eq!(recovered.damage, None);
            recovered
        }
    }

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: LogId::new(Term(term), Index(index)), payload: Payload::Empty }
    }

    fn meta() -> SnapshotMeta {
        let voters = [LEADER, ServerId(2)].map(|it| (it, String::new()));
        SnapshotMeta { last: LAST, configuration: Configuration::of_voters(voters) }
    }

    /// Drain `node`: write what it wants kept, and return what it says.
    fn drain(node: &mut Node, log: &mut Log) -> Vec<Message> {
        let mut said = Vec::new();
        while let Some(output) = node.poll_output() {
            match output {
                Output::Persist(persist) => {
                    log.write(&persist);
                    node.persisted(Instant::START, persist.seq);
                }
                Output::Send { message, .. } => said.push(message),
                Output::Commit(_)
                | Output::ReadReady { .. }
                | Output::ReadFailed { .. }
                | Output::RoleChanged { .. }
                | Output::TakeSnapshot(_)
                | Output::ForgetLog { .. }
                | Output::ReadSnapshot { .. }
                | Output::WriteSnapshot { .. }
                | Output::InstallSnapshot(_) => {}
            }
        }
        said
    }

    /// A follower crashes after its snapshot is durable and before its log says so. Whatever the
    /// log was, it goes on behind the snapshot, and is read back as that.
    #[test]
    fn a_log_goes_on_behind_an_installed_snapshot() {
        let cases = [
            ("there was no log", 0, 0),
            ("the log ended before", 3, 60),
            ("the log ended there, in another history", 3, 100),
            ("the log went on in another history", 3, 150),
            ("the log has it all", 5, 120),
        ];
        for (name, term, count) in cases {
            let mut log = Log::new(term.max(5), 0);
            let history = (1..=count).map(|it| entry(term, it)).collect();
            let seq = tribune_raft::PersistSeq(1);
            log.write(&Persist { seq, hard_state: None, truncate_from: None, entries: history });

            let restored = restored(&log.recover(), Some(meta())).unwrap();
            let mut node = Node::new(ServerId(2), Config::lan(1), restored, 7, Instant::START);
            let at = node.last();
            let next = Entry { id: LogId::new(Term(6), at.index.next()), ..entry(0, 1) };
            let message = Message::AppendEntries {
                term: Term(6),
                prev_log: at,
                entries: vec![next.clone()],
                leader_commit: LAST.index,
            };
            drain(&mut node, &mut log);
            node.step(Instant::START, LEADER, message);
            let said = drain(&mut node, &mut log);
            let matched = Appended::Matched(next.id.index);
            let answer = Message::AppendEntriesResponse { term: Term(6), result: matched };
            assert!(said.contains(&answer), "{name}: {said:?}");

            let again = self::restored(&log.recover(), Some(meta())).unwrap();
            assert_eq!(again.entries.last(), Some(&next), "{name}");
            let node = Node::new(ServerId(2), Config::lan(1), again, 7, Instant::START);
            assert_eq!(node.last(), next.id, "{name}");
        }
    }

    /// The same without a crash: what memory has given up must not come back from the disk.
    #[test]
    fn a_log_that_was_replaced_does_not_come_back() {
        let mut log = Log::new(3, 150);
        let restored = restored(&log.recover(), None).unwrap();
        let mut node = Node::new(ServerId(2), Config::lan(1), restored, 7, Instant::START);
        drain(&mut node, &mut log);
        let data = Bytes::from_static(b"state");
        let message =
            Message::InstallSnapshot { term: Term(6), meta: meta(), offset: 0, data, done: true };
        node.step(Instant::START, LEADER, message);
        drain(&mut node, &mut log);
        node.snapshot_written(Instant::START, LAST, 5);
        node.snapshot_installed(Instant::START, LAST);
        drain(&mut node, &mut log);

        let recovered = log.recover();
        assert_eq!(recovered.entries, []);
        let again = self::restored(&recovered, Some(meta())).unwrap();
        let node = Node::new(ServerId(2), Config::lan(1), again, 7, Instant::START);
        assert_eq!(node.last(), LAST);
    }

    #[test]
    fn nothing_is_restored_from_nothing() {
        let nothing = Log { tail: Tail::default(), bytes: Vec::new() };
        let restored = restored(&nothing.recover(), None).unwrap();
        assert_eq!(restored, Restored::default());
    }
}
