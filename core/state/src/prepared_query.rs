//! Prepared queries: questions for a service that are kept by name, so that whoever asks by that
//! name need not know what is asked.
//!
//! A query without a template answers to its name. One with a template answers to every name that
//! its own is the beginning of, unless another query is called exactly that; of several, the one with
//! the longest name. Names are equal if they differ in case only.

mod codec;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tribune_base::id::{Index, SessionId, Uuid};
use tribune_base::tree::Tree;

use crate::types::{Name, fold};
use crate::watch::shared_len;

pub(crate) use codec::{read, write};

/// A question for a service, and how to go about answering it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/query`.
pub struct PreparedQuery {
    pub id: Uuid,
    /// Empty for a query that is known by its id only, and for the template of last resort.
    pub name: String,
    /// With the session, the query goes.
    pub session: Option<SessionId>,
    pub token: String,
    pub template: Template,
    pub service: ServiceQuery,
    /// As it was written; empty for what the agent's settings say.
    pub dns_ttl: String,
    /// Ignored in a command.
    pub create: Index,
    /// Ignored in a command.
    pub modify: Index,
}

/// How a query answers to names that are not quite its own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct Template {
    /// Empty, if it does not; else the only kind there is, `name_prefix_match`.
    pub kind: String,
    pub regexp: String,
    pub remove_empty_tags: bool,
}

/// Which instances are wanted, and where to look for them.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct ServiceQuery {
    pub service: String,
    pub failover: Failover,
    pub only_passing: bool,
    /// What is left out stays different from what is empty, here and below: clients see it.
    pub ignore_check_ids: Option<Vec<String>>,
    pub near: String,
    /// One that begins with `!` must not be there.
    pub tags: Option<Vec<String>>,
    pub node_meta: Option<BTreeMap<String, String>>,
    pub service_meta: Option<BTreeMap<String, String>>,
    pub connect: bool,
}

/// Where else to look, if there is nothing here.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The fields are those of the API.
pub struct Failover {
    /// So many of the nearest datacenters.
    pub nearest_n: u64,
    /// And then these.
    pub datacenters: Option<Vec<String>>,
}

/// A change of the prepared queries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Add one, under an id that whoever proposes this has drawn.
    Create(Box<PreparedQuery>),
    /// Replace the one that has the same id.
    Update(Box<PreparedQuery>),
    /// Remove one.
    Delete(Uuid),
}

/// Why prepared queries stay as they are. Whoever asked is at fault, and nothing has changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QueryRefusal {
    /// There is no query to change.
    #[error("Cannot modify non-existent prepared query: '{0}'")]
    Unknown(Uuid),
    /// Another query is called that.
    #[error("name '{0}' aliases an existing query name")]
    NameTaken(String),
    /// Another query could be asked for by that, and would be hidden.
    #[error("name '{0}' aliases an existing query ID")]
    NameIsId(String),
    /// There is a template of last resort, and one is enough.
    #[error("a query template with an empty name already exists")]
    CatchAllTaken,
    /// There is no such session.
    #[error("invalid session \"{0}\"")]
    UnknownSession(Uuid),
}

impl PreparedQuery {
    /// Whether it answers to names that are not quite its own.
    pub const fn is_template(&self) -> bool {
        !self.template.kind.is_empty()
    }

    /// Whether the two say the same, whenever they were written.
    pub fn same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.name == other.name
            && self.session == other.session
            && self.token == other.token
            && self.template == other.template
            && self.service == other.service
            && self.dns_ttl == other.dns_ttl
    }

    /// Whether any name leads to it.
    const fn is_named(&self) -> bool {
        !self.name.is_empty() || self.is_template()
    }
}

/// All prepared queries.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Table {
    pub(crate) rows: Tree<Uuid, Arc<PreparedQuery>>,
    /// Invariant: the folded names of exactly those in `rows` that have one.
    names: Tree<Name, Uuid>,
    /// When the last one came, changed or went.
    pub(crate) newest: Index,
}

impl Table {
    /// Returns whether anything is another now.
    pub(crate) fn apply(&mut self, at: Index, command: &Command) -> Result<bool, QueryRefusal> {
        match command {
            Command::Create(query) => self.set(at, query),
            Command::Update(query) if self.rows.contains_key(&query.id) => self.set(at, query),
            Command::Update(query) => Err(QueryRefusal::Unknown(query.id)),
            Command::Delete(id) => match self.rows.remove(id) {
                Some(query) => {
                    self.unname(&query);
                    self.newest = at;
                    Ok(true)
                }
                None => Err(QueryRefusal::Unknown(*id)),
            },
        }
    }

