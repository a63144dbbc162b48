//! Messages between servers as bytes, in the encoding of [`tribune_base::codec`].
//!
//! ```text
//!   1  what kind of message it is
//!   2  its body, a message of its own
//! ```
//!
//! A kind that a release does not know is told apart from damage: a later release said something,
//! and whoever listens ignores it. Unknown fields are skipped. Kinds and tags are never used again
//! for something else; `core/tests/wire.rs` holds the bytes of each kind.

use bytes::Bytes;
use tribune_api::http::{OwnedRequest, Response};
use tribune_base::codec::{self, Field, Reader, Writer};
use tribune_base::id::{Index, ServerId};
use tribune_base::time::Duration;
use tribune_raft as raft;
use tribune_state::{Command, Outcome};

use crate::area::Area;

use super::{Founder, Hello, Proposal, Proposed, Rejected, Wire};

/// Why bytes are not a message. Whoever sent them is at fault; the listener counts and ignores them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// No release of ours says this.
    #[error("malformed message: {0}")]
    Malformed(#[from] codec::DecodeError),
    /// A later release may say this.
    #[error("unknown message {kind}: the sender is of a later release")]
    Unknown {
        /// The number of the kind.
        kind: u64,
    },
}

impl Wire {
    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(64);
        writer.u64(KIND, self.kind());
        match self {
            Self::Raft(message) => writer.present_bytes(BODY, &message.to_bytes()),
            Self::Hello(hello) => writer.nested(BODY, |it| hello.encode(it)),
            Self::Gather { servers } | Self::Gathered { servers } | Self::Found { servers } => {
                writer.nested(BODY, |it| {
                    servers.iter().for_each(|server| it.nested(1, |it| server.encode(it)));
                });
            }
            Self::Welcome => {}
            Self::Propose(proposals) => writer.nested(BODY, |it| {
                proposals.iter().for_each(|proposal| it.nested(1, |it| proposal.encode(it)));
            }),
            Self::Proposed(results) => writer.nested(BODY, |it| {
                results.iter().for_each(|result| it.nested(1, |it| result.encode(it)));
            }),
            Self::Ask { serial, request, last } => writer.nested(BODY, |it| {
                it.u64(1, *serial);
                it.nested(2, |it| request.encode(it));
                it.bool(3, *last);
            }),
            Self::Forget { serial } => writer.nested(BODY, |it| it.u64(1, *serial)),
            Self::Here { address } => writer.nested(BODY, |it| it.str(3, address)),
            Self::ReadRows { serial, node } => writer.nested(BODY, |it| {
                it.u64(1, *serial);
                it.str(3, node);
            }),
            Self::Rows { serial, rows } => writer.nested(BODY, |it| {
                it.u64(1, *serial);
                if let Some(rows) = rows {
                    it.bytes(2, &Command::Register((**rows).clone()).encode());
                }
            }),
            Self::Forward { serial, from, datacenter, patience, request } => {
                writer.nested(BODY, |it| {
                    it.u64(1, *serial);
                    it.nested(2, |it| request.encode(it));
                    it.str(3, from);
                    it.str(4, datacenter);
                    it.u64(5, u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
                });
            }
            Self::Answer { serial, response } | Self::Forwarded { serial, response } => {
                writer.nested(BODY, |it| {
                    it.u64(1, *serial);
                    if let Some(response) = response {
                        it.nested(2, |it| response.encode(it));
                    }
                });
            }
            Self::Retract { serial } => writer.nested(BODY, |it| it.u64(1, *serial)),
            Self::Exchange { area, serial, from, request } => writer.nested(BODY, |it| {
                it.u64(1, *serial);
                it.bytes(2, request);
                it.str(3, from);
                it.bool(4, *area == Area::Wan);
            }),
            Self::Exchanged { area, serial, answer } => writer.nested(BODY, |it| {
                it.u64(1, *serial);
                it.bytes(2, answer);
                it.bool(4, *area == Area::Wan);
            }),
        }
        writer.finish()
    }

