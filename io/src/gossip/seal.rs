//! Sealing: nobody without a key reads a message, or writes one.
//!
//! # Format, version 1
//!
//! ```text
//!   version: u8 = 1 │ nonce: 12 bytes │ the message, encrypted │ tag: 16 bytes
//! ```
//!
//! AES-GCM (NIST SP 800-38D) under the sender's primary key. The version and the caller's own
//! associated data, in this order, are authenticated as well: a message does not open as another
//! version's, nor in another place than the one it was meant for.
//!
//! A message does not say which key sealed it; who opens it tries them all, the primary one first.
//! Keys are few, and the primary one is nearly always right.
//!
//! # The nonce
//!
//! The caller says which, and never the same twice. All members of a pool share a key, so a counter
//! that begins at zero would repeat: each counts from a random one instead, and would have to be very
//! unlucky to meet another's (see [`Guard`](super::Guard)).

use aes_gcm::Nonce;
use aes_gcm::aead::{Aead as _, Payload};
use bytes::{BufMut as _, Bytes, BytesMut};

use super::key::{Cipher, Key};
use super::keyring::Keyring;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 12;

/// By how much a sealed message is longer than the message.
pub const OVERHEAD: usize = 1 + NONCE_LEN + TAG_LEN;

/// Why a message does not open. Whoever sent it is a stranger, or on the other side of a change of
/// keys; it is counted and dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Too short to be sealed.
    #[error("message is too short to be encrypted")]
    TooShort,
    /// Sealed by somebody newer, or not sealed at all.
    #[error("unsupported encryption version {0}")]
    Version(u8),
    /// Sealed under another key, for another place, or damaged.
    #[error("No installed keys could decrypt the message")]
    NoKey,
}

/// Seal `plain` under the primary key. `nonce` must not have been used with this key before; `aad`
/// is not sent, and whoever opens the message must know it.
pub fn seal(keyring: &Keyring, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Bytes {
    let aad = bound(aad);
    let sealed = encrypt(keyring.primary(), nonce, &aad, plain);
    let mut out = BytesMut::with_capacity(plain.len() + OVERHEAD);
    out.put_u8(VERSION);
    out.put_slice(&nonce);
    out.put_slice(&sealed);
    assert_eq!(out.len(), plain.len() + OVERHEAD, "the cipher changed the length");
    out.freeze()
}

/// The message in `sealed`, under whichever key it was sealed.
///
/// # Errors
///
/// It is none that any of our keys sealed for this place.
pub fn open(keyring: &Keyring, aad: &[u8], sealed: &[u8]) -> Result<Bytes, OpenError> {
    let (version, rest) = sealed.split_first().ok_or(OpenError::TooShort)?;
    if *version != VERSION {
        return Err(OpenError::Version(*version));
    }
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::TooShort)?;
    if rest.len() < TAG_LEN {
        return Err(OpenError::TooShort);
    }
    let aad = bound(aad);
    let plain = keyring.keys().iter().find_map(|key| decrypt(key, *nonce, &aad, rest));
    plain.map(Bytes::from).ok_or(OpenError::NoKey)
}

/// What is authenticated besides the message.
fn bound(aad: &[u8]) -> Vec<u8> {
    [&[VERSION], aad].concat()
}

fn encrypt(key: &Key, nonce: [u8; NONCE_LEN], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let (nonce, payload) = (Nonce::from(nonce), Payload { msg, aad });
    let sealed = match &key.cipher {
        Cipher::Aes128(cipher) => cipher.encrypt(&nonce, payload),
        Cipher::Aes192(cipher) => cipher.encrypt(&nonce, payload),
        Cipher::Aes256(cipher) => cipher.encrypt(&nonce, payload),
    };
    sealed.expect("messages are shorter than 64 GiB")
}

fn decrypt(key: &Key, nonce: [u8; NONCE_LEN], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    let (nonce, payload) = (Nonce::from(nonce), Payload { msg, aad });
    let plain = match &key.cipher {
        Cipher::Aes128(cipher) => cipher.decrypt(&nonce, payload),
        Cipher::Aes192(cipher) => cipher.decrypt(&nonce, payload),
        Cipher::Aes256(cipher) => cipher.decrypt(&nonce, payload),
    };
    plain.ok()
}

