//! Answers that were worked out already, kept for as long as the state stays what it is.
//!
//! An answer is a function of the question, the state and the places, so nothing here is ever out of
//! date: with the next command that is applied, everything goes. Where much is asked and little
//! changes, which is what catalogs are for, most lists are rendered once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tribune_api::coordinate::Places;
use tribune_api::plan::{Context, Evaluation, Query};
use tribune_base::bug;
use tribune_base::id::Index;
use tribune_core::View;

/// What one server has answered lately. Of one node: the context must be the same each time.
#[derive(Debug, Default)]
pub struct Shelf {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The last command in the state that the answers are about.
    index: Index,
    /// The places that they are about. Being held, they have their address for themselves.
    places: Arc<Places>,
    /// Compact ones, and indented ones.
    answers: [BTreeMap<Query, Evaluation>; 2],
    /// The bytes of all answers, with what it takes to find them.
    len: usize,
}

impl Shelf {
    /// What [`Query::evaluate`] says, from the shelf if it is there.
    pub fn evaluate(
        &self,
        view: &View,
        context: &Context,
        query: &Query,
        pretty: bool,
    ) -> Evaluation {
        let work_out = || query.evaluate(&view.snapshot, &view.places, context, pretty);
        if !query.is_worth_keeping() {
            return work_out();
        }
        if let Some(found) = self.kept().find(view, query, pretty) {
            return found;
        }
        let evaluation = work_out();
        self.kept().keep(view, query, pretty, &evaluation);
        evaluation
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Who panicked did so elsewhere: nothing here can.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&self, view: &View, query: &Query, pretty: bool) -> Option<Evaluation> {
        self.is_about(view).then(|| self.answers[usize::from(pretty)].get(query).cloned())?
    }

    fn keep(&mut self, view: &View, query: &Query, pretty: bool, evaluation: &Evaluation) {
        let len = evaluation.body.len() + OVERHEAD_LEN;
        // Somebody may be slow, and hold a view that is history.
        if view.snapshot.index() < self.index || LEN_MAX < len {
            return;
        }
        if !self.is_about(view) || LEN_MAX < self.len + len {
            *self = Self {
                index: view.snapshot.index(),
                places: Arc::clone(&view.places),
                ..Self::default()
            };
        }
        if self.answers[usize::from(pretty)].insert(query.clone(), evaluation.clone()).is_none() {
            self.len += len;
        }
    }

    fn is_about(&self, view: &View) -> bool {
        let same = self.index == view.snapshot.index() || bug!(K16);
        same && Arc::ptr_eq(&self.places, &view.places)
    }
}

/// What is kept at most, in bytes. Once that is reached, everything goes.
const LEN_MAX: usize = 4 << 20;

/// What an answer takes besides its body, in bytes, roughly.
const OVERHEAD_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use bytes::Bytes;
    use tribune_base::time::WallTime;
    use tribune_core::Freshness;
    use tribune_state::{Command, Store, kv};

    #[test]
    fn an_answer_is_worked_out_once_for_each_state() {
        let (shelf, mut store) = (Shelf::default(), Store::default());
        let first = set(&mut store, "a/1");
        let once = ask(&shelf, &first, "a/");
        let again = ask(&shelf, &first, "a/");
        assert_eq!(again.body.as_ptr(), once.body.as_ptr(), "the same bytes");
        assert_ne!(ask(&shelf, &first, "b/").body, once.body);

        let second = set(&mut store, "a/2");
        let changed = ask(&shelf, &second, "a/");
        assert_eq!(&changed.body[..], br#"["a/1","a/2"]"#);

        // Somebody still looks at the first: that neither sees the second, nor undoes it.
        assert_eq!(ask(&shelf, &first, "a/"), once);
        assert_eq!(ask(&shelf, &second, "a/").body.as_ptr(), changed.body.as_ptr());
    }

    #[test]
    fn indented_answers_are_others() {
        let (shelf, mut store) = (Shelf::default(), Store::default());
        let view = set(&mut store, "a/1");
        let query = Query::KvKeys { prefix: "a/".into(), separator: Bytes::new() };
        let context = Context::new("dc1", "n1");
        let [compact, indented] =
            [false, true].map(|it| shelf.evaluate(&view, &context, &query, it));
        assert_ne!(compact.body, indented.body);
        assert_eq!(shelf.evaluate(&view, &context, &query, true), indented);
    }

    #[test]
    fn places_are_part_of_what_answers_are_about() {
        let (shelf, mut store) = (Shelf::default(), Store::default());
        let view = set(&mut store, "a/1");
        let once = ask(&shelf, &view, "a/");
        let moved = View { places: Arc::default(), ..view };
        assert_ne!(ask(&shelf, &moved, "a/").body.as_ptr(), once.body.as_ptr());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (shelf, mut store) = (Shelf::default(), Store::default());
        let long = "x".repeat(1 << 20);
        let view = set(&mut store, &long);
        let separator = |n: u32| Bytes::from(format!("{n}y"));
        for n in 0..100 {
            let query = Query::KvKeys { prefix: Bytes::new(), separator: separator(n) };
            shelf.evaluate(&view, &Context::new("dc1", "n1"), &query, false);
            assert!(shelf.kept().len <= LEN_MAX);
        }
        assert!(!shelf.kept().answers[0].is_empty(), "some are kept");
    }

    /// Every view is of the same places, unless a test says otherwise.
    static PLACES: LazyLock<Arc<Places>> = LazyLock::new(Arc::default);

    fn set(store: &mut Store, key: &str) -> View {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::new());
        let command = Command::Kv(kv::Command::Set { key, value, flags: 0 });
        store.apply(store.index().next(), WallTime(0), &command);
        View {
            snapshot: store.snapshot(),
            freshness: Freshness { leads: false, lease_until: None, informed_at: None },
            leader_addr: None,
            peers: Vec::new().into(),
            places: Arc::clone(&PLACES),
        }
    }

    fn ask(shelf: &Shelf, view: &View, prefix: &'static str) -> Evaluation {
        let query = Query::KvKeys { prefix: prefix.into(), separator: Bytes::new() };
        shelf.evaluate(view, &Context::new("dc1", "n1"), &query, false)
    }
}
