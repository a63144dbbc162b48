//! Bytes of commands. Tags and kinds are never used again for something else.

use bytes::Bytes;
use tribune_base::codec::{Field, Reader, Writer};
use tribune_base::id::Index;

use super::{Command, DecodeError, Deregistration, Registration};
use crate::autopilot::{self, SetAutopilot};
use crate::coordinate;
use crate::kv;
use crate::prepared_query;
use crate::row;

const KIND: u32 = 1;
const IGNORABLE: u32 = 2;
const BODY: u32 = 3;

const KV_SET: u64 = 1;
const KV_CAS: u64 = 2;
const KV_DELETE: u64 = 3;
const KV_DELETE_CAS: u64 = 4;
const KV_DELETE_TREE: u64 = 5;
const REGISTER: u64 = 16;
const DEREGISTER: u64 = 17;
const SET_AUTOPILOT: u64 = 24;
const SET_COORDINATE: u64 = 25;
const REAP_TOMBSTONES: u64 = 32;
const BATCH: u64 = 33;
const IGNORED: u64 = 34;
const QUERY_CREATE: u64 = 40;
const QUERY_UPDATE: u64 = 41;
const QUERY_DELETE: u64 = 42;

pub(super) fn encode(command: &Command) -> Bytes {
    let mut writer = Writer::new();
    write(&mut writer, command);
    writer.finish()
}

pub(super) fn decode(bytes: Bytes) -> Result<Command, DecodeError> {
    read(Reader::new(bytes), Depth::Outer)
}

/// Batches do not nest, so that decoding cannot be made to recurse.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Depth {
    Outer,
    InBatch,
}

fn write(writer: &mut Writer, command: &Command) {
    let kind = match command {
        Command::Kv(kv::Command::Set { .. }) => KV_SET,
        Command::Kv(kv::Command::Cas { .. }) => KV_CAS,
        Command::Kv(kv::Command::Delete { .. }) => KV_DELETE,
        Command::Kv(kv::Command::DeleteCas { .. }) => KV_DELETE_CAS,
        Command::Kv(kv::Command::DeleteTree { .. }) => KV_DELETE_TREE,
        Command::Register(_) => REGISTER,
        Command::Deregister(_) => DEREGISTER,
        Command::SetAutopilot(_) => SET_AUTOPILOT,
        Command::PreparedQuery(prepared_query::Command::Create(_)) => QUERY_CREATE,
        Command::PreparedQuery(prepared_query::Command::Update(_)) => QUERY_UPDATE,
        Command::PreparedQuery(prepared_query::Command::Delete(_)) => QUERY_DELETE,
        Command::SetCoordinate(_) => SET_COORDINATE,
        Command::ReapTombstones { .. } => REAP_TOMBSTONES,
        Command::Batch(_) => BATCH,
        Command::Ignored => IGNORED,
    };
    writer.u64(KIND, kind);
    writer.bool(IGNORABLE, *command == Command::Ignored);
    writer.nested(BODY, |it| match command {
        Command::Kv(command) => write_kv(it, command),
        Command::Register(registration) => write_registration(it, registration),
        Command::Deregister(deregistration) => {
            it.str(1, &deregistration.node);
            it.str(2, &deregistration.service_id);
            it.str(3, &deregistration.check_id);
        }
        Command::SetAutopilot(command) => write_autopilot(it, command),
        Command::PreparedQuery(command) => write_query(it, command),
        Command::SetCoordinate(command) => coordinate::write(it, &command.node, &command.spot),
        Command::ReapTombstones { through } => it.u64(1, through.0),
        Command::Batch(commands) => {
            for command in commands {
                assert!(!matches!(command, Command::Batch(_)), "a batch inside a batch");
                it.nested(1, |it| write(it, command));
            }
        }
        Command::Ignored => {}
    });
}

fn write_kv(writer: &mut Writer, command: &kv::Command) {
    match command {
        kv::Command::Set { key, value, flags } => {
            writer.bytes(1, key);
            writer.bytes(2, value);
            writer.u64(3, *flags);
        }
        kv::Command::Cas { key, value, flags, index } => {
            writer.bytes(1, key);
            writer.bytes(2, value);
            writer.u64(3, *flags);
            writer.u64(4, index.0);
        }
        kv::Command::Delete { key } => writer.bytes(1, key),
        kv::Command::DeleteCas { key, index } => {
            writer.bytes(1, key);
            writer.u64(4, index.0);
        }
        kv::Command::DeleteTree { prefix } => writer.bytes(1, prefix),
    }
}

fn write_registration(writer: &mut Writer, registration: &Registration) {
    row::write_node_id(writer, 1, registration.id);
    writer.str(2, &registration.node);
    writer.str(3, &registration.address);
    writer.str(4, &registration.datacenter);
    row::write_map(writer, 5, registration.tagged_addresses.as_ref());
    row::write_map(writer, 6, registration.node_meta.as_ref());
    for service in &registration.services {
        writer.nested(7, |it| row::write_service(it, service));
    }
    for check in &registration.checks {
        writer.nested(8, |it| row::write_check(it, check));
    }
    writer.bool(9, registration.skip_node_update);
}

fn write_autopilot(writer: &mut Writer, command: &SetAutopilot) {
    writer.nested(1, |it| autopilot::write_settings(it, &command.settings));
    // Zero is a condition, too.
    writer.bool(2, command.cas.is_some());
    writer.u64(3, command.cas.unwrap_or_default().0);
}

