//! What is not a crash: rot, and files that are missing, swapped, stale or foreign.

use bytes::Bytes;
use tribune_base::id::{Index, ServerId, Term};

#[cfg(feature = "planted-bugs")]
use tribune_base::bug::{self, Bug};

use crate::{Cause, Entry, HardState, Position, Record, Recovered, SegmentId, Tail, recover};

/// A log of three segments, with three flushes in each, and what it says.
struct Log {
    files: Vec<(SegmentId, Bytes)>,
    /// Where each flush ends.
    ends: Vec<Position>,
    whole: Recovered,
}

impl Log {
    fn new() -> Self {
        let mut tail = Tail::default();
        let mut files = Vec::new();
        let mut ends = Vec::new();
        for n in 1..=3 {
            let mut bytes = Vec::new();
            tail.begin(SegmentId(n), &mut bytes);
            for _ in 0..3 {
                tail.append(&[hard_state(n), entry(tail.next())], &mut bytes);
                tail.synced();
                ends.push(tail.position());
            }
            bytes.resize(1024, 0);
            files.push((SegmentId(n), Bytes::from(bytes)));
        }
        let whole = recover(&files);
        assert_eq!((whole.entries.len(), whole.torn, whole.damage), (9, false, None));
        Self { files, ends, whole }
    }

    /// The files, with `change` made to segment `id`.
    fn with(&self, id: u64, change: impl FnOnce(&mut Vec<u8>)) -> Vec<(SegmentId, Bytes)> {
        let mut files = self.files.clone();
        let (_, file) = files.iter_mut().find(|(it, _)| it.0 == id).unwrap();
        let mut bytes = file.to_vec();
        change(&mut bytes);
        *file = bytes.into();
        files
    }

    fn bytes(&self, id: u64) -> Bytes {
        self.files.iter().find(|(it, _)| it.0 == id).unwrap().1.clone()
    }
}

fn entry(index: Index) -> Record {
    let payload = Bytes::from(format!("entry {index}").repeat(8));
    Record::Entry(Entry { index, term: Term(1), payload })
}

fn hard_state(term: u64) -> Record {
    let vote = Some(ServerId(u128::from(term)));
    Record::HardState(HardState { term: Term(term), vote })
}

fn at(segment: u64, offset: u64) -> Position {
    Position { segment: SegmentId(segment), offset }
}

#[test]
fn a_flipped_bit_is_reported_or_harmless_and_never_data() {
    let log = Log::new();
    let last_flush = log.ends[7];
    for id in 1..=3 {
        for bit in 0..1024 * 8 {
            let recovered = recover(&log.with(id, |it| it[bit / 8] ^= 1 << (bit % 8)));
            let place = at(id, bit as u64 / 8);
            let flush = log.ends.iter().find(|it| place < **it && it.segment == place.segment);
            match flush {
                // Behind a segment's last batch there is nothing to damage.
                None => assert_eq!(recovered.entries, log.whole.entries, "{place}"),
                // The last flush looks torn, because nothing behind it vouches for it.
                Some(_) if last_flush <= place => {
                    assert_eq!(recovered.damage, None, "{place}");
                    assert!(recovered.torn, "{place}");
                    assert_eq!(recovered.tail.position(), last_flush, "{place}");
                }
                Some(_) => {
                    let damage = recovered.damage.unwrap();
                    assert!(damage.at <= place && damage.at.segment.0 == id, "{place}: {damage}");
                    assert!(place.offset < damage.at.offset + 128, "{place}: {damage}");
                }
            }
            assert_eq!(recovered.entries, log.whole.entries[..recovered.entries.len()]);
        }
    }
}

#[test]
fn an_empty_batch_vouches_for_the_last_flush() {
    let log = Log::new();
    let mut tail = log.whole.tail;
    tail.synced();
    let mut vouch = Vec::new();
    let from = tail.position().offset as usize;
    tail.append(&[], &mut vouch);
    let files = log.with(3, |it| {
        it[from..from + vouch.len()].copy_from_slice(&vouch);
        it[from - 60] ^= 1;
    });
    let evidence = at(3, from as u64);
    let damage = recover(&files).damage.unwrap();
    assert_eq!(damage.cause, Cause::Unreadable { evidence });
}

