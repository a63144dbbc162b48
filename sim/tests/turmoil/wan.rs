//! Several datacenters, and what happens between them.

use tribune_sim::turmoil::tap::Tap;
use tribune_sim::turmoil::wan::{Run, STORIES, Size, Story};

use crate::for_each_seed;

const SMALL: Size = Size { servers: 3, agents: 1 };

fn run(name: &str, seed: u64) -> Run {
    Story::find(name).expect("the list has it").run(seed, SMALL, &Tap::default(), &mut |_| {})
}

#[test]
fn what_must_hold_between_datacenters_holds_in_every_story() {
    for story in STORIES {
        for_each_seed(1, |seed| {
            let run = run(story.name, seed);
            let broken = run.verdicts.violations();
            assert!(broken.is_empty(), "{} {seed}: {broken:?}", story.name);
            assert!(0 < run.acknowledged, "{} {seed}: nothing was written", story.name);
            // What a test never meets it does not test.
            for id in ["MD-1", "MD-2", "MD-3", "MD-4", "MD-5", "MD-6", "KV-2", "CH-2", "LV-2"] {
                assert!(10 < run.verdicts.count(id), "{} {seed}: {id} is not tested", story.name);
            }
        });
    }
}

#[test]
fn equal_seeds_are_equal_stories() {
    let (first, second) = (run("dark", 3), run("dark", 3));
    let (one, other) = (first.journal.events(0), second.journal.events(0));
    assert_eq!(one.iter().zip(&other).find(|(one, other)| one != other), None);
    assert_eq!(first.journal.hash(), second.journal.hash());
    assert!(one.iter().any(|it| it.kind == "leads"), "elections are told");
    assert!(one.iter().any(|it| it.kind == "wan-found"), "the WAN is");
}

#[test]
fn a_crowd_is_met_and_answered() {
    assert!(100 < run("storm", 1).verdicts.count("LV-3"));
}

#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_between_datacenters_are_caught() {
    use tribune_base::bug::Bug;
    use tribune_base::time::Duration;

    for bug in [Bug::D01, Bug::D03, Bug::D04] {
        let score = tribune_sim::bugs::hunt(bug, Duration::from_secs(120));
        assert!(score.found.is_some(), "{score}");
        eprintln!("planted {score}");
    }
}
