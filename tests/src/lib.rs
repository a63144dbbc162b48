//! Black-box tests of the `tribune` binary, and the rules of the house that no compiler knows.
//!
//! The binary is driven as a user drives it: processes, sockets, files. What a process is and how
//! to talk to it is [`agent`]; everything else is in `tests/`.

pub mod agent;
pub mod client;
pub mod cluster;
pub mod dns;
pub mod network;
pub mod ports;
pub mod web;
