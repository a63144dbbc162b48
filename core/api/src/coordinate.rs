//! `/v1/coordinate/*`, and `near=`: where nodes are, as far as round-trip times can tell.
//!
//! The original's agents write their coordinates into its log, over and over. Here nobody does:
//! every server hears from all agents where they are, by gossip, and answers from what it has
//! heard. So two servers may differ a little, and a restarted one takes a while to know. Whoever
//! waits for a change is woken when a node comes or goes, not when one moves.
//!
//! What is written with `/v1/coordinate/update` is kept in the log, as the original keeps it, for nodes
//! that have no agent: where the pool knows better, it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tribune_base::coordinate::Coordinate;
use tribune_base::time::Duration;
use tribune_state::{Command, SetCoordinate, Snapshot, Topic};

use crate::body::{self, Field};
use crate::error::Error;
use crate::http::Content;
use crate::params::decode;
use crate::plan::{Call, Context, Evaluation, Plan, Query, Selection, Write, WriteAnswer};
use crate::render::{ARRAY, Json};
use crate::route::CoordinateEndpoint;

/// Where nodes are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// Those of this datacenter, by name.
    pub nodes: BTreeMap<Arc<str>, Place>,
    /// The servers of each datacenter: this one first, and then the nearest. Empty, if this server is
    /// not where they meet: then there is only this one.
    pub datacenters: Vec<DatacenterPlaces>,
}

/// Where the servers of a datacenter are, as far as round-trip times to them can tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DatacenterPlaces {
    /// The datacenter.
    pub name: Arc<str>,
    /// Its servers, by name.
    pub servers: BTreeMap<Arc<str>, Coordinate>,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Where.
    pub coordinate: Coordinate,
    /// Whether it is a server's.
    pub server: bool,
}

impl Places {
    /// Put what is near to the node that a client has named first. What has no place goes last;
    /// and if that node has none, everything stays where it is.
    pub(crate) fn sort<T>(
        &self,
        rows: &mut [T],
        selection: &Selection,
        (context, snapshot): (&Context, &Snapshot),
        node: impl Fn(&T) -> &str,
    ) {
        let Some(near) = &selection.near else { return };
        let near = if near == AGENT { &context.node } else { near };
        self.sort_from(rows, near, snapshot, node);
    }

    /// Put what is near to the node called `from` first.
    pub(crate) fn sort_from<T>(
        &self,
        rows: &mut [T],
        from: &str,
        snapshot: &Snapshot,
        node: impl Fn(&T) -> &str,
    ) {
        let Some(from) = self.find(from, snapshot) else { return };
        rows.sort_by_cached_key(|row| {
            let place = self.find(node(row), snapshot);
            place.map_or(Duration::MAX, |it| from.distance(&it))
        });
    }

    /// Where a node is: as the pool knows, or else as somebody has written down.
    fn find(&self, node: &str, snapshot: &Snapshot) -> Option<Coordinate> {
        let known = self.nodes.get(node).map(|it| it.coordinate);
        known.or_else(|| snapshot.coordinate(node))
    }

    /// The names of all datacenters, that of `context` first, and then the nearest.
    pub fn datacenter_names<'a>(&'a self, context: &'a Context) -> Vec<&'a str> {
        if self.datacenters.is_empty() {
            return vec![&context.datacenter];
        }
        self.datacenters.iter().map(|it| &*it.name).collect()
    }
}

pub(crate) fn plan(endpoint: CoordinateEndpoint, call: &Call<'_>) -> Result<Plan, Error> {
    call.read(match endpoint {
        CoordinateEndpoint::Update => return update(call),
        CoordinateEndpoint::Nodes => Query::Coordinates { node: None },
        CoordinateEndpoint::Node => {
            Query::Coordinates { node: Some(call.name("Missing node name")?) }
        }
        CoordinateEndpoint::Datacenters => Query::CoordinateDatacenters,
    })
}

