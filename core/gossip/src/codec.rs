//! The bytes of packets, and of what is in them.
//!
//! ```text
//!   packet := version:1 pool:2 message*
//! ```
//!
//! in the encoding of [`tribune_base::codec`]: each message is a field of the packet whose tag says
//! what it is, and its body is again a sequence of fields. So a packet holds any number of
//! messages, and a reader skips those that it does not know, and the fields of others that it does
//! not know.
//!
//! `version` is the oldest version of this format that can make sense of the packet. A release that
//! adds messages or fields leaves it as it is.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Field, Reader, Writer};
use tribune_base::coordinate::{Coordinate, DIMENSIONS};
use tribune_base::id::{NodeId, Uuid};

use crate::lamport::{COUNTER_MAX, LTime};
use crate::member::Tags;
use crate::message::{Accusation, Alive, Event, Message, QueryMessage, Text};

/// What this release speaks.
pub const VERSION: u64 = 1;

/// Why a packet is not looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PacketError {
    /// Its sender speaks a newer version, and only that.
    #[error("version {0} is not understood")]
    Version(u64),
    /// It belongs to another pool.
    #[error("the packet belongs to another pool")]
    Stranger,
    /// It makes no sense.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

/// Tags of a packet's fields.
pub(crate) mod tag {
    pub(crate) const VERSION: u32 = 1;
    pub(crate) const POOL: u32 = 2;
    pub(crate) const PING: u32 = 3;
    pub(crate) const PING_REQ: u32 = 4;
    pub(crate) const ACK: u32 = 5;
    pub(crate) const NACK: u32 = 6;
    pub(crate) const ALIVE: u32 = 7;
    pub(crate) const SUSPECT: u32 = 8;
    pub(crate) const DEAD: u32 = 9;
    pub(crate) const JOIN: u32 = 10;
    pub(crate) const LEAVE: u32 = 11;
    pub(crate) const EVENT: u32 = 12;
    pub(crate) const QUERY: u32 = 13;
    pub(crate) const ANSWER: u32 = 14;
    pub(crate) const RELAY: u32 = 15;
}

/// The messages of a packet.
#[derive(Debug)]
pub struct Messages(Reader);

/// A message, and how it stood in the packet, to be passed on with everything it may hold that we
/// do not know.
#[derive(Debug)]
pub struct Received {
    /// What it says.
    pub message: Message,
    pub(crate) body: Bytes,
}

/// Begin a packet.
pub(crate) fn begin(writer: &mut Writer, pool: &str) {
    writer.u64(tag::VERSION, VERSION);
    writer.present_bytes(tag::POOL, pool.as_bytes());
}

/// Read a packet that must belong to `pool`, if it must belong to one.
///
/// # Errors
///
/// It is not for us.
pub fn open(packet: Bytes, pool: Option<&str>) -> Result<Messages, PacketError> {
    let mut reader = Reader::new(packet);
    let version = header(&mut reader, tag::VERSION)?.u64()?;
    if VERSION < version {
        return Err(PacketError::Version(version));
    }
    let name = header(&mut reader, tag::POOL)?;
    if pool.is_some_and(|it| name.str() != Ok(it)) {
        return Err(PacketError::Stranger);
    }
    Ok(Messages(reader))
}

fn header(reader: &mut Reader, tag: u32) -> Result<Field, DecodeError> {
    let field = reader.field()?.filter(|it| it.tag == tag);
    field.ok_or(DecodeError::Missing { tag })
}

impl Iterator for Messages {
    type Item = Result<Received, DecodeError>;

    /// The next message that we know. After an error that concerns one message the rest may still
    /// make sense; after one that concerns the packet there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let field = match self.0.field() {
                Ok(field) => field?,
                Err(error) => {
                    self.0 = Reader::new(Bytes::new());
                    return Some(Err(error));
                }
            };
            let tag = field.tag;
            if !(tag::PING..=tag::RELAY).contains(&tag) {
                continue;
            }
            let received = field.bytes().and_then(|body| {
                let message = decode(tag, body.clone())?;
                Ok(Received { message, body })
            });
            return Some(received);
        }
    }
}

