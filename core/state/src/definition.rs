//! How a check is carried out, where whoever does so has the catalog remember it.
//!
//! Agents keep what they are told themselves, and say nothing of it here. A monitor of machines
//! without an agent has no other place, and reads back what was registered.

use std::collections::BTreeMap;

use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::time::Duration;

/// A check's definition as it was registered. The catalog only keeps it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/catalog/register`.
pub struct Definition {
    pub interval: Duration,
    pub timeout: Duration,
    pub deregister_critical_service_after: Duration,
    pub http: String,
    pub tls_skip_verify: bool,
    pub header: BTreeMap<String, Vec<String>>,
    pub method: String,
    pub body: String,
    pub tcp: String,
    pub udp: String,
    pub output_max_size: u64,
    pub script_args: Vec<String>,
    pub docker_container_id: String,
    pub shell: String,
    pub grpc: String,
    pub grpc_use_tls: bool,
    pub alias_node: String,
    pub alias_service: String,
    pub ttl: Duration,
}

impl Definition {
    /// The kind of check this describes; empty if it describes none.
    pub const fn kind(&self) -> &'static str {
        if !self.interval.is_zero() {
            if !self.grpc.is_empty() {
                return "grpc";
            }
            if !self.http.is_empty() {
                return "http";
            }
            if !self.tcp.is_empty() {
                return "tcp";
            }
            if !self.udp.is_empty() {
                return "udp";
            }
            if !self.docker_container_id.is_empty() && !self.script_args.is_empty() {
                return "docker";
            }
        }
        if !self.ttl.is_zero() {
            return "ttl";
        }
        if !self.alias_node.is_empty() || !self.alias_service.is_empty() {
            return "alias";
        }
        if self.script_args.is_empty() { "" } else { "script" }
    }
}

/// Fields, in the order of the structure's: 1 to 19.
pub(crate) fn write(writer: &mut Writer, definition: &Definition) {
    let it = definition;
    writer.u64(1, nanos(it.interval));
    writer.u64(2, nanos(it.timeout));
    writer.u64(3, nanos(it.deregister_critical_service_after));
    writer.str(4, &it.http);
    writer.bool(5, it.tls_skip_verify);
    for (name, values) in &it.header {
        writer.nested(6, |writer| {
            writer.str(1, name);
            values.iter().for_each(|value| writer.present_bytes(2, value.as_bytes()));
        });
    }
    writer.str(7, &it.method);
    writer.str(8, &it.body);
    writer.str(9, &it.tcp);
    writer.str(10, &it.udp);
    writer.u64(11, it.output_max_size);
    it.script_args.iter().for_each(|arg| writer.present_bytes(12, arg.as_bytes()));
    writer.str(13, &it.docker_container_id);
    writer.str(14, &it.shell);
    writer.str(15, &it.grpc);
    writer.bool(16, it.grpc_use_tls);
    writer.str(17, &it.alias_node);
    writer.str(18, &it.alias_service);
    writer.u64(19, nanos(it.ttl));
}

pub(crate) fn read(mut reader: Reader) -> Result<Definition, DecodeError> {
    let mut it = Definition::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => it.interval = Duration::from_nanos(field.u64()?),
            2 => it.timeout = Duration::from_nanos(field.u64()?),
            3 => it.deregister_critical_service_after = Duration::from_nanos(field.u64()?),
            4 => it.http = text(&field)?,
            5 => it.tls_skip_verify = field.bool()?,
            6 => {
                let (name, values) = read_header(field.nested()?)?;
                it.header.insert(name, values);
            }
            7 => it.method = text(&field)?,
            8 => it.body = text(&field)?,
            9 => it.tcp = text(&field)?,
            10 => it.udp = text(&field)?,
            11 => it.output_max_size = field.u64()?,
            12 => it.script_args.push(text(&field)?),
            13 => it.docker_container_id = text(&field)?,
            14 => it.shell = text(&field)?,
            15 => it.grpc = text(&field)?,
            16 => it.grpc_use_tls = field.bool()?,
            17 => it.alias_node = text(&field)?,
            18 => it.alias_service = text(&field)?,
            19 => it.ttl = Duration::from_nanos(field.u64()?),
            _ => {}
        }
    }
    Ok(it)
}

fn read_header(mut reader: Reader) -> Result<(String, Vec<String>), DecodeError> {
    let (mut name, mut values) = (String::new(), Vec::new());
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => name = text(&field)?,
            2 => values.push(text(&field)?),
            _ => {}
        }
    }
    Ok((name, values))
}

/// Durations come from 64 bits of nanoseconds, and fit into them.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn text(field: &Field) -> Result<String, DecodeError> {
    Ok(field.str()?.to_owned())
}

#[cfg(test)]
mod tests;
