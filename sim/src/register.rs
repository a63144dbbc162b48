//! One key as its clients saw it: made small enough to be judged, judged, and explained.
//!
//! The search of [`linearize`] explodes with operations of which nobody knows
//! whether they happened. Most of them need not be searched, as long as every value is written once:
//!
//! * what nobody saw may as well not have happened;
//! * what somebody saw happened before they had seen it.
//!
//! Neither holds of a removal, which leaves nothing of its own to be seen: it stays in the search.

use std::collections::{BTreeMap, BTreeSet};

use crate::linearize::{self, Call, Operation, Verdict};
use crate::moment::Moment;

/// Why a history is not one of a register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Violation {
    /// There is no order that gives these answers: a few operations that show it, as positions in
    /// the history.
    Impossible(Vec<usize>),
    /// It would take too long to find out.
    TooHard,
}

/// Is there an order in which a register gives these answers? Every value is written at most once.
///
/// # Errors
///
/// There is none, or none was found in time.
pub fn check(history: &[Operation]) -> Result<(), Violation> {
    let placed: Vec<Placed<'_>> = history.iter().enumerate().collect();
    match search(&placed) {
        Verdict::Linearizable => Ok(()),
        Verdict::TooHard => Err(Violation::TooHard),
        Verdict::Impossible => {
            let conflict = shrink(placed);
            Err(Violation::Impossible(conflict.into_iter().map(|(n, _)| n).collect()))
        }
    }
}

/// An operation and its position in the history.
type Placed<'a> = (usize, &'a Operation);

fn search(history: &[Placed<'_>]) -> Verdict {
    match linearize::check(&relevant(history, Refusals::Explained), STEPS_MAX) {
        Verdict::TooHard => linearize::check(&relevant(history, Refusals::Trusted), STEPS_MAX),
        verdict @ (Verdict::Linearizable | Verdict::Impossible) => verdict,
    }
}

/// What to do with a refusal ([`Call::Differs`]) for which there may be a reason that nobody saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusals {
    /// Search for the reason.
    Explained,
    /// Leave it out. What is wrong then is wrong; a little that is wrong is not found.
    Trusted,
}

