//! Reading bodies, and not more of them than there should be.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Incoming};
use tribune_api::error::Error;
use tribune_api::http::Method;

/// Read a body, but not more than `max` bytes of it, whatever `Content-Length` promises.
pub(super) async fn collect(
    method: Method,
    mut body: Incoming,
    max: u64,
    setting: &'static str,
) -> Result<Bytes, Error> {
    if body.is_end_stream() || matches!(method, Method::Get | Method::Head | Method::Options) {
        return Ok(Bytes::new());
    }
    let promised = body.size_hint().lower();
    let too_large = |len| Error::BodyTooLarge { len, max, setting };
    if max < promised {
        return Err(too_large(promised));
    }
    let mut bytes = BytesMut::new();
    let mut only = Bytes::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Error::bad("the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        let len = (only.len() + bytes.len() + data.len()) as u64;
        if max < len {
            return Err(too_large(len));
        }
        // Most bodies are one piece, which needs no copy.
        if only.is_empty() && bytes.is_empty() {
            only = data;
            continue;
        }
        bytes.extend_from_slice(&std::mem::take(&mut only));
        bytes.extend_from_slice(&data);
    }
    Ok(if bytes.is_empty() { only } else { bytes.freeze() })
}
