//! How the leader takes care of the servers: one row, set as a whole.

use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::Index;
use tribune_base::time::Duration;

/// What operators may decide about the care for servers.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // The fields are those of the API, `/v1/operator/autopilot/configuration`.
pub struct Autopilot {
    /// Whether servers that are dead are removed from consensus.
    pub cleanup_dead_servers: bool,
    /// A server silent for longer is not healthy.
    pub last_contact_threshold: Duration,
    /// A server that many entries behind the leader is still healthy, and one more is not.
    pub max_trailing_logs: u64,
    /// Cleaning up leaves no fewer voters than this.
    pub min_quorum: u64,
    /// How long a new server must be healthy before it votes.
    pub server_stabilization_time: Duration,
    /// Kept for clients. There are no zones here.
    pub redundancy_zone_tag: String,
    /// Kept for clients. There are no migrations here.
    pub disable_upgrade_migration: bool,
    /// Kept for clients. There are no migrations here.
    pub upgrade_version_tag: String,
}

/// A change of the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetAutopilot {
    /// What they shall be.
    pub settings: Autopilot,
    /// Only if they were last changed here; at zero, if they were never set.
    pub cas: Option<Index>,
}

impl Default for Autopilot {
    /// The original's.
    fn default() -> Self {
        Self {
            cleanup_dead_servers: true,
            last_contact_threshold: Duration::from_millis(200),
            max_trailing_logs: 250,
            min_quorum: 0,
            server_stabilization_time: Duration::from_secs(10),
            redundancy_zone_tag: String::new(),
            disable_upgrade_migration: false,
            upgrade_version_tag: String::new(),
        }
    }
}

/// The settings in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// What they are.
    pub settings: Autopilot,
    /// When they were set first.
    pub create: Index,
    /// When they were set last.
    pub modify: Index,
}

/// The table, which has one row or none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Table {
    pub(crate) row: Option<Row>,
}

impl Table {
    /// Returns whether the condition held, and whether anything is another now.
    pub(crate) fn set(&mut self, at: Index, command: &SetAutopilot) -> (bool, bool) {
        let modify = self.row.as_ref().map_or(Index(0), |it| it.modify);
        if command.cas.is_some_and(|it| it != modify) {
            return (false, false);
        }
        let before = self.row.as_ref();
        if before.is_some_and(|it| it.settings == command.settings) {
            return (true, false);
        }
        let create = before.map_or(at, |it| it.create);
        self.row = Some(Row { settings: command.settings.clone(), create, modify: at });
        (true, true)
    }

    /// When the settings were last changed; zero if never.
    pub(crate) fn newest(&self) -> Index {
        self.row.as_ref().map_or(Index(0), |it| it.modify)
    }

    pub(crate) fn check_integrity(&self, index: Index) -> Result<(), &'static str> {
        match &self.row {
            Some(row) if row.create == Index(0) || row.modify < row.create => {
                Err("autopilot's settings were changed before they were made")
            }
            Some(row) if index < row.modify => Err("autopilot's settings are from the future"),
            Some(_) | None => Ok(()),
        }
    }
}

pub(crate) fn write_settings(writer: &mut Writer, settings: &Autopilot) {
    writer.bool(1, settings.cleanup_dead_servers);
    writer.u64(2, nanos(settings.last_contact_threshold));
    writer.u64(3, settings.max_trailing_logs);
    writer.u64(4, settings.min_quorum);
    writer.u64(5, nanos(settings.server_stabilization_time));
    writer.str(6, &settings.redundancy_zone_tag);
    writer.bool(7, settings.disable_upgrade_migration);
    writer.str(8, &settings.upgrade_version_tag);
}

pub(crate) fn read_settings(mut reader: Reader) -> Result<Autopilot, DecodeError> {
    let mut settings = Autopilot {
        cleanup_dead_servers: false,
        last_contact_threshold: Duration::ZERO,
        max_trailing_logs: 0,
        server_stabilization_time: Duration::ZERO,
        ..Autopilot::default()
    };
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => settings.cleanup_dead_servers = field.bool()?,
            2 => settings.last_contact_threshold = Duration::from_nanos(field.u64()?),
            3 => settings.max_trailing_logs = field.u64()?,
            4 => settings.min_quorum = field.u64()?,
            5 => settings.server_stabilization_time = Duration::from_nanos(field.u64()?),
            6 => settings.redundancy_zone_tag = field.str()?.to_owned(),
            7 => settings.disable_upgrade_migration = field.bool()?,
            8 => settings.upgrade_version_tag = field.str()?.to_owned(),
            _ => {}
        }
    }
    Ok(settings)
}

/// Longer than a lifetime is as long as it gets.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[test]
fn a_condition_is_the_index_of_the_last_change() {
    let settings = |max_trailing_logs| Autopilot { max_trailing_logs, ..Autopilot::default() };
    let mut table = Table::default();
    let mut set = |at, logs, cas: Option<u64>| {
        let command = SetAutopilot { settings: settings(logs), cas: cas.map(Index) };
        table.set(Index(at), &command)
    };
    assert_eq!(set(5, 1, Some(3)), (false, false));
    assert_eq!(set(6, 1, Some(0)), (true, true));
    assert_eq!(set(7, 2, Some(0)), (false, false));
    assert_eq!(set(8, 2, Some(6)), (true, true));
    // What says the same changes nothing, and leaves the index to compare with.
    assert_eq!(set(9, 2, None), (true, false));
    assert_eq!(set(10, 3, Some(8)), (true, true));
    let row = table.row.unwrap();
    assert_eq!((row.create, row.modify), (Index(6), Index(10)));
}
