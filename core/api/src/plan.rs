//! What a request needs of the node.

use bytes::Bytes;
use tribune_base::id::{Index, Uuid};
use tribune_base::time::Duration;
use tribune_state as state;

use crate::agent::AgentCall;
use crate::coordinate::{self, Places};
use crate::error::Error;
use crate::filter::{Filter, Row, Rows};
use crate::http::{Content, Method, OwnedRequest, Request, Response};
use crate::operator::OperatorCall;
use crate::params::{AFAR, Params};
use crate::prepared::Execution;
use crate::render::Json;
use crate::route::{self, Endpoint, Found};
use crate::{catalog, health, kv, operator, prepared, pretty};

pub use crate::pool::PoolCall;
pub use crate::status::StatusCall;

/// What the agent's configuration says about requests. Cheap to share, and the same for all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Context {
    /// The datacenter this agent is in.
    pub datacenter: String,
    /// The agent's node name: what `_agent` stands for.
    pub node: String,
    /// Whether JSON is always indented: `-dev`.
    pub pretty_always: bool,
    /// Whether clients want addresses in other datacenters as those say that they are from here.
    pub translate_wan_addrs: bool,
    /// The longest value of a key, in bytes.
    pub kv_value_max: usize,
    /// How long a blocking query waits that does not say.
    pub query_wait_default: Duration,
    /// The longest a blocking query may wait.
    pub query_wait_max: Duration,
    /// If not zero, catalog and health reads that do not say otherwise are stale by at most this.
    pub discovery_max_stale: Duration,
}

impl Context {
    /// The defaults, for an agent called `node` in `datacenter`.
    pub fn new(datacenter: impl Into<String>, node: impl Into<String>) -> Self {
        Self {
            datacenter: datacenter.into(),
            node: node.into(),
            pretty_always: false,
            translate_wan_addrs: false,
            kv_value_max: 512 << 10,
            query_wait_default: Duration::from_secs(300),
            query_wait_max: Duration::from_secs(600),
            discovery_max_stale: Duration::ZERO,
        }
    }
}

/// What a request needs of the node.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Nothing: this is the answer.
    Answer(Response),
    /// A command to commit.
    Write(Write),
    /// A look at the replicated state.
    Read(Read),
    /// This agent's own services and checks: [`agent::perform`](crate::agent::perform).
    Agent(AgentCall),
    /// What consensus knows.
    Status(StatusCall),
    /// Who is in the pool.
    Pool(PoolCall),
    /// What only the node knows of the servers, or does with them.
    Operator(OperatorCall),
    /// Another datacenter.
    Remote(Remote),
}

/// Something that another datacenter answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Remote {
    /// Which one.
    pub datacenter: String,
    /// Whether it may change anything there: then it must not be asked for twice.
    pub changes: bool,
    /// How long it may wait there for a change, before jitter.
    pub wait: Duration,
}

impl Remote {
    /// The request, as it goes there: it says what the clients of this agent want of others.
    pub fn addressed(&self, request: &Request<'_>, context: &Context) -> OwnedRequest {
        let mut request = request.to_owned();
        if context.translate_wan_addrs {
            let separator = if request.query.is_empty() { "" } else { "&" };
            request.query = format!("{}{separator}{AFAR}", request.query);
            request.asker.afar = true;
        }
        request
    }
}

/// A command to commit, and how to tell what came of it.
#[derive(Clone, Debug)]
pub struct Write {
    /// What to commit. The leader stamps it.
    pub command: state::Command,
    /// What the client is told.
    pub answer: WriteAnswer,
    /// Whether the client wants its JSON indented.
    pub pretty: bool,
}

/// What the client is told about a write.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum WriteAnswer {
    /// Whether it took effect: `true` or `false`.
    Bool,
    /// What the id is of what was made. Zero, until it is drawn.
    Id(Uuid),
    /// Nothing, if all went well.
    Empty,
}

/// A look at the replicated state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Read {
    /// What to look at.
    pub query: Query,
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// How far behind the leader a stale answer may be, on the endpoints that care. Whoever is
    /// further behind asks the leader.
    pub max_stale: Option<Duration>,
    /// Wait until the index is greater. Zero: do not wait.
    pub min_index: Index,
    /// How long to wait: defaulted and capped, before jitter.
    pub wait: Duration,
    /// Whether the client wants its JSON indented.
    pub pretty: bool,
}

/// How fresh an answer must be.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Consistency {
    /// From the leader, under its lease.
    #[default]
    Default,
    /// From the leader, after a quorum has confirmed it.
    Consistent,
    /// From any server.
    Stale,
}

