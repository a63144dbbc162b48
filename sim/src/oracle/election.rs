//! RI-1, election safety: a term has one leader at most, over the whole run, crashed ones included.

use std::collections::BTreeMap;

use tribune_base::id::{ServerId, Term};

use super::{After, Report};

#[derive(Debug, Default)]
pub(crate) struct Election {
    leaders: BTreeMap<Term, ServerId>,
}

impl Election {
    pub(crate) fn on_leader(&mut self, report: &mut Report, it: &After<'_>) {
        let (term, id) = (it.node.raft().term(), it.id());
        let leader = *self.leaders.entry(term).or_insert(id);
        report.require(leader == id, "RI-1", || format!("{leader} and {id} lead term {term}"));
    }
}

#[test]
fn two_leaders_of_one_term_are_noticed() {
    let mut election = Election::default();
    election.leaders.insert(Term(3), ServerId(1));
    let leader = *election.leaders.entry(Term(3)).or_insert(ServerId(2));
    assert_ne!(leader, ServerId(2));
}
