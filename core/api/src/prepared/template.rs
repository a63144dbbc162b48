//! Queries that answer to many names: `${…}` in what they ask for stands for parts of the name they
//! were asked by.
//!
//! ```text
//!   ${name.full}  ${name.prefix}  ${name.suffix}     the name, the query's own, and what follows it
//!   ${match(N)}                                      what the query's expression finds in the name
//!   ${agent.segment}                                 there are no segments: nothing
//!   $${                                              the characters `${`
//! ```
//!
//! The original has a little language here, with arithmetic. This one has a table.

use std::collections::BTreeMap;

use regex::Regex;
use tribune_state::{PreparedQuery, ServiceQuery};

use crate::regexp;

/// The only kind of template there is.
pub(crate) const NAME_PREFIX_MATCH: &str = "name_prefix_match";

/// Whether the template of `query` makes sense: what is wrong with it, in the original's words.
pub(crate) fn check(query: &PreparedQuery) -> Result<(), String> {
    if !query.is_template() {
        return Ok(());
    }
    if query.template.kind != NAME_PREFIX_MATCH {
        return Err(format!("Bad Template.Type '{}'", query.template.kind));
    }
    resolve(query, &query.name).map(|_| ())
}

/// What `query` asks for when it is asked for by `name`.
pub(crate) fn resolve(query: &PreparedQuery, name: &str) -> Result<ServiceQuery, String> {
    if !query.is_template() {
        return Ok(query.service.clone());
    }
    let names = Names::new(query, name)?;
    let mut asked = query.service.clone();
    names.fill("Service", &mut asked.service)?;
    names.fill_list("Failover.Datacenters", asked.failover.datacenters.as_mut())?;
    names.fill_list("IgnoreCheckIDs", asked.ignore_check_ids.as_mut())?;
    names.fill("Near", &mut asked.near)?;
    names.fill_list("Tags", asked.tags.as_mut())?;
    names.fill_map("NodeMeta", asked.node_meta.as_mut())?;
    names.fill_map("ServiceMeta", asked.service_meta.as_mut())?;
    if query.template.remove_empty_tags {
        asked.tags.get_or_insert_default().retain(|it| !it.is_empty());
    }
    Ok(asked)
}