    /// Read what [`encode`](Self::encode) wrote, here or in another release.
    ///
    /// # Errors
    ///
    /// It is no message, or none that this release knows.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut kind, mut body) = (0, Bytes::new());
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.field()? {
            match field.tag {
                KIND => kind = field.u64()?,
                BODY => body = field.bytes()?,
                _ => {}
            }
        }
        let list = || Reader::new(body.clone());
        Ok(match kind {
            RAFT => Self::Raft(raft::Message::from_bytes(body)?),
            HELLO => Self::Hello(Box::new(Hello::decode(Reader::new(body))?)),
            GATHER => Self::Gather { servers: each(list(), Founder::decode)? },
            GATHERED => Self::Gathered { servers: each(list(), Founder::decode)? },
            FOUND => Self::Found { servers: each(list(), Founder::decode)? },
            WELCOME => Self::Welcome,
            PROPOSE => Self::Propose(each(list(), Proposal::decode)?),
            PROPOSED => Self::Proposed(each(list(), Proposed::decode)?),
            ASK => {
                let last = flag(Reader::new(body.clone()), 3)?;
                let (serial, request) = numbered(Reader::new(body), OwnedRequest::decode)?;
                Self::Ask { serial, request, last }
            }
            ANSWER => {
                let (serial, response) = answer(body)?;
                Self::Answer { serial, response }
            }
            FORGET => Self::Forget { serial: Numbered::read(body)?.serial },
            HERE => Self::Here { address: Numbered::read(body)?.text },
            READ_ROWS => {
                let Numbered { serial, text: node, .. } = Numbered::read(body)?;
                Self::ReadRows { serial, node }
            }
            ROWS => {
                let Numbered { serial, bytes, .. } = Numbered::read(body)?;
                // What this release does not understand, it compares with nothing.
                let rows = match Command::decode(bytes) {
                    Ok(Command::Register(rows)) => Some(Box::new(rows)),
                    Ok(_) | Err(_) => None,
                };
                Self::Rows { serial, rows }
            }
            EXCHANGE => {
                let Numbered { serial, bytes, text, wan } = Numbered::read(body)?;
                Self::Exchange { area: area(wan), serial, from: text, request: bytes }
            }
            EXCHANGED => {
                let Numbered { serial, bytes, wan, .. } = Numbered::read(body)?;
                Self::Exchanged { area: area(wan), serial, answer: bytes }
            }
            FORWARD => forward(Reader::new(body))?,
            FORWARDED => {
                let (serial, response) = answer(body)?;
                Self::Forwarded { serial, response }
            }
            RETRACT => Self::Retract { serial: Numbered::read(body)?.serial },
            0 => Err(codec::DecodeError::Missing { tag: KIND })?,
            _ => return Err(DecodeError::Unknown { kind }),
        })
    }

    const fn kind(&self) -> u64 {
        match self {
            Self::Raft(_) => RAFT,
            Self::Hello(_) => HELLO,
            Self::Gather { .. } => GATHER,
            Self::Gathered { .. } => GATHERED,
            Self::Found { .. } => FOUND,
            Self::Welcome => WELCOME,
            Self::Propose(_) => PROPOSE,
            Self::Proposed(_) => PROPOSED,
            Self::Ask { .. } => ASK,
            Self::Answer { .. } => ANSWER,
            Self::Forget { .. } => FORGET,
            Self::Here { .. } => HERE,
            Self::ReadRows { .. } => READ_ROWS,
            Self::Rows { .. } => ROWS,
            Self::Exchange { .. } => EXCHANGE,
            Self::Exchanged { .. } => EXCHANGED,
            Self::Forward { .. } => FORWARD,
            Self::Forwarded { .. } => FORWARDED,
            Self::Retract { .. } => RETRACT,
        }
    }
}

/// A number, and an answer or none.
fn answer(body: Bytes) -> Result<(u64, Option<Box<Response>>), codec::DecodeError> {
    let (mut reader, mut serial, mut response) = (Reader::new(body), 0, None);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => serial = field.u64()?,
            // One without any fields is one, too.
            2 => response = Some(Box::new(Response::decode(field.nested()?)?)),
            _ => {}
        }
    }
    Ok((serial, response))
}

