//! Bytes of rows, as commands carry them and snapshots keep them.

use std::collections::BTreeMap;

use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::id::{Index, NodeId, Uuid};

use crate::definition;
use crate::types::{Check, Node, Service, ServiceAddress, Status, Weights};

pub(crate) fn write_node(writer: &mut Writer, node: &Node) {
    write_node_id(writer, 1, node.id);
    writer.str(2, &node.name);
    writer.str(3, &node.address);
    writer.str(4, &node.datacenter);
    write_map(writer, 5, node.tagged_addresses.as_ref());
    write_map(writer, 6, node.meta.as_ref());
    writer.u64(7, node.create.0);
    writer.u64(8, node.modify.0);
}

pub(crate) fn read_node(mut reader: Reader) -> Result<Node, DecodeError> {
    let mut node = Node::default();
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => node.id = Some(read_node_id(&field)?),
            2 => node.name = text(&field)?,
            3 => node.address = text(&field)?,
            4 => node.datacenter = text(&field)?,
            5 => node.tagged_addresses = Some(read_map(&field)?),
            6 => node.meta = Some(read_map(&field)?),
            7 => node.create = Index(field.u64()?),
            8 => node.modify = Index(field.u64()?),
            _ => {}
        }
    }
    Ok(node)
}

pub(crate) fn write_service(writer: &mut Writer, service: &Service) {
    writer.str(1, &service.id);
    writer.str(2, &service.name);
    for tag in &service.tags {
        writer.present_bytes(3, tag.as_bytes());
    }
    writer.str(4, &service.address);
    if let Some(addresses) = &service.tagged_addresses {
        writer.nested(5, |it| {
            for (name, address) in addresses {
                it.nested(1, |it| {
                    it.str(1, name);
                    it.str(2, &address.address);
                    it.u64(3, address.port.cast_unsigned());
                });
            }
        });
    }
    write_map(writer, 6, service.meta.as_ref());
    writer.u64(7, service.port.cast_unsigned());
    writer.u64(8, service.weights.passing.cast_unsigned());
    writer.u64(9, service.weights.warning.cast_unsigned());
    writer.bool(10, service.enable_tag_override);
    writer.str(11, &service.kind);
    writer.u64(12, service.create.0);
    writer.u64(13, service.modify.0);
}

pub(crate) fn read_service(mut reader: Reader) -> Result<Service, DecodeError> {
    let weights = Weights { passing: 0, warning: 0 };
    let mut service = Service { weights, ..Service::default() };
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => service.id = text(&field)?,
            2 => service.name = text(&field)?,
            3 => service.tags.push(text(&field)?),
            4 => service.address = text(&field)?,
            5 => service.tagged_addresses = Some(read_addresses(field.nested()?)?),
            6 => service.meta = Some(read_map(&field)?),
            7 => service.port = field.u64()?.cast_signed(),
            8 => service.weights.passing = field.u64()?.cast_signed(),
            9 => service.weights.warning = field.u64()?.cast_signed(),
            10 => service.enable_tag_override = field.bool()?,
            11 => service.kind = text(&field)?,
            12 => service.create = Index(field.u64()?),
            13 => service.modify = Index(field.u64()?),
            _ => {}
        }
    }
    Ok(service)
}

/// Without what follows from the service, which whoever reads this has to add.
pub(crate) fn write_check(writer: &mut Writer, check: &Check) {
    writer.str(1, &check.node);
    writer.str(2, &check.id);
    writer.str(3, &check.name);
    writer.u64(4, check.status as u64);
    writer.str(5, &check.notes);
    writer.str(6, &check.output);
    writer.str(7, &check.service_id);
    writer.str(8, &check.kind);
    writer.u64(9, check.create.0);
    writer.u64(10, check.modify.0);
    if let Some(it) = &check.definition {
        writer.nested(11, |writer| definition::write(writer, it));
    }
}

pub(crate) fn read_check(mut reader: Reader) -> Result<Check, DecodeError> {
    let mut check = Check { status: Status::Passing, ..Check::default() };
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => check.node = text(&field)?,
            2 => check.id = text(&field)?,
            3 => check.name = text(&field)?,
            4 => check.status = read_status(&field)?,
            5 => check.notes = text(&field)?,
            6 => check.output = text(&field)?,
            7 => check.service_id = text(&field)?,
            8 => check.kind = text(&field)?,
            9 => check.create = Index(field.u64()?),
            10 => check.modify = Index(field.u64()?),
            11 => check.definition = Some(Box::new(definition::read(field.nested()?)?)),
            _ => {}
        }
    }
    Ok(check)
}

pub(crate) fn write_node_id(writer: &mut Writer, tag: u32, id: Option<NodeId>) {
    if let Some(id) = id {
        writer.present_bytes(tag, &id.0.0.to_be_bytes());
    }
}

pub(crate) fn read_node_id(field: &Field) -> Result<NodeId, DecodeError> {
    Ok(NodeId(Uuid(field.u128()?)))
}

pub(crate) fn write_map(writer: &mut Writer, tag: u32, map: Option<&BTreeMap<String, String>>) {
    let Some(map) = map else { return };
    writer.nested(tag, |it| {
        for (key, value) in map {
            it.nested(1, |it| {
                it.str(1, key);
                it.str(2, value);
            });
        }
    });
}

pub(crate) fn read_map(field: &Field) -> Result<BTreeMap<String, String>, DecodeError> {
    let mut map = BTreeMap::new();
    let mut reader = field.nested()?;
    while let Some(field) = reader.field()? {
        if field.tag != 1 {
            continue;
        }
        let (mut key, mut value) = (String::new(), String::new());
        let mut reader = field.nested()?;
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => key = text(&field)?,
                2 => value = text(&field)?,
                _ => {}
            }
        }
        map.insert(key, value);
    }
    Ok(map)
}

fn read_addresses(mut reader: Reader) -> Result<BTreeMap<String, ServiceAddress>, DecodeError> {
    let mut addresses = BTreeMap::new();
    while let Some(field) = reader.field()? {
        if field.tag != 1 {
            continue;
        }
        let (mut name, mut address) = (String::new(), ServiceAddress::default());
        let mut reader = field.nested()?;
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => name = text(&field)?,
                2 => address.address = text(&field)?,
                3 => address.port = field.u64()?.cast_signed(),
                _ => {}
            }
        }
        addresses.insert(name, address);
    }
    Ok(addresses)
}

fn read_status(field: &Field) -> Result<Status, DecodeError> {
    match field.u64()? {
        0 => Ok(Status::Passing),
        1 => Ok(Status::Warning),
        2 => Ok(Status::Critical),
        _ => Err(field.senseless()),
    }
}

fn text(field: &Field) -> Result<String, DecodeError> {
    Ok(field.str()?.to_owned())
}
