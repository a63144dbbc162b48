//! What to ask for: from the parameters of a watch to the request, or to what is wrong with them.

use serde_json::{Map, Value};

/// A part of the catalog, of the keys or of the events, to be asked for again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// The datacenter to ask about; the agent's own if empty.
    datacenter: String,
    /// The token to present; the agent's own if empty.
    pub(crate) token: String,
    /// Whether any server may answer, even one that lags behind.
    stale: bool,
}

/// What is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// One key.
    Key(String),
    /// All keys that begin like this.
    KeyPrefix(String),
    /// The names of all services, and their tags.
    Services,
    /// All nodes.
    Nodes,
    /// The instances of one service.
    Service {
        /// The service.
        service: String,
        /// Tags that an instance must have, all of them.
        tags: Vec<String>,
        /// Only those whose checks all pass.
        passing_only: bool,
    },
    /// The checks of one service.
    ServiceChecks(String),
    /// All checks in this state; `any` is every one.
    StateChecks(String),
    /// Events of this name, or all if it is empty.
    Event(String),
}

/// Why there is no plan, in the words of the original. Whoever wrote the parameters changes them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PlanError {
    /// A parameter is of another kind.
    #[error("Expecting {0} to be a {1}")]
    Type(&'static str, &'static str),
    /// Nothing says what to watch.
    #[error("Watch type must be specified")]
    NoType,
    /// Nobody can watch this.
    #[error("Unsupported watch type: {0}")]
    UnknownType(String),
    /// Watched by nobody but programs that use the API.
    #[error("Type {0} is not supported in the CLI tool")]
    Mesh(String),
    /// What must be named is not.
    #[error("Must specify a single {0} to watch")]
    Missing(&'static str),
    /// One or the other.
    #[error("Cannot specify service and state")]
    ServiceAndState,
    /// Parameters that this type does not have, joined by spaces.
    #[error("Invalid parameters: [{0}]")]
    Stray(String),
}

/// A request of a plan: its path and its parameters.
pub(crate) type Request = (String, Vec<(&'static str, String)>);

impl Plan {
    /// Understand the parameters of a watch.
    pub(crate) fn parse(params: Map<String, Value>) -> Result<Self, PlanError> {
        let mut params = Params(params);
        let datacenter = params.text("datacenter")?;
        let token = params.text("token")?;
        let kind = params.text("type")?;
        let stale = params.flag("stale")?;
        let kind = params.kind(&kind)?;
        if !params.0.is_empty() {
            let mut names: Vec<_> = params.0.keys().map(String::as_str).collect();
            names.sort_unstable();
            return Err(PlanError::Stray(names.join(" ")));
        }
        Ok(Self { kind, datacenter, token, stale })
    }

    /// What to ask for, or why it will never be answered.
    pub(crate) fn request(&self) -> Result<Request, String> {
        let mut query = Vec::new();
        let path = match &self.kind {
            // Keys begin with no slash, people do.
            Kind::Key(key) => format!("/v1/kv/{}", key.strip_prefix('/').unwrap_or(key)),
            Kind::KeyPrefix(prefix) => {
                query.push(("recurse", String::new()));
                format!("/v1/kv/{}", prefix.strip_prefix('/').unwrap_or(prefix))
            }
            Kind::Services => "/v1/catalog/services".to_owned(),
            Kind::Nodes => "/v1/catalog/nodes".to_owned(),
            Kind::Service { service, tags, passing_only } => {
                query.extend(tags.iter().map(|it| ("tag", it.clone())));
                if *passing_only {
                    query.push(("passing", "1".to_owned()));
                }
                format!("/v1/health/service/{service}")
            }
            Kind::ServiceChecks(service) => format!("/v1/health/checks/{service}"),
            Kind::StateChecks(state) if STATES.contains(&state.as_str()) => {
                format!("/v1/health/state/{state}")
            }
            Kind::StateChecks(state) => return Err(format!("Unsupported state: {state}")),
            Kind::Event(name) => {
                if !name.is_empty() {
                    query.push(("name", name.clone()));
                }
                "/v1/event/list".to_owned()
            }
        };
        if !self.datacenter.is_empty() {
            query.push(("dc", self.datacenter.clone()));
        }
        if self.stale {
            query.push(("stale", String::new()));
        }
        Ok((path, query))
    }

    /// What this type of watch is called.
    pub(crate) const fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Key(_) => "key",
            Kind::KeyPrefix(_) => "keyprefix",
            Kind::Services => "services",
            Kind::Nodes => "nodes",
            Kind::Service { .. } => "service",
            Kind::ServiceChecks(_) | Kind::StateChecks(_) => "checks",
            Kind::Event(_) => "event",
        }
    }
}

/// Parameters that nobody has looked at yet.
struct Params(Map<String, Value>);

