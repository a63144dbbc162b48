//! What gossip needs of the world: a socket for its packets, and that strangers neither read nor
//! write them.
//!
//! [`Packets`] is the socket. [`Guard`] stands before it and before the exchanges over streams.
//! [`Keyring`] holds the keys of one pool, [`seal()`] and [`open`] use them, and
//! [`file`](mod@file) keeps them across restarts.

pub mod file;
mod guard;
mod key;
mod keyring;
mod packets;
mod seal;

pub use guard::{Guard, Kind, Strictness};
pub use key::{Key, KeyError};
pub use keyring::{Keyring, KeyringError};
pub use packets::{Packet, Packets};
pub use seal::{NONCE_LEN, OVERHEAD, OpenError, open, seal};
