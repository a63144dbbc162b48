//! Clusters as lines: a letter is a server, in upper case if it votes. `a` leads.
//!
//! | mark | meaning |
//! | --- | --- |
//! | none | alive, heard of just now, as far as the leader |
//! | `!` | not there |
//! | `~` | there, but silent for a second |
//! | `-` | there, but far behind |
//! | `<` | there, with a log of an older term |

use tribune_base::id::Term;

use super::*;

/// Looks at one line after the other.
struct Watch {
    autopilot: Autopilot,
    settings: Settings,
    now: Instant,
    leader: LogId,
}

impl Default for Watch {
    fn default() -> Self {
        let autopilot = Autopilot::new(Instant::START, Duration::from_millis(500));
        let leader = LogId::new(Term(3), Index(1_000));
        Self { autopilot, settings: Settings::default(), now: Instant::START, leader }
    }
}

impl Watch {
    fn with(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// What is decided now, and two seconds later it is.
    fn look(&mut self, line: &str) -> String {
        let servers = servers(line, self.leader);
        let decision = self.autopilot.look(self.now, &self.settings, self.leader, &servers);
        self.now = self.autopilot.poll_timeout();
        match decision {
            None => String::new(),
            Some(Decision::Promote(id)) => format!("promote {}", letter(id)),
            Some(Decision::Remove(id)) => format!("remove {}", letter(id)),
        }
    }

    /// The first decision while nothing changes, and how long it took.
    fn wait(&mut self, line: &str) -> Option<(u64, String)> {
        let start = self.now;
        for _ in 0..60 {
            let at = self.now.since(start).as_secs();
            let decision = self.look(line);
            if !decision.is_empty() {
                return Some((at, decision));
            }
        }
        None
    }
}

fn servers(line: &str, leader: LogId) -> Vec<Seen> {
    let server = |word: &str| {
        let (name, mark) = word.split_at(1);
        let older = LogId::new(Term(leader.term.0 - 1), leader.index);
        let behind = LogId::new(leader.term, Index(leader.index.0 - 251));
        let millis = if mark == "~" { 1_000 } else { 100 };
        Seen {
            id: id(name),
            voter: name.to_uppercase() == name,
            alive: mark != "!",
            last_contact: (mark != "!").then(|| Duration::from_millis(millis)),
            last_log: match mark {
                "<" => older,
                "-" => behind,
                _ => leader,
            },
        }
    };
    line.split_whitespace().map(server).collect()
}

fn id(name: &str) -> ServerId {
    ServerId(u128::from(name.to_lowercase().as_bytes()[0] - b'a' + 1))
}

fn letter(id: ServerId) -> char {
    char::from(b'a' + id.0 as u8 - 1)
}

#[test]
fn how_many_may_fail() {
    let cases = [
        ("A", true, 0),
        ("A B", true, 0),
        ("A B C", true, 1),
        ("A B C D", true, 1),
        ("A B C D E", true, 2),
        // Who has no vote makes nothing safer, but is to be well.
        ("A B C d e", true, 1),
        ("A B C d!", false, 1),
        ("A B C!", false, 0),
        ("A B C~", false, 0),
        ("A B C-", false, 0),
        ("A B C<", false, 0),
        ("A B C D E!", false, 1),
        // Fewer than a quorum are well.
        ("A B! C!", false, 0),
        ("A B! C! D! E", false, 0),
    ];
    for (line, healthy, tolerance) in cases {
        let mut watch = Watch::default();
        watch.look(line);
        let got = (watch.autopilot.is_healthy(), watch.autopilot.failure_tolerance());
        assert_eq!(got, (healthy, tolerance), "{line}");
    }
}

#[test]
fn who_stays_dead_is_removed_if_enough_voters_stay() {
    let remove = |secs, name| Some((secs, format!("remove {name}")));
    let cases = [
        ("A", None),
        ("A B", None),
        ("A B C", None),
        // Nobody but the one that leads would be left.
        ("A B!", None),
        ("A B C!", remove(10, 'c')),
        ("A B C D!", remove(10, 'd')),
        ("A B C! D!", None),
        ("A B C D! E!", remove(10, 'd')),
        ("A B C! D! E!", None),
        // Silent, late or confused is not dead.
        ("A B C~", None),
        ("A B C-", None),
        ("A B C<", None),
        // Who has no vote is not missed, and does not count.
        ("A B c!", remove(10, 'c')),
        ("A b! c! d!", remove(10, 'b')),
        ("A B! c!", remove(10, 'c')),
        ("A B C! d!", remove(10, 'd')),
    ];
    for (line, want) in cases {
        assert_eq!(Watch::default().wait(line), want, "{line}");
    }
}

#[test]
fn the_settings_limit_what_is_removed() {
    let cases = [
        ("A B C!", true, 2, Some("remove c")),
        ("A B C!", true, 3, None),
        ("A B C D! E!", true, 3, Some("remove d")),
        ("A B C D! E!", true, 4, None),
        // The limit is about voters.
        ("A B c!", true, 3, Some("remove c")),
        ("A B C!", false, 0, None),
        ("A B c!", false, 0, None),
    ];
    for (line, cleanup_dead_servers, min_quorum, want) in cases {
        let settings = Settings { cleanup_dead_servers, min_quorum, ..Settings::default() };
        let decision = Watch::with(settings).wait(line).map(|it| it.1);
        assert_eq!(decision.as_deref(), want, "{line} {cleanup_dead_servers} {min_quorum}");
    }
}

#[test]
fn who_comes_back_is_not_dead() {
    let mut watch = Watch::default();
    for _ in 0..5 {
        assert_eq!(watch.look("A B C!"), "");
    }
    assert_eq!(watch.look("A B C"), "");
    assert_eq!(watch.wait("A B C!"), Some((10, "remove c".to_owned())));
}

#[test]
fn one_at_a_time_until_it_is_done() {
    let mut watch = Watch::default();
    assert_eq!(watch.wait("A B C D! E!"), Some((10, "remove d".to_owned())));
    // It could not be done yet.
    assert_eq!(watch.look("A B C D! E!"), "remove d");
    assert_eq!(watch.look("A B C E!"), "remove e");
    assert_eq!(watch.look("A B C"), "");

    let mut watch = Watch::default();
    assert_eq!(watch.wait("A B C d e"), Some((10, "promote d".to_owned())));
    assert_eq!(watch.look("A B C d e"), "promote d");
    assert_eq!(watch.look("A B C D e"), "promote e");
    assert_eq!(watch.look("A B C D E"), "");
}

#[test]
fn the_dead_go_before_the_new_come() {
    let mut watch = Watch::default();
    assert_eq!(watch.wait("A B C! d"), Some((10, "remove c".to_owned())));
    assert_eq!(watch.look("A B d"), "promote d");
}

#[test]
fn a_vote_is_earned_by_being_well_without_a_break() {
    let mut watch = Watch::default();
    for mark in ["~", "-", "<"] {
        assert_eq!(watch.wait(&format!("A B C d{mark}")), None, "{mark}");
    }
    for _ in 0..5 {
        assert_eq!(watch.look("A B C d"), "");
    }
    assert_eq!(watch.look("A B C d~"), "");
    let (secs, decision) = watch.wait("A B C d").unwrap();
    assert_eq!(decision, "promote d");
    // Ten seconds of health, and as many until somebody asks.
    assert!((10..=20).contains(&secs), "{secs}");
}

#[test]
fn whoever_needs_no_proof_votes_at_once() {
    let settings = Settings { server_stabilization_time: Duration::ZERO, ..Settings::default() };
    assert_eq!(Watch::with(settings).look("A b"), "promote b");
}

#[test]
fn what_came_since_the_last_look_is_not_expected_yet() {
    let mut watch = Watch::default();
    watch.look("A B C");
    let before = watch.leader;
    watch.leader.index = Index(100_000);
    // At the last look they had everything.
    let mut seen = servers("A B C", watch.leader);
    seen[1].last_log = before;
    seen[2].last_log = LogId::new(before.term, Index(before.index.0 - 251));
    watch.autopilot.look(watch.now, &watch.settings, watch.leader, &seen);
    let healthy = |name| watch.autopilot.standing(id(name)).unwrap().healthy;
    assert_eq!(["a", "b", "c"].map(healthy), [true, true, false]);
}

#[test]
fn a_standing_says_since_when() {
    let mut watch = Watch::default();
    let mut since = |line| {
        watch.look(line);
        let standing = watch.autopilot.standing(id("b"))?;
        Some((standing.healthy, standing.since.since_start().as_secs()))
    };
    assert_eq!(since("A B"), Some((true, 0)));
    assert_eq!(since("A B"), Some((true, 0)));
    assert_eq!(since("A B~"), Some((false, 4)));
    assert_eq!(since("A B!"), Some((false, 4)));
    assert_eq!(since("A B"), Some((true, 8)));
    assert_eq!(since("A"), None);
    // Another one by the same name.
    assert_eq!(since("A B"), Some((true, 12)));
}

#[test]
fn between_two_looks_nothing_is_seen() {
    let mut autopilot = Autopilot::new(Instant::START, Duration::from_millis(500));
    let leader = LogId::new(Term(1), Index(500));
    let settings = Settings { server_stabilization_time: Duration::ZERO, ..Settings::default() };
    let mut look = |millis| {
        let now = Instant::from_start(Duration::from_millis(millis));
        autopilot.look(now, &settings, leader, &servers("A b", leader))
    };
    assert_eq!(look(0), Some(Decision::Promote(id("b"))));
    assert_eq!(look(1_999), None);
    assert_eq!(look(2_000), Some(Decision::Promote(id("b"))));
}
