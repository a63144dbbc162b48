//! `/v1/query/*`: questions for services that are kept by name, and answered with what is well, near
//! and, if need be, elsewhere.
//!
//! ```text
//!   definition ──body──> PreparedQuery ──> Command            create, update, delete
//!   execute    ──name──> template ──> instances ──> Executed   execute, explain
//!   failover   ──> the same in another datacenter
//! ```

mod definition;
mod execute;
mod failover;
mod render;
mod rows;
mod template;

use tribune_base::id::{Index, Uuid};
use tribune_state::prepared_query::Command;
use tribune_state::{Command as StateCommand, Snapshot, Topic};

pub(crate) use self::definition::ttl;
pub(crate) use self::execute::Resolved;
pub use self::execute::{Asker, Execution};
pub use self::failover::Failover;
pub use self::rows::{Rows, plan_from_afar};
use crate::coordinate::Places;
use crate::error::Error;
use crate::http::{Content, Method, Response};
use crate::params::parse_bool;
use crate::plan::{Call, Consistency, Context, Evaluation, Plan, Query, Write, WriteAnswer};
use crate::render::{ARRAY, Json};
use crate::route::PreparedQueryEndpoint;

pub(crate) fn plan(endpoint: PreparedQueryEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    match (endpoint, call.request.method) {
        (PreparedQueryEndpoint::All, Method::Post) => create(call),
        (PreparedQueryEndpoint::All, _) => call.read(Query::PreparedQueries),
        (PreparedQueryEndpoint::One, method) => {
            let text = call.text();
            // No query is called nothing, but a template may fit that.
            let named = |verb: &str| {
                let name = text.strip_suffix(verb)?;
                if name.is_empty() { Some("") } else { name.strip_suffix('/') }
            };
            if let Some(name) = named("execute") {
                return only_get(method, || execute(name, call));
            }
            if let Some(name) = named("explain") {
                return only_get(method, || explain(name, call));
            }
            one(method, &text, call)
        }
    }
}

fn create(call: &Call<'_>) -> Result<Plan, Error> {
    let query = definition::read_new(&call.request.body)?;
    Ok(write(call, Command::Create(Box::new(query)), WriteAnswer::Id(Uuid(0))))
}

/// What is to be done with the query that has the id `text`.
fn one(method: Method, text: &str, call: &Call<'_>) -> Result<Plan, Error> {
    let id = text.parse::<Uuid>().map_err(|why| {
        let why = definition::why_no_uuid(text, why);
        let lookup = format!("failed prepared query lookup: index error: {why}");
        let changes = method != Method::Get;
        Error::bad(if changes { format!("Prepared Query lookup failed: {lookup}") } else { lookup })
    });
    match method {
        Method::Put => {
            // What is wrong with the body is said first.
            let query = definition::read_for(id.clone().unwrap_or_default(), &call.request.body)?;
            id?;
            Ok(write(call, Command::Update(Box::new(query)), WriteAnswer::Empty))
        }
        Method::Delete => Ok(write(call, Command::Delete(id?), WriteAnswer::Empty)),
        Method::Get
        | Method::Post
        | Method::Options
        | Method::Head
        | Method::Patch
        | Method::Other => call.read(Query::PreparedQuery { id: id? }),
    }
}

fn write(call: &Call<'_>, command: Command, answer: WriteAnswer) -> Plan {
    let command = StateCommand::PreparedQuery(command);
    call.remote().unwrap_or_else(|| Plan::Write(Write { command, answer, pretty: call.pretty() }))
}

fn only_get(method: Method, plan: impl FnOnce() -> Result<Plan, Error>) -> Result<Plan, Error> {
    if method == Method::Get {
        return plan();
    }
    let refusal = Response::from(Error::MethodNotAllowed(method.name()));
    Ok(Plan::Answer(refusal.with_header("Allow", "OPTIONS,GET".to_owned())))
}

