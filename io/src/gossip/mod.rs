//! What gossip needs of the world: a socket.

mod packets;

pub use packets::{Packet, Packets};
