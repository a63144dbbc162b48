//! What gossip needs of the world: for now, that strangers neither read nor write it.
//!
//! [`Keyring`] holds the keys of one pool, [`seal()`] and [`open`] use them, and [`file`](mod@file)
//! keeps them across restarts.

pub mod file;
mod key;
mod keyring;
mod seal;

pub use key::{Key, KeyError};
pub use keyring::{Keyring, KeyringError};
pub use seal::{NONCE_LEN, OVERHEAD, OpenError, open, seal};
