//! What to check, and how: as a request, a configuration file or a persisted file writes it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use tribune_base::time::Duration;

use super::decode::{self, DecodeError, Field, UnknownFields};
use super::write;

/// One health check as written. [`CheckDefinition::kind`] says what it means, if anything.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are those of the API.
pub struct CheckDefinition {
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub id: String,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notes: String,
    #[serde(rename = "ServiceID", skip_serializing_if = "String::is_empty")]
    pub service_id: String,
    /// The status to start with; empty means critical.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    #[serde(rename = "Args", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub shell: String,
    #[serde(rename = "DockerContainerID", skip_serializing_if = "String::is_empty")]
    pub docker_container_id: String,
    #[serde(rename = "HTTP", skip_serializing_if = "String::is_empty")]
    pub http: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, Vec<String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    #[serde(skip_serializing_if = "write::is_default")]
    pub disable_redirects: bool,
    #[serde(rename = "TLSSkipVerify", skip_serializing_if = "write::is_default")]
    pub tls_skip_verify: bool,
    #[serde(rename = "TLSServerName", skip_serializing_if = "String::is_empty")]
    pub tls_server_name: String,
    #[serde(rename = "TCP", skip_serializing_if = "String::is_empty")]
    pub tcp: String,
    #[serde(rename = "TCPUseTLS", skip_serializing_if = "write::is_default")]
    pub tcp_use_tls: bool,
    #[serde(rename = "UDP", skip_serializing_if = "String::is_empty")]
    pub udp: String,
    #[serde(rename = "GRPC", skip_serializing_if = "String::is_empty")]
    pub grpc: String,
    #[serde(rename = "GRPCUseTLS", skip_serializing_if = "write::is_default")]
    pub grpc_use_tls: bool,
    #[serde(rename = "H2PING", skip_serializing_if = "String::is_empty")]
    pub h2ping: String,
    #[serde(rename = "H2PingUseTLS", skip_serializing_if = "Option::is_none")]
    pub h2ping_use_tls: Option<bool>,
    #[serde(rename = "OSService", skip_serializing_if = "String::is_empty")]
    pub os_service: String,
    #[serde(
        rename = "TTL",
        skip_serializing_if = "Duration::is_zero",
        serialize_with = "write::duration"
    )]
    pub ttl: Duration,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias_node: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias_service: String,
    #[serde(skip_serializing_if = "Duration::is_zero", serialize_with = "write::duration")]
    pub interval: Duration,
    #[serde(skip_serializing_if = "Duration::is_zero", serialize_with = "write::duration")]
    pub timeout: Duration,
    #[serde(skip_serializing_if = "write::is_default")]
    pub success_before_passing: u32,
    #[serde(skip_serializing_if = "write::is_default")]
    pub failures_before_warning: u32,
    #[serde(skip_serializing_if = "write::is_default")]
    pub failures_before_critical: u32,
    #[serde(skip_serializing_if = "Duration::is_zero", serialize_with = "write::duration")]
    pub deregister_critical_service_after: Duration,
    /// Bytes of output to keep; zero means as many as the agent's own limit allows. Less is refused.
    #[serde(skip_serializing_if = "write::is_default")]
    pub output_max_size: i64,
    #[serde(skip)]
    pub token: String,
}

/// What a check does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckKind {
    /// Somebody reports within this time, again and again.
    Ttl(Duration),
    /// It copies what another service's checks say.
    Alias {
        /// The node the target is on; empty for this one.
        node: String,
        /// The target; empty for the node itself.
        service: String,
    },
    /// We look ourselves.
    Probe {
        /// How.
        spec: CheckSpec,
        /// How often. Not yet raised to the minimum.
        interval: Duration,
        /// How long one look may take.
        timeout: Duration,
    },
}

/// One way to look. The shell performs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckSpec {
    /// A request whose status decides: 2xx passing, 429 warning, everything else critical.
    Http {
        /// Where to; `http` or `https`.
        url: String,
        /// `GET` unless said otherwise.
        method: String,
        /// Fields to send, several of one name one after the other.
        headers: Vec<(String, String)>,
        /// What to send.
        body: String,
        /// Follow up to ten redirections.
        follow_redirects: bool,
        /// Accept any certificate.
        tls_skip_verify: bool,
        /// The name to ask for and verify; empty for the URL's.
        tls_server_name: String,
        /// Bytes of the answer worth keeping.
        output_max: usize,
    },
    /// A connection that is accepted is passing.
    Tcp {
        /// `host:port`.
        address: String,
        /// Shake hands as well.
        tls: bool,
    },
    /// A datagram that is not refused is passing.
    Udp {
        /// `host:port`.
        address: String,
    },
    /// A process whose exit code decides: 0 passing, 1 warning, everything else critical.
    Script {
        /// The program and its arguments; not empty.
        args: Vec<String>,
        /// Bytes of output worth keeping.
        output_max: usize,
    },
}

