//! Between hyper's requests and responses and ours.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use tribune_api::http::{Content, Effective, Method, Response};

pub(super) fn method(method: &hyper::Method) -> Method {
    match *method {
        hyper::Method::GET => Method::Get,
        hyper::Method::PUT => Method::Put,
        hyper::Method::POST => Method::Post,
        hyper::Method::DELETE => Method::Delete,
        hyper::Method::OPTIONS => Method::Options,
        hyper::Method::HEAD => Method::Head,
        hyper::Method::PATCH => Method::Patch,
        _ => Method::Other,
    }
}

/// `X-Consul-Token`, or the bearer token of `Authorization`, whose scheme has no case.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get("x-consul-token") {
        return token.to_str().ok();
    }
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The first address that proxies have noted.
pub(super) fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let noted = headers.get("x-forwarded-for")?.to_str().ok()?;
    noted.split(',').next()?.trim().parse().ok()
}

/// Whether text is what the client names first.
pub(super) fn wants_text(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.trim_start().starts_with("text/plain"))
}

pub(super) fn response(
    response: Response,
    extra: &[(String, String)],
    headless: bool,
) -> hyper::Response<Full<Bytes>> {
    let body = if headless { Bytes::new() } else { response.body };
    let mut out = hyper::Response::new(Full::new(body));
    *out.status_mut() =
        hyper::StatusCode::from_u16(response.status).expect("the API uses known status codes");
    let headers = out.headers_mut();
    headers.reserve(8);
    let content = match response.content {
        Content::None => None,
        Content::Json => Some("application/json"),
        Content::Text => Some("text/plain; charset=utf-8"),
        Content::Raw => {
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
            Some("text/plain")
        }
    };
    if let Some(content) = content {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    }
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(meta) = response.meta {
        let millis = u64::try_from(meta.last_contact.as_millis()).unwrap_or(u64::MAX);
        let known = if meta.known_leader { "true" } else { "false" };
        headers.insert(INDEX, HeaderValue::from(meta.index.0));
        headers.insert(KNOWN_LEADER, HeaderValue::from_static(known));
        // On a leader, which answers most, this needs no memory.
        let contact = if millis == 0 { HeaderValue::from_static("0") } else { millis.into() };
        headers.insert(LAST_CONTACT, contact);
        if let Some(effective) = meta.effective {
            let effective = match effective {
                Effective::Leader => "leader",
                Effective::Consistent => "consistent",
                Effective::Stale => "stale",
            };
            headers.insert(EFFECTIVE, HeaderValue::from_static(effective));
        }
    }
    let named = response.headers.iter().map(|(name, value)| (*name, value));
    let extra = extra.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in named.chain(extra) {
        // Ours are well-formed; the configuration's were checked when it was read.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    out
}

const INDEX: HeaderName = HeaderName::from_static("x-consul-index");
const KNOWN_LEADER: HeaderName = HeaderName::from_static("x-consul-knownleader");
const LAST_CONTACT: HeaderName = HeaderName::from_static("x-consul-lastcontact");
const EFFECTIVE: HeaderName = HeaderName::from_static("x-consul-effective-consistency");
