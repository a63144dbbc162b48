//! Making records.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::codec::Writer;
use tribune_base::id::{Index, Uuid};
use tribune_base::tree::{Key, Tree};

use super::{
    AUTOPILOT, CATALOG, CHECK, COORDINATE, END, ENTRY, GRAVE, GROUP, HEADER, KV, NODE, QUERIES,
    QUERY, SERVICE, TREE_GRAVE, VERSION,
};
use crate::autopilot;
use crate::catalog::{self, Group};
use crate::coordinate::{self, Spot};
use crate::kv::Row;
use crate::prepared_query::{self, PreparedQuery};
use crate::row;
use crate::store::Snapshot;
use crate::types::Name;

/// When a chunk is full, in bytes.
const CHUNK_LEN: usize = 64 << 10;

/// A snapshot as chunks. Keeps the state as it was for as long as it lives.
#[derive(Debug)]
pub struct Records {
    snapshot: Snapshot,
    cursor: Cursor,
    count: u64,
}

/// What comes next: rows after the one that is named, or all of them.
#[derive(Clone, Debug)]
enum Cursor {
    Header,
    Entries(Option<Row>),
    Graves(Option<Key>),
    TreeGraves(Option<Key>),
    Nodes(Option<Name>),
    Groups(Option<Name>),
    Queries(Option<Uuid>),
    Spots(Option<Name>),
    End,
    Done,
}

impl Snapshot {
    /// The state as chunks of about 64 KiB, made one by one. See [`snapshot`](crate::snapshot) for
    /// the format.
    pub fn records(&self) -> Records {
        Records { snapshot: self.clone(), cursor: Cursor::Header, count: 0 }
    }

    /// A number that is the same for equal states, and hardly ever for others. O(size).
    pub fn digest(&self) -> u64 {
        self.records().fold(0, |digest, chunk| mix(digest, &chunk))
    }
}

impl Iterator for Records {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut chunk = Writer::with_capacity(CHUNK_LEN + 1024);
        while chunk.len() < CHUNK_LEN {
            self.cursor = match &self.cursor {
                Cursor::Header => {
                    self.count += write_tables(&mut chunk, &self.snapshot);
                    Cursor::Entries(None)
                }
                Cursor::Entries(after) => {
                    let rows = &self.snapshot.kv.rows;
                    let last = fill(&mut chunk, &mut self.count, rows, after, write_entry);
                    let next = if bug!(S07) { Cursor::Nodes(None) } else { Cursor::Graves(None) };
                    last.map_or(next, |it| Cursor::Entries(Some(it)))
                }
                Cursor::Graves(after) => {
                    let rows = &self.snapshot.kv.graves;
                    let write =
                        |it: &mut Writer, key: &Key, at: &Index| write_grave(it, GRAVE, key, *at);
                    let last = fill(&mut chunk, &mut self.count, rows, after, write);
                    last.map_or(Cursor::TreeGraves(None), |it| Cursor::Graves(Some(it)))
                }
                Cursor::TreeGraves(after) => {
                    let rows = &self.snapshot.kv.tree_graves;
                    let write = |it: &mut Writer, key: &Key, at: &Index| {
                        write_grave(it, TREE_GRAVE, key, *at)
                    };
                    let last = fill(&mut chunk, &mut self.count, rows, after, write);
                    last.map_or(Cursor::Nodes(None), |it| Cursor::TreeGraves(Some(it)))
                }
                Cursor::Nodes(after) => {
                    let rows = &self.snapshot.catalog.nodes;
                    let last = fill(&mut chunk, &mut self.count, rows, after, write_node);
                    last.map_or(Cursor::Groups(None), |it| Cursor::Nodes(Some(it)))
                }
                Cursor::Groups(after) => {
                    let rows = &self.snapshot.catalog.groups;
                    let last = fill(&mut chunk, &mut self.count, rows, after, write_group);
                    last.map_or(Cursor::Queries(None), |it| Cursor::Groups(Some(it)))
                }
                Cursor::Queries(after) => {
                    let rows = &self.snapshot.queries.rows;
                    let last = fill(&mut chunk, &mut self.count, rows, after, write_query);
                    last.map_or(Cursor::Spots(None), |it| Cursor::Queries(Some(it)))
                }
                Cursor::Spots(after) => {
                    let rows = &self.snapshot.catalog.spots;
                    let last = fill(&mut chunk, &mut self.count, rows, after, write_spot);
                    last.map_or(Cursor::End, |it| Cursor::Spots(Some(it)))
                }
                Cursor::End => {
                    chunk.nested(END, |it| it.u64(1, self.count));
                    Cursor::Done
                }
                Cursor::Done => break,
            };
        }
        (!chunk.is_empty()).then(|| chunk.finish())
    }
}

