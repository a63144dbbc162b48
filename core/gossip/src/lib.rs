//! Who is there: SWIM membership with Lifeguard, Serf's events and network coordinates, as a pure
//! state machine.
//!
//! [`Pool`] is one member's part in one pool of agents. It reads no clock, draws no entropy of its
//! own and opens no socket: the caller hands in packets, answers and the time, and takes out
//! [`Output`]s until there are none.
//!
//! ```text
//!   handle_packet(now, from, packet) ─────┐                      ┌─> Output::Packet
//!   handle_exchange(now, from, request) ──┤ (returns the answer) ├─> Output::Exchange (then: exchanged)
//!   exchanged(now, id, answer) ───────────┼─> [ gossip::Pool ] ──┼─> Output::Member, Output::Event
//!   handle_timeout(now) ──────────────────┤                      ├─> Output::Query, Output::Answer
//!   join, leave, force_leave, fire, query ┘                      └─> Output::Joined, Output::Left
//! ```
//!
//! # The contract with the caller
//!
//! 1. After every call that takes `&mut self`, drain [`Pool::poll_output`] until it is `None`.
//! 2. Outputs are independent of each other, and may be performed in any order and at the same
//!    time. What is found out about one member comes in order.
//! 3. `now` never goes backwards.
//! 4. Each [`Output::Exchange`] is completed once, by [`Pool::exchanged`], in any order; within its
//!    timeout and a little, or with `None`.
//! 5. Packets are neither sealed nor authenticated here. Whoever does that has
//!    [`Config::packet_overhead`] bytes of each packet to do it in, and hands in what it believes.
//!
//! # Who believes what about whom
//!
//! Each member numbers what it says of itself: its *incarnation*. Others only ever say something
//! about one of these. Of two claims the greater holds, by incarnation first, and then alive <
//! suspect < dead < left: so it does not matter in which order news arrives, or how often, and
//! only the accused can clear itself, by a new incarnation.
//!
//! Above that, Lamport time orders who means to stay and who means to leave; whoever dies with the
//! intention to leave has left, and has not failed.
//!
//! # Packets
//!
//! News rides on packets that are sent anyway, and on some of their own while there is any. Every
//! packet names its version and its pool, and a stranger's is dropped: see [`codec`]. Every so
//! often two members compare all they know over a stream, by digest first: see `push_pull`.
//!
//! # Where to start reading
//!
//! [`Pool::handle_packet`] and [`Pool::handle_timeout`] are the whole protocol on two screens.
//! Probing is in `probe`, what becomes of claims in `claim`, of intentions in `intent`.

#![forbid(unsafe_code)]

mod awareness;
mod broadcast;
mod claim;
pub mod codec;
mod config;
mod event;
mod exchange;
mod intent;
mod lamport;
mod leave;
mod letter;
mod member;
pub mod message;
mod order;
mod output;
mod pool;
mod probe;
mod push_pull;
mod query;
mod reap;
mod roster;
mod suspicion;
mod timer;

pub use config::{Config, WAN};
pub use lamport::LTime;
pub use member::{Identity, Member, Status, Tags};
pub use output::{
    Change, Counters, EventError, ExchangeId, JoinError, MemberEvent, Output, Query, QueryId,
    Refusal, UserEvent,
};
pub use pool::Pool;
pub use query::QueryOptions;
pub use roster::Roster;
pub use tribune_base::coordinate::Coordinate;
