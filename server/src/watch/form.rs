//! What is told, byte for byte as the original's client library writes it.
//!
//! Programs that read a watch's JSON were written against that library: it has its own order of
//! fields, writes some that the API leaves out, and escapes what HTML would misread.

use serde_json::{Map, Value};
use tribune_base::json;

use super::plan::Kind;

/// An answer's value in the library's form.
pub(crate) fn shape(kind: &Kind, value: Value) -> Value {
    match kind {
        Kind::Key(_) => {
            let first = value.get(0).cloned();
            first.map_or(Value::Null, pair)
        }
        Kind::KeyPrefix(_) => each(value, pair),
        Kind::Services => {
            let mut services = value;
            if let Some(services) = services.as_object_mut() {
                services.sort_keys();
            }
            services
        }
        Kind::Service { .. } => each(value, entry),
        Kind::ServiceChecks(_) | Kind::StateChecks(_) => each(value, check),
        Kind::Event(_) => each(value, event),
        Kind::Nodes => value,
    }
}

/// Only the events after the one that `index` stands for; all if it is not among them, any more or
/// at all.
pub(crate) fn events_after(index: u64, events: Value) -> Value {
    let Value::Array(mut events) = events else { return events };
    let id = |it: &Value| it.get("ID").and_then(Value::as_str).map(str::to_owned);
    let at = events.iter().position(|it| id(it).and_then(|it| event_index(&it)) == Some(index));
    if let Some(at) = at {
        events.drain(..=at);
    }
    Value::Array(events)
}

/// The index of an event list that ends in the event called `id`: the halves of it, combined.
fn event_index(id: &str) -> Option<u64> {
    let digits: String = id.chars().filter(|it| *it != '-').collect();
    let bits = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some((bits >> 64) as u64 ^ bits as u64)
}

