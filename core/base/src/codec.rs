//! The binary encoding of everything that travels between agents or lies on disk.
//!
//! A message is a sequence of fields, each a tag and a value: the wire format of Protocol Buffers,
//! restricted to two shapes (numbers and bytes). A reader skips the tags it does not know, so a
//! newer sender is understood by an older reader; an absent field means zero or empty, so an older
//! sender is understood by a newer reader. Tags are never used again for something else.
//!
//! ```text
//!   message := field*
//!   field   := key:varint value        key = tag << 3 | shape
//!   value   := varint                  shape 0: numbers, flags, small enums
//!            | len:varint byte*        shape 2: bytes, texts, nested messages
//! ```
//!
//! Written by hand and not derived: readers here borrow from the input ([`Bytes`] are sliced, not
//! copied), and every length is checked *before* anything is allocated.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are not a message. Whoever sent them is at fault; nothing has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends inside a field.
    #[error("the message ends inside a field")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a number is longer than 64 bits")]
    Overlong,
    /// A shape that this format does not have.
    #[error("field {tag} has an unknown shape")]
    Shape {
        /// The field.
        tag: u32,
    },
    /// A field that cannot mean what it says.
    #[error("field {tag} makes no sense")]
    Value {
        /// The field.
        tag: u32,
    },
    /// Something without which the rest means nothing.
    #[error("field {tag} is missing")]
    Missing {
        /// The field.
        tag: u32,
    },
}

/// Appends fields to a message.
#[derive(Debug, Default)]
pub struct Writer(BytesMut);

impl Writer {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty message with room for `len` bytes.
    pub fn with_capacity(len: usize) -> Self {
        Self(BytesMut::with_capacity(len))
    }

    /// A number. Zero is not written: that is what an absent field means.
    pub fn u64(&mut self, tag: u32, value: u64) {
        if value != 0 {
            self.varint(u64::from(tag) << 3);
            self.varint(value);
        }
    }

    /// A flag.
    pub fn bool(&mut self, tag: u32, value: bool) {
        self.u64(tag, u64::from(value));
    }

    /// Bytes. None are not written.
    pub fn bytes(&mut self, tag: u32, value: &[u8]) {
        if !value.is_empty() {
            self.present_bytes(tag, value);
        }
    }

    /// Bytes that are written even if there are none: for lists of them, and for options.
    pub fn present_bytes(&mut self, tag: u32, value: &[u8]) {
        self.varint(u64::from(tag) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.put_slice(value);
    }

    /// A text.
    pub fn str(&mut self, tag: u32, value: &str) {
        self.bytes(tag, value.as_bytes());
    }

    /// 128 bits. Zero is not written.
    pub fn u128(&mut self, tag: u32, value: u128) {
        if value != 0 {
            self.present_bytes(tag, &value.to_be_bytes());
        }
    }

    /// A message inside this one, written even if it has no fields.
    pub fn nested(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.varint(u64::from(tag) << 3 | 2);
        // Written in place. Most are short: one byte is kept free for the length, and what is
        // longer moves.
        let at = self.0.len();
        self.0.put_u8(0);
        write(self);
        let len = self.0.len() - at - 1;
        if len < 0x80 {
            self.0[at] = len as u8;
            return;
        }
        self.varint(len as u64);
        self.0[at + 1..].rotate_left(len);
        self.0.copy_within(at + 1.., at);
        self.0.truncate(self.0.len() - 1);
    }

    /// The message.
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }

    /// How many bytes the message has so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn varint(&mut self, mut value: u64) {
        while 0x80 <= value {
            self.0.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }
}

/// Takes fields out of a message, one after the other.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
    at: usize,
}

/// One field, as it stood in the message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Which field.
    pub tag: u32,
    value: Value,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Value {
    Number(u64),
    Bytes(Bytes),
}

impl Reader {
    /// Read `bytes`.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field, or `None` at the end.
    ///
    /// # Errors
    ///
    /// The message ends inside a field or is malformed. The reader is then of no more use.
    pub fn field(&mut self) -> Result<Option<Field>, DecodeError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).map_err(|_| DecodeError::Overlong)?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                let end = self.at.checked_add(len).ok_or(DecodeError::Truncated)?;
                if self.bytes.len() < end {
                    return Err(DecodeError::Truncated);
                }
                let value = self.bytes.slice(self.at..end);
                self.at = end;
                Value::Bytes(value)
            }
            _ => return Err(DecodeError::Shape { tag }),
        };
        Ok(Some(Field { tag, value }))
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(DecodeError::Truncated)?;
            self.at += 1;
            // The tenth byte has room for one bit.
            if shift == 63 && 1 < byte || 63 < shift {
                return Err(DecodeError::Overlong);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        unreachable!("the loop ends with its tenth byte at the latest")
    }
}

