//! JSON into fields, with the words of the original's decoder when they do not fit.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tribune_base::duration::{self, DurationError};
use tribune_base::time::Duration;

/// Why a definition could not be read. The API puts `Request decode failed: ` in front.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// There is nothing to read.
    #[error("EOF")]
    Empty,

    /// The text ends in the middle of a value.
    #[error("unexpected EOF")]
    Truncated,

    /// Not JSON.
    #[error("{0}")]
    Syntax(String),

    /// Nothing is called this. A typing error must not turn into a default.
    #[error("json: unknown field {0:?}")]
    UnknownField(String),

    /// The wrong kind of value.
    #[error("json: cannot unmarshal {found} into Go {at} of type {expected}")]
    Type {
        /// What stands there: `string`, `number 1.5`, ...
        found: String,
        /// Where: `struct field .Port`, or `value`.
        at: String,
        /// What should: `int`, `[]string`, ...
        expected: &'static str,
    },

    /// A duration nobody can read.
    #[error(transparent)]
    Duration(#[from] DurationError),
}

/// What to do with a field that nothing is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnknownFields {
    /// Refuse it: people write these by hand.
    Refused,
    /// Skip it: a later release wrote this.
    Skipped,
}

/// Read JSON text into a value.
///
/// # Errors
///
/// The three that concern the text as a whole.
pub fn parse(text: &[u8]) -> Result<Value, DecodeError> {
    if text.trim_ascii().is_empty() {
        return Err(DecodeError::Empty);
    }
    serde_json::from_slice(text).map_err(|error| {
        if error.is_eof() { DecodeError::Truncated } else { DecodeError::Syntax(error.to_string()) }
    })
}

/// A value, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) value: &'a Value,
    pub(super) at: &'a str,
}

impl<'a> Field<'a> {
    /// The fields of an object; none if it is null.
    pub(super) fn object(
        self,
        expected: &'static str,
    ) -> Result<Option<&'a Map<String, Value>>, DecodeError> {
        if self.value.is_null() {
            return Ok(None);
        }
        self.value.as_object().map(Some).ok_or_else(|| self.mismatch(expected))
    }

    /// The elements of a list; none if it is null.
    pub(super) fn list(self, expected: &'static str) -> Result<&'a [Value], DecodeError> {
        if self.value.is_null() {
            return Ok(&[]);
        }
        let items = self.value.as_array().ok_or_else(|| self.mismatch(expected))?;
        Ok(items)
    }

    pub(super) fn string(self) -> Result<String, DecodeError> {
        if self.value.is_null() {
            return Ok(String::new());
        }
        self.value.as_str().map(str::to_owned).ok_or_else(|| self.mismatch("string"))
    }

    pub(super) fn bool(self) -> Result<bool, DecodeError> {
        if self.value.is_null() {
            return Ok(false);
        }
        self.value.as_bool().ok_or_else(|| self.mismatch("bool"))
    }

    /// An integer; a fraction is named in the error.
    pub(super) fn int(self) -> Result<i64, DecodeError> {
        let Value::Number(number) = self.value else {
            return if self.value.is_null() { Ok(0) } else { Err(self.mismatch("int")) };
        };
        number.as_i64().ok_or_else(|| self.error(format!("number {number}"), "int"))
    }

    pub(super) fn strings(self) -> Result<Vec<String>, DecodeError> {
        let items = self.list("[]string")?;
        items.iter().map(|value| Field { value, ..self }.string()).collect()
    }

    pub(super) fn string_map(self) -> Result<BTreeMap<String, String>, DecodeError> {
        let Some(fields) = self.object("map[string]string")? else { return Ok(BTreeMap::new()) };
        let pair =
            |(key, value): (&String, _)| Ok((key.clone(), Field { value, ..self }.string()?));
        fields.iter().map(pair).collect()
    }

    pub(super) fn string_list_map(self) -> Result<BTreeMap<String, Vec<String>>, DecodeError> {
        let Some(fields) = self.object("map[string][]string")? else { return Ok(BTreeMap::new()) };
        let pair =
            |(key, value): (&String, _)| Ok((key.clone(), Field { value, ..self }.strings()?));
        fields.iter().map(pair).collect()
    }

    /// `"10s"`, or nanoseconds. What is not above zero is zero, as if it had been left out.
    pub(super) fn duration(self) -> Result<Duration, DecodeError> {
        match self.value {
            Value::Null => Ok(Duration::ZERO),
            Value::String(text) if text.is_empty() => Ok(Duration::ZERO),
            Value::String(text) => match text.strip_prefix('-') {
                Some(rest) => match duration::parse(rest) {
                    Ok(_) => Ok(Duration::ZERO),
                    Err(error) => Err(about(error, text).into()),
                },
                None => Ok(duration::parse(text)?),
            },
            Value::Number(number) => {
                let nanos = number.as_f64().unwrap_or_default().max(0.0) as u64;
                Ok(Duration::from_nanos(number.as_u64().unwrap_or(nanos)))
            }
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(self.mismatch("string")),
        }
    }

    pub(super) fn mismatch(self, expected: &'static str) -> DecodeError {
        let found = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.error(found.to_owned(), expected)
    }

    fn error(self, found: String, expected: &'static str) -> DecodeError {
        let at =
            if self.at.is_empty() { "value".into() } else { format!("struct field {}", self.at) };
        DecodeError::Type { found, at, expected }
    }
}

/// An error about a part of `text`, as one about all of it.
fn about(error: DurationError, text: &str) -> DurationError {
    let text = text.to_owned();
    match error {
        DurationError::Invalid(_) => DurationError::Invalid(text),
        DurationError::MissingUnit(_) => DurationError::MissingUnit(text),
        DurationError::UnknownUnit { unit, .. } => DurationError::UnknownUnit { unit, text },
    }
}

/// One spelling for `EnableTagOverride`, `enable_tag_override` and `enabletagoverride`.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|it| *it != '_').map(|it| it.to_ascii_lowercase()).collect()
}

/// Refuse or skip a field nobody knows.
pub(super) fn unknown(name: &str, policy: UnknownFields) -> Result<(), DecodeError> {
    match policy {
        UnknownFields::Refused => Err(DecodeError::UnknownField(name.to_owned())),
        UnknownFields::Skipped => Ok(()),
    }
}
