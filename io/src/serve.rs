//! From a view to a response: the same function for a connection's own task and for the task that
//! renders once for many.

use tribune_api::http::Response;
use tribune_api::plan::{Consistency, Context, Evaluation, Query, Read};
use tribune_base::hash::{FNV1A_START, fnv1a_from};
use tribune_base::id::Index;
use tribune_base::time::Instant;
use tribune_core::{Serve, View};

use crate::shelf::Shelf;

/// What became of a query that many wait for.
#[derive(Debug)]
pub enum Rendered {
    /// The answer is the one they have.
    Unchanged(Index),
    /// The answer, for all of them.
    Response(Response),
}

/// What a view says to a read.
#[derive(Debug)]
pub enum Answer {
    /// Its answer.
    Now(Response),
    /// That it must ask the node. Carries a hash of the answer the client already has, where a
    /// change of the state need not be a change of the answer.
    Later(Option<u64>),
}

/// Answer `read` from `view`, if that is fresh enough and shows more than the client knows.
pub fn try_read(
    view: &View,
    now: Instant,
    context: &Context,
    shelf: &Shelf,
    read: &Read,
) -> Answer {
    if !view.satisfies(now, read.consistency, read.max_stale) {
        return Answer::Later(None);
    }
    if read.query.fails_over(&view.snapshot, &view.places) {
        return Answer::Later(None);
    }
    if read.waits(&view.snapshot) {
        // Only what is here at the client's own index is what the client has. It may have asked a
        // server that was ahead of this one, and what this one shows may come back.
        let here = read.query.index(&view.snapshot).max(Index(1)) == read.min_index;
        let seen = (here && read.query.hides_changes())
            .then(|| digest(&shelf.evaluate(view, context, &read.query, read.pretty)));
        return Answer::Later(seen);
    }
    let evaluation = shelf.evaluate(view, context, &read.query, read.pretty);
    Answer::Now(response(view, now, &read.query, read.consistency, evaluation))
}

/// Evaluate what many wait for.
pub fn render(
    view: &View,
    now: Instant,
    context: &Context,
    shelf: &Shelf,
    serve: &Serve,
) -> Rendered {
    let evaluation = shelf.evaluate(view, context, &serve.query, serve.pretty);
    if serve.seen.is_some_and(|it| it == digest(&evaluation)) {
        return Rendered::Unchanged(evaluation.index);
    }
    Rendered::Response(response(view, now, &serve.query, serve.consistency, evaluation))
}

fn response(
    view: &View,
    now: Instant,
    query: &Query,
    consistency: Consistency,
    evaluation: Evaluation,
) -> Response {
    let mut meta = view.meta(now, evaluation.index, consistency);
    if !query.tells_consistency() {
        meta.effective = None;
    }
    Response {
        status: evaluation.status,
        content: evaluation.content,
        meta: Some(meta),
        headers: Vec::new(),
        body: evaluation.body,
    }
}

/// FNV-1a over the answer. Not for enemies: a collision delays one wake-up until the next change.
fn digest(evaluation: &Evaluation) -> u64 {
    fnv1a_from(FNV1A_START ^ u64::from(evaluation.status), &evaluation.body)
}

/// A client has seen more at another server than there is here. When what is here comes back, it is
/// news to that client.
#[test]
fn what_a_server_shows_that_lags_is_not_what_the_client_has() {
    use bytes::Bytes;
    use tribune_base::time::{Duration, WallTime};
    use tribune_core::Freshness;
    use tribune_state::{Command, Store, kv};

    let mut store = Store::default();
    let mut next = |command: kv::Command| {
        let index = store.index().next();
        store.apply(index, WallTime(0), &Command::Kv(command));
        let informed_at = Some(Instant::START);
        let freshness = Freshness { leads: false, lease_until: None, informed_at };
        let snapshot = store.view().clone();
        let (peers, places) = (Vec::new().into(), Default::default());
        (index, View { snapshot, freshness, leader_addr: None, peers, places })
    };
    let mut set =
        |key: &'static str| next(kv::Command::Set { key: key.into(), value: "x".into(), flags: 0 });
    let ((one, lags), (both, knows)) = (set("a/1"), set("a/2"));
    let (again, reverted) = next(kv::Command::Delete { key: "a/2".into() });

    let context = Context::new("dc1", "n1");
    let query = Query::KvKeys { prefix: "a/".into(), separator: Bytes::new() };
    let ask = |view: &View, min_index| {
        let (consistency, wait) = (Consistency::Stale, Duration::from_secs(1));
        let query = query.clone();
        let read = Read { query, consistency, max_stale: None, min_index, wait, pretty: false };
        match try_read(view, Instant::START, &context, &Shelf::default(), &read) {
            Answer::Later(seen) => seen,
            Answer::Now(response) => panic!("{response:?}"),
        }
    };
    let tell = |view: &View, seen| {
        let (query, consistency) = (query.clone(), Consistency::Stale);
        let serve = Serve { ids: Vec::new(), query, pretty: false, consistency, seen };
        render(view, Instant::START, &context, &Shelf::default(), &serve)
    };
    assert!(matches!(tell(&reverted, ask(&lags, both)), Rendered::Response(_)), "it had both");
    assert!(matches!(tell(&reverted, ask(&lags, one)), Rendered::Unchanged(it) if it == again));
    assert!(matches!(tell(&reverted, ask(&knows, both)), Rendered::Response(_)));
}
