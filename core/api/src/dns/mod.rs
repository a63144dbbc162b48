//! The catalog as a DNS zone: a question and a state snapshot in, an answer as plain data out.
//!
//! ```text
//!   Question ──name──> Lookup ──lookup──> instances ──service, host, alias──> Answer
//!                                 ^
//!                              Snapshot
//! ```
//!
//! A prepared query is executed here as it is over HTTP, and its instances are shown like a service's.
//!
//! Nothing here knows packets. What an answer may weigh in bytes is the encoder's concern; how many
//! rows it may have is not, because the additional section follows the rows that stay.
//!
//! # Where to start reading
//!
//! [`answer()`] is the whole zone on one screen; [`name`] is the grammar of its names.

mod alias;
mod answer;
mod config;
mod host;
mod lookup;
pub mod name;
mod record;
mod reverse;
mod service;
mod soa;
mod txt;
mod zone;

#[cfg(test)]
mod tests;

pub use answer::{answer, datacenter, unavailable};
pub use config::{Config, ServiceTtl, Soa};
pub use record::{Answer, Owner, Question, Rcode, Record, RecordData, RecordKind, SoaData};
