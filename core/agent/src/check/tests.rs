use tribune_base::id::NodeId;

use super::*;

fn definition(passing: u32, warning: u32, critical: u32) -> CheckDefinition {
    CheckDefinition {
        success_before_passing: passing,
        failures_before_warning: warning,
        failures_before_critical: critical,
        ..CheckDefinition::default()
    }
}

#[test]
fn how_often_something_has_to_be_seen() {
    // What is seen, `p`, `w` or `c`; and what is believed, `-` for what was believed before.
    let cases = [
        ("everything counts", (0, 0, 0), "pcwp", "pcwp"),
        ("one is the same", (1, 1, 1), "pcwp", "pcwp"),
        ("the first outcome takes effect at once", (3, 0, 3), "p", "p"),
        ("so does a first failure", (3, 0, 3), "c", "c"),
        ("failures in a row", (0, 0, 3), "pccpccc", "p--p--c"),
        ("a warning is no failure", (0, 0, 2), "pwcwccw", "pw-w-cw"),
        ("it is a success", (2, 0, 0), "pwcwpcww", "pwc-pc-w"),
        ("successes in a row", (3, 0, 0), "cppcppp", "c--c--p"),
        ("a warning on the way", (0, 2, 4), "pccccc", "p-wwcc"),
        ("without a word it is never on the way", (0, 0, 3), "pcccc", "p--cc"),
    ];
    for (name, (passing, warning, critical), seen, want) in cases {
        let mut thresholds = Thresholds::new(&definition(passing, warning, critical));
        let believed = seen.chars().map(|it| thresholds.judge(status(it)).map_or('-', letter));
        assert_eq!(believed.collect::<String>(), want, "{name}: {seen}");
    }
}

/// Sequences of outcomes, and what the original showed after each.
#[test]
fn what_is_believed_is_what_the_original_believes() {
    // Successes before passing and failures before critical; then what was seen, then what the
    // status was, from before the first outcome on.
    let measured = [
        ((0, 0), "wwcwccpwwccccwccccwwpppwwwccpp", "cwwcwccpwwccccwccccwwpppwwwccpp"),
        ((0, 3), "pppcccccwwppppwwwwwwwccppppppp", "cpppppcccwwppppwwwwwwwwwppppppp"),
        ((2, 0), "wwwwpppppccpcccwwppwwwccwwpppp", "cwwwwpppppcccccccwppwwwcccwpppp"),
        ((2, 0), "pppppcccwwwwwwwwwwwpcccccppppp", "ppppppccccwwwwwwwwwwpccccccpppp"),
        ((2, 2), "cwwwccpwwwwwcpppppwwpppwppwppp", "pccwwwccwwwwwwwppppwwpppwppwppp"),
        ((2, 3), "cpppwccccppwwwwwwwwwppppcccwww", "cccppwwwcccpwwwwwwwwwppppppccww"),
        ((3, 0), "ppcccpwcccpwwwwwwwppppwwwppwww", "cppccccccccccwwwwwwppppwwwppwww"),
        ((3, 2), "ppcccccwppppwwwwwwwccppppppppp", "cpppccccccpppwwwwwwwwcccppppppp"),
        ((3, 3), "cppppwwwpccpccppppwwccwppcpwwp", "ccccppwwwppppppppppwwwwwwppppwp"),
        ((4, 0), "wwwpwwwwcwwwwpccccccwwpwccwwpp", "cwwwpwwwwccccwpcccccccccwcccccp"),
    ];
    for ((passing, critical), seen, want) in measured {
        let mut thresholds = Thresholds::new(&definition(passing, 0, critical));
        let mut believed = want[..1].to_owned();
        for outcome in seen.chars() {
            let now = thresholds.judge(status(outcome));
            let before = believed.chars().last();
            believed.extend(now.map(letter).or(before));
        }
        assert_eq!(believed, want, "{passing} {critical} {seen}");
    }
}

fn status(letter: char) -> Status {
    match letter {
        'p' => Status::Passing,
        'w' => Status::Warning,
        _ => Status::Critical,
    }
}

fn letter(status: Status) -> char {
    status.as_str().chars().next().unwrap()
}

#[test]
fn what_is_cut_says_so() {
    assert_eq!(truncate("abc", 3), "abc");
    assert_eq!(truncate("abcdefghij", 4), "abcd ... (captured 4 of 10 bytes)");
    assert_eq!(truncate("aüb", 2), "a ... (captured 1 of 4 bytes)");
    assert_eq!(truncate("abc", 0), " ... (captured 0 of 3 bytes)");
}

fn at(seconds: u64) -> Instant {
    Instant::from_start(Duration::from_secs(seconds))
}

fn outcome(status: Status, output: &str) -> CheckOutcome {
    CheckOutcome { status, output: output.into() }
}

fn check() -> LocalCheck {
    LocalCheck {
        definition: CheckDefinition::default(),
        origin: Origin::Api,
        row: Check { status: Status::Passing, ..Check::default() },
        motor: Motor::Maintenance,
        output_max: 100,
        deregister_after: Some(Duration::from_secs(60)),
        critical_since: None,
        deferred: None,
        timer: None,
    }
}

#[test]
fn output_alone_is_told_later_and_once() {
    let config = Config::new("n1", NodeId::default(), "10.0.0.1");
    let mut rng = Rng::new(1);
    let mut check = check();
    let mut see = |check: &mut LocalCheck, now, status, output| {
        check.observe(at(now), outcome(status, output), &config, &mut rng)
    };
    assert_eq!(see(&mut check, 0, Status::Passing, ""), Change::Nothing);
    assert_eq!(see(&mut check, 1, Status::Passing, "a"), Change::Later);
    let deferred = check.deferred.unwrap();
    assert!(at(1 + 150) <= deferred && deferred < at(1 + 450), "{deferred:?}");
    assert_eq!(see(&mut check, 2, Status::Passing, "b"), Change::Later);
    assert_eq!((check.deferred, check.row.output.as_str()), (Some(deferred), "b"));
    // What cannot wait takes along what could.
    assert_eq!(see(&mut check, 3, Status::Critical, "c"), Change::Now);
    assert_eq!(check.deferred, None);
}

#[test]
fn patience_with_a_critical_check_is_counted_from_when_it_became_so() {
    let config = Config::new("n1", NodeId::default(), "10.0.0.1");
    let mut rng = Rng::new(1);
    let mut check = check();
    let steps = [
        (0, Status::Critical, false),
        (50, Status::Critical, false),
        (61, Status::Critical, true),
        (62, Status::Warning, false),
        (63, Status::Critical, false),
        (123, Status::Critical, false),
        (124, Status::Critical, true),
    ];
    for (now, status, lost) in steps {
        check.observe(at(now), outcome(status, &now.to_string()), &config, &mut rng);
        assert_eq!(check.is_beyond_hope(at(now)), lost, "at {now}");
    }
}

#[test]
fn checks_spread_over_their_interval() {
    let mut rng = Rng::new(7);
    let interval = Duration::from_secs(10);
    let spec = CheckSpec::Tcp { address: "a:1".into(), tls: false };
    let mut due = || {
        let probe =
            Probe::new(spec.clone(), interval, interval, &definition(0, 0, 0), at(5), &mut rng);
        probe.deadline().unwrap()
    };
    let dues: Vec<_> = (0..1000).map(|_| due()).collect();
    assert!(dues.iter().all(|it| (at(5)..at(15)).contains(it)));
    let early = dues.iter().filter(|it| **it < at(10)).count();
    assert!((400..600).contains(&early), "{early} of 1000 in the first half");
}
