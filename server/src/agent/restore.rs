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
use tribune_raft::{Configuration, Payload, SnapshotMeta};
use tribune_state::Store;

use super::{Failed, identity, recovery};
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

/// A client agent's data directory: what it had registered, and nothing else.
pub(super) fn open_client(
    dir: &Path,
    config: &Config,
    wal: MemoryWal,
    wal_events: mpsc::UnboundedReceiver<Event>,
) -> Result<Restored<MemoryWal>, Failed> {
    let in_dir = |why: &dyn std::fmt::Display| Failed::new("data_dir", why);
    let lock = Lock::acquire(dir).map_err(|it| in_dir(&it))?;
    let node_id = identity::node_id(Some(dir), config)?;
    let storage = FileStorage::new(dir);
    storage.prepare().map_err(|it| in_dir(&it))?;
    let files = storage.load(&["services", "checks", "checks/state"]);
    let files = files.map_err(|it| in_dir(&it))?;
    let (services, checks) = definitions(config)?;
    let core = tribune_core::Restored { files, services, checks, ..Default::default() };
    Ok(Restored { node_id, core, wal, wal_events, _lock: Some(lock) })
}

/// Lock `dir` and read back what is there.
pub(super) fn open(dir: &Path, config: &Config) -> Result<Restored<MappedWal>, Failed> {
    let in_dir = |why: &dyn std::fmt::Display| Failed::new("data_dir", why);
    let lock = Lock::acquire(dir).map_err(|it| in_dir(&it))?;
    let node_id = identity::node_id(Some(dir), config)?;
    let storage = FileStorage::new(dir);
    storage.prepare().map_err(|it| in_dir(&it))?;

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
    let promised = meta.as_ref().map_or_else(Default::default, |it| it.last.term);
    if recovered.hard_state.term < promised {
        return Err(in_dir(&format!(
            "the newest snapshot is of term {promised}, and the log has only heard of term {}: the \
             log was removed or is older. Restore the data directory from a copy, as a whole",
            recovered.hard_state.term
        )));
    }
    info!(entries = recovered.entries.len(), snapshot = covered, "state read back");
    let raft = raft_log::restored(&recovered, meta).map_err(|it| in_dir(&it))?;
    let recover = recovery::read(dir, &raft, node_id)?;
    if recover.is_none() && config.join.start_join.is_empty() && config.join.retry_join.is_empty() {
        check_membership(&raft, node_id)?;
    }
    let files = storage.load(&["services", "checks", "checks/state"]);
    let (services, checks) = definitions(config)?;
    let core = tribune_core::Restored {
        store,
        raft,
        recover,
        files: files.map_err(|it| in_dir(&it))?,
        services,
        checks,
    };
    Ok(Restored { node_id, core, wal, wal_events, _lock: Some(lock) })
}

/// A server that its own cluster does not know, and that is told of no other, would wait for a leader
/// for ever.
fn check_membership(raft: &tribune_raft::Restored, id: NodeId) -> Result<(), Failed> {
    let appended = raft.entries.iter().rev().find_map(|it| match &it.payload {
        Payload::Configuration(configuration) => Some(configuration),
        Payload::Empty | Payload::Command(_) => None,
    });
    let in_force = appended.or_else(|| raft.snapshot.as_ref().map(|it| &it.configuration));
    let Some(configuration) = in_force.filter(|it| !it.is_member(id.into())) else { return Ok(()) };
    let members: Vec<_> = configuration.members().map(|it| NodeId::from(it).to_string()).collect();
    let why = format!(
        "the servers of this cluster are {}, and this is {id}: write the right id into node-id",
        members.join(", ")
    );
    Err(Failed::new("data_dir", why))
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
    let store = snapshot::restore(loaded.chunks).map_err(|it| failed(&it))?;
    Ok((Some(SnapshotMeta { last: loaded.last, configuration }), store))
}

/// What the configuration files register and check.
pub(super) fn definitions(
    config: &Config,
) -> Result<(Vec<ServiceDefinition>, Vec<CheckDefinition>), Failed> {
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
