//! Any bytes are a command or an error; a command survives being written and read.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_state::Command;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(command) = Command::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Command::decode(command.encode()), Ok(command));
    }
});
