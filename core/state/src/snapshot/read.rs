//! Reading records. Total: any bytes end in a state that makes sense, or in an error.

use std::sync::Arc;

use bytes::Bytes;
use tribune_base::codec::{Field, Reader};
use tribune_base::id::{Index, SessionId, Uuid};
use tribune_base::tree::{Key, Tree};

use super::{
    AUTOPILOT, CATALOG, CHECK, COORDINATE, END, ENTRY, GRAVE, GROUP, HEADER, IGNORABLE, KV, NODE,
    QUERIES, QUERY, RestoreError, SERVICE, TREE_GRAVE, VERSION,
};
use crate::autopilot;
use crate::catalog::{Catalog, Group};
use crate::coordinate::{self, SetCoordinate};
use crate::kv::{Entry, Parts, Row};
use crate::prepared_query;
use crate::row;
use crate::store::Snapshot;
use crate::types::{Name, Node, fold};

pub(crate) fn restore(chunks: impl IntoIterator<Item = Bytes>) -> Result<Snapshot, RestoreError> {
    let mut restored = Restored::default();
    for chunk in chunks {
        let mut reader = Reader::new(chunk);
        while let Some(field) = reader.field()? {
            restored.record(&field)?;
        }
    }
    restored.finish()
}

/// What was read so far.
#[derive(Debug, Default)]
struct Restored {
    state: Snapshot,
    count: u64,
    stage: Stage,
    /// The node that services and checks are on.
    node: Option<Name>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Header,
    Rows,
    End,
}

impl Restored {
    fn record(&mut self, field: &Field) -> Result<(), RestoreError> {
        match self.stage {
            Stage::Header if field.tag != HEADER => return inconsistent("no header"),
            Stage::Rows if field.tag == HEADER => return inconsistent("two headers"),
            Stage::End => return inconsistent("records after the end"),
            Stage::Header | Stage::Rows => {}
        }
        match field.tag {
            HEADER => self.header(field.nested()?)?,
            KV => self.kv(field.nested()?)?,
            ENTRY => self.entry(field.nested()?)?,
            GRAVE | TREE_GRAVE => self.grave(field)?,
            CATALOG => self.catalog(field.nested()?)?,
            AUTOPILOT => self.autopilot(field.nested()?)?,
            NODE => self.node(field.nested()?)?,
            SERVICE => self.service(field.nested()?)?,
            CHECK => self.check(field.nested()?)?,
            GROUP => self.group(field.nested()?)?,
            QUERIES => {
                let [newest] = numbers(field.nested()?)?;
                self.state.queries.newest = Index(newest);
            }
            QUERY => self.query(field.nested()?)?,
            COORDINATE => self.coordinate(field.nested()?)?,
            END => self.end(field.nested()?)?,
            tag if tag & IGNORABLE != 0 => {}
            tag => return Err(RestoreError::Unknown { kind: tag >> 1 }),
        }
        self.count += 1;
        Ok(())
    }

    fn finish(self) -> Result<Snapshot, RestoreError> {
        if self.stage != Stage::End {
            return Err(RestoreError::Truncated);
        }
        // The rows of keys were checked one by one: going over all of them again takes as long as
        // reading them.
        let Snapshot { index, kv, catalog, autopilot, queries } = &self.state;
        let sound = kv
            .check_tombstones(*index)
            .and_then(|()| catalog.check_integrity(*index))
            .and_then(|()| autopilot.check_integrity(*index))
            .and_then(|()| queries.check_integrity(*index));
        sound.map_err(RestoreError::Inconsistent)?;
        debug_assert_eq!(self.state.check_integrity(), Ok(()));
        Ok(self.state)
    }

    fn header(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let [version, index] = numbers(reader)?;
        if version != VERSION {
            return Err(RestoreError::Version { version });
        }
        self.state.index = Index(index);
        self.stage = Stage::Rows;
        Ok(())
    }

    fn kv(&mut self, reader: Reader) -> Result<(), RestoreError> {
        if !self.state.kv.rows.is_empty() {
            return inconsistent("keys before their table");
        }
        let [newest, reaped] = numbers(reader)?;
        self.state.kv.newest = Index(newest);
        self.state.kv.reaped = Index(reaped);
        Ok(())
    }

