//! A real HTTP client on a simulated network.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tribune_base::time::Duration;
use turmoil::net::TcpStream;

/// What an agent answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `X-Consul-Index`, if there was one.
    pub index: Option<u64>,
    /// The body.
    pub body: Bytes,
}

/// One request on a connection of its own. Everything has a deadline: a simulated connection does
/// not notice that its other end is gone, and neither does a real one.
///
/// # Errors
///
/// No answer came: whether the request had an effect is unknown.
pub async fn call(
    host: &str,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
    patience: Duration,
) -> io::Result<Answer> {
    let exchange = exchange(host, method, path, body.into());
    match tokio::time::timeout(patience, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn exchange(host: &str, method: &str, path: &str, body: Bytes) -> io::Result<Answer> {
    let stream = TcpStream::connect((host, super::host::HTTP_PORT)).await?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends when `sender` goes, or the other side does.
    tokio::spawn(connection);
    let request = hyper::Request::builder().method(method).uri(path).header("host", host);
    let request = request.body(Full::new(body)).map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let index = response.headers().get("x-consul-index");
    let index = index.and_then(|it| it.to_str().ok()?.parse().ok());
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Answer { status, index, body })
}