fn write_query(writer: &mut Writer, command: &prepared_query::Command) {
    match command {
        prepared_query::Command::Create(query) | prepared_query::Command::Update(query) => {
            prepared_query::write(writer, query);
        }
        prepared_query::Command::Delete(id) => writer.u128(1, id.0),
    }
}

fn read(mut reader: Reader, depth: Depth) -> Result<Command, DecodeError> {
    let mut kind = 0;
    let mut ignorable = false;
    let mut body = Bytes::new();
    while let Some(field) = reader.field()? {
        match field.tag {
            KIND => kind = field.u64()?,
            IGNORABLE => ignorable = field.bool()?,
            BODY => body = field.bytes()?,
            _ => {}
        }
    }
    let body = Reader::new(body);
    match kind {
        KV_SET | KV_CAS | KV_DELETE | KV_DELETE_CAS | KV_DELETE_TREE => {
            Ok(Command::Kv(read_kv(kind, body)?))
        }
        REGISTER => Ok(Command::Register(read_registration(body)?)),
        DEREGISTER => Ok(Command::Deregister(read_deregistration(body)?)),
        SET_AUTOPILOT => Ok(Command::SetAutopilot(read_autopilot(body)?)),
        QUERY_CREATE | QUERY_UPDATE | QUERY_DELETE => {
            Ok(Command::PreparedQuery(read_query(kind, body)?))
        }
        SET_COORDINATE => Ok(Command::SetCoordinate(coordinate::read(body)?)),
        REAP_TOMBSTONES => Ok(read_reap(body)?),
        BATCH => read_batch(body, depth),
        IGNORED => Ok(Command::Ignored),
        _ if ignorable => Ok(Command::Ignored),
        _ => Err(DecodeError::Unknown { kind }),
    }
}

fn read_kv(kind: u64, mut reader: Reader) -> Result<kv::Command, DecodeError> {
    let (mut key, mut value) = (Bytes::new(), Bytes::new());
    let (mut flags, mut index) = (0, Index(0));
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => key = field.bytes()?,
            2 => value = field.bytes()?,
            3 => flags = field.u64()?,
            4 => index = Index(field.u64()?),
            _ => {}
        }
    }
    Ok(match kind {
        KV_SET => kv::Command::Set { key, value, flags },
        KV_CAS => kv::Command::Cas { key, value, flags, index },
        KV_DELETE => kv::Command::Delete { key },
        KV_DELETE_CAS => kv::Command::DeleteCas { key, index },
        KV_DELETE_TREE => kv::Command::DeleteTree { prefix: key },
        _ => return Err(DecodeError::Unknown { kind }),
    })
}

fn read_registration(mut reader: Reader) -> Result<Registration, DecodeError> {
    let mut registration = Registration::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => registration.id = Some(row::read_node_id(&field)?),
            2 => registration.node = text(&field)?,
            3 => registration.address = text(&field)?,
            4 => registration.datacenter = text(&field)?,
            5 => registration.tagged_addresses = Some(row::read_map(&field)?),
            6 => registration.node_meta = Some(row::read_map(&field)?),
            7 => registration.services.push(row::read_service(field.nested()?)?),
            8 => registration.checks.push(row::read_check(field.nested()?)?),
            9 => registration.skip_node_update = field.bool()?,
            _ => {}
        }
    }
    Ok(registration)
}

fn read_deregistration(mut reader: Reader) -> Result<Deregistration, DecodeError> {
    let mut deregistration = Deregistration::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => deregistration.node = text(&field)?,
            2 => deregistration.service_id = text(&field)?,
            3 => deregistration.check_id = text(&field)?,
            _ => {}
        }
    }
    Ok(deregistration)
}

fn read_autopilot(mut reader: Reader) -> Result<SetAutopilot, DecodeError> {
    let mut settings = autopilot::read_settings(Reader::new(Bytes::new()))?;
    let (mut conditional, mut index) = (false, Index(0));
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => settings = autopilot::read_settings(field.nested()?)?,
            2 => conditional = field.bool()?,
            3 => index = Index(field.u64()?),
            _ => {}
        }
    }
    Ok(SetAutopilot { settings, cas: conditional.then_some(index) })
}

fn read_query(kind: u64, reader: Reader) -> Result<prepared_query::Command, DecodeError> {
    let query = prepared_query::read(reader)?;
    Ok(match kind {
        QUERY_CREATE => prepared_query::Command::Create(Box::new(query)),
        QUERY_UPDATE => prepared_query::Command::Update(Box::new(query)),
        QUERY_DELETE => prepared_query::Command::Delete(query.id),
        _ => return Err(DecodeError::Unknown { kind }),
    })
}

fn read_reap(mut reader: Reader) -> Result<Command, DecodeError> {
    let mut through = Index(0);
    while let Some(field) = reader.field()? {
        if field.tag == 1 {
            through = Index(field.u64()?);
        }
    }
    Ok(Command::ReapTombstones { through })
}

fn read_batch(mut reader: Reader, depth: Depth) -> Result<Command, DecodeError> {
    let mut commands = Vec::new();
    while let Some(field) = reader.field()? {
        if depth == Depth::InBatch {
            return Err(field.senseless().into());
        }
        if field.tag == 1 {
            commands.push(read(field.nested()?, Depth::InBatch)?);
        }
    }
    Ok(Command::Batch(commands))
}

fn text(field: &Field) -> Result<String, DecodeError> {
    Ok(field.str()?.to_owned())
}
