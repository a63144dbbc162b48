use tribune_base::time::WallTime;
use tribune_state::Store;

use super::*;

/// A prefix of a source that answers at once, and the keys here.
struct Trial {
    replication: Replication,
    source: Store,
    here: Store,
    now: Instant,
    rng: Rng,
    /// How many entries the log has got.
    entries: usize,
}

fn write(store: &mut Store, key: &str, value: &str) {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    apply(store, &Command::Kv(kv::Command::Set { key, value, flags: 7 }));
}

fn remove(store: &mut Store, key: &str) {
    apply(store, &Command::Kv(kv::Command::Delete { key: key.to_owned().into() }));
}

fn apply(store: &mut Store, command: &Command) {
    store.apply(store.index().next(), WallTime(0), command);
}

fn keys(store: &Store) -> Vec<String> {
    let (_, rows) = store.view().kv_list(b"");
    let text = |it: &[u8]| String::from_utf8_lossy(it).into_owned();
    rows.map(|(key, it)| format!("{}={}", text(key), text(it.value()))).collect()
}

impl Trial {
    fn new() -> Self {
        let now = Instant::START;
        let mut this = Self {
            replication: Replication::default(),
            source: Store::default(),
            here: Store::default(),
            now,
            rng: Rng::new(1),
            entries: 0,
        };
        this.elect();
        this
    }

    /// Another server leads.
    fn elect(&mut self) {
        let config = KvReplication { source: "dc1".into(), prefixes: vec!["a/".into()] };
        self.replication = Replication::new(Some(&config), self.now);
    }

    fn listing(&self) -> Listing {
        let (index, rows) = self.source.view().kv_list(b"a/");
        let entry = |(key, it): (&[u8], &kv::Entry)| {
            let value = bytes::Bytes::copy_from_slice(it.value());
            (bytes::Bytes::copy_from_slice(key), (value, it.flags()))
        };
        Listing { index, entries: rows.map(entry).collect() }
    }

    /// Do what there is to do. The source answers, if it can be reached.
    fn settle(&mut self, reachable: bool) {
        let applied = self.here.index();
        while let Some((n, action)) =
            self.replication.poll(self.now, applied.max(self.here.index()), self.here.view())
        {
            match action {
                Action::Ask(_) => {
                    let said = if reachable { Ok(self.listing()) } else { Err("away".to_owned()) };
                    self.replication.heard(self.now, n, said, &mut self.rng);
                }
                Action::Propose(command) => {
                    self.entries += 1;
                    let counts = count(&command);
                    apply(&mut self.here, &command);
                    let at = Some(self.here.index());
                    self.replication.streams[n].proposed(self.now, at, counts);
                }
            }
        }
    }

    fn pass(&mut self, secs: u64, reachable: bool) {
        for _ in 0..secs * 10 {
            self.now = self.now + Duration::from_millis(100);
            self.settle(reachable);
        }
    }

    fn status(&self) -> PrefixStatus {
        self.replication.status(self.now).prefixes.remove(0)
    }
}

#[test]
fn what_the_source_has_is_here_and_nothing_else_below_the_prefix() {
    let mut trial = Trial::new();
    for key in ["a/1", "a/2", "b/1"] {
        write(&mut trial.source, key, "there");
    }
    for key in ["a/2", "a/3", "c"] {
        write(&mut trial.here, key, "here");
    }
    trial.settle(true);
    assert_eq!(keys(&trial.here), ["a/1=there", "a/2=there", "c=here"]);
    let flags = trial.here.view().kv_get(b"a/1").1.map(kv::Entry::flags);
    assert_eq!(flags, Some(7));
    let status = trial.status();
    assert_eq!((status.written, status.removed, status.keys), (2, 1, 2));
    assert_eq!((status.replicated, status.lag), (status.known, Duration::ZERO));

    remove(&mut trial.source, "a/1");
    write(&mut trial.source, "a/2", "again");
    trial.pass(1, true);
    assert_eq!(keys(&trial.here), ["a/2=again", "c=here"]);
}

#[test]
fn a_change_that_is_made_here_is_put_right_again() {
    let mut trial = Trial::new();
    write(&mut trial.source, "a/1", "x");
    trial.settle(true);
    write(&mut trial.here, "a/1", "mine");
    write(&mut trial.here, "a/2", "mine");
    remove(&mut trial.here, "a/1");
    // Without another word of the source's, which may be out of reach.
    trial.settle(false);
    assert_eq!(keys(&trial.here), ["a/1=x"]);
}

#[test]
fn the_next_leader_writes_nothing_twice() {
    let mut trial = Trial::new();
    for n in 0..1_000 {
        write(&mut trial.source, &format!("a/{n}"), "x");
    }
    trial.settle(true);
    assert_eq!(trial.here.view().key_count(), 1_000);
    assert_eq!(trial.entries, 1_000_usize.div_ceil(BATCH_MAX), "some at a time");
    let before = trial.entries;
    trial.elect();
    assert_eq!(trial.status().replicated, Index(0));
    trial.pass(1, true);
    assert_eq!(trial.entries, before);
    assert_eq!(trial.status().replicated, trial.status().known);
    write(&mut trial.source, "a/5", "y");
    trial.pass(1, true);
    assert_eq!(trial.entries, before + 1);
}

#[test]
fn a_source_that_goes_back_in_time_is_followed() {
    let mut trial = Trial::new();
    for key in ["a/1", "a/2", "a/3"] {
        write(&mut trial.source, key, "x");
    }
    trial.settle(true);
    trial.source = Store::default();
    write(&mut trial.source, "a/2", "old");
    trial.pass(1, true);
    assert_eq!(keys(&trial.here), ["a/2=old"]);
    let status = trial.status();
    assert_eq!((status.resyncs, status.known, status.replicated), (1, Index(1), Index(1)));
}

#[test]
fn a_source_that_is_away_is_asked_less_and_less_and_missed_for_as_long() {
    let mut trial = Trial::new();
    write(&mut trial.source, "a/1", "x");
    trial.settle(true);
    trial.pass(200, false);
    let status = trial.status();
    assert!((15..50).contains(&status.errors), "{status:?}");
    assert_eq!(status.last_error, "away");
    assert!(Duration::from_secs(190) < status.lag, "{status:?}");
    assert!(trial.replication.poll_timeout() <= trial.now + RETRY_MAX);
    assert_eq!(keys(&trial.here), ["a/1=x"], "what is here stays");
    write(&mut trial.source, "a/2", "y");
    trial.pass(31, true);
    assert_eq!(keys(&trial.here), ["a/1=x", "a/2=y"]);
    assert_eq!(trial.status().lag, Duration::ZERO);
}

#[test]
fn what_is_refused_is_proposed_again() {
    let mut trial = Trial::new();
    write(&mut trial.source, "a/1", "x");
    let said = Ok(trial.listing());
    trial.replication.poll(trial.now, Index(0), trial.here.view());
    trial.replication.heard(trial.now, 0, said, &mut trial.rng);
    let next = trial.replication.poll(trial.now, Index(0), trial.here.view());
    assert!(matches!(next, Some((0, Action::Propose(_)))));
    trial.replication.streams[0].proposed(trial.now, None, (1, 0));
    trial.settle(false);
    assert_eq!((trial.entries, trial.status().written), (0, 0), "not at once");
    trial.pass(1, false);
    assert_eq!((trial.entries, trial.status().written), (1, 1));
    assert_eq!(keys(&trial.here), ["a/1=x"]);
}
