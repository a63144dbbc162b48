//! The HTTP client of commands: one request, and the caller waits.

use std::fs;
use std::io;

use bytes::Bytes;
use hyper::Method;
use tokio::runtime::{Builder, Runtime};
use tribune_base::json;

use super::target::Target;
use super::terminal::{Terminal, describe};
use crate::client::{Asker, Endpoint, EndpointError};
pub(crate) use crate::client::{Reply, RequestError};

/// Talks to one agent.
pub(crate) struct Client {
    pub(crate) asker: Asker,
    pub(crate) runtime: Runtime,
}

/// Why there is no client. The user names another agent or token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The token's file cannot be read.
    #[error("Error loading token file: open {path}: {reason}")]
    TokenFile {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The token's file is empty.
    #[error("Error loading token file: {0} is empty")]
    TokenEmpty(String),
    /// The system gave us no reactor.
    #[error("Error starting: {0}")]
    Runtime(io::Error),
}

impl Client {
    /// A client as flags and environment want it. Nothing is connected yet.
    pub(crate) fn new(target: &Target, terminal: &Terminal<'_>) -> Result<Self, TargetError> {
        let address = target.http_addr.as_deref().or_else(|| terminal.env("CONSUL_HTTP_ADDR"));
        let endpoint = Endpoint::parse(address.unwrap_or("127.0.0.1:8500"))?;
        let tls = terminal.env("CONSUL_HTTP_SSL").map(str::to_lowercase);
        if matches!(tls.as_deref(), Some("1" | "t" | "true")) {
            return Err(EndpointError::Tls.into());
        }
        let mut headers = Vec::new();
        if let Some(token) = token(target, terminal)? {
            headers.push(("X-Consul-Token", token));
        }
        if let Some(auth) = terminal.env("CONSUL_HTTP_AUTH") {
            let auth = if auth.contains(':') { auth.to_owned() } else { format!("{auth}:") };
            headers.push(("Authorization", format!("Basic {}", json::base64(auth.as_bytes()))));
        }
        let mut shared = Vec::new();
        if let Some(datacenter) = &target.datacenter {
            shared.push(("dc", datacenter.clone()));
        }
        if target.stale {
            shared.push(("stale", String::new()));
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(TargetError::Runtime)?;
        Ok(Self { asker: Asker { endpoint, headers, shared }, runtime })
    }

    /// Look at `path`, with parameters.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, RequestError> {
        self.request(&Method::GET, path, query, Bytes::new())
    }

    /// Change `path`.
    pub(crate) fn put(
        &self,
        path: &str,
        query: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, RequestError> {
        self.request(&Method::PUT, path, query, body.into())
    }

    /// Remove `path`.
    pub(crate) fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, RequestError> {
        self.request(&Method::DELETE, path, query, Bytes::new())
    }

    /// Do anything else to `path`.
    pub(crate) fn request(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, RequestError> {
        self.runtime.block_on(self.asker.request(method, path, query, body))
    }
}

fn token(target: &Target, terminal: &Terminal<'_>) -> Result<Option<String>, TargetError> {
    if let Some(token) = &target.token {
        return Ok(Some(token.clone()));
    }
    let file = target.token_file.as_deref().or_else(|| terminal.env("CONSUL_HTTP_TOKEN_FILE"));
    let Some(path) = file else {
        return Ok(terminal.env("CONSUL_HTTP_TOKEN").map(str::to_owned));
    };
    let text = fs::read_to_string(path).map_err(|error| TargetError::TokenFile {
        path: path.to_owned(),
        reason: describe(&error),
    })?;
    match text.trim() {
        "" => Err(TargetError::TokenEmpty(path.to_owned())),
        token => Ok(Some(token.to_owned())),
    }
}
