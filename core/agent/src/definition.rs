//! Services and checks as people define them: in a request, a configuration file, a persisted file.
//!
//! Reading is one thing, meaning another. [`ServiceDefinition::from_json`] complains about what is
//! written, in the words of the original's decoder; [`ServiceDefinition::validate`] and
//! [`CheckDefinition::kind`] about what it says. Field names may be in any case, with underscores
//! or without.

mod check;
mod decode;
mod write;

use std::collections::BTreeMap;
use std::slice;

use serde::Serialize;
use serde_json::Value;

pub use check::{CheckDefinition, CheckKind, CheckSpec, InvalidCheck};
use decode::Field;
pub use decode::{DecodeError, UnknownFields, parse};

/// One service instance as written.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are those of the API.
pub struct ServiceDefinition {
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub id: String,
    pub name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub address: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tagged_addresses: BTreeMap<String, AddressDefinition>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "write::is_default")]
    pub port: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "write::is_default")]
    pub enable_tag_override: bool,
    /// Passing and warning; 1 and 1 if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsDefinition>,
    /// The one under `Check` first, then those under `Checks`. Persisted on their own.
    #[serde(skip)]
    pub checks: Vec<CheckDefinition>,
    /// A proxy or a sidecar is asked for, which this agent does not do.
    #[serde(skip)]
    pub connect: bool,
    #[serde(skip)]
    pub token: String,
}

/// One of a service's addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are those of the API.
pub struct AddressDefinition {
    pub address: String,
    pub port: i64,
}

/// How many DNS answers an instance is worth.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[allow(missing_docs)] // The fields are those of the API.
pub struct WeightsDefinition {
    pub passing: i64,
    pub warning: i64,
}

