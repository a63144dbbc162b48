//! A run as a picture: time goes down, every server and client has a column, messages go across.
//! One file that needs nothing else; a browser can zoom, search and filter in it.

use std::fmt::Write as _;

use crate::trace::{Line, Place};
use crate::turmoil::wan::Run;
use crate::world::Outcome;

/// Draw a run whose lines were kept.
pub fn draw(outcome: &Outcome, title: &str) -> String {
    let (servers, clients) = outcome.places;
    let from = outcome.lines.len().saturating_sub(LINES_MAX);
    let mut data = String::from("{\"columns\":[\"world\"");
    for server in 0..servers {
        let _ = write!(data, ",\"{}\"", Place::Server(server));
    }
    for client in 0..clients {
        let _ = write!(data, ",\"{}\"", Place::Client(client));
    }
    data.push_str("],\"events\":[");
    let column = |it: Place| match it {
        Place::World => 0,
        Place::Server(n) => 1 + n,
        Place::Client(n) => 1 + servers + n,
    };
    for (n, line) in outcome.lines[from..].iter().enumerate() {
        data.push_str(if n == 0 { "" } else { "," });
        event(&mut data, line, column);
    }
    data.push_str("],\"violation\":");
    match &outcome.violation {
        None => data.push_str("null"),
        Some(it) => {
            let _ = write!(data, "[{},", it.at.0 / 1_000);
            string(&mut data, &format!("{}: {}", it.id, it.text));
            data.push(']');
        }
    }
    data.push('}');
    PAGE.replace("{{title}}", &escape(title)).replace("{{data}}", &data)
}

/// Draw a run of several datacenters.
pub fn draw_run(run: &Run, title: &str) -> String {
    let places: Vec<_> = run.places.iter().flat_map(|it| &it.1).collect();
    let mut data = String::from("{\"columns\":[\"world\"");
    for place in &places {
        let _ = write!(data, ",\"{place}\"");
    }
    data.push_str("],\"events\":[");
    let column = |it: &str| places.iter().position(|own| *own == it).map_or(0, |n| n + 1);
    for (n, event) in run.journal.events(0).iter().enumerate() {
        data.push_str(if n == 0 { "" } else { "," });
        let _ = write!(data, "[{},{},", event.at.as_micros(), column(&event.place));
        string(&mut data, event.kind);
        data.push(',');
        string(&mut data, &event.text);
        if let Some(since) = event.since {
            let _ = write!(data, ",{},{}", column(&event.place), since.as_micros());
        }
        data.push(']');
    }
    data.push_str("],\"violation\":");
    match run.verdicts.violations().first() {
        None => data.push_str("null"),
        Some(it) => {
            let _ = write!(data, "[{},", it.at.as_micros());
            string(&mut data, &format!("{}: {}", it.id, it.text));
            data.push(']');
        }
    }
    data.push('}');
    PAGE.replace("{{title}}", &escape(title)).replace("{{data}}", &data)
}

/// `[when, column, kind, text]`, and where it comes from and since when, if it does.
fn event(data: &mut String, line: &Line, column: impl Fn(Place) -> usize) {
    let _ = write!(data, "[{},{},", line.at.0 / 1_000, column(line.place));
    string(data, line.kind);
    data.push(',');
    string(data, &line.text);
    if let Some((from, sent)) = line.from {
        let _ = write!(data, ",{},{}", column(from), sent.0 / 1_000);
    }
    data.push(']');
}

/// A string of JSON that may stand in a script.
fn string(data: &mut String, text: &str) {
    data.push('"');
    for c in text.chars() {
        match c {
            '"' => data.push_str("\\\""),
            '\\' => data.push_str("\\\\"),
            '<' => data.push_str("\\u003c"),
            c if c < ' ' => _ = write!(data, "\\u{:04x}", u32::from(c)),
            c => data.push(c),
        }
    }
    data.push('"');
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// The last events are the interesting ones, and browsers have limits.
const LINES_MAX: usize = 60_000;

const PAGE: &str = include_str!("chart.html");

#[test]
fn a_picture_is_whole_and_says_nothing_by_accident() {
    use crate::plan::Plan;
    use tribune_base::time::Duration;

    let plan = Plan::calm(1, 3, Duration::from_secs(2));
    let page = draw(&crate::world::run(&plan, true), "a <title>");
    assert!(page.contains("a &lt;title>") && !page.contains("{{"));
    assert!(page.contains("[\"world\",\"n1\",\"n2\",\"n3\",\"c0\""));
    assert_eq!(page.matches("</script>").count(), 1);
}
