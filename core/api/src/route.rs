//! Which path is which endpoint, and which methods it knows.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::Error;
use crate::http::{Method, Response};

/// One row of the table of endpoints.
#[derive(Debug)]
pub struct Route {
    /// The path. One that ends in a slash takes everything below it.
    pub path: &'static str,
    /// What it accepts, besides `OPTIONS`.
    pub methods: &'static [Method],
    /// Who answers.
    pub endpoint: Endpoint,
}

/// Who answers a request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Endpoint {
    /// `/v1/kv/`.
    Kv,
    /// `/v1/catalog/`.
    Catalog(CatalogEndpoint),
    /// `/v1/coordinate/`.
    Coordinate(CoordinateEndpoint),
    /// `/v1/health/`.
    Health(HealthEndpoint),
    /// `/v1/agent/`.
    Agent(AgentEndpoint),
    /// `/v1/operator/`.
    Operator(OperatorEndpoint),
    /// `/v1/agent/join/`, `/v1/event/` and what else is about the pool.
    Pool(PoolEndpoint),
    /// `/v1/query`, and below.
    PreparedQuery(PreparedQueryEndpoint),
    /// `/v1/status/`.
    Status(StatusEndpoint),
}

/// Endpoints of the catalog.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum CatalogEndpoint {
    Register,
    Deregister,
    Datacenters,
    Nodes,
    Services,
    Service,
    Node,
    NodeServices,
}

/// Endpoints about where nodes are.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum CoordinateEndpoint {
    Datacenters,
    Nodes,
    Node,
    Update,
}

/// Endpoints about health.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum HealthEndpoint {
    Node,
    Checks,
    Service,
    State,
}

/// Endpoints of the agent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum AgentEndpoint {
    Itself,
    Version,
    Members,
    Services,
    Service,
    Checks,
    HealthById,
    HealthByName,
    RegisterService,
    DeregisterService,
    ServiceMaintenance,
    Maintenance,
    RegisterCheck,
    DeregisterCheck,
    PassCheck,
    WarnCheck,
    FailCheck,
    UpdateCheck,
    Leave,
    Reload,
}

/// Endpoints about consensus.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum StatusEndpoint {
    Leader,
    Peers,
}

/// Endpoints about prepared queries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum PreparedQueryEndpoint {
    All,
    One,
}

/// Endpoints about the pool of agents.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum PoolEndpoint {
    Join,
    ForceLeave,
    Fire,
    Events,
    Keyring,
}

/// Endpoints about the servers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[allow(missing_docs)] // The names are those of the paths.
pub enum OperatorEndpoint {
    RaftConfiguration,
    RaftPeer,
    TransferLeader,
    AutopilotConfiguration,
    AutopilotHealth,
    AutopilotState,
    KvReplication,
}