/// What a name consists of, for one query.
struct Names<'a> {
    full: &'a str,
    prefix: &'a str,
    suffix: &'a str,
    /// What the expression finds; nothing, if there is none or it does not fit.
    found: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn new(query: &'a PreparedQuery, full: &'a str) -> Result<Self, String> {
        let suffix = full.get(query.name.len()..).unwrap_or_default();
        let found = match query.template.regexp.as_str() {
            "" => Vec::new(),
            text => {
                let bad = |why| format!("Bad Regexp: error parsing regexp: {why}");
                groups(&regexp::compile(text).map_err(bad)?, full)
            }
        };
        Ok(Self { full, prefix: &query.name, suffix, found })
    }

    fn fill_list(&self, place: &str, list: Option<&mut Vec<String>>) -> Result<(), String> {
        let items = list.into_iter().flatten().enumerate();
        items.into_iter().try_for_each(|(n, it)| self.fill(&format!("{place}[{n}]"), it))
    }

    fn fill_map(
        &self,
        place: &str,
        map: Option<&mut BTreeMap<String, String>>,
    ) -> Result<(), String> {
        let pairs = map.into_iter().flatten();
        pairs.into_iter().try_for_each(|(key, it)| self.fill(&format!("{place}[{key}]"), it))
    }

    /// Put what is meant in place of what is written. `place` is where it is written.
    fn fill(&self, place: &str, text: &mut String) -> Result<(), String> {
        if !text.contains("${") {
            return Ok(());
        }
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text.as_str());
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(escaped) = before.strip_suffix('$') {
                filled.push_str(escaped);
                filled.push_str("${");
                rest = &from[2..];
                continue;
            }
            filled.push_str(before);
            let column = text.len() - from.len() + 3;
            let (expression, after) = split(&from[2..]).ok_or_else(|| malformed(place, text))?;
            let value = self.value(expression).map_err(|why| match why {
                Wrong::Format => malformed(place, text),
                Wrong::Value(why) => {
                    format!("Bad evaluation for '{text}' in Service.{place}: 1:{column}: {why}")
                }
            })?;
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        *text = filled;
        Ok(())
    }

    fn value<'b>(&'b self, expression: &'b str) -> Result<&'b str, Wrong> {
        match expression {
            "name.full" => return Ok(self.full),
            "name.prefix" => return Ok(self.prefix),
            "name.suffix" => return Ok(self.suffix),
            "agent.segment" => return Ok(""),
            _ => {}
        }
        if let Some(text) = quoted(expression) {
            return Ok(text);
        }
        let is_name = |it: &str| {
            let plain = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'_' | b'.' | b'-');
            it.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
                && it.bytes().all(plain)
        };
        let Some((function, rest)) = expression.split_once('(') else {
            let unknown = || Wrong::Value(format!("unknown variable accessed: {expression}"));
            return Err(if is_name(expression) { unknown() } else { Wrong::Format });
        };
        let (function, arguments) = (function.trim(), rest.strip_suffix(')').ok_or(Wrong::Format)?);
        match function {
            "match" => self.group(arguments.trim()),
            _ if is_name(function) => {
                Err(Wrong::Value(format!("unknown function called: {function}")))
            }
            _ => Err(Wrong::Format),
        }
    }

    /// `match(N)`: what the expression as a whole has found, or one of its groups; nothing, if there
    /// is no such group.
    fn group(&self, arguments: &str) -> Result<&str, Wrong> {
        let count = match arguments {
            "" => 0,
            some => some.split(',').count(),
        };
        if count != 1 {
            return Err(Wrong::Value(format!("match: expected 1 arguments, got {count}")));
        }
        let number = quoted(arguments).unwrap_or(arguments).parse::<i64>();
        let number = number.map_err(|_| Wrong::Format)?;
        let found = usize::try_from(number).ok().and_then(|it| self.found.get(it));
        Ok(found.copied().unwrap_or_default())
    }
}

/// What is wrong with an expression.
enum Wrong {
    /// It is none.
    Format,
    /// It stands for nothing. The text says what.
    Value(String),
}

/// What `regex` finds in `name`, as a whole and group by group.
fn groups<'a>(regex: &Regex, name: &'a str) -> Vec<&'a str> {
    let found = regex.captures(name);
    let groups = found.iter().flat_map(regex::Captures::iter);
    groups.map(|it| it.map_or("", |it| it.as_str())).collect()
}

/// An expression, and what follows the brace after it.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let end = text.find(|it| {
        quoted ^= it == '"';
        it == '}' && !quoted
    })?;
    let expression = text[..end].trim();
    (!expression.is_empty()).then(|| (expression, &text[end + 1..]))
}

/// What is between quotation marks.
fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|it| !it.contains(['"', '\\', '$']))
}

fn malformed(place: &str, text: &str) -> String {
    format!("Bad format '{text}' in Service.{place}: parse error: syntax error")
}

#[cfg(test)]
mod tests {
    use tribune_state::prepared_query::Template;

    use super::*;

    fn template(name: &str, regexp: &str, service: &str) -> PreparedQuery {
        let (kind, regexp) = (NAME_PREFIX_MATCH.to_owned(), regexp.to_owned());
        PreparedQuery {
            name: name.into(),
            template: Template { kind, regexp, remove_empty_tags: false },
            service: ServiceQuery { service: service.into(), ..ServiceQuery::default() },
            ..PreparedQuery::default()
        }
    }

