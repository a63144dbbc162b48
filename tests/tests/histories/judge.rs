//! What a history is worth.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tribune_sim::linearize::{Call, Operation};
use tribune_sim::moment::Moment;
use tribune_sim::register::{self, Violation};

use crate::clients::{Outcome, Record};

/// Everything that is wrong with a history.
pub(crate) fn check(records: &[Record]) -> Vec<String> {
    let mut keys: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for it in records {
        keys.entry(&it.key).or_default().push(it);
    }
    let mut faults = Vec::new();
    for (key, records) in keys {
        faults.extend(order(key, &records));
        faults.extend(from_nowhere(key, &records));
    }
    faults
}

/// Is there an order?
fn order(key: &str, records: &[&Record]) -> Option<String> {
    let judged = records.iter().filter_map(|it| Some((*it, operation(it)?)));
    let (records, operations): (Vec<_>, Vec<_>) = judged.unzip();
    match register::check(&operations) {
        Ok(()) => None,
        Err(Violation::TooHard) => Some(format!("{key} is too hard to judge")),
        Err(Violation::Impossible(conflict)) => {
            let lines: Vec<_> = conflict.into_iter().map(|it| records[it].to_string()).collect();
            Some(format!("{key} is no register:\n{}", lines.join("\n")))
        }
    }
}

fn operation(record: &Record) -> Option<Operation> {
    let moment = |it: Duration| Moment(it.as_nanos() as u64);
    let (call, known) = match record.outcome {
        Outcome::Done(call) => (call, true),
        Outcome::Unknown(call) => (call, false),
        Outcome::Stale(_) | Outcome::Refused(..) => return None,
    };
    let returned = known.then(|| moment(record.returned));
    Some(Operation { invoked: moment(record.invoked), returned, call })
}

/// What anybody has seen, however old, somebody had asked for before and not been refused.
fn from_nowhere(key: &str, records: &[&Record]) -> Vec<String> {
    let mut written = BTreeMap::new();
    for it in records {
        if let Outcome::Done(call) | Outcome::Unknown(call) = it.outcome
            && let Call::Write(Some(value)) | Call::Swap(_, Some(value)) = call
        {
            written.insert(value, it.invoked);
        }
    }
    let mut faults = Vec::new();
    for it in records {
        if let Outcome::Stale(Some(value)) | Outcome::Done(Call::Read(Some(value))) = it.outcome
            && written.get(&value).is_none_or(|invoked| it.returned < *invoked)
        {
            faults.push(format!("{key} has a value from nowhere: {it}"));
        }
    }
    faults
}

/// The longest time in which no write was acknowledged to anybody.
pub(crate) fn longest_pause(records: &[Record]) -> Duration {
    let wrote = |it: &&Record| {
        matches!(it.outcome, Outcome::Done(Call::Write(_) | Call::Swap(..) | Call::Remove(_)))
    };
    let mut ends: Vec<_> = records.iter().filter(wrote).map(|it| it.returned).collect();
    ends.sort();
    ends.windows(2).map(|it| it[1] - it[0]).max().unwrap_or_default()
}

/// How much of what a history holds.
pub(crate) struct Figures {
    done: usize,
    unknown: usize,
    refused: usize,
}

impl Figures {
    pub(crate) fn of(records: &[Record]) -> Self {
        let count =
            |which: fn(&Outcome) -> bool| records.iter().filter(|it| which(&it.outcome)).count();
        Self {
            done: count(|it| matches!(it, Outcome::Done(_) | Outcome::Stale(_))),
            unknown: count(|it| matches!(it, Outcome::Unknown(_))),
            refused: count(|it| matches!(it, Outcome::Refused(..))),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { done, unknown, refused } = self;
        write!(f, "{done} done, {unknown} unknown, {refused} refused")
    }
}
