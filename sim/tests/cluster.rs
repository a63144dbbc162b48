//! Stories about a cluster, each named after what must hold.

use tribune_base::time::Duration;
use tribune_sim::moment::Moment;
use tribune_sim::plan::{Direction, Fault, Item, Plan, Target};
use tribune_sim::workload::{Action, Patience};
use tribune_sim::world::{self, Outcome};

#[test]
fn a_calm_cluster_elects_once_and_serves_everybody() {
    for_each_seed(|seed| {
        let outcome = play(Plan::calm(seed, 5, SECONDS * 10));
        assert_eq!(outcome.crashes, 0);
        assert!(outcome.history.iter().all(|it| it.returned.is_some() || leaves(it.asked.action)));
        let leaders = count(&outcome, |it| it.starts_with('L'));
        assert_eq!(leaders, 1, "somebody stood up without a reason");
    });
}

#[test]
fn a_lone_server_survives_its_crashes() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 1, SECONDS * 10);
        let crash = Fault::Crash { target: Target::Server(0), down: Duration::from_millis(200) };
        plan.items = (1..10).map(|at| item(at * 1_000, crash)).collect();
        assert_eq!(play(plan).crashes, 9);
    });
}

#[test]
fn a_leader_cut_off_is_replaced_and_what_it_promised_stands() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 5, SECONDS * 12);
        let target = Target::Leader(0);
        let length = SECONDS * 4;
        let isolate = Fault::Isolate { target, direction: Direction::Both, length };
        plan.items = vec![item(3_000, isolate)];
        let outcome = play(plan);
        assert!(2 <= count(&outcome, |it| it.starts_with('L')), "nobody took over");
    });
}

#[test]
fn a_leader_that_hears_nobody_stops_and_one_that_nobody_hears_does_not_return_for_long() {
    for direction in [Direction::From, Direction::To] {
        for_each_seed(|seed| {
            let mut plan = Plan::calm(seed, 3, SECONDS * 12);
            let (target, length) = (Target::Leader(0), SECONDS * 5);
            plan.items = vec![item(3_000, Fault::Isolate { target, direction, length })];
            play(plan);
        });
    }
}

#[test]
fn a_server_that_was_away_disturbs_nobody() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 5, SECONDS * 20);
        let leader = (0..5).find(|it| leads_first(seed, *it)).unwrap_or(0);
        let target = Target::Server((leader + 1) % 5);
        let length = SECONDS * 10;
        let isolate = Fault::Isolate { target, direction: Direction::Both, length };
        plan.items = vec![item(4_000, isolate)];
        let outcome = play(plan);
        assert_eq!(count(&outcome, |it| it.starts_with('L')), 1, "it had another one elected");
    });
}

#[test]
fn everybody_crashes_at_once_and_nothing_is_lost() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 3, SECONDS * 10);
        let crash = |server| {
            let target = Target::Server(server);
            Fault::Crash { target, down: Duration::from_millis(100 + 300 * server as u64) }
        };
        plan.items = (0..3).map(|it| item(5_000, crash(it))).collect();
        assert_eq!(play(plan).crashes, 3);
    });
}

#[test]
fn a_full_disk_refuses_writes_and_recovers() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 3, SECONDS * 10);
        let full = Fault::Full { target: Target::Leader(0), length: SECONDS * 3 };
        plan.items = vec![item(4_000, full)];
        play(plan);
    });
}

#[test]
fn a_long_stall_makes_nobody_believe_in_the_past() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 3, SECONDS * 15);
        let pause = Fault::Pause { target: Target::Leader(0), length: SECONDS * 5 };
        plan.items = vec![item(4_000, pause)];
        play(plan);
    });
}

#[test]
fn leadership_can_be_handed_around() {
    for_each_seed(|seed| {
        let mut plan = Plan::calm(seed, 5, SECONDS * 15);
        let transfer = |n: u64| Fault::Transfer { to: Some(n as usize % 5) };
        plan.items = (3..12).map(|it| item(it * 1_000, transfer(it))).collect();
        let outcome = play(plan);
        assert!(5 < count(&outcome, |it| it.starts_with('L')), "it stayed where it was");
    });
}

/// Play a plan in which nothing may break, and in which something must happen.
#[track_caller]
fn play(plan: Plan) -> Outcome {
    let outcome = world::run(&plan, true);
    assert_eq!(outcome.violation, None, "seed {}", plan.seed);
    assert!(20 <= outcome.acknowledged, "seed {}", plan.seed);
    outcome
}

/// How many lines say that somebody plays such a part.
fn count(outcome: &Outcome, wanted: impl Fn(&str) -> bool) -> usize {
    outcome.lines.iter().filter(|it| it.kind == "role" && wanted(&it.text)).count()
}

/// Whether this server leads first in the calm cluster of this seed.
fn leads_first(seed: u64, server: usize) -> bool {
    let outcome = world::run(&Plan::calm(seed, 5, SECONDS * 3), true);
    let leads = outcome.lines.iter().find(|it| it.kind == "role" && it.text.starts_with('L'));
    leads.is_some_and(|it| it.place == tribune_sim::trace::Place::Server(server))
}

/// Whether a client may go away before it is answered.
fn leaves(action: Action) -> bool {
    matches!(
        action,
        Action::Watch(_, _, Patience { leaves: Some(_), .. })
            | Action::WatchTree(_, _, Patience { leaves: Some(_), .. })
            | Action::WatchKeys(_, _, Patience { leaves: Some(_), .. })
    )
}

fn item(millis: u64, what: Fault) -> Item {
    Item { at: Moment::default() + Duration::from_millis(millis), what }
}

fn for_each_seed(run: impl Fn(u64)) {
    (0..10).for_each(run);
}

const SECONDS: Duration = Duration::from_secs(1);
