//! `tribune catalog`: datacenters, nodes and services.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Deserialize;
use tribune_base::json;

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal};
use super::{assignment, table};

/// Look at the catalog
#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    Datacenters(Datacenters),
    Nodes(Nodes),
    Services(Services),
}

impl Catalog {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        match self {
            Self::Datacenters(command) => command.run(terminal),
            Self::Nodes(command) => command.run(terminal),
            Self::Services(command) => command.run(terminal),
        }
    }
}

/// List all known datacenters
#[derive(Args, Debug)]
pub(crate) struct Datacenters {
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Datacenters {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        no_arguments(&self.args)?;
        let client = connect(&self.target, terminal)?;
        let names = client.get("/v1/catalog/datacenters", &[]).and_then(|it| it.json());
        let names: Vec<String> =
            names.map_err(|error| format!("Error listing datacenters: {error}"))?;
        names.iter().for_each(|it| terminal.line(it));
        Ok(())
    }
}

/// List all nodes in the given datacenter
#[derive(Args, Debug)]
pub(crate) struct Nodes {
    /// Show everything there is to know about a node.
    #[arg(long)]
    detailed: bool,
    /// Only nodes that this expression describes.
    #[arg(long, value_name = "expression")]
    filter: Option<String>,
    /// Sort by the distance from this node; `_agent` is the agent's own.
    #[arg(long, value_name = "node")]
    near: Option<String>,
    /// Only nodes with this metadata. May be given several times.
    #[arg(long, value_name = "key=value", value_parser = assignment)]
    node_meta: Vec<(String, String)>,
    /// Only nodes that offer this service.
    #[arg(long, value_name = "name")]
    service: Option<String>,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "ID", default)]
    id: String,
    node: String,
    address: String,
    #[serde(default)]
    datacenter: String,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    tagged_addresses: BTreeMap<String, String>,
    #[serde(default, alias = "NodeMeta", deserialize_with = "json::null_is_empty")]
    meta: BTreeMap<String, String>,
}

/// An instance of a service; what is called `Meta` there is the service's, not the node's.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    #[serde(rename = "ID", default)]
    id: String,
    node: String,
    address: String,
    #[serde(default)]
    datacenter: String,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    tagged_addresses: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    node_meta: BTreeMap<String, String>,
}

impl Nodes {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        no_arguments(&self.args)?;
        let client = connect(&self.target, terminal)?;
        let meta: Vec<_> = self.node_meta.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        let mut query: Vec<_> = meta.iter().map(|it| ("node-meta", it.as_str())).collect();
        query.extend(self.near.as_deref().map(|it| ("near", it)));
        query.extend(self.filter.as_deref().map(|it| ("filter", it)));
        let mut nodes =
            self.fetch(&client, &query).map_err(|error| format!("Error listing nodes: {error}"))?;
        if nodes.is_empty() {
            terminal.note("No nodes match the given query - try expanding your search.");
            return Ok(());
        }
        if self.near.is_none() {
            nodes.sort_by(|a, b| a.node.cmp(&b.node));
        }
        terminal.line(table::columns(if self.detailed { detailed(&nodes) } else { brief(&nodes) }));
        Ok(())
    }

    fn fetch(
        &self,
        client: &Client,
        query: &[(&str, &str)],
    ) -> Result<Vec<Node>, super::client::RequestError> {
        let Some(service) = &self.service else {
            return client.get("/v1/catalog/nodes", query)?.json();
        };
        let instances: Vec<Instance> =
            client.get(&format!("/v1/catalog/service/{service}"), query)?.json()?;
        let node = |it: Instance| Node {
            id: it.id,
            node: it.node,
            address: it.address,
            datacenter: it.datacenter,
            tagged_addresses: it.tagged_addresses,
            meta: it.node_meta,
        };
        Ok(instances.into_iter().map(node).collect())
    }
}

fn brief(nodes: &[Node]) -> Vec<Vec<String>> {
    let row = |it: &Node| {
        let id = it.id.split('-').next().unwrap_or_default().to_owned();
        vec![it.node.clone(), id, it.address.clone(), it.datacenter.clone()]
    };
    let heading = ["Node", "ID", "Address", "DC"].map(str::to_owned).to_vec();
    std::iter::once(heading).chain(nodes.iter().map(row)).collect()
}

fn detailed(nodes: &[Node]) -> Vec<Vec<String>> {
    let joined = |map: &BTreeMap<String, String>| {
        map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ")
    };
    let row = |it: &Node| {
        let (addresses, meta) = (joined(&it.tagged_addresses), joined(&it.meta));
        let (node, id) = (it.node.clone(), it.id.clone());
        vec![node, id, it.address.clone(), it.datacenter.clone(), addresses, meta]
    };
    let heading = ["Node", "ID", "Address", "DC", "TaggedAddresses", "Meta"];
    std::iter::once(heading.map(str::to_owned).to_vec()).chain(nodes.iter().map(row)).collect()
}

/// List all registered services in a datacenter
#[derive(Args, Debug)]
pub(crate) struct Services {
    /// Only services of this node, by id or name.
    #[arg(long, value_name = "id or name")]
    node: Option<String>,
    /// Only services on nodes with this metadata. May be given several times.
    #[arg(long, value_name = "key=value", value_parser = assignment)]
    node_meta: Vec<(String, String)>,
    /// Show each service's tags.
    #[arg(long)]
    tags: bool,
    #[command(flatten)]
    target: Target,
    #[arg(hide = true)]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeServices {
    services: BTreeMap<String, NodeService>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeService {
    service: String,
    #[serde(default, deserialize_with = "json::null_is_empty")]
    tags: Vec<String>,
}

impl Services {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        no_arguments(&self.args)?;
        let client = connect(&self.target, terminal)?;
        let services = self.fetch(&client)?;
        if services.is_empty() {
            terminal.note("No services match the given query - try expanding your search.");
            return Ok(());
        }
        let width = services.keys().map(|it| it.chars().count()).max().unwrap_or(0) + 6;
        for (name, mut tags) in services {
            tags.sort();
            tags.dedup();
            if self.tags {
                terminal.line(format!("{name:width$}{}", tags.join(",")));
            } else {
                terminal.line(name);
            }
        }
        Ok(())
    }

    fn fetch(&self, client: &Client) -> Result<BTreeMap<String, Vec<String>>, Failure> {
        let meta: Vec<_> = self.node_meta.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        let query: Vec<_> = meta.iter().map(|it| ("node-meta", it.as_str())).collect();
        let Some(node) = &self.node else {
            let services = client.get("/v1/catalog/services", &query).and_then(|it| it.json());
            return services
                .map_err(|error| Failure::new(format!("Error listing services: {error}")));
        };
        let found: Result<Option<NodeServices>, _> =
            client.get(&format!("/v1/catalog/node/{node}"), &query).and_then(|it| it.json());
        let found = found.map_err(|error| format!("Error listing services for node: {error}"))?;
        let mut services: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for instance in found.into_iter().flat_map(|it| it.services.into_values()) {
            services.entry(instance.service).or_default().extend(instance.tags);
        }
        Ok(services)
    }
}

fn connect(target: &Target, terminal: &Terminal<'_>) -> Result<Client, Failure> {
    Client::new(target, terminal)
        .map_err(|error| Failure::new(format!("Error connecting to Consul agent: {error}")))
}

fn no_arguments(args: &[String]) -> Result<(), Failure> {
    if args.is_empty() {
        return Ok(());
    }
    Err(format!("Too many arguments (expected 0, got {})", args.len()).into())
}
