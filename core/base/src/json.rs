//! The manners of this API's JSON, over serde: values in base64, durations as text or number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::time::Duration;

/// Append `bytes` to `out` in base64 (RFC 4648, with padding).
pub fn base64_into(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    assert_eq!(written, Ok(out.len() - start), "base64 has a fixed length");
}

/// `bytes` in base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Why a text is not base64, in the words that people search for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct IllegalBase64(usize);

/// The bytes that `text` writes in base64.
///
/// # Errors
///
/// It is none.
pub fn base64_decode(text: &str) -> Result<Vec<u8>, IllegalBase64> {
    // A text that ends too early is wrong from its last group of four on.
    let last_group = text.len() / 4 * 4;
    STANDARD.decode(text).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _)
        | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => IllegalBase64(at),
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
            IllegalBase64(last_group)
        }
    })
}

#[test]
fn mistakes_in_base64_are_located() {
    let cases = [("x", 0), ("!", 0), ("!!!", 0), ("aGk", 0), ("aGVsbG8", 4), ("aG!=", 2)];
    for (text, at) in cases {
        assert_eq!(base64_decode(text), Err(IllegalBase64(at)), "{text}");
    }
    assert_eq!(base64_decode("aGk="), Ok(b"hi".to_vec()));
}

/// Append `text` to `out` as a JSON string, quotes included.
///
/// `<`, `>`, `&` and the two Unicode line separators are escaped, as the original does: clients
/// that compare bytes see no difference.
pub fn string_into(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut plain = 0;
    for (at, it) in text.char_indices() {
        let escape: &[u8] = match it {
            '"' => b"\\\"",
            '\\' => b"\\\\",
            '\n' => b"\\n",
            '\r' => b"\\r",
            '\t' => b"\\t",
            '<' => b"\\u003c",
            '>' => b"\\u003e",
            '&' => b"\\u0026",
            '\u{2028}' => b"\\u2028",
            '\u{2029}' => b"\\u2029",
            '\0'..' ' => {
                out.extend_from_slice(&text.as_bytes()[plain..at]);
                out.extend_from_slice(format!("\\u{:04x}", u32::from(it)).as_bytes());
                plain = at + it.len_utf8();
                continue;
            }
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        out.extend_from_slice(escape);
        plain = at + it.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// A duration field: a text like `10s`, or a number of nanoseconds. For `deserialize_with`.
pub fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Nanos(u64),
        Text(String),
    }
    match Form::deserialize(deserializer)? {
        Form::Nanos(nanos) => Ok(Duration::from_nanos(nanos)),
        Form::Text(text) if text.is_empty() => Ok(Duration::ZERO),
        Form::Text(text) => crate::duration::parse(&text).map_err(D::Error::custom),
    }
}

/// A list where `null` means empty. For `deserialize_with`.
pub fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[test]
fn strings_are_escaped_as_the_original_does() {
    let cases = [
        ("plain", r#""plain""#),
        ("say \"a\\b\"", r#""say \"a\\b\"""#),
        ("a\nb\u{1}", r#""a\nb\u0001""#),
        ("<&>", r#""\u003c\u0026\u003e""#),
        ("ü\u{2028}", r#""ü\u2028""#),
    ];
    for (text, want) in cases {
        let mut out = Vec::new();
        string_into(text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}

#[test]
fn base64_round_trips() {
    for bytes in [&b""[..], b"v", b"v1", b"v1x", b"\0\xff\x80"] {
        let mut out = Vec::new();
        base64_into(bytes, &mut out);
        assert_eq!(base64_decode(str::from_utf8(&out).unwrap()).unwrap(), bytes);
    }
}
