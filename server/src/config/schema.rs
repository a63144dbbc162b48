//! Reads one source by the table of keys: what is unknown or of the wrong type is named.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tribune_base::duration;

use super::key::{self, Key, Kind};

/// A value of the kind its key asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Setting {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Duration(Duration),
    Texts(Vec<String>),
    TextMap(BTreeMap<String, String>),
    DurationMap(BTreeMap<String, Duration>),
    Blocks(Vec<Value>),
    Raw(Value),
}

/// Everything that `value` sets, or everything that is wrong with it.
pub(crate) fn read(value: Value) -> Result<Vec<(&'static Key, Setting)>, Vec<String>> {
    let mut reader = Reader::default();
    if let Value::Object(fields) = value {
        reader.group("", fields);
    } else {
        reader.problems.push(not_a_map("", &value));
    }
    if reader.problems.is_empty() { Ok(reader.settings) } else { Err(reader.problems) }
}

#[derive(Default)]
struct Reader {
    settings: Vec<(&'static Key, Setting)>,
    problems: Vec<String>,
}

impl Reader {
    fn group(&mut self, prefix: &str, fields: Map<String, Value>) {
        for (name, value) in fields {
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            if let Some(key) = key::find(&path) {
                self.leaf(key, value);
            } else if key::is_group(&path) {
                let value = single(value);
                if let Value::Object(fields) = value {
                    self.group(&path, fields);
                } else if !value.is_null() {
                    self.problems.push(not_a_map(&path, &value));
                }
            } else {
                self.problems.push(format!("invalid config key {path}"));
            }
        }
    }

