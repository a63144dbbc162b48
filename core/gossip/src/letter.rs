//! What goes over streams: questions and answers that need not fit into a packet.
//!
//! In the same encoding as packets, and with the same first two fields; the third says what kind of
//! letter it is. Counts are bounded by the length of what was received, which the caller bounds.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Field, Reader, Writer};

use crate::codec::{self, Fields, VERSION};
use crate::lamport::{COUNTER_MAX, LTime};
use crate::member::State;
use crate::message::{Alive, Event, Text};
use crate::output::Refusal;

/// A question or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    /// The oldest version that makes sense of it.
    pub(crate) version: u64,
    pub(crate) pool: Text,
    pub(crate) kind: Kind,
    /// Of a ping and its answer.
    pub(crate) seq: u64,
    /// Who is asked.
    pub(crate) target: Text,
    /// Whether the sender is only just coming in.
    pub(crate) join: bool,
    /// The sender.
    pub(crate) me: Option<Entry>,
    /// The sender's Lamport times: intentions, events, queries.
    pub(crate) ltimes: [u64; 3],
    /// One for each bucket, or nothing.
    pub(crate) digests: Vec<u64>,
    pub(crate) entries: Vec<Entry>,
    /// Which buckets differ, a bit for each.
    pub(crate) differing: Bytes,
    /// Which events the sender has: their times, and hashes of them.
    pub(crate) events_known: Vec<(LTime, u64)>,
    pub(crate) events: Vec<Event>,
    pub(crate) refusal: Option<Refusal>,
}

/// What kind of letter it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Are you there?
    Ping = 1,
    /// I am.
    Ack = 2,
    /// Digests of all that I know.
    Sync = 3,
    /// What I know where yours differ.
    Synced = 4,
    /// What I know that was not in there.
    Push = 5,
    /// I have it.
    Pushed = 6,
    /// No.
    Refused = 7,
}

/// A member, as one who compares sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) alive: Alive,
    pub(crate) state: State,
    /// Whether it means to leave, or has left.
    pub(crate) going: bool,
    pub(crate) status_ltime: LTime,
    /// For how many seconds it has been gone, if it is.
    pub(crate) age: u64,
}

impl Letter {
    /// A letter with nothing in it.
    pub(crate) fn new(kind: Kind, pool: &str) -> Self {
        Self {
            version: VERSION,
            pool: Text::from(pool),
            kind,
            seq: 0,
            target: Text::default(),
            join: false,
            me: None,
            ltimes: [0; 3],
            digests: Vec::new(),
            entries: Vec::new(),
            differing: Bytes::new(),
            events_known: Vec::new(),
            events: Vec::new(),
            refusal: None,
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        let len = 256 + self.digests.len() * 9 + self.entries.len() * 96;
        let mut writer = Writer::with_capacity(len);
        let it = &mut writer;
        it.u64(1, self.version);
        it.present_bytes(2, self.pool.as_bytes());
        it.u64(3, self.kind as u64);
        it.u64(4, self.seq);
        it.str(5, &self.target);
        it.bool(6, self.join);
        if let Some(me) = &self.me {
            it.nested(7, |it| me.write(it));
        }
        for (tag, ltime) in (8..).zip(self.ltimes) {
            it.u64(tag, ltime);
        }
        it.bytes(11, &write_digests(&self.digests));
        self.entries.iter().for_each(|entry| it.nested(12, |it| entry.write(it)));
        it.bytes(13, &self.differing);
        for (ltime, hash) in &self.events_known {
            it.nested(14, |it| {
                it.u64(1, ltime.0);
                it.u64(2, *hash);
            });
        }
        self.events.iter().for_each(|event| it.nested(15, |it| event.write(it)));
        if let Some(refusal) = &self.refusal {
            it.nested(16, |it| write_refusal(it, refusal));
        }
        writer.finish()
    }

    /// # Errors
    ///
    /// It makes no sense. A letter in a newer version does as far as its first three fields.
    pub(crate) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let mut letter = Self::new(Kind::Ping, "");
        letter.version = 0;
        let mut kind = None;
        while let Some(field) = reader.field()? {
            if letter.version <= VERSION || field.tag <= 3 {
                letter.read_field(&field, &mut kind)?;
            }
        }
        letter.kind = kind.ok_or(DecodeError::Missing { tag: 3 })?;
        Ok(letter)
    }