/// Without unknown writes that nobody saw; with the time by which others had happened.
fn relevant(history: &[Placed<'_>], refusals: Refusals) -> Vec<Operation> {
    let seen_by = seen_by(history);
    let needed = needed(history);
    let unseen = |it: &Operation| {
        it.returned.is_none() && it.call.writes().is_some_and(|value| !needed.contains(&value))
    };
    let explains = |it: &Operation| history.iter().any(|(_, other)| may_explain(it, other));
    let dropped = |it: &Operation| unseen(it) && (refusals == Refusals::Trusted || !explains(it));
    let lost: Vec<&Operation> =
        history.iter().map(|(_, it)| *it).filter(|it| dropped(it)).collect();
    let mut relevant = Vec::with_capacity(history.len());
    for (_, it) in history {
        let blurred = lost.iter().any(|unknown| may_explain(unknown, it));
        if dropped(it) || blurred {
            continue;
        }
        let mut it = Operation::clone(it);
        if it.returned.is_none() {
            it.returned = it.call.writes().and_then(|value| seen_by.get(&value).copied());
        }
        relevant.push(it);
    }
    relevant
}

/// Values without which something else could not have happened that did, or cannot be left out.
fn needed(history: &[Placed<'_>]) -> BTreeSet<u32> {
    let mut needed = BTreeSet::new();
    loop {
        let before = needed.len();
        for (_, it) in history {
            let happened = it.returned.is_some() || it.call.removes();
            if happened || it.call.writes().is_some_and(|value| needed.contains(&value)) {
                needed.extend(it.call.sees());
            }
            if let Call::Remove(value) = it.call {
                needed.insert(value);
            }
        }
        if needed.len() == before {
            return needed;
        }
    }
}

/// By when each value had certainly been there: somebody saw it, or replaced it by what was seen.
fn seen_by(history: &[Placed<'_>]) -> BTreeMap<u32, Moment> {
    let mut seen_by: BTreeMap<u32, Moment> = BTreeMap::new();
    loop {
        let before = seen_by.clone();
        for (_, it) in history {
            let happened = it.call.writes().and_then(|value| before.get(&value).copied());
            if let (Some(value), Some(by)) = (it.call.sees(), it.returned.or(happened)) {
                let known = seen_by.entry(value).or_insert(by);
                *known = by.min(*known);
            }
        }
        if seen_by == before {
            return seen_by;
        }
    }
}

/// Whether `unknown`, had it happened, would be a reason that the other found something else.
fn may_explain(unknown: &Operation, other: &Operation) -> bool {
    let Call::Differs(value) = other.call else { return false };
    let in_time = other.returned.is_none_or(|it| unknown.invoked < it);
    let replaces = match unknown.call {
        Call::Write(_) => true,
        Call::Swap(from, _) => from == value,
        Call::Read(_) | Call::Remove(_) | Call::Differs(_) => false,
    };
    in_time && replaces
}

/// Leave out what began late, and then whatever is not needed.
fn shrink(mut operations: Vec<Placed<'_>>) -> Vec<Placed<'_>> {
    let mut ends: Vec<_> = operations.iter().map(|(_, it)| it.invoked).collect();
    ends.sort();
    let prefix =
        ends.partition_point(|end| search(&until(&operations, *end)) != Verdict::Impossible);
    if let Some(end) = ends.get(prefix) {
        operations = until(&operations, *end);
    }
    for at in (0..operations.len()).rev() {
        if let Some(fewer) = without(&operations, at)
            && search(&fewer) == Verdict::Impossible
        {
            operations = fewer;
        }
    }
    operations
}

/// What began by `end`.
fn until<'a>(operations: &[Placed<'a>], end: Moment) -> Vec<Placed<'a>> {
    operations.iter().filter(|(_, it)| it.invoked <= end).copied().collect()
}

/// The same without one operation, and without what could not be explained then: were all of them
/// possible, so is what is left. `None` if something was removed: nobody knows what saw that.
fn without<'a>(operations: &[Placed<'a>], at: usize) -> Option<Vec<Placed<'a>>> {
    let (_, dropped) = operations.get(at)?;
    let mut gone: BTreeSet<u32> = dropped.call.writes().into_iter().collect();
    loop {
        let before = gone.len();
        let orphans = operations.iter().filter(|(_, it)| it.call.names_any(&gone));
        gone.extend(orphans.filter_map(|(_, it)| it.call.writes()).collect::<Vec<_>>());
        if gone.len() == before {
            break;
        }
    }
    let goes =
        |n: usize, it: &Operation| n == at || it.call.names_any(&gone) || may_explain(dropped, it);
    let going = |(n, (_, it)): &(usize, &Placed<'_>)| goes(*n, it);
    if operations.iter().enumerate().filter(going).any(|(_, (_, it))| it.call.removes()) {
        return None;
    }
    let stays = |entry: &(usize, &Placed<'_>)| !going(entry);
    Some(operations.iter().enumerate().filter(stays).map(|(_, it)| *it).collect())
}

impl Call {
    /// The value that was there, if this proves that it was.
    const fn sees(self) -> Option<u32> {
        match self {
            Self::Read(value) | Self::Swap(value, _) => value,
            Self::Write(_) | Self::Remove(_) | Self::Differs(_) => None,
        }
    }

    /// The value that is there afterwards, if there was none like it before.
    const fn writes(self) -> Option<u32> {
        match self {
            Self::Write(value) | Self::Swap(_, value) => value,
            Self::Read(_) | Self::Remove(_) | Self::Differs(_) => None,
        }
    }

    /// Whether nothing is there afterwards.
    const fn removes(self) -> bool {
        matches!(self, Self::Write(None) | Self::Swap(_, None) | Self::Remove(_))
    }

    /// Whether this is about any of these values.
    fn names_any(self, values: &BTreeSet<u32>) -> bool {
        let [one, two] = match self {
            Self::Swap(from, to) => [from, to],
            Self::Write(value) | Self::Read(value) | Self::Differs(value) => [value, None],
            Self::Remove(value) => [Some(value), None],
        };
        [one, two].into_iter().flatten().any(|it| values.contains(&it))
    }
}

/// How long a search may take: seconds, with all checks on.
const STEPS_MAX: u64 = 1_000_000;

#[cfg(test)]
mod tests;
