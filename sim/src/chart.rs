//! A run as a picture: time goes down, every server and client has a column, messages go across; where
//! there are several datacenters, what happens to them is a band, and requests are what lasts at their
//! clients. One file that needs nothing else; a browser can zoom, search and filter in it.

use std::fmt::Write as _;

use tribune_base::time::Duration;

use crate::trace::{Line, Place};
use crate::turmoil::wan::{Event, LANES, Letter, Run};
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
    let events = run.journal.events(0);
    let mut data = String::from("{\"columns\":[\"world\"");
    for place in &places {
        let _ = write!(data, ",\"{place}\"");
    }
    data.push_str("],\"groups\":[");
    let mut first = 1;
    list(&mut data, &run.places, |data, (dc, places)| {
        let _ = write!(data, "[\"{dc}\",{first},{}]", places.len());
        first += places.len();
    });
    data.push_str("],\"bands\":[");
    list(&mut data, &bands(&events, run.elapsed), |data, (begin, end, text)| {
        let named = |it: &(usize, &(String, Vec<String>))| text.contains(&it.1.0);
        let whom: Vec<_> = run.places.iter().enumerate().filter(named).map(|it| it.0).collect();
        let _ = write!(data, "[{},{},", begin.as_micros(), end.as_micros());
        string(data, text);
        let _ = write!(data, ",{whom:?}]");
    });
    let _ = write!(data, "],\"lanes\":{LANES:?},\"messages\":[");
    list(&mut data, &run.letters, |data, Letter { from, to, sent, arrived, lane }| {
        let arrived = arrived.map_or(-1, |it| it.as_micros() as i64);
        let _ = write!(data, "{},{},{},{arrived},{lane}", from + 1, to + 1, sent.as_micros());
    });
    data.push_str("],\"events\":[");
    let column = |it: &str| places.iter().position(|own| *own == it).map_or(0, |n| n + 1);
    list(&mut data, &events, |data, Event { at, since, place, kind, text }| {
        let _ = write!(data, "[{},{},", at.as_micros(), column(place));
        string(data, kind);
        data.push(',');
        string(data, text);
        if let Some(since) = since {
            let _ = write!(data, ",{},{}", column(place), since.as_micros());
        }
        data.push(']');
    });
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

/// What happened from when to when.
fn bands(events: &[Event], end: Duration) -> Vec<(Duration, Duration, &str)> {
    let begun = events.iter().enumerate().filter(|(_, it)| it.kind == "strike");
    let band = |(n, begun): (usize, &'_ Event)| {
        let healed = |it: &&Event| it.kind == "heal" && it.text == begun.text;
        events[n..].iter().find(healed).map_or(end, |it| it.at)
    };
    begun.map(|(n, it)| (it.at, band((n, it)), it.text.as_str())).collect()
}

/// What `each` writes, separated by commas.
fn list<T>(data: &mut String, all: &[T], mut each: impl FnMut(&mut String, &T)) {
    for (n, it) in all.iter().enumerate() {
        data.push_str(if n == 0 { "" } else { "," });
        each(data, it);
    }
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
