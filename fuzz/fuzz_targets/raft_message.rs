//! Any bytes are a message or an error; a message survives being written and read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_raft::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::from_bytes(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Message::from_bytes(message.to_bytes()), Ok(message));
    }
});
