//! Who this agent is: decided once, kept in the data directory.

use std::path::Path;

use tribune_base::id::{NodeId, Uuid};
use tribune_io::{entropy, storage};

use super::{Failed, read_optional};
use crate::config::Config;

/// The node id that was configured, or kept from the first start, or is new.
pub(super) fn node_id(dir: Option<&Path>, config: &Config) -> Result<NodeId, Failed> {
    let Some(path) = dir.map(|it| it.join(FILE)) else {
        return config.node_id.map_or_else(draw, Ok);
    };
    let failed = |why: &dyn std::fmt::Display| Failed::new(path.display(), why);
    let kept = read_optional(&path).map_err(|it| failed(&it))?;
    let kept = match kept {
        Some(text) => {
            let id = text.trim().parse::<Uuid>();
            Some(NodeId(id.map_err(|it| {
                failed(&format!("{it}. Write this node's id there: `/v1/catalog/nodes` shows it"))
            })?))
        }
        None => None,
    };
    let id = match (config.node_id, kept) {
        // Another id would be another server, which the cluster does not know.
        (Some(id), Some(kept)) if id != kept => {
            let advice = "remove node_id from the configuration, or use another data_dir";
            return Err(failed(&format!(
                "this directory belongs to node {kept}, not {id}: {advice}"
            )));
        }
        (_, Some(kept)) => return Ok(kept),
        (Some(id), None) => id,
        (None, None) => draw()?,
    };
    storage::replace(&path, id.to_string().as_bytes()).map_err(|it| failed(&it))?;
    storage::sync_dir(path.parent().unwrap_or(&path)).map_err(|it| failed(&it))?;
    Ok(id)
}

fn draw() -> Result<NodeId, Failed> {
    let bits = entropy::draw().map_err(|it| Failed::new("no entropy for a node id", it))?;
    Ok(NodeId(Uuid::from_entropy(bits)))
}

const FILE: &str = "node-id";