    fn leaf(&mut self, key: &'static Key, value: Value) {
        // `null` says nothing, and so leaves the say to others.
        if value.is_null() {
            return;
        }
        match convert(key, value) {
            Ok(setting) => self.settings.push((key, setting)),
            Err(problem) => self.problems.push(problem),
        }
    }
}

fn convert(key: &Key, value: Value) -> Result<Setting, String> {
    let path = key.path;
    match key.kind {
        Kind::Bool => value.as_bool().map(Setting::Bool).ok_or_else(|| wrong(path, "bool", &value)),
        Kind::Int => integer(path, "int", &value).map(Setting::Int),
        Kind::Uint => {
            let number = integer(path, "uint32", &value)?;
            if (0..=i64::from(u32::MAX)).contains(&number) {
                Ok(Setting::Int(number))
            } else {
                Err(format!("cannot parse '{path}', {number} overflows uint"))
            }
        }
        Kind::Float => {
            value.as_f64().map(Setting::Float).ok_or_else(|| wrong(path, "float64", &value))
        }
        Kind::Text => text(path, single(value)).map(Setting::Text),
        Kind::Duration => span(path, value).map(Setting::Duration),
        Kind::Texts => texts(path, value).map(Setting::Texts),
        Kind::TextMap => map(path, value, text).map(Setting::TextMap),
        Kind::DurationMap => map(path, value, |_, it| Ok(it))
            .and_then(|it| spans(path, it))
            .map(Setting::DurationMap),
        Kind::Blocks => blocks(path, value).map(Setting::Blocks),
        Kind::Raw => Ok(Setting::Raw(value)),
    }
}

fn integer(path: &str, wanted: &str, value: &Value) -> Result<i64, String> {
    // JSON does not tell 8500 from 8500.0, and neither do we.
    let whole = |it: &f64| it.fract() == 0.0 && it.abs() < 9e15;
    let number = value.as_i64().or_else(|| value.as_f64().filter(whole).map(|it| it as i64));
    number.ok_or_else(|| wrong(path, wanted, value))
}

fn text(path: &str, value: Value) -> Result<String, String> {
    if let Value::String(text) = value { Ok(text) } else { Err(wrong(path, "string", &value)) }
}

fn span(path: &str, value: Value) -> Result<Duration, String> {
    let text = text(path, value)?;
    duration::parse(&text).map_err(|error| format!("{path}: invalid duration: {text:?}: {error}"))
}

fn spans(
    path: &str,
    values: BTreeMap<String, Value>,
) -> Result<BTreeMap<String, Duration>, String> {
    let named = |(name, value)| {
        let span = span(&format!("{path}[{name:?}]"), value)?;
        Ok((name, span))
    };
    values.into_iter().map(named).collect()
}

fn texts(path: &str, value: Value) -> Result<Vec<String>, String> {
    let Value::Array(items) = value else {
        let got = type_name(&value);
        return Err(format!("'{path}': source data must be an array or slice, got {got}"));
    };
    let item = |(n, it)| text(&format!("{path}[{n}]"), it);
    items.into_iter().enumerate().map(item).collect()
}

fn map<T>(
    path: &str,
    value: Value,
    item: impl Fn(&str, Value) -> Result<T, String>,
) -> Result<BTreeMap<String, T>, String> {
    let value = single(value);
    let Value::Object(fields) = value else { return Err(not_a_map(path, &value)) };
    let field = |(name, it)| {
        let value = item(&format!("{path}[{name}]"), it)?;
        Ok((name, value))
    };
    fields.into_iter().map(field).collect()
}

fn blocks(path: &str, value: Value) -> Result<Vec<Value>, String> {
    let items = if let Value::Array(items) = value { items } else { vec![value] };
    let stray = items.iter().enumerate().find(|(_, it)| !it.is_object());
    if let Some((n, it)) = stray {
        return Err(not_a_map(&format!("{path}[{n}]"), it));
    }
    Ok(items)
}

/// A list of one thing is the thing: that is how a block comes out of some JSON writers.
fn single(value: Value) -> Value {
    if value.as_array().is_some_and(|it| it.len() == 1)
        && let Value::Array(mut items) = value
    {
        return items.remove(0);
    }
    value
}

fn wrong(path: &str, wanted: &str, value: &Value) -> String {
    let got = type_name(value);
    format!("'{path}' expected type '{wanted}', got unconvertible type '{got}'")
}

fn not_a_map(path: &str, value: &Value) -> String {
    format!("'{path}' expected a map, got '{}'", type_name(value))
}

/// What the original calls the type, since people search for its messages.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

#[test]
fn mistakes_read_like_the_originals() {
    use tribune_base::hcl::{Format, parse};
    let cases = [
        ("bogus_key = 1", "invalid config key bogus_key"),
        ("ports { bogus = 1 }", "invalid config key ports.bogus"),
        (
            "ports { http = \"x\" }",
            "'ports.http' expected type 'int', got unconvertible type 'string'",
        ),
        ("server = \"yes\"", "'server' expected type 'bool', got unconvertible type 'string'"),
        ("data_dir = 1", "'data_dir' expected type 'string', got unconvertible type 'int'"),
        ("ports = 3", "'ports' expected a map, got 'int'"),
        ("node_meta = [1]", "'node_meta' expected a map, got 'int'"),
        (
            "node_meta { a = 1 }",
            "'node_meta[a]' expected type 'string', got unconvertible type 'int'",
        ),
        ("retry_join = \"a\"", "'retry_join': source data must be an array or slice, got string"),
        (
            "retry_join = [1]",
            "'retry_join[0]' expected type 'string', got unconvertible type 'int'",
        ),
        (
            "check_update_interval = \"zz\"",
            "check_update_interval: invalid duration: \"zz\": time: invalid duration \"zz\"",
        ),
        (
            "check_update_interval = 5",
            "'check_update_interval' expected type 'string', got unconvertible type 'int'",
        ),
        (
            "dns_config {\n service_ttl { a = \"x\" }\n}",
            "dns_config.service_ttl[\"a\"]: invalid duration: \"x\": time: invalid duration \"x\"",
        ),
        (
            "dns_config {\n soa { refresh = \"x\" }\n}",
            "'dns_config.soa.refresh' expected type 'uint32', got unconvertible type 'string'",
        ),
        (
            "limits { kv_max_value_size = -1 }",
            "cannot parse 'limits.kv_max_value_size', -1 overflows uint",
        ),
        ("service = 1", "'service[0]' expected a map, got 'int'"),
    ];
    for (text, want) in cases {
        let got = read(parse(text, Format::Hcl).unwrap()).unwrap_err();
        assert_eq!(got, [want], "{text}");
    }
}

#[test]
fn every_mistake_is_named() {
    let value = serde_json::json!({ "a": 1, "server": 1, "ports": { "http": [] } });
    assert_eq!(read(value).unwrap_err().len(), 3);
}

#[test]
fn a_list_of_one_stands_for_the_thing() {
    let value = serde_json::json!({ "ports": [{ "http": 1 }], "client_addr": ["::1"] });
    let settings: Vec<_> = read(value).unwrap().into_iter().map(|it| (it.0.path, it.1)).collect();
    let want = [("ports.http", Setting::Int(1)), ("client_addr", Setting::Text("::1".into()))];
    assert_eq!(settings, want);
}