const VERSION: u8 = 1;
const TAG_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const AAD: &[u8] = b"dc1";

    fn key(n: u8) -> Key {
        Key::new(&[n; 32]).unwrap()
    }

    fn sealed(keyring: &Keyring, plain: &[u8]) -> Bytes {
        seal(keyring, [9; NONCE_LEN], AAD, plain)
    }

    #[test]
    fn what_is_sealed_opens_whatever_the_size_of_the_key() {
        for len in [16, 24, 32] {
            let keyring = Keyring::new(Key::new(&vec![1; len]).unwrap());
            for plain in [&b""[..], b"x", &[7; 1_400], &[0; 65_536]] {
                let sealed = sealed(&keyring, plain);
                assert_eq!(sealed.len(), plain.len() + OVERHEAD);
                assert_eq!(open(&keyring, AAD, &sealed).as_deref(), Ok(plain));
            }
        }
    }

    /// Version 1 as it was first written: a pool is upgraded one member at a time.
    #[test]
    fn the_format_stays_what_it_is() {
        let keyring = Keyring::new(Key::new(&[1; 16]).unwrap());
        let sealed = seal(&keyring, [2; NONCE_LEN], b"dc1", b"hello");
        let hex: String = sealed.iter().map(|it| format!("{it:02x}")).collect();
        assert_eq!(hex, "010202020202020202020202023b817c0fa94053001ec75259ab4211e281b3e37250");
    }

    #[test]
    fn a_key_is_changed_while_messages_are_under_way() {
        let (old, new) = (key(1), key(2));
        // Two members; one is always a step ahead of the other.
        let (mut ahead, mut behind) = (Keyring::new(old.clone()), Keyring::new(old.clone()));
        let understood = |one: &Keyring, other: &Keyring| {
            open(other, AAD, &sealed(one, b"m")).is_ok()
                && open(one, AAD, &sealed(other, b"m")).is_ok()
        };
        let steps: [fn(&mut Keyring, &Key, &Key); 3] = [
            |ring, _, new| ring.install(new.clone()),
            |ring, _, new| ring.make_primary(new).unwrap(),
            |ring, old, _| ring.remove(old).unwrap(),
        ];
        let first = sealed(&ahead, b"first");
        for (n, step) in steps.into_iter().enumerate() {
            step(&mut ahead, &old, &new);
            assert!(understood(&ahead, &behind), "step {n}");
            step(&mut behind, &old, &new);
            assert!(understood(&ahead, &behind), "step {n}");
            // As long as the old key is there, and no longer.
            let want = if n < 2 { Ok(&b"first"[..]) } else { Err(OpenError::NoKey) };
            assert_eq!(open(&behind, AAD, &first).as_deref().map_err(|it| *it), want);
        }
    }

    #[test]
    fn a_step_taken_too_early_is_not_understood() {
        let mut hasty = Keyring::new(key(1));
        hasty.install(key(2));
        hasty.make_primary(&key(2)).unwrap();
        let late = Keyring::new(key(1));
        assert_eq!(open(&late, AAD, &sealed(&hasty, b"m")), Err(OpenError::NoKey));
    }

    #[test]
    fn nothing_opens_that_was_touched_or_meant_for_another_place() {
        let keyring = Keyring::new(key(1));
        let sealed = sealed(&keyring, b"hello");
        for at in 0..sealed.len() {
            for bit in [1, 128] {
                let mut touched = sealed.to_vec();
                touched[at] ^= bit;
                assert!(open(&keyring, AAD, &touched).is_err(), "byte {at}");
            }
            let want =
                if at == 0 || at < OVERHEAD { OpenError::TooShort } else { OpenError::NoKey };
            assert_eq!(open(&keyring, AAD, &sealed[..at]), Err(want), "{at} bytes");
        }
        assert_eq!(open(&keyring, b"dc2", &sealed), Err(OpenError::NoKey));
        assert_eq!(open(&keyring, AAD, b"\0plain"), Err(OpenError::Version(0)));
    }
}
