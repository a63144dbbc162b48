//! JSON of the shared types, written by hand: these are the answers that are asked for most, and
//! clients compare them with the original's byte for byte.

use std::collections::BTreeMap;

use tribune_base::id::{Index, Uuid};
use tribune_base::json;
use tribune_state::{Check, Instance, Node, Service, ServiceAddress, Weights};

use crate::catalog::definition;

/// Compact JSON on its way. Commas are put where they belong.
#[derive(Debug)]
pub(crate) struct Json {
    out: Vec<u8>,
    /// Whether addresses are to be those for other datacenters.
    afar: bool,
}

impl Json {
    /// Nothing yet, with room for `len` bytes.
    pub(crate) fn with_capacity(len: usize) -> Self {
        Self { out: Vec::with_capacity(len), afar: false }
    }

    /// The same, for readers in another datacenter, if they are `afar` and want to be told where things
    /// are for them.
    pub(crate) fn seen_from(mut self, afar: bool) -> Self {
        self.afar = afar;
        self
    }

    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    /// What was written so far.
    pub(crate) fn written(&self) -> &[u8] {
        &self.out
    }

    /// JSON as it is: punctuation, names, constants.
    pub(crate) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A string.
    pub(crate) fn string(&mut self, text: &str) {
        // Names and addresses have nothing to escape, and are most of what is written.
        if !text.bytes().all(|it| PLAIN[usize::from(it)]) {
            return json::string_into(text, &mut self.out);
        }
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// An identifier, as a string.
    pub(crate) fn uuid(&mut self, id: Uuid) {
        let mut text = *b"\"00000000-0000-0000-0000-000000000000\"";
        let mut rest = id.0;
        for at in text.iter_mut().rev().filter(|it| **it == b'0') {
            *at = b"0123456789abcdef"[(rest & 0xf) as usize];
            rest >>= 4;
        }
        self.out.extend_from_slice(&text);
    }

    /// A string of any bytes. What is not UTF-8 is replaced, as the original does.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        json::string_into(&String::from_utf8_lossy(bytes), &mut self.out);
    }

    /// Bytes in base64; `null` if there are none.
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return self.raw("null");
        }
        self.out.push(b'"');
        json::base64_into(bytes, &mut self.out);
        self.out.push(b'"');
    }

    /// A number.
    pub(crate) fn number(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    /// A number that may be negative.
    pub(crate) fn signed(&mut self, value: i64) {
        if value < 0 {
            self.raw("-");
        }
        self.number(value.unsigned_abs());
    }

    /// A number with a fraction. Very small and very large ones have an exponent of two digits, as
    /// in the original; what is no number is zero.
    pub(crate) fn float(&mut self, value: f64) {
        let size = value.abs();
        if !value.is_finite() || size == 0.0 {
            return self.raw("0");
        }
        if (1e-4..1e21).contains(&size) {
            return self.raw(&value.to_string());
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |it| ('-', it));
        self.raw(&format!("{digits}e{sign}{exponent:0>2}"));
    }

    /// `true` or `false`.
    pub(crate) fn bool(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    /// A name and a string. `name` comes with its punctuation: `,"Name":`.
    pub(crate) fn field(&mut self, name: &str, text: &str) {
        self.raw(name);
        self.string(text);
    }

    /// `open`, the items with commas between them, `close`.
    pub(crate) fn list<T>(
        &mut self,
        brackets: [&str; 2],
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.raw(brackets[0]);
        for (n, item) in items.into_iter().enumerate() {
            if 0 < n {
                self.raw(",");
            }
            write(self, item);
        }
        self.raw(brackets[1]);
    }
}

/// The bytes that stand for themselves in a string: ASCII without what must be escaped.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte < 0x7f {
        plain[byte as usize] = !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&');
        byte += 1;
    }
    plain
};

/// `[...]`.
pub(crate) const ARRAY: [&str; 2] = ["[", "]"];
/// `{...}`.
pub(crate) const OBJECT: [&str; 2] = ["{", "}"];

/// A list of strings; `[]` if there are none.
pub(crate) fn strings(json: &mut Json, items: &[String]) {
    json.list(ARRAY, items, |json, it| json.string(it));
}

