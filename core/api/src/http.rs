//! Requests and responses as plain data.

mod codec;

use std::net::IpAddr;

use bytes::Bytes;
use tribune_base::id::Index;
use tribune_base::time::Duration;

use crate::prepared::Asker;

/// An HTTP request, read completely. Borrows from whatever read it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// What follows the question mark, still percent-encoded; empty if there is none.
    pub query: &'a str,
    /// `X-Consul-Token`, or the bearer token of `Authorization`.
    pub token: Option<&'a str>,
    /// The body. Bounded by the edge before it came here.
    pub body: Bytes,
    /// Who asks. `None` over a Unix socket.
    pub remote: Option<IpAddr>,
    /// For whom, as far as a proxy says: the first address of `X-Forwarded-For`.
    pub forwarded_for: Option<IpAddr>,
    /// Whether text will do for an answer that could be JSON: `Accept: text/plain`.
    pub wants_text: bool,
}

/// A [`Request`] that travels to another server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnedRequest {
    /// The method.
    pub method: Method,
    /// The path, still percent-encoded.
    pub path: String,
    /// What follows the question mark, still percent-encoded; empty if there is none.
    pub query: String,
    /// The token, if there is one.
    pub token: Option<String>,
    /// The body.
    pub body: Bytes,
    /// Whose client asks, and where that is, if the agent that it came to first has said so.
    pub asker: Asker,
}

/// The methods this API knows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Method {
    /// Read.
    Get,
    /// Write.
    Put,
    /// Create.
    Post,
    /// Remove.
    Delete,
    /// Ask what is allowed.
    Options,
    /// Known to HTTP, used by nothing here.
    Head,
    /// Known to HTTP, used by nothing here.
    Patch,
    /// Anything else.
    Other,
}

/// An HTTP response. The edge adds `Date` and `Vary`, and compresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// What the body is.
    pub content: Content,
    /// What a read says of its freshness.
    pub meta: Option<ReadMeta>,
    /// Further headers: `Allow`, `Location`, `X-Consul-…`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

/// What a body is, and with it `Content-Type` and its companions.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Content {
    /// No body worth naming.
    None,
    /// `application/json`.
    Json,
    /// `text/plain; charset=utf-8`: errors.
    Text,
    /// `text/plain` that nobody may guess about (`nosniff`, `sandbox`): a raw value.
    Raw,
}

/// The headers `X-Consul-Index`, `X-Consul-Knownleader`, `X-Consul-Lastcontact` and, where the
/// endpoint says so, `X-Consul-Effective-Consistency`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadMeta {
    /// The version of what is shown. Never zero.
    pub index: Index,
    /// Whether the answering server knows a leader.
    pub known_leader: bool,
    /// How long ago it last heard of that leader. Zero on the leader itself.
    pub last_contact: Duration,
    /// How the answer was obtained, on the endpoints that tell.
    pub effective: Option<Effective>,
}

/// How an answer was obtained.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effective {
    /// From the leader, under its lease.
    Leader,
    /// After a quorum confirmed the leader.
    Consistent,
    /// From whatever the server had.
    Stale,
}

impl Request<'_> {
    /// The same, on its way to another server.
    pub fn to_owned(&self) -> OwnedRequest {
        OwnedRequest {
            method: self.method,
            path: self.path.to_owned(),
            query: self.query.to_owned(),
            token: self.token.map(str::to_owned),
            body: self.body.clone(),
            asker: Asker { ip: self.forwarded_for.or(self.remote), ..Asker::default() },
        }
    }
}

impl OwnedRequest {
    /// A DNS request, as it came from `ip` to an agent that cannot answer it: those travel like any
    /// other. `stream`, if it came in one.
    pub fn dns(packet: Bytes, stream: bool, ip: Option<IpAddr>) -> Self {
        let path = if stream { DNS_STREAM } else { DNS_PACKET };
        let (method, query) = (Method::Other, String::new());
        let asker = Asker { ip, ..Asker::default() };
        Self { method, path: path.to_owned(), query, token: None, body: packet, asker }
    }

    /// The same, of a DNS request that names another datacenter.
    #[must_use]
    pub fn of_datacenter(mut self, datacenter: Option<&str>) -> Self {
        debug_assert!(self.is_dns().is_some(), "others have a parameter for that");
        self.query = datacenter.unwrap_or_default().to_owned();
        self
    }

    /// The datacenter that a DNS request names, if it is another one than its agent's.
    pub fn dns_datacenter(&self) -> Option<&str> {
        self.is_dns().and(Some(self.query.as_str())).filter(|it| !it.is_empty())
    }

    /// Whether it may change anything: to have it done twice may not be the same as once.
    pub fn changes(&self) -> bool {
        !matches!(self.method, Method::Get | Method::Head) && self.is_dns().is_none()
    }

    /// Whether this is a DNS request, and if so, whether it came in a stream.
    pub fn is_dns(&self) -> Option<bool> {
        match self.path.as_str() {
            DNS_PACKET => Some(false),
            DNS_STREAM => Some(true),
            _ => None,
        }
    }

    /// The request as this agent sees it.
    pub fn as_request(&self) -> Request<'_> {
        Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            token: self.token.as_deref(),
            body: self.body.clone(),
            remote: self.asker.ip,
            forwarded_for: None,
            wants_text: false,
        }
    }
}

impl Method {
    /// The method as HTTP writes it. What is not known to HTTP has no name here.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Head => "HEAD",
            Self::Patch => "PATCH",
            Self::Other => "of that name",
        }
    }
}

impl Response {
    /// A response without a body.
    pub const fn empty(status: u16) -> Self {
        Self { status, content: Content::None, meta: None, headers: Vec::new(), body: Bytes::new() }
    }

    /// A JSON document.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self { content: Content::Json, body: body.into(), ..Self::empty(status) }
    }

    /// A text for people, and for programs that look for what it says.
    pub fn text(status: u16, text: impl Into<Bytes>) -> Self {
        Self { content: Content::Text, body: text.into(), ..Self::empty(status) }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        debug_assert!(codec::HEADERS.contains(&name), "{name} does not travel");
        self.headers.push((name, value));
        self
    }
}

/// No path of HTTP begins like this.
const DNS_PACKET: &str = "dns:packet";
const DNS_STREAM: &str = "dns:stream";
