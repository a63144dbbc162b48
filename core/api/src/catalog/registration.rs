//! What `/v1/catalog/register` and `/v1/catalog/deregister` are sent.

use std::collections::BTreeMap;

use serde_json::Value;
use tribune_base::id::{NodeId, Uuid};
use tribune_state::{
    Check, Deregistration, Registration, Service, ServiceAddress, Status, Weights,
};

use super::definition;
use crate::body::Field;
use crate::error::Error;

/// A request about the catalog: for which datacenter, and what. Empty means this datacenter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Addressed<T> {
    pub(super) datacenter: String,
    pub(super) what: T,
}

/// Read and check a registration, for `datacenter` unless it says otherwise.
pub(super) fn register(body: &Value, datacenter: &str) -> Result<Addressed<Registration>, Error> {
    let mut id = String::new();
    let mut wanted = String::new();
    let mut it = Registration { datacenter: datacenter.to_owned(), ..Registration::default() };
    let mut single = None;
    Field::body(body).each("structs.RegisterRequest", |name, field| {
        match name {
            "datacenter" => wanted = field.string()?,
            "id" => id = field.string()?,
            "node" => it.node = field.string()?,
            "address" => it.address = field.string()?,
            "taggedaddresses" => it.tagged_addresses = field.map()?,
            "nodemeta" => it.node_meta = field.map()?,
            "service" if field.is_null() => {}
            "service" => it.services = vec![service(field)?],
            "check" if field.is_null() => {}
            "check" => single = Some(check(field)?),
            "checks" => {
                let checks = field.list("structs.HealthChecks")?;
                it.checks = checks.iter().map(check).collect::<Result<_, _>>()?;
            }
            "skipnodeupdate" => it.skip_node_update = field.bool()?,
            _ => return Ok(is_elsewhere(name, field)),
        }
        Ok(true)
    })?;
    it.checks.extend(single);
    if it.node.is_empty() {
        return Err(Error::bad("Must provide node"));
    }
    if it.address.is_empty() && !it.skip_node_update {
        return Err(Error::bad("Must provide address if SkipNodeUpdate is not set"));
    }
    if !id.is_empty() {
        let bad = |error| Error::bad(format!("Bad node ID: {error}"));
        it.id = Some(NodeId(id.parse::<Uuid>().map_err(bad)?));
    }
    it.services.iter_mut().try_for_each(complete_service)?;
    it.checks.iter_mut().try_for_each(|check| complete_check(check, &it.node))?;
    Ok(Addressed { datacenter: wanted, what: it })
}

/// Read and check a deregistration.
pub(super) fn deregister(body: &Value) -> Result<Addressed<Deregistration>, Error> {
    let mut datacenter = String::new();
    let mut it = Deregistration::default();
    Field::body(body).each("structs.DeregisterRequest", |name, field| {
        match name {
            "datacenter" => datacenter = field.string()?,
            "node" => it.node = field.string()?,
            "serviceid" => it.service_id = field.string()?,
            "checkid" => it.check_id = field.string()?,
            // Once a hint, sent by older clients.
            "address" => _ = field.string()?,
            _ => return Ok(is_elsewhere(name, field)),
        }
        Ok(true)
    })?;
    if it.node.is_empty() {
        return Err(Error::bad("Must provide node"));
    }
    Ok(Addressed { datacenter, what: it })
}

fn service(field: &Field<'_>) -> Result<Service, Error> {
    let mut service = Service::default();
    field.each("structs.NodeService", |name, field| {
        match name {
            "id" => service.id = field.string()?,
            "service" => service.name = field.string()?,
            "tags" => service.tags = field.strings()?,
            "address" => service.address = field.string()?,
            "taggedaddresses" => service.tagged_addresses = addresses(field)?,
            "meta" => service.meta = field.map()?,
            "port" => service.port = field.int()?,
            "weights" if field.is_null() => {}
            "weights" => service.weights = weights(field)?,
            "enabletagoverride" => service.enable_tag_override = field.bool()?,
            "kind" => service.kind = field.string()?,
            "proxy" | "connect" if !field.is_vacant() => {
                return Err(Error::bad("Connect is not supported: leave out Proxy and Connect"));
            }
            // What the API itself shows of a service, and what follows from elsewhere.
            "proxy" | "connect" | "createindex" | "modifyindex" | "contenthash" | "datacenter" => {}
            "socketpath" | "locality" => return Ok(field.is_vacant()),
            _ => return Ok(is_elsewhere(name, field)),
        }
        Ok(true)
    })?;
    Ok(service)
}

