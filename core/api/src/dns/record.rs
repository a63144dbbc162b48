//! Questions, answers and their rows, as plain data.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::prepared::Asker;

/// What somebody asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Question<'a> {
    /// The name as asked, letter case and all; labels separated by dots, the last dot optional.
    pub name: &'a str,
    /// The type of record asked for.
    pub kind: RecordKind,
    /// At most so many rows in the answer section: what the client's transport can carry.
    pub answers_max: usize,
    /// Who asks.
    pub asker: &'a Asker,
}

/// A type of record, as far as the zone has an opinion about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // Named as in RFC 1035, 2782, 3596 and 5936.
pub enum RecordKind {
    A,
    Aaaa,
    Any,
    Axfr,
    Cname,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
    /// A type this zone has no records of.
    Other,
}

/// A response code (RFC 1035, section 4.1.1), with the number it has on the wire.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Rcode {
    /// The name exists; whether it has records of the type asked for is another matter.
    #[default]
    NoError = 0,
    /// The packet makes no sense.
    FormErr = 1,
    /// There would be an answer, but it cannot be had now.
    ServFail = 2,
    /// No such name.
    NxDomain = 3,
    /// Not something this server does.
    NotImp = 4,
    /// Not our zone, and nobody to ask.
    Refused = 5,
}

/// What to say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Answer {
    /// Whether it went well, and if not, why.
    pub rcode: Rcode,
    /// This zone is ours to answer for.
    pub authoritative: bool,
    /// Somebody else may know: with recursors configured the question is theirs, and everything
    /// else here is what to say without them.
    pub recurse: bool,
    /// The datacenter that knows, if that is another one than ours. Everything else here is what to say
    /// if nobody knows such a datacenter.
    pub elsewhere: Option<String>,
    /// Rows were left out because of a limit.
    pub truncated: bool,
    /// The rows asked for, in the order drawn for this client.
    pub answers: Vec<Record>,
    /// Who is responsible.
    pub authority: Vec<Record>,
    /// What the client would ask next.
    pub additionals: Vec<Record>,
}

/// A row of the zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Whose row it is.
    pub owner: Owner,
    /// How long it may be remembered, in seconds.
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// The name a row belongs to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The name that was asked for, spelled as it was asked.
    Question,
    /// Another name, without the last dot.
    Name(String),
}

/// What a row says. Names are written without the last dot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RecordData {
    /// An address.
    A(Ipv4Addr),
    /// An address.
    Aaaa(Ipv6Addr),
    /// The owner is another name for this one.
    Cname(String),
    /// A server of the zone.
    Ns(String),
    /// The name of an address.
    Ptr(String),
    /// The zone itself (RFC 1035, section 3.3.13).
    Soa(Box<SoaData>),
    /// Where a service is (RFC 2782).
    Srv {
        /// The lowest is tried first. Always 1 in this zone.
        priority: u16,
        /// The share of clients among equals.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// Text, of any length: on the wire it becomes pieces of at most 255 bytes.
    Txt(String),
}

/// The start of authority (RFC 1035, section 3.3.13). Times in seconds.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs)] // Named as in the RFC.
pub struct SoaData {
    pub mname: String,
    pub rname: String,
    pub serial: u32,
    pub refresh: u32,
    pub retry: u32,
    pub expire: u32,
    pub minimum: u32,
}

impl Record {
    /// A row of the name that was asked for.
    pub const fn of_question(ttl: u32, data: RecordData) -> Self {
        Self { owner: Owner::Question, ttl, data }
    }

    /// A row of `name`.
    pub fn of(name: impl Into<String>, ttl: u32, data: RecordData) -> Self {
        Self { owner: Owner::Name(name.into()), ttl, data }
    }
}