/// Which rows of a list are wanted.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Selection {
    /// Pairs the node's meta must have.
    pub node_meta: Vec<(String, String)>,
    /// The node to sort by nearness to.
    pub near: Option<String>,
    /// What the rows must satisfy.
    pub filter: Option<Filter>,
    /// Whether addresses are those for other datacenters, where nodes and services have such.
    pub afar: bool,
}

/// A question to the replicated state. Equal queries have equal answers.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Query {
    /// One key.
    KvGet {
        /// The key: any bytes.
        key: Bytes,
        /// Whether the value is wanted as it is.
        raw: bool,
    },
    /// All keys that start with a prefix.
    KvList {
        /// The prefix; empty for all keys.
        prefix: Bytes,
    },
    /// The names of the keys that start with a prefix.
    KvKeys {
        /// The prefix; empty for all keys.
        prefix: Bytes,
        /// Where names end, if not empty.
        separator: Bytes,
    },
    /// All nodes.
    CatalogNodes {
        /// Which.
        selection: Selection,
    },
    /// All service names, with their tags.
    CatalogServices {
        /// Those on which nodes.
        selection: Selection,
    },
    /// The instances of a service.
    CatalogService {
        /// Its name.
        service: String,
        /// Tags they must have, all of them.
        tags: Vec<String>,
        /// Which.
        selection: Selection,
    },
    /// A node and its services, by their ids.
    CatalogNode {
        /// Its name, id, or the beginning of its id.
        node: String,
        /// Which services.
        selection: Selection,
    },
    /// A node and the list of its services.
    CatalogNodeServices {
        /// Its name, id, or the beginning of its id.
        node: String,
        /// Which services.
        selection: Selection,
    },
    /// The checks of a node.
    HealthNode {
        /// Its name.
        node: String,
        /// Which.
        selection: Selection,
    },
    /// The checks of a service.
    HealthChecks {
        /// Its name.
        service: String,
        /// Which.
        selection: Selection,
    },
    /// The instances of a service, with their nodes and checks.
    HealthService {
        /// Its name.
        service: String,
        /// Tags they must have, all of them.
        tags: Vec<String>,
        /// Whether all their checks must pass.
        passing: bool,
        /// Which.
        selection: Selection,
    },
    /// The settings of autopilot.
    Autopilot,
    /// All prepared queries.
    PreparedQueries,
    /// One prepared query.
    PreparedQuery {
        /// Its id.
        id: Uuid,
    },
    /// What a prepared query asks for.
    ExplainQuery {
        /// The name it is asked for by.
        name: String,
        /// How fresh the answer is, which it repeats.
        consistency: Consistency,
    },
    /// What a prepared query finds.
    ExecuteQuery(Box<Execution>),
    /// Where nodes are.
    Coordinates {
        /// Only this one.
        node: Option<String>,
    },
    /// Where servers are.
    CoordinateDatacenters,
    /// The checks in a state.
    HealthState {
        /// `any`, `passing`, `warning` or `critical`; there is nothing in any other.
        state: String,
        /// Which.
        selection: Selection,
    },
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evaluation {
    /// The version of the answer. Never zero.
    pub index: Index,
    /// The status: 404 for a key that is not there, with the index to wait on.
    pub status: u16,
    /// What the body is.
    pub content: Content,
    /// The body.
    pub body: Bytes,
}

/// Work out what `request` needs. Total: whatever is wrong with a request is an answer.
pub fn plan(request: &Request<'_>, context: &Context) -> Plan {
    try_plan(request, context).unwrap_or_else(|error| Plan::Answer(error.into()))
}

fn try_plan(request: &Request<'_>, context: &Context) -> Result<Plan, Error> {
    if request.path == "/" && matches!(request.method, Method::Get | Method::Head) {
        // Whoever balances load asks this to see whether anybody is there.
        return Ok(Plan::Answer(Response::text(200, "Consul Agent")));
    }
    let (route, rest) = match route::find(request.path)? {
        Found::Route { route, rest } => (route, rest),
        Found::Moved(path) => return Ok(Plan::Answer(moved(path, request.query))),
    };
    let Some(endpoint) = route.endpoint(request.method) else {
        return Ok(Plan::Answer(route.refuse(request.method)));
    };
    let params = Params::parse(request.query);
    params.refuse_enterprise()?;
    let call = Call { request, context, params: &params, rest: &rest };
    match endpoint {
        Endpoint::Kv => kv::plan(&call),
        Endpoint::Catalog(it) => catalog::plan(it, &call),
        Endpoint::Coordinate(it) => coordinate::plan(it, &call),
        Endpoint::Health(it) => health::plan(it, &call),
        Endpoint::Agent(it) => crate::agent::plan(it, &call),
        Endpoint::Operator(it) => operator::plan(it, &call),
        Endpoint::Pool(it) => crate::pool::plan(it, &call),
        Endpoint::PreparedQuery(it) => prepared::plan(it, &call),
        Endpoint::Status(it) => crate::status::plan(it, &call),
    }
}