    fn entry(&mut self, mut reader: Reader) -> Result<(), RestoreError> {
        let (mut key, mut value) = (Bytes::new(), Bytes::new());
        let (mut create, mut modify) = (Index(0), Index(0));
        let (mut flags, mut lock_index, mut session) = (0, 0, None);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => key = field.bytes()?,
                2 => value = field.bytes()?,
                3 => flags = field.u64()?,
                4 => create = Index(field.u64()?),
                5 => modify = Index(field.u64()?),
                6 => lock_index = field.u64()?,
                7 => session = Some(SessionId(Uuid(field.u128()?))),
                _ => {}
            }
        }
        let (key, value) = (&key[..], &value[..]);
        let parts = Parts { key, value, flags, create, modify, lock_index, session };
        let entry = Entry::new(&parts);
        self.state.kv.check_entry(&entry).map_err(RestoreError::Inconsistent)?;
        append(&mut self.state.kv.rows, Row(entry), ())
    }

    fn grave(&mut self, field: &Field) -> Result<(), RestoreError> {
        let mut reader = field.nested()?;
        let (mut key, mut at) = (Bytes::new(), Index(0));
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => key = field.bytes()?,
                2 => at = Index(field.u64()?),
                _ => {}
            }
        }
        let kv = &mut self.state.kv;
        let graves = if field.tag == GRAVE { &mut kv.graves } else { &mut kv.tree_graves };
        append(graves, Key::from(&key[..]), at)
    }

    fn catalog(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let newest = &mut self.state.catalog.newest;
        let [nodes, services, checks, extinction, passing, warning, critical] = numbers(reader)?;
        newest.nodes = Index(nodes);
        newest.services = Index(services);
        newest.checks = Index(checks);
        newest.extinction = Index(extinction);
        newest.status = [Index(passing), Index(warning), Index(critical)];
        Ok(())
    }

    fn autopilot(&mut self, mut reader: Reader) -> Result<(), RestoreError> {
        let mut settings = autopilot::read_settings(Reader::new(Bytes::new()))?;
        let (mut create, mut modify) = (Index(0), Index(0));
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => settings = autopilot::read_settings(field.nested()?)?,
                2 => create = Index(field.u64()?),
                3 => modify = Index(field.u64()?),
                _ => {}
            }
        }
        let before = self.state.autopilot.row.replace(autopilot::Row { settings, create, modify });
        if before.is_some() {
            return inconsistent("autopilot's settings twice");
        }
        Ok(())
    }

    fn node(&mut self, mut reader: Reader) -> Result<(), RestoreError> {
        let mut node = Node::default();
        let (mut newest, mut newest_check) = (Index(0), Index(0));
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => node = row::read_node(field.nested()?)?,
                2 => newest = Index(field.u64()?),
                3 => newest_check = Index(field.u64()?),
                _ => {}
            }
        }
        let name = fold(&node.name);
        let catalog = &mut self.state.catalog;
        if catalog.nodes.last().is_some_and(|(last, _)| name <= *last) {
            return inconsistent("nodes out of order");
        }
        catalog.restore_node(&name, node, newest, newest_check);
        self.node = Some(name);
        Ok(())
    }

    fn service(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let service = row::read_service(reader)?;
        let Some(node) = &self.node else { return inconsistent("a service before its node") };
        if !self.state.catalog.restore_service(node, service) {
            return inconsistent("a service twice");
        }
        Ok(())
    }

    fn check(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let check = row::read_check(reader)?;
        let Some(node) = &self.node else { return inconsistent("a check before its node") };
        if !self.state.catalog.restore_check(node, check) {
            return inconsistent("a check twice");
        }
        Ok(())
    }

    fn group(&mut self, mut reader: Reader) -> Result<(), RestoreError> {
        let (mut name, mut indexes) = (Name::from(""), [Index(0); 3]);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => name = field.str()?.into(),
                tag @ 2..5 => indexes[tag as usize - 2] = Index(field.u64()?),
                _ => {}
            }
        }
        let catalog: &mut Catalog = &mut self.state.catalog;
        let Some(group) = catalog.groups.get_mut(&name) else {
            return inconsistent("a group without instances");
        };
        let group: &mut Group = Arc::make_mut(group);
        [group.newest, group.newest_health, group.newest_check] = indexes;
        Ok(())
    }

    fn query(&mut self, reader: Reader) -> Result<(), RestoreError> {
        if !self.state.queries.restore(prepared_query::read(reader)?) {
            return inconsistent("prepared queries out of order, or with a name that is taken");
        }
        Ok(())
    }

    fn coordinate(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let SetCoordinate { node, spot } = coordinate::read(reader)?;
        append(&mut self.state.catalog.spots, Name::from(node.as_str()), spot)
    }

    fn end(&mut self, reader: Reader) -> Result<(), RestoreError> {
        let [count] = numbers(reader)?;
        if count != self.count {
            return inconsistent("records are missing");
        }
        self.stage = Stage::End;
        Ok(())
    }
}

/// The numbers of a record that has nothing else, by their tags from one on.
fn numbers<const N: usize>(mut reader: Reader) -> Result<[u64; N], RestoreError> {
    let mut numbers = [0; N];
    while let Some(field) = reader.field()? {
        let at = (field.tag as usize).wrapping_sub(1);
        if let Some(number) = numbers.get_mut(at) {
            *number = field.u64()?;
        }
    }
    Ok(numbers)
}

fn append<K, V>(tree: &mut Tree<K, V>, key: K, row: V) -> Result<(), RestoreError>
where
    K: Ord + Clone,
    V: Clone,
{
    if tree.last().is_some_and(|(last, _)| key <= *last) {
        return inconsistent("keys out of order");
    }
    tree.insert(key, row);
    Ok(())
}

fn inconsistent<T>(what: &'static str) -> Result<T, RestoreError> {
    Err(RestoreError::Inconsistent(what))
}
