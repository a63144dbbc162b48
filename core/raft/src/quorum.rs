//! Majority arithmetic.

use tribune_base::bug;

/// The greatest value that a majority has reached; the default if there is nobody.
pub fn committed<T: Copy + Default + Ord>(reached: impl IntoIterator<Item = T>) -> T {
    let mut reached: Vec<_> = reached.into_iter().collect();
    reached.sort_unstable_by(|a, b| b.cmp(a));
    // In descending order, the first one is reached by one, the second by two.
    reached.get(majority(reached.len()) - 1).copied().unwrap_or_default()
}

/// How many of `n` are more than half.
fn majority(n: usize) -> usize {
    if bug!(R20) || bug!(R20Even) && n.is_multiple_of(2) {
        return (n / 2).max(1);
    }
    n / 2 + 1
}

/// How a ballot stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tally {
    /// A majority said yes.
    Won,
    /// A majority can no longer say yes.
    Lost,
    /// Neither.
    Open,
}

/// Count the votes of a group: yes, no, or not heard yet.
pub fn tally(votes: impl IntoIterator<Item = Option<bool>>) -> Tally {
    let (mut yes, mut no, mut all) = (0, 0, 0);
    for vote in votes {
        all += 1;
        match vote {
            Some(true) => yes += 1,
            Some(false) => no += 1,
            None => {}
        }
    }
    let majority = majority(all);
    if majority <= yes {
        Tally::Won
    } else if all - no < majority {
        Tally::Lost
    } else {
        Tally::Open
    }
}

#[cfg(test)]
mod tests {
    use tribune_base::id::Index;

    use super::*;

    /// The commit index for every shape of group that has gone wrong for somebody.
    #[test]
    fn committed_is_what_a_majority_has() {
        let cases: &[(&str, &[u64], u64)] = &[
            ("nobody", &[], 0),
            ("alone", &[7], 7),
            ("a pair needs both", &[7, 5], 5),
            ("one of three lags", &[7, 7, 2], 7),
            ("two of three lag", &[7, 2, 1], 2),
            ("order does not matter", &[1, 7, 2], 2),
            ("an even group needs more than half", &[9, 9, 3, 1], 3),
            ("five, spread out", &[10, 8, 6, 4, 2], 6),
        ];
        for &(name, matched, want) in cases {
            let got = committed(matched.iter().copied().map(Index));
            assert_eq!(got, Index(want), "{name}: {matched:?}");
        }
    }

    #[test]
    fn a_ballot_is_decided_as_soon_as_it_can_be() {
        let (yes, no, silent) = (Some(true), Some(false), None);
        let cases: &[(&str, &[Option<bool>], Tally)] = &[
            ("nobody cannot agree", &[], Tally::Lost),
            ("alone", &[yes], Tally::Won),
            ("alone, disk pending", &[silent], Tally::Open),
            ("two of three", &[yes, yes, silent], Tally::Won),
            ("one of three", &[yes, silent, silent], Tally::Open),
            ("one each", &[yes, no, silent], Tally::Open),
            ("two refuse", &[yes, no, no], Tally::Lost),
            ("half of four is not enough", &[yes, yes, silent, silent], Tally::Open),
            ("half of four refuse", &[yes, no, no, silent], Tally::Lost),
        ];
        for &(name, votes, want) in cases {
            assert_eq!(tally(votes.iter().copied()), want, "{name}");
        }
    }
}