/// Why a service definition means nothing. Nothing changed; the client corrects it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[allow(missing_docs)] // The text is the documentation.
pub enum InvalidService {
    #[error("Missing service name")]
    MissingName,
    #[error("Invalid service address")]
    UnspecifiedAddress,
    #[error("Invalid service port: {0}")]
    Port(i64),
    #[error("Invalid Service Meta: {0}")]
    Meta(#[from] InvalidMeta),
    #[error("Invalid Weights: {0}")]
    Weights(&'static str),
    #[error("Status for checks must 'passing', 'warning', 'critical'")]
    CheckStatus,
    #[error("Invalid check: {0}")]
    Check(#[from] InvalidCheck),
    #[error("Connect is not supported by this agent")]
    Connect,
}

/// Why metadata is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidMeta {
    /// More than [`META_COUNT_MAX`] pairs.
    #[error("Node metadata cannot contain more than {META_COUNT_MAX} key/value pairs")]
    TooMany,

    /// A pair that is none.
    #[error("Couldn't load metadata pair ('{key}', '{value}'): {reason}")]
    Pair {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ServiceDefinition {
    /// Read a request's body.
    ///
    /// # Errors
    ///
    /// What the original's decoder would have said.
    pub fn from_json(body: &[u8]) -> Result<Self, DecodeError> {
        Self::from_value(&parse(body)?, UnknownFields::Refused)
    }

    /// Read a value out of a configuration or a persisted file.
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json).
    pub fn from_value(value: &Value, policy: UnknownFields) -> Result<Self, DecodeError> {
        let mut service = Self::default();
        let mut single = Vec::new();
        let mut several = Vec::new();
        let fields = (Field { value, at: "" }).object("structs.ServiceDefinition")?;
        for (name, value) in fields.into_iter().flatten() {
            let at = format!(".{name}");
            let field = Field { value, at: &at };
            match decode::plain(name).as_str() {
                "check" => {
                    let checks = decode_checks(field, "structs.CheckType", policy)?;
                    let filled_in = ones(value).iter().zip(checks).filter(|it| !is_blank(it));
                    single = filled_in.map(|(_, check)| check).collect();
                }
                "checks" => {
                    field.list("structs.CheckTypes")?;
                    several = decode_checks(field, "structs.CheckTypes", policy)?;
                }
                _ => service.decode_field(name, field, policy)?,
            }
        }
        service.checks = single;
        service.checks.append(&mut several);
        Ok(service)
    }

    fn decode_field(
        &mut self,
        name: &str,
        field: Field<'_>,
        policy: UnknownFields,
    ) -> Result<(), DecodeError> {
        match decode::plain(name).as_str() {
            "id" => self.id = field.string()?,
            "name" => self.name = field.string()?,
            "tags" => self.tags = field.strings()?,
            "address" => self.address = field.string()?,
            "taggedaddresses" => self.tagged_addresses = decode_addresses(field, policy)?,
            "meta" => self.meta = field.string_map()?,
            "port" => self.port = field.int()?,
            "kind" => self.kind = field.string()?,
            "enabletagoverride" => self.enable_tag_override = field.bool()?,
            "weights" => self.weights = decode_weights(field, policy)?,
            "token" => self.token = field.string()?,
            // There is one namespace and one partition, whatever clients call them.
            "namespace" | "partition" if is_default_name(field.value) => {}
            // Clients write the empty forms of what they do not use.
            "connect" | "proxy" => self.connect |= !is_vacant(field.value),
            "locality" if is_vacant(field.value) => {}
            _ => decode::unknown(name, policy)?,
        }
        Ok(())
    }

    /// The id: its own, or the name.
    pub fn id(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }

    /// Check everything but what depends on the agent.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn validate(&self) -> Result<(), InvalidService> {
        if self.name.is_empty() {
            return Err(InvalidService::MissingName);
        }
        if ["0.0.0.0", "::", "[::]"].contains(&self.address.as_str()) {
            return Err(InvalidService::UnspecifiedAddress);
        }
        if self.connect {
            return Err(InvalidService::Connect);
        }
        let ports = self.tagged_addresses.values().map(|it| it.port).chain([self.port]);
        if let Some(port) = ports.into_iter().find(|it| !(0..=65_535).contains(it)) {
            return Err(InvalidService::Port(port));
        }
        validate_meta(&self.meta, ReservedKeys::Refused)?;
        for check in &self.checks {
            check.kind(0)?;
            if !["", "passing", "warning", "critical"].contains(&check.status.as_str()) {
                return Err(InvalidService::CheckStatus);
            }
        }
        self.weights.as_ref().map_or(Ok(()), WeightsDefinition::validate)
    }

    /// The checks with everything the service gives them: its id, theirs, a name, the token.
    pub fn named_checks(&self) -> Vec<CheckDefinition> {
        let several = 1 < self.checks.len();
        let named = |(n, check): (usize, &CheckDefinition)| {
            let mut check = check.clone();
            check.service_id = self.id().to_owned();
            if check.id.is_empty() {
                check.id = format!("service:{}", self.id());
                if several {
                    check.id += &format!(":{}", n + 1);
                }
            }
            if check.name.is_empty() {
                check.name = format!("Service '{}' check", self.name);
            }
            if check.token.is_empty() {
                check.token.clone_from(&self.token);
            }
            check
        };
        self.checks.iter().enumerate().map(named).collect()
    }
}

impl WeightsDefinition {
    fn validate(&self) -> Result<(), InvalidService> {
        if self.passing < 1 {
            return Err(InvalidService::Weights("Passing must be greater than 0"));
        }
        if self.warning < 0 {
            return Err(InvalidService::Weights("Warning must be greater or equal than 0"));
        }
        if 65_535 < self.passing.max(self.warning) {
            return Err(InvalidService::Weights("DNS Weight must be between 0 and 65535"));
        }
        Ok(())
    }
}

/// What to do with keys that agents themselves use, such as `consul-version`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReservedKeys {
    /// Nobody else may say that.
    Refused,
    /// Somebody looks for those who do.
    Allowed,
}

/// Check the metadata of a node or a service, or metadata that is looked for.
///
/// # Errors
///
/// The first pair that is wrong, or that there are too many.
pub fn validate_meta(
    meta: &BTreeMap<String, String>,
    reserved: ReservedKeys,
) -> Result<(), InvalidMeta> {
    if META_COUNT_MAX < meta.len() {
        return Err(InvalidMeta::TooMany);
    }
    for (key, value) in meta {
        let plain = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        let reason = if key.is_empty() {
            "Key cannot be blank".to_owned()
        } else if !key.chars().all(plain) {
            "Key contains invalid characters".to_owned()
        } else if META_KEY_LEN_MAX < key.len() {
            format!("Key is too long (limit: {META_KEY_LEN_MAX} characters)")
        } else if reserved == ReservedKeys::Refused && key.starts_with("consul-") {
            "Key prefix 'consul-' is reserved for internal use".to_owned()
        } else if META_VALUE_LEN_MAX < value.len() {
            format!("Value is too long (limit: {META_VALUE_LEN_MAX} characters)")
        } else {
            continue;
        };
        return Err(InvalidMeta::Pair { key: key.clone(), value: value.clone(), reason });
    }
    Ok(())
}

/// One check, or several: a configuration file repeats the block.
fn decode_checks(
    field: Field<'_>,
    expected: &'static str,
    policy: UnknownFields,
) -> Result<Vec<CheckDefinition>, DecodeError> {
    let one = |value| {
        (Field { value, ..field }).object(expected)?;
        CheckDefinition::decode(value, field.at, policy)
    };
    ones(field.value).iter().map(one).collect()
}

/// One, or several in a list; none if it is null.
fn ones(value: &Value) -> &[Value] {
    match value {
        Value::Null => &[],
        Value::Array(items) => items,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            slice::from_ref(value)
        }
    }
}

