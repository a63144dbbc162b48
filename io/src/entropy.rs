//! The only source of entropy: the operating system, for seeds, identities and nonces.

use std::fs::File;
use std::io::{self, Read as _};

/// 128 bits nobody can guess.
///
/// # Errors
///
/// The operating system gives none: then nothing that needs an identity can start.
pub fn draw() -> io::Result<u128> {
    let mut bits = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bits)?;
    Ok(u128::from_be_bytes(bits))
}

#[test]
fn no_two_draws_are_alike() {
    assert_ne!(draw().unwrap(), draw().unwrap());
}