/// A request whose endpoint is known.
pub(crate) struct Call<'a> {
    /// The request.
    pub(crate) request: &'a Request<'a>,
    /// What the configuration says.
    pub(crate) context: &'a Context,
    /// The decoded query.
    pub(crate) params: &'a Params<'a>,
    /// What follows the endpoint's path, decoded: a key, a name, an id.
    pub(crate) rest: &'a [u8],
}

impl Call<'_> {
    /// Whether JSON is wanted indented.
    pub(crate) fn pretty(&self) -> bool {
        self.context.pretty_always || self.params.has("pretty")
    }

    /// The name at the end of the path, or the error that says which is missing.
    pub(crate) fn name(&self, missing: &'static str) -> Result<String, Error> {
        if self.rest.is_empty() {
            return Err(Error::bad(missing));
        }
        Ok(self.text())
    }

    /// What follows the endpoint's path, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.rest).into_owned()
    }

    /// Tags that all rows must have.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.params.all("tag").filter(|it| !it.is_empty()).map(ToOwned::to_owned).collect()
    }

    /// Which rows are wanted, of those of a kind.
    pub(crate) fn selection(&self, rows: Rows) -> Result<Selection, Error> {
        self.params.selection(rows)
    }

    /// The plan to answer `query`, with the freshness and the waiting that the parameters ask for.
    pub(crate) fn read(&self, query: Query) -> Result<Plan, Error> {
        if let Some(plan) = self.remote() {
            return Ok(plan);
        }
        let freshness = self.params.freshness(self.context, query.tells_consistency())?;
        let (min_index, wait) = self.params.waiting(self.context)?;
        Ok(Plan::Read(Read {
            query,
            consistency: freshness.consistency,
            max_stale: freshness.max_stale,
            min_index,
            wait,
            pretty: self.pretty(),
        }))
    }

    /// The plan to commit `command`.
    pub(crate) fn write(&self, command: state::Command) -> Plan {
        self.remote().unwrap_or_else(|| self.write_here(command))
    }

    /// The plan to commit `command` in this datacenter, whatever the parameters say.
    pub(crate) fn write_here(&self, command: state::Command) -> Plan {
        Plan::Write(Write { command, answer: WriteAnswer::Bool, pretty: self.pretty() })
    }

    /// The plan for a request that names another datacenter.
    pub(crate) fn remote(&self) -> Option<Plan> {
        self.remote_to(self.params.get("dc")?)
    }

    /// The plan for a request to `datacenter`, if it is not this one. Empty means this one.
    pub(crate) fn remote_to(&self, datacenter: &str) -> Option<Plan> {
        let ours = datacenter.is_empty() || datacenter == self.context.datacenter;
        if ours {
            return None;
        }
        // What makes no sense is refused there, at once.
        let wait = match self.params.waiting(self.context) {
            Ok((index, wait)) if index != Index(0) => wait,
            Ok(_) | Err(_) => Duration::ZERO,
        };
        let changes = !matches!(self.request.method, Method::Get | Method::Head);
        Some(Plan::Remote(Remote { datacenter: datacenter.to_owned(), changes, wait }))
    }
}

impl WriteAnswer {
    /// Tell the client what came of it. `pretty` is the write's own.
    pub fn response(self, outcome: state::Outcome, pretty: bool) -> Response {
        match self {
            Self::Bool => crate::status::written(outcome, pretty),
            Self::Id(id) => crate::status::done(outcome, || {
                let mut json = Json::with_capacity(64);
                json.raw(r#"{"ID":"#);
                json.uuid(id);
                json.raw("}");
                pretty::response(200, json.finish(), pretty)
            }),
            Self::Empty => crate::status::done(outcome, || Response::empty(200)),
        }
    }
}

impl Write {
    /// Name what is made, if it has no name yet: `draw` says how.
    pub fn identify(&mut self, draw: impl FnOnce() -> Uuid) {
        use state::prepared_query::Command::Create;
        if let (state::Command::PreparedQuery(Create(query)), WriteAnswer::Id(id @ Uuid(0))) =
            (&mut self.command, &mut self.answer)
        {
            query.id = draw();
            *id = query.id;
        }
    }
}

impl Read {
    /// Have equals come in an order of their own, if order is drawn: `draw` says how.
    pub fn shuffle(&mut self, draw: impl FnOnce() -> u64) {
        if let Query::ExecuteQuery(execution) = &mut self.query {
            execution.seed = draw();
        }
    }

