//! From a view to a response: the same function for a connection's own task and for the task that
//! renders once for many.

use tribune_api::http::Response;
use tribune_api::plan::{Consistency, Context, Evaluation, Query, Read};
use tribune_base::hash::{FNV1A_START, fnv1a_from};
use tribune_base::id::Index;
use tribune_base::time::Instant;
use tribune_core::{Serve, View};

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
pub fn try_read(view: &View, now: Instant, context: &Context, read: &Read) -> Answer {
    if !view.satisfies(now, read.consistency, read.max_stale) {
        return Answer::Later(None);
    }
    if read.waits(&view.snapshot) {
        let seen = read
            .query
            .hides_changes()
            .then(|| digest(&read.query.evaluate(&view.snapshot, context, read.pretty)));
        return Answer::Later(seen);
    }
    let evaluation = read.query.evaluate(&view.snapshot, context, read.pretty);
    Answer::Now(response(view, now, &read.query, read.consistency, evaluation))
}

/// Evaluate what many wait for.
pub fn render(view: &View, now: Instant, context: &Context, serve: &Serve) -> Rendered {
    let evaluation = serve.query.evaluate(&view.snapshot, context, serve.pretty);
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
