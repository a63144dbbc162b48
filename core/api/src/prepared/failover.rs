//! Looking for instances in one datacenter after the other, when there are none here.
//!
//! ```text
//!   begin ──> ask_next ──> answered ─┬─ found, or nobody left ──> response
//!               ^                    │
//!               └────────────────────┘
//! ```
//!
//! A datacenter that nobody knows is not asked, and does not count. One that does not answer counts,
//! and finds nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use tribune_state::prepared_query::{PreparedQuery, ServiceQuery};
use tribune_state::{HealthInstance, OwnedInstance, Snapshot};

use super::execute::{Executed, Execution, Resolved};
use super::rows::Rows;
use crate::coordinate::Places;
use crate::http::{OwnedRequest, ReadMeta, Response};
use crate::pretty;

/// One execution on its way through other datacenters.
#[derive(Clone, Debug)]
pub struct Failover {
    execution: Execution,
    query: PreparedQuery,
    pretty: bool,
    /// Who has not been asked yet, in order.
    left: VecDeque<Arc<str>>,
    asked: u64,
    /// Who was asked last.
    current: Arc<str>,
    /// Whose answer it is.
    datacenter: Arc<str>,
    found: Vec<OwnedInstance>,
}

impl Failover {
    /// Look elsewhere for what `execution` asks for, if there is nothing here, the query says where
    /// else to look, and there is such a place. `places` knows the datacenters, this one first and
    /// then the nearest.
    pub fn begin(
        execution: &Execution,
        snapshot: &Snapshot,
        places: &Places,
        pretty: bool,
    ) -> Option<Self> {
        let (own, others) = places.datacenters.split_first()?;
        let others: Vec<_> = others.iter().map(|it| Arc::clone(&it.name)).collect();
        // Who was asked by another datacenter has been asked because there was nothing elsewhere.
        if others.is_empty() || execution.asked.is_some() {
            return None;
        }
        let resolved = Resolved::of(execution, snapshot).ok()?;
        let query = resolved.query();
        let left = candidates(&query.service, &others);
        if left.is_empty() || !execution.instances(&query.service, snapshot, places).is_empty() {
            return None;
        }
        Some(Self {
            execution: execution.clone(),
            query: query.clone(),
            pretty,
            left,
            asked: 0,
            current: Arc::clone(&own.name),
            datacenter: Arc::clone(&own.name),
            found: Vec::new(),
        })
    }

    /// Whom to ask next, and what. `None` if there is nobody left.
    pub fn ask_next(&mut self) -> Option<(Arc<str>, OwnedRequest)> {
        self.current = self.left.pop_front()?;
        self.asked += 1;
        // It knows no such query, and what is near to whom is known here only.
        let asked = ServiceQuery { near: String::new(), ..self.query.service.clone() };
        let execution = Execution {
            asked: Some(asked),
            limit: self.execution.limit,
            connect: self.execution.connect,
            consistency: self.execution.consistency,
            rows: true,
            ..Execution::default()
        };
        Some((Arc::clone(&self.current), execution.to_request()))
    }

    /// What the one that was asked last has said; `None`, if nothing. Returns whether it has found
    /// something.
    pub fn answered(&mut self, response: Option<&Response>) -> bool {
        let answer = response.filter(|it| it.status == 200);
        let Some(rows) = answer.and_then(|it| Rows::decode(it.body.clone()).ok()) else {
            return false;
        };
        self.datacenter = Arc::clone(&self.current);
        self.found = rows.instances;
        !self.found.is_empty()
    }

    /// The answer, for the client. `meta` is what this server says of its freshness.
    pub fn response(&self, meta: ReadMeta) -> Response {
        let instances: Vec<_> = self.found.iter().map(OwnedInstance::borrow).collect();
        let (content, body) = self.executed(&instances).body(&self.execution);
        let indented = self.pretty && !self.execution.rows;
        let body = if indented { pretty::indent(&body).into() } else { body };
        Response { content, body, meta: Some(meta), ..Response::empty(200) }
    }

    fn executed<'a>(&'a self, instances: &'a [HealthInstance<'a>]) -> Executed<'a> {
        Executed {
            query: &self.query,
            instances,
            datacenter: &self.datacenter,
            failovers: self.asked,
        }
    }

    /// How fresh the answer shall be.
    pub const fn consistency(&self) -> crate::plan::Consistency {
        self.execution.consistency
    }
}