/// All endpoints. The first that fits answers, so what is asked most comes first, and a path
/// before those that it is below of.
pub const ROUTES: &[Route] = {
    use AgentEndpoint as A;
    use CatalogEndpoint as C;
    use CoordinateEndpoint as D;
    use Endpoint::{Agent, Catalog, Coordinate, Health, Kv, Operator, Pool, PreparedQuery, Status};
    use HealthEndpoint as H;
    use OperatorEndpoint as O;
    use PoolEndpoint as P;
    use PreparedQueryEndpoint as Q;

    const GET: &[Method] = &[Method::Get];
    const PUT: &[Method] = &[Method::Put];
    const DELETE: &[Method] = &[Method::Delete];
    const GET_PUT: &[Method] = &[Method::Get, Method::Put];
    const ALL: &[Method] = &[Method::Get, Method::Post, Method::Put, Method::Delete];
    const PUT_POST: &[Method] = &[Method::Put, Method::Post];
    const GET_POST: &[Method] = &[Method::Get, Method::Post];
    const GET_PUT_DELETE: &[Method] = &[Method::Get, Method::Put, Method::Delete];
    const fn route(path: &'static str, methods: &'static [Method], endpoint: Endpoint) -> Route {
        Route { path, methods, endpoint }
    }
    &[
        route("/v1/kv/", GET_PUT_DELETE, Kv),
        route("/v1/health/service/", GET, Health(H::Service)),
        route("/v1/health/checks/", GET, Health(H::Checks)),
        route("/v1/health/node/", GET, Health(H::Node)),
        route("/v1/health/state/", GET, Health(H::State)),
        route("/v1/catalog/service/", GET, Catalog(C::Service)),
        route("/v1/catalog/services", GET, Catalog(C::Services)),
        route("/v1/catalog/nodes", GET, Catalog(C::Nodes)),
        route("/v1/catalog/node/", GET, Catalog(C::Node)),
        route("/v1/catalog/node-services/", GET, Catalog(C::NodeServices)),
        route("/v1/catalog/datacenters", GET, Catalog(C::Datacenters)),
        route("/v1/catalog/register", PUT, Catalog(C::Register)),
        route("/v1/catalog/deregister", PUT, Catalog(C::Deregister)),
        route("/v1/query", GET_POST, PreparedQuery(Q::All)),
        route("/v1/query/", GET_PUT_DELETE, PreparedQuery(Q::One)),
        route("/v1/status/leader", GET, Status(StatusEndpoint::Leader)),
        route("/v1/status/peers", GET, Status(StatusEndpoint::Peers)),
        route("/v1/agent/self", GET, Agent(A::Itself)),
        route("/v1/agent/version", GET, Agent(A::Version)),
        route("/v1/agent/members", GET, Agent(A::Members)),
        route("/v1/agent/services", GET, Agent(A::Services)),
        route("/v1/agent/service/register", PUT, Agent(A::RegisterService)),
        route("/v1/agent/service/deregister/", PUT, Agent(A::DeregisterService)),
        route("/v1/agent/service/maintenance/", PUT, Agent(A::ServiceMaintenance)),
        route("/v1/agent/service/", GET, Agent(A::Service)),
        route("/v1/agent/health/service/id/", GET, Agent(A::HealthById)),
        route("/v1/agent/health/service/name/", GET, Agent(A::HealthByName)),
        route("/v1/agent/maintenance", PUT, Agent(A::Maintenance)),
        route("/v1/agent/checks", GET, Agent(A::Checks)),
        route("/v1/agent/check/register", PUT, Agent(A::RegisterCheck)),
        route("/v1/agent/check/deregister/", PUT, Agent(A::DeregisterCheck)),
        route("/v1/agent/check/pass/", PUT, Agent(A::PassCheck)),
        route("/v1/agent/check/warn/", PUT, Agent(A::WarnCheck)),
        route("/v1/agent/check/fail/", PUT, Agent(A::FailCheck)),
        route("/v1/agent/check/update/", PUT, Agent(A::UpdateCheck)),
        route("/v1/agent/leave", PUT, Agent(A::Leave)),
        route("/v1/agent/reload", PUT, Agent(A::Reload)),
        route("/v1/agent/join/", PUT, Pool(P::Join)),
        route("/v1/agent/force-leave/", PUT, Pool(P::ForceLeave)),
        route("/v1/coordinate/nodes", GET, Coordinate(D::Nodes)),
        route("/v1/coordinate/node/", GET, Coordinate(D::Node)),
        route("/v1/coordinate/datacenters", GET, Coordinate(D::Datacenters)),
        route("/v1/coordinate/update", PUT, Coordinate(D::Update)),
        route("/v1/event/fire/", PUT, Pool(P::Fire)),
        route("/v1/event/list", GET, Pool(P::Events)),
        route("/v1/operator/keyring", ALL, Pool(P::Keyring)),
        route("/v1/operator/raft/configuration", GET, Operator(O::RaftConfiguration)),
        route("/v1/operator/raft/peer", DELETE, Operator(O::RaftPeer)),
        route("/v1/operator/raft/transfer-leader", PUT_POST, Operator(O::TransferLeader)),
        route("/v1/operator/autopilot/configuration", GET_PUT, Operator(O::AutopilotConfiguration)),
        route("/v1/operator/autopilot/health", GET, Operator(O::AutopilotHealth)),
        route("/v1/operator/autopilot/state", GET, Operator(O::AutopilotState)),
        route("/v1/operator/kv/replication", GET, Operator(O::KvReplication)),
    ]
};

/// The first `%` of `path` that two hexadecimal digits do not follow, and what does.
fn broken_escape(path: &str) -> Option<&str> {
    let digit = |it: Option<&u8>| it.is_some_and(u8::is_ascii_hexdigit);
    let bytes = path.as_bytes();
    let broken =
        |at: &usize| bytes[*at] == b'%' && !(digit(bytes.get(at + 1)) && digit(bytes.get(at + 2)));
    let at = (0..bytes.len()).find(broken)?;
    Some(path.get(at..at + 3).unwrap_or_else(|| &path[at..]))
}

