//! `/v1/operator/autopilot/configuration`: the settings, to and from JSON.

use tribune_base::duration;
use tribune_base::id::Index;
use tribune_base::time::Duration;
use tribune_state::autopilot::{Autopilot, Row};
use tribune_state::{Command, SetAutopilot, Snapshot};

use crate::body::{self, Field};
use crate::error::Error;
use crate::plan::{Call, Plan};
use crate::render::Json;

/// The settings in force.
pub(crate) fn evaluate(snapshot: &Snapshot) -> Json {
    let (_, row) = snapshot.autopilot();
    let none = Row { settings: Autopilot::default(), create: Index(0), modify: Index(0) };
    let Row { settings, create, modify } = row.unwrap_or(&none);
    let mut json = Json::with_capacity(320);
    json.raw(r#"{"CleanupDeadServers":"#);
    json.bool(settings.cleanup_dead_servers);
    let contact = duration::format(settings.last_contact_threshold);
    json.field(r#","LastContactThreshold":"#, &contact);
    json.raw(r#","MaxTrailingLogs":"#);
    json.number(settings.max_trailing_logs);
    json.raw(r#","MinQuorum":"#);
    json.number(settings.min_quorum);
    let stabilization = duration::format(settings.server_stabilization_time);
    json.field(r#","ServerStabilizationTime":"#, &stabilization);
    json.field(r#","RedundancyZoneTag":"#, &settings.redundancy_zone_tag);
    json.raw(r#","DisableUpgradeMigration":"#);
    json.bool(settings.disable_upgrade_migration);
    json.field(r#","UpgradeVersionTag":"#, &settings.upgrade_version_tag);
    json.raw(r#","CreateIndex":"#);
    json.number(create.0);
    json.raw(r#","ModifyIndex":"#);
    json.number(modify.0);
    json.raw("}");
    json
}

/// Set all of them. What is left out is zero, as in the original.
pub(crate) fn set(call: &Call<'_>) -> Result<Plan, Error> {
    let settings = parse(&call.request.body).map_err(|error| {
        let reason = body::reason(&error);
        Error::bad(format!("Bad request: Error parsing autopilot config: {reason}"))
    })?;
    let cas = call.params.number("cas");
    let cas =
        cas.map_err(|error| Error::bad(format!("Bad request: Error parsing cas value: {error}")))?;
    let command = SetAutopilot { settings, cas: cas.map(Index) };
    Ok(call.write(Command::SetAutopilot(command)))
}

fn parse(body: &[u8]) -> Result<Autopilot, Error> {
    let value = body::parse(body)?;
    let mut settings = Autopilot {
        cleanup_dead_servers: false,
        last_contact_threshold: Duration::ZERO,
        max_trailing_logs: 0,
        server_stabilization_time: Duration::ZERO,
        ..Autopilot::default()
    };
    Field::body(&value).each("api.AutopilotConfiguration", |name, field| {
        match name {
            "cleanupdeadservers" => settings.cleanup_dead_servers = field.bool()?,
            "lastcontactthreshold" => settings.last_contact_threshold = field.duration()?,
            "maxtrailinglogs" => settings.max_trailing_logs = field.uint("uint64")?,
            "minquorum" => settings.min_quorum = field.uint("uint")?,
            "serverstabilizationtime" => settings.server_stabilization_time = field.duration()?,
            "redundancyzonetag" => settings.redundancy_zone_tag = field.string()?,
            "disableupgrademigration" => settings.disable_upgrade_migration = field.bool()?,
            "upgradeversiontag" => settings.upgrade_version_tag = field.string()?,
            // Clients send back what they were told.
            "createindex" | "modifyindex" => _ = field.uint("uint64")?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(settings)
}
