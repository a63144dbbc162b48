//! Bytes of requests and responses that travel between servers.

use std::sync::Arc;

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::id::Index;
use tribune_base::time::Duration;

use crate::dns;

use super::{Asker, Content, Effective, Method, OwnedRequest, ReadMeta, Response};

impl OwnedRequest {
    /// Write it as a message:
    ///
    /// ```text
    ///   1  the method        3  the query     5  the body
    ///   2  the path          4  the token     6  whose client asks
    ///                                         7  from which address
    ///                                         8  whether from another datacenter, with addresses for it
    ///                                         9  what DNS answers look like there
    /// ```
    pub fn encode(&self, writer: &mut Writer) {
        writer.u64(1, number(&METHODS, self.method));
        writer.str(2, &self.path);
        writer.str(3, &self.query);
        if let Some(token) = &self.token {
            writer.present_bytes(4, token.as_bytes());
        }
        writer.bytes(5, &self.body);
        writer.str(6, &self.asker.agent);
        if let Some(ip) = self.asker.ip {
            writer.str(7, &ip.to_string());
        }
        writer.bool(8, self.asker.afar);
        if let Some(zone) = &self.asker.zone {
            writer.nested(9, |it| zone.encode(it));
        }
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release.
    ///
    /// # Errors
    ///
    /// It is no request.
    pub fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let (mut method, mut token, mut body) = (None, None, Bytes::new());
        let (mut path, mut query) = (String::new(), String::new());
        let mut asker = Asker::default();
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => method = Some(pick(&METHODS, &field)?),
                2 => path = text(&field)?,
                3 => query = text(&field)?,
                4 => token = Some(text(&field)?),
                5 => body = field.bytes()?,
                6 => asker.agent = text(&field)?,
                7 => asker.ip = Some(field.str()?.parse().map_err(|_| field.senseless())?),
                8 => asker.afar = field.bool()?,
                9 => asker.zone = Some(Arc::new(dns::Config::decode(field.nested()?)?)),
                _ => {}
            }
        }
        let method = method.ok_or(DecodeError::Missing { tag: 1 })?;
        Ok(Self { method, path, query, token, body, asker })
    }
}

impl Response {
    /// Write it as a message:
    ///
    /// ```text
    ///   1  the status            3  what a read says of itself    5  the body
    ///   2  what the body is      4  a header, each
    /// ```
    pub fn encode(&self, writer: &mut Writer) {
        writer.u64(1, self.status.into());
        writer.u64(2, number(&CONTENTS, self.content));
        if let Some(meta) = &self.meta {
            writer.nested(3, |it| meta.encode(it));
        }
        for (name, value) in &self.headers {
            debug_assert!(HEADERS.contains(name), "{name} does not travel");
            writer.nested(4, |it| {
                it.str(1, name);
                it.str(2, value);
            });
        }
        writer.bytes(5, &self.body);
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release. A header that this
    /// release does not know is left out.
    ///
    /// # Errors
    ///
    /// It is no response.
    pub fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self::empty(0);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.status = u16::try_from(field.u64()?).map_err(|_| field.senseless())?,
                2 => this.content = pick(&CONTENTS, &field)?,
                3 => this.meta = Some(ReadMeta::decode(field.nested()?)?),
                4 => this.headers.extend(header(field.nested()?)?),
                5 => this.body = field.bytes()?,
                _ => {}
            }
        }
        match this.status {
            100..=999 => Ok(this),
            0 => Err(DecodeError::Missing { tag: 1 }),
            _ => Err(DecodeError::Value { tag: 1 }),
        }
    }
}

fn header(mut reader: Reader) -> Result<Option<(&'static str, String)>, DecodeError> {
    let (mut name, mut value) = (None, String::new());
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => {
                let found = field.str()?;
                name = HEADERS.into_iter().find(|it| *it == found);
            }
            2 => value = text(&field)?,
            _ => {}
        }
    }
    Ok(name.map(|name| (name, value)))
}

impl ReadMeta {
    /// Fields: 1 the index, 2 whether a leader is known, 3 when it was last heard of, in
    /// nanoseconds, 4 how the answer was obtained.
    fn encode(&self, writer: &mut Writer) {
        writer.u64(1, self.index.0);
        writer.bool(2, self.known_leader);
        writer.u64(3, u64::try_from(self.last_contact.as_nanos()).unwrap_or(u64::MAX));
        writer.u64(4, self.effective.map_or(0, |it| number(&EFFECTIVES, it)));
    }

    fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self {
            index: Index(0),
            known_leader: false,
            last_contact: Duration::ZERO,
            effective: None,
        };
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.index = Index(field.u64()?),
                2 => this.known_leader = field.bool()?,
                3 => this.last_contact = Duration::from_nanos(field.u64()?),
                4 => this.effective = Some(pick(&EFFECTIVES, &field)?),
                _ => {}
            }
        }
        if this.index == Index(0) { Err(DecodeError::Missing { tag: 1 }) } else { Ok(this) }
    }
}

