//! Watches: somebody is told whenever a part of the catalog or of the keys changes.
//!
//! `tribune watch` and the agent's `watches` share all of it. A [`Plan`] says what to ask for, a
//! [`Watcher`] asks again and again by blocking queries, [`Progress`](progress::Progress) decides
//! what a change is, and a [`Handler`] is told.
//!
//! ```text
//!   parameters ──> [ plan ] ──> [ run ] <── blocking queries ──> agent
//!                                 │  progress: is it a change? where to wait next?
//!                                 │  form: how the original writes it
//!                                 └──> standard output, or [ handler ]
//! ```

mod definition;
mod form;
mod handler;
mod plan;
mod progress;
mod run;

pub(crate) use definition::Configured;
pub(crate) use form::write;
pub(crate) use handler::{Handler, HandlerError, Program, run};
pub(crate) use plan::{Plan, PlanError};
pub(crate) use run::{Step, Watcher};