    /// A client of the agent on `node` has asked, if that is known: what is near is near to that.
    pub fn asked_at(&mut self, node: &str) {
        if let (Query::ExecuteQuery(execution), false) = (&mut self.query, node.is_empty()) {
            node.clone_into(&mut execution.asker.agent);
        }
    }

    /// Whether the client waits for a change, and knows everything that `snapshot` shows.
    pub fn waits(&self, snapshot: &state::Snapshot) -> bool {
        self.min_index != Index(0) && self.query.index(snapshot) <= self.min_index
    }
}

impl Query {
    /// What to wait on for the answer to change.
    pub fn topic(&self) -> state::Topic {
        use state::Topic;
        match self {
            Self::KvGet { key, .. } => Topic::Kv(key.clone()),
            Self::KvList { prefix } | Self::KvKeys { prefix, .. } => {
                Topic::KvPrefix(prefix.clone())
            }
            Self::CatalogNodes { .. } | Self::Coordinates { .. } | Self::CoordinateDatacenters => {
                Topic::Nodes
            }
            Self::CatalogServices { selection } if selection.filter.is_some() => Topic::Catalog,
            Self::CatalogServices { selection } => selection.joined(Topic::Services),
            Self::CatalogService { service, .. } => Topic::service(service),
            Self::CatalogNode { node, .. } | Self::CatalogNodeServices { node, .. } => {
                catalog::node_topic(node)
            }
            Self::Autopilot => Topic::Autopilot,
            // An answer that finds something is not waited for: see `index`.
            Self::PreparedQueries
            | Self::PreparedQuery { .. }
            | Self::ExplainQuery { .. }
            | Self::ExecuteQuery(_) => Topic::PreparedQueries,
            Self::HealthNode { node, .. } => Topic::node_checks(node),
            Self::HealthChecks { service, selection } => {
                selection.joined(Topic::service_checks(service))
            }
            Self::HealthService { service, .. } => Topic::health(service),
            Self::HealthState { state, selection } => {
                selection.joined(Topic::ChecksState(state.parse().ok()))
            }
        }
    }

    /// The version of the answer in `snapshot`, without working the answer out. Never zero.
    pub fn index(&self, snapshot: &state::Snapshot) -> Index {
        // They depend on more than one could wait for, and the original counts none of it.
        if matches!(self, Self::ExplainQuery { .. } | Self::ExecuteQuery(_)) {
            return Index(1);
        }
        snapshot.index_of(&self.topic())
    }

    /// Whether other datacenters are to be asked, because there is nothing here.
    pub fn fails_over(&self, snapshot: &state::Snapshot, places: &Places) -> bool {
        let Self::ExecuteQuery(execution) = self else { return false };
        prepared::Failover::begin(execution, snapshot, places, false).is_some()
    }

    /// Work out the answer. A pure function, wherever the snapshot is.
    pub fn evaluate(
        &self,
        snapshot: &state::Snapshot,
        places: &Places,
        context: &Context,
        pretty: bool,
    ) -> Evaluation {
        let evaluation = self.evaluate_compact(snapshot, places, context);
        if pretty && evaluation.content == Content::Json {
            return Evaluation { body: pretty::indent(&evaluation.body).into(), ..evaluation };
        }
        evaluation
    }

    fn evaluate_compact(
        &self,
        snapshot: &state::Snapshot,
        places: &Places,
        context: &Context,
    ) -> Evaluation {
        let around = Around { places, context, snapshot };
        let json = match self {
            Self::Coordinates { node } => {
                return coordinate::evaluate(node.as_deref(), snapshot, places);
            }
            Self::CoordinateDatacenters => coordinate::datacenters(context, places),
            Self::KvGet { key, raw } => return kv::one(key, *raw, snapshot),
            Self::PreparedQuery { id } => return prepared::get(*id, snapshot),
            Self::ExplainQuery { name, consistency } => {
                return prepared::explained(name, *consistency, snapshot);
            }
            Self::ExecuteQuery(it) => return prepared::executed(it, snapshot, places, context),
            Self::KvList { prefix } => return kv::list(prefix, snapshot),
            Self::KvKeys { prefix, separator } => return kv::names(prefix, separator, snapshot),
            Self::PreparedQueries => prepared::list(snapshot),
            Self::CatalogNodes { selection } => catalog::nodes(selection, snapshot, around),
            Self::CatalogServices { selection } => catalog::services(selection, snapshot),
            Self::CatalogService { service, tags, selection } => {
                catalog::service(service, tags, selection, snapshot, around)
            }
            Self::CatalogNode { node, selection } => catalog::node(node, selection, snapshot),
            Self::CatalogNodeServices { node, selection } => {
                catalog::node_services(node, selection, snapshot)
            }
            Self::Autopilot => operator::evaluate(snapshot),
            Self::HealthNode { node, selection } => health::node(node, selection, snapshot, around),
            Self::HealthChecks { service, selection } => {
                health::checks(service, selection, snapshot, around)
            }
            Self::HealthService { service, tags, passing, selection } => {
                health::service(service, tags, *passing, selection, snapshot, around)
            }
            Self::HealthState { state, selection } => {
                health::state(state, selection, snapshot, around)
            }
        };
        let body = json.finish().into();
        Evaluation { index: self.index(snapshot), status: 200, content: Content::Json, body }
    }