    fn read_field(&mut self, field: &Field, kind: &mut Option<Kind>) -> Result<(), DecodeError> {
        match field.tag {
            1 => self.version = field.u64()?,
            2 => self.pool = read_text(field)?,
            3 => *kind = Some(Kind::from_u64(field.u64()?).ok_or_else(|| field.senseless())?),
            4 => self.seq = field.u64()?,
            5 => self.target = read_text(field)?,
            6 => self.join = field.bool()?,
            7 => self.me = Some(Entry::read(field.bytes()?)?),
            8..=10 => {
                let ltime = field.u64()?;
                if COUNTER_MAX <= ltime {
                    return Err(field.senseless());
                }
                self.ltimes[field.tag as usize - 8] = ltime;
            }
            11 => self.digests = read_digests(&field.bytes()?).ok_or_else(|| field.senseless())?,
            12 => self.entries.push(Entry::read(field.bytes()?)?),
            13 => self.differing = field.bytes()?,
            14 => {
                let fields = Fields::read(field.bytes()?)?;
                self.events_known.push((LTime(fields.counter(1)?), fields.number(2)?));
            }
            15 => self.events.push(Event::read(field.bytes()?)?),
            16 => self.refusal = Some(read_refusal(field.bytes()?)?),
            _ => {}
        }
        Ok(())
    }
}

impl Kind {
    fn from_u64(kind: u64) -> Option<Self> {
        let kinds = [
            Self::Ping,
            Self::Ack,
            Self::Sync,
            Self::Synced,
            Self::Push,
            Self::Pushed,
            Self::Refused,
        ];
        kinds.into_iter().find(|it| *it as u64 == kind)
    }
}

impl Entry {
    fn write(&self, writer: &mut Writer) {
        writer.nested(1, |it| self.alive.write(it));
        let state = match self.state {
            State::Alive => 0,
            State::Suspect => 1,
            State::Dead => 2,
            State::Left => 3,
        };
        writer.u64(2, state);
        writer.bool(3, self.going);
        writer.u64(4, self.status_ltime.0);
        writer.u64(5, self.age);
    }

    fn read(bytes: Bytes) -> Result<Self, DecodeError> {
        let fields = Fields::read(bytes)?;
        let state = match fields.number(2)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Dead,
            3 => State::Left,
            _ => return Err(DecodeError::Value { tag: 2 }),
        };
        Ok(Self {
            alive: Alive::read(fields.bytes(1)?)?,
            state,
            going: fields.number(3)? != 0,
            status_ltime: LTime(fields.counter(4)?),
            age: fields.counter(5)?,
        })
    }
}

/// Those that are not zero, each behind its number: in small pools most are.
fn write_digests(digests: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(digests.len() * 9);
    for (bucket, digest) in (0_u8..=u8::MAX).zip(digests).filter(|(_, it)| **it != 0) {
        bytes.push(bucket);
        bytes.extend_from_slice(&digest.to_be_bytes());
    }
    bytes
}

fn read_digests(bytes: &[u8]) -> Option<Vec<u64>> {
    let mut digests = vec![0; crate::roster::BUCKETS];
    let (entries, []) = bytes.as_chunks::<9>() else { return None };
    for [bucket, digest @ ..] in entries {
        digests[usize::from(*bucket)] = u64::from_be_bytes(*digest);
    }
    Some(digests)
}

fn write_refusal(writer: &mut Writer, refusal: &Refusal) {
    let (kind, name, other) = match refusal {
        Refusal::Version { name, version } => {
            writer.u64(4, *version);
            (1, name, None)
        }
        Refusal::Pool { name, pool } => (2, name, Some(pool)),
        Refusal::Datacenter { name, datacenter } => (3, name, Some(datacenter)),
        Refusal::NodeId { name, other } => (4, name, Some(other)),
        Refusal::Name { name, addr } => {
            codec::write_addr(writer, 5, *addr);
            (5, name, None)
        }
        Refusal::NotServer { name } => (6, name, None),
    };
    writer.u64(1, kind);
    writer.str(2, name);
    writer.str(3, other.map_or("", |it| it));
}

fn read_refusal(bytes: Bytes) -> Result<Refusal, DecodeError> {
    let fields = Fields::read(bytes)?;
    let arc = |tag| fields.text(tag).map(|it| Arc::<str>::from(&*it));
    let name = arc(2)?;
    Ok(match fields.number(1)? {
        1 => Refusal::Version { name, version: fields.number(4)? },
        2 => Refusal::Pool { name, pool: arc(3)? },
        3 => Refusal::Datacenter { name, datacenter: arc(3)? },
        4 => Refusal::NodeId { name, other: arc(3)? },
        5 => Refusal::Name { name, addr: fields.addr(5)? },
        6 => Refusal::NotServer { name },
        _ => return Err(DecodeError::Value { tag: 1 }),
    })
}

fn read_text(field: &Field) -> Result<Text, DecodeError> {
    Text::new(field.bytes()?).ok_or_else(|| field.senseless())
}

/// Who wrote this letter, if it says so, and from where.
pub(crate) fn sender(letter: &Letter, from: SocketAddr) -> (Text, SocketAddr) {
    match &letter.me {
        Some(me) => (me.alive.name.clone(), me.alive.addr),
        None => (Text::from(""), from),
    }
}
