//! Is there an order in which one register would have given these answers? The search of Wing and
//! Gong (1993), with Lowe's memory of what was tried (2017).
//!
//! The oracle of keys needs no search: it trusts the log to be an order, and checks that it is a
//! right one. This one trusts nothing but what clients saw, so it is run where the other could be
//! wrong itself: on samples, and on histories of the real program.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::Record;
use crate::moment::Moment;
use crate::oracle::Outcome;
use crate::workload::{Action, KEYS, Mode, PREFIXES};

/// One operation on a register.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operation {
    /// When it was asked for.
    pub invoked: Moment,
    /// When the answer came; `None` if nobody knows whether it happened.
    pub returned: Option<Moment>,
    /// What it was.
    pub call: Call,
}

/// What can be done to a register, and seen of it. Values are told apart by numbers; `None` is
/// nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// It was set.
    Write(Option<u32>),
    /// It was seen.
    Read(Option<u32>),
    /// The one value was replaced by the other.
    Swap(Option<u32>, Option<u32>),
    /// This value was removed, unless nothing was there.
    Remove(u32),
    /// It was something other than this.
    Differs(Option<u32>),
}

/// What a search came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Impossible,
    /// It would take too long to find out.
    TooHard,
}

/// Look for an order. Gives up after so many steps.
pub fn check(operations: &[Operation], steps_max: u64) -> Verdict {
    let mut search = Search::new(operations);
    let mut state = None;
    let mut done = vec![0_u64; operations.len().div_ceil(64)];
    let mut tried: BTreeSet<(Vec<u64>, Option<u32>)> = BTreeSet::new();
    let mut path: Vec<(usize, Option<u32>)> = Vec::new();
    let mut open = operations.iter().filter(|it| it.returned.is_some()).count();
    let mut at = search.next[HEAD];
    let mut steps = 0;
    while open != 0 {
        steps += 1;
        if steps_max < steps {
            return Verdict::TooHard;
        }
        if let Some(n) = search.call_at(at)
            && let Some(after) = operations[n].call.apply(state)
        {
            done[n / 64] |= 1 << (n % 64);
            if tried.insert((done.clone(), after)) {
                path.push((n, state));
                state = after;
                open -= usize::from(operations[n].returned.is_some());
                search.lift(n);
                at = search.next[HEAD];
                continue;
            }
            done[n / 64] &= !(1 << (n % 64));
        }
        if search.call_at(at).is_some() {
            at = search.next[at];
            continue;
        }
        // Something has returned that cannot have happened yet: take the last choice back.
        let Some((n, before)) = path.pop() else { return Verdict::Impossible };
        search.put_back(n);
        done[n / 64] &= !(1 << (n % 64));
        open += usize::from(operations[n].returned.is_some());
        state = before;
        at = search.next[search.call(n)];
    }
    Verdict::Linearizable
}

impl Call {
    /// The register after this, if it can happen now.
    pub(crate) fn apply(self, state: Option<u32>) -> Option<Option<u32>> {
        match self {
            Self::Write(value) => Some(value),
            Self::Read(value) => (value == state).then_some(state),
            Self::Swap(from, to) => (from == state).then_some(to),
            Self::Remove(value) => state.is_none_or(|it| it == value).then_some(None),
            Self::Differs(value) => (value != state).then_some(state),
        }
    }
}

/// Calls and returns in the order of time, as a list from which a pair can be taken and put back.
struct Search {
    next: Vec<usize>,
    prev: Vec<usize>,
    /// Which operation an element belongs to, and whether it is its call.
    what: Vec<Option<(usize, bool)>>,
    calls: Vec<usize>,
    returns: Vec<Option<usize>>,
}

/// The element before the first.
const HEAD: usize = 0;

impl Search {
    fn new(operations: &[Operation]) -> Self {
        let mut events = Vec::with_capacity(operations.len() * 2);
        for (n, it) in operations.iter().enumerate() {
            events.push((it.invoked, true, n));
            events.extend(it.returned.map(|at| (at, false, n)));
        }
        // What returns at the moment another begins came before it.
        events.sort_by_key(|(at, call, n)| (*at, *call, *n));
        let len = events.len() + 2;
        let mut this = Self {
            next: (1..=len).collect(),
            prev: (0..len).map(|it| it.saturating_sub(1)).collect(),
            what: vec![None; len],
            calls: vec![HEAD; operations.len()],
            returns: vec![None; operations.len()],
        };
        for (element, (_, call, n)) in (1..).zip(events) {
            this.what[element] = Some((n, call));
            if call {
                this.calls[n] = element;
            } else {
                this.returns[n] = Some(element);
            }
        }
        this
    }

    fn call_at(&self, element: usize) -> Option<usize> {
        self.what[element].and_then(|(n, call)| call.then_some(n))
    }

    fn call(&self, n: usize) -> usize {
        self.calls[n]
    }

    fn lift(&mut self, n: usize) {
        self.unlink(self.calls[n]);
        if let Some(element) = self.returns[n] {
            self.unlink(element);
        }
    }

    fn put_back(&mut self, n: usize) {
        if let Some(element) = self.returns[n] {
            self.link(element);
        }
        self.link(self.calls[n]);
    }

    fn unlink(&mut self, element: usize) {
        let (prev, next) = (self.prev[element], self.next[element]);
        self.next[prev] = next;
        self.prev[next] = prev;
    }

    fn link(&mut self, element: usize) {
        let (prev, next) = (self.prev[element], self.next[element]);
        self.next[prev] = element;
        self.prev[next] = element;
    }
}

