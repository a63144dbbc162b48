//! Configuration: files, fragments and flags in, one [`Config`] out.
//!
//! ```text
//!   files, -hcl, flags ──> source ──> schema ──> merge ──> check ──> Config
//!                          (texts)   (known?)   (one tree) (sense?)
//! ```
//!
//! Later sources win: a scalar replaces, a list is appended to, a map is merged into. Every problem
//! is reported at once, with its origin, because an operator should not have to find out one
//! restart at a time.

mod address;
mod area;
mod check;
mod definition;
mod host;
mod key;
mod merge;
mod runtime;
mod schema;
mod source;

pub use host::Host;
pub(crate) use key::{Kind, kind_of};
pub use runtime::{
    Autopilot, Check, Config, Definition, Dns, Encrypt, Gossip, Http, Join, Leave, Level, Limits,
    Listen, Log, Ports, Raft, ScriptChecks, Soa, Ui, UnixSocket, Unsupported,
};
pub use source::{BuildError, Problem, Sources};