    /// Whether it takes longer to work the answer out than to look for it, and the same may well be
    /// asked again of the same state.
    pub const fn is_worth_keeping(&self) -> bool {
        // One is a single row, and the other has its own order each time.
        !matches!(self, Self::KvGet { .. } | Self::ExecuteQuery(_))
    }

    /// Whether something may change under [`topic`](Self::topic) that the answer does not show:
    /// whoever waits for a change should then compare before waking.
    pub const fn hides_changes(&self) -> bool {
        match self {
            Self::KvGet { .. }
            | Self::KvList { .. }
            | Self::Autopilot
            | Self::PreparedQueries
            | Self::ExplainQuery { .. }
            | Self::ExecuteQuery(_) => false,
            Self::KvKeys { .. }
            | Self::PreparedQuery { .. }
            | Self::Coordinates { .. }
            | Self::CoordinateDatacenters
            | Self::CatalogNodes { .. }
            | Self::CatalogServices { .. }
            | Self::CatalogService { .. }
            | Self::CatalogNode { .. }
            | Self::CatalogNodeServices { .. }
            | Self::HealthNode { .. }
            | Self::HealthChecks { .. }
            | Self::HealthService { .. }
            | Self::HealthState { .. } => true,
        }
    }

    /// Whether the answer says how it was obtained: `X-Consul-Effective-Consistency`. Key/value
    /// reads do not, as in the original, nor do an operator's.
    pub const fn tells_consistency(&self) -> bool {
        match self {
            Self::KvGet { .. }
            | Self::KvList { .. }
            | Self::KvKeys { .. }
            | Self::Coordinates { .. }
            | Self::CoordinateDatacenters
            | Self::Autopilot => false,
            Self::PreparedQueries
            | Self::PreparedQuery { .. }
            | Self::ExplainQuery { .. }
            | Self::ExecuteQuery(_)
            | Self::CatalogNodes { .. }
            | Self::CatalogServices { .. }
            | Self::CatalogService { .. }
            | Self::CatalogNode { .. }
            | Self::CatalogNodeServices { .. }
            | Self::HealthNode { .. }
            | Self::HealthChecks { .. }
            | Self::HealthService { .. }
            | Self::HealthState { .. } => true,
        }
    }
}

/// What nodes are near to what.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    places: &'a Places,
    context: &'a Context,
    snapshot: &'a state::Snapshot,
}

impl Selection {
    /// Put what is near first, if the client wants that. `node` tells on which node a row is.
    pub(crate) fn sort<T>(&self, rows: &mut [T], around: Around<'_>, node: impl Fn(&T) -> &str) {
        around.places.sort(rows, self, (around.context, around.snapshot), node);
    }

    /// Whether a node is wanted, by its meta.
    pub(crate) fn wants(&self, node: &state::Node) -> bool {
        self.node_meta.iter().all(|(key, value)| {
            node.meta.as_ref().and_then(|it| it.get(key)).is_some_and(|it| it == value)
        })
    }

    /// Whether a row is wanted, by the filter.
    pub(crate) fn accepts(&self, row: &dyn Row) -> bool {
        self.filter.as_ref().is_none_or(|it| it.accepts(row))
    }

    /// What to wait on for rows that are about `topic`: nodes, too, if their meta decides.
    fn joined(&self, topic: state::Topic) -> state::Topic {
        if self.node_meta.is_empty() { topic } else { state::Topic::Catalog }
    }
}

/// The answer to a path that must be asked for differently.
fn moved(path: String, query: &str) -> Response {
    let location = if query.is_empty() { path } else { format!("{path}?{query}") };
    Response::empty(301).with_header("Location", location)
}
