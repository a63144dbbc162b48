//! The parameters after the question mark, decoded once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use tribune_base::duration;
use tribune_base::id::Index;
use tribune_base::time::Duration;

use crate::error::Error;
use crate::filter::{Filter, Rows};
use crate::plan::{Consistency, Context, Selection};

/// The decoded parameters, in the order they came in.
#[derive(Debug)]
pub(crate) struct Params<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Freshness {
    pub(crate) consistency: Consistency,
    pub(crate) max_stale: Option<Duration>,
}

impl<'a> Params<'a> {
    /// Decode what follows the question mark. Nothing is malformed: what is not escaped properly
    /// stands for itself.
    pub(crate) fn parse(query: &'a str) -> Self {
        // A semicolon is how HTML 4 wanted it (appendix B.2.2), and old scripts do.
        let pairs = query.split(['&', ';']).filter(|it| !it.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self { pairs: decoded.collect() }
    }

    /// Whether the parameter is there, whatever its value: `?stale=false` still means stale.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The first value of the parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The first value of the parameter, unless it is empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|it| !it.is_empty())
    }

    /// All values of the parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |it| it.0 == name).map(|it| &*it.1)
    }

    /// The names and values of all parameters, sorted by name: what an error quotes.
    pub(crate) fn to_sorted_text(&self) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let text: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        text.join("&")
    }

    /// The parameter as a number of 64 bits, if it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        self.get(name).map(parse_u64).transpose()
    }

    /// There is one namespace and one partition. Whoever asks for another must not get this one.
    pub(crate) fn refuse_enterprise(&self) -> Result<(), Error> {
        for (name, what) in [("ns", "Namespaces"), ("partition", "Partitions")] {
            if self.filled(name).is_some_and(|it| it != "default") {
                return Err(Error::bad(format!(
                    "Bad request: Invalid query parameter: {name:?} - {what} are a Consul \
                     Enterprise feature"
                )));
            }
        }
        Ok(())
    }

    /// How fresh the answer must be. `discovery` reads have a configured staleness, and ask the
    /// leader again when the answer is older than `max_stale`.
    pub(crate) fn freshness(&self, context: &Context, discovery: bool) -> Result<Freshness, Error> {
        if self.pairs.is_empty() && context.discovery_max_stale.is_zero() {
            return Ok(Freshness { consistency: Consistency::Default, max_stale: None });
        }
        let mut stale = self.has("stale");
        let consistent = self.has("consistent");
        let cached = self.has("cached");
        let mut max_stale = None;
        if let Some(text) = self.filled("max_stale") {
            let invalid = || Error::bad(format!("Invalid max_stale value {text:?}"));
            max_stale = signed_duration(text).ok_or_else(invalid)?;
            stale |= max_stale.is_some();
        }
        let says = stale || consistent || cached || self.has("leader");
        if !says && discovery && !context.discovery_max_stale.is_zero() {
            stale = true;
            max_stale = Some(context.discovery_max_stale);
        }
        if consistent && (stale || cached) {
            let other = if stale { "stale" } else { "cached" };
            return Err(Error::bad(format!(
                "Cannot specify ?{other} with ?consistent, conflicting semantics."
            )));
        }
        let consistency = match (stale, consistent) {
            (true, _) => Consistency::Stale,
            (_, true) => Consistency::Consistent,
            (false, false) => Consistency::Default,
        };
        Ok(Freshness { consistency, max_stale: max_stale.filter(|_| discovery) })
    }

    /// Which index to wait for, and how long.
    pub(crate) fn waiting(&self, context: &Context) -> Result<(Index, Duration), Error> {
        let mut wait = None;
        if let Some(text) = self.filled("wait") {
            wait = signed_duration(text).ok_or_else(|| Error::bad("Invalid wait time"))?;
        }
        let mut index = 0;
        if let Some(text) = self.filled("index") {
            index = parse_u64(text).map_err(|_| Error::bad("Invalid index"))?;
        }
        let wait = wait.unwrap_or(context.query_wait_default).min(context.query_wait_max);
        Ok((Index(index), wait))
    }

    /// Which rows of a list are wanted.
    pub(crate) fn selection(&self, rows: Rows) -> Result<Selection, Error> {
        let pair = |text: &str| {
            let (key, value) = text.split_once(':').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Ok(Selection {
            node_meta: self.all("node-meta").map(pair).collect(),
            near: self.filled("near").map(ToOwned::to_owned),
            filter: self.filter(rows)?,
            afar: self.has(AFAR),
        })
    }

    /// The filter expression, if there is one, for rows of a kind.
    pub(crate) fn filter(&self, rows: Rows) -> Result<Option<Filter>, Error> {
        let Some(text) = self.filled("filter") else { return Ok(None) };
        let filter = Filter::parse(text).and_then(|it| it.check(rows).map(|()| it));
        let filter = filter.map_err(|error| {
            Error::bad(format!("Failed to create boolean expression evaluator: {error}"))
        })?;
        Ok(Some(filter))
    }
}

/// Read a number as the original does, with its complaints.
pub(crate) fn parse_u64(text: &str) -> Result<u64, Error> {
    let complain = |what| Error::bad(format!("strconv.ParseUint: parsing {text:?}: {what}"));
    if text.is_empty() || !text.bytes().all(|it| it.is_ascii_digit()) {
        return Err(complain("invalid syntax"));
    }
    text.parse().map_err(|_| complain("value out of range"))
}

/// Read a truth value in one of the spellings that the original knows.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A duration above zero, or none if it is not above zero; nothing if it is no duration.
fn signed_duration(text: &str) -> Option<Option<Duration>> {
    match text.strip_prefix('-') {
        Some(rest) => duration::parse(rest).ok().map(|_| None),
        None => duration::parse(text).ok().map(|it| Some(it).filter(|it| !it.is_zero())),
    }
}

/// Undo the escaping of a form: `%xx`, and `+` for a space.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|it| it == b'%' || it == b'+') {
        return Cow::Borrowed(text);
    }
    let text = text.replace('+', " ");
    Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned())
}

/// Said by an agent to another datacenter, if its clients want the addresses that are for them
/// (`translate_wan_addrs`).
pub(crate) const AFAR: &str = "translate-wan-addrs";

#[cfg(test)]
mod tests;
