//! Answering a prepared query from this datacenter's catalog.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::rng::Rng;
use tribune_state::prepared_query::{PreparedQuery, ServiceQuery};
use tribune_state::{Check, HealthInstance, Node, Service, Snapshot, Status};

use super::{render, template};
use crate::coordinate::{AGENT, Places};
use crate::dns;
use crate::error::Error;
use crate::health::write_found;
use crate::http::Content;
use crate::plan::Consistency;
use crate::render::{ARRAY, Json};

/// What a client wants of a prepared query.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Execution {
    /// The query's id or name, or a name that its template fits.
    pub name: String,
    /// So many instances at most; zero for all.
    pub limit: usize,
    /// What the instances shall be near to; empty for what the query says.
    pub near: String,
    /// Only instances that belong to a mesh.
    pub connect: bool,
    /// Who asks.
    pub asker: Asker,
    /// What another datacenter asks for, by no name.
    pub asked: Option<ServiceQuery>,
    /// Answer with rows, not with JSON.
    pub rows: bool,
    /// How fresh the answer is, which it repeats.
    pub consistency: Consistency,
    /// Decides the order of what is equally near. Whoever takes the request in draws it, so that
    /// load is spread.
    pub seed: u64,
}

/// Who asks, for those who want to know what is near.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Asker {
    /// The node of the agent that was asked first: what `_agent` stands for.
    pub agent: String,
    /// The client's own address, if that is known: what `_ip` stands for.
    pub ip: Option<IpAddr>,
    /// Whether it is in another datacenter, and wants the addresses that are for others
    /// (`translate_wan_addrs`).
    pub afar: bool,
    /// What the agent that was asked first wants DNS answers to look like. Nothing else is asked with
    /// it.
    pub zone: Option<Arc<dns::Config>>,
}

/// A query, with what it asks for under the name it was asked by.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<'a>(Cow<'a, PreparedQuery>);

/// What came of an execution.
pub(super) struct Executed<'a> {
    pub(super) query: &'a PreparedQuery,
    pub(super) instances: &'a [HealthInstance<'a>],
    pub(super) datacenter: &'a str,
    /// How many datacenters were asked besides the first.
    pub(super) failovers: u64,
}

impl<'a> Resolved<'a> {
    /// Find what an execution is about.
    pub(super) fn of(execution: &Execution, snapshot: &'a Snapshot) -> Result<Self, Error> {
        let Some(service) = execution.asked.clone() else {
            return Self::find(snapshot, &execution.name);
        };
        Ok(Self(Cow::Owned(PreparedQuery { service, ..PreparedQuery::default() })))
    }

    /// Find the query that answers to `name`.
    pub(crate) fn find(snapshot: &'a Snapshot, name: &str) -> Result<Self, Error> {
        let not_found = || Error::not_found("Query not found");
        let query = snapshot.resolve_query(name).ok_or_else(not_found)?;
        if !query.is_template() {
            return Ok(Self(Cow::Borrowed(query)));
        }
        if name.parse().is_ok_and(|it| query.id == it) {
            return Err(Error::bad(
                "prepared query templates can only be resolved up by name, not by ID",
            ));
        }
        let service = template::resolve(query, name).map_err(Error::bad)?;
        Ok(Self(Cow::Owned(PreparedQuery { service, ..query.clone() })))
    }

    /// The query, as if it had been written for that name.
    pub(crate) fn query(&self) -> &PreparedQuery {
        &self.0
    }
}

