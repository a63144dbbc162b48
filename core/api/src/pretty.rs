//! Indented JSON, for people.

use crate::http::Response;

/// A JSON answer, indented if wanted.
pub(crate) fn response(status: u16, body: Vec<u8>, pretty: bool) -> Response {
    Response::json(status, if pretty { indent(&body) } else { body })
}

/// Indent compact JSON by four spaces a level, and end it with a newline. What is empty stays on
/// one line.
pub(crate) fn indent(compact: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(compact.len() * 2 + 1);
    let mut depth = 0;
    let mut bytes = compact.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                out.push(byte);
                let mut escaped = false;
                for byte in bytes.by_ref() {
                    out.push(byte);
                    match byte {
                        b'"' if !escaped => break,
                        b'\\' => escaped = !escaped,
                        _ => escaped = false,
                    }
                }
            }
            b'{' | b'[' => {
                out.push(byte);
                if let Some(close) = bytes.next_if(|it| *it == b'}' || *it == b']') {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(depth, &mut out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                new_line(depth, &mut out);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                new_line(depth, &mut out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}

fn new_line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.resize(out.len() + depth * 4, b' ');
}

#[test]
fn shapes_of_json() {
    let cases = [
        ("true", "true\n"),
        ("[]", "[]\n"),
        (
            r#"{"a":{},"b":[1,2]}"#,
            "{\n    \"a\": {},\n    \"b\": [\n        1,\n        2\n    ]\n}\n",
        ),
        // Nothing inside a string is structure.
        (r#"["{\"a\":[,]}\\"]"#, "[\n    \"{\\\"a\\\":[,]}\\\\\"\n]\n"),
    ];
    for (compact, want) in cases {
        let got = String::from_utf8(indent(compact.as_bytes())).unwrap();
        assert_eq!(got, want, "{compact}");
    }
}
