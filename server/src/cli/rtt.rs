//! `tribune rtt`: how far two nodes are from each other, by their network coordinates.

use std::collections::BTreeMap;

use clap::Args;
use serde::Deserialize;
use tribune_base::coordinate::{Coordinate, DIMENSIONS};

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};

/// Estimate the round-trip time between two nodes
#[derive(Args, Debug)]
pub(crate) struct Rtt {
    /// Servers of all datacenters, each called <name>.<datacenter>.
    #[arg(long)]
    wan: bool,
    #[command(flatten)]
    target: Target,
    /// Two nodes. The second is the agent's own unless it is named.
    #[arg(value_name = "node")]
    args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Area {
    datacenter: String,
    #[serde(rename = "AreaID")]
    id: String,
    coordinates: Vec<Place>,
}

/// Where a node is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    node: String,
    #[serde(default)]
    segment: String,
    coord: Point,
}

/// A network coordinate as the API writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Point {
    vec: [f64; DIMENSIONS],
    error: f64,
    adjustment: f64,
    height: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Myself {
    config: MyConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MyConfig {
    node_name: String,
    datacenter: String,
}

impl Point {
    fn coordinate(&self) -> Coordinate {
        let Self { vec, error, adjustment, height } = *self;
        Coordinate { vec, error, adjustment, height }
    }
}

impl Rtt {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let [first, more @ ..] = self.args.as_slice() else { return Err(wrong_count()) };
        if 1 < more.len() {
            return Err(wrong_count());
        }
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let second = match more {
            [second, ..] => second.clone(),
            [] => self.own_name(&client)?,
        };
        let found = if self.wan {
            self.between_servers(&client, first, &second)?
        } else {
            self.between_nodes(&client, first, &second)?
        };
        let (one, other) =
            found.map_err(|name| format!("Could not find a coordinate for node {name:?}"))?;
        let ms = one.coordinate().distance(&other.coordinate()).as_secs_f64() * 1_000.0;
        let which = if self.wan { "WAN" } else { "LAN" };
        let line = format!("Estimated {first} <-> {second} rtt: {ms:.3} ms");
        terminal.line(format!("{line} (using {which} coordinates)"));
        Ok(())
    }

    fn own_name(&self, client: &Client) -> Result<String, Failure> {
        let myself = client.get("/v1/agent/self", &[]).and_then(|it| it.json());
        let Myself { config } =
            myself.map_err(|error| format!("Unable to look up agent info: {error}"))?;
        let MyConfig { node_name, datacenter } = config;
        Ok(if self.wan { format!("{node_name}.{datacenter}") } else { node_name })
    }

    /// Two coordinates in one area, or the name of a node that has none.
    fn between_servers(
        &self,
        client: &Client,
        first: &str,
        second: &str,
    ) -> Result<Result<(Point, Point), String>, Failure> {
        let split = |name: &str| {
            let (node, datacenter) = name.split_once('.')?;
            let whole = !node.is_empty() && !datacenter.is_empty() && !datacenter.contains('.');
            whole.then(|| (node.to_owned(), datacenter.to_owned()))
        };
        let (Some(one), Some(other)) = (split(first), split(second)) else {
            let message = "Node names must be specified as <node name>.<datacenter> with -wan";
            return Err(Failure::new(message));
        };
        let areas = client.get("/v1/coordinate/datacenters", &[]).and_then(|it| it.json());
        let areas: Vec<Area> =
            areas.map_err(|error| format!("Error getting coordinates: {error}"))?;
        let mut found: BTreeMap<&str, [Option<&Point>; 2]> = BTreeMap::new();
        for area in &areas {
            for place in &area.coordinates {
                let is = |it: &(String, String)| it.0 == place.node && it.1 == area.datacenter;
                let both = found.entry(&area.id).or_default();
                for (name, coordinate) in [&one, &other].into_iter().zip(both) {
                    if is(name) {
                        *coordinate = Some(&place.coord);
                    }
                }
            }
        }
        let both = found.values().find_map(|it| Some((it[0]?.clone(), it[1]?.clone())));
        Ok(both.ok_or_else(|| first.to_owned()))
    }

    /// Two coordinates in one segment, or the name of a node that has none there.
    fn between_nodes(
        &self,
        client: &Client,
        first: &str,
        second: &str,
    ) -> Result<Result<(Point, Point), String>, Failure> {
        let places = client.get("/v1/coordinate/nodes", &[]).and_then(|it| it.json());
        let places: Vec<Place> =
            places.map_err(|error| format!("Error getting coordinates: {error}"))?;
        let of = |name: &str| -> BTreeMap<&str, &Point> {
            let of = places.iter().filter(|it| it.node == name);
            of.map(|it| (it.segment.as_str(), &it.coord)).collect()
        };
        let (one, other) = (of(first), of(second));
        // A client is in one segment, servers are in all of them: the narrower one decides.
        let narrow = [&other, &one].into_iter().find(|it| it.len() == 1);
        let segment = narrow.and_then(|it| it.keys().next().copied()).unwrap_or_default();
        let at = |it: &BTreeMap<&str, &Point>| it.get(segment).map(|it| (*it).clone());
        Ok(match (at(&one), at(&other)) {
            (Some(one), Some(other)) => Ok((one, other)),
            (None, _) => Err(first.to_owned()),
            (Some(_), None) => Err(second.to_owned()),
        })
    }
}

fn wrong_count() -> Failure {
    Failure::new("One or two node names must be specified").with_usage(Usage::Err)
}
