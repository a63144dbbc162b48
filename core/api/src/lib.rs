//! What the HTTP and DNS interfaces mean, without HTTP or DNS.
//!
//! A request is parsed into a [`Plan`](plan::Plan): what it needs of the node. A read is then
//! answered from a state snapshot by a pure function, wherever the snapshot is; a write becomes a
//! command, and its outcome the answer.
//!
//! ```text
//!   http::Request ─> plan::plan ─┬─> Plan::Answer  (nothing else is needed)
//!                                ├─> Plan::Read    ─> Query::evaluate(snapshot) ─> Evaluation
//!                                ├─> Plan::Write   ─> Write::response(outcome)  ─> Response
//!                                ├─> Plan::Agent   ─> agent::perform(local)     ─> Response
//!                                ├─> Plan::Status  ─> StatusCall::response(facts)
//!                                ├─> Plan::Operator ─> operator::health(…)      ─> Response
//!                                ├─> Plan::Pool    (gossip's business)
//!                                └─> Plan::Remote  (another datacenter's business)
//! ```
//!
//! # Where to start reading
//!
//! [`plan::plan`] is the order in which a request is judged, [`route`] the table of endpoints. Each
//! endpoint lives in the file named after its URL prefix. Every status code that is not 200 comes
//! from [`error`].

#![forbid(unsafe_code)]

pub mod agent;
mod body;
mod catalog;
pub mod coordinate;
pub mod dns;
pub mod error;
pub mod event;
pub mod filter;
pub mod gate;
mod health;
pub mod http;
pub mod keyring;
mod kv;
pub mod operator;
mod params;
pub mod plan;
pub mod pool;
pub mod prepared;
mod pretty;
mod regexp;
mod render;
pub mod replication;
pub mod route;
mod status;
