//! What an agent finds in its data directory.

use std::path::Path;

use tokio::sync::mpsc;
use tracing::{info, warn};
use tribune_agent::{CheckDefinition, ServiceDefinition};
use tribune_base::codec::Reader;
use tribune_base::id::NodeId;
use tribune_io::lock::Lock;
use tribune_io::storage::{FileStorage, SNAPSHOTS};
use tribune_io::wal::{Event, MappedWal, MemoryWal, Options};
use tribune_io::{raft_log, snapshot};
use tribune_raft::{Configuration, SnapshotMeta};
use tribune_state::Store;

use super::{Failed, identity};
use crate::config::Config;

/// An agent's memory, and the log that goes on from there.
#[derive(Debug)]
pub(super) struct Restored<W> {
    pub(super) node_id: NodeId,
    pub(super) core: tribune_core::Restored,
    pub(super) wal: W,
    pub(super) wal_events: mpsc::UnboundedReceiver<Event>,
    /// Keeps other agents out for as long as this one runs.
    _lock: Option<Lock>,
}

impl Restored<MemoryWal> {
    /// Development mode: there is nothing, and nothing will stay.
    pub(super) fn nothing(
        config: &Config,
        wal: MemoryWal,
        wal_events: mpsc::UnboundedReceiver<Event>,
    ) -> Result<Self, Failed> {
        let (services, checks) = definitions(config)?;
        let core = tribune_core::Restored { services, checks, ..Default::default() };
        let node_id = identity::node_id(None, config)?;
        Ok(Self { node_id, core, wal, wal_events, _lock: None })
    }
}

/// Lock `dir` and read back what is there.
pub(super) fn open(dir: &Path, config: &Config) -> Result<Restored<MappedWal>, Failed> {
    let in_dir = |why: &dyn std::fmt::Display| Failed::new("data_dir", why);
    let lock = Lock::acquire(dir).map_err(|it| in_dir(&it))?;
    let node_id = identity::node_id(Some(dir), config)?;

    let (meta, store) = newest_snapshot(&dir.join(SNAPSHOTS))?;
    let (events, wal_events) = mpsc::unbounded_channel();
    let (wal, recovered) =
        MappedWal::open(&dir.join(LOG), Options::default(), events).map_err(|it| in_dir(&it))?;
    let covered = meta.as_ref().map_or(0, |it| it.last.index.0);
    if covered + 1 < recovered.first.0 {
        return Err(in_dir(&format!(
            "the log begins at entry {}, and the newest snapshot ends at {covered}: what is between \
             is lost. Restore the data directory from a copy",
            recovered.first
        )));
    }
    info!(entries = recovered.entries.len(), snapshot = covered, "state read back");
    let raft = raft_log::restored(&recovered, meta).map_err(|it| in_dir(&it))?;
    let files = FileStorage::new(dir).load(&["services", "checks", "checks/state"]);
    let (services, checks) = definitions(config)?;
    let core = tribune_core::Restored {
        store,
        raft,
        files: files.map_err(|it| in_dir(&it))?,
        services,
        checks,
    };
    Ok(Restored { node_id, core, wal, wal_events, _lock: Some(lock) })
}

fn newest_snapshot(dir: &Path) -> Result<(Option<SnapshotMeta>, Store), Failed> {
    let failed = |why: &dyn std::fmt::Display| Failed::new(dir.display(), why);
    let Some(loaded) = snapshot::load_newest(dir).map_err(|it| failed(&it))? else {
        return Ok((None, Store::default()));
    };
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    let configuration = Configuration::decode(Reader::new(loaded.meta));
    let configuration = configuration.map_err(|it| failed(&it))?;
    let mut broken = None;
    let chunks = loaded.chunks.map_while(|chunk| chunk.map_err(|it| broken = Some(it)).ok());
    let store = Store::restore(chunks);
    if let Some(error) = broken {
        return Err(failed(&error));
    }
    let store = store.map_err(|it| failed(&it))?;
    Ok((Some(SnapshotMeta { last: loaded.last, configuration }), store))
}

/// What the configuration files register and check.
fn definitions(config: &Config) -> Result<(Vec<ServiceDefinition>, Vec<CheckDefinition>), Failed> {
    let unknown = tribune_agent::definition::UnknownFields::Refused;
    let services = config.services.iter().map(|it| {
        let parsed = ServiceDefinition::from_value(&it.value, unknown);
        parsed.map_err(|error| Failed::new(&it.origin, error))
    });
    let checks = config.checks.iter().map(|it| {
        let parsed = CheckDefinition::from_value(&it.value, unknown);
        parsed.map_err(|error| Failed::new(&it.origin, error))
    });
    Ok((services.collect::<Result<_, _>>()?, checks.collect::<Result<_, _>>()?))
}

/// The log's folder in the data directory.
const LOG: &str = "raft/wal";
