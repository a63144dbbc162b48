//! Any request has a plan, and a read an answer: the first line is the path, the second the query,
//! the rest the body.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_api::http::{Method, Request};
use tribune_api::plan::{self, Context, Plan};
use tribune_state::Store;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (path, query, body) = (next(), next(), Bytes::copy_from_slice(next().as_bytes()));
    let context = Context::new("dc1", "n1");
    for method in [Method::Get, Method::Put, Method::Delete] {
        let body = body.clone();
        let request = Request {
            method,
            path,
            query,
            token: None,
            body,
            remote: None,
            forwarded_for: None,
            wants_text: false,
        };
        if let Plan::Read(read) = plan::plan(&request, &context) {
            let evaluation = read.query.evaluate(
                &Store::default().snapshot(),
                &Default::default(),
                &context,
                read.pretty,
            );
            assert_ne!(evaluation.index.0, 0, "an index is never zero");
        }
    }
});