impl Message {
    /// Append this message to a packet.
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.nested(self.tag(), |it| self.write_body(it));
    }

    /// What is inside.
    pub(crate) fn body(&self) -> Bytes {
        let mut writer = Writer::new();
        self.write_body(&mut writer);
        writer.finish()
    }

    pub(crate) const fn tag(&self) -> u32 {
        match self {
            Self::Ping { .. } => tag::PING,
            Self::PingReq { .. } => tag::PING_REQ,
            Self::Ack { .. } => tag::ACK,
            Self::Nack { .. } => tag::NACK,
            Self::Alive(_) => tag::ALIVE,
            Self::Suspect(_) => tag::SUSPECT,
            Self::Dead(_) => tag::DEAD,
            Self::Join { .. } => tag::JOIN,
            Self::Leave { .. } => tag::LEAVE,
            Self::Event(_) => tag::EVENT,
            Self::Query(_) => tag::QUERY,
            Self::Answer { .. } => tag::ANSWER,
            Self::Relay { .. } => tag::RELAY,
        }
    }

    fn write_body(&self, writer: &mut Writer) {
        match self {
            Self::Ping { seq, target } => {
                writer.u64(1, *seq);
                writer.str(2, target);
            }
            Self::PingReq { seq, target, addr, nack } => {
                writer.u64(1, *seq);
                writer.str(2, target);
                write_addr(writer, 3, *addr);
                writer.bool(4, *nack);
            }
            Self::Ack { seq, coordinate } => {
                writer.u64(1, *seq);
                if let Some(it) = coordinate {
                    write_coordinate(writer, 2, it);
                }
            }
            Self::Nack { seq } => writer.u64(1, *seq),
            Self::Alive(alive) => alive.write(writer),
            Self::Suspect(it) | Self::Dead(it) => {
                writer.u64(1, it.incarnation);
                writer.str(2, &it.name);
                writer.str(3, &it.from);
            }
            Self::Join { ltime, name } => {
                writer.u64(1, ltime.0);
                writer.str(2, name);
            }
            Self::Leave { ltime, name, prune } => {
                writer.u64(1, ltime.0);
                writer.str(2, name);
                writer.bool(3, *prune);
            }
            Self::Event(event) => event.write(writer),
            Self::Query(query) => query.write(writer),
            Self::Answer { ltime, id, from, payload } => {
                writer.u64(1, ltime.0);
                writer.u64(2, *id);
                writer.str(3, from);
                writer.bytes(4, payload);
            }
            Self::Relay { to, packet } => {
                write_addr(writer, 1, *to);
                writer.bytes(2, packet);
            }
        }
    }
}

impl Alive {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(1, self.incarnation);
        writer.str(2, &self.name);
        writer.u128(3, self.id.0.0);
        write_addr(writer, 4, self.addr);
        writer.bytes(5, &self.tags);
    }

    pub(crate) fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let fields = Fields::read(bytes)?;
        Ok(Self {
            incarnation: fields.counter(1)?,
            name: fields.name(2)?,
            id: NodeId(Uuid(fields.get(3).map_or(Ok(0), Field::u128)?)),
            addr: fields.addr(4)?,
            tags: fields.bytes(5)?,
        })
    }
}

impl Event {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(1, self.ltime.0);
        writer.str(2, &self.name);
        writer.bytes(3, &self.payload);
        writer.bool(4, self.coalesce);
    }

    pub(crate) fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let fields = Fields::read(bytes)?;
        Ok(Self {
            ltime: LTime(fields.counter(1)?),
            name: fields.text(2)?,
            payload: fields.bytes(3)?,
            coalesce: fields.number(4)? != 0,
        })
    }
}

impl QueryMessage {
    fn write(&self, writer: &mut Writer) {
        writer.u64(1, self.ltime.0);
        writer.u64(2, self.id);
        write_addr(writer, 3, self.addr);
        writer.str(4, &self.from);
        writer.str(5, &self.name);
        writer.bytes(6, &self.payload);
        writer.u64(7, self.timeout_ms);
        writer.u64(8, self.relays);
        self.to.iter().for_each(|it| writer.present_bytes(9, it.as_bytes()));
    }

    fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes.clone());
        let mut to = Vec::new();
        while let Some(field) = reader.field()? {
            if field.tag == 9 {
                to.push(text(&field)?);
            }
        }
        let fields = Fields::read(bytes)?;
        Ok(Self {
            ltime: LTime(fields.counter(1)?),
            id: fields.number(2)?,
            addr: fields.addr(3)?,
            from: fields.name(4)?,
            name: fields.text(5)?,
            payload: fields.bytes(6)?,
            timeout_ms: fields.counter(7)?,
            relays: fields.number(8)?,
            to,
        })
    }
}

fn decode(tag: u32, body: Bytes) -> Result<Message, DecodeError> {
    let accusation = |fields: &Fields| {
        let (incarnation, name) = (fields.counter(1)?, fields.name(2)?);
        Ok(Accusation { incarnation, name, from: fields.text(3)? })
    };
    match tag {
        tag::ALIVE => return Ok(Message::Alive(Alive::read(body)?)),
        tag::EVENT => return Ok(Message::Event(Event::read(body)?)),
        tag::QUERY => return Ok(Message::Query(QueryMessage::read(body)?)),
        _ => {}
    }
    let fields = Fields::read(body)?;
    Ok(match tag {
        tag::PING => Message::Ping { seq: fields.number(1)?, target: fields.text(2)? },
        tag::PING_REQ => Message::PingReq {
            seq: fields.number(1)?,
            target: fields.name(2)?,
            addr: fields.addr(3)?,
            nack: fields.number(4)? != 0,
        },
        tag::ACK => {
            let coordinate = fields.get(2).map(coordinate).transpose()?;
            Message::Ack { seq: fields.number(1)?, coordinate }
        }
        tag::NACK => Message::Nack { seq: fields.number(1)? },
        tag::SUSPECT => Message::Suspect(accusation(&fields)?),
        tag::DEAD => Message::Dead(accusation(&fields)?),
        tag::JOIN => Message::Join { ltime: LTime(fields.counter(1)?), name: fields.name(2)? },
        tag::LEAVE => Message::Leave {
            ltime: LTime(fields.counter(1)?),
            name: fields.name(2)?,
            prune: fields.number(3)? != 0,
        },
        tag::ANSWER => Message::Answer {
            ltime: LTime(fields.counter(1)?),
            id: fields.number(2)?,
            from: fields.text(3)?,
            payload: fields.bytes(4)?,
        },
        tag::RELAY => Message::Relay { to: fields.addr(1)?, packet: fields.bytes(2)? },
        _ => return Err(DecodeError::Value { tag }),
    })
}

/// The first few fields of a message, by tag; of several with one tag the last one counts.
pub(crate) struct Fields([Option<Field>; FIELDS_MAX]);

impl Fields {
    pub(crate) fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut fields = [const { None }; FIELDS_MAX];
        while let Some(field) = reader.field()? {
            if let Some(place) = fields.get_mut(field.tag as usize) {
                *place = Some(field);
            }
        }
        Ok(Self(fields))
    }

    pub(crate) fn get(&self, tag: u32) -> Option<&Field> {
        self.0[tag as usize].as_ref()
    }

    pub(crate) fn number(&self, tag: u32) -> Result<u64, DecodeError> {
        self.get(tag).map_or(Ok(0), Field::u64)
    }

    /// A number that counts something, and so is not beyond what can be counted.
    pub(crate) fn counter(&self, tag: u32) -> Result<u64, DecodeError> {
        let number = self.number(tag)?;
        if number < COUNTER_MAX { Ok(number) } else { Err(DecodeError::Value { tag }) }
    }

    pub(crate) fn bytes(&self, tag: u32) -> Result<Bytes, DecodeError> {
        self.get(tag).map_or_else(|| Ok(Bytes::new()), Field::bytes)
    }

    pub(crate) fn text(&self, tag: u32) -> Result<Text, DecodeError> {
        self.get(tag).map_or_else(|| Ok(Text::default()), text)
    }

    /// A member's name, which is not empty.
    pub(crate) fn name(&self, tag: u32) -> Result<Text, DecodeError> {
        let name = self.text(tag)?;
        if name.is_empty() || NAME_LEN_MAX < name.len() {
            return Err(DecodeError::Value { tag });
        }
        Ok(name)
    }

    pub(crate) fn addr(&self, tag: u32) -> Result<SocketAddr, DecodeError> {
        read_addr(self.get(tag).ok_or(DecodeError::Missing { tag })?)
    }
}

