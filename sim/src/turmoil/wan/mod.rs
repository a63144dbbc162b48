//! A world of three datacenters that know each other over the WAN: servers, client agents with
//! services, and clients that write, read, wait and look things up at home and elsewhere, while
//! something happens to the links between them or to what is behind those.
//!
//! ```text
//!   Story ──plan──> [ World ] steps turmoil, lets acts happen, and says so in the [ Weather ]
//!                       |                                              |
//!                  [ Journal ] <── news of agents, requests ──── [ Citizens ] ask and judge by it
//!                                                                      |
//!                                                                 [ Verdicts ]
//! ```
//!
//! # Where to start reading
//!
//! [`story`] has the names and what happens; `citizen` what clients expect; [`verdict`] what the
//! names of invariants mean.

mod at_home;
mod citizen;
pub mod journal;
pub mod ledger;
mod news;
pub mod story;
pub mod verdict;
pub mod weather;
mod world;

use tribune_base::time::Duration;

pub use journal::{Event, Journal};
pub use story::{STORIES, Story};
pub use verdict::{Verdicts, Violation};
use weather::Dc;

/// How large each datacenter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// How many servers it has.
    pub servers: usize,
    /// How many client agents, each with a service.
    pub agents: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { servers: 3, agents: 2 }
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was looked at, and whether it held.
    pub verdicts: Verdicts,
    /// What happened.
    pub journal: Journal,
    /// The agents and clients there were, by datacenter.
    pub places: Vec<(String, Vec<String>)>,
    /// Who told whom, if that was noted.
    pub letters: Vec<Letter>,
    /// Simulated time.
    pub elapsed: Duration,
    /// How many writes were acknowledged.
    pub acknowledged: u64,
}

/// A message between two agents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Letter {
    /// Whose: a number counted over all places.
    pub from: usize,
    /// To whom.
    pub to: usize,
    /// When it was sent.
    pub sent: Duration,
    /// When it arrived, if it did.
    pub arrived: Option<Duration>,
    /// What travels there: one of [`LANES`].
    pub lane: usize,
}

/// What travels between agents: consensus and requests within a datacenter, requests between two,
/// gossip of a datacenter, and gossip of all.
pub const LANES: [&str; 4] = ["rpc", "across", "gossip", "wan"];

/// How far a run is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Simulated time.
    pub elapsed: Duration,
    /// How long it may take at most.
    pub expected: Duration,
    /// What has happened since the last time.
    pub events: &'a [Event],
}

/// How many datacenters there are.
pub const DATACENTERS: usize = 3;

fn dc_name(dc: Dc) -> String {
    format!("dc{}", dc + 1)
}

fn server_name(dc: Dc, server: usize) -> String {
    format!("{}-n{}", dc_name(dc), server + 1)
}

fn agent_name(dc: Dc, agent: usize) -> String {
    format!("{}-a{}", dc_name(dc), agent + 1)
}

/// Where the service at a client agent says that it is.
const fn port(dc: Dc, agent: usize) -> u16 {
    (1_000 * (dc + 1) + agent) as u16
}
