//! `tribune services`: register and deregister with the local agent.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tribune_base::hcl::{self, Format};

use super::assignment;
use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, describe};

/// Interact with services of the local agent
#[derive(Debug, Subcommand)]
pub(crate) enum Services {
    Deregister(Deregister),
    Register(Register),
}

impl Services {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::Deregister(command) => command.run(terminal),
            Self::Register(command) => command.run(terminal),
        }
    }
}

/// Register services with the local agent
#[derive(Args, Debug)]
pub(crate) struct Register {
    /// Where the service is. [default: where the node is]
    #[arg(long, value_name = "string")]
    address: Option<String>,
    /// What the service is known as here. [default: its name]
    #[arg(long, value_name = "string")]
    id: Option<String>,
    /// What kind of service it is.
    #[arg(long, value_name = "string")]
    kind: Option<String>,
    /// Metadata. May be given several times.
    #[arg(long, value_name = "key=value", value_parser = assignment)]
    meta: Vec<(String, String)>,
    /// The service's name.
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Its port.
    #[arg(long, value_name = "int")]
    port: Option<u16>,
    /// A tag. May be given several times.
    #[arg(long, value_name = "string")]
    tag: Vec<String>,
    /// Another address, as name=address or name=address:port. May be given several times.
    #[arg(long, value_name = "name=address", value_parser = assignment)]
    tagged_address: Vec<(String, String)>,
    #[command(flatten)]
    target: Target,
    #[arg(value_name = "FILE")]
    args: Vec<String>,
}

impl Register {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let by_flags = self.name.is_some() || self.id.is_some();
        let services = match (by_flags, self.args.is_empty()) {
            (false, true) => {
                let message = "Service registration requires at least one argument or flags.";
                return Err(Failure::new(message));
            }
            (true, false) => {
                let message = "Service registration requires arguments or -id, not both.";
                return Err(Failure::new(message));
            }
            (true, true) => vec![self.described()?],
            (false, false) => read(&self.args)?,
        };
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        for service in services {
            let name = text(&service, "name");
            let body = service.to_string();
            let registered =
                client.put("/v1/agent/service/register", &[], body).and_then(|it| it.ok());
            registered.map_err(|error| format!("Error registering service {name:?}: {error}"))?;
            terminal.line(format!("Registered service: {name}"));
        }
        Ok(())
    }

    fn described(&self) -> Result<Value, Failure> {
        let mut service = Map::new();
        let mut set = |name: &str, value: Value| _ = service.insert(name.to_owned(), value);
        for (name, value) in [
            ("Kind", &self.kind),
            ("ID", &self.id),
            ("Name", &self.name),
            ("Address", &self.address),
        ] {
            if let Some(value) = value {
                set(name, value.as_str().into());
            }
        }
        if !self.tag.is_empty() {
            set("Tags", self.tag.as_slice().into());
        }
        if let Some(port) = self.port {
            set("Port", port.into());
        }
        if !self.meta.is_empty() {
            set("Meta", self.meta.iter().cloned().collect());
        }
        let mut addresses = Map::new();
        for (name, text) in &self.tagged_address {
            addresses.insert(name.clone(), tagged(text)?);
        }
        if !addresses.is_empty() {
            set("TaggedAddresses", Value::Object(addresses));
        }
        Ok(Value::Object(service))
    }
}

/// Deregister services with the local agent
#[derive(Args, Debug)]
pub(crate) struct Deregister {
    /// What the service is known as here.
    #[arg(long, value_name = "string")]
    id: Option<String>,
    #[command(flatten)]
    target: Target,
    #[arg(value_name = "FILE")]
    args: Vec<String>,
}

impl Deregister {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let services = match (&self.id, self.args.is_empty()) {
            (None, true) => {
                let message = "Service deregistration requires at least one argument or -id.";
                return Err(Failure::new(message));
            }
            (Some(_), false) => {
                let message = "Service deregistration requires arguments or -id, not both.";
                return Err(Failure::new(message));
            }
            (Some(id), true) => vec![json!({ "ID": id })],
            (None, false) => read(&self.args)?,
        };
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        for service in services {
            let name = text(&service, "name");
            let id = Some(text(&service, "id")).filter(|it| !it.is_empty()).unwrap_or(name);
            let path = format!("/v1/agent/service/deregister/{id}");
            let deregistered = client.put(&path, &[], "").and_then(|it| it.ok());
            // The original says `registering`, and programs know it by that.
            deregistered.map_err(|error| format!("Error registering service {name:?}: {error}"))?;
            terminal.line(format!("Deregistered service: {id}"));
        }
        Ok(())
    }
}

/// The services that files define, in their order.
fn read(paths: &[String]) -> Result<Vec<Value>, Failure> {
    let mut services = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let reason = describe(&error);
            format!("Error: config: Open failed on {path}. open {path}: {reason}")
        })?;
        let json = Path::new(path).extension().is_some_and(|it| it == "json");
        let format = if json { Format::Json } else { Format::Hcl };
        let mut value = hcl::parse(&text, format)
            .map_err(|error| format!("Error: failed to parse {path}: {error}"))?;
        for key in ["services", "service"] {
            match value.get_mut(key).map(Value::take) {
                None => {}
                Some(Value::Array(more)) => services.extend(more),
                Some(one) => services.push(one),
            }
        }
    }
    Ok(services)
}

/// `address` or `address:port`.
fn tagged(text: &str) -> Result<Value, Failure> {
    let Some((address, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        return Ok(json!({ "Address": text }));
    };
    let port = port
        .parse::<u16>()
        .map_err(|_| Failure::new(format!("Error: address {text}: invalid port {port:?}")))?;
    Ok(json!({ "Address": address, "Port": port }))
}

/// The text of a field, whatever its case.
fn text<'a>(service: &'a Value, name: &str) -> &'a str {
    let fields = service.as_object().into_iter().flatten();
    let mut found = fields.filter(|it| it.0.eq_ignore_ascii_case(name));
    found.next().and_then(|it| it.1.as_str()).unwrap_or_default()
}
