//! A watch as configuration files write it: what to watch, and who is told.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tribune_base::duration;

use super::handler::{Handler, Http, Program};
use super::plan::{Plan, PlanError};

/// A watch of the agent's own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Configured {
    pub(crate) plan: Plan,
    pub(crate) handler: Handler,
}

/// Why a definition is none, in the words of the original. The operator changes it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DefinitionError {
    /// A kind of handler that nobody knows.
    #[error("Handler type '{0}' not recognized")]
    HandlerType(String),
    /// Nobody would be told.
    #[error("Must define a watch handler")]
    NoHandler,
    /// More than one would.
    #[error("Only one watch handler allowed")]
    TwoHandlers,
    /// The old way of naming a program takes one line.
    #[error("Watch handler must be a string")]
    HandlerLine,
    /// The program's arguments are texts.
    #[error("Watch args must be a list of strings")]
    Args,
    /// Nothing that an agent watches for others.
    #[error("Watch type {0} is not allowed in agent config")]
    Mesh(String),
    /// What is watched makes no sense.
    #[error("Failed to parse watch: {0}")]
    Plan(#[from] PlanError),
    /// A web server is to be told, and nobody says which.
    #[error("Failed to parse watch: Handler type 'http' requires 'http_handler_config' to be set")]
    NoHttp,
    /// The web server is not described well.
    #[error("Failed to parse watch: Failed to parse 'http_handler_config': {0}")]
    Http(String),
}

impl Configured {
    /// Understand one object of `watches`.
    pub(crate) fn parse(value: &Value) -> Result<Self, DefinitionError> {
        let mut params = value.as_object().cloned().unwrap_or_default();
        let kind = match params.shift_remove("handler_type") {
            None => "script".to_owned(),
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(DefinitionError::HandlerType(other.to_string())),
        };
        let program = program(&mut params)?;
        let handler = match (kind.as_str(), program) {
            ("script", Some(program)) => Handler::Program(program),
            ("script", None) => return Err(unhandled(params)),
            ("http", Some(_)) => return Err(DefinitionError::TwoHandlers),
            ("http", None) => {
                let config = params.shift_remove("http_handler_config");
                Handler::Http(http(&config.ok_or(DefinitionError::NoHttp)?)?)
            }
            _ => return Err(DefinitionError::HandlerType(kind)),
        };
        let plan = Plan::parse(params).map_err(explain)?;
        Ok(Self { plan, handler })
    }

    /// Whether `value` names its program in the way of long ago.
    pub(crate) fn is_dated(value: &Value) -> bool {
        value.get("handler").is_some()
    }
}

/// What else is wrong with a watch that nobody is told about: the more telling mistake first.
fn unhandled(params: Map<String, Value>) -> DefinitionError {
    match Plan::parse(params) {
        Ok(_) => DefinitionError::NoHandler,
        Err(error) => explain(error),
    }
}

fn explain(error: PlanError) -> DefinitionError {
    match error {
        PlanError::Mesh(kind) => DefinitionError::Mesh(kind),
        PlanError::Type(..)
        | PlanError::NoType
        | PlanError::UnknownType(_)
        | PlanError::Missing(_)
        | PlanError::ServiceAndState
        | PlanError::Stray(_) => DefinitionError::Plan(error),
    }
}

/// The program to run, if one is named.
fn program(params: &mut Map<String, Value>) -> Result<Option<Program>, DefinitionError> {
    let line = match params.shift_remove("handler") {
        None => None,
        Some(Value::String(line)) => Some(line),
        Some(_) => return Err(DefinitionError::HandlerLine),
    };
    let words = match params.shift_remove("args") {
        None => None,
        // One word is as good as a list of one.
        Some(Value::String(word)) => Some(vec![word]),
        Some(Value::Array(items)) => {
            let words = items.iter().map(|it| it.as_str().map(str::to_owned));
            Some(words.collect::<Option<Vec<_>>>().ok_or(DefinitionError::Args)?)
        }
        Some(_) => return Err(DefinitionError::Args),
    };
    match (line, words.filter(|it| !it.is_empty())) {
        (Some(_), Some(_)) => Err(DefinitionError::TwoHandlers),
        (Some(line), None) => Ok(Some(Program::Shell(line))),
        (None, words) => Ok(words.map(Program::Words)),
    }
}

/// The web server to tell.
fn http(value: &Value) -> Result<Http, DefinitionError> {
    let wrong = |text: String| DefinitionError::Http(text);
    // A block comes as a list of one.
    let value = value.as_array().filter(|it| it.len() == 1).map_or(value, |it| &it[0]);
    let Some(fields) = value.as_object() else {
        let found = if value.is_string() { "string" } else { "something else" };
        return Err(wrong(format!("'' expected a map, got '{found}'")));
    };
    let text = |name: &str| match fields.get(name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(_) => Err(wrong(format!("'{name}' expected type 'string'"))),
    };
    let path = text("path")?;
    if path.is_empty() {
        return Err(wrong("Requires 'path' to be set".to_owned()));
    }
    let timeout = match text("timeout")? {
        "" => TIMEOUT,
        timeout => duration::parse(timeout)
            .map_err(|error| wrong(format!("Failed to parse timeout: {error}")))?,
    };
    let method = match text("method")? {
        "" => "POST",
        method => method,
    };
    let tls_skip_verify = match fields.get("tls_skip_verify") {
        None => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Err(wrong("'tls_skip_verify' expected type 'bool'".to_owned())),
    };
    let headers = headers(fields.get("header"))
        .ok_or_else(|| wrong("'header' expected a map of names and lists of values".to_owned()))?;
    Ok(Http { url: path.to_owned(), method: method.to_owned(), headers, timeout, tls_skip_verify })
}

