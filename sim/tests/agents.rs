//! Stories about client agents, each named after what must hold.

use tribune_base::rng::Rng;
use tribune_base::time::Duration;
use tribune_sim::moment::Moment;
use tribune_sim::oracle::Outcome as Told;
use tribune_sim::plan::{Direction, Fault, Item, Plan, Target};
use tribune_sim::workload::Action;
use tribune_sim::world::{self, Outcome};

#[test]
fn what_is_registered_at_a_client_agent_is_found_everywhere() {
    let (mut changed, mut seen) = (0, 0);
    for seed in 0..SEEDS {
        let outcome = play(Plan::calm_with(seed, 3, 3, SECONDS * 15));
        assert_eq!(outcome.violation, None, "seed {seed}");
        let answered = |wanted: fn(&Action) -> bool| {
            let asked = outcome.history.iter().filter(|it| wanted(&it.asked.action));
            asked.filter(|it| it.answered.outcome != Told::Unknown).count() as u64
        };
        changed += answered(|it| matches!(it, Action::Local(_)));
        seen += answered(|it| matches!(it, Action::Look(..)));
    }
    // What clients do is drawn, so some seeds do little of one kind.
    assert!(5 * SEEDS < changed && 5 * SEEDS < seen, "{changed} changes, {seen} looks");
}

#[test]
fn a_client_agent_that_is_killed_keeps_what_it_promised() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm_with(seed, 3, 2, SECONDS * 20);
        let crash = |at: u64, agent: usize| {
            let (target, down) = (Target::Server(3 + agent), Duration::from_millis(700));
            item(at * 1_000, Fault::Crash { target, down })
        };
        plan.items = vec![crash(4, 0), crash(7, 1), crash(11, 0), crash(15, 1)];
        let outcome = play(plan);
        assert_eq!(outcome.violation, None, "seed {seed}");
        assert!(4 <= outcome.crashes, "seed {seed}: some leave, too");
    });
}

#[test]
fn a_client_agent_that_is_cut_off_is_critical_and_comes_back() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm_with(seed, 3, 2, SECONDS * 60);
        let (target, direction) = (Target::Server(3), Direction::Both);
        plan.items = vec![item(5_000, Fault::Isolate { target, direction, length: SECONDS * 40 })];
        let outcome = play(plan);
        assert_eq!(outcome.violation, None, "seed {seed}");
    });
}

/// It knows nobody but one server, which is gone for good; the others have never heard of it.
#[test]
fn a_client_agent_that_everybody_has_left_joins_again() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm_with(seed, 3, 1, SECONDS * 50);
        plan.core_only = true;
        let crash = |at: u64, place: usize, down: Duration| {
            item(at, Fault::Crash { target: Target::Server(place), down })
        };
        let stays = gone(seed);
        plan.items = (0..3)
            .filter(|it| *it != stays)
            .map(|it| crash(4_000, it, SECONDS * 36))
            // It starts anew, and does not know them either.
            .chain([crash(20_000, stays, SECONDS * 2), crash(21_000, 3, SECONDS * 4)])
            .chain([crash(35_000, stays, Duration::MAX)])
            .collect();
        let outcome = play(plan);
        assert_eq!(outcome.violation, None, "seed {seed}");
    });
}

#[test]
fn two_agents_of_one_name_do_not_take_turns() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm_with(seed, 3, 3, SECONDS * 30);
        plan.twins = true;
        let outcome = play(plan);
        assert_eq!(outcome.violation, None, "seed {seed}");
    });
}

/// A leader finds out about everybody at once, and its log may not take that much.
#[test]
fn who_could_not_be_written_down_is_written_down_soon() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm_with(seed, 5, 5, SECONDS * 5);
        plan.knobs.raft.uncommitted_entries_max = 2;
        let outcome = play(plan);
        assert_eq!(outcome.violation, None, "seed {seed}");
        // The next look at everybody would come a minute later.
        assert!(outcome.simulated < SECONDS * 60, "seed {seed}: {:?}", outcome.simulated);
    });
}

/// Which of three servers is not put right in the end.
fn gone(seed: u64) -> usize {
    let mut servers = [0, 1, 2];
    Rng::stream(seed, "core").shuffle(&mut servers);
    servers[2]
}

fn play(plan: Plan) -> Outcome {
    world::run(&plan, true)
}

const fn item(millis: u64, what: Fault) -> Item {
    Item { at: Moment(millis * 1_000_000), what }
}

fn for_each_seed(story: impl Fn(u64)) {
    (0..SEEDS).for_each(story);
}

const SECONDS: Duration = Duration::from_secs(1);
const SEEDS: u64 = 20;
