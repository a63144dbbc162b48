//! `/v1/kv/*`: keys and values.

use bytes::Bytes;
use tribune_base::id::Index;
use tribune_state::kv::{Command, Entry};
use tribune_state::{self as state, Snapshot};

use crate::error::Error;
use crate::http::{Content, Method};
use crate::plan::{Call, Evaluation, Plan, Query};
use crate::render::{ARRAY, Json};

pub(crate) fn plan(call: &Call<'_>) -> Result<Plan, Error> {
    // Also of writes, which have no use for it: who says how to read meant something else.
    call.params.freshness(call.context, false)?;
    call.params.waiting(call.context)?;
    match call.request.method {
        Method::Put => put(call),
        Method::Delete => delete(call),
        // The table of routes lets nothing else through.
        Method::Get
        | Method::Post
        | Method::Options
        | Method::Head
        | Method::Patch
        | Method::Other => get(call),
    }
}

fn get(call: &Call<'_>) -> Result<Plan, Error> {
    let key = Bytes::copy_from_slice(call.rest);
    let params = call.params;
    if params.has("keys") {
        // The second spelling is as old as the first.
        let separator = params.filled("separator").or_else(|| params.filled("seperator"));
        let separator = Bytes::copy_from_slice(separator.unwrap_or_default().as_bytes());
        return call.read(Query::KvKeys { prefix: key, separator });
    }
    if params.has("recurse") {
        return call.read(Query::KvList { prefix: key });
    }
    require_key(&key)?;
    call.read(Query::KvGet { key, raw: params.has("raw") })
}

fn put(call: &Call<'_>) -> Result<Plan, Error> {
    let key = Bytes::copy_from_slice(call.rest);
    require_key(&key)?;
    refuse_conflicts(call, &["acquire", "cas", "release"])?;
    let flags = call.params.number("flags")?.unwrap_or(0);
    let cas = call.params.number("cas")?;
    for lock in ["acquire", "release"] {
        if call.params.has(lock) {
            return Err(Error::bad(format!(
                "?{lock} needs a session, and this release has no sessions yet"
            )));
        }
    }
    let value = call.request.body.clone();
    if call.context.kv_value_max < value.len() {
        return Err(Error::BodyTooLarge {
            len: value.len() as u64,
            max: call.context.kv_value_max as u64,
            setting: "limits.kv_max_value_size",
        });
    }
    let command = match cas {
        Some(index) => Command::Cas { key, value, flags, index: Index(index) },
        None => Command::Set { key, value, flags },
    };
    Ok(call.write(state::Command::Kv(command)))
}

fn delete(call: &Call<'_>) -> Result<Plan, Error> {
    let key = Bytes::copy_from_slice(call.rest);
    refuse_conflicts(call, &["cas", "recurse"])?;
    if call.params.has("recurse") {
        return Ok(call.write(state::Command::Kv(Command::DeleteTree { prefix: key })));
    }
    require_key(&key)?;
    let command = match call.params.number("cas")? {
        Some(index) => Command::DeleteCas { key, index: Index(index) },
        None => Command::Delete { key },
    };
    Ok(call.write(state::Command::Kv(command)))
}

fn require_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() { Err(Error::bad("Missing key name")) } else { Ok(()) }
}

/// At most one of these parameters makes sense.
fn refuse_conflicts(call: &Call<'_>, names: &[&str]) -> Result<(), Error> {
    if names.iter().filter(|it| call.params.has(it)).count() <= 1 {
        return Ok(());
    }
    Err(Error::bad(format!("Conflicting flags: {}", call.params.to_sorted_text())))
}

