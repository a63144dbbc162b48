//! What holds for all logs, and for all bytes.

use bytes::Bytes;
use proptest::prelude::*;
use tribune_base::id::{Index, ServerId, Term};

use crate::frame::{self, Kind};
use crate::{Entry, HardState, Position, Record, SegmentId, Tail, recover};

/// Steps of a writer; indexes are made to fit.
#[derive(Clone, Debug)]
enum Step {
    Entry(Vec<u8>),
    HardState(u64, Option<u128>),
    Truncate(u64),
    Commit,
    Rotate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Entry),
        1 => any::<(u64, Option<u128>)>().prop_map(|(term, vote)| Step::HardState(term, vote)),
        1 => (1_u64..20).prop_map(Step::Truncate),
        4 => Just(Step::Commit),
        1 => Just(Step::Rotate),
    ]
}

/// Frames with a valid checksum and any body.
fn forged() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..48),
        prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..48),
    ];
    prop::collection::vec((2_u8..6, body), 0..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read(steps in prop::collection::vec(step(), 0..60)) {
        let mut tail = Tail::default();
        let mut files = vec![(SegmentId(1), Vec::new())];
        tail.begin(SegmentId(1), &mut files[0].1);
        tail.append(&[], &mut files[0].1);
        let (mut log, mut first) = (Vec::<Entry>::new(), 1);
        let (mut batch, mut next) = (Vec::new(), 1);
        for step in steps.into_iter().chain([Step::Commit]) {
            match step {
                Step::Entry(payload) => {
                    let (index, payload) = (Index(next), Bytes::from(payload));
                    batch.push(Record::Entry(Entry { index, term: Term(1), payload }));
                    next += 1;
                }
                Step::HardState(term, vote) => {
                    let vote = vote.map(ServerId);
                    batch.push(Record::HardState(HardState { term: Term(term), vote }));
                }
                Step::Truncate(from) => {
                    batch.push(Record::Truncate { from: Index(from) });
                    next = from;
                }
                Step::Commit => {
                    tail.append(&batch, &mut files.last_mut().unwrap().1);
                    for record in batch.drain(..) {
                        match record {
                            Record::Entry(entry) => log.push(entry),
                            Record::HardState(_) => (),
                            Record::Truncate { from } => {
                                let gap = first + (log.len() as u64) < from.0;
                                log.retain(|it| it.index < from && !gap);
                                first = log.first().map_or(from.0, |it| it.index.0);
                            }
                        }
                    }
                }
                Step::Rotate => {
                    let id = tail.position().segment.next();
                    // A segment begins with a batch.
                    if batch.is_empty() {
                        let mut bytes = Vec::new();
                        tail.begin(id, &mut bytes);
                        tail.append(&[], &mut bytes);
                        files.push((id, bytes));
                    }
                }
            }
        }
        let files: Vec<_> = files.into_iter().map(|(id, it)| (id, Bytes::from(it))).collect();
        let recovered = recover(&files);
        prop_assert_eq!(recovered.damage, None);
        prop_assert!(!recovered.torn);
        prop_assert_eq!(recovered.tail.position(), tail.position());
        prop_assert_eq!(recovered.hard_state, tail.hard_state());
        prop_assert_eq!(recovered.tail.next(), Index(next));
        prop_assert_eq!(recovered.entries, log);
    }

    #[test]
    fn any_bytes_are_some_log(files in prop::collection::vec((0_u64..5, any::<Vec<u8>>()), 0..4)) {
        let files: Vec<_> =
            files.into_iter().map(|(id, it)| (SegmentId(id), Bytes::from(it))).collect();
        let recovered = recover(&files);
        prop_assert_eq!(recovered.entries, []);
    }

    #[test]
    fn a_forged_frame_is_sense_or_the_end(frames in forged(), id in 1_u64..3) {
        let mut bytes = Vec::new();
        let segment = SegmentId(id);
        let mut tail = Tail::default();
        tail.begin(segment, &mut bytes);
        let mut chain = frame::u32_at(&bytes, 0).unwrap();
        for (kind, body) in frames {
            let kind = [Kind::Entry, Kind::HardState, Kind::Truncate, Kind::Commit]
                [usize::from(kind) - 2];
            let at = Position { segment, offset: bytes.len() as u64 };
            chain = frame::put(&mut bytes, kind, at, chain, |it| it.extend_from_slice(&body));
        }
        let recovered = recover(&[(segment, Bytes::from(bytes))]);
        let mut next = recovered.first;
        for entry in &recovered.entries {
            prop_assert_eq!(entry.index, next);
            next = next.next();
        }
    }
}
