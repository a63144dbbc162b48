//! Times and limits, with the reasons for each number.

use std::sync::Arc;

use tribune_base::time::Duration;

/// How a pool behaves. All members of a pool should have the same.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The pool's name, on every packet: whatever carries another one is a stranger's.
    pub pool: Arc<str>,
    /// The datacenter that members must have in their tag `dc`, if they must.
    pub datacenter: Option<Arc<str>>,
    /// Whether members must be servers of some datacenter: `role` is `consul`, and the name ends with
    /// a dot and what `dc` says.
    pub servers_only: bool,

    /// How often one member is probed. In a pool of any size each member is probed about once per
    /// interval, by somebody. Times the health score plus one.
    pub probe_interval: Duration,
    /// How long a direct probe may take before others are asked to try. About the 99th percentile
    /// of round trips; above half of `probe_interval`, little time is left for the others. Times
    /// the health score plus one.
    pub probe_timeout: Duration,
    /// How many others are asked to probe whom we cannot reach.
    pub indirect_checks: usize,
    /// A suspect has at least this many probe intervals, times the logarithm of the pool's size,
    /// to say that it lives. Two less than this is how many others must agree for that to suffice.
    pub suspicion_mult: u32,
    /// A suspect whom nobody else suspects has so many times as long.
    pub suspicion_max_mult: u32,
    /// Each member tells a piece of news this many times the logarithm of the pool's size. Less
    /// saves packets and leaves more to push/pull.
    pub retransmit_mult: u32,
    /// How often news is told, while there is some.
    pub gossip_interval: Duration,
    /// To how many at a time.
    pub gossip_nodes: usize,
    /// How long the dead are still told: they may be alive and want to say so.
    pub gossip_to_the_dead: Duration,
    /// How often all that is known is compared with some other member, in pools of up to 32.
    /// In larger ones less often, so that the whole pool's traffic grows with its logarithm.
    pub push_pull_interval: Duration,
    /// How long an exchange over a stream may take.
    pub exchange_timeout: Duration,
    /// One more than the worst health score.
    pub awareness_max: u32,
    /// How long the name of a dead member is kept for it.
    pub dead_reclaim: Duration,
    /// Whether members watch their own health, ask for nacks, tell a suspect that it is one, and
    /// let suspicions shrink (Lifeguard, Dadgar and others, 2018). Off only to measure what it is
    /// good for.
    pub lifeguard: bool,
    /// Whether acks carry coordinates.
    pub coordinates: bool,

    /// How often a failed member is tried again.
    pub reconnect_interval: Duration,
    /// How long a failed member is remembered.
    pub reconnect_timeout: Duration,
    /// How long a member that left is remembered.
    pub tombstone_timeout: Duration,
    /// How often the forgotten are looked for.
    pub reap_interval: Duration,
    /// How long news about an unknown member is kept in case it turns up.
    pub recent_intent_timeout: Duration,
    /// How many such there may be; the oldest go first.
    pub rumours_max: usize,
    /// How long a leaving member tries to tell each of its two pieces of news.
    pub broadcast_timeout: Duration,
    /// How long it stays after that, so that others can tell each other.
    pub leave_propagate_delay: Duration,

    /// How many Lamport times of user events are remembered. Older ones are dropped unseen.
    pub events_max: u64,
    /// Bytes of a user event's name and payload.
    pub event_len_max: usize,
    /// Bytes of a query's name and payload.
    pub query_len_max: usize,
    /// Bytes of an answer to a query.
    pub answer_len_max: usize,
    /// Whether a member that joins is told events from before.
    pub replay_events: bool,

    /// Bytes of a packet, with everything.
    pub packet_len_max: usize,
    /// Bytes of that which are left free, for whoever seals packets.
    pub packet_overhead: usize,
    /// Pieces of news that wait to be told, or twice the number of members if that is more. The
    /// oldest and most often told go first.
    pub broadcasts_max: usize,
    /// Exchanges under way that this member has begun. Beyond, none is begun.
    pub exchanges_max: usize,
    /// Probes under way on behalf of others. Beyond, the oldest is given up.
    pub relays_max: usize,
}

