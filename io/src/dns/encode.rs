//! Rows as bytes (RFC 1035, section 4), with names compressed (section 4.1.4).
//!
//! The general encoder of the library takes several microseconds for an answer, most of them for
//! allocating names, and stops compressing after some dozens of them. An answer of ours is a few
//! kinds of rows, mostly of the very name that was asked for; the tests read them back with the
//! library.

use hickory_proto::op::Query;
use tribune_api::dns::{Owner, Record, RecordData};

/// Writes one message at the end of a buffer.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    buf: &'a mut Vec<u8>,
    /// Where the message starts in `buf`.
    start: usize,
    names: &'a mut Names,
    /// How many rows there are in each section.
    counts: [u16; 4],
}

/// Where names have been written, by the hash of what they are from there on.
///
/// A name that is overwritten by another is merely not found again.
#[derive(Debug)]
pub(super) struct Names {
    places: Box<[u16; PLACES]>,
    compress: bool,
}

/// Which rows these are. The number is their place in the header's counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Section {
    Answer = 1,
    Authority = 2,
    Additional = 3,
}

/// What is in the header, other than counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) opcode: u8,
    pub(super) authoritative: bool,
    pub(super) truncated: bool,
    pub(super) recursion_desired: bool,
    pub(super) recursion_available: bool,
    pub(super) checking_disabled: bool,
    /// Four bits; what is above is in the OPT row.
    pub(super) rcode: u8,
}

/// A name that cannot be written: a label is empty or too long, or all of them are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Unwritable;

impl<'a> Writer<'a> {
    /// Start a message at the end of `buf`.
    pub(super) fn new(buf: &'a mut Vec<u8>, names: &'a mut Names, compress: bool) -> Self {
        names.places.fill(0);
        names.compress = compress;
        let start = buf.len();
        buf.resize(start + HEADER_LEN, 0);
        Self { buf, start, names, counts: [0; 4] }
    }

    /// How long the message is so far.
    pub(super) fn len(&self) -> usize {
        self.buf.len() - self.start
    }

    /// Write the question, whose name is `text`: it is what [`Owner::Question`] means afterwards.
    pub(super) fn question(&mut self, query: &Query, text: &str) {
        let mut places = [0; LABELS_MAX];
        let mut count = 0;
        for label in query.name().iter() {
            places[count] = self.len() as u16;
            count += 1;
            self.buf.push(label.len() as u8);
            self.buf.extend_from_slice(label);
        }
        self.buf.push(0);
        for (hash, place) in suffixes(text).iter().zip(&places[..count]) {
            self.names.places[hash.place()] = *place;
        }
        self.put_u16(query.query_type().into());
        self.put_u16(query.query_class().into());
        self.counts[0] += 1;
    }

    /// Write a row, if the message stays within `len_max`. Returns false if it would not.
    ///
    /// A row whose names cannot be names in DNS is left out: nobody could ask for them.
    pub(super) fn row(&mut self, section: Section, record: &Record, len_max: usize) -> bool {
        let before = self.buf.len();
        let written = self.try_row(record);
        let fits = self.len() <= len_max;
        if written.is_ok() && fits {
            self.counts[section as usize] += 1;
        } else {
            self.buf.truncate(before);
        }
        written.is_err() || fits
    }

    /// Write the OPT row (RFC 6891, section 6.1.2). `subnet` is the body of a client subnet option.
    pub(super) fn opt(&mut self, len_max: u16, rcode_high: u8, ok: bool, subnet: Option<&[u8]>) {
        self.buf.push(0);
        self.put_u16(OPT);
        self.put_u16(len_max);
        self.put_u32(u32::from(rcode_high) << 24 | u32::from(ok) << 15);
        match subnet {
            Some(subnet) => {
                let len = subnet.len() as u16;
                self.put_u16(len + 4);
                self.put_u16(CLIENT_SUBNET);
                self.put_u16(len);
                self.buf.extend_from_slice(subnet);
            }
            None => self.put_u16(0),
        }
        self.counts[Section::Additional as usize] += 1;
    }

    /// Write the header, now that everything else is known.
    pub(super) fn finish(self, header: Header) {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = 0x8000
            | u16::from(header.opcode & 0xf) << 11
            | flag(header.authoritative, 0x0400)
            | flag(header.truncated, 0x0200)
            | flag(header.recursion_desired, 0x0100)
            | flag(header.recursion_available, 0x0080)
            | flag(header.checking_disabled, 0x0010)
            | u16::from(header.rcode & 0xf);
        let [questions, answers, authority, additionals] = self.counts;
        let fields = [header.id, flags, questions, answers, authority, additionals];
        let room = &mut self.buf[self.start..self.start + HEADER_LEN];
        for (room, field) in room.chunks_exact_mut(2).zip(fields) {
            room.copy_from_slice(&field.to_be_bytes());
        }
    }