/// `value` as text: in one line, or with its fields one below the other, `indent` deeper each time.
pub(crate) fn write(value: &Value, indent: Option<&str>) -> String {
    let mut out = Vec::new();
    write_into(value, indent, 0, &mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn write_into(value: &Value, indent: Option<&str>, depth: usize, out: &mut Vec<u8>) {
    let line = |depth: usize, out: &mut Vec<u8>| {
        if let Some(indent) = indent {
            out.push(b'\n');
            out.extend_from_slice(indent.repeat(depth).as_bytes());
        }
    };
    match value {
        Value::String(text) => json::string_into(text, out),
        Value::Array(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                out.push(if n == 0 { b'[' } else { b',' });
                line(depth + 1, out);
                write_into(item, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(b']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (n, (name, field)) in fields.iter().enumerate() {
                out.push(if n == 0 { b'{' } else { b',' });
                line(depth + 1, out);
                json::string_into(name, out);
                out.extend_from_slice(if indent.is_some() { b": " } else { b":" });
                write_into(field, indent, depth + 1, out);
            }
            line(depth, out);
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
        }
    }
}

fn each(value: Value, shape: impl Fn(Value) -> Value) -> Value {
    let Value::Array(items) = value else { return value };
    Value::Array(items.into_iter().map(shape).collect())
}

fn pair(value: Value) -> Value {
    ordered(value, PAIR)
}

fn event(value: Value) -> Value {
    ordered(value, EVENT)
}

fn entry(mut value: Value) -> Value {
    if let Some(it) = value.get_mut("Service") {
        *it = ordered(it.take(), SERVICE);
    }
    if let Some(it) = value.get_mut("Checks") {
        *it = each(it.take(), check);
    }
    value
}

fn check(mut value: Value) -> Value {
    if let Some(it) = value.get_mut("Definition") {
        *it = ordered(it.take(), DEFINITION);
    }
    value
}

/// An object's fields in the order of a table, with what the table has for those that are missing.
/// Fields that the table does not know come last, as they came.
fn ordered(value: Value, table: &[(&str, Missing)]) -> Value {
    let Value::Object(mut fields) = value else { return value };
    let mut all = Map::new();
    for (name, missing) in table {
        let value = match (fields.shift_remove(*name), missing) {
            (Some(value), _) => value,
            (None, Missing::Absent) => continue,
            (None, Missing::Null) => Value::Null,
            (None, Missing::False) => false.into(),
            (None, Missing::Zero) => 0.into(),
            (None, Missing::Text(text)) => (*text).into(),
        };
        all.insert((*name).to_owned(), value);
    }
    all.extend(fields);
    Value::Object(all)
}

/// What stands for a field that is missing.
#[derive(Clone, Copy)]
enum Missing {
    Absent,
    Null,
    False,
    Zero,
    Text(&'static str),
}

#[rustfmt::skip] // Tables: one row, one line.
const PAIR: &[(&str, Missing)] = &[
    ("Key", Missing::Text("")),
    ("CreateIndex", Missing::Zero),
    ("ModifyIndex", Missing::Zero),
    ("LockIndex", Missing::Zero),
    ("Flags", Missing::Zero),
    ("Value", Missing::Null),
    ("Session", Missing::Text("")),
];

#[rustfmt::skip]
const EVENT: &[(&str, Missing)] = &[
    ("ID", Missing::Text("")),
    ("Name", Missing::Text("")),
    ("Payload", Missing::Null),
    ("NodeFilter", Missing::Text("")),
    ("ServiceFilter", Missing::Text("")),
    ("TagFilter", Missing::Text("")),
    ("Version", Missing::Zero),
    ("LTime", Missing::Zero),
];

#[rustfmt::skip]
const SERVICE: &[(&str, Missing)] = &[
    ("Kind", Missing::Absent),
    ("ID", Missing::Absent),
    ("Service", Missing::Absent),
    ("Tags", Missing::Absent),
    ("Meta", Missing::Null),
    ("Port", Missing::Zero),
    ("Address", Missing::Text("")),
    ("TaggedAddresses", Missing::Absent),
    ("Weights", Missing::Absent),
    ("EnableTagOverride", Missing::False),
    ("CreateIndex", Missing::Absent),
    ("ModifyIndex", Missing::Absent),
    ("ContentHash", Missing::Absent),
    ("Proxy", Missing::Absent),
    ("Connect", Missing::Absent),
];

#[rustfmt::skip]
const DEFINITION: &[(&str, Missing)] = &[
    ("Interval", Missing::Text("0s")),
    ("Timeout", Missing::Text("0s")),
    ("DeregisterCriticalServiceAfter", Missing::Text("0s")),
    ("HTTP", Missing::Text("")),
    ("Header", Missing::Null),
    ("Method", Missing::Text("")),
    ("Body", Missing::Text("")),
    ("TLSSkipVerify", Missing::False),
    ("TCP", Missing::Text("")),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: &Kind, answer: &str) -> String {
        write(&shape(kind, serde_json::from_str(answer).unwrap()), None)
    }

    #[test]
    fn a_key_has_every_field_and_no_list_around_it() {
        let key = Kind::Key("a".into());
        let want = r#"{"Key":"a","CreateIndex":1,"ModifyIndex":2,"LockIndex":0,"Flags":3,"Value":"dg==","Session":""}"#;
        let answer = r#"[{"LockIndex":0,"Key":"a","Flags":3,"Value":"dg==","CreateIndex":1,"ModifyIndex":2}]"#;
        assert_eq!(told(&key, answer), want);
        let prefix = Kind::KeyPrefix("a".into());
        assert_eq!(told(&prefix, answer), format!("[{want}]"));
        // No key at all.
        assert_eq!((told(&key, "null"), told(&prefix, "null")), ("null".into(), "null".into()));
    }

    #[test]
    fn a_service_is_in_the_librarys_order_and_its_checks_are_written_out() {
        let kind = Kind::Service { service: "web".into(), tags: vec![], passing_only: false };
        let answer = r#"[{"Node":{"Node":"n"},"Service":{"ID":"w","Service":"web","Tags":[],
            "Address":"","Meta":null,"Port":80,"Weights":{},"EnableTagOverride":false,
            "Proxy":{},"Connect":{},"CreateIndex":1,"ModifyIndex":2,"New":1},
            "Checks":[{"CheckID":"c","Definition":{"TCP":"x","Interval":"7s"},"CreateIndex":1}]}]"#;
        let want = concat!(
            r#"[{"Node":{"Node":"n"},"Service":{"ID":"w","Service":"web","Tags":[],"Meta":null,"#,
            r#""Port":80,"Address":"","Weights":{},"EnableTagOverride":false,"CreateIndex":1,"#,
            r#""ModifyIndex":2,"Proxy":{},"Connect":{},"New":1},"Checks":[{"CheckID":"c","#,
            r#""Definition":{"Interval":"7s","Timeout":"0s","#,
            r#""DeregisterCriticalServiceAfter":"0s","HTTP":"","Header":null,"Method":"","#,
            r#""Body":"","TLSSkipVerify":false,"TCP":"x"},"CreateIndex":1}]}]"#,
        );
        assert_eq!(told(&kind, answer), want);
    }

    #[test]
    fn services_are_in_the_order_of_their_names() {
        let answer = r#"{"web":["b","a"],"db":[]}"#;
        assert_eq!(told(&Kind::Services, answer), r#"{"db":[],"web":["b","a"]}"#);
    }

    #[test]
    fn only_events_after_the_last_are_new() {
        let event = |low: u64| json!({ "ID": format!("00000000-0000-0001-0000-{low:012x}") });
        let all = || json!([event(2), event(7)]);
        // An index is the two halves combined: 1 ^ 2 = 3, 1 ^ 7 = 6.
        assert_eq!(events_after(3, all()), json!([event(7)]));
        assert_eq!(events_after(6, all()), json!([]));
        // The buffer has moved on: better all of them than none.
        assert_eq!(events_after(99, all()), all());
        let id = "1a3aed0a-ce6c-bf28-e29f-c5c472df825c";
        assert_eq!(event_index(id), Some(17_916_771_560_957_623_668));
        assert_eq!(event_index("1a3a"), None);
    }

    #[test]
    fn text_is_escaped_and_indented_as_the_original_does() {
        let value = json!({ "a": ["<&>", {}], "b": [], "c": { "d": null } });
        assert_eq!(
            write(&value, None),
            "{\"a\":[\"\\u003c\\u0026\\u003e\",{}],\"b\":[],\"c\":{\"d\":null}}"
        );
        assert_eq!(
            write(&value, Some("  ")),
            "{\n  \"a\": [\n    \"\\u003c\\u0026\\u003e\",\n    {}\n  ],\n  \"b\": [],\n  \
             \"c\": {\n    \"d\": null\n  }\n}"
        );
    }
}
