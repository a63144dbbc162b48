//! What the API answers, without a socket.

// A test that unwraps has failed where it should.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod golden;
mod properties;
mod server;