    fn try_row(&mut self, record: &Record) -> Result<(), Unwritable> {
        match &record.owner {
            // The question's name is always at the same place.
            Owner::Question if self.names.compress => self.put_u16(POINTER | HEADER_LEN as u16),
            Owner::Question => self.question_again(),
            Owner::Name(name) => self.name(name, self.names.compress)?,
        }
        let kind = match &record.data {
            RecordData::A(_) => 1,
            RecordData::Ns(_) => 2,
            RecordData::Cname(_) => 5,
            RecordData::Soa(_) => 6,
            RecordData::Ptr(_) => 12,
            RecordData::Txt(_) => 16,
            RecordData::Aaaa(_) => 28,
            RecordData::Srv { .. } => 33,
        };
        self.put_u16(kind);
        self.put_u16(CLASS_IN);
        self.put_u32(record.ttl);

        let len_at = self.buf.len();
        self.put_u16(0);
        self.data(&record.data)?;
        let len = u16::try_from(self.buf.len() - len_at - 2).map_err(|_| Unwritable)?;
        self.buf[len_at..len_at + 2].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    fn data(&mut self, data: &RecordData) -> Result<(), Unwritable> {
        match data {
            RecordData::A(address) => self.buf.extend_from_slice(&address.octets()),
            RecordData::Aaaa(address) => self.buf.extend_from_slice(&address.octets()),
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => {
                self.name(name, self.names.compress)?;
            }
            RecordData::Soa(soa) => {
                self.name(&soa.mname, self.names.compress)?;
                self.name(&soa.rname, self.names.compress)?;
                for number in [soa.serial, soa.refresh, soa.retry, soa.expire, soa.minimum] {
                    self.put_u32(number);
                }
            }
            RecordData::Srv { priority, weight, port, target } => {
                [priority, weight, port].into_iter().for_each(|it| self.put_u16(*it));
                // Not every client could follow a pointer here (RFC 3597, section 4).
                self.name(target, false)?;
            }
            RecordData::Txt(text) if text.is_empty() => self.buf.push(0),
            RecordData::Txt(text) => {
                for piece in text.as_bytes().chunks(255) {
                    self.buf.push(piece.len() as u8);
                    self.buf.extend_from_slice(piece);
                }
            }
        }
        Ok(())
    }

    /// Write `name`, or what is new about it and a pointer to the rest.
    fn name(&mut self, name: &str, compress: bool) -> Result<(), Unwritable> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if NAME_LEN_MAX < name.len() {
            return Err(Unwritable);
        }
        let mut rest = name;
        for hash in suffixes(name).iter() {
            let place = &mut self.names.places[hash.place()];
            let known = usize::from(*place);
            let here = self.buf.len() - self.start;
            if known != 0 && is_at(&self.buf[self.start..], known, rest) {
                if compress {
                    self.put_u16(POINTER | known as u16);
                    return Ok(());
                }
            } else if here < usize::from(POINTER_MAX) {
                *place = here as u16;
            }
            let (label, after) = rest.split_once('.').unwrap_or((rest, ""));
            if label.is_empty() || LABEL_LEN_MAX < label.len() {
                return Err(Unwritable);
            }
            self.buf.push(label.len() as u8);
            self.buf.extend_from_slice(label.as_bytes());
            rest = after;
        }
        self.buf.push(0);
        Ok(())
    }

    fn question_again(&mut self) {
        let from = self.start + HEADER_LEN;
        let mut end = from;
        while self.buf[end] != 0 {
            end += 1 + usize::from(self.buf[end]);
        }
        self.buf.extend_from_within(from..=end);
    }

    fn put_u16(&mut self, number: u16) {
        self.buf.extend_from_slice(&number.to_be_bytes());
    }

    fn put_u32(&mut self, number: u32) {
        self.buf.extend_from_slice(&number.to_be_bytes());
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { places: Box::new([0; PLACES]), compress: true }
    }
}

/// Whether the bytes at `at` of `message` are `name`, following pointers.
fn is_at(message: &[u8], mut at: usize, name: &str) -> bool {
    for label in name.split('.') {
        let Some(start) = follow(message, at) else { return false };
        let end = start + 1 + label.len();
        let same = usize::from(message[start]) == label.len()
            && message.get(start + 1..end) == Some(label.as_bytes());
        if !same {
            return false;
        }
        at = end;
    }
    message.get(at) == Some(&0)
}

/// Where the label is that `at` points to, or is. Pointers of ours lead to earlier places only.
fn follow(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let high = *message.get(at)?;
        if u16::from(high) << 8 & POINTER != POINTER {
            return Some(at);
        }
        let to = usize::from(high & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
        if at <= to {
            return None;
        }
        at = to;
    }
}

/// The hash of each of a name's suffixes, the longest first.
fn suffixes(name: &str) -> Suffixes {
    let mut suffixes = Suffixes { hashes: [Hash(0); LABELS_MAX], start: LABELS_MAX };
    // FNV-1a, from the end, so that each suffix is a step on the way.
    let mut hash = 0x811c_9dc5_u32;
    for byte in name.bytes().rev() {
        if byte == b'.' {
            suffixes.push(Hash(hash));
        }
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    if !name.is_empty() {
        suffixes.push(Hash(hash));
    }
    suffixes
}

struct Suffixes {
    hashes: [Hash; LABELS_MAX],
    start: usize,
}

impl Suffixes {
    fn push(&mut self, hash: Hash) {
        // Names with more labels are too long to be written; this one will be found out.
        self.start = self.start.saturating_sub(1);
        self.hashes[self.start] = hash;
    }

    fn iter(&self) -> std::slice::Iter<'_, Hash> {
        self.hashes[self.start..].iter()
    }
}

#[derive(Clone, Copy)]
struct Hash(u32);

impl Hash {
    const fn place(self) -> usize {
        (self.0 ^ self.0 >> 16) as usize % PLACES
    }
}

/// How many names are remembered.
const PLACES: usize = 512;

/// RFC 1035, sections 2.3.4 and 4.1. A name of 253 letters takes 255 bytes.
const HEADER_LEN: usize = 12;
const LABEL_LEN_MAX: usize = 63;
const LABELS_MAX: usize = 128;
const NAME_LEN_MAX: usize = 253;

/// Two bits that say: this is not a label, the name goes on elsewhere.
const POINTER: u16 = 0xc000;
const POINTER_MAX: u16 = 0x4000;

const CLASS_IN: u16 = 1;
const OPT: u16 = 41;
/// RFC 7871, section 6.
const CLIENT_SUBNET: u16 = 8;