/// Names and their values. `None` if it is something else.
fn headers(value: Option<&Value>) -> Option<BTreeMap<String, Vec<String>>> {
    let Some(value) = value else { return Some(BTreeMap::new()) };
    let value = value.as_array().filter(|it| it.len() == 1).map_or(value, |it| &it[0]);
    let values = |value: &Value| match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(items) => items.iter().map(|it| it.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    value.as_object()?.iter().map(|(name, it)| Some((name.clone(), values(it)?))).collect()
}

/// How long a web server may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn http_of(config: Value) -> Result<Handler, DefinitionError> {
        let value = json!({
            "type": "services", "handler_type": "http", "http_handler_config": config,
        });
        Configured::parse(&value).map(|it| it.handler)
    }

    #[test]
    fn handlers_of_every_shape() {
        let program = |more: Value| {
            let mut value = json!({ "type": "key", "key": "a" });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            Configured::parse(&value).map(|it| it.handler)
        };
        let words = |words: &[&str]| {
            let words = words.iter().map(|it| (*it).to_owned()).collect();
            Ok(Handler::Program(Program::Words(words)))
        };
        assert_eq!(program(json!({ "args": ["cat", "-"] })), words(&["cat", "-"]));
        assert_eq!(program(json!({ "args": "cat" })), words(&["cat"]));
        let script = json!({ "handler_type": "script", "args": ["cat"], "token": "t" });
        assert_eq!(program(script), words(&["cat"]));
        let line = Handler::Program(Program::Shell("cat -".into()));
        assert_eq!(program(json!({ "handler": "cat -" })), Ok(line));

        let usual = Http {
            url: "http://x/".into(),
            method: "POST".into(),
            headers: BTreeMap::new(),
            timeout: Duration::from_secs(10),
            tls_skip_verify: false,
        };
        assert_eq!(http_of(json!({ "path": "http://x/" })), Ok(Handler::Http(usual.clone())));
        let own = Http {
            method: "PUT".into(),
            headers: BTreeMap::from([
                ("A".into(), vec!["1".into(), "2".into()]),
                ("B".into(), vec!["3".into()]),
            ]),
            timeout: Duration::from_millis(1_500),
            tls_skip_verify: true,
            ..usual
        };
        let config = json!([{
            "path": "http://x/", "method": "PUT", "timeout": "1.5s", "tls_skip_verify": true,
            "header": [{ "A": ["1", "2"], "B": "3" }],
        }]);
        assert_eq!(http_of(config), Ok(Handler::Http(own)));
    }

    #[test]
    fn mistakes_read_like_the_originals() {
        let key = |more: Value| {
            let mut value = json!({ "type": "key", "key": "a" });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            value
        };
        let http =
            |config: Value| key(json!({ "handler_type": "http", "http_handler_config": config }));
        let cases = [
            (key(json!({})), "Must define a watch handler"),
            (key(json!({ "args": [] })), "Must define a watch handler"),
            (key(json!({ "args": [1] })), "Watch args must be a list of strings"),
            (key(json!({ "handler": 1 })), "Watch handler must be a string"),
            (key(json!({ "handler": "x", "args": ["y"] })), "Only one watch handler allowed"),
            (
                key(json!({ "handler_type": "zz", "args": ["x"] })),
                "Handler type 'zz' not recognized",
            ),
            (
                key(json!({ "handler_type": "http" })),
                "Failed to parse watch: Handler type 'http' requires 'http_handler_config' to be \
                 set",
            ),
            (
                key(json!({ "args": ["x"], "http_handler_config": { "path": "http://x/" } })),
                "Failed to parse watch: Invalid parameters: [http_handler_config]",
            ),
            (
                http(json!({ "method": "GET" })),
                "Failed to parse watch: Failed to parse 'http_handler_config': Requires 'path' to \
                 be set",
            ),
            (
                http(json!({ "path": "http://x/", "timeout": "zz" })),
                "Failed to parse watch: Failed to parse 'http_handler_config': Failed to parse \
                 timeout: time: invalid duration \"zz\"",
            ),
            (
                http(json!("x")),
                "Failed to parse watch: Failed to parse 'http_handler_config': '' expected a map, \
                 got 'string'",
            ),
            (json!({}), "Failed to parse watch: Watch type must be specified"),
            (
                json!({ "type": "zz", "args": ["x"] }),
                "Failed to parse watch: Unsupported watch type: zz",
            ),
            (
                json!({ "type": "key", "args": ["x"] }),
                "Failed to parse watch: Must specify a single key to watch",
            ),
            (
                json!({ "type": "connect_roots", "args": ["x"] }),
                "Watch type connect_roots is not allowed in agent config",
            ),
        ];
        for (value, want) in cases {
            assert_eq!(Configured::parse(&value).unwrap_err().to_string(), want, "{value}");
        }
    }
}