/// Why a definition means nothing. Nothing changed; the client corrects it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // The text is the documentation.
pub enum InvalidCheck {
    #[error("Interval and TTL cannot both be specified")]
    IntervalAndTtl,
    #[error("Interval must be > 0 for Script, HTTP, or TCP checks")]
    NoInterval,
    #[error("Interval cannot be set for Alias checks")]
    AliasWithInterval,
    #[error("TTL must be not be set for Alias checks")]
    AliasWithTtl,
    #[error("TTL must be > 0 for TTL checks")]
    NoTtl,
    #[error("MaxOutputMaxSize must be positive")]
    OutputMaxSize,
    /// What this release cannot do, it says.
    #[error("{0} checks are not supported by this agent")]
    Unsupported(&'static str),
}

impl CheckDefinition {
    /// Read a request's body.
    ///
    /// # Errors
    ///
    /// What the original's decoder would have said.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_value(&decode::parse(body)?, UnknownFields::Refused)
    }

    /// Read a value out of a configuration or a persisted file.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json).
    pub fn from_value(value: &Value, unknown: UnknownFields) -> Result<Self, DecodeError> {
        Self::decode(value, "", unknown)
    }

    /// Read one that stands in a service's `at`; the top if that is empty.
    pub(super) fn decode(
        value: &Value,
        at: &str,
        policy: UnknownFields,
    ) -> Result<Self, DecodeError> {
        let mut check = Self::default();
        let Some(fields) = (Field { value, at }).object("structs.CheckDefinition")? else {
            return Ok(check);
        };
        for (name, value) in fields {
            // Inside a service, the original blames the whole check for each of its fields.
            let own = format!(".{name}");
            let field = Field { value, at: if at.is_empty() { &own } else { at } };
            if !check.decode_subject(name, field)? && !check.decode_manner(name, field)? {
                decode::unknown(name, policy)?;
            }
        }
        Ok(check)
    }