/// Somebody has measured where a node is.
fn update(call: &Call<'_>) -> Result<Plan, Error> {
    let body = body::parse(&call.request.body)?;
    let (mut node, mut datacenter, mut coordinate) = (String::new(), String::new(), None);
    Field::body(&body).each("structs.CoordinateUpdateRequest", |name, field| {
        match name {
            "datacenter" => datacenter = field.string()?,
            "node" => node = field.string()?,
            // There is one segment here. Tokens come elsewhere.
            "segment" | "token" => _ = field.string()?,
            "coord" => coordinate = read(field)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let coordinate = coordinate.filter(Coordinate::is_valid);
    let spot = coordinate.ok_or_else(|| Error::bad("incompatible coordinate"))?.into();
    let remote = if datacenter.is_empty() { call.remote() } else { call.remote_to(&datacenter) };
    let command = Command::SetCoordinate(SetCoordinate { node, spot });
    let (answer, pretty) = (WriteAnswer::Empty, call.pretty());
    Ok(remote.unwrap_or(Plan::Write(Write { command, answer, pretty })))
}

/// `None`, if it is in another space.
fn read(field: &Field<'_>) -> Result<Option<Coordinate>, Error> {
    let mut vec = Vec::new();
    let (mut error, mut adjustment, mut height) = (0.0, 0.0, 0.0);
    field.each("coordinate.Coordinate", |name, field| {
        match name {
            "vec" => {
                let numbers = field.list("[]float64")?;
                vec = numbers.iter().map(Field::float).collect::<Result<_, _>>()?;
            }
            "error" => error = field.float()?,
            "adjustment" => adjustment = field.float()?,
            "height" => height = field.float()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(vec.try_into().ok().map(|vec| Coordinate { vec, error, adjustment, height }))
}

/// The places of all nodes, or of one. They are those of the catalog: an agent that is not in it is
/// not shown either.
pub(crate) fn evaluate(node: Option<&str>, snapshot: &Snapshot, places: &Places) -> Evaluation {
    let index = snapshot.index_of(&Topic::Nodes);
    let all = node.is_none();
    let heard = places.nodes.iter().filter(|(name, _)| snapshot.node(name).1.is_some());
    let mut known: BTreeMap<&str, Coordinate> = snapshot.coordinates().collect();
    known.extend(heard.map(|(name, it)| (&**name, it.coordinate)));
    known.retain(|name, _| node.is_none_or(|it| it == *name));
    if known.is_empty() && !all {
        let body = bytes::Bytes::new();
        return Evaluation { index, status: 404, content: Content::None, body };
    }
    let mut json = Json::with_capacity(16 + known.len() * 192);
    json.list(ARRAY, &known, |json, (name, it)| row(json, name, it));
    Evaluation { index, status: 200, content: Content::Json, body: json.finish().into() }
}

/// The places of servers, by datacenter.
pub(crate) fn datacenters(context: &Context, places: &Places) -> Json {
    let mut json = Json::with_capacity(1024);
    if !places.datacenters.is_empty() {
        json.list(ARRAY, &places.datacenters, datacenter);
        return json;
    }
    let servers = places.nodes.iter().filter(|(_, it)| it.server);
    let servers = servers.map(|(name, it)| (Arc::clone(name), it.coordinate)).collect();
    let only = DatacenterPlaces { name: context.datacenter.as_str().into(), servers };
    json.list(ARRAY, [&only], datacenter);
    json
}

fn datacenter(json: &mut Json, datacenter: &DatacenterPlaces) {
    json.field(r#"{"Datacenter":"#, &datacenter.name);
    json.raw(r#","AreaID":"wan","Coordinates":"#);
    json.list(ARRAY, &datacenter.servers, |json, (name, it)| row(json, name, it));
    json.raw("}");
}

fn row(json: &mut Json, name: &str, coordinate: &Coordinate) {
    json.field(r#"{"Node":"#, name);
    json.raw(r#","Segment":"","Coord":"#);
    write(json, coordinate);
    json.raw("}");
}

/// A coordinate as the API shows it.
pub(crate) fn write(json: &mut Json, coordinate: &Coordinate) {
    json.raw(r#"{"Vec":"#);
    json.list(ARRAY, coordinate.vec, Json::float);
    json.raw(r#","Error":"#);
    json.float(coordinate.error);
    json.raw(r#","Adjustment":"#);
    json.float(coordinate.adjustment);
    json.raw(r#","Height":"#);
    json.float(coordinate.height);
    json.raw("}");
}

/// The parameters of a request that a client agent passes on. Near to *this* agent is what its client
/// means, not near to the server that answers.
pub fn from_here(query: &mut String, node: &str) {
    let means_us = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(name) == "near" && decode(value) == AGENT
    };
    if !query.split('&').any(means_us) {
        return;
    }
    let near = format!("near={}", utf8_percent_encode(node, NON_ALPHANUMERIC));
    let pairs = query.split('&').map(|it| if means_us(it) { near.as_str() } else { it });
    *query = pairs.collect::<Vec<_>>().join("&");
}

/// What `near` calls the agent that is asked.
pub(crate) const AGENT: &str = "_agent";

#[test]
fn numbers_are_written_as_the_original_does() {
    let cases = [
        (0.0, "0"),
        (1.5, "1.5"),
        (1e-5, "1e-05"),
        (-0.000_123, "-0.000123"),
        (1.25e-12, "1.25e-12"),
        (2e21, "2e+21"),
        (f64::NAN, "0"),
    ];
    for (number, want) in cases {
        let mut json = Json::with_capacity(8);
        json.float(number);
        assert_eq!(json.finish(), want.as_bytes(), "{number}");
    }
}

#[test]
fn a_client_agent_means_itself() {
    let cases = [
        ("passing&near=_agent&tag=a%26b", "passing&near=c%2D1&tag=a%26b"),
        ("near=%5Fagent", "near=c%2D1"),
        ("near=n1&tag=_agent", "near=n1&tag=_agent"),
        ("", ""),
    ];
    for (query, want) in cases {
        let mut query = query.to_owned();
        from_here(&mut query, "c-1");
        assert_eq!(query, want);
    }
}

#[test]
fn who_is_near_comes_first_and_who_is_nowhere_last() {
    let mut places = Places::default();
    for (name, x) in [("a", 0.0), ("b", 0.030), ("c", 0.010), ("far", 5.0)] {
        let mut place = Place::default();
        place.coordinate.vec[0] = x;
        places.nodes.insert(name.into(), place);
    }
    let context = Context::new("dc1", "b");
    let sorted = |near: Option<&str>| {
        let mut rows = ["x", "far", "b", "y", "c", "a"];
        let near = near.map(str::to_owned);
        let selection = Selection { near, ..Selection::default() };
        places.sort(&mut rows, &selection, (&context, &Snapshot::default()), |it| it);
        rows.concat()
    };
    assert_eq!(sorted(Some("a")), "acbfarxy");
    assert_eq!(sorted(Some("_agent")), "bcafarxy");
    assert_eq!(sorted(Some("nobody")), "xfarbyca");
    assert_eq!(sorted(None), "xfarbyca");
}
