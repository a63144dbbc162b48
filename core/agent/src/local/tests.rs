//! The machine against a model of everything around it: a disk, and a real catalog.

use proptest::prelude::*;
use tribune_base::id::{Index, NodeId, Uuid};
use tribune_base::time::{Duration, WallTime};
use tribune_state::{Command, Deregistration, Outcome, Registration, Store};

use super::*;
use crate::config::ScriptChecks;
use crate::definition::{CheckDefinition, ServiceDefinition};
use crate::output::{CatalogRows, PersistedFile, SyncFailed, SyncId};
use crate::table::Origin;

mod registration;
mod reloading;
mod restart;
mod syncing;

/// A machine, the disk and the catalog it works with, and what it said.
struct World {
    local: Local,
    now: Instant,
    store: Store,
    index: u64,
    /// False: nobody commits anything.
    leader: bool,
    /// Performed one by one, with their paths.
    files: BTreeMap<String, bytes::Bytes>,
    runs: Vec<(String, RunId)>,
    stopped: Vec<RunId>,
    events: Vec<Event>,
    /// Exchanges with the catalog.
    reads: usize,
    writes: usize,
}

const OURS: NodeId = NodeId(Uuid(1));
const THEIRS: NodeId = NodeId(Uuid(2));

fn config() -> Config {
    let mut config = Config::new("n1", OURS, "10.0.0.1");
    config.script_checks = ScriptChecks { remote: false, local: true };
    config
}

impl World {
    fn new() -> Self {
        Self::with(config(), Store::default())
    }

    fn with(config: Config, store: Store) -> Self {
        let local = Local::new(config, 1, Instant::START);
        let mut world = Self {
            local,
            now: Instant::START,
            store,
            index: 1000,
            leader: true,
            files: BTreeMap::new(),
            runs: Vec::new(),
            stopped: Vec::new(),
            events: Vec::new(),
            reads: 0,
            writes: 0,
        };
        world.pump();
        world
    }

    /// Perform everything, until there is nothing more.
    fn pump(&mut self) {
        let mut rounds = 0;
        while let Some(output) = self.local.poll_output() {
            rounds += 1;
            assert!(rounds < 10_000, "it never stops: {output:?}");
            match output {
                Output::RunCheck { check, run, .. } => self.runs.push((check, run)),
                Output::StopCheck { run } => self.stopped.push(run),
                Output::Save { seq, writes } => {
                    for (path, bytes) in writes {
                        match bytes {
                            Some(bytes) => _ = self.files.insert(path, bytes),
                            None => _ = self.files.remove(&path),
                        }
                    }
                    self.local.saved(self.now, seq);
                }
                Output::Sync { id, .. } | Output::ReadCatalog { id } if !self.leader => {
                    self.local.synced(self.now, id, Err(SyncFailed));
                }
                Output::Sync { id, commands } => self.commit(id, commands),
                Output::ReadCatalog { id } => {
                    self.reads += 1;
                    let rows = self.rows("n1");
                    self.local.catalog_read(self.now, id, &rows);
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn commit(&mut self, id: SyncId, commands: Vec<Command>) {
        self.writes += 1;
        assert!(commands.len() <= self.local.config.sync_batch_max);
        let outcomes = commands.iter().map(|it| self.apply(it)).collect();
        self.local.synced(self.now, id, Ok(outcomes));
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        self.index += 1;
        self.store.apply(Index(self.index), WallTime(0), command).outcome
    }

    /// A node's rows in the catalog.
    fn rows(&self, node: &str) -> CatalogRows {
        let snapshot = self.store.snapshot();
        let (_, services) = snapshot.node_services(node);
        let (node_row, services) = match services {
            Some(it) => (Some(it.node.clone()), it.services.into_iter().cloned().collect()),
            None => (None, Vec::new()),
        };
        let checks = snapshot.node_checks(node).1.into_iter().cloned().collect();
        CatalogRows { node: node_row, services, checks }
    }

    /// Let time pass, doing what is due when it is due.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.local.poll_timeout().filter(|it| *it <= end) {
            self.now = self.now.max(due);
            self.local.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    fn service(&mut self, body: &str) -> ChangeSeq {
        let definition = ServiceDefinition::from_json(body.as_bytes()).unwrap();
        let seq = self.local.register_service(self.now, definition, Origin::Api, false).unwrap();
        self.pump();
        seq
    }

    fn check(&mut self, body: &str) -> ChangeSeq {
        let definition = CheckDefinition::from_json(body.as_bytes()).unwrap();
        let seq = self.local.register_check(self.now, definition, Origin::Api).unwrap();
        self.pump();
        seq
    }

    fn update(&mut self, id: &str, status: Status, output: &str) {
        self.local.update_check(self.now, id, status, output).unwrap();
        self.pump();
    }

    fn status(&self, id: &str) -> Status {
        self.local.check(id).unwrap().status
    }

    fn output(&self, id: &str) -> &str {
        &self.local.check(id).unwrap().output
    }

    /// A check as the catalog has it.
    fn catalog_check(&self, id: &str) -> Option<Check> {
        self.rows("n1").checks.into_iter().find(|it| it.id == id)
    }

    /// The last run of a check came back.
    fn finish_run(&mut self, status: Status, output: &str) {
        let (_, run) = self.runs.pop().expect("nothing runs");
        self.local.checked(self.now, run, CheckOutcome { status, output: output.into() });
        self.pump();
    }

    /// CH-4: the catalog has what is registered here, and nothing else.
    fn assert_converged(&self) {
        let rows = self.rows("n1");
        assert_eq!(rows.node.and_then(|it| it.id), Some(OURS));
        let ids = |services: Vec<&Service>| {
            services.into_iter().map(|it| (it.id.clone(), it.tags.clone(), it.port)).collect()
        };
        let ours: Vec<_> = ids(self.local.services().collect());
        let theirs = rows
            .services
            .iter()
            .filter(|it| it.id != "consul" || self.local.service(&it.id).is_some());
        assert_eq!(ours, ids(theirs.collect()));
        let ids = |checks: Vec<&Check>| -> Vec<_> {
            checks.into_iter().map(|it| (it.id.clone(), it.status, it.service_id.clone())).collect()
        };
        let ours = ids(self.local.checks().collect());
        let theirs = rows.checks.iter().filter(|it| it.id != "serfHealth");
        let theirs = theirs.filter(|it| it.service_id != "consul");
        assert_eq!(ours, ids(theirs.collect()));
    }
}