fn execute(name: &str, call: &Call<'_>) -> Result<Plan, Error> {
    let connect = match call.params.filled("connect") {
        None => false,
        Some(text) => parse_bool(text).ok_or_else(|| {
            let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
            Error::bad(format!("Error parsing 'connect' value: {why}"))
        })?,
    };
    let execution = Execution {
        name: name.to_owned(),
        limit: limit(call)?,
        near: call.params.filled("near").unwrap_or_default().to_owned(),
        connect,
        asker: Asker {
            agent: call.context.node.clone(),
            ip: call.request.forwarded_for.or(call.request.remote),
            ..Asker::default()
        },
        ..Execution::default()
    };
    once(call, |consistency| Query::ExecuteQuery(Box::new(Execution { consistency, ..execution })))
}

fn explain(name: &str, call: &Call<'_>) -> Result<Plan, Error> {
    limit(call)?;
    let name = name.to_owned();
    once(call, |consistency| Query::ExplainQuery { name, consistency })
}

/// How many instances are wanted; zero for all of them.
fn limit(call: &Call<'_>) -> Result<usize, Error> {
    let Some(text) = call.params.filled("limit") else { return Ok(0) };
    let bad = || Error::bad(format!("Bad limit: strconv.Atoi: parsing {text:?}: invalid syntax"));
    let number = text.parse::<i64>().map_err(|_| bad())?;
    Ok(usize::try_from(number).unwrap_or(0))
}

/// The plan for a question that is answered at once, whatever index it comes with.
fn once(call: &Call<'_>, query: impl FnOnce(Consistency) -> Query) -> Result<Plan, Error> {
    // Which of the two makes no difference to how fresh the answer must be.
    let mut plan = call.read(Query::ExecuteQuery(Box::default()))?;
    if let Plan::Read(read) = &mut plan {
        read.query = query(read.consistency);
        read.min_index = Index(0);
    }
    Ok(plan)
}

/// All queries.
pub(crate) fn list(snapshot: &Snapshot) -> Json {
    let mut json = Json::with_capacity(1024);
    json.list(ARRAY, snapshot.prepared_queries().1, render::query);
    json
}

/// One query, in a list of one.
pub(crate) fn get(id: Uuid, snapshot: &Snapshot) -> Evaluation {
    let (_, found) = snapshot.prepared_query(id);
    let Some(query) = found else {
        let index = snapshot.index_of(&Topic::PreparedQueries);
        return Evaluation { index, ..failed(&Error::not_found("Query not found")) };
    };
    let mut json = Json::with_capacity(512);
    json.list(ARRAY, [query], render::query);
    Evaluation { index: snapshot.index_of(&Topic::PreparedQueries), ..answered(json) }
}

/// What a query asks for when it is asked for by `name`.
pub(crate) fn explained(name: &str, consistency: Consistency, snapshot: &Snapshot) -> Evaluation {
    let resolved = match Resolved::find(snapshot, name) {
        Ok(resolved) => resolved,
        Err(error) => return failed(&error),
    };
    let mut json = Json::with_capacity(512);
    json.raw(r#"{"Query":"#);
    render::query(&mut json, resolved.query());
    render::meta(&mut json, consistency);
    answered(json)
}

/// What a query finds here.
pub(crate) fn executed(
    execution: &Execution,
    snapshot: &Snapshot,
    places: &Places,
    context: &Context,
) -> Evaluation {
    let resolved = match Resolved::of(execution, snapshot) {
        Ok(resolved) => resolved,
        Err(error) => return failed(&error),
    };
    let query = resolved.query();
    let instances = execution.instances(&query.service, snapshot, places);
    let executed = execute::Executed {
        query,
        instances: &instances,
        datacenter: &context.datacenter,
        failovers: 0,
    };
    let (content, body) = executed.body(execution);
    Evaluation { index: Index(1), status: 200, content, body }
}

fn answered(json: Json) -> Evaluation {
    let body = json.finish().into();
    Evaluation { index: Index(1), status: 200, content: Content::Json, body }
}

fn failed(error: &Error) -> Evaluation {
    let body = error.to_string().into();
    Evaluation { index: Index(1), status: error.status(), content: Content::Text, body }
}