/// A [`Wire::Forward`].
fn forward(mut reader: Reader) -> Result<Wire, codec::DecodeError> {
    let (mut serial, mut request) = (0, None);
    let (mut from, mut datacenter, mut patience) = (String::new(), String::new(), Duration::ZERO);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => serial = field.u64()?,
            2 => request = Some(OwnedRequest::decode(field.nested()?)?),
            3 => from = text(&field)?,
            4 => datacenter = text(&field)?,
            5 => patience = Duration::from_millis(field.u64()?),
            _ => {}
        }
    }
    let request = request.ok_or(codec::DecodeError::Missing { tag: 2 })?;
    Ok(Wire::Forward { serial, from, datacenter, patience, request })
}

/// A list: field 1, as often as there are items.
fn each<T>(
    mut reader: Reader,
    decode: impl Fn(Reader) -> Result<T, codec::DecodeError>,
) -> Result<Vec<T>, codec::DecodeError> {
    let mut items = Vec::new();
    while let Some(field) = reader.field()? {
        if field.tag == 1 {
            items.push(decode(field.nested()?)?);
        }
    }
    Ok(items)
}

/// A serial number in field 1, and what it numbers in field 2.
fn numbered<T>(
    mut reader: Reader,
    decode: impl Fn(Reader) -> Result<T, codec::DecodeError>,
) -> Result<(u64, T), codec::DecodeError> {
    let (mut serial, mut item) = (0, None);
    while let Some(field) = reader.field()? {
        match field.tag {
            1 => serial = field.u64()?,
            2 => item = Some(decode(field.nested()?)?),
            _ => {}
        }
    }
    Ok((serial, item.ok_or(codec::DecodeError::Missing { tag: 2 })?))
}

/// Whether the field `tag` is there and set.
fn flag(mut reader: Reader, tag: u32) -> Result<bool, codec::DecodeError> {
    let mut set = false;
    while let Some(field) = reader.field()? {
        if field.tag == tag {
            set = field.bool()?;
        }
    }
    Ok(set)
}

/// A serial number in field 1, and beside it bytes in field 2, a text in field 3 and a flag in field
/// 4, if any.
#[derive(Default)]
struct Numbered {
    serial: u64,
    bytes: Bytes,
    text: String,
    wan: bool,
}

impl Numbered {
    fn read(body: Bytes) -> Result<Self, codec::DecodeError> {
        let (mut reader, mut this) = (Reader::new(body), Self::default());
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.serial = field.u64()?,
                2 => this.bytes = field.bytes()?,
                3 => this.text = text(&field)?,
                4 => this.wan = field.bool()?,
                _ => {}
            }
        }
        Ok(this)
    }
}

impl Hello {
    fn encode(&self, writer: &mut Writer) {
        writer.nested(1, |it| self.server.encode(it));
        writer.str(2, &self.name);
        writer.str(3, &self.datacenter);
        writer.str(4, &self.version);
        writer.u64(5, self.protocol.0);
        writer.u64(6, self.protocol.1);
        writer.u64(7, self.expect);
        writer.bool(8, self.fresh);
        writer.bool(9, self.wants_answer);
        self.known.iter().for_each(|it| writer.present_bytes(10, it.as_bytes()));
        writer.bool(11, self.leaving);
        writer.u64(12, self.lan_port.into());
    }

    fn decode(mut reader: Reader) -> Result<Self, codec::DecodeError> {
        let mut this = Self {
            server: Founder { id: ServerId(0), address: String::new() },
            name: String::new(),
            datacenter: String::new(),
            version: String::new(),
            protocol: (0, 0),
            expect: 0,
            fresh: false,
            leaving: false,
            wants_answer: false,
            lan_port: 0,
            known: Vec::new(),
        };
        let mut introduced = false;
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => {
                    this.server = Founder::decode(field.nested()?)?;
                    introduced = true;
                }
                2 => this.name = text(&field)?,
                3 => this.datacenter = text(&field)?,
                4 => this.version = text(&field)?,
                5 => this.protocol.0 = field.u64()?,
                6 => this.protocol.1 = field.u64()?,
                7 => this.expect = field.u64()?,
                8 => this.fresh = field.bool()?,
                9 => this.wants_answer = field.bool()?,
                10 => this.known.push(text(&field)?),
                11 => this.leaving = field.bool()?,
                12 => this.lan_port = u16::try_from(field.u64()?).map_err(|_| field.senseless())?,
                _ => {}
            }
        }
        if introduced { Ok(this) } else { Err(codec::DecodeError::Missing { tag: 1 }) }
    }
}

