//! What is committed, as the first server that applied it had it; and the state that follows.

use tribune_base::id::{Index, LogId, Term};
use tribune_core::apply::Envelope;
use tribune_raft::{Configuration, Entry, Payload};
use tribune_state::{Command, Snapshot, Store, Touch};

/// The one history that all servers must agree with.
#[derive(Debug)]
pub(crate) struct Truth {
    /// By index; the first one stands for what was before the log.
    facts: Vec<Fact>,
    store: Store,
}

/// A committed entry.
#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) id: LogId,
    /// The term in which somebody first knew that it is committed.
    pub(crate) known_in: Term,
    /// A hash of this entry and everything before it.
    pub(crate) chain: u64,
    /// What it says.
    pub(crate) saying: Saying,
    /// The state after it.
    pub(crate) state: Snapshot,
    /// Who is to be woken.
    pub(crate) touched: Vec<Touch>,
}

impl Fact {
    /// Whether it is about the catalog.
    pub(crate) fn is_about_catalog(&self) -> bool {
        let Saying::Command(command) = &self.saying else { return false };
        let is = |it: &Command| matches!(it, Command::Register(_) | Command::Deregister(_));
        if let Command::Batch(commands) = command {
            return commands.iter().any(is);
        }
        is(command)
    }
}

/// What a committed entry says.
#[derive(Debug)]
pub(crate) enum Saying {
    Nothing,
    Command(Command),
    Configuration(Configuration),
}

impl Default for Truth {
    fn default() -> Self {
        let store = Store::default();
        let beginning = Fact {
            id: LogId::default(),
            known_in: Term(0),
            chain: 0,
            saying: Saying::Nothing,
            state: store.snapshot(),
            touched: Vec::new(),
        };
        Self { facts: vec![beginning], store }
    }
}

impl Truth {
    /// One more than the last committed index.
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    /// The last committed entry.
    pub(crate) fn last(&self) -> &Fact {
        self.facts.last().expect("there is a beginning")
    }

    pub(crate) fn get(&self, index: Index) -> Option<&Fact> {
        self.facts.get(usize::try_from(index.0).ok()?)
    }

    /// What was committed from position `from` on.
    pub(crate) fn since(&self, from: usize) -> &[Fact] {
        &self.facts[from..]
    }

    /// The last entry that was known to be committed before `term`.
    pub(crate) fn last_before(&self, term: Term) -> &Fact {
        let known = self.facts.iter().rev().find(|it| it.known_in < term);
        known.unwrap_or_else(|| &self.facts[0])
    }

    /// The next entry is committed, as somebody knows in `term`.
    pub(crate) fn commit(&mut self, term: Term, entry: &Entry, chain: u64) {
        assert_eq!(entry.id.index.0, self.facts.len() as u64, "committed out of order");
        let mut touched = Vec::new();
        let saying = match &entry.payload {
            Payload::Empty => Saying::Nothing,
            Payload::Configuration(it) => Saying::Configuration(it.clone()),
            Payload::Command(bytes) => {
                let envelope = Envelope::decode(bytes.clone()).expect("servers write commands");
                let applied = self.store.apply(entry.id.index, envelope.stamp, &envelope.command);
                touched = applied.touched;
                Saying::Command(envelope.command)
            }
        };
        let state = self.store.snapshot();
        self.facts.push(Fact { id: entry.id, known_in: term, chain, saying, state, touched });
    }

    /// The next entry says this.
    #[cfg(test)]
    pub(crate) fn say(&mut self, command: Command) {
        let stamp = tribune_base::time::WallTime(0);
        let payload = Payload::Command(Envelope { stamp, command }.encode());
        let id = LogId::new(Term(1), Index(self.facts.len() as u64));
        self.commit(Term(1), &Entry { id, payload }, 0);
    }
}
