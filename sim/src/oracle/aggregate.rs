//! CH-1, aggregation: a service is as its worst check is, its own or its node's, and maintenance is
//! worse than critical, critical than warning, warning than passing.

use tribune_api::http::Response;
use tribune_state::{Check, Status};

use super::Report;

/// The worst of some checks, worked out from what is documented.
pub(crate) fn worst(checks: &[&Check]) -> Status {
    let words: Vec<_> = checks.iter().map(|it| word(&it.id, it.status.as_str())).collect();
    match worst_word(&words) {
        "maintenance" => Status::Maintenance,
        "critical" => Status::Critical,
        "warning" => Status::Warning,
        _ => Status::Passing,
    }
}

/// An agent tells how a service of its own is.
pub(crate) fn check_answer(report: &mut Report, response: &Response) {
    let body = String::from_utf8_lossy(&response.body);
    let Some(told) = strings(&body, "AggregatedStatus").next() else { return };
    if response.status == 404 {
        return;
    }
    let checks = strings(&body, "CheckID").zip(strings(&body, "Status"));
    let words: Vec<_> = checks.map(|(id, status)| word(id, status)).collect();
    let worst = worst_word(&words);
    let code = match worst {
        "passing" => 200,
        "warning" => 429,
        _ => 503,
    };
    report.require(told == worst && response.status == code, "CH-1", || {
        format!("{} {told}, and it is {worst}: {body}", response.status)
    });
}

fn word<'a>(id: &str, status: &'a str) -> &'a str {
    let maintained = id == "_node_maintenance" || id.starts_with("_service_maintenance:");
    if maintained { "maintenance" } else { status }
}

fn worst_word(words: &[&str]) -> &'static str {
    let worst_first = ["maintenance", "critical", "warning"];
    worst_first.into_iter().find(|it| words.contains(it)).unwrap_or("passing")
}

/// Every string that a field of this name has, in order. Nothing here has a quote in it.
pub(crate) fn strings<'a>(json: &'a str, field: &str) -> impl Iterator<Item = &'a str> {
    let start = format!("\"{field}\":\"");
    let mut rest = json;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value)
    })
}

#[test]
fn another_word_than_the_worst_is_noticed() {
    let answer = |status, word: &str, id: &str| {
        let body = format!(
            r#"{{"AggregatedStatus":"{word}","Checks":[{{"CheckID":"{id}","Status":"warning"}}]}}"#
        );
        let mut report = Report::default();
        check_answer(&mut report, &Response::json(status, body));
        report.first.map(|it| it.id)
    };
    assert_eq!(answer(429, "warning", "a"), None);
    assert_eq!(answer(503, "maintenance", "_node_maintenance"), None);
    assert_eq!(answer(200, "passing", "a"), Some("CH-1".into()));
    assert_eq!(answer(429, "warning", "_service_maintenance:web"), Some("CH-1".into()));
    assert_eq!(answer(200, "warning", "a"), Some("CH-1".into()), "load balancers read the number");
}
