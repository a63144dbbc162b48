//! Which servers are well, which of them get a vote, and which are gone for good.
//!
//! The leader looks at all servers every two seconds. A server is *well* while it is alive, heard
//! of lately and close behind. One that has no vote and is well for long enough gets one. One that
//! is dead is removed, if enough voters stay: a dead voter counts against the quorum, so that after
//! it one failure less is survived. One change at a time; the next look finds the next.

use std::collections::BTreeMap;

use tribune_base::id::{Index, LogId, ServerId};
use tribune_base::time::{Duration, Instant};
use tribune_state::Autopilot as Settings;

/// A server at this moment, as far as the leader knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    /// Which.
    pub(crate) id: ServerId,
    /// Whether it has a vote.
    pub(crate) voter: bool,
    /// Whether it is there. The leader itself is.
    pub(crate) alive: bool,
    /// How long ago it was heard; zero for the leader, `None` if never.
    pub(crate) last_contact: Option<Duration>,
    /// The end of its log, as far as that is known.
    pub(crate) last_log: LogId,
}

/// What the leader should do about a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// It gets a vote.
    Promote(ServerId),
    /// It is gone.
    Remove(ServerId),
}

/// How a server is, and since when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Standing {
    /// Whether it is well.
    pub(crate) healthy: bool,
    /// Since when that has been so, without a break, as far as this leader has seen.
    pub(crate) since: Instant,
    /// Since when it has been missing. `None` if it is there.
    missing_since: Option<Instant>,
}

/// The care for servers, for one reign: a new leader knows nobody, and finds out.
#[derive(Debug)]
pub(crate) struct Autopilot {
    /// How often servers are asked to say something: one that is not asked may be silent.
    heartbeat_interval: Duration,
    standings: BTreeMap<ServerId, Standing>,
    healthy: bool,
    failure_tolerance: usize,
    /// Where the leader's log ended at the last look. What came since, a server need not have yet.
    expected: Option<Index>,
    next_look: Instant,
    next_promotion: Instant,
}

impl Autopilot {
    /// Nobody is known; the first look is due at `now`.
    pub(crate) fn new(now: Instant, heartbeat_interval: Duration) -> Self {
        Self {
            heartbeat_interval,
            standings: BTreeMap::new(),
            healthy: false,
            failure_tolerance: 0,
            expected: None,
            next_look: now,
            next_promotion: now,
        }
    }

    /// Look at all servers, the leader among them, whose log ends at `leader`. Returns what to do, or
    /// nothing before the next look is due. What was not done is said again.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        settings: &Settings,
        leader: LogId,
        servers: &[Seen],
    ) -> Option<Decision> {
        if now < self.next_look {
            return None;
        }
        self.next_look = now + LOOK_INTERVAL;
        self.standings.retain(|id, _| servers.iter().any(|it| it.id == *id));
        for server in servers {
            let healthy = self.is_well(settings, leader, server);
            self.note(now, server, healthy);
        }
        self.expected = Some(leader.index);
        self.sum_up(servers);
        self.missed(now, settings, servers)
            .map(Decision::Remove)
            .or_else(|| self.proven(now, settings, servers).map(Decision::Promote))
    }

    /// When the next look is due.
    pub(crate) const fn poll_timeout(&self) -> Instant {
        self.next_look
    }

    /// How a server is; `None` if it was not there at the last look.
    pub(crate) fn standing(&self, id: ServerId) -> Option<Standing> {
        self.standings.get(&id).copied()
    }

    /// Whether all servers are well.
    pub(crate) const fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// How many voters may fail before nothing can be committed any more.
    pub(crate) const fn failure_tolerance(&self) -> usize {
        self.failure_tolerance
    }

    fn is_well(&self, settings: &Settings, leader: LogId, server: &Seen) -> bool {
        let patience = settings.last_contact_threshold.saturating_add(self.heartbeat_interval);
        let expected = self.expected.unwrap_or(leader.index).min(leader.index);
        let enough = expected.0.saturating_sub(settings.max_trailing_logs);
        server.alive
            && server.last_contact.is_some_and(|it| it <= patience)
            && server.last_log.term == leader.term
            && enough <= server.last_log.index.0
    }

    fn note(&mut self, now: Instant, server: &Seen, healthy: bool) {
        let new = Standing { healthy, since: now, missing_since: None };
        let standing = self.standings.entry(server.id).or_insert(new);
        if standing.healthy != healthy {
            *standing = Standing { healthy, since: now, ..*standing };
        }
        standing.missing_since = (!server.alive).then(|| standing.missing_since.unwrap_or(now));
    }

    fn sum_up(&mut self, servers: &[Seen]) {
        let well = |it: &&Seen| self.standings[&it.id].healthy;
        let voters = servers.iter().filter(|it| it.voter);
        let quorum = voters.clone().count() / 2 + 1;
        self.failure_tolerance = voters.filter(well).count().saturating_sub(quorum);
        self.healthy = servers.iter().all(|it| self.standings[&it.id].healthy);
    }

    /// A server that is dead, and may be removed.
    fn missed(&self, now: Instant, settings: &Settings, servers: &[Seen]) -> Option<ServerId> {
        if !settings.cleanup_dead_servers {
            return None;
        }
        let is_dead = |it: &&Seen| {
            let since = self.standings[&it.id].missing_since;
            since.is_some_and(|it| it + DEAD_AFTER <= now)
        };
        let mut dead = servers.iter().filter(is_dead);
        if let Some(server) = dead.clone().find(|it| !it.voter) {
            return Some(server.id);
        }
        // All or none: a part of them would leave a group that survives less than it seems.
        let voter_count = servers.iter().filter(|it| it.voter).count();
        let dead_count = dead.clone().count();
        let few = dead_count <= voter_count.saturating_sub(1) / 2;
        let stay = (voter_count - dead_count) as u64;
        dead.next().filter(|_| few && settings.min_quorum <= stay).map(|it| it.id)
    }

    /// A server without a vote that has earned one.
    fn proven(&mut self, now: Instant, settings: &Settings, servers: &[Seen]) -> Option<ServerId> {
        if now < self.next_promotion {
            return None;
        }
        let is_proven = |it: &&Seen| {
            let standing = self.standings[&it.id];
            !it.voter
                && standing.healthy
                && standing.since + settings.server_stabilization_time <= now
        };
        let proven = servers.iter().find(is_proven).map(|it| it.id);
        if proven.is_none() {
            self.next_promotion = now + PROMOTION_INTERVAL;
        }
        proven
    }
}

/// How often the servers are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How often servers without a vote are considered for one.
const PROMOTION_INTERVAL: Duration = Duration::from_secs(10);

/// How long a server must be missing to count as dead. Missing is no more than silence towards the
/// leader, and a server that restarts is silent, too.
const DEAD_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
