//! How a check is carried out, which the catalog keeps for whoever does.

use tribune_base::duration;
use tribune_base::time::Duration;
use tribune_state::Definition;

use crate::body::Field;
use crate::error::Error;
use crate::render::{self, Json, OBJECT};

/// Read what a registration says. What this release does not know is left out: unlike the rest of
/// a registration, it is meant for somebody else. `None` if nothing is left.
pub(super) fn read(field: &Field<'_>) -> Result<Option<Definition>, Error> {
    let mut it = Definition::default();
    field.each("structs.HealthCheckDefinition", |name, field| {
        match name {
            "interval" => it.interval = field.duration()?,
            "timeout" => it.timeout = field.duration()?,
            "deregistercriticalserviceafter" => {
                it.deregister_critical_service_after = field.duration()?;
            }
            "http" => it.http = field.string()?,
            "tlsskipverify" => it.tls_skip_verify = field.bool()?,
            "header" => it.header = field.string_lists()?,
            "method" => it.method = field.string()?,
            "body" => it.body = field.string()?,
            "tcp" => it.tcp = field.string()?,
            "udp" => it.udp = field.string()?,
            "outputmaxsize" => it.output_max_size = field.uint("uint")?,
            "scriptargs" => it.script_args = field.strings()?,
            "dockercontainerid" => it.docker_container_id = field.string()?,
            "shell" => it.shell = field.string()?,
            "grpc" => it.grpc = field.string()?,
            "grpcusetls" => it.grpc_use_tls = field.bool()?,
            "aliasnode" => it.alias_node = field.string()?,
            "aliasservice" => it.alias_service = field.string()?,
            "ttl" => it.ttl = field.duration()?,
            _ => {}
        }
        Ok(true)
    })?;
    Ok((it != Definition::default()).then_some(it))
}

/// Write one: only the fields that say something, in the original's order.
pub(crate) fn render(json: &mut Json, it: &Definition) {
    let mut fields = Fields { json, any: false };
    fields.duration("Interval", it.interval);
    fields.duration("Timeout", it.timeout);
    fields.duration("DeregisterCriticalServiceAfter", it.deregister_critical_service_after);
    fields.text("HTTP", &it.http);
    fields.flag("TLSSkipVerify", it.tls_skip_verify);
    if !it.header.is_empty() {
        let json = fields.name("Header");
        json.list(OBJECT, &it.header, |json, (name, values)| {
            json.string(name);
            json.raw(":");
            render::strings(json, values);
        });
    }
    fields.text("Method", &it.method);
    fields.text("Body", &it.body);
    fields.text("TCP", &it.tcp);
    fields.text("UDP", &it.udp);
    fields.number("OutputMaxSize", it.output_max_size);
    if !it.script_args.is_empty() {
        render::strings(fields.name("ScriptArgs"), &it.script_args);
    }
    fields.text("DockerContainerID", &it.docker_container_id);
    fields.text("Shell", &it.shell);
    fields.text("GRPC", &it.grpc);
    fields.flag("GRPCUseTLS", it.grpc_use_tls);
    fields.text("AliasNode", &it.alias_node);
    fields.text("AliasService", &it.alias_service);
    // The one duration that is told in nanoseconds.
    fields.number("TTL", u64::try_from(it.ttl.as_nanos()).unwrap_or(u64::MAX));
    fields.end();
}

/// The fields of an object, as far as they say something.
struct Fields<'a> {
    json: &'a mut Json,
    any: bool,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) -> &mut Json {
        self.json.raw(if self.any { ",\"" } else { "{\"" });
        self.json.raw(name);
        self.json.raw("\":");
        self.any = true;
        self.json
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name).string(value);
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        if value {
            self.name(name).bool(value);
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.name(name).number(value);
        }
    }

    fn duration(&mut self, name: &str, value: Duration) {
        if !value.is_zero() {
            self.name(name).string(&duration::format(value));
        }
    }

    fn end(self) {
        self.json.raw(if self.any { "}" } else { "{}" });
    }
}