impl Config {
    /// For the agents of a datacenter: a second or two to suspect, seconds to be sure.
    pub fn lan(datacenter: impl Into<Arc<str>>) -> Self {
        let datacenter = datacenter.into();
        Self {
            pool: datacenter.clone(),
            datacenter: Some(datacenter),
            servers_only: false,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_checks: 3,
            suspicion_mult: 4,
            suspicion_max_mult: 6,
            retransmit_mult: 4,
            gossip_interval: Duration::from_millis(200),
            gossip_nodes: 3,
            gossip_to_the_dead: Duration::from_secs(30),
            push_pull_interval: Duration::from_secs(30),
            exchange_timeout: Duration::from_secs(10),
            awareness_max: 8,
            dead_reclaim: Duration::from_secs(30),
            lifeguard: true,
            coordinates: true,
            reconnect_interval: Duration::from_secs(30),
            reconnect_timeout: Duration::from_secs(72 * 3_600),
            tombstone_timeout: Duration::from_secs(24 * 3_600),
            reap_interval: Duration::from_secs(15),
            recent_intent_timeout: Duration::from_secs(5 * 60),
            rumours_max: 4_096,
            broadcast_timeout: Duration::from_secs(5),
            leave_propagate_delay: Duration::from_secs(3),
            events_max: 512,
            event_len_max: 512,
            query_len_max: 1_024,
            answer_len_max: 1_024,
            replay_events: false,
            packet_len_max: 1_400,
            packet_overhead: 48,
            broadcasts_max: 4_096,
            exchanges_max: 64,
            relays_max: 1_024,
        }
    }

    /// For the servers of all datacenters: as far apart as the planet allows, and in no hurry.
    pub fn wan() -> Self {
        Self {
            datacenter: None,
            servers_only: true,
            probe_interval: Duration::from_secs(5),
            probe_timeout: Duration::from_secs(3),
            suspicion_mult: 6,
            gossip_interval: Duration::from_millis(500),
            gossip_nodes: 4,
            gossip_to_the_dead: Duration::from_secs(60),
            push_pull_interval: Duration::from_secs(60),
            exchange_timeout: Duration::from_secs(30),
            ..Self::lan(WAN)
        }
    }

    /// For agents on one machine, where a tenth of a second is long.
    pub fn local(datacenter: impl Into<Arc<str>>) -> Self {
        Self {
            probe_interval: Duration::from_millis(100),
            probe_timeout: Duration::from_millis(100),
            suspicion_mult: 3,
            gossip_interval: Duration::from_millis(100),
            ..Self::lan(datacenter)
        }
    }

    /// Bytes of a packet that are for messages and their header.
    pub(crate) const fn packet_budget(&self) -> usize {
        self.packet_len_max.saturating_sub(self.packet_overhead)
    }

    /// How long a suspect has if others agree, in a pool of so many.
    pub fn suspicion_min(&self, members: usize) -> Duration {
        let scale = (members.max(1) as f64).log10().max(1.0);
        self.probe_interval.mul_f64(f64::from(self.suspicion_mult) * scale)
    }

    /// How often a piece of news is told by each member of a pool of so many.
    pub fn transmits_max(&self, members: usize) -> u32 {
        let scale = ((members + 1) as f64).log10().ceil() as u32;
        self.retransmit_mult * scale.max(1)
    }

    /// How often a member of a pool of so many compares all that it knows with another.
    pub fn push_pull_every(&self, members: usize) -> Duration {
        if members <= PUSH_PULL_SCALE {
            return self.push_pull_interval;
        }
        let scale = (members as f64).log2() - (PUSH_PULL_SCALE as f64).log2();
        self.push_pull_interval * (scale.ceil() as u32 + 1)
    }

    /// How long a query is open by default, in a pool of so many.
    pub fn query_timeout(&self, members: usize) -> Duration {
        let scale = ((members + 1) as f64).log10().ceil() as u32;
        self.gossip_interval * QUERY_MULT * scale.max(1)
    }

    /// How long after its beginning a probe without an answer has failed.
    pub(crate) fn probe_patience(&self) -> Duration {
        // Those who are asked to try need some time too.
        self.probe_interval.max(self.probe_timeout + self.probe_timeout / 2)
    }
}

/// The name of the WAN pool. No datacenter is called like that: their names have no dots.
pub const WAN: &str = ".wan";

/// Up to so many members, push/pull is not slowed down.
const PUSH_PULL_SCALE: usize = 32;
/// Gossip intervals, times the logarithm of the pool's size, that a query is open.
const QUERY_MULT: u32 = 16;

#[test]
fn numbers_grow_with_the_logarithm_of_the_pool() {
    let config = Config::lan("dc1");
    let table = [
        // Members, suspicion in seconds at least, transmissions, push/pull in seconds.
        (1, 4, 4, 30),
        (10, 4, 8, 30),
        (32, 6, 8, 30),
        (33, 6, 8, 60),
        (100, 8, 12, 90),
        (1_000, 12, 16, 180),
        (10_000, 16, 20, 300),
    ];
    for (members, suspicion, transmits, push_pull) in table {
        assert_eq!(config.suspicion_min(members).as_secs(), suspicion, "{members}");
        assert_eq!(config.transmits_max(members), transmits, "{members}");
        assert_eq!(config.push_pull_every(members).as_secs(), push_pull, "{members}");
    }
}
