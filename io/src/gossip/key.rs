//! One key, ready for use.

use std::fmt;

use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes192;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, KeyInit as _};
use tribune_base::json::{self, IllegalBase64};

/// A key of 16, 24 or 32 bytes, which decide between AES-128, AES-192 and AES-256.
#[derive(Clone)]
pub struct Key {
    bytes: Vec<u8>,
    pub(super) cipher: Cipher,
}

/// AES-GCM with a key in it.
#[derive(Clone)]
pub(super) enum Cipher {
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    Aes256(Box<Aes256Gcm>),
}

/// Why something is no key, in the words of the original. Whoever wrote it writes another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Not base64.
    #[error(transparent)]
    Base64(#[from] IllegalBase64),
    /// Of a length that no cipher takes.
    #[error("key size must be 16, 24 or 32 bytes")]
    Size,
}

impl Key {
    /// The key of these bytes.
    ///
    /// # Errors
    ///
    /// There are too few or too many, or a number in between.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let wrong = |_| KeyError::Size;
        let cipher = match bytes.len() {
            16 => Cipher::Aes128(Box::new(Aes128Gcm::new_from_slice(bytes).map_err(wrong)?)),
            24 => Cipher::Aes192(Box::new(AesGcm::new_from_slice(bytes).map_err(wrong)?)),
            32 => Cipher::Aes256(Box::new(Aes256Gcm::new_from_slice(bytes).map_err(wrong)?)),
            _ => return Err(KeyError::Size),
        };
        Ok(Self { bytes: bytes.to_vec(), cipher })
    }

    /// The key that `text` writes in base64.
    ///
    /// # Errors
    ///
    /// It is no base64, or of the wrong size.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Self::new(&json::base64_decode(text)?)
    }

    /// The key in base64, for files and for those who may know it.
    pub fn to_base64(&self) -> String {
        json::base64(&self.bytes)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Key {}

/// Keys do not belong into logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} bytes)", self.bytes.len())
    }
}

#[test]
fn keys_have_one_of_three_sizes() {
    for len in [16, 24, 32] {
        let key = Key::new(&vec![7; len]).unwrap();
        assert_eq!(Key::parse(&key.to_base64()), Ok(key));
    }
    for len in [0, 8, 15, 17, 31, 33] {
        assert_eq!(Key::new(&vec![7; len]), Err(KeyError::Size), "{len}");
    }
    assert_eq!(Key::parse("eHh4"), Err(KeyError::Size));
    let error = Key::parse("aGVsbG8").unwrap_err();
    assert_eq!(error.to_string(), "illegal base64 data at input byte 4");
}

#[test]
fn a_key_is_not_shown() {
    assert_eq!(format!("{:?}", Key::new(&[7; 16]).unwrap()), "Key(16 bytes)");
}