    #[test]
    fn what_stands_for_what() {
        let of_name = "${name.full}|${name.prefix}|${ name.suffix }";
        let groups = "[${match(0)}|${match(1)}|${match(2)}|${match(3)}]";
        let odd = "a${match(9)}b${match(-1)}$${x}${agent.segment}${\"}\"}";
        let cases = [
            ("geo-db", "", of_name, "geo-db-master", "geo-db-master|geo-db|-master"),
            // As it was typed, and the query's own name as that is.
            ("geo-", "", of_name, "GEO-x", "GEO-x|geo-|x"),
            ("tt", "^tt-(x)?(y)?", groups, "tt-yzzz", "[tt-y||y|]"),
            ("tt", "^tt-(x)?(y)?", groups, "tt", "[|||]"),
            ("tt", "", groups, "tt", "[|||]"),
            ("bt", "", odd, "btz", "ab${x}}"),
            ("bt", "", "$x { } $", "btz", "$x { } $"),
        ];
        for (name, regexp, service, asked, want) in cases {
            let resolved = resolve(&template(name, regexp, service), asked).unwrap();
            assert_eq!(resolved.service, want, "{service} for {asked}");
        }
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        let evaluation = "Bad evaluation for '${}' in Service.Service: 1:3: ";
        let format = "Bad format '${}' in Service.Service: parse error: syntax error";
        let cases = [
            ("foo", Some("unknown variable accessed: foo")),
            ("name.nope", Some("unknown variable accessed: name.nope")),
            ("upper(name.full)", Some("unknown function called: upper")),
            ("match()", Some("match: expected 1 arguments, got 0")),
            ("match(1,2)", Some("match: expected 1 arguments, got 2")),
            ("", None),
            ("1 + 2", None),
            ("match(name.full)", None),
            ("match(1", None),
        ];
        for (expression, want) in cases {
            let inner = format!("${{{expression}}}");
            let want = want.map_or_else(|| format.to_owned(), |it| format!("{evaluation}{it}"));
            let want = want.replace("${}", &inner);
            assert_eq!(check(&template("x", "", &inner)), Err(want), "{expression}");
        }
        assert_eq!(
            check(&template("x", "", "${name.full")),
            Err("Bad format '${name.full' in Service.Service: parse error: syntax error".into())
        );
        assert_eq!(
            check(&template("x", "(", "w")),
            Err("Bad Regexp: error parsing regexp: missing closing ): `(`".into())
        );
        let mut other = template("x", "", "w");
        other.template.kind = "zz".into();
        assert_eq!(check(&other), Err("Bad Template.Type 'zz'".into()));
        let mut tags = template("x", "", "w");
        tags.service.tags = Some(vec!["ok".into(), "${".into()]);
        assert_eq!(
            check(&tags),
            Err("Bad format '${' in Service.Tags[1]: parse error: syntax error".into())
        );
    }

    #[test]
    fn every_text_of_a_query_may_have_parts_to_fill() {
        let mut query = template("geo-", "^geo-(.*?)-([^\\-]+?)$", "${match(1)}");
        let one = |text: &str| Some(vec![text.to_owned()]);
        let pair = |text: &str| Some(BTreeMap::from([("a".to_owned(), text.to_owned())]));
        query.template.remove_empty_tags = true;
        query.service.tags =
            Some(["${match(2)}", "${agent.segment}", "k"].map(str::to_owned).to_vec());
        query.service.node_meta = pair("${name.prefix}");
        query.service.service_meta = pair("${match(1)}");
        query.service.near = "${name.full}".into();
        query.service.failover.datacenters = one("${match(1)}");
        query.service.ignore_check_ids = one("${match(0)}");
        let resolved = resolve(&query, "geo-db-master").unwrap();
        let want = ServiceQuery {
            service: "db".into(),
            tags: Some(["master", "k"].map(str::to_owned).to_vec()),
            node_meta: pair("geo-"),
            service_meta: pair("db"),
            near: "geo-db-master".into(),
            ignore_check_ids: one("geo-db-master"),
            failover: tribune_state::prepared_query::Failover {
                nearest_n: 0,
                datacenters: one("db"),
            },
            ..ServiceQuery::default()
        };
        assert_eq!(resolved, want);
    }
}