#[test]
fn a_broken_escape_is_found() {
    let cases = [
        ("/v1/kv/a%2Fb", None),
        ("/v1/kv/p%zz", Some("%zz")),
        ("/v1/kv/p%", Some("%")),
        ("/v1/kv/p%2", Some("%2")),
        ("/v1/kv/p%2ü", Some("%2ü")),
    ];
    for (path, want) in cases {
        assert_eq!(broken_escape(path), want, "{path}");
    }
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// An endpoint.
    Route {
        route: &'static Route,
        /// What follows the endpoint's path, decoded. Any bytes.
        rest: Cow<'a, [u8]>,
    },
    /// The same path, written properly.
    Moved(String),
}

/// Find the endpoint of a path that is still percent-encoded.
pub(crate) fn find(path: &str) -> Result<Found<'_>, Error> {
    // A client that escapes wrongly must hear of it: else its mistake becomes a key.
    if let Some(escape) = broken_escape(path) {
        return Err(Error::bad(format!("invalid URL escape {escape:?}")));
    }
    let decoded: Cow<'_, [u8]> = percent_decode_str(path).into();
    if !is_printable(&decoded) {
        return Err(Error::UnprintablePath);
    }
    // Cleaned before it is decoded: a key with two slashes in a row can be written with `%2F`.
    if let Some(clean) = clean(path) {
        return Ok(Found::Moved(clean));
    }
    for route in ROUTES {
        let Some(rest) = decoded.strip_prefix(route.path.as_bytes()) else { continue };
        if rest.is_empty() || route.takes_below() {
            let rest = match decoded {
                Cow::Borrowed(decoded) => Cow::Borrowed(&decoded[route.path.len()..]),
                Cow::Owned(_) => Cow::Owned(rest.to_vec()),
            };
            return Ok(Found::Route { route, rest });
        }
    }
    let below = |it: &&Route| it.path.strip_suffix('/') == Some(path);
    match ROUTES.iter().find(below) {
        Some(route) => Ok(Found::Moved(route.path.to_owned())),
        None => Err(Error::UnknownPath),
    }
}

impl Route {
    /// Who answers `method`, if it is known here.
    pub(crate) fn endpoint(&self, method: Method) -> Option<Endpoint> {
        self.methods.contains(&method).then_some(self.endpoint)
    }

    /// The answer to a method that is not known here, or that asks which are.
    pub(crate) fn refuse(&self, method: Method) -> Response {
        let response = match method {
            Method::Options => Response::empty(200),
            Method::Get
            | Method::Put
            | Method::Post
            | Method::Delete
            | Method::Head
            | Method::Patch
            | Method::Other => Error::MethodNotAllowed(method.name()).into(),
        };
        response.with_header("Allow", self.allow())
    }

    /// The methods, as `Allow` lists them.
    fn allow(&self) -> String {
        let names = self.methods.iter().map(|it| it.name());
        names.fold("OPTIONS".to_owned(), |list, name| list + "," + name)
    }

    /// Whether everything below the path is meant as well.
    fn takes_below(&self) -> bool {
        self.path.ends_with('/')
    }
}

/// The path without empty, `.` and `..` segments, if it has any.
fn clean(path: &str) -> Option<String> {
    let dotted = |it: &str| it.is_empty() || it == "." || it == "..";
    let (inner, last) = path.strip_prefix('/')?.rsplit_once('/')?;
    if !inner.split('/').any(dotted) && last != "." && last != ".." {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in inner.split('/').chain([last]) {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            _ => kept.push(segment),
        }
    }
    let slash = if last.is_empty() && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{slash}", kept.join("/")))
}

/// Whether every character could be on paper. Bytes that are no character count as one that can.
fn is_printable(path: &[u8]) -> bool {
    if path.iter().all(|it| matches!(it, 0x20..0x7f)) {
        return true;
    }
    let invisible = |it: char| match it {
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' => true,
        '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}' => true,
        ' ' => false,
        _ => it.is_control() || it.is_whitespace(),
    };
    !String::from_utf8_lossy(path).contains(invisible)
}

#[cfg(test)]
mod tests;