impl Founder {
    fn encode(&self, writer: &mut Writer) {
        writer.u128(1, self.id.0);
        writer.str(2, &self.address);
    }

    fn decode(mut reader: Reader) -> Result<Self, codec::DecodeError> {
        let (mut id, mut address) = (ServerId(0), String::new());
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => id = ServerId(field.u128()?),
                2 => address = text(&field)?,
                _ => {}
            }
        }
        Ok(Self { id, address })
    }
}

impl Proposal {
    fn encode(&self, writer: &mut Writer) {
        writer.u64(1, self.serial);
        writer.bytes(2, &self.command);
    }

    fn decode(mut reader: Reader) -> Result<Self, codec::DecodeError> {
        let (mut serial, mut command) = (0, Bytes::new());
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => serial = field.u64()?,
                2 => command = field.bytes()?,
                _ => {}
            }
        }
        Ok(Self { serial, command })
    }
}

impl Proposed {
    /// Fields: 1 the serial, then 2 an outcome and 4 its place in the log, or 3 why there is none.
    fn encode(&self, writer: &mut Writer) {
        writer.u64(1, self.serial);
        match &self.result {
            Ok((index, outcome)) => {
                writer.nested(2, |it| outcome.encode(it));
                writer.u64(4, index.0);
            }
            Err(rejected) => writer.u64(3, rejected.number()),
        }
    }

    fn decode(mut reader: Reader) -> Result<Self, codec::DecodeError> {
        let (mut serial, mut index, mut result) = (0, Index(0), None);
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => serial = field.u64()?,
                2 => result = Some(Ok(Outcome::decode(field.nested()?)?)),
                3 => result = Some(Err(Rejected::from_number(field.u64()?))),
                4 => index = Index(field.u64()?),
                _ => {}
            }
        }
        let result = result.ok_or(codec::DecodeError::Missing { tag: 2 })?;
        Ok(Self { serial, result: result.map(|outcome| (index, outcome)) })
    }
}

impl Rejected {
    const fn number(self) -> u64 {
        match self {
            Self::NotLeader => 1,
            Self::Overloaded => 2,
            Self::DiskFull => 3,
            Self::LeadershipLost => 4,
            Self::Unknown => 5,
        }
    }

    /// A reason of a later release tells this one nothing: whether the command was proposed is
    /// unknown here.
    const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::NotLeader,
            2 => Self::Overloaded,
            3 => Self::DiskFull,
            5 => Self::Unknown,
            _ => Self::LeadershipLost,
        }
    }
}

const fn area(wan: bool) -> Area {
    if wan { Area::Wan } else { Area::Lan }
}

fn text(field: &Field) -> Result<String, codec::DecodeError> {
    Ok(field.str()?.to_owned())
}

const KIND: u32 = 1;
const BODY: u32 = 2;

const RAFT: u64 = 1;
const HELLO: u64 = 2;
const GATHER: u64 = 3;
const GATHERED: u64 = 4;
const FOUND: u64 = 5;
const WELCOME: u64 = 6;
const PROPOSE: u64 = 7;
const PROPOSED: u64 = 8;
const ASK: u64 = 9;
const ANSWER: u64 = 10;
const FORGET: u64 = 11;
const READ_ROWS: u64 = 12;
const ROWS: u64 = 13;
const EXCHANGE: u64 = 14;
const EXCHANGED: u64 = 15;
const HERE: u64 = 16;
const FORWARD: u64 = 17;
const FORWARDED: u64 = 18;
const RETRACT: u64 = 19;
