//! What the HTTP and DNS interfaces mean, without HTTP or DNS.
//!
//! A request is parsed into a [`plan`]: what it needs of the node. A read is then answered from a
//! state snapshot by a pure function, wherever the snapshot is; a write becomes a command.

#![forbid(unsafe_code)]

pub mod dns;
pub mod error;
pub mod http;
pub mod plan;
