//! The program: its command line, its configuration and how an agent is put together.
//!
//! A command is a client of the HTTP API like any other and lives in [`cli`]; `tribune agent` is
//! the exception, which reads a [`config::Config`] and becomes an [`agent`].
//!
//! # Where to start reading
//!
//! [`cli::run`] dispatches. [`config::Sources::build`] turns files and flags into a configuration
//! or into the list of everything that is wrong with them.

#![forbid(unsafe_code)]

pub mod agent;
pub mod cli;
mod client;
pub mod config;
pub mod log;
pub mod pid;
pub mod signal;
mod watch;

// Whoever asks for it, and for whatever other package of the same build.
const _: () = assert!(!tribune_base::bug::PLANTABLE, "a server is never built with planted bugs");
