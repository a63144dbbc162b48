//! What of a row can be asked for, under the names that the answer shows.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tribune_state::{Check, HealthInstance, Instance, Node, Service, ServiceAddress};

use crate::agent::Member;

/// Something whose fields have names.
pub(crate) trait Row {
    /// The field at `path`. `None` if no row of this kind has one there.
    fn field(&self, path: &[String]) -> Option<Value<'_>>;
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Number(i64),
    List(&'a [String]),
    /// An object, of which only the names are asked for.
    Keys(Vec<&'a str>),
    /// A list of structures, of which only the length is asked for.
    Count(usize),
    /// A name that this object does not have, and another may.
    Absent,
    /// One for each element of a list of structures.
    Any(Vec<Self>),
}

/// The kinds of rows.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Rows {
    Nodes,
    Instances,
    Services,
    Checks,
    HealthInstances,
    Members,
}

/// Call `ask` with a row of a kind, to find out which fields there are.
pub(super) fn with_sample<T>(rows: Rows, ask: impl FnOnce(&dyn Row) -> T) -> T {
    let (node, service, check) = (Node::default(), Service::default(), Check::default());
    match rows {
        Rows::Nodes => ask(&node),
        Rows::Instances => ask(&Instance { node: &node, service: &service }),
        Rows::Services => ask(&service),
        Rows::Checks => ask(&check),
        Rows::HealthInstances => {
            ask(&HealthInstance { node: &node, service: &service, checks: vec![&check] })
        }
        Rows::Members => ask(&Member::sample()),
    }
}

impl Row for Node {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let (name, rest) = path.split_first()?;
        match name.as_str() {
            "TaggedAddresses" => map(self.tagged_addresses.as_ref(), rest),
            "Meta" => map(self.meta.as_ref(), rest),
            _ if !rest.is_empty() => None,
            "ID" => Some(Value::Text(node_id(self))),
            "Node" => Some(text(&self.name)),
            "Address" => Some(text(&self.address)),
            "Datacenter" => Some(text(&self.datacenter)),
            _ => None,
        }
    }
}

impl Row for Service {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let (name, rest) = path.split_first()?;
        let rest_names: Vec<_> = rest.iter().map(String::as_str).collect();
        match (name.as_str(), rest_names.as_slice()) {
            ("TaggedAddresses", _) => addresses(self.tagged_addresses.as_ref(), rest),
            ("Meta", _) => map(self.meta.as_ref(), rest),
            ("Weights", ["Passing"]) => Some(Value::Number(self.weights.passing)),
            ("Weights", ["Warning"]) => Some(Value::Number(self.weights.warning)),
            ("Connect", ["Native"]) => Some(Value::Bool(false)),
            // Nothing here is a proxy, and clients may ask for those that are not.
            ("Proxy", ["DestinationServiceName" | "DestinationServiceID"]) => Some(text("")),
            (_, [_, ..]) => None,
            ("Kind", _) => Some(text(&self.kind)),
            ("ID", _) => Some(text(&self.id)),
            ("Service", _) => Some(text(&self.name)),
            ("Tags", _) => Some(Value::List(&self.tags)),
            ("Address", _) => Some(text(&self.address)),
            ("Port", _) => Some(Value::Number(self.port)),
            ("EnableTagOverride", _) => Some(Value::Bool(self.enable_tag_override)),
            _ => None,
        }
    }
}

impl Row for Instance<'_> {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let (name, rest) = path.split_first()?;
        if name == "NodeMeta" {
            return map(self.node.meta.as_ref(), rest);
        }
        let Some(of_service) = name.strip_prefix("Service") else {
            return if name == "Meta" { None } else { self.node.field(path) };
        };
        // The same fields under longer names, but for this one.
        let own = match of_service {
            "Name" => "Service",
            "Service" | "" => return None,
            other => other,
        };
        let own: Vec<String> = [own.to_owned()].into_iter().chain(rest.iter().cloned()).collect();
        self.service.field(&own)
    }
}

impl Row for Check {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let [name] = path else { return None };
        Some(match name.as_str() {
            "Node" => text(&self.node),
            "CheckID" => text(&self.id),
            "Name" => text(&self.name),
            "Status" => text(self.status.as_str()),
            "Notes" => text(&self.notes),
            "Output" => text(&self.output),
            "ServiceID" => text(&self.service_id),
            "ServiceName" => text(&self.service_name),
            "ServiceTags" => Value::List(&self.service_tags),
            "Type" => text(&self.kind),
            _ => return None,
        })
    }
}

impl Row for HealthInstance<'_> {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let (name, rest) = path.split_first()?;
        match name.as_str() {
            "Node" => self.node.field(rest),
            "Service" => self.service.field(rest),
            "Checks" if rest.is_empty() => Some(Value::Count(self.checks.len())),
            "Checks" => {
                let each = self.checks.iter().map(|it| it.field(rest));
                each.collect::<Option<Vec<_>>>().map(Value::Any)
            }
            _ => None,
        }
    }
}

impl Row for Member {
    fn field(&self, path: &[String]) -> Option<Value<'_>> {
        let (name, rest) = path.split_first()?;
        match name.as_str() {
            "Tags" => map(Some(&self.tags), rest),
            _ if !rest.is_empty() => None,
            "Name" => Some(text(&self.name)),
            "Addr" => Some(Value::Text(self.address.to_string().into())),
            "Port" => Some(Value::Number(self.port.into())),
            "Status" => Some(Value::Number(self.status as i64)),
            _ => None,
        }
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn node_id(node: &Node) -> Cow<'_, str> {
    node.id.map_or(Cow::Borrowed(""), |it| Cow::Owned(it.to_string()))
}

fn map<'a>(map: Option<&'a BTreeMap<String, String>>, rest: &[String]) -> Option<Value<'a>> {
    match rest {
        [] => Some(Value::Keys(map.into_iter().flatten().map(|(key, _)| key.as_str()).collect())),
        [key] => Some(map.and_then(|it| it.get(key)).map_or(Value::Absent, |it| text(it))),
        _ => None,
    }
}

fn addresses<'a>(
    map: Option<&'a BTreeMap<String, ServiceAddress>>,
    rest: &[String],
) -> Option<Value<'a>> {
    let [key, field] = rest else {
        let keys = || map.into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        return rest.is_empty().then(|| Value::Keys(keys()));
    };
    let address = map.and_then(|it| it.get(key));
    match field.as_str() {
        "Address" => Some(address.map_or(Value::Absent, |it| text(&it.address))),
        "Port" => Some(address.map_or(Value::Absent, |it| Value::Number(it.port))),
        _ => None,
    }
}