fn text(field: &Field) -> Result<Text, DecodeError> {
    Text::new(field.bytes()?).ok_or_else(|| field.senseless())
}

pub(crate) fn write_addr(writer: &mut Writer, tag: u32, addr: SocketAddr) {
    let mut bytes = [0; 18];
    let len = match addr.ip() {
        IpAddr::V4(ip) => {
            bytes[..4].copy_from_slice(&ip.octets());
            4
        }
        IpAddr::V6(ip) => {
            bytes[..16].copy_from_slice(&ip.octets());
            16
        }
    };
    bytes[len..len + 2].copy_from_slice(&addr.port().to_be_bytes());
    writer.present_bytes(tag, &bytes[..len + 2]);
}

fn read_addr(field: &Field) -> Result<SocketAddr, DecodeError> {
    let bytes = field.bytes()?;
    let Some((ip, port)) = bytes.split_last_chunk::<2>() else { return Err(field.senseless()) };
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).expect("four bytes")),
        16 => IpAddr::from(<[u8; 16]>::try_from(ip).expect("sixteen bytes")),
        _ => return Err(field.senseless()),
    };
    Ok(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// Single precision: a tenth of a microsecond in a second is more than is known.
fn write_coordinate(writer: &mut Writer, tag: u32, coordinate: &Coordinate) {
    let Coordinate { vec, error, adjustment, height } = coordinate;
    let mut bytes = [0; COORDINATE_LEN];
    let numbers = vec.iter().chain([error, adjustment, height]);
    for (place, number) in bytes.chunks_exact_mut(4).zip(numbers) {
        place.copy_from_slice(&(*number as f32).to_be_bytes());
    }
    writer.present_bytes(tag, &bytes);
}

fn coordinate(field: &Field) -> Result<Coordinate, DecodeError> {
    let bytes = field.bytes()?;
    if bytes.len() != COORDINATE_LEN {
        return Err(field.senseless());
    }
    let number = |n: usize| {
        let bytes = bytes[n * 4..n * 4 + 4].try_into().expect("four bytes");
        f64::from(f32::from_be_bytes(bytes))
    };
    let coordinate = Coordinate {
        vec: std::array::from_fn(number),
        error: number(DIMENSIONS),
        adjustment: number(DIMENSIONS + 1),
        height: number(DIMENSIONS + 2),
    };
    if coordinate.is_valid() { Ok(coordinate) } else { Err(field.senseless()) }
}

/// Tags as they stand in [`Alive::tags`].
pub(crate) fn write_tags(tags: &Tags) -> Bytes {
    let mut writer = Writer::new();
    for (key, value) in tags.iter() {
        writer.present_bytes(1, key.as_bytes());
        writer.present_bytes(2, value.as_bytes());
    }
    writer.finish()
}

/// A key and a value, and so on. What is not UTF-8 has no place in them.
pub(crate) fn read_tags(bytes: Bytes) -> Result<Tags, DecodeError> {
    let mut reader = Reader::new(bytes);
    let (mut tags, mut key) = (Vec::new(), None);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => key = Some(Arc::<str>::from(field.str()?)),
            2 => {
                let key = key.take().ok_or_else(|| field.senseless())?;
                tags.push((key, Arc::from(field.str()?)));
            }
            _ => {}
        }
    }
    Ok(tags.into_iter().collect())
}

/// Bytes of a member's name.
pub const NAME_LEN_MAX: usize = 256;
const COORDINATE_LEN: usize = (DIMENSIONS + 3) * 4;
/// One more than the greatest tag in any body.
const FIELDS_MAX: usize = 10;

#[cfg(test)]
mod tests;