    fn set(&mut self, at: Index, query: &PreparedQuery) -> Result<bool, QueryRefusal> {
        self.check(query)?;
        let before = self.rows.get(&query.id).cloned();
        if before.as_ref().is_some_and(|it| it.same(query)) {
            return Ok(false);
        }
        let create = before.as_ref().map_or(at, |it| it.create);
        if let Some(before) = before {
            self.unname(&before);
        }
        self.newest = at;
        self.put(PreparedQuery { create, modify: at, ..query.clone() });
        Ok(true)
    }

    /// Whether `query` may stand beside the others.
    fn check(&self, query: &PreparedQuery) -> Result<(), QueryRefusal> {
        let owner = query.is_named().then(|| self.names.get(&fold(&query.name))).flatten();
        if owner.is_some_and(|it| *it != query.id) {
            return Err(match query.name.as_str() {
                "" => QueryRefusal::CatchAllTaken,
                name => QueryRefusal::NameTaken(name.to_owned()),
            });
        }
        let id = query.name.parse::<Uuid>();
        if id.is_ok_and(|it| self.rows.contains_key(&it)) {
            return Err(QueryRefusal::NameIsId(query.name.clone()));
        }
        // There are no sessions in this release, so there is none that a query could be bound to.
        match query.session {
            Some(session) => Err(QueryRefusal::UnknownSession(session.0)),
            None => Ok(()),
        }
    }

    fn put(&mut self, query: PreparedQuery) {
        if query.is_named() {
            self.names.insert(fold(&query.name), query.id);
        }
        self.rows.insert(query.id, Arc::new(query));
    }

    fn unname(&mut self, query: &PreparedQuery) {
        if query.is_named() {
            self.names.remove(&fold(&query.name));
        }
    }

    /// Take a row from a snapshot. Returns whether it fits.
    pub(crate) fn restore(&mut self, query: PreparedQuery) -> bool {
        let follows = self.rows.last().is_none_or(|(last, _)| *last < query.id);
        let fits = follows && self.check(&query).is_ok();
        if fits {
            self.put(query);
        }
        fits
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&PreparedQuery> {
        self.rows.get(&id).map(|it| &**it)
    }

    /// By id, else by name, else the template whose name is the longest beginning of `text`.
    pub(crate) fn resolve(&self, text: &str) -> Option<&PreparedQuery> {
        let by_id = text.parse().ok().and_then(|it| self.get(it));
        by_id.or_else(|| self.by_name(&fold(text)))
    }

    fn by_name(&self, name: &str) -> Option<&PreparedQuery> {
        let mut len = name.len();
        loop {
            // Of all names up to this one, those that it begins with are no longer than what it
            // shares with the greatest.
            let up_to = (Bound::Unbounded, Bound::Included(&name[..len]));
            let (greatest, id) = self.names.range::<_, str>(up_to).next_back()?;
            let shared = shared_len(greatest.as_bytes(), name.as_bytes());
            let found = self.get(*id).filter(|_| shared == greatest.len());
            if let Some(query) = found.filter(|it| it.is_template() || shared == name.len()) {
                return Some(query);
            }
            len = match found {
                Some(_) => shared.checked_sub(1)?,
                None => shared,
            };
            while !name.is_char_boundary(len) {
                len -= 1;
            }
        }
    }

    pub(crate) fn check_integrity(&self, index: Index) -> Result<(), &'static str> {
        if index < self.newest {
            return Err("prepared queries are from the future");
        }
        for (id, query) in self.rows.iter() {
            if *id != query.id {
                return Err("a prepared query is not where it belongs");
            }
            if query.create == Index(0) || query.modify < query.create || self.newest < query.modify
            {
                return Err(
                    "a prepared query was changed before it was made, or after all changes",
                );
            }
            if query.is_named() && self.names.get(&fold(&query.name)) != Some(id) {
                return Err("the name of a prepared query does not lead to it");
            }
        }
        if self.names.len() != self.rows.values().filter(|it| it.is_named()).count() {
            return Err("a name leads to no prepared query");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
