//! What gossip needs of the world: a socket for its packets, and that strangers neither read nor
//! write them.
//!
//! [`Packets`] is the socket. [`Keyring`] holds the keys of one pool, [`seal()`] and [`open`] use
//! them, and [`file`](mod@file) keeps them across restarts.

pub mod file;
mod key;
mod keyring;
mod packets;
mod seal;

pub use key::{Key, KeyError};
pub use keyring::{Keyring, KeyringError};
pub use packets::{Packet, Packets};
pub use seal::{NONCE_LEN, OVERHEAD, OpenError, open, seal};
