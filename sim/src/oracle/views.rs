//! CH-6, indexes tell views apart: a change of services or health raises the index of every question
//! whose answer it changes, and wakes whoever waits for it.

use std::collections::BTreeMap;

use tribune_api::coordinate::Places;
use tribune_api::plan::{Context, Query, Selection};
use tribune_base::id::Index;
use tribune_state::Touch;

use super::Report;
use super::matching::words;
use super::truth::Fact;
use crate::workload::{SERVICES, STATES};

/// Every question about the catalog, and what was last said to it.
#[derive(Debug)]
pub(crate) struct Views {
    context: Context,
    places: Places,
    queries: Vec<Query>,
    /// By the number of the question: the index, and a hash of the answer.
    last: BTreeMap<usize, (Index, u64)>,
}

impl Views {
    /// Of a catalog in which there may be these nodes.
    pub(crate) fn new(nodes: &[String]) -> Self {
        let context = Context::new("dc1", "nobody");
        Self { context, places: Places::default(), queries: queries(nodes), last: BTreeMap::new() }
    }

    /// A command about the catalog is committed.
    pub(crate) fn on_committed(&mut self, report: &mut Report, fact: &Fact) {
        for (n, query) in self.queries.iter().enumerate() {
            let answer = query.evaluate(&fact.state, &self.places, &self.context, false);
            let hash = words(&answer.body);
            let Some((index, before)) = self.last.insert(n, (answer.index, hash)) else { continue };
            if before == hash {
                continue;
            }
            report.require(index < answer.index, "CH-6", || {
                let body = String::from_utf8_lossy(&answer.body);
                format!("{}: {query:?} had index {index} and has {}: {body}", fact.id, answer.index)
            });
            let topic = query.topic();
            let woken =
                fact.touched.iter().any(|it| matches!(it, Touch::Topic(it) if *it == topic));
            report.require(woken, "CH-6", || {
                format!("{}: who waits for {query:?} is not woken", fact.id)
            });
        }
    }
}

fn queries(nodes: &[String]) -> Vec<Query> {
    let selection = Selection::default;
    let mut queries = vec![
        Query::CatalogNodes { selection: selection() },
        Query::CatalogServices { selection: selection() },
    ];
    for service in SERVICES.into_iter().chain(["consul"]) {
        let (service, tags) = (service.to_owned(), Vec::new);
        queries.push(Query::CatalogService {
            service: service.clone(),
            tags: tags(),
            selection: selection(),
        });
        queries.push(Query::HealthChecks { service: service.clone(), selection: selection() });
        for passing in [false, true] {
            let (service, tags, selection) = (service.clone(), tags(), selection());
            queries.push(Query::HealthService { service, tags, passing, selection });
        }
    }
    for node in nodes {
        queries.push(Query::CatalogNode { node: node.clone(), selection: selection() });
        queries.push(Query::HealthNode { node: node.clone(), selection: selection() });
    }
    let states = STATES.into_iter();
    queries.extend(
        states.map(|it| Query::HealthState { state: it.to_owned(), selection: selection() }),
    );
    queries
}

#[test]
fn another_answer_at_the_same_index_is_noticed() {
    use super::Truth;
    use tribune_state::{Command, Registration};

    let node = "a1".to_owned();
    let mut views = Views::new(std::slice::from_ref(&node));
    let mut truth = Truth::default();
    let register = |address: &str| {
        let (node, address) = (node.clone(), address.to_owned());
        Command::Register(Registration { node, address, ..Registration::default() })
    };
    let mut say = |command, forget| {
        let mut report = Report::default();
        truth.say(command);
        let fact = truth.last();
        if forget {
            // As if the index had been there before.
            let (Some(it), index) = (views.last.get_mut(&0), fact.id.index) else { panic!() };
            it.0 = index;
        }
        views.on_committed(&mut report, fact);
        report.first.map(|it| it.id)
    };
    assert_eq!(say(register("10.0.0.1"), false), None);
    assert_eq!(say(register("10.0.0.2"), false), None);
    assert_eq!(say(register("10.0.0.2"), true), None, "the same answer");
    assert_eq!(say(register("10.0.0.3"), true), Some("CH-6".into()));
}
