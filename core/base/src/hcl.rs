//! Configuration files and ACL rules: HCL or JSON in, one value type out.
//!
//! HCL here is the language of the original's files, which is its first version: several attributes
//! may stand on one line, commas between them are optional, names may be quoted.

mod body;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

pub use serde_json::Value;

/// Which of the two languages a text is in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// HashiCorp's configuration language. A text that starts with `{` is read as JSON.
    Hcl,
    /// JSON.
    Json,
}

/// Why a text could not be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// Read `text`. Blocks become objects; several blocks of one name, a list of them. A label is a
/// member that the block nests in: `key "a" { … }` is `{"key": {"a": {…}}}`.
///
/// Of an attribute that is given twice, the last counts. `${…}` stays as it is written.
///
/// # Errors
///
/// What is wrong with it, and where: the line and the column, both from 1, the column in characters.
pub fn parse(text: &str, format: Format) -> Result<Value, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if format == Format::Json || text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| ParseError(error.to_string()));
    }
    parse::document(text).map_err(|mistake| {
        let before = &text[..mistake.at];
        let line = 1 + before.matches('\n').count();
        let start = before.rfind('\n').map_or(0, |it| it + 1);
        let column = 1 + before[start..].chars().count();
        ParseError(format!("line {line}, column {column}: {}", mistake.what))
    })
}

/// What is wrong, and at which byte.
#[derive(Debug)]
struct Mistake {
    at: usize,
    what: String,
}

impl Mistake {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}