#[test]
fn damage_says_where_and_what_to_do() {
    let log = Log::new();
    let place = log.ends[0];
    let text = recover(&log.with(1, |it| it[place.offset as usize + 20] ^= 4)).damage.unwrap();
    let text = text.to_string();
    assert!(text.contains(&format!("0000000000000001.wal offset {}", place.offset)), "{text}");
    assert!(text.contains("delete its data directory and let it join again"), "{text}");
}

#[test]
fn a_lost_sector_is_damage_wherever_it_was_confirmed() {
    let log = Log::new();
    for (id, sector) in [(1, 0), (1, 512), (2, 0), (2, 512), (3, 0)] {
        let damage = recover(&log.with(id, |it| it[sector..sector + 512].fill(0))).damage;
        assert_eq!(damage.unwrap().at.segment.0, id, "{id} {sector}");
    }
}

#[test]
fn a_missing_segment_is_damage_if_a_later_one_swears_to_it() {
    let log = Log::new();
    let files = [(SegmentId(1), log.bytes(1)), (SegmentId(3), log.bytes(3))];
    let damage = recover(&files).damage.unwrap();
    assert_eq!(damage.at, at(2, 0));
    assert!(matches!(damage.cause, Cause::Missing { .. }), "{damage}");

    // A segment in which nothing was confirmed proves nothing.
    let files = [(SegmentId(1), log.bytes(1)), (SegmentId(3), Bytes::from(vec![0; 1024]))];
    let recovered = recover(&files);
    assert_eq!((recovered.damage, recovered.entries.len()), (None, 3));
}

#[test]
fn a_log_may_begin_late_and_says_so() {
    let log = Log::new();
    let recovered = recover(&log.files[1..]);
    assert_eq!((recovered.damage, recovered.first), (None, Index(4)));
    assert_eq!(recovered.entries, log.whole.entries[3..]);
    assert_eq!(recovered.hard_state, log.whole.hard_state);
    assert_eq!(recovered.segments, [(SegmentId(2), Index(4)), (SegmentId(3), Index(7))]);
}

#[test]
fn a_renamed_segment_is_damage() {
    let log = Log::new();
    let cases = [
        vec![(1, 2), (3, 3)],         // One of them lost, and one in its place.
        vec![(1, 1), (2, 2), (4, 3)], // The last one.
        vec![(7, 3)],                 // The only one.
        vec![(1, 2), (2, 1), (3, 3)], // Swapped.
        vec![(1, 3), (2, 2), (3, 3)], // The first overwritten with another.
    ];
    for case in cases {
        let files: Vec<_> = case.iter().map(|(id, of)| (SegmentId(*id), log.bytes(*of))).collect();
        let recovered = recover(&files);
        assert!(recovered.damage.is_some(), "{case:?}");
    }
}

#[test]
fn a_copy_under_a_later_name_is_remains() {
    let log = Log::new();
    for of in 1..=3 {
        let mut files = log.files.clone();
        files.push((SegmentId(4), log.bytes(of)));
        let recovered = recover(&files);
        assert_eq!((recovered.damage, recovered.torn), (None, true));
        assert_eq!(recovered.entries, log.whole.entries);
    }
}

#[test]
fn a_segment_shown_twice_counts_once() {
    let log = Log::new();
    let mut files = log.files.clone();
    files.insert(1, files[0].clone());
    files.push(files[1].clone());
    assert_eq!(recover(&files), log.whole);
}

