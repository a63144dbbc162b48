//! A small HTTP client of agents: one request, one connection.
//!
//! Commands wait for it, the agent's own watches run beside everything else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Asks one agent.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) endpoint: Endpoint,
    /// Headers of every request.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Parameters of every request.
    pub(crate) shared: Vec<(&'static str, String)>,
}

/// Where an agent listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    /// `host:port`.
    Tcp(String),
    /// A path.
    Unix(String),
}

/// Why an address is none. The user names another.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum EndpointError {
    /// An address of a kind we cannot reach.
    #[error("Unknown protocol scheme: {0}")]
    Scheme(String),
    /// TLS is asked for.
    #[error("https is not supported yet: use an http:// or unix:// address")]
    Tls,
}

/// What an agent answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The index to wait for a change after, if the answer has one.
    pub(crate) index: Option<u64>,
    pub(crate) body: Bytes,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The agent could not be asked.
    #[error("{verb} \"{url}\": {reason}")]
    Transport {
        /// The method, as a word.
        verb: String,
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// The agent said no. Most callers show the body; a few never did.
    #[error("Unexpected response code: {status} ({body})")]
    Status {
        /// The status.
        status: u16,
        /// The agent's words.
        body: String,
    },
    /// The answer is not what this version understands.
    #[error("Unexpected response: {0}")]
    Body(#[from] serde_json::Error),
}

impl Asker {
    /// One request, one answer, whatever its status.
    pub(crate) async fn request(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, RequestError> {
        let shared = self.shared.iter().map(|(name, value)| (*name, value.as_str()));
        let target = uri(path, shared.chain(query.iter().copied()));
        self.exchange(method, &target, body).await.map_err(|reason| {
            let (first, rest) = method.as_str().split_at(1);
            let verb = format!("{first}{}", rest.to_lowercase());
            let url = format!("http://{}{target}", self.endpoint.host());
            RequestError::Transport { verb, url, reason }
        })
    }

    async fn exchange(&self, method: &Method, uri: &str, body: Bytes) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header("Host", self.endpoint.host()).header("User-Agent", AGENT);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        match &self.endpoint {
            Endpoint::Tcp(address) => {
                let connected = TcpStream::connect(address.as_str()).await;
                send(connected.map_err(|error| dial("tcp", address, &error))?, request).await
            }
            Endpoint::Unix(path) => {
                let connected = UnixStream::connect(path).await;
                send(connected.map_err(|error| dial("unix", path, &error))?, request).await
            }
        }
    }
}

impl Reply {
    /// The answer, unless the agent said no.
    pub(crate) fn ok(self) -> Result<Self, RequestError> {
        if self.status == 200 {
            return Ok(self);
        }
        let body = String::from_utf8_lossy(&self.body).trim_end().to_owned();
        Err(RequestError::Status { status: self.status, body })
    }

    /// The answer as `T`, unless the agent said no.
    pub(crate) fn json<T: DeserializeOwned>(self) -> Result<T, RequestError> {
        Ok(serde_json::from_slice(&self.ok()?.body)?)
    }

    /// Whether a conditional change was made: `true` or `false`.
    pub(crate) fn held(self) -> Result<bool, RequestError> {
        let body = self.ok()?.body;
        Ok(String::from_utf8_lossy(&body).contains("true"))
    }
}

impl Endpoint {
    /// What people write: `host:port`, `http://host:port` or `unix:///path`.
    pub(crate) fn parse(address: &str) -> Result<Self, EndpointError> {
        let Some((scheme, rest)) = address.split_once("://") else {
            return Ok(Self::tcp(address));
        };
        match scheme {
            "http" => Ok(Self::tcp(rest.trim_end_matches('/'))),
            "unix" => Ok(Self::Unix(rest.to_owned())),
            "https" => Err(EndpointError::Tls),
            _ => Err(EndpointError::Scheme(scheme.to_owned())),
        }
    }

    fn tcp(address: &str) -> Self {
        let port = address.rsplit_once(':').map(|it| it.1);
        let named = port.is_some_and(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
        // Without a host, this one.
        let host = if address.starts_with(':') { "127.0.0.1" } else { "" };
        Self::Tcp(if named { format!("{host}{address}") } else { format!("{address}:80") })
    }

    fn host(&self) -> &str {
        match self {
            Self::Tcp(address) => address,
            Self::Unix(_) => "localhost",
        }
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let index = response.headers().get("X-Consul-Index");
        let index = index.and_then(|it| it.to_str().ok()?.parse().ok());
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(Reply { status, index, body: body.to_bytes() })
    };
    tokio::pin!(exchange, connection);
    // The connection moves the bytes; its own failures show in the exchange, too.
    tokio::select! {
        biased;
        reply = &mut exchange => reply,
        _ = &mut connection => exchange.await,
    }
}

/// Path and parameters, the latter in the order of their names.
fn uri<'a>(path: &str, query: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut uri = String::new();
    encode(path, b"/$&+,:;=@", &mut uri);
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in query {
        by_name.entry(name).or_default().push(value);
    }
    let mut separator = '?';
    for (name, values) in by_name {
        for value in values {
            uri.push(separator);
            encode(name, b"", &mut uri);
            uri.push('=');
            encode(value, b"", &mut uri);
            separator = '&';
        }
    }
    uri
}

/// Percent-encode all but the unreserved (RFC 3986, section 2.3) and the bytes of `keep`.
fn encode(text: &str, keep: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
}

fn dial(network: &str, address: &str, error: &io::Error) -> String {
    let reason = describe(error);
    match reason.strip_prefix("failed to lookup address information") {
        Some(_) => {
            let host = address.rsplit_once(':').map_or(address, |it| it.0);
            format!("dial {network}: lookup {host}: no such host")
        }
        None => format!("dial {network} {address}: connect: {reason}"),
    }
}

/// What the system says about `error`, in small letters and without its number.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

const AGENT: &str = concat!("tribune/", env!("CARGO_PKG_VERSION"));

#[test]
fn addresses_of_agents() {
    let tcp = |it: &str| Some(Endpoint::Tcp(it.to_owned()));
    let cases = [
        ("127.0.0.1:8500", tcp("127.0.0.1:8500")),
        (":8500", tcp("127.0.0.1:8500")),
        ("http://10.0.0.1:80", tcp("10.0.0.1:80")),
        ("http://agent:8500/", tcp("agent:8500")),
        ("agent", tcp("agent:80")),
        ("[::1]:8500", tcp("[::1]:8500")),
        ("[::1]", tcp("[::1]:80")),
        ("unix:///run/t.sock", Some(Endpoint::Unix("/run/t.sock".to_owned()))),
        ("https://agent:8501", None),
        ("foo://agent", None),
    ];
    for (address, want) in cases {
        assert_eq!(Endpoint::parse(address).ok(), want, "{address}");
    }
}

#[test]
fn uris_are_encoded_and_in_order() {
    let query = [("separator", "/"), ("keys", ""), ("node-meta", "b:1"), ("node-meta", "a b")];
    let want = "/v1/kv/a%20b/%C3%A4?keys=&node-meta=b%3A1&node-meta=a%20b&separator=%2F";
    assert_eq!(uri("/v1/kv/a b/ä", query.into_iter()), want);
}
