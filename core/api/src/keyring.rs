//! `/v1/operator/keyring`: the keys that gossip is encrypted with, in every pool.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::body::{self, Field};
use crate::error::Error;
use crate::http::{Method, Response};
use crate::params::parse_bool;
use crate::plan::{Call, Plan};
use crate::pool::PoolCall;
use crate::pretty;
use crate::render::{ARRAY, Json, OBJECT};

/// What an operator wants of the keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringCall {
    /// The same for every member.
    pub order: KeyOrder,
    /// How many members each answer is relayed through as well, up to 5.
    pub relays: usize,
    /// Only the pool of this datacenter.
    pub local_only: bool,
    /// Whether the client wants its JSON indented.
    pub pretty: bool,
}

/// What a member does with its keys. Each is in base64, as it was given.
#[derive(Clone, Eq, PartialEq)]
pub enum KeyOrder {
    /// Says which it has.
    List,
    /// Understands this one as well.
    Install(String),
    /// Seals under this one.
    Use(String),
    /// Forgets this one.
    Remove(String),
}

/// What a member says: its keys, the primary one first, or why it has not done what was wanted.
pub type KeysOrWhy = Result<Vec<String>, String>;

/// What the members of one pool have said.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PoolKeys {
    /// Whether it is the pool of all datacenters' servers.
    pub wan: bool,
    /// Whose pool it is otherwise.
    pub datacenter: String,
    /// Members that were there when they were asked.
    pub members: usize,
    /// How many have answered, with failures or without.
    pub answered: usize,
    /// How many have each key.
    pub installed: BTreeMap<String, u64>,
    /// How many seal under each key.
    pub primary: BTreeMap<String, u64>,
    /// How many have not done what was wanted.
    pub failed: usize,
    /// What some of those say, by name.
    pub failures: BTreeMap<String, String>,
}

impl KeyOrder {
    /// The key that it is about.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::List => None,
            Self::Install(key) | Self::Use(key) | Self::Remove(key) => Some(key),
        }
    }
}

/// Keys do not belong into logs.
impl std::fmt::Debug for KeyOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::List => "List",
            Self::Install(_) => "Install",
            Self::Use(_) => "Use",
            Self::Remove(_) => "Remove",
        })
    }
}

impl KeyringCall {
    /// The answer, once each of `pools` is asked. A member that has failed, or has not answered,
    /// makes the whole request fail: a key that is not everywhere must not be used.
    pub fn answer(&self, pools: &[PoolKeys]) -> Response {
        let complaints: Vec<_> = pools.iter().flat_map(PoolKeys::complaints).collect();
        if !complaints.is_empty() {
            return Error::Keyring(all_of(&complaints)).into();
        }
        if self.order != KeyOrder::List {
            return Response::empty(200);
        }
        let mut json = Json::with_capacity(256 * pools.len());
        json.list(ARRAY, pools, |json, it| it.write(json));
        pretty::response(200, json.finish(), self.pretty)
    }

    /// The answer if nobody was asked, because what was to be asked makes no sense.
    pub fn refuse(&self, pools: &[PoolKeys], why: &str) -> Response {
        let complaints: Vec<_> =
            pools.iter().map(|it| format!("{} error: {why}", it.name())).collect();
        Error::Keyring(all_of(&complaints)).into()
    }
}

/// In the frame of the original, for those who look for its words.
fn all_of(complaints: &[String]) -> String {
    let count = complaints.len();
    let mut text = format!("{count} error{} occurred:", if count == 1 { "" } else { "s" });
    for it in complaints {
        write!(text, "\n\t* {it}").expect("a string takes everything");
    }
    text + "\n\n"
}

impl PoolKeys {
    /// A member has answered. Each does so once.
    pub fn hear(&mut self, member: &str, answer: KeysOrWhy) {
        self.answered += 1;
        match answer {
            Ok(keys) => {
                if let Some(first) = keys.first() {
                    *self.primary.entry(first.clone()).or_default() += 1;
                }
                for key in keys {
                    *self.installed.entry(key).or_default() += 1;
                }
            }
            Err(why) => {
                self.failed += 1;
                self.failures.insert(member.to_owned(), why);
            }
        }
    }

    /// Nobody in the pool was asked, and why not. That is told as a failure of `who`.
    #[must_use]
    pub fn unasked(mut self, who: &str, why: impl Into<String>) -> Self {
        self.members = self.members.max(1);
        self.hear(who, Err(why.into()));
        self
    }

    fn name(&self) -> String {
        if self.wan { "WAN".to_owned() } else { format!("{} (LAN)", self.datacenter) }
    }

    /// What is wrong in this pool, if anything is.
    fn complaints(&self) -> Vec<String> {
        let Self { members, answered, failed, .. } = self;
        let name = self.name();
        if *failed != 0 {
            let head = format!("{name} error: {failed}/{members} nodes reported failure");
            let failures = self.failures.iter().map(|(node, why)| format!("{node}: {why}"));
            return std::iter::once(head).chain(failures).collect();
        }
        if answered < members {
            return vec![format!("{name} error: {answered}/{members} nodes reported success")];
        }
        Vec::new()
    }