/// An object of strings.
pub(crate) fn map(json: &mut Json, map: &BTreeMap<String, String>) {
    json.list(OBJECT, map, |json, (key, value)| {
        json.string(key);
        json.field(":", value);
    });
}

/// An object of strings, or what stands for none.
fn map_or(json: &mut Json, it: Option<&BTreeMap<String, String>>, none: &str) {
    match it {
        Some(it) => map(json, it),
        None => json.raw(none),
    }
}

/// A node's row: `/v1/catalog/nodes`.
pub(crate) fn node(json: &mut Json, node: &Node) {
    node_id(json, node);
    json.field(r#","Node":"#, &node.name);
    json.field(r#","Address":"#, node_address(json.afar, node));
    json.field(r#","Datacenter":"#, &node.datacenter);
    json.raw(r#","TaggedAddresses":"#);
    map_or(json, node.tagged_addresses.as_ref(), "null");
    json.raw(r#","Meta":"#);
    map_or(json, node.meta.as_ref(), "null");
    versions(json, node.create, node.modify);
}

/// A service of a node: in `/v1/health/service/`, `/v1/catalog/node/`.
pub(crate) fn service(json: &mut Json, service: &Service) {
    // Ordinary services have no kind, and the original does not mention it.
    if service.kind.is_empty() {
        json.field(r#"{"ID":"#, &service.id);
    } else {
        json.field(r#"{"Kind":"#, &service.kind);
        json.field(r#","ID":"#, &service.id);
    }
    json.field(r#","Service":"#, &service.name);
    json.raw(r#","Tags":"#);
    strings(json, &service.tags);
    let (address, port) = service_address(json.afar, service);
    json.field(r#","Address":"#, address);
    addresses(json, r#","TaggedAddresses":"#, service.tagged_addresses.as_ref());
    json.raw(r#","Meta":"#);
    map_or(json, service.meta.as_ref(), "null");
    json.raw(r#","Port":"#);
    json.signed(port);
    json.raw(r#","Weights":"#);
    weights(json, service.weights);
    json.raw(r#","EnableTagOverride":"#);
    json.bool(service.enable_tag_override);
    json.raw(r#","Proxy":{"MeshGateway":{},"Expose":{}},"Connect":{}"#);
    versions(json, service.create, service.modify);
}

/// A service together with its node: `/v1/catalog/service/`.
pub(crate) fn instance(json: &mut Json, instance: &Instance<'_>) {
    let (node, service) = (instance.node, instance.service);
    node_id(json, node);
    json.field(r#","Node":"#, &node.name);
    json.field(r#","Address":"#, node_address(json.afar, node));
    json.field(r#","Datacenter":"#, &node.datacenter);
    json.raw(r#","TaggedAddresses":"#);
    map_or(json, node.tagged_addresses.as_ref(), "null");
    json.raw(r#","NodeMeta":"#);
    map_or(json, node.meta.as_ref(), "null");
    json.field(r#","ServiceKind":"#, &service.kind);
    json.field(r#","ServiceID":"#, &service.id);
    json.field(r#","ServiceName":"#, &service.name);
    json.raw(r#","ServiceTags":"#);
    strings(json, &service.tags);
    let (address, port) = service_address(json.afar, service);
    json.field(r#","ServiceAddress":"#, address);
    addresses(json, r#","ServiceTaggedAddresses":"#, service.tagged_addresses.as_ref());
    json.raw(r#","ServiceWeights":"#);
    weights(json, service.weights);
    json.raw(r#","ServiceMeta":"#);
    map_or(json, service.meta.as_ref(), "{}");
    json.raw(r#","ServicePort":"#);
    json.signed(port);
    json.raw(r#","ServiceEnableTagOverride":"#);
    json.bool(service.enable_tag_override);
    json.raw(r#","ServiceProxy":{"MeshGateway":{},"Expose":{}},"ServiceConnect":{}"#);
    versions(json, service.create, service.modify);
}

/// A check's row: `/v1/health/node/`.
pub(crate) fn check(json: &mut Json, check: &Check) {
    json.field(r#"{"Node":"#, &check.node);
    json.field(r#","CheckID":"#, &check.id);
    json.field(r#","Name":"#, &check.name);
    json.field(r#","Status":"#, check.status.as_str());
    json.field(r#","Notes":"#, &check.notes);
    json.field(r#","Output":"#, &check.output);
    json.field(r#","ServiceID":"#, &check.service_id);
    json.field(r#","ServiceName":"#, &check.service_name);
    json.raw(r#","ServiceTags":"#);
    strings(json, &check.service_tags);
    json.field(r#","Type":"#, &check.kind);
    json.raw(r#","Definition":"#);
    match &check.definition {
        Some(it) => definition::render(json, it),
        None => json.raw("{}"),
    }
    versions(json, check.create, check.modify);
}

/// Where a node is: for readers in other datacenters, where it says that it is for them.
fn node_address(afar: bool, node: &Node) -> &str {
    let told = node.tagged_addresses.as_ref().filter(|_| afar).and_then(|it| it.get("wan"));
    told.filter(|it| !it.is_empty()).unwrap_or(&node.address)
}

/// Where a service is, in the same way.
fn service_address(afar: bool, service: &Service) -> (&str, i64) {
    let told = service.tagged_addresses.as_ref().filter(|_| afar).and_then(|it| it.get("wan"));
    let (address, port) = (service.address.as_str(), service.port);
    let Some(told) = told else { return (address, port) };
    let address = if told.address.is_empty() { address } else { &told.address };
    (address, if told.port == 0 { port } else { told.port })
}

/// The addresses of a service, unless there are none.
pub(crate) fn addresses(
    json: &mut Json,
    name: &str,
    addresses: Option<&BTreeMap<String, ServiceAddress>>,
) {
    let Some(addresses) = addresses.filter(|it| !it.is_empty()) else { return };
    json.raw(name);
    json.list(OBJECT, addresses, |json, (tag, it)| {
        json.string(tag);
        json.field(r#":{"Address":"#, &it.address);
        json.raw(r#","Port":"#);
        json.signed(it.port);
        json.raw("}");
    });
}

/// How much of the load an instance should get.
pub(crate) fn weights(json: &mut Json, weights: Weights) {
    json.raw(r#"{"Passing":"#);
    json.signed(weights.passing);
    json.raw(r#","Warning":"#);
    json.signed(weights.warning);
    json.raw("}");
}

/// The beginning of a row that starts with a node's id.
fn node_id(json: &mut Json, node: &Node) {
    json.raw(r#"{"ID":"#);
    match node.id {
        Some(id) => json.uuid(id.0),
        None => json.raw(r#""""#),
    }
}

/// The end of a row.
fn versions(json: &mut Json, create: Index, modify: Index) {
    json.raw(r#","CreateIndex":"#);
    json.number(create.0);
    json.raw(r#","ModifyIndex":"#);
    json.number(modify.0);
    json.raw("}");
}

#[test]
fn numbers() {
    for value in [0, 9, 10, u64::MAX] {
        let mut json = Json::with_capacity(0);
        json.number(value);
        assert_eq!(json.finish(), value.to_string().into_bytes());
    }
    for value in [0, -1, i64::MIN, i64::MAX] {
        let mut json = Json::with_capacity(0);
        json.signed(value);
        assert_eq!(json.finish(), value.to_string().into_bytes());
    }
}

#[test]
fn identifiers_look_as_everywhere() {
    for value in [0, 1, u128::MAX, 0x40e4_a748_2192_161a_0510_9bf5_9fe9_50b5] {
        let mut json = Json::with_capacity(0);
        json.uuid(Uuid(value));
        assert_eq!(json.finish(), format!("\"{}\"", Uuid(value)).into_bytes());
    }
}

#[test]
fn the_short_way_to_write_a_string_is_the_same() {
    for it in '\0'..='\u{2100}' {
        let text = format!("a{it}b");
        let mut json = Json::with_capacity(0);
        json.string(&text);
        let mut want = Vec::new();
        json::string_into(&text, &mut want);
        assert_eq!(json.finish(), want, "{it:?}");
    }
}
