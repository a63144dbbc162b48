//! What survives a restart: one JSON file for each registration made through the API.
//!
//! ```text
//!   services/<hash>      {"Version":1,"Token":"…","Service":{…}}        without its checks
//!   checks/<hash>        {"Version":1,"Token":"…","Check":{…}}          with `ServiceID`
//!   checks/state/<hash>  {"Version":1,"CheckID":"…","Status":"…","Output":"…"}
//! ```
//!
//! The hash is of the id, which may be anything. Definitions are written as the API reads them, and
//! fields of later releases are skipped. `Version` grows when skipping them would be wrong, and a
//! file of a version we do not know is left alone. How old a state is the file's own age says.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tribune_state::{Check, Status};

use crate::definition::{CheckDefinition, ServiceDefinition, UnknownFields};
use crate::maintenance;
use crate::output::{ChangeSeq, Output};

/// The files as they should be, and how far the shell has come in making them so.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// What to write next, by path. The last change of a file is the one that counts.
    pending: BTreeMap<String, Option<Bytes>>,
    /// The changes behind `pending`, in order.
    waiting: VecDeque<ChangeSeq>,
    /// Those behind the `Save` that is out.
    out: Option<VecDeque<ChangeSeq>>,
}

/// What a file says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Service(ServiceDefinition),
    Check(Box<CheckDefinition>),
    Maintenance(Check),
    State(State),
}

/// What a report said.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct State {
    #[serde(rename = "CheckID")]
    pub(crate) check_id: String,
    status: String,
    #[serde(default)]
    pub(crate) output: String,
}

impl State {
    pub(crate) fn new(check: &Check) -> Self {
        Self {
            check_id: check.id.clone(),
            status: check.status.as_str().to_owned(),
            output: check.output.clone(),
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.status.parse().ok()
    }
}

impl Files {
    /// Change `seq` makes `path` contain this.
    pub(crate) fn write(&mut self, seq: ChangeSeq, path: String, bytes: Option<Bytes>) {
        self.pending.insert(path, bytes);
        if self.waiting.back() != Some(&seq) {
            self.waiting.push_back(seq);
        }
    }

    /// What to write now. Two writes of one file must not overtake each other, so there is only
    /// ever one.
    pub(crate) fn next(&mut self) -> Option<Output> {
        let seq = *self.waiting.back()?;
        if self.out.is_some() {
            return None;
        }
        self.out = Some(std::mem::take(&mut self.waiting));
        let writes = std::mem::take(&mut self.pending).into_iter().collect();
        Some(Output::Save { seq, writes })
    }

    /// Everything up to `seq` is written.
    pub(crate) fn saved(&mut self, seq: ChangeSeq) {
        let out = self.out.take();
        assert!(out.and_then(|it| it.back().copied()) == Some(seq), "never asked for: {seq:?}");
    }

    /// True if change `seq` is written, or needed no writing.
    pub(crate) fn has_saved(&self, seq: ChangeSeq) -> bool {
        let first = self.out.iter().flatten().chain(&self.waiting).min();
        first.is_none_or(|it| seq < *it)
    }
}

/// Where a service is kept.
pub(crate) fn service_path(id: &str) -> String {
    format!("services/{}", hash(id))
}

/// Where a check is kept.
pub(crate) fn check_path(id: &str) -> String {
    format!("checks/{}", hash(id))
}

/// Where the last report to a check is kept.
pub(crate) fn state_path(id: &str) -> String {
    format!("checks/state/{}", hash(id))
}

/// The file of a service.
pub(crate) fn service(definition: &ServiceDefinition) -> Bytes {
    bytes(&json!({ "Version": VERSION, "Token": definition.token, "Service": definition }))
}

/// The file of a check.
pub(crate) fn check(definition: &CheckDefinition) -> Bytes {
    bytes(&json!({ "Version": VERSION, "Token": definition.token, "Check": definition }))
}

/// The file of a maintenance check.
pub(crate) fn maintenance(check: &Check) -> Bytes {
    let body = json!({ "ServiceID": check.service_id, "Reason": check.notes });
    bytes(&json!({ "Version": VERSION, "Maintenance": body }))
}

/// The file of a report.
pub(crate) fn state(state: &State) -> Bytes {
    let body = json!({ "Version": VERSION, "CheckID": state.check_id, "Status": state.status,
        "Output": state.output });
    bytes(&body)
}

/// Read a file.
///
/// # Errors
///
/// For people: what is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Record, String> {
    let file: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let version = file.get("Version").map_or(Some(VERSION), Value::as_u64);
    if version != Some(VERSION) {
        return Err("written by a later release".into());
    }
    let token = file.get("Token").and_then(Value::as_str).unwrap_or_default().to_owned();
    let skip = UnknownFields::Skipped;
    if let Some(service) = file.get("Service") {
        let service = ServiceDefinition::from_value(service, skip).map_err(|it| it.to_string())?;
        return Ok(Record::Service(ServiceDefinition { token, ..service }));
    }
    if let Some(check) = file.get("Check") {
        let check = CheckDefinition::from_value(check, skip).map_err(|it| it.to_string())?;
        return Ok(Record::Check(Box::new(CheckDefinition { token, ..check })));
    }
    if let Some(body) = file.get("Maintenance") {
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        let service = text("ServiceID").ok_or("no ServiceID")?;
        return Ok(Record::Maintenance(maintenance::check(service, text("Reason"))));
    }
    let state: State = serde_json::from_value(file).map_err(|error| error.to_string())?;
    if state.status().is_none() {
        return Err(format!("no status of a check: {:?}", state.status));
    }
    Ok(Record::State(state))
}

fn bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).expect("our own values have text keys").into()
}

/// FNV-1a in 128 bits: short, spread, and the same in every release.
fn hash(id: &str) -> String {
    let hash = id.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{hash:032x}")
}

/// The version of the files written here.
const VERSION: u64 = 1;

#[cfg(test)]
mod tests;