    fn write(&self, json: &mut Json) {
        json.raw(r#"{"WAN":"#);
        json.bool(self.wan);
        json.field(r#","Datacenter":"#, &self.datacenter);
        json.raw(r#","Segment":"","Keys":"#);
        counts(json, &self.installed);
        json.raw(r#","PrimaryKeys":"#);
        counts(json, &self.primary);
        json.raw(r#","NumNodes":"#);
        json.number(self.members as u64);
        json.raw("}");
    }
}

fn counts(json: &mut Json, counts: &BTreeMap<String, u64>) {
    json.list(OBJECT, counts, |json, (key, count)| {
        json.string(key);
        json.raw(":");
        json.number(*count);
    });
}

pub(crate) fn plan(call: &Call<'_>) -> Result<Plan, Error> {
    let relays = call.params.filled("relay-factor").map_or(Ok(0), relay_factor)?;
    let local_only = match call.params.filled("local-only") {
        Some(text) => parse_bool(text).ok_or_else(|| {
            let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            Error::bad(format!("Bad request: Error parsing local-only: {why}"))
        })?,
        None => false,
    };
    let order = match call.request.method {
        Method::Post => KeyOrder::Install(key(call)?),
        Method::Put => KeyOrder::Use(key(call)?),
        Method::Delete => KeyOrder::Remove(key(call)?),
        Method::Get | Method::Head | Method::Options | Method::Patch | Method::Other => {
            KeyOrder::List
        }
    };
    if local_only && order != KeyOrder::List {
        return Err(Error::bad(
            "Bad request: Invalid use of local-only: local-only can only be set for list requests",
        ));
    }
    let pretty = call.pretty();
    Ok(Plan::Pool(PoolCall::Keyring(KeyringCall { order, relays, local_only, pretty })))
}

fn relay_factor(text: &str) -> Result<usize, Error> {
    let Ok(relays) = text.parse::<i64>() else {
        let why = format!("strconv.Atoi: parsing {text:?}: invalid syntax");
        return Err(Error::bad(format!("Bad request: Error parsing relay factor: {why}")));
    };
    usize::try_from(relays).ok().filter(|it| *it <= RELAYS_MAX).ok_or_else(|| {
        let range = format!("[0, {RELAYS_MAX}]");
        let what = "Invalid relay-factor: Relay factor must be in range:";
        Error::bad(format!("Bad request: {what} {range}"))
    })
}

fn key(call: &Call<'_>) -> Result<String, Error> {
    let read = || {
        let (body, mut key) = (body::parse(&call.request.body)?, String::new());
        Field::body(&body).each("keyringArgs", |name, field| {
            if name == "key" {
                key = field.string()?;
            }
            Ok(name == "key")
        })?;
        Ok(key)
    };
    read().map_err(|error: Error| Error::bad(format!("Bad request: {error}")))
}

const RELAYS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(order: KeyOrder) -> KeyringCall {
        KeyringCall { order, relays: 0, local_only: false, pretty: false }
    }

    fn pool(wan: bool, members: usize, answers: &[(&str, KeysOrWhy)]) -> PoolKeys {
        let datacenter = "dc1".to_owned();
        let mut pool = PoolKeys { wan, datacenter, members, ..PoolKeys::default() };
        answers.iter().for_each(|(name, it)| pool.hear(name, it.clone()));
        pool
    }

    fn keys(keys: &[&str]) -> KeysOrWhy {
        Ok(keys.iter().map(|it| (*it).to_owned()).collect())
    }

    fn text(response: &Response) -> String {
        String::from_utf8(response.body.to_vec()).unwrap()
    }

    #[test]
    fn keys_are_counted() {
        let lan = pool(false, 2, &[("a", keys(&["x", "y"])), ("b", keys(&["y", "x"]))]);
        let wan = pool(true, 1, &[("a.dc1", keys(&["x"]))]);
        let response = call(KeyOrder::List).answer(&[wan, lan]);
        assert_eq!(
            text(&response),
            r#"[{"WAN":true,"Datacenter":"dc1","Segment":"","Keys":{"x":1},"PrimaryKeys":{"x":1},"NumNodes":1},{"WAN":false,"Datacenter":"dc1","Segment":"","Keys":{"x":2,"y":2},"PrimaryKeys":{"x":1,"y":1},"NumNodes":2}]"#
        );
    }

    #[test]
    fn one_failure_fails_the_request() {
        let why = Err("Removing the primary key is not allowed".to_owned());
        let lan = pool(false, 2, &[("a", why), ("b", keys(&[]))]);
        let response = call(KeyOrder::Remove("x".to_owned())).answer(&[lan]);
        assert_eq!(response.status, 500);
        assert_eq!(
            text(&response),
            "2 errors occurred:\n\t* dc1 (LAN) error: 1/2 nodes reported failure\n\t* a: Removing \
             the primary key is not allowed\n\n"
        );
    }

    #[test]
    fn silence_is_no_success() {
        let lan = pool(false, 3, &[("a", keys(&[])), ("b", keys(&[]))]);
        let response = call(KeyOrder::Install("x".to_owned())).answer(&[lan]);
        let want = "1 error occurred:\n\t* dc1 (LAN) error: 2/3 nodes reported success\n\n";
        assert_eq!((response.status, text(&response)), (500, want.to_owned()));
    }

    #[test]
    fn keys_are_not_logged() {
        assert_eq!(format!("{:?}", KeyOrder::Install("secret".to_owned())), "Install");
    }
}