/// One key. 404 if it is not there, with the index to wait on.
pub(crate) fn one(key: &[u8], raw: bool, snapshot: &Snapshot) -> Evaluation {
    let (index, entry) = snapshot.kv_get(key);
    let Some(entry) = entry else { return absent(index) };
    if raw {
        let body = Bytes::copy_from_slice(entry.value());
        return Evaluation { index, status: 200, content: Content::Raw, body };
    }
    let mut json = Json::with_capacity(entry_len(key, entry) + 2);
    json.raw("[");
    write_entry(&mut json, key, entry);
    json.raw("]");
    found(index, json)
}

/// All keys under a prefix, with their values. 404 if there are none.
pub(crate) fn list(prefix: &[u8], snapshot: &Snapshot) -> Evaluation {
    let (index, entries) = snapshot.kv_list(prefix);
    let entries: Vec<_> = entries.collect();
    if entries.is_empty() {
        return absent(index);
    }
    let len = entries.iter().map(|(key, entry)| entry_len(key, entry)).sum::<usize>();
    let mut json = Json::with_capacity(len + 2);
    json.list(ARRAY, entries, |json, (key, entry)| write_entry(json, key, entry));
    found(index, json)
}

/// The names under a prefix, cut after the first separator beyond it. 404 if there are none,
/// except under the empty prefix.
pub(crate) fn names(prefix: &[u8], separator: &[u8], snapshot: &Snapshot) -> Evaluation {
    let (index, entries) = snapshot.kv_list(prefix);
    // Whatever sorts between two names that are cut alike is cut alike, too.
    let mut names: Vec<_> = entries.map(|(key, _)| cut(key, prefix.len(), separator)).collect();
    names.dedup();
    if names.is_empty() && !prefix.is_empty() {
        return absent(index);
    }
    let len = names.iter().map(|it| it.len() + 3).sum::<usize>();
    let mut json = Json::with_capacity(len + 2);
    json.list(ARRAY, names, Json::bytes);
    found(index, json)
}

/// `key` up to and including the first `separator` after `start`; all of it if there is none.
fn cut<'a>(key: &'a [u8], start: usize, separator: &[u8]) -> &'a [u8] {
    if separator.is_empty() {
        return key;
    }
    let at = key[start..].windows(separator.len()).position(|it| it == separator);
    at.map_or(key, |at| &key[..start + at + separator.len()])
}

fn write_entry(json: &mut Json, key: &[u8], entry: &Entry) {
    json.raw(r#"{"LockIndex":"#);
    json.number(entry.lock_index());
    json.raw(r#","Key":"#);
    json.bytes(key);
    json.raw(r#","Flags":"#);
    json.number(entry.flags());
    json.raw(r#","Value":"#);
    json.base64(entry.value());
    if let Some(session) = entry.session() {
        json.raw(r#","Session":"#);
        json.uuid(session.0);
    }
    json.raw(r#","CreateIndex":"#);
    json.number(entry.create().0);
    json.raw(r#","ModifyIndex":"#);
    json.number(entry.modify().0);
    json.raw("}");
}

/// Room for an entry in JSON: enough for all but keys full of what must be escaped.
fn entry_len(key: &[u8], entry: &Entry) -> usize {
    220 + key.len() + entry.value().len().div_ceil(3) * 4
}

fn found(index: Index, json: Json) -> Evaluation {
    let body = json.finish().into();
    Evaluation { index, status: 200, content: Content::Json, body }
}

fn absent(index: Index) -> Evaluation {
    Evaluation { index, status: 404, content: Content::None, body: Bytes::new() }
}

#[test]
fn names_are_cut_after_the_separator() {
    let cases = [
        ("a/b/c", 0, "/", "a/"),
        ("a/b/c", 2, "/", "a/b/"),
        ("a/b/c", 1, "/", "a/"),
        ("a/b/c", 4, "/", "a/b/c"),
        ("a::b", 0, "::", "a::"),
        ("a/b", 0, "", "a/b"),
        ("a", 1, "/", "a"),
    ];
    for (key, start, separator, want) in cases {
        assert_eq!(cut(key.as_bytes(), start, separator.as_bytes()), want.as_bytes(), "{key}");
    }
}
