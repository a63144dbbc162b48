//! URLs, as far as checks need them.

use tribune_base::json::base64;

/// Where to send a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Url {
    /// `http` or `https`, in lower case.
    pub(super) scheme: String,
    /// `host` or `host:port`, as written.
    pub(super) host: String,
    /// What follows `Basic ` in the `Authorization` field, if the URL names a user.
    pub(super) basic: Option<String>,
    /// Path and query; starts with a slash.
    pub(super) target: String,
}

/// Why a text is no URL to check. The scheme it has instead, if any.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("unsupported protocol scheme {0:?}")]
pub(super) struct UrlError(String);

impl Url {
    /// Read an absolute URL.
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(UrlError(scheme));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let basic = user.map(|it| base64(&decode_percents(it)));
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { scheme, host: host.to_owned(), basic, target: format!("{slash}{target}") })
    }

    /// Where `reference` leads from here (RFC 3986, section 5, without the removal of dots).
    pub(super) fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let Self { scheme, host, target, .. } = self;
        if reference.split(['/', '?', '#']).next().is_some_and(|it| it.contains(':')) {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::parse(&format!("{scheme}://{rest}"));
        }
        let path = target.split('?').next().unwrap_or_default();
        let folder = &path[..=path.rfind('/').unwrap_or_default()];
        let base = match reference.chars().next() {
            Some('/') => "",
            Some('?') | None => path,
            Some(_) => folder,
        };
        let joined = Self::parse(&format!("{scheme}://{host}{base}{reference}"))?;
        Ok(Self { basic: self.basic.clone(), ..joined })
    }

    /// `host:port`, to connect to.
    pub(super) fn address(&self) -> String {
        let port = self.host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        match (port, self.scheme.as_str()) {
            (true, _) => self.host.clone(),
            (false, "https") => format!("{}:443", self.host),
            (false, _) => format!("{}:80", self.host),
        }
    }
}

fn decode_percents(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|it| str::from_utf8(it).ok());
        let byte = digits.and_then(|it| u8::from_str_radix(it, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            Some(_) | None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[test]
fn urls() {
    let cases = [
        ("http://a", ("a:80", "/")),
        ("HTTP://a:8080/x?y=1#z", ("a:8080", "/x?y=1")),
        ("http://[::1]/x", ("[::1]:80", "/x")),
        ("http://[::1]:81", ("[::1]:81", "/")),
        ("https://a?q", ("a:443", "/?q")),
    ];
    for (text, (address, target)) in cases {
        let url = Url::parse(text).unwrap();
        assert_eq!((url.address().as_str(), url.target.as_str()), (address, target), "{text}");
    }
    let user = Url::parse("http://u%40x:p@a/").unwrap();
    assert_eq!((user.host.as_str(), user.basic.as_deref()), ("a", Some("dUB4OnA=")));
    assert_eq!(Url::parse("nope"), Err(UrlError(String::new())));
    assert_eq!(Url::parse("zz://a"), Err(UrlError("zz".into())));
}

#[test]
fn references() {
    let base = Url::parse("http://a:1/b/c?d").unwrap();
    let cases = [
        ("/x", "a:1", "/x"),
        ("x", "a:1", "/b/x"),
        ("?x", "a:1", "/b/c?x"),
        ("//h/x", "h:80", "/x"),
        ("http://h:2/x", "h:2", "/x"),
        ("x?u=http://y", "a:1", "/b/x?u=http://y"),
    ];
    for (reference, address, target) in cases {
        let url = base.join(reference).unwrap();
        assert_eq!((url.address().as_str(), url.target.as_str()), (address, target), "{reference}");
    }
    assert!(base.join("ftp://x/").is_err());
}