fn weights(field: &Field<'_>) -> Result<Weights, Error> {
    let mut weights = Weights { passing: 0, warning: 0 };
    field.each("structs.Weights", |name, field| {
        match name {
            "passing" => weights.passing = field.int()?,
            "warning" => weights.warning = field.int()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    // Clients that know no weights send zeros.
    Ok(if weights.passing < 1 { Weights::default() } else { weights })
}

fn addresses(field: &Field<'_>) -> Result<Option<BTreeMap<String, ServiceAddress>>, Error> {
    let Some(entries) = field.entries("map[string]structs.ServiceAddress")? else {
        return Ok(None);
    };
    let read = |(tag, field): (&str, Field<'_>)| {
        let mut address = ServiceAddress::default();
        field.each("structs.ServiceAddress", |name, field| {
            match name {
                "address" => address.address = field.string()?,
                "port" => address.port = field.int()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok((tag.to_owned(), address))
    };
    entries.into_iter().map(read).collect::<Result<_, Error>>().map(Some)
}

fn check(field: &Field<'_>) -> Result<Check, Error> {
    let mut check = Check::default();
    field.each("structs.HealthCheck", |name, field| {
        match name {
            "node" => check.node = field.string()?,
            "checkid" => check.id = field.string()?,
            "name" => check.name = field.string()?,
            "status" => {
                let word = field.string()?;
                check.status = status(&word)?;
            }
            "notes" => check.notes = field.string()?,
            "output" => check.output = field.string()?,
            "serviceid" => check.service_id = field.string()?,
            "type" => check.kind = field.string()?,
            "definition" => check.definition = definition::read(field)?.map(Box::new),
            // What the API itself shows of a check, and what follows from its service.
            "servicename" | "servicetags" | "createindex" | "modifyindex" => {}
            "exposedport" | "interval" | "timeout" => return Ok(field.is_vacant()),
            _ => return Ok(is_elsewhere(name, field)),
        }
        Ok(true)
    })?;
    if let Some(definition) = check.definition.as_ref().filter(|_| check.kind.is_empty()) {
        definition.kind().clone_into(&mut check.kind);
    }
    Ok(check)
}

/// The status a check starts with: critical, if nothing is said.
fn status(word: &str) -> Result<Status, Error> {
    if word.is_empty() {
        return Ok(Status::Critical);
    }
    let bad = |_| Error::bad("Status for checks must 'passing', 'warning', 'critical'");
    word.parse().map_err(bad)
}

fn complete_service(service: &mut Service) -> Result<(), Error> {
    if service.name.is_empty() {
        let with = if service.id.is_empty() { "" } else { " with ID" };
        return Err(Error::bad(format!("Must provide service name{with}")));
    }
    if service.id.is_empty() {
        service.id.clone_from(&service.name);
    }
    if ["0.0.0.0", "::", "[::]"].contains(&service.address.as_str()) {
        return Err(Error::bad("Invalid service address"));
    }
    Ok(())
}

fn complete_check(check: &mut Check, node: &str) -> Result<(), Error> {
    if check.id.is_empty() {
        check.id.clone_from(&check.name);
    }
    if check.id.is_empty() {
        return Err(Error::bad("Must provide a check name or a CheckID"));
    }
    if check.node.is_empty() {
        node.clone_into(&mut check.node);
    }
    if !check.node.eq_ignore_ascii_case(node) {
        let text = format!("check node {:?} does not match node {node:?}", check.node);
        return Err(Error::bad(text));
    }
    Ok(())
}

/// Whether a field that newer clients send asks for nothing but the default.
fn is_elsewhere(name: &str, field: &Field<'_>) -> bool {
    let known = ["namespace", "partition", "peername", "locality"].contains(&name);
    let default = || field.string().is_ok_and(|it| it == "default");
    known && (field.is_vacant() || default())
}
