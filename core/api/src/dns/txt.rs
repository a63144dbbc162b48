//! The metadata of a node, as text (RFC 1464).

use tribune_base::rng::Rng;
use tribune_state::Node;

use super::{Owner, Record, RecordData};

/// One row for each entry of the node's metadata, in random order.
pub(super) fn rows(node: &Node, owner: &Owner, ttl: u32, rng: &mut Rng) -> Vec<Record> {
    let texts = node.meta.iter().flatten().map(|(key, value)| RecordData::Txt(text(key, value)));
    let mut rows: Vec<_> = texts.map(|data| Record { owner: owner.clone(), ttl, data }).collect();
    rng.shuffle(&mut rows);
    rows
}

fn text(key: &str, value: &str) -> String {
    // A key like this says that the value is to be left alone.
    let bare = key.get(..8).is_some_and(|it| it.eq_ignore_ascii_case("rfc1035-"));
    if bare { value.to_owned() } else { quoted(key) + "=" + value }
}

/// `key` with a backquote before everything that would end it, or be lost at its ends.
fn quoted(key: &str) -> String {
    let is_blank = |it: char| matches!(it, ' ' | '\t');
    let inner = key.trim_start_matches(is_blank);
    let start = key.len() - inner.len();
    let end = start + inner.trim_end_matches(is_blank).len();

    let mut quoted = String::with_capacity(key.len());
    for (at, letter) in key.char_indices() {
        if matches!(letter, '=' | '`') || at < start || end <= at {
            quoted.push('`');
        }
        quoted.push(letter);
    }
    quoted
}

#[test]
fn texts_are_quoted_as_the_rfc_wants_it() {
    let cases = [
        ("color", "blue", "color=blue"),
        ("equation", "a=4", "equation=a=4"),
        ("a=a", "true", "a`=a=true"),
        ("a\\=a", "false", "a\\`=a=false"),
        ("=", "\\=", "`==\\="),
        ("string", "\"Cat\"", "string=\"Cat\""),
        ("a`b", "c", "a``b=c"),
        (" a b\t", "123 ", "` a b`\t=123 "),
        ("  ", "x", "` ` =x"),
        ("rfc1035-x", "y=z", "y=z"),
        ("RFC1035-", "y", "y"),
        ("", "y", "=y"),
    ];
    for (key, value, want) in cases {
        assert_eq!(text(key, value), want, "{key:?}");
    }
}