/// Whether a check is a form that was not filled in: it has no field that says anything. What is
/// below zero means nothing, and yet somebody has said it.
fn is_blank((form, check): &(&Value, CheckDefinition)) -> bool {
    let below_zero = |it: &Value| match it {
        Value::Number(number) => number.as_f64().is_some_and(|it| it < 0.0),
        Value::String(text) => text.starts_with('-'),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    };
    *check == CheckDefinition::default()
        && !form.as_object().is_some_and(|it| it.values().any(below_zero))
}

fn decode_addresses(
    field: Field<'_>,
    policy: UnknownFields,
) -> Result<BTreeMap<String, AddressDefinition>, DecodeError> {
    let mut addresses = BTreeMap::new();
    let tags = field.object("map[string]structs.ServiceAddress")?;
    for (tag, value) in tags.into_iter().flatten() {
        let mut address = AddressDefinition::default();
        let fields = (Field { value, ..field }).object("structs.ServiceAddress")?;
        for (name, value) in fields.into_iter().flatten() {
            let at = format!("ServiceAddress{}.{name}", field.at);
            let field = Field { value, at: &at };
            match decode::plain(name).as_str() {
                "address" => address.address = field.string()?,
                "port" => address.port = field.int()?,
                _ => decode::unknown(name, policy)?,
            }
        }
        addresses.insert(tag.clone(), address);
    }
    Ok(addresses)
}

fn decode_weights(
    field: Field<'_>,
    policy: UnknownFields,
) -> Result<Option<WeightsDefinition>, DecodeError> {
    let Some(fields) = field.object("structs.Weights")? else { return Ok(None) };
    let mut weights = WeightsDefinition::default();
    for (name, value) in fields {
        let at = format!("Weights{}.{name}", field.at);
        let field = Field { value, at: &at };
        match decode::plain(name).as_str() {
            "passing" => weights.passing = field.int()?,
            "warning" => weights.warning = field.int()?,
            _ => decode::unknown(name, policy)?,
        }
    }
    Ok(Some(weights))
}

fn is_default_name(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|it| it.is_empty() || it == "default")
}

/// Null, false, empty, or made of nothing else.
fn is_vacant(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64() == Some(0.0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.iter().all(is_vacant),
        Value::Object(it) => it.values().all(is_vacant),
    }
}

/// Pairs of metadata one node or service may have.
pub const META_COUNT_MAX: usize = 64;
/// Bytes in a key of metadata.
pub const META_KEY_LEN_MAX: usize = 128;
/// Bytes in a value of metadata.
pub const META_VALUE_LEN_MAX: usize = 512;

#[cfg(test)]
mod tests;