/// Rot is no crash, and what is cleared after one does not come back: `crash_states` has the others.
#[cfg(feature = "planted-bugs")]
#[test]
#[allow(clippy::print_stdout, reason = "a table is made of it")]
fn planted_bugs_are_caught() {
    let cases: [(Bug, &str, fn()); 2] = [
        (Bug::W03, "a renamed segment is damage", a_renamed_segment_is_damage),
        (Bug::W07, "a lost sector is damage", a_lost_sector_is_damage_wherever_it_was_confirmed),
    ];
    for (bug, name, test) in cases {
        let caught = std::panic::catch_unwind(|| bug::with(bug, test)).is_err();
        assert!(caught, "nobody noticed {}: {}", bug.id(), bug.title());
        println!("planted {} | {name}", bug.id());
    }
}

#[cfg(feature = "planted-bugs")]
#[test]
fn without_the_segments_number_a_renamed_log_would_pass() {
    bug::with(Bug::W03, || {
        let log = Log::new();
        let recovered = recover(&[(SegmentId(7), log.bytes(3))]);
        assert_eq!((recovered.damage, recovered.entries.len()), (None, 3));
    });
}

#[cfg(feature = "planted-bugs")]
#[test]
fn without_looking_behind_rot_would_pass_for_a_torn_tail() {
    let log = Log::new();
    let files = log.with(2, |it| it[600] ^= 1);
    assert!(recover(&files).damage.is_some());
    let recovered = bug::with(Bug::W07, || recover(&files));
    assert_eq!(recovered.damage, None);
    assert!(recovered.entries.len() < log.whole.entries.len());
}

/// The first batch of a flush is lost in a crash, the second stays behind. The next life, whose
/// owner clears nothing, writes a batch of the same length over the hole. Returns how many entries
/// are believed.
fn entries_before_remains() -> usize {
    let mut before = Tail::default();
    let mut old = Vec::new();
    before.begin(SegmentId(1), &mut old);
    before.append(&[hard_state(1)], &mut old);
    let at = old.len();
    let mut tail = before;
    tail.append(&[entry(Index(1))], &mut old);
    tail.append(&[entry(Index(2))], &mut old);

    let mut new = Vec::new();
    let payload = Bytes::from("another".repeat(8));
    let another = Record::Entry(Entry { index: Index(1), term: Term(2), payload });
    before.append(&[another], &mut new);
    old[at..at + new.len()].copy_from_slice(&new);
    recover(&[(SegmentId(1), Bytes::from(old))]).entries.len()
}

#[test]
fn without_the_chain_remains_would_pass() {
    assert_eq!(entries_before_remains(), 1);
    #[cfg(feature = "planted-bugs")]
    assert_eq!(bug::with(Bug::W03, entries_before_remains), 2);
}

#[test]
fn another_release_is_named() {
    let log = Log::new();
    let files = log.with(2, |bytes| {
        let mut start = log.whole.tail.start(SegmentId(2));
        start.version = 2;
        bytes.clear();
        start.put(bytes);
    });
    let damage = recover(&files).damage.unwrap();
    assert_eq!((damage.at, damage.cause), (at(2, 0), Cause::Version { version: 2 }));
}

#[test]
fn an_index_past_all_numbers_ends_the_log() {
    let log = Log::new();
    let mut tail = log.whole.tail;
    let from = tail.position().offset as usize;
    let mut bytes = Vec::new();
    tail.append(&[Record::Truncate { from: Index(u64::MAX) }], &mut bytes);
    let end = tail.position();
    let body = [u64::MAX.to_le_bytes(), [0; 8]].concat();
    let chain = crate::frame::u32_at(&bytes, bytes.len() - 48).unwrap();
    let kind = crate::frame::Kind::Entry;
    crate::frame::put(&mut bytes, kind, end, chain, |it| it.extend_from_slice(&body));
    let recovered =
        recover(&log.with(3, |it| it[from..from + bytes.len()].copy_from_slice(&bytes)));
    assert_eq!((recovered.tail.position(), recovered.torn), (end, true));
    assert_eq!((recovered.first, recovered.entries), (Index(u64::MAX), Vec::new()));
}
