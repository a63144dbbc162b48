//! Regular expressions of flags, and what is wrong with one in words that people search for.

use regex::Regex;

/// Understand `text`, or say why not.
pub(crate) fn compile(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        // The library draws a picture; its last line says it in words.
        let drawn = error.to_string();
        let reason = drawn.lines().last().unwrap_or_default().trim_start_matches("error: ");
        let reason = match reason {
            "unclosed character class" => {
                format!("missing closing ]: `{}`", &text[text.find('[').unwrap_or(0)..])
            }
            "unclosed group" => format!("missing closing ): `{text}`"),
            other => other.to_owned(),
        };
        format!("error parsing regexp: {reason}")
    })
}

#[test]
fn mistakes_read_like_the_originals() {
    let wrong = |text| compile(text).unwrap_err();
    assert_eq!(wrong("a["), "error parsing regexp: missing closing ]: `[`");
    assert_eq!(wrong("(a"), "error parsing regexp: missing closing ): `(a`");
    assert!(compile("a.*[bc]").unwrap().is_match("xaxb"));
}
