//! Checks that ask over HTTP. hyper stays in this file.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::{Pin, pin};

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use tokio::time::{self, Instant};
use tribune_agent::{CheckOutcome, CheckSpec};
use tribune_base::time::Duration;
use tribune_state::Status;

use super::url::Url;
use super::{connect, critical};

/// Ask, and follow redirections if the check does.
pub(super) async fn run(spec: &CheckSpec, timeout: Duration) -> CheckOutcome {
    let CheckSpec::Http { url, method, .. } = spec else { panic!("not for HTTP: {spec:?}") };
    let mut at = url.clone();
    match ask(spec, &mut at, Instant::now() + timeout).await {
        Ok(answer) => {
            let Answer { status, reason, body } = answer;
            let code = status.as_u16();
            let output = format!("HTTP {method} {url}: {code} {reason} Output: {body}");
            CheckOutcome { status: judge(status), output }
        }
        Err(error) => critical(format!("{} {at:?}: {error}", verb(method))),
    }
}

/// What came back.
struct Answer {
    status: StatusCode,
    reason: String,
    body: String,
}

/// What a single request leads to.
enum Reply {
    Answer(Answer),
    /// A redirection that is to be followed. Nobody needs its body.
    Elsewhere(StatusCode, String),
}

/// What to send, with everything that redirections change.
struct Ask {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

/// Ask until there is an answer. `at` is where the question was asked last, for errors.
async fn ask(spec: &CheckSpec, at: &mut String, deadline: Instant) -> Result<Answer, String> {
    let CheckSpec::Http { url, method, headers, body, follow_redirects, output_max, .. } = spec
    else {
        panic!("not for HTTP: {spec:?}")
    };
    let mut ask = Ask {
        url: Url::parse(url).map_err(|error| error.to_string())?,
        method: method.parse().map_err(|_| format!("net/http: invalid method {method:?}"))?,
        headers: read_headers(headers)?,
        body: Bytes::from(body.clone()),
    };
    for _ in 0..REDIRECT_COUNT_MAX {
        if ask.url.scheme != "http" {
            return Err("TLS checks are not supported by this agent".to_owned());
        }
        match exchange(&ask, deadline, *follow_redirects, *output_max).await? {
            Reply::Answer(answer) => return Ok(answer),
            Reply::Elsewhere(status, location) => {
                at.clone_from(&location);
                redirect(&mut ask, status, &location)?;
            }
        }
    }
    Err(format!("stopped after {REDIRECT_COUNT_MAX} redirects"))
}

/// Ask somebody else, with what may be said to them (RFC 9110, section 15.4).
fn redirect(ask: &mut Ask, status: StatusCode, location: &str) -> Result<(), String> {
    let url = ask.url.join(location).map_err(|error| error.to_string())?;
    let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps && ask.method != Method::HEAD {
        ask.method = Method::GET;
        ask.body = Bytes::new();
        ask.headers.remove(header::CONTENT_TYPE);
    }
    if url.host != ask.url.host {
        for secret in [header::AUTHORIZATION, header::COOKIE, header::HOST] {
            ask.headers.remove(secret);
        }
    }
    // Credentials stay with the host that they were meant for.
    let basic = url.basic.clone().filter(|_| url.host == ask.url.host || location.contains('@'));
    ask.url = Url { basic, ..url };
    Ok(())
}

/// One request, and what comes back until the deadline.
async fn exchange(
    ask: &Ask,
    deadline: Instant,
    follow_redirects: bool,
    len_max: usize,
) -> Result<Reply, String> {
    let request = build(ask)?;
    let stream = within(deadline, connect::connect(&ask.url.address())).await?;
    let builder = &mut http1::Builder::new();
    let handshake = builder.title_case_headers(true).handshake(TokioIo::new(stream));
    let (mut sender, connection) = within(deadline, handshake).await?;
    let exchange = async move {
        let response = within(deadline, sender.send_request(request)).await?;
        let location = leads_to(&response).filter(|_| follow_redirects);
        Ok(match location {
            Some(location) => Reply::Elsewhere(response.status(), location),
            None => Reply::Answer(read(response, deadline, len_max).await),
        })
    };
    // The connection does the work, the exchange waits for it. When either has ended, so have we.
    let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = &mut connection => exchange.await,
    }
}

/// Wait, but not for too long: until then, nothing has been said.
async fn within<T, E: Display>(
    deadline: Instant,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match time::timeout_at(deadline, future).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(TIMED_OUT.to_owned()),
    }
}

/// Where a redirection points.
fn leads_to(response: &Response<Incoming>) -> Option<String> {
    let leads = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| leads)?;
    location.to_str().ok().map(str::to_owned)
}

async fn read(response: Response<Incoming>, deadline: Instant, len_max: usize) -> Answer {
    let (head, body) = response.into_parts();
    let own = head.extensions.get::<ReasonPhrase>().map(|it| it.as_bytes().to_vec());
    let usual = || head.status.canonical_reason().unwrap_or_default().as_bytes().to_vec();
    let reason = own.unwrap_or_else(usual);
    Answer {
        status: head.status,
        reason: String::from_utf8_lossy(&reason).into_owned(),
        body: collect(body, deadline, len_max).await,
    }
}

/// The beginning of a body. The status has been said: what breaks off or does not end in time
/// changes nothing, and is worth showing too.
async fn collect(mut body: Incoming, deadline: Instant, len_max: usize) -> String {
    let mut bytes = BytesMut::new();
    while bytes.len() < len_max {
        let frame = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        let Ok(Some(Ok(frame))) = time::timeout_at(deadline, frame).await else { break };
        let Ok(data) = frame.into_data() else { continue };
        let rest = len_max - bytes.len();
        bytes.extend_from_slice(&data[..data.len().min(rest)]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn build(ask: &Ask) -> Result<Request<Full<Bytes>>, String> {
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.uri_mut() =
        ask.url.target.parse().map_err(|_| "invalid URI for request".to_owned())?;
    *request.headers_mut() = ask.headers.clone();
    let headers = request.headers_mut();
    let invalid = |_| format!("invalid URI for request: {:?}", ask.url.host);
    let host = HeaderValue::from_str(&ask.url.host).map_err(invalid)?;
    headers.entry(header::HOST).or_insert(host);
    headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(USER_AGENT));
    headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static(ACCEPT));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if let Some(basic) = &ask.url.basic {
        let value = HeaderValue::from_str(&format!("Basic {basic}"));
        let value = value.expect("base64 is made of visible characters");
        headers.entry(header::AUTHORIZATION).or_insert(value);
    }
    Ok(request)
}

fn read_headers(pairs: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let invalid_name = |_| format!("net/http: invalid header field name {name:?}");
        let invalid_value = |_| format!("net/http: invalid header field value for {name:?}");
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(invalid_name)?;
        headers.append(parsed, HeaderValue::from_str(value).map_err(invalid_value)?);
    }
    Ok(headers)
}

fn judge(status: StatusCode) -> Status {
    match status.as_u16() {
        200..300 => Status::Passing,
        429 => Status::Warning,
        _ => Status::Critical,
    }
}

/// `GET` as errors have it: `Get`.
fn verb(method: &str) -> String {
    let (first, rest) = method.split_at_checked(1).unwrap_or((method, ""));
    first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
}

const USER_AGENT: &str = "Consul Health Check";
const ACCEPT: &str = "text/plain, text/*, */*";
const REDIRECT_COUNT_MAX: usize = 10;
const TIMED_OUT: &str =
    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
