//! What is due when. Deadlines are stored, never timers: whoever is asked too early does nothing.

use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};

use crate::config::Config;
use crate::leave::Leaving;
use crate::pool::Pool;

/// What comes again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timers {
    pub(crate) probe: Instant,
    /// `NEVER` while there is nothing to tell, or nobody.
    pub(crate) gossip: Instant,
    /// When the first gossip would have been: members do not all speak at once.
    gossip_phase: Instant,
    pub(crate) push_pull: Instant,
    pub(crate) reap: Instant,
    pub(crate) reconnect: Instant,
}

impl Timers {
    pub(crate) fn new(config: &Config, rng: &mut Rng, now: Instant) -> Self {
        let mut within = |interval: Duration| now + rng.up_to(interval);
        Self {
            probe: within(config.probe_interval),
            gossip: Instant::NEVER,
            gossip_phase: within(config.gossip_interval),
            push_pull: within(config.push_pull_interval),
            reap: within(config.reap_interval),
            reconnect: within(config.reconnect_interval),
        }
    }

    /// The earliest of them.
    fn next(&self) -> Instant {
        let Self { probe, gossip, push_pull, reap, reconnect, .. } = *self;
        probe.min(gossip).min(push_pull).min(reap).min(reconnect)
    }
}

impl Pool {
    /// Do what is due. May be called at any time.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let due = self.next_deadline();
        if self.leaving == Leaving::Done || now < due {
            return;
        }
        self.on_stall(now.since(due));
        self.continue_probe();
        self.continue_relays();
        self.judge_suspects();
        if self.timers.probe <= now {
            self.begin_probe();
        }
        if self.timers.push_pull <= now {
            // Pools that were formed at once would otherwise compare all at once, for ever.
            let every = self.config.push_pull_every(self.roster.live());
            self.timers.push_pull = now + every / 2 + self.rng.up_to(every);
            self.begin_push_pull();
        }
        if self.timers.reap <= now {
            self.timers.reap = now + self.config.reap_interval;
            self.reap();
        }
        if self.timers.reconnect <= now {
            self.timers.reconnect = now + self.config.reconnect_interval;
            self.reconnect();
        }
        self.end_queries();
        if self.timers.gossip <= now {
            self.gossip();
        }
        self.continue_leaving();
        self.check_invariants();
    }

    /// The earliest of everything that is due some time.
    pub(crate) fn next_deadline(&self) -> Instant {
        let mut next = self.timers.next().min(self.leaving.deadline());
        if let Some(probe) = &self.probe {
            next = next.min(probe.deadline());
        }
        if let Some((verdict, _)) = self.verdicts.first() {
            next = next.min(*verdict);
        }
        if !self.relays.is_empty() {
            next = next.min(self.relay_deadline());
        }
        next.min(self.queries.deadline())
    }

    /// There is something to tell: do so with the next gossip.
    pub(crate) fn arm_gossip(&mut self) {
        if self.timers.gossip != Instant::NEVER || self.broadcasts.is_empty() {
            return;
        }
        let interval = self.config.gossip_interval;
        let since = self.now.since(self.timers.gossip_phase).as_nanos();
        let into = Duration::from_nanos((since % interval.as_nanos().max(1)) as u64);
        self.timers.gossip = self.now + (interval - into);
    }

    /// Tell some members some news.
    fn gossip(&mut self) {
        self.timers.gossip = Instant::NEVER;
        let (now, dead_for) = (self.now, self.config.gossip_to_the_dead);
        let count = self.config.gossip_nodes;
        // The dead may be alive, and want to say so.
        let targets =
            self.pick(count, |_, it| it.state.is_live() || now.since(it.since) < dead_for);
        for to in &targets {
            if !self.broadcasts.is_empty() {
                self.send(*to, &[]);
            }
        }
        // With nobody to tell, it waits until somebody turns up.
        if !targets.is_empty() && !self.broadcasts.is_empty() {
            self.timers.gossip = self.now + self.config.gossip_interval;
        }
    }
}