impl Params {
    fn kind(&mut self, name: &str) -> Result<Kind, PlanError> {
        Ok(match name {
            "" => return Err(PlanError::NoType),
            "key" => Kind::Key(self.required("key", "key")?),
            "keyprefix" => Kind::KeyPrefix(self.required("prefix", "prefix")?),
            "services" => Kind::Services,
            "nodes" => Kind::Nodes,
            "service" => {
                let service = self.text("service")?;
                let tags = self.texts("tag")?;
                if service.is_empty() {
                    return Err(PlanError::Missing("service"));
                }
                Kind::Service { service, tags, passing_only: self.flag("passingonly")? }
            }
            "checks" => match (self.text("service")?, self.text("state")?) {
                (service, state) if service.is_empty() => {
                    Kind::StateChecks(if state.is_empty() { "any".to_owned() } else { state })
                }
                (service, state) if state.is_empty() => Kind::ServiceChecks(service),
                _ => return Err(PlanError::ServiceAndState),
            },
            "event" => Kind::Event(self.text("name")?),
            "connect_roots" | "connect_leaf" | "agent_service" => {
                return Err(PlanError::Mesh(name.to_owned()));
            }
            other => return Err(PlanError::UnknownType(other.to_owned())),
        })
    }

    fn required(&mut self, name: &'static str, what: &'static str) -> Result<String, PlanError> {
        Some(self.text(name)?).filter(|it| !it.is_empty()).ok_or(PlanError::Missing(what))
    }

    /// A text; an empty one if it is missing.
    fn text(&mut self, name: &'static str) -> Result<String, PlanError> {
        match self.0.shift_remove(name) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(PlanError::Type(name, "string")),
        }
    }

    fn flag(&mut self, name: &'static str) -> Result<bool, PlanError> {
        match self.0.shift_remove(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(PlanError::Type(name, "boolean")),
        }
    }

    /// One text, or a list of them.
    fn texts(&mut self, name: &'static str) -> Result<Vec<String>, PlanError> {
        let wrong = || PlanError::Type(name, "string or []string");
        match self.0.shift_remove(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let text = |it: Value| it.as_str().map(str::to_owned).ok_or_else(wrong);
                items.into_iter().map(text).collect()
            }
            Some(_) => Err(wrong()),
        }
    }
}

const STATES: &[&str] = &["any", "passing", "warning", "critical"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(params: Value) -> Result<Plan, PlanError> {
        let Value::Object(params) = params else { panic!("{params}") };
        Plan::parse(params)
    }

    #[test]
    fn every_type_has_its_request() {
        let cases = [
            (json!({ "type": "key", "key": "/a/b" }), "/v1/kv/a/b"),
            (json!({ "type": "keyprefix", "prefix": "a/" }), "/v1/kv/a/ recurse="),
            (json!({ "type": "services" }), "/v1/catalog/services"),
            (
                json!({ "type": "nodes", "datacenter": "dc2", "stale": true, "token": "t" }),
                "/v1/catalog/nodes dc=dc2 stale=",
            ),
            (json!({ "type": "service", "service": "web" }), "/v1/health/service/web"),
            (
                json!({ "type": "service", "service": "web", "tag": "a", "passingonly": true }),
                "/v1/health/service/web tag=a passing=1",
            ),
            (
                json!({ "type": "service", "service": "web", "tag": ["a", "b"] }),
                "/v1/health/service/web tag=a tag=b",
            ),
            (json!({ "type": "checks" }), "/v1/health/state/any"),
            (json!({ "type": "checks", "state": "critical" }), "/v1/health/state/critical"),
            (json!({ "type": "checks", "service": "web" }), "/v1/health/checks/web"),
            (json!({ "type": "event" }), "/v1/event/list"),
            (json!({ "type": "event", "name": "e" }), "/v1/event/list name=e"),
        ];
        for (params, want) in cases {
            let (path, query) = parse(params.clone()).unwrap().request().unwrap();
            let query = query.iter().map(|(name, value)| format!(" {name}={value}"));
            assert_eq!(path + &query.collect::<String>(), want, "{params}");
        }
        // Said when it is asked for: the original starts, and complains for as long as it runs.
        let plan = parse(json!({ "type": "checks", "state": "zz" })).unwrap();
        assert_eq!(plan.request(), Err("Unsupported state: zz".into()));
    }

    #[test]
    fn mistakes_read_like_the_originals() {
        let cases = [
            (json!({}), "Watch type must be specified"),
            (json!({ "type": "zz" }), "Unsupported watch type: zz"),
            (json!({ "type": 1 }), "Expecting type to be a string"),
            (json!({ "type": "key" }), "Must specify a single key to watch"),
            (json!({ "type": "key", "key": 1 }), "Expecting key to be a string"),
            (json!({ "type": "keyprefix" }), "Must specify a single prefix to watch"),
            (json!({ "type": "service" }), "Must specify a single service to watch"),
            (
                json!({ "type": "service", "service": "a", "passingonly": "true" }),
                "Expecting passingonly to be a boolean",
            ),
            (
                json!({ "type": "service", "service": "a", "tag": 1 }),
                "Expecting tag to be a string or []string",
            ),
            (
                json!({ "type": "checks", "service": "a", "state": "any" }),
                "Cannot specify service and state",
            ),
            (
                json!({ "type": "key", "key": "a", "stale": "zz" }),
                "Expecting stale to be a boolean",
            ),
            (
                json!({ "type": "key", "key": "a", "tag": "t", "prefix": "b" }),
                "Invalid parameters: [prefix tag]",
            ),
            (
                json!({ "type": "connect_roots" }),
                "Type connect_roots is not supported in the CLI tool",
            ),
        ];
        for (params, want) in cases {
            assert_eq!(parse(params.clone()).unwrap_err().to_string(), want, "{params}");
        }
    }
}