impl Execution {
    /// The instances that `asked` finds here, in the order they are to be tried.
    pub(crate) fn instances<'a>(
        &self,
        asked: &ServiceQuery,
        snapshot: &'a Snapshot,
        places: &Places,
    ) -> Vec<HealthInstance<'a>> {
        // There is no mesh here, so nothing belongs to one.
        if asked.connect || self.connect {
            return Vec::new();
        }
        let mut found = select(asked, snapshot);
        Rng::new(self.seed).shuffle(&mut found);
        if let Some(near) = self.near(asked, snapshot) {
            places.sort_from(&mut found, near, snapshot, |it| &it.node.name);
            // Whoever is meant by name comes first, even if nobody knows where that is.
            let first = found.iter().take(NEAR_DEPTH_MAX);
            let same = |it: &HealthInstance<'_>| it.node.name.eq_ignore_ascii_case(near);
            if let Some(at) = first.into_iter().position(same) {
                found.swap(0, at);
            }
        }
        if self.limit != 0 {
            found.truncate(self.limit);
        }
        found
    }

    /// The node that instances shall be near to. What the client says goes before what the query says.
    fn near<'a>(&'a self, asked: &'a ServiceQuery, snapshot: &'a Snapshot) -> Option<&'a str> {
        let near = if self.near.is_empty() { &asked.near } else { &self.near };
        match near.as_str() {
            "" => None,
            AGENT => Some(&self.asker.agent),
            IP => {
                let nodes = snapshot.node_by_address(&self.asker.ip?.to_string());
                nodes.first().map(|it| it.name.as_str())
            }
            node => Some(node),
        }
    }
}

/// The instances that a query asks for, by node and id.
fn select<'a>(asked: &ServiceQuery, snapshot: &'a Snapshot) -> Vec<HealthInstance<'a>> {
    let (_, mut found) = snapshot.health_service(&asked.service);
    found.retain(|it| {
        it.checks.iter().all(|check| is_well(asked, check))
            && wants_node(asked, it.node)
            && wants_service(asked, it.service)
    });
    found
}

fn is_well(asked: &ServiceQuery, check: &Check) -> bool {
    let ignored = asked.ignore_check_ids.iter().flatten().any(|it| *it == check.id);
    ignored
        || match check.status {
            Status::Passing => true,
            Status::Warning => !asked.only_passing,
            Status::Critical | Status::Maintenance => false,
        }
}

fn wants_node(asked: &ServiceQuery, node: &Node) -> bool {
    let has = |(key, value): (&String, &String)| {
        node.meta.as_ref().and_then(|it| it.get(key)).is_some_and(|it| it == value)
    };
    asked.node_meta.iter().flatten().all(has)
}

fn wants_service(asked: &ServiceQuery, service: &Service) -> bool {
    let has_meta = |(key, value): (&String, &String)| {
        service.meta.as_ref().and_then(|it| it.get(key)).is_some_and(|it| it == value)
    };
    let has_tag = |tag: &str| service.tags.iter().any(|it| it.eq_ignore_ascii_case(tag));
    let fits = |tag: &String| match tag.strip_prefix('!') {
        Some(unwanted) => !has_tag(unwanted),
        None => has_tag(tag),
    };
    asked.service_meta.iter().flatten().all(has_meta) && asked.tags.iter().flatten().all(fits)
}

impl Executed<'_> {
    /// The answer as `execution` wants it.
    pub(super) fn body(&self, execution: &Execution) -> (Content, Bytes) {
        if execution.rows {
            (Content::None, self.encode())
        } else {
            (Content::Json, self.json(execution.consistency).finish().into())
        }
    }

    fn json(&self, consistency: Consistency) -> Json {
        let mut json = Json::with_capacity(256 + self.instances.len() * 1280);
        json.field(r#"{"Service":"#, &self.query.service.service);
        json.raw(r#","Nodes":"#);
        json.list(ARRAY, self.instances, write_found);
        json.field(r#","DNS":{"TTL":"#, &self.query.dns_ttl);
        json.field(r#"},"Datacenter":"#, self.datacenter);
        json.raw(r#","Failovers":"#);
        json.number(self.failovers);
        render::meta(&mut json, consistency);
        json
    }
}

/// What `near` calls the node that the client is on.
const IP: &str = "_ip";

/// Where a node that is sorted by its own place is at worst: others may share its machine.
const NEAR_DEPTH_MAX: usize = 10;
