//! Log entries and their bytes.

use bytes::Bytes;
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::{Index, LogId, Term};

use crate::configuration::Configuration;

/// Terms and indexes of this size do not happen: a peer or a disk that speaks of them is broken,
/// and below it arithmetic cannot overflow.
pub(crate) const POSITION_MAX: u64 = 1 << 62;

/// One entry of the replicated log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name for ever.
    pub id: LogId,
    /// What it says.
    pub payload: Payload,
}

/// What an entry says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Payload {
    /// Nothing: a leader opens its term with it, to learn what its predecessors committed.
    Empty,
    /// Something for the replicated state. Opaque here.
    Command(Bytes),
    /// Who belongs to the group from here on.
    Configuration(Configuration),
}

impl Entry {
    /// What the entry costs, in bytes, near enough for limits.
    pub fn cost(&self) -> usize {
        const OVERHEAD: usize = 32;
        OVERHEAD
            + match &self.payload {
                Payload::Empty => 0,
                Payload::Command(bytes) => bytes.len(),
                Payload::Configuration(it) => 64 * it.members().count(),
            }
    }

    /// Its bytes, for the log and the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.cost());
        self.encode(&mut writer);
        writer.finish()
    }

    /// Read what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// It did not write these bytes.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        Self::decode(Reader::new(bytes))
    }

    /// Fields: 1 term, 2 index, then 3 a command or 4 a configuration or neither.
    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u64(1, self.id.term.0);
        writer.u64(2, self.id.index.0);
        match &self.payload {
            Payload::Empty => {}
            Payload::Command(bytes) => writer.present_bytes(3, bytes),
            Payload::Configuration(it) => writer.nested(4, |writer| it.encode(writer)),
        }
    }

    pub(crate) fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self { id: LogId::default(), payload: Payload::Empty };
        while let Some(field) = reader.field()? {
            match field.tag {
                1 => this.id.term = Term(position(field.u64()?, field.senseless())?),
                2 => this.id.index = Index(position(field.u64()?, field.senseless())?),
                3 => this.payload = Payload::Command(field.bytes()?),
                4 => this.payload = Payload::Configuration(Configuration::decode(field.nested()?)?),
                _ => {}
            }
        }
        // There is no entry before the first.
        if this.id.index == Index(0) { Err(DecodeError::Missing { tag: 2 }) } else { Ok(this) }
    }
}

/// `value`, if it can be a term or an index.
pub(crate) fn position(value: u64, senseless: DecodeError) -> Result<u64, DecodeError> {
    if value < POSITION_MAX { Ok(value) } else { Err(senseless) }
}

#[test]
fn an_empty_command_is_not_an_empty_entry() {
    let id = LogId::new(Term(3), Index(7));
    for payload in [Payload::Empty, Payload::Command(Bytes::new())] {
        let entry = Entry { id, payload };
        assert_eq!(Entry::from_bytes(entry.to_bytes()), Ok(entry));
    }
}
