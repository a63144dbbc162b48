//! What people may write of a prepared query: bodies in, checked definitions out.

use tribune_agent::definition::{ReservedKeys, validate_meta};
use tribune_base::duration;
use tribune_base::id::{SessionId, Uuid, UuidError};
use tribune_base::time::Duration;
use tribune_state::PreparedQuery;
use tribune_state::prepared_query::{Failover, ServiceQuery, Template};

use super::template;
use crate::body::{self, Field};
use crate::error::Error;

/// Read and check what a new query shall be.
pub(super) fn read_new(body: &[u8]) -> Result<PreparedQuery, Error> {
    // To create needs a body; to change does without.
    let written = read_value(&body::parse(body)?)?;
    if !written.id.is_empty() {
        return Err(Error::bad("ID must be empty when creating a new prepared query"));
    }
    written.check()
}

/// Read and check what the query called `id` in the path shall be, whatever the body says it is.
pub(super) fn read_for(id: Uuid, body: &[u8]) -> Result<PreparedQuery, Error> {
    Ok(PreparedQuery { id, ..read(body)?.check()? })
}

/// What a body says.
struct Written {
    id: String,
    session: String,
    /// All the rest.
    query: PreparedQuery,
}

fn read(body: &[u8]) -> Result<Written, Error> {
    // A body of nothing is a query that asks for nothing.
    read_value(&if body.is_empty() { serde_json::Value::Null } else { body::parse(body)? })
}

fn read_value(body: &serde_json::Value) -> Result<Written, Error> {
    let (mut id, mut session) = (String::new(), String::new());
    let mut query = PreparedQuery::default();
    Field::body(body).each("structs.PreparedQuery", |name, field| {
        match name {
            "id" => id = field.string()?,
            "name" => query.name = field.string()?,
            "session" => session = field.string()?,
            "token" => query.token = field.string()?,
            "template" => query.template = read_template(field)?,
            "service" => query.service = read_service(field)?,
            "dns" => query.dns_ttl = read_ttl(field)?,
            // What the API itself shows of a query.
            "createindex" | "modifyindex" => _ = field.uint("uint64")?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(Written { id, session, query })
}

fn read_template(field: &Field<'_>) -> Result<Template, Error> {
    let mut template = Template::default();
    field.each("structs.QueryTemplateOptions", |name, field| {
        match name {
            "type" => template.kind = field.string()?,
            "regexp" => template.regexp = field.string()?,
            "removeemptytags" => template.remove_empty_tags = field.bool()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(template)
}

fn read_service(field: &Field<'_>) -> Result<ServiceQuery, Error> {
    let mut service = ServiceQuery::default();
    let list = |field: &Field<'_>| -> Result<_, Error> {
        Ok(if field.is_null() { None } else { Some(field.strings()?) })
    };
    field.each("structs.ServiceQuery", |name, field| {
        match name {
            "service" => service.service = field.string()?,
            "failover" => service.failover = read_failover(field)?,
            "onlypassing" => service.only_passing = field.bool()?,
            "ignorecheckids" => service.ignore_check_ids = list(field)?,
            "near" => service.near = field.string()?,
            "tags" => service.tags = list(field)?,
            "nodemeta" => service.node_meta = field.map()?,
            "servicemeta" => service.service_meta = field.map()?,
            "connect" => service.connect = field.bool()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(service)
}

fn read_failover(field: &Field<'_>) -> Result<Failover, Error> {
    let mut failover = Failover::default();
    field.each("structs.QueryDatacenterOptions", |name, field| {
        match name {
            "nearestn" => {
                let number = field.int()?;
                failover.nearest_n = u64::try_from(number)
                    .map_err(|_| invalid(&format!("Bad NearestN '{number}', must be >= 0")))?;
            }
            "datacenters" if field.is_null() => {}
            "datacenters" => failover.datacenters = Some(field.strings()?),
            // Of later releases, for clusters that are peers. There are none.
            "targets" => return Ok(field.is_vacant()),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(failover)
}

fn read_ttl(field: &Field<'_>) -> Result<String, Error> {
    let mut ttl = String::new();
    field.each("structs.QueryDNSOptions", |name, field| {
        if name == "ttl" {
            ttl = field.string()?;
        }
        Ok(name == "ttl")
    })?;
    Ok(ttl)
}

fn read_session(text: &str) -> Result<Option<SessionId>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let session = text.parse().map_err(|why| {
        Error::bad(format!("invalid session: index error: {}", why_no_uuid(text, why)))
    })?;
    Ok(Some(SessionId(session)))
}

impl Written {
    /// The query, if it can be answered, whatever else there is.
    fn check(self) -> Result<PreparedQuery, Error> {
        let query = self.query;
        if query.name.is_empty() && !query.is_template() && self.session.is_empty() {
            return Err(invalid("Must be bound to a session"));
        }
        if query.service.service.is_empty() {
            return Err(invalid("Must provide a Service name to query"));
        }
        let meta = query.service.node_meta.as_ref();
        if let Some(Err(why)) = meta.map(|it| validate_meta(it, ReservedKeys::Allowed)) {
            return Err(invalid(&why.to_string()));
        }
        check_ttl(&query.dns_ttl)?;
        template::check(&query)
            .map_err(|why| Error::bad(format!("failed compiling template: {why}")))?;
        Ok(PreparedQuery { session: read_session(&self.session)?, ..query })
    }
}

fn check_ttl(text: &str) -> Result<(), Error> {
    if let Some(Ok(below_zero)) = text.strip_prefix('-').map(duration::parse) {
        let nanos = below_zero.as_nanos();
        return Err(invalid(&format!("DNS TTL '-{nanos}', must be >=0")));
    }
    match ttl(text) {
        Ok(_) => Ok(()),
        Err(why) => Err(invalid(&format!("Bad DNS TTL '{text}': {why}"))),
    }
}

/// How long an answer may be remembered, if the query says that.
pub(crate) fn ttl(text: &str) -> Result<Option<Duration>, duration::DurationError> {
    if text.is_empty() { Ok(None) } else { duration::parse(text).map(Some) }
}

fn invalid(why: &str) -> Error {
    Error::bad(format!("Invalid prepared query: {why}"))
}

/// Why `text` is not the id of anything, in the original's words.
pub(super) fn why_no_uuid(text: &str, why: UuidError) -> String {
    let stray = text.chars().find(|it| !it.is_ascii_hexdigit() && *it != '-');
    match (why, stray) {
        (UuidError::Length, _) => "UUID must be 36 characters".to_owned(),
        (UuidError::Format, Some(it)) => {
            format!("Invalid UUID: encoding/hex: invalid byte: U+{:04X} {it:?}", u32::from(it))
        }
        (UuidError::Format, None) => "UUID must have 4 hyphens".to_owned(),
    }
}
