//! Any bytes are a preamble, frames and messages, or an error; and what was understood survives
//! being written and read. The first byte says whether a preamble comes first.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tribune_core::Wire;
use tribune_io::rpc::{Preamble, frame};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    if let Ok(message) = Wire::decode(BytesMut::from(rest).freeze()) {
        assert_eq!(Wire::decode(message.encode()), Ok(message));
    }
    let mut buffer = BytesMut::from(rest);
    if first & 1 == 1 {
        let Ok(Some(preamble)) = Preamble::take(&mut buffer) else { return };
        let again = Preamble::take(&mut preamble.encode());
        assert_eq!(again.expect("we wrote it"), Some(preamble));
    }
    while let Ok(Some(payload)) = frame::take(&mut buffer, LEN_MAX) {
        let mut framed = BytesMut::new();
        frame::put(&payload, &mut framed);
        assert_eq!(frame::take(&mut framed, LEN_MAX), Ok(Some(payload.clone())));
        if let Ok(message) = Wire::decode(payload) {
            assert_eq!(Wire::decode(message.encode()), Ok(message));
        }
    }
});

const LEN_MAX: usize = 1 << 16;