/// Which of the datacenters `others`, nearest first, are asked for `asked`, and in which order.
fn candidates(asked: &ServiceQuery, others: &[Arc<str>]) -> VecDeque<Arc<str>> {
    let nearest = usize::try_from(asked.failover.nearest_n).unwrap_or(usize::MAX);
    let mut order: VecDeque<Arc<str>> = others.iter().take(nearest).cloned().collect();
    for name in asked.failover.datacenters.iter().flatten() {
        let known = others.iter().find(|it| ***it == **name);
        if let Some(known) = known.filter(|it| !order.contains(it)) {
            order.push_back(Arc::clone(known));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use tribune_base::id::{Index, Uuid};
    use tribune_base::time::{Duration, WallTime};
    use tribune_state::prepared_query::{self, Failover as Elsewhere};
    use tribune_state::{Command, Registration, Service, Store};

    use super::*;
    use crate::coordinate::DatacenterPlaces;
    use crate::error::Error;

    fn places() -> Places {
        let named = |it: &str| DatacenterPlaces { name: it.into(), ..DatacenterPlaces::default() };
        Places {
            datacenters: ["dc1", "near", "far", "farther"].map(named).into(),
            ..Places::default()
        }
    }

    fn store(nearest_n: u64, datacenters: &[&str]) -> Store {
        let datacenters = Some(datacenters.iter().map(|it| (*it).to_owned()).collect());
        let service = ServiceQuery {
            service: "web".into(),
            failover: Elsewhere { nearest_n, datacenters },
            near: "_agent".into(),
            ..ServiceQuery::default()
        };
        let (name, id) = ("q".to_owned(), Uuid(1));
        let query = PreparedQuery { id, name, service, ..PreparedQuery::default() };
        let command = prepared_query::Command::Create(Box::new(query));
        let mut store = Store::default();
        store.apply(Index(1), WallTime(0), &Command::PreparedQuery(command));
        store
    }

    fn with_web(mut store: Store) -> Store {
        let service = Service { id: "w".into(), name: "web".into(), ..Service::default() };
        let registration = Registration {
            node: "n1".into(),
            address: "10.0.0.1".into(),
            services: vec![service],
            ..Registration::default()
        };
        store.apply(Index(2), WallTime(0), &Command::Register(registration));
        store
    }

    fn begin(store: &Store) -> Option<Failover> {
        let execution = Execution { name: "q".into(), limit: 3, ..Execution::default() };
        Failover::begin(&execution, store.view(), &places(), false)
    }

    /// Who is asked, if nobody finds anything.
    fn order(store: &Store) -> Vec<String> {
        let mut order = Vec::new();
        let Some(mut failover) = begin(store) else { return order };
        while let Some((datacenter, _)) = failover.ask_next() {
            assert!(!failover.answered(None));
            order.push(datacenter.to_string());
        }
        order
    }

    fn meta() -> ReadMeta {
        let (known_leader, last_contact) = (true, Duration::ZERO);
        ReadMeta { index: Index(1), known_leader, last_contact, effective: None }
    }

    fn said(failover: &Failover) -> String {
        String::from_utf8(failover.response(meta()).body.into()).unwrap()
    }

    #[test]
    fn the_nearest_come_first_and_then_those_that_are_named() {
        assert_eq!(order(&store(0, &[])), [""; 0]);
        assert_eq!(order(&store(2, &[])), ["near", "far"]);
        assert_eq!(order(&store(9, &[])), ["near", "far", "farther"]);
        assert_eq!(order(&store(0, &["far", "near"])), ["far", "near"]);
        // Nobody is asked twice, and nobody who is not known, or is here.
        let named = &["near", "dc9", "dc1", "farther", "farther"];
        assert_eq!(order(&store(1, named)), ["near", "farther"]);
    }

    #[test]
    fn nobody_is_asked_for_what_is_here() {
        assert!(begin(&with_web(store(2, &[]))).is_none());
        let execution = Execution { name: "none".into(), ..Execution::default() };
        let store = store(2, &[]);
        assert!(Failover::begin(&execution, store.view(), &places(), false).is_none());
        let alone = Places { datacenters: places().datacenters[..1].to_vec(), ..places() };
        let execution = Execution { name: "q".into(), ..Execution::default() };
        assert!(Failover::begin(&execution, store.view(), &alone, false).is_none());
        assert!(Failover::begin(&execution, store.view(), &Places::default(), false).is_none());
    }

    #[test]
    fn the_first_that_finds_something_is_the_answer() {
        let mut failover = begin(&store(3, &[])).unwrap();
        failover.ask_next();
        assert!(!failover.answered(Some(&Error::NoClusterLeader.into())));
        let (datacenter, request) = failover.ask_next().unwrap();
        assert_eq!(&*datacenter, "far");
        let asked = Execution::of_request(&request).unwrap().unwrap();
        assert_eq!((asked.limit, asked.rows), (3, true));
        assert_eq!(asked.asked.as_ref().map(|it| it.near.as_str()), Some(""));

        // What the other side does with it.
        let there = with_web(Store::default());
        let context = crate::plan::Context::new("far", "n9");
        let evaluation = super::super::executed(&asked, there.view(), &Places::default(), &context);
        let response = Response { body: evaluation.body, ..Response::empty(200) };
        assert!(failover.answered(Some(&response)));
        let said = said(&failover);
        assert!(said.starts_with(r#"{"Service":"web","Nodes":[{"Node":{"ID":"","Node":"n1""#));
        assert!(said.contains(r#""Datacenter":"far","Failovers":2,"Index":0"#), "{said}");
    }

    #[test]
    fn if_nobody_finds_anything_the_answer_is_empty_and_says_who_was_asked() {
        let mut failover = begin(&store(2, &[])).unwrap();
        failover.ask_next();
        assert!(!failover.answered(None));
        failover.ask_next();
        assert!(!failover.answered(Some(&Response { body: "?".into(), ..Response::empty(200) })));
        assert!(failover.ask_next().is_none());
        let dead = said(&failover);
        assert!(dead.contains(r#""Nodes":[],"DNS":{"TTL":""},"Datacenter":"dc1","Failovers":2"#));
    }
}
