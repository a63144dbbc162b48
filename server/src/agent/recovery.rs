//! Going on after a quorum was lost for good, by an operator's word: `raft/peers.json`.
//!
//! All servers that are left are stopped, the same file is put into each one's data directory, and
//! all are started. Once their log says who they are, the file is removed. The format is the
//! original's: a list of `{"id": …, "address": "ip:port", "non_voter": false}`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tracing::warn;
use tribune_base::id::{NodeId, ServerId};
use tribune_io::driver::PEERS;
use tribune_raft::Configuration;

use super::{Failed, read_optional};

/// Who the servers are, if an operator has written it down.
pub(super) fn read(
    dir: &Path,
    raft: &tribune_raft::Restored,
    own: NodeId,
) -> Result<Option<Configuration>, Failed> {
    let path = dir.join(PEERS);
    let failed = |why: &dyn std::fmt::Display| Failed::new(path.display(), why);
    let Some(text) = read_optional(&path).map_err(|it| failed(&it))? else { return Ok(None) };
    let configuration = parse(&text).map_err(|it| failed(&it))?;
    if *raft == tribune_raft::Restored::default() {
        return Err(failed(
            &"this server has no log, so there is nothing to recover: remove the file, and let the \
              server join the others",
        ));
    }
    if !configuration.is_member(ServerId::from(own)) {
        return Err(failed(&format!("this server is {own}, and the file does not name it")));
    }
    warn!(servers = configuration.members().count(), "going on with the servers of peers.json");
    Ok(Some(configuration))
}

fn parse(text: &str) -> Result<Configuration, String> {
    let rows: Value = serde_json::from_str(text).map_err(|it| it.to_string())?;
    let rows = rows.as_array().ok_or("a list of servers is expected")?;
    let (mut voters, mut non_voters) = (BTreeMap::new(), BTreeMap::new());
    for row in rows {
        let field = |name: &str| row.get(name).and_then(Value::as_str);
        let id = field("id").ok_or("a server without \"id\"")?;
        let id: NodeId = NodeId(
            id.parse().map_err(|_| format!("\"{id}\" is no id: see node-id of that server"))?,
        );
        let address = field("address").ok_or("a server without \"address\"")?.to_owned();
        let non_voter = row.get("non_voter").and_then(Value::as_bool).unwrap_or(false);
        let group = if non_voter { &mut non_voters } else { &mut voters };
        group.insert(ServerId::from(id), address);
    }
    if voters.is_empty() {
        return Err("nobody could vote".to_owned());
    }
    Ok(Configuration { voters, non_voters, ..Configuration::default() })
}

#[test]
fn the_originals_file_is_understood_and_nonsense_is_not() {
    let id = "01010101-0101-0101-0101-010101010101";
    let good = format!(r#"[{{"id": "{id}", "address": "10.0.0.1:8300", "non_voter": false}}]"#);
    assert_eq!(parse(&good).map(|it| it.voters.len()), Ok(1));
    let cases = [
        ("{}", "a list of servers is expected"),
        ("[]", "nobody could vote"),
        (r#"[{"address": "10.0.0.1:8300"}]"#, "a server without \"id\""),
        (r#"[{"id": "x", "address": "a"}]"#, "\"x\" is no id: see node-id of that server"),
    ];
    for (text, why) in cases {
        assert_eq!(parse(text).err().as_deref(), Some(why), "{text}");
    }
}
