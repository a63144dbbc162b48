//! `/v1/operator/kv/replication`: keys that are kept the same as another datacenter's.
//!
//! What the destination asks the source is a list of keys like any client's; here it is written, and
//! the answer read. What follows from it is a machine's business, which tells here how it is doing.

use std::collections::BTreeMap;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::Deserialize;
use tribune_base::id::Index;
use tribune_base::json;
use tribune_base::time::Duration;

use crate::http::{Method, OwnedRequest, Response};
use crate::pretty;
use crate::render::{ARRAY, Json};

/// All keys below a prefix, as the source has them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Listing {
    /// The version of the list. Never zero.
    pub index: Index,
    /// Values and flags.
    pub entries: BTreeMap<Bytes, (Bytes, u64)>,
}

/// How the replication is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Where keys come from; empty, if nothing is replicated.
    pub source: String,
    /// Prefix by prefix, as configured.
    pub prefixes: Vec<PrefixStatus>,
}

/// How one prefix is doing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PrefixStatus {
    /// The prefix.
    pub prefix: String,
    /// The newest version of the source's that this datacenter is the same as. Zero: none yet.
    pub replicated: Index,
    /// The newest that is known.
    pub known: Index,
    /// How long this datacenter has been behind what is known, or has known nothing.
    pub lag: Duration,
    /// How long ago the source was heard. `None`, if it never was by this leader.
    pub last_contact: Option<Duration>,
    /// How many keys the source has.
    pub keys: usize,
    /// How many this leader has written, and how many it has removed.
    pub written: u64,
    /// See `written`.
    pub removed: u64,
    /// How often the source's index went backwards.
    pub resyncs: u64,
    /// How often the source could not be asked, or made no sense.
    pub errors: u64,
    /// What was wrong the last time.
    pub last_error: String,
}

/// Ask for everything below `prefix` that is newer than `index`, and wait for it for `wait`. Zero:
/// do not wait.
pub fn request(prefix: &[u8], index: Index, wait: Duration) -> OwnedRequest {
    let waiting = match index {
        Index(0) => String::new(),
        index => format!("&index={index}&wait={}s", wait.as_secs()),
    };
    OwnedRequest {
        method: Method::Get,
        path: format!("/v1/kv/{}", percent_encode(prefix, NON_ALPHANUMERIC)),
        query: format!("recurse{waiting}"),
        token: None,
        body: Bytes::new(),
        asker: Default::default(),
    }
}

/// Read what the source has answered, or say why that cannot be done.
pub fn listing(response: &Response) -> Result<Listing, String> {
    let index = response.meta.map(|it| it.index).ok_or_else(|| said(response))?;
    match response.status {
        404 => Ok(Listing { index, ..Listing::default() }),
        200 => {
            let rows: Vec<Row> =
                serde_json::from_slice(&response.body).map_err(|it| it.to_string())?;
            let entries = rows.into_iter().map(Row::entry).collect::<Result<_, String>>()?;
            Ok(Listing { index, entries })
        }
        _ => Err(said(response)),
    }
}

/// An error in its own words.
fn said(response: &Response) -> String {
    format!("{}: {}", response.status, String::from_utf8_lossy(&response.body))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    key: String,
    flags: u64,
    /// In base64; `null` if empty.
    value: Option<String>,
}

impl Row {
    fn entry(self) -> Result<(Bytes, (Bytes, u64)), String> {
        let value = json::base64_decode(self.value.as_deref().unwrap_or_default());
        let value = value.map_err(|_| format!("the value of {:?} is no base64", self.key))?;
        Ok((self.key.into(), (value.into(), self.flags)))
    }
}

/// The answer to whoever asks how the replication is doing.
pub fn status(status: &Status, pretty: bool) -> Response {
    let mut json = Json::with_capacity(512);
    json.raw(r#"{"Enabled":"#);
    json.bool(!status.source.is_empty());
    json.field(r#","SourceDatacenter":"#, &status.source);
    json.raw(r#","Prefixes":"#);
    json.list(ARRAY, &status.prefixes, prefix);
    json.raw("}");
    pretty::response(200, json.finish(), pretty)
}

fn prefix(json: &mut Json, it: &PrefixStatus) {
    let mut number = |name: &str, number: u64| {
        json.raw(name);
        json.number(number);
    };
    number(r#"{"ReplicatedIndex":"#, it.replicated.0);
    number(r#","SourceIndex":"#, it.known.0);
    number(r#","LagIndex":"#, it.known.0.saturating_sub(it.replicated.0));
    number(r#","LagSeconds":"#, it.lag.as_secs());
    number(r#","Keys":"#, it.keys as u64);
    number(r#","Written":"#, it.written);
    number(r#","Removed":"#, it.removed);
    number(r#","Resyncs":"#, it.resyncs);
    number(r#","Errors":"#, it.errors);
    json.field(r#","LastError":"#, &it.last_error);
    json.raw(r#","LastContactSeconds":"#);
    match it.last_contact {
        Some(ago) => json.number(ago.as_secs()),
        None => json.raw("null"),
    }
    json.field(r#","Prefix":"#, &it.prefix);
    json.raw("}");
}

#[test]
fn what_the_source_says_is_read_as_it_was_written() {
    use crate::http::ReadMeta;

    let meta = |index| {
        let (known_leader, last_contact) = (true, Duration::ZERO);
        Some(ReadMeta { index: Index(index), known_leader, last_contact, effective: None })
    };
    let body = r#"[{"LockIndex":0,"Key":"a/b","Flags":7,"Value":"aGk=","CreateIndex":3,"ModifyIndex":4},
                   {"LockIndex":0,"Key":"a/c","Flags":0,"Value":null,"CreateIndex":5,"ModifyIndex":5}]"#;
    let response = Response { meta: meta(9), ..Response::json(200, body) };
    let entries = [("a/b", ("hi", 7)), ("a/c", ("", 0))];
    let entries = entries.map(|(key, (value, flags))| (key.into(), (value.into(), flags)));
    let want = Listing { index: Index(9), entries: entries.into() };
    assert_eq!(listing(&response), Ok(want));
    let gone = Response { meta: meta(12), ..Response::empty(404) };
    assert_eq!(listing(&gone), Ok(Listing { index: Index(12), ..Listing::default() }));
    assert_eq!(
        listing(&Response::text(500, "No cluster leader")),
        Err("500: No cluster leader".into())
    );
    let odd = Response { meta: meta(9), ..Response::json(200, "{}") };
    assert!(listing(&odd).is_err());

    let asked = request(b"a b/", Index(9), Duration::from_secs(60));
    assert_eq!((&*asked.path, &*asked.query), ("/v1/kv/a%20b%2F", "recurse&index=9&wait=60s"));
    assert_eq!(request(b"", Index(0), Duration::ZERO).query, "recurse");
}
