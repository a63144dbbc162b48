//! Base64 as people type it, and what to tell them when it is none.

use tribune_base::json;

/// Why a text is not base64, in the words that people search for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub(crate) struct IllegalBase64(usize);

/// The bytes that `text` writes.
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, IllegalBase64> {
    json::base64_decode(text).map_err(|at| {
        // A text that ends too early is wrong from its last group of four on.
        IllegalBase64(if at < text.len() { at } else { text.len() / 4 * 4 })
    })
}

#[test]
fn mistakes_are_located() {
    let cases = [("x", 0), ("!", 0), ("aGk", 0), ("aGVsbG8", 4), ("aG!=", 2)];
    for (text, at) in cases {
        assert_eq!(decode(text), Err(IllegalBase64(at)), "{text}");
    }
    assert_eq!(decode("aGk="), Ok(b"hi".to_vec()));
}
