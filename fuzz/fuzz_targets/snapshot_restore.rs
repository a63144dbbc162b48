//! Any bytes are a state or an error; a state that could be read is whole.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_state::Store;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(store) = Store::restore([Bytes::copy_from_slice(bytes)]) {
        let again = Store::restore(store.snapshot().records());
        assert_eq!(again.as_ref(), Ok(&store));
    }
});
