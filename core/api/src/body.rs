//! Bodies of requests: JSON into fields, with the words of the original's decoder when they do not
//! fit. Names may be in any case; one that nothing is called is an error, because a typing error
//! must not turn into a default.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tribune_agent::definition::{self, DecodeError};
use tribune_base::duration;
use tribune_base::time::Duration;

use crate::error::Error;

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::bad(format!("Request decode failed: {error}"))
    }
}

/// Read a body as JSON.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Error> {
    Ok(definition::parse(body)?)
}

/// What is wrong with a body, without what most endpoints put in front.
pub(crate) fn reason(error: &Error) -> String {
    let text = error.to_string();
    text.strip_prefix("Request decode failed: ").unwrap_or(&text).to_owned()
}

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    value: &'a Value,
    /// The innermost structure it is in: `NodeService`.
    owner: &'static str,
    /// The names from the body down to it: `Service.Port`.
    path: String,
}

impl<'a> Field<'a> {
    /// A whole body.
    pub(crate) const fn body(value: &'a Value) -> Self {
        Self { value, owner: "", path: String::new() }
    }

    /// Whether there is anything. `null` stands for nothing.
    pub(crate) fn is_null(&self) -> bool {
        self.value.is_null()
    }

    /// Hand each field of an object to `set`, by its name in lower case; none if it is null. `set`
    /// says whether it knows the name.
    pub(crate) fn each(
        &self,
        structure: &'static str,
        mut set: impl FnMut(&str, &Self) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Some(fields) = self.object(structure)? else { return Ok(()) };
        let owner = structure.rsplit('.').next().unwrap_or_default();
        for (name, value) in fields {
            let path = match self.path.as_str() {
                "" => name.clone(),
                outer => format!("{outer}.{name}"),
            };
            if !set(&name.to_ascii_lowercase(), &Self { value, owner, path })? {
                return Err(DecodeError::UnknownField(name.clone()).into());
            }
        }
        Ok(())
    }

    /// The elements of a list; none if it is null.
    pub(crate) fn list(&self, expected: &'static str) -> Result<Vec<Self>, Error> {
        if self.is_null() {
            return Ok(Vec::new());
        }
        let items = self.value.as_array().ok_or_else(|| self.mismatch(expected))?;
        Ok(items.iter().map(|it| self.inside(it)).collect())
    }

    pub(crate) fn string(&self) -> Result<String, Error> {
        if self.is_null() {
            return Ok(String::new());
        }
        self.value.as_str().map(ToOwned::to_owned).ok_or_else(|| self.mismatch("string"))
    }

    pub(crate) fn bool(&self) -> Result<bool, Error> {
        if self.is_null() {
            Ok(false)
        } else {
            self.value.as_bool().ok_or_else(|| self.mismatch("bool"))
        }
    }

    pub(crate) fn int(&self) -> Result<i64, Error> {
        let Value::Number(number) = self.value else {
            return if self.is_null() { Ok(0) } else { Err(self.mismatch("int")) };
        };
        number.as_i64().ok_or_else(|| self.error(format!("number {number}"), "int"))
    }

    /// A number that is not negative; `expected` is its type in the original's words.
    pub(crate) fn uint(&self, expected: &'static str) -> Result<u64, Error> {
        let Value::Number(number) = self.value else {
            return if self.is_null() { Ok(0) } else { Err(self.mismatch(expected)) };
        };
        number.as_u64().ok_or_else(|| self.error(format!("number {number}"), expected))
    }

    pub(crate) fn float(&self) -> Result<f64, Error> {
        if self.is_null() {
            return Ok(0.0);
        }
        self.value.as_f64().ok_or_else(|| self.mismatch("float64"))
    }

    /// `"10s"`, or nanoseconds.
    pub(crate) fn duration(&self) -> Result<Duration, Error> {
        match self.value {
            Value::Null => Ok(Duration::ZERO),
            Value::String(text) => Ok(duration::parse(text).map_err(DecodeError::from)?),
            Value::Number(_) => self.uint("time.Duration").map(Duration::from_nanos),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(self.mismatch("string")),
        }
    }

    pub(crate) fn strings(&self) -> Result<Vec<String>, Error> {
        self.list("[]string")?.iter().map(Self::string).collect()
    }

    /// An object of lists of strings.
    pub(crate) fn string_lists(&self) -> Result<BTreeMap<String, Vec<String>>, Error> {
        let Some(fields) = self.object("map[string][]string")? else { return Ok(BTreeMap::new()) };
        let pair = |(key, value): (&String, _)| Ok((key.clone(), self.inside(value).strings()?));
        fields.iter().map(pair).collect()
    }

    /// An object of strings. What is left out stays different from what is empty.
    pub(crate) fn map(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(fields) = self.object("map[string]string")? else { return Ok(None) };
        let pair = |(key, value): (&String, _)| Ok((key.clone(), self.inside(value).string()?));
        fields.iter().map(pair).collect::<Result<_, Error>>().map(Some)
    }

    /// The names and values of an object.
    pub(crate) fn entries(
        &self,
        expected: &'static str,
    ) -> Result<Option<Vec<(&'a str, Self)>>, Error> {
        let Some(fields) = self.object(expected)? else { return Ok(None) };
        Ok(Some(fields.iter().map(|(name, it)| (name.as_str(), self.inside(it))).collect()))
    }

    /// Whether nothing is said: null, false, zero, empty, or made of nothing else. Clients write
    /// such forms of what they do not use.
    pub(crate) fn is_vacant(&self) -> bool {
        is_vacant(self.value)
    }

    fn object(&self, expected: &'static str) -> Result<Option<&'a Map<String, Value>>, Error> {
        if self.is_null() {
            return Ok(None);
        }
        self.value.as_object().map(Some).ok_or_else(|| self.mismatch(expected))
    }

    fn inside(&self, value: &'a Value) -> Self {
        Self { value, owner: self.owner, path: self.path.clone() }
    }

    fn mismatch(&self, expected: &'static str) -> Error {
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

    fn error(&self, found: String, expected: &'static str) -> Error {
        let at = match self.path.as_str() {
            "" => "value".to_owned(),
            path => format!("struct field {}.{path}", self.owner),
        };
        DecodeError::Type { found, at, expected }.into()
    }
}

fn is_vacant(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64() == Some(0.0),
        Value::String(it) => it.is_empty() || it == "0s",
        Value::Array(it) => it.iter().all(is_vacant),
        Value::Object(it) => it.values().all(is_vacant),
    }
}