/// Write the rows after `after` until `chunk` is full. Returns the last one written, or `None` if
/// there are no more.
fn fill<K: Ord + Clone, V: Clone>(
    chunk: &mut Writer,
    count: &mut u64,
    rows: &Tree<K, V>,
    after: &Option<K>,
    write: impl Fn(&mut Writer, &K, &V) -> u64,
) -> Option<K> {
    let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    for (key, row) in rows.range::<_, K>((from, Bound::Unbounded)) {
        *count += write(chunk, key, row);
        if CHUNK_LEN <= chunk.len() {
            return Some(key.clone());
        }
    }
    None
}

fn write_tables(writer: &mut Writer, snapshot: &Snapshot) -> u64 {
    writer.nested(HEADER, |it| {
        it.u64(1, VERSION);
        it.u64(2, snapshot.index.0);
    });
    writer.nested(KV, |it| {
        it.u64(1, snapshot.kv.newest.0);
        it.u64(2, snapshot.kv.reaped.0);
    });
    let newest = &snapshot.catalog.newest;
    writer.nested(CATALOG, |it| {
        it.u64(1, newest.nodes.0);
        it.u64(2, newest.services.0);
        it.u64(3, newest.checks.0);
        it.u64(4, newest.extinction.0);
        for (tag, index) in (5..).zip(newest.status) {
            it.u64(tag, index.0);
        }
    });
    let mut count = 3;
    if let Some(row) = &snapshot.autopilot.row {
        writer.nested(AUTOPILOT, |it| {
            it.nested(1, |it| autopilot::write_settings(it, &row.settings));
            it.u64(2, row.create.0);
            it.u64(3, row.modify.0);
        });
        count += 1;
    }
    // A release that knows no prepared queries reads the state of a cluster that has none.
    if snapshot.queries.newest != Index(0) {
        writer.nested(QUERIES, |it| it.u64(1, snapshot.queries.newest.0));
        count += 1;
    }
    count
}

fn write_spot(writer: &mut Writer, node: &Name, spot: &Spot) -> u64 {
    writer.nested(COORDINATE, |it| coordinate::write(it, node, spot));
    1
}

fn write_entry(writer: &mut Writer, row: &Row, (): &()) -> u64 {
    let parts = row.0.parts();
    writer.nested(ENTRY, |it| {
        it.bytes(1, parts.key);
        it.bytes(2, parts.value);
        it.u64(3, parts.flags);
        it.u64(4, parts.create.0);
        it.u64(5, parts.modify.0);
        it.u64(6, parts.lock_index);
        if let Some(session) = parts.session {
            it.present_bytes(7, &session.0.0.to_be_bytes());
        }
    });
    1
}

fn write_grave(writer: &mut Writer, kind: u32, key: &Key, at: Index) -> u64 {
    writer.nested(kind, |it| {
        it.bytes(1, key);
        it.u64(2, at.0);
    });
    1
}

fn write_node(writer: &mut Writer, _: &Name, entry: &Arc<catalog::Entry>) -> u64 {
    writer.nested(NODE, |it| {
        it.nested(1, |it| row::write_node(it, &entry.node));
        it.u64(2, entry.newest.0);
        it.u64(3, entry.newest_check.0);
    });
    for service in entry.services.values() {
        writer.nested(SERVICE, |it| row::write_service(it, service));
    }
    for check in entry.checks.values() {
        writer.nested(CHECK, |it| row::write_check(it, check));
    }
    1 + entry.services.len() as u64 + entry.checks.len() as u64
}

fn write_group(writer: &mut Writer, name: &Name, group: &Arc<Group>) -> u64 {
    writer.nested(GROUP, |it| {
        it.str(1, name);
        it.u64(2, group.newest.0);
        it.u64(3, group.newest_health.0);
        it.u64(4, group.newest_check.0);
    });
    1
}

fn write_query(writer: &mut Writer, _: &Uuid, query: &Arc<PreparedQuery>) -> u64 {
    writer.nested(QUERY, |it| prepared_query::write(it, query));
    1
}

/// Multiply and rotate, a word at a time: for telling states apart, not for secrets.
fn mix(digest: u64, bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|it| {
        let mut word = [0; 8];
        word[..it.len()].copy_from_slice(it);
        u64::from_le_bytes(word)
    });
    words.chain([bytes.len() as u64]).fold(digest, |digest, word| {
        (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}
