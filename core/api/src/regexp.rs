//! Regular expressions of somebody else's, with the original's words for what is wrong with them.

use regex::{Regex, RegexBuilder};

/// Understand an expression. Whoever sent it is told why it makes no sense.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(SIZE_MAX).build().map_err(|error| {
        // The library draws a picture; its last line says it in words.
        let drawn = error.to_string();
        let said = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
        words(said, text).unwrap_or_else(|| said.to_owned())
    })
}

/// How the original says it, as far as that is known.
fn words(said: &str, text: &str) -> Option<String> {
    let from = |what: char| &text[text.find(what).unwrap_or(0)..];
    Some(match said {
        "unclosed character class" => format!("missing closing ]: `{}`", from('[')),
        "unclosed group" => format!("missing closing ): `{text}`"),
        "unopened group" => format!("unexpected ): `{text}`"),
        "repetition operator missing expression" => {
            let operator = text.find(['*', '+', '?']).and_then(|at| text.get(at..=at))?;
            format!("missing argument to repetition operator: `{operator}`")
        }
        "incomplete escape sequence, reached end of pattern prematurely" => {
            "trailing backslash at end of expression: ``".to_owned()
        }
        "unrecognized escape sequence" | "backreferences are not supported" => {
            let known = |it: &(usize, &str)| Regex::new(&text[it.0..it.0 + 2]).is_err();
            let escapes = text.match_indices('\\').filter(|(at, _)| text.is_char_boundary(at + 2));
            let (at, _) = escapes.filter(|(at, _)| at + 2 <= text.len()).find(known)?;
            format!("invalid escape sequence: `{}`", &text[at..at + 2])
        }
        "invalid repetition count range, the start must be <= the end" => {
            format!("invalid repeat count: `{}`", between(text, '{', '}')?)
        }
        "unclosed capture group name" | "invalid capture group character" => {
            format!("invalid named capture: `{}`", &text[text.find("(?P<")?..])
        }
        "look-around, including look-ahead and look-behind, is not supported"
        | "unrecognized flag" => {
            let at = text.find("(?")?;
            let len = if text[at..].starts_with("(?<") { 4 } else { 3 };
            format!("invalid or unsupported Perl syntax: `{}`", text[at..].get(..len)?)
        }
        "invalid character class range, the start must be <= the end" => {
            let backwards = |it: &&[char]| it[1] == '-' && it[2] < it[0];
            let chars: Vec<_> = text.chars().collect();
            let range: String = chars.windows(3).find(backwards)?.iter().collect();
            format!("invalid character class range: `{range}`")
        }
        "Unicode property not found" => {
            let property = text[text.find("\\p").or_else(|| text.find("\\P"))?..].chars();
            let braced = property.clone().nth(2) == Some('{');
            let len = if braced { property.clone().position(|it| it == '}')? + 1 } else { 3 };
            format!("invalid character class range: `{}`", property.take(len).collect::<String>())
        }
        _ => return None,
    })
}

/// From the first `open` to the first `close` behind it, both included.
fn between(text: &str, open: char, close: char) -> Option<&str> {
    let rest = &text[text.find(open)?..];
    Some(&rest[..=rest.find(close)?])
}

/// The most memory that an expression may take when it is understood.
const SIZE_MAX: usize = 256 << 10;

#[test]
fn what_is_wrong_is_said_as_the_original_says_it() {
    let cases = [
        ("[", "missing closing ]: `[`"),
        ("a[b", "missing closing ]: `[b`"),
        ("(", "missing closing ): `(`"),
        ("(a", "missing closing ): `(a`"),
        (")", "unexpected ): `)`"),
        ("a)b", "unexpected ): `a)b`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("+", "missing argument to repetition operator: `+`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("\\d\\q", "invalid escape sequence: `\\q`"),
        ("\\1", "invalid escape sequence: `\\1`"),
        ("a{2,1}", "invalid repeat count: `{2,1}`"),
        ("a(?P<x", "invalid named capture: `(?P<x`"),
        ("(?=x)", "invalid or unsupported Perl syntax: `(?=`"),
        ("x(?<!y)", "invalid or unsupported Perl syntax: `(?<!`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        ("\\p{Foo}x", "invalid character class range: `\\p{Foo}`"),
    ];
    for (text, want) in cases {
        assert_eq!(compile(text).unwrap_err(), want, "{text}");
    }
    assert!(compile("^geo-(.*?)-([^\\-]+?)$").is_ok());
}