/// The number that stands for `value`: its place in the list, from one on.
fn number<T: PartialEq>(list: &[T], value: T) -> u64 {
    let at = list.iter().position(|it| *it == value);
    at.expect("every value is in its list") as u64 + 1
}

/// What the number in `field` stands for.
fn pick<T: Copy>(list: &[T], field: &Field) -> Result<T, DecodeError> {
    let at = field.u64()?.checked_sub(1).and_then(|it| usize::try_from(it).ok());
    at.and_then(|it| list.get(it)).copied().ok_or_else(|| field.senseless())
}

fn text(field: &Field) -> Result<String, DecodeError> {
    Ok(field.str()?.to_owned())
}

/// The headers that responses have besides those of [`ReadMeta`].
pub(super) const HEADERS: [&str; 5] =
    ["Allow", "Location", "X-Consul-ContentHash", "X-Consul-Reason", "X-Consul-Index"];

// What follows is numbered by place: add at the end, never remove.

const METHODS: [Method; 8] = [
    Method::Get,
    Method::Put,
    Method::Post,
    Method::Delete,
    Method::Options,
    Method::Head,
    Method::Patch,
    Method::Other,
];

const CONTENTS: [Content; 4] = [Content::None, Content::Json, Content::Text, Content::Raw];

const EFFECTIVES: [Effective; 3] = [Effective::Leader, Effective::Consistent, Effective::Stale];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn body() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from)
    }

    fn meta() -> impl Strategy<Value = ReadMeta> {
        let effective = prop::option::of(select(&EFFECTIVES[..]));
        (1..=u64::MAX, any::<bool>(), any::<u64>(), effective).prop_map(
            |(index, known_leader, nanos, effective)| ReadMeta {
                index: Index(index),
                known_leader,
                last_contact: Duration::from_nanos(nanos),
                effective,
            },
        )
    }

    fn response() -> impl Strategy<Value = Response> {
        let headers = prop::collection::vec((select(&HEADERS[..]), "[a-z]{0,5}"), 0..3);
        let content = select(&CONTENTS[..]);
        (100..1_000_u16, content, prop::option::of(meta()), headers, body()).prop_map(
            |(status, content, meta, headers, body)| Response {
                status,
                content,
                meta,
                headers,
                body,
            },
        )
    }

    fn request() -> impl Strategy<Value = OwnedRequest> {
        let texts = ("[/a-z%]{0,9}", "[a-z=&]{0,9}", prop::option::of("[a-f]{0,4}"));
        let ip = prop::option::of(any::<std::net::IpAddr>());
        let zone = prop::option::of("[a-c]{1,3}");
        let zone = zone.prop_map(|it| Some(Arc::new(dns::Config::new("").with_domain(&it?))));
        let asker = ("[a-c]{0,3}", ip, any::<bool>(), zone);
        let asker = asker.prop_map(|(agent, ip, afar, zone)| Asker { agent, ip, afar, zone });
        (select(&METHODS[..]), texts, body(), asker).prop_map(
            |(method, (path, query, token), body, asker)| OwnedRequest {
                method,
                path,
                query,
                token,
                body,
                asker,
            },
        )
    }

    fn bytes(encode: impl FnOnce(&mut Writer)) -> Bytes {
        let mut writer = Writer::new();
        encode(&mut writer);
        writer.finish()
    }

    proptest! {
        #[test]
        fn bytes_are_the_response(response in response()) {
            let bytes = bytes(|it| response.encode(it));
            prop_assert_eq!(Response::decode(Reader::new(bytes)), Ok(response));
        }

        #[test]
        fn bytes_are_the_request(request in request()) {
            let bytes = bytes(|it| request.encode(it));
            prop_assert_eq!(OwnedRequest::decode(Reader::new(bytes)), Ok(request));
        }

        #[test]
        fn any_bytes_are_something_or_an_error(bytes: Vec<u8>) {
            let reader = Reader::new(bytes.into());
            _ = Response::decode(reader.clone());
            _ = OwnedRequest::decode(reader);
        }
    }

    #[test]
    fn a_header_of_a_later_release_is_left_out() {
        let bytes = bytes(|it| {
            it.u64(1, 200);
            it.nested(4, |it| {
                it.str(1, "X-Of-Tomorrow");
                it.str(2, "yes");
            });
        });
        assert_eq!(Response::decode(Reader::new(bytes)), Ok(Response::empty(200)));
    }

    #[test]
    fn what_is_no_status_is_no_response() {
        let decode = |status| Response::decode(Reader::new(bytes(|it| it.u64(1, status))));
        assert_eq!(decode(0), Err(DecodeError::Missing { tag: 1 }));
        for status in [99, 1_000, 65_536] {
            assert_eq!(decode(status), Err(DecodeError::Value { tag: 1 }), "{status}");
        }
    }
}
