use super::*;
use tribune_base::rng::Rng;

/// What each of some operations is, and whether its outcome is known.
type Row = (u64, u64, Call);

fn history(rows: &[Row]) -> Vec<Operation> {
    let known = |returned: u64| (returned != 0).then_some(Moment(returned));
    let operation = |&(invoked, returned, call): &Row| Operation {
        invoked: Moment(invoked),
        returned: known(returned),
        call,
    };
    rows.iter().map(operation).collect()
}

/// A name, a history, and which of its operations contradict each other.
type Case<'a> = (&'a str, &'a [Row], Result<(), &'a [usize]>);

#[test]
#[allow(clippy::too_many_lines)] // A table.
fn histories_are_judged_and_explained() {
    use Call::{Differs, Read, Remove, Swap, Write};
    let (one, two, three) = (Some(1), Some(2), Some(3));
    // A zero for the end of what nobody knows the outcome of.
    let cases: [Case<'_>; 15] = [
        ("nothing", &[], Ok(())),
        (
            "a stale read",
            &[(1, 2, Write(one)), (3, 4, Write(two)), (5, 6, Read(one))],
            Err(&[0, 1, 2]),
        ),
        ("a lost write", &[(1, 2, Write(one)), (3, 4, Read(None))], Err(&[0, 1])),
        (
            "applied twice",
            &[
                (1, 9, Write(one)),
                (2, 3, Read(one)),
                (4, 5, Write(two)),
                (6, 7, Read(two)),
                (8, 9, Read(one)),
            ],
            Err(&[0, 1, 2, 4]),
        ),
        (
            "two took the same turn",
            &[(1, 2, Write(one)), (3, 9, Swap(one, two)), (3, 9, Swap(one, three))],
            Err(&[0, 1, 2]),
        ),
        ("a turn refused for nothing", &[(1, 2, Write(one)), (3, 4, Differs(one))], Err(&[0, 1])),
        (
            "a turn refused, as another had it",
            &[(1, 2, Write(one)), (3, 9, Swap(one, two)), (4, 5, Differs(one))],
            Ok(()),
        ),
        (
            "refused for what nobody saw",
            &[(1, 2, Write(one)), (3, 0, Write(two)), (4, 5, Differs(one))],
            Ok(()),
        ),
        (
            "refused by a turn nobody saw",
            &[(1, 2, Write(one)), (3, 0, Swap(one, two)), (4, 5, Differs(one))],
            Ok(()),
        ),
        (
            "refused before that",
            &[(1, 2, Write(one)), (3, 4, Differs(one)), (5, 0, Write(two))],
            Err(&[0, 1]),
        ),
        (
            "removed, or not",
            &[(1, 2, Write(one)), (3, 0, Remove(1)), (4, 5, Read(one)), (6, 7, Read(None))],
            Ok(()),
        ),
        (
            "removed and back",
            &[(1, 2, Write(one)), (3, 4, Remove(1)), (6, 7, Read(one))],
            Err(&[0, 1, 2]),
        ),
        (
            "removed what was not there",
            &[(1, 2, Remove(1)), (3, 4, Write(one)), (6, 7, Read(one))],
            Ok(()),
        ),
        (
            "seen, then not, of unknown outcome",
            &[(1, 0, Write(one)), (2, 3, Read(one)), (4, 5, Read(None))],
            Err(&[0, 1, 2]),
        ),
        (
            "what does not matter is left out",
            &[
                (1, 2, Write(one)),
                (3, 4, Read(one)),
                (5, 6, Write(two)),
                (7, 8, Read(two)),
                (9, 10, Read(one)),
                (11, 12, Write(three)),
                (13, 14, Read(three)),
            ],
            Err(&[0, 2, 4]),
        ),
    ];
    for (name, rows, want) in cases {
        let want = want.map_err(|it| Violation::Impossible(it.to_vec()));
        assert_eq!(check(&history(rows)), want, "{name}");
    }
}

#[test]
fn it_agrees_with_trying_every_order() {
    let mut possible = 0;
    for seed in 0..6_000 {
        let history = plausible(seed);
        let want = any_order(&history, &mut vec![false; history.len()], None);
        possible += u32::from(want);
        assert_eq!(check(&history).is_ok(), want, "seed {seed}: {history:#?}");
        let search = linearize::check(&history, STEPS_MAX);
        assert_eq!(search == Verdict::Linearizable, want, "seed {seed}: {history:#?}");
    }
    // Enough of both for the agreement to mean something.
    assert!((2_000..5_000).contains(&possible), "{possible} of 6,000 are possible");
}

#[test]
fn an_explanation_is_impossible_in_itself() {
    let mut explained = 0;
    for seed in 0..2_000 {
        let history = plausible(seed);
        let Err(Violation::Impossible(conflict)) = check(&history) else { continue };
        let conflict: Vec<_> = conflict.into_iter().map(|it| history[it].clone()).collect();
        assert!(!any_order(&conflict, &mut vec![false; conflict.len()], None), "seed {seed}");
        explained += 1;
    }
    assert!(200 < explained);
}

/// A few operations on a register that sometimes lies, at overlapping times.
fn plausible(seed: u64) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let mut state = None;
    let mut values = vec![None];
    let count = 3 + rng.below(7);
    let mut history = Vec::new();
    for n in 0..count {
        let happened = rng.chance(5, 6);
        let honest = rng.chance(1, 2);
        let any = values[rng.below(values.len() as u64) as usize];
        let told = if honest { state } else { any };
        let new = Some(n as u32);
        let (call, after) = match rng.below(6) {
            0 => (Call::Write(new), new),
            1 => (Call::Write(None), None),
            2 => (Call::Swap(told, new), new),
            3 => told.map_or((Call::Read(told), state), |value| (Call::Remove(value), None)),
            4 if any != state => (Call::Differs(any), state),
            _ => (Call::Read(told), state),
        };
        if let Some(new) = call.writes() {
            values.push(Some(new));
        }
        let observes = matches!(call, Call::Read(_) | Call::Differs(_));
        let known = observes || rng.chance(3, 4);
        if happened || known && honest {
            state = after;
        }
        let at = n * 10;
        let returned = known.then(|| Moment(at + 11 + rng.below(20)));
        history.push(Operation { invoked: Moment(at + 10 - rng.below(10)), returned, call });
    }
    history
}

/// Try every order that time allows; what is unknown may be left out.
fn any_order(history: &[Operation], done: &mut Vec<bool>, state: Option<u32>) -> bool {
    let open = |done: &[bool], n: usize| !done[n] && history[n].returned.is_some();
    if !(0..history.len()).any(|n| open(done, n)) {
        return true;
    }
    for n in 0..history.len() {
        let too_late = |other: usize| {
            other != n
                && open(done, other)
                && history[other].returned.is_some_and(|it| it <= history[n].invoked)
        };
        if done[n] || (0..history.len()).any(too_late) {
            continue;
        }
        if let Some(after) = history[n].call.apply(state) {
            done[n] = true;
            if any_order(history, done, after) {
                return true;
            }
            done[n] = false;
        }
    }
    false
}
