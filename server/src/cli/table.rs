//! Columns for people: no lines, two spaces between them, none at the end.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// `rows`, the first of which is the heading, aligned to the left.
pub(crate) fn columns(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|it| it.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Names and values, the values one under the other `gap` columns after the longest name.
pub(crate) fn pairs(rows: &[(&str, String)], gap: usize) -> String {
    let width = rows.iter().map(|it| it.0.chars().count()).max().unwrap_or(0) + gap;
    let line = |(name, value): &(&str, String)| format!("{name:width$}{value}");
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn columns_are_as_wide_as_they_must_be() {
    let row = |it: [&str; 3]| it.map(str::to_owned).to_vec();
    let text =
        columns([row(["Node", "ID", "Meta"]), row(["a", "12345678", ""]), row(["bä", "", "x"])]);
    assert_eq!(text, "Node  ID        Meta\na     12345678\nbä              x");
}

#[test]
fn pairs_line_up() {
    let text = pairs(&[("Key", "a".to_owned()), ("CreateIndex", "1".to_owned())], 6);
    assert_eq!(text, "Key              a\nCreateIndex      1");
}