/// What clients did to each key, as far as it can be judged: what asked for less than the newest
/// is left out, and so is what nobody knows the outcome of and nobody has seen.
pub fn histories(records: &[Record], trust_leases: bool) -> BTreeMap<&'static str, Vec<Operation>> {
    let mut values = BTreeMap::new();
    let mut histories: BTreeMap<&'static str, Vec<Operation>> = BTreeMap::new();
    let seen: BTreeSet<&str> = records.iter().filter_map(|it| it.seen.as_deref()).collect();
    for record in records {
        let (invoked, returned) = (record.invoked, record.returned);
        let mut note = |key: &'static str, returned, call| {
            let operation = Operation { invoked, returned, call };
            histories.entry(key).or_default().push(operation);
        };
        let mut number = |value: &str| {
            let next = values.len() as u32;
            *values.entry(value.to_owned()).or_insert(next)
        };
        let subject = record.asked.action.subject();
        match (record.asked.action, record.answered.outcome) {
            (_, Outcome::Refused | Outcome::Done(false)) => {}
            (Action::Get(_, mode), Outcome::Read) => {
                if mode == Mode::Consistent || mode == Mode::Default && trust_leases {
                    note(subject, returned, Call::Read(record.seen.as_deref().map(&mut number)));
                }
            }
            (Action::Set(_) | Action::Cas(_) | Action::Create(_), outcome) => {
                let value = crate::oracle::base64(&record.asked.value);
                let known = outcome != Outcome::Unknown;
                if known || seen.contains(value.as_str()) {
                    let returned = returned.filter(|_| known);
                    note(subject, returned, Call::Write(Some(number(&value))));
                }
            }
            (Action::Delete(_) | Action::DeleteCas(_), outcome) => {
                let returned = returned.filter(|_| outcome != Outcome::Unknown);
                note(subject, returned, Call::Write(None));
            }
            (Action::DeleteTree(_), outcome) => {
                let returned = returned.filter(|_| outcome != Outcome::Unknown);
                for key in KEYS.into_iter().filter(|it| it.starts_with(subject)) {
                    note(key, returned, Call::Write(None));
                }
            }
            (
                Action::Get(..)
                | Action::List(..)
                | Action::Keys(..)
                | Action::Watch(..)
                | Action::WatchTree(..)
                | Action::WatchKeys(..)
                | Action::Local(_)
                | Action::Look(..),
                _,
            ) => {}
        }
    }
    debug_assert!(PREFIXES.contains(&""));
    histories
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribune_base::rng::Rng;

    const STEPS: u64 = 1_000_000;

    fn operation(invoked: u64, returned: u64, call: Call) -> Operation {
        let returned = (returned != 0).then_some(Moment(returned));
        Operation { invoked: Moment(invoked), returned, call }
    }

    /// A name, when which call began and returned, and whether it is legal.
    type Case<'a> = (&'a str, &'a [(u64, u64, Call)], bool);

    #[test]
    fn short_histories_are_judged() {
        use Call::{Read, Write};
        let (one, two) = (Some(1), Some(2));
        let cases: [Case<'_>; 9] = [
            ("nothing", &[], true),
            ("a write is seen", &[(1, 2, Write(one)), (3, 4, Read(one))], true),
            ("a write is missed", &[(1, 2, Write(one)), (3, 4, Read(None))], false),
            ("a write is missed while it happens", &[(1, 4, Write(one)), (2, 3, Read(None))], true),
            (
                "seen and then not",
                &[(1, 9, Write(one)), (2, 3, Read(one)), (4, 5, Read(None))],
                false,
            ),
            ("unknown, and happened", &[(1, 0, Write(one)), (5, 6, Read(one))], true),
            ("unknown, and did not", &[(1, 0, Write(one)), (5, 6, Read(None))], true),
            ("from nowhere", &[(5, 6, Read(two))], false),
            (
                "two orders for two readers",
                &[
                    (1, 9, Write(one)),
                    (1, 9, Write(two)),
                    (2, 3, Read(one)),
                    (4, 5, Read(two)),
                    (6, 7, Read(one)),
                ],
                false,
            ),
        ];
        for (name, history, possible) in cases {
            let history: Vec<_> =
                history.iter().map(|&(a, b, call)| operation(a, b, call)).collect();
            let want = if possible { Verdict::Linearizable } else { Verdict::Impossible };
            assert_eq!(check(&history, STEPS), want, "{name}");
        }
    }

    /// Concurrent clients of a register that works, as seen by them.
    fn legal(seed: u64, count: u64) -> Vec<Operation> {
        let mut rng = Rng::new(seed);
        let mut state = None;
        (0..count)
            .map(|n| {
                let at = n * 10;
                let call = if rng.chance(1, 2) {
                    state = Some(n as u32);
                    Call::Write(state)
                } else {
                    Call::Read(state)
                };
                operation(at + 10 - rng.below(9), at + 11 + rng.below(60), call)
            })
            .collect()
    }

    #[test]
    fn legal_histories_pass_and_planted_stale_reads_do_not() {
        for seed in 0..40 {
            let mut history = legal(seed, 60);
            assert_eq!(check(&history, STEPS), Verdict::Linearizable, "seed {seed}");
            // Long after the second write, somebody sees the first.
            let writes = history.iter().filter(|it| matches!(it.call, Call::Write(_)));
            let Some(Call::Write(old)) = writes.map(|it| it.call).next() else { continue };
            history.push(operation(10_000, 10_001, Call::Write(Some(9_999))));
            history.push(operation(10_002, 10_003, Call::Read(old)));
            assert_eq!(check(&history, STEPS), Verdict::Impossible, "seed {seed}");
        }
    }

    #[test]
    fn it_gives_up_rather_than_search_for_ever() {
        assert_eq!(check(&legal(1, 60), 3), Verdict::TooHard);
    }
}