impl Field {
    /// The field as a number.
    ///
    /// # Errors
    ///
    /// It is bytes.
    pub fn u64(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Number(value) => Ok(value),
            Value::Bytes(_) => Err(self.senseless()),
        }
    }

    /// The field as a number of at most 32 bits.
    ///
    /// # Errors
    ///
    /// It is bytes, or too large.
    pub fn u32(&self) -> Result<u32, DecodeError> {
        u32::try_from(self.u64()?).map_err(|_| self.senseless())
    }

    /// The field as a flag.
    ///
    /// # Errors
    ///
    /// It is bytes.
    pub fn bool(&self) -> Result<bool, DecodeError> {
        Ok(self.u64()? != 0)
    }

    /// The field as bytes, which share the message's memory.
    ///
    /// # Errors
    ///
    /// It is a number.
    pub fn bytes(&self) -> Result<Bytes, DecodeError> {
        match &self.value {
            Value::Bytes(value) => Ok(value.clone()),
            Value::Number(_) => Err(self.senseless()),
        }
    }

    /// The field as a text.
    ///
    /// # Errors
    ///
    /// It is a number, or not UTF-8.
    pub fn str(&self) -> Result<&str, DecodeError> {
        match &self.value {
            Value::Bytes(value) => str::from_utf8(value).map_err(|_| self.senseless()),
            Value::Number(_) => Err(self.senseless()),
        }
    }

    /// The field as 128 bits.
    ///
    /// # Errors
    ///
    /// It is a number, or not 16 bytes.
    pub fn u128(&self) -> Result<u128, DecodeError> {
        let bytes = self.bytes()?;
        let bytes = bytes.as_ref().try_into().map_err(|_| self.senseless())?;
        Ok(u128::from_be_bytes(bytes))
    }

    /// The field as a message of its own.
    ///
    /// # Errors
    ///
    /// It is a number.
    pub fn nested(&self) -> Result<Reader, DecodeError> {
        self.bytes().map(Reader::new)
    }

    /// What to say when the value cannot mean what it says.
    pub const fn senseless(&self) -> DecodeError {
        DecodeError::Value { tag: self.tag }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_come_back_in_order() {
        let mut writer = Writer::new();
        writer.u64(1, 300);
        writer.str(2, "web");
        writer.nested(3, |it| it.bool(1, true));
        writer.u128(4, 7);
        writer.u64(5, 0);

        let mut reader = Reader::new(writer.finish());
        let mut next = || reader.field().unwrap();
        assert_eq!(next().unwrap().u64(), Ok(300));
        assert_eq!(next().unwrap().str(), Ok("web"));
        let inner = next().unwrap().nested().unwrap().field().unwrap().unwrap();
        assert_eq!(inner.bool(), Ok(true));
        assert_eq!(next().unwrap().u128(), Ok(7));
        assert_eq!(next(), None, "zero is what an absent field means");
    }

    #[test]
    fn what_is_inside_may_be_long() {
        for len in [0, 1, 125, 126, 127, 128, 300, 16_383, 16_384, 70_000] {
            let text = vec![7; len];
            let mut writer = Writer::new();
            writer.u64(1, 5);
            writer.nested(2, |it| it.nested(3, |it| it.present_bytes(4, &text)));
            writer.u64(5, 6);
            let mut reader = Reader::new(writer.finish());
            assert_eq!(reader.field().unwrap().unwrap().u64(), Ok(5));
            let mut outer = reader.field().unwrap().unwrap().nested().unwrap();
            let mut inner = outer.field().unwrap().unwrap().nested().unwrap();
            assert_eq!(inner.field().unwrap().unwrap().bytes().unwrap(), text);
            assert_eq!(inner.field(), Ok(None));
            assert_eq!(outer.field(), Ok(None));
            assert_eq!(reader.field().unwrap().unwrap().u64(), Ok(6));
            assert_eq!(reader.field(), Ok(None));
        }
    }

    #[test]
    fn a_lie_about_a_length_allocates_nothing() {
        let mut reader =
            Reader::new(Bytes::from_static(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"));
        assert_eq!(reader.field(), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn numbers_survive(value: u64) {
            let mut writer = Writer::new();
            writer.u64(9, value);
            let read = Reader::new(writer.finish()).field().unwrap();
            prop_assert_eq!(read.map_or(0, |it| it.u64().unwrap()), value);
        }

        #[test]
        fn any_bytes_end_in_a_field_or_an_error(bytes: Vec<u8>) {
            let mut reader = Reader::new(Bytes::from(bytes));
            while let Ok(Some(_)) = reader.field() {}
        }
    }
}
