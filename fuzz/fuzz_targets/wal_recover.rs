//! Any bytes are a log: what is left of them, or why not to go on. What is left is without gaps.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_wal::{SegmentId, recover};

fuzz_target!(|bytes: &[u8]| {
    let (one, two) = bytes.split_at(bytes.len() / 2);
    let segment = |id, bytes| (SegmentId(id), Bytes::copy_from_slice(bytes));
    for segments in [vec![segment(1, bytes)], vec![segment(1, one), segment(2, two)]] {
        let recovered = recover(&segments);
        let indexes = recovered.entries.iter().map(|it| it.index.0);
        assert!(indexes.eq((recovered.first.0..).take(recovered.entries.len())));
    }
});