    /// What is checked. False if `name` says nothing about it.
    fn decode_subject(&mut self, name: &str, field: Field<'_>) -> Result<bool, DecodeError> {
        match decode::plain(name).as_str() {
            "id" | "checkid" => self.id = field.string()?,
            "name" => self.name = field.string()?,
            "notes" => self.notes = field.string()?,
            "serviceid" => self.service_id = field.string()?,
            "status" => self.status = field.string()?,
            "args" | "scriptargs" => self.args = field.strings()?,
            "shell" => self.shell = field.string()?,
            "dockercontainerid" => self.docker_container_id = field.string()?,
            "http" => self.http = field.string()?,
            "tcp" => self.tcp = field.string()?,
            "udp" => self.udp = field.string()?,
            "grpc" => self.grpc = field.string()?,
            "h2ping" => self.h2ping = field.string()?,
            "osservice" => self.os_service = field.string()?,
            "ttl" => self.ttl = field.duration()?,
            "aliasnode" => self.alias_node = field.string()?,
            "aliasservice" => self.alias_service = field.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How it is checked. False if `name` says nothing about it.
    fn decode_manner(&mut self, name: &str, field: Field<'_>) -> Result<bool, DecodeError> {
        // A negative threshold is none.
        let count = |it: i64| u32::try_from(it.max(0)).unwrap_or(u32::MAX);
        match decode::plain(name).as_str() {
            "method" => self.method = field.string()?,
            "header" => self.header = field.string_list_map()?,
            "body" => self.body = field.string()?,
            "disableredirects" => self.disable_redirects = field.bool()?,
            "tlsskipverify" => self.tls_skip_verify = field.bool()?,
            "tlsservername" => self.tls_server_name = field.string()?,
            "tcpusetls" => self.tcp_use_tls = field.bool()?,
            "grpcusetls" => self.grpc_use_tls = field.bool()?,
            "h2pingusetls" => self.h2ping_use_tls = Some(field.bool()?),
            "interval" => self.interval = field.duration()?,
            "timeout" => self.timeout = field.duration()?,
            "successbeforepassing" => self.success_before_passing = count(field.int()?),
            "failuresbeforewarning" => self.failures_before_warning = count(field.int()?),
            "failuresbeforecritical" => self.failures_before_critical = count(field.int()?),
            "deregistercriticalserviceafter" => {
                self.deregister_critical_service_after = field.duration()?;
            }
            "outputmaxsize" => self.output_max_size = field.int()?,
            "token" => self.token = field.string()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What the definition means.
    ///
    /// # Errors
    ///
    /// Fields that contradict each other, or too few of them.
    pub fn kind(&self, output_max: usize) -> Result<CheckKind, InvalidCheck> {
        let alias = !self.alias_node.is_empty() || !self.alias_service.is_empty();
        let spec = self.spec(self.output_max(output_max));
        let probes = !matches!(spec, Ok(None));
        if !self.interval.is_zero() && !self.ttl.is_zero() {
            return Err(InvalidCheck::IntervalAndTtl);
        }
        if probes && self.interval.is_zero() {
            return Err(InvalidCheck::NoInterval);
        }
        if probes && alias {
            return Err(InvalidCheck::AliasWithInterval);
        }
        if alias && !self.ttl.is_zero() {
            return Err(InvalidCheck::AliasWithTtl);
        }
        if !probes && !alias && self.ttl.is_zero() {
            return Err(InvalidCheck::NoTtl);
        }
        if self.output_max_size < 0 {
            return Err(InvalidCheck::OutputMaxSize);
        }
        if alias {
            let (node, service) = (self.alias_node.clone(), self.alias_service.clone());
            return Ok(CheckKind::Alias { node, service });
        }
        if let Some(spec) = spec? {
            let timeout = if self.timeout.is_zero() { spec.timeout() } else { self.timeout };
            return Ok(CheckKind::Probe { spec, interval: self.interval, timeout });
        }
        Ok(CheckKind::Ttl(self.ttl))
    }

    /// How many bytes of output to keep: the check's own limit within the agent's.
    pub fn output_max(&self, agent_max: usize) -> usize {
        let own = usize::try_from(self.output_max_size).unwrap_or(usize::MAX);
        if own == 0 { agent_max } else { own.min(agent_max) }
    }

    /// How to look, if we are to look at all.
    fn spec(&self, output_max: usize) -> Result<Option<CheckSpec>, InvalidCheck> {
        if !self.http.is_empty() {
            return Ok(Some(self.http_spec(output_max)));
        }
        if !self.tcp.is_empty() {
            return Ok(Some(CheckSpec::Tcp { address: self.tcp.clone(), tls: self.tcp_use_tls }));
        }
        if !self.udp.is_empty() {
            return Ok(Some(CheckSpec::Udp { address: self.udp.clone() }));
        }
        if !self.grpc.is_empty() {
            return Err(InvalidCheck::Unsupported("GRPC"));
        }
        if !self.h2ping.is_empty() {
            return Err(InvalidCheck::Unsupported("H2PING"));
        }
        if !self.os_service.is_empty() {
            return Err(InvalidCheck::Unsupported("OSService"));
        }
        if self.args.is_empty() {
            return Ok(None);
        }
        if !self.docker_container_id.is_empty() {
            return Err(InvalidCheck::Unsupported("Docker"));
        }
        // `shell` is for containers only; without one it means nothing.
        Ok(Some(CheckSpec::Script { args: self.args.clone(), output_max }))
    }

    fn http_spec(&self, output_max: usize) -> CheckSpec {
        let pairs = self.header.iter().flat_map(|(name, values)| {
            values.iter().map(move |value| (name.clone(), value.clone()))
        });
        CheckSpec::Http {
            url: self.http.clone(),
            method: if self.method.is_empty() { "GET".into() } else { self.method.clone() },
            headers: pairs.collect(),
            body: self.body.clone(),
            follow_redirects: !self.disable_redirects,
            tls_skip_verify: self.tls_skip_verify,
            tls_server_name: self.tls_server_name.clone(),
            output_max,
        }
    }
}

impl CheckKind {
    /// The kind as the catalog shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ttl(_) => "ttl",
            Self::Alias { .. } => "alias",
            Self::Probe { spec, .. } => spec.name(),
        }
    }
}

impl CheckSpec {
    /// The kind as the catalog shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Tcp { .. } => "tcp",
            Self::Udp { .. } => "udp",
            Self::Script { .. } => "script",
        }
    }

    /// True if TLS is needed.
    pub fn is_tls(&self) -> bool {
        match self {
            Self::Http { url, .. } => {
                url.get(..8).is_some_and(|it| it.eq_ignore_ascii_case("https://"))
            }
            Self::Tcp { tls, .. } => *tls,
            Self::Udp { .. } | Self::Script { .. } => false,
        }
    }

    /// How long a look may take unless the definition says.
    const fn timeout(&self) -> Duration {
        match self {
            Self::Http { .. } | Self::Tcp { .. } | Self::Udp { .. } => Duration::from_secs(10),
            Self::Script { .. } => Duration::from_secs(30),
        }
    }
}
