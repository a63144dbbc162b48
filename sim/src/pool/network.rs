//! Pools in memory: packets that get lost, streams that break, members that crash, stall and come
//! back, in one heap of events.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Config, ExchangeId, Identity, Output, Pool, Roster, Tags};

use super::oracle::Oracle;
use crate::moment::Moment;
use crate::world::heap::Heap;

/// What the network does to what is sent.
#[derive(Clone, Debug)]
pub struct Weather {
    /// The shortest way there.
    pub latency: Duration,
    /// How much longer it may be.
    pub jitter: Duration,
    /// How many of a thousand packets are lost.
    pub loss: u64,
    /// How many of a thousand come twice, the second time up to ten seconds late.
    pub duplication: u64,
    /// How many of a thousand are delivered to a member of another pool at the same host.
    pub misrouting: u64,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(500),
            jitter: Duration::from_micros(500),
            loss: 0,
            duplication: 0,
            misrouting: 0,
        }
    }
}

/// How a member is, apart from what it thinks.
#[derive(Debug)]
pub struct Host {
    /// `None` while it is down.
    pub pool: Option<Pool>,
    /// Who it is.
    pub identity: Identity,
    config: Arc<Config>,
    /// Counts its lives.
    life: u64,
    /// What came meanwhile.
    inbox: Vec<Happening>,
    /// Hosts in different groups cannot reach each other.
    pub group: u32,
    /// Its packets are lost, both ways; its streams are not.
    pub packets_blocked: bool,
    /// How it stalls, again and again.
    pub slow: Option<Slow>,
}

/// When a host does something. Apart from the rest of it, because there are many, and most of what
/// happens to them is that they are looked at and have nothing to do.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// When it will be asked next at the earliest.
    armed: Instant,
    /// When it wants to be asked.
    due: Instant,
    /// It does nothing until then.
    stalled_until: Instant,
}

/// Somebody who is now there and now not.
#[derive(Clone, Copy, Debug)]
pub struct Slow {
    /// For how long it does nothing, at most.
    pub stall_max: Duration,
    /// For how long it does something in between, at most.
    pub gap_max: Duration,
}

/// What is going to happen.
#[derive(Debug)]
enum Happening {
    Timer { host: usize },
    Packet { to: usize, from: SocketAddr, bytes: Bytes },
    Request { to: usize, from: usize, life: u64, id: ExchangeId, request: Bytes, until: Instant },
    Answer { to: usize, life: u64, id: ExchangeId, answer: Option<Bytes> },
    Stall { host: usize },
    Resume { host: usize },
}

/// Members, and the network between them. One seed decides everything.
#[derive(Debug)]
pub struct Network {
    /// What the network does.
    pub weather: Weather,
    /// Everybody, by number.
    pub hosts: Vec<Host>,
    /// By number, too.
    timings: Vec<Timing>,
    /// What must be true.
    pub oracle: Oracle,
    /// Ways that lead nowhere: from, to.
    pub blocked: BTreeSet<(usize, usize)>,
    heap: Heap<Happening>,
    now: Instant,
    rng: Rng,
    seed: u64,
    events: u64,
}

impl Network {
    /// Nobody yet.
    pub fn new(seed: u64) -> Self {
        Self {
            weather: Weather::default(),
            hosts: Vec::new(),
            timings: Vec::new(),
            oracle: Oracle::default(),
            blocked: BTreeSet::new(),
            heap: Heap::new(),
            now: Instant::START,
            rng: Rng::stream(seed, "network"),
            seed,
            events: 0,
        }
    }

    /// So many members that know each other.
    pub fn formed(seed: u64, config: &Config, count: usize) -> Self {
        let mut network = Self::new(seed);
        let identities: Vec<_> = (0..count).map(identity).collect();
        let roster: Roster = identities.iter().cloned().collect();
        let config = Arc::new(config.clone());
        for identity in identities {
            network.add(config.clone(), identity, roster.clone());
        }
        network
    }

    /// Somebody else, who knows those of `roster`. Returns its number.
    pub fn add(
        &mut self,
        config: impl Into<Arc<Config>>,
        identity: Identity,
        roster: Roster,
    ) -> usize {
        let host = self.hosts.len();
        self.hosts.push(Host {
            pool: None,
            identity,
            config: config.into(),
            life: 0,
            inbox: Vec::new(),
            group: 0,
            packets_blocked: false,
            slow: None,
        });
        let (armed, due) = (Instant::NEVER, Instant::NEVER);
        self.timings.push(Timing { armed, due, stalled_until: Instant::START });
        self.start(host, roster);
        host
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How much has happened.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Chance, for whoever plays fate.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// The members that are up, with their numbers.
    pub fn up(&self) -> impl Iterator<Item = (usize, &Pool)> {
        self.hosts.iter().enumerate().filter_map(|(n, it)| it.pool.as_ref().map(|it| (n, it)))
    }

    /// Have somebody do something, and do what follows from that.
    pub fn with<T>(&mut self, host: usize, act: impl FnOnce(&mut Pool, Instant) -> T) -> Option<T> {
        let now = self.now;
        let result = self.hosts[host].pool.as_mut().map(|it| act(it, now));
        self.pump(host);
        result
    }

    /// It is gone, without a word.
    pub fn crash(&mut self, host: usize) {
        self.hosts[host].pool = None;
        self.hosts[host].inbox.clear();
        self.oracle.down(host, self.now);
    }

    /// It comes back, and remembers nothing.
    pub fn restart(&mut self, host: usize) {
        self.start(host, Roster::default());
    }

    fn start(&mut self, host: usize, roster: Roster) {
        let now = self.now;
        let it = &mut self.hosts[host];
        assert!(it.pool.is_none(), "it is up");
        it.life += 1;
        let timing = &mut self.timings[host];
        (timing.stalled_until, timing.armed) = (now, Instant::NEVER);
        let seed = self.seed ^ (host as u64) << 20 ^ it.life;
        let pool = Pool::with_roster(it.config.clone(), it.identity.clone(), seed, now, roster);
        self.oracle.up(host, &pool, now);
        it.pool = Some(pool);
        self.pump(host);
    }

    /// It does nothing for a while: a long pause of a runtime, or of a virtual machine.
    pub fn stall(&mut self, host: usize, duration: Duration) {
        let until = self.now + duration;
        if self.timings[host].stalled_until < until {
            self.timings[host].stalled_until = until;
            self.push(until, Happening::Resume { host });
        }
        self.oracle.stalled(host, until);
    }

    /// From now on it stalls again and again.
    pub fn slow_down(&mut self, host: usize, slow: Slow) {
        self.hosts[host].slow = Some(slow);
        let at = self.now + self.rng.up_to(slow.gap_max);
        self.push(at, Happening::Stall { host });
    }

    /// Let so much time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(end, |_| false);
        self.now = end;
    }

    /// Let time pass until `done`, or until `end`. Whether it was done.
    pub fn run_until(&mut self, end: Instant, mut done: impl FnMut(&Self) -> bool) -> bool {
        while self.oracle.violation.is_none() {
            if done(self) {
                return true;
            }
            let Some((at, happening)) = self.heap.pop_until(moment(end)) else { break };
            self.now = Instant::from_start(Duration::from_nanos(at.0));
            self.events += 1;
            self.happen(happening);
        }
        self.now = self.now.max(end);
        false
    }

    fn happen(&mut self, happening: Happening) {
        let (Happening::Timer { host }
        | Happening::Packet { to: host, .. }
        | Happening::Request { to: host, .. }
        | Happening::Answer { to: host, .. }
        | Happening::Stall { host }
        | Happening::Resume { host }) = happening;
        let now = self.now;
        match happening {
            Happening::Stall { .. } => return self.begin_stall(host),
            Happening::Resume { .. } => return self.resume(host),
            Happening::Timer { .. }
            | Happening::Packet { .. }
            | Happening::Request { .. }
            | Happening::Answer { .. } => {}
        }
        if now < self.timings[host].stalled_until {
            match happening {
                // What is due is seen when it resumes.
                Happening::Timer { .. } => self.timings[host].armed = Instant::NEVER,
                Happening::Packet { .. }
                | Happening::Request { .. }
                | Happening::Answer { .. }
                | Happening::Stall { .. }
                | Happening::Resume { .. } => {
                    if self.hosts[host].inbox.len() < INBOX_MAX {
                        self.hosts[host].inbox.push(happening);
                    }
                }
            }
            return;
        }
        self.deliver(host, happening);
    }

    fn deliver(&mut self, host: usize, happening: Happening) {
        let now = self.now;
        if let Happening::Timer { .. } = happening {
            let timing = &mut self.timings[host];
            if timing.armed <= now {
                timing.armed = Instant::NEVER;
            }
            // What it waited for has come: no need to wake it.
            if now < timing.due {
                return self.arm(host);
            }
        }
        let it = &mut self.hosts[host];
        let life = it.life;
        match happening {
            Happening::Timer { .. } => {
                if let Some(pool) = &mut it.pool {
                    pool.handle_timeout(now);
                }
            }
            Happening::Packet { from, bytes, .. } => {
                if let Some(pool) = &mut it.pool {
                    pool.handle_packet(now, from, bytes);
                }
            }
            Happening::Request { from, life, id, request, until, .. } => {
                let addr = self.hosts[from].identity.addr;
                let pool = self.hosts[host].pool.as_mut().filter(|_| now < until);
                let answer = pool.and_then(|it| it.handle_exchange(now, addr, request));
                let at = now + self.delay();
                self.push(at, Happening::Answer { to: from, life, id, answer });
            }
            Happening::Answer { life: then, id, answer, .. } => {
                if let Some(pool) = it.pool.as_mut().filter(|_| then == life) {
                    pool.exchanged(now, id, answer);
                }
            }
            Happening::Stall { .. } | Happening::Resume { .. } => {}
        }
        self.pump(host);
    }

    fn begin_stall(&mut self, host: usize) {
        let Some(slow) = self.hosts[host].slow else { return };
        let stall = self.rng.up_to(slow.stall_max);
        self.stall(host, stall);
        let next = self.now + stall + self.rng.up_to(slow.gap_max);
        self.push(next, Happening::Stall { host });
    }

    /// First it sees what time it is, as a driver does, and then what has come.
    fn resume(&mut self, host: usize) {
        if self.now < self.timings[host].stalled_until || self.hosts[host].pool.is_none() {
            return;
        }
        self.deliver(host, Happening::Timer { host });
        for happening in std::mem::take(&mut self.hosts[host].inbox) {
            self.deliver(host, happening);
        }
    }

    /// Do what a member wants done, and ask it again when it wants to be asked.
    fn pump(&mut self, host: usize) {
        while let Some(output) = self.hosts[host].pool.as_mut().and_then(Pool::poll_output) {
            match output {
                Output::Packet { to, bytes } => self.send(host, to, bytes),
                Output::Exchange { id, to, request, timeout } => {
                    self.exchange(host, id, to, request, timeout);
                }
                other @ (Output::Joined { .. }
                | Output::Left
                | Output::Member(_)
                | Output::Event(_)
                | Output::Conflict { .. }
                | Output::Query(_)
                | Output::Answer { .. }
                | Output::QueryEnded { .. }) => {
                    self.oracle.observe(host, &self.hosts, &other, self.now);
                }
            }
        }
        let Some(pool) = &self.hosts[host].pool else { return };
        if self.oracle.thorough {
            self.oracle.check(host, pool, self.now);
        }
        let due = pool.poll_timeout().unwrap_or(Instant::NEVER);
        self.timings[host].due = due.max(self.now);
        self.arm(host);
    }

    fn arm(&mut self, host: usize) {
        let it = &mut self.timings[host];
        if it.due < it.armed {
            it.armed = it.due;
            let at = it.due;
            self.push(at, Happening::Timer { host });
        }
    }

    fn send(&mut self, from: usize, to: SocketAddr, bytes: Bytes) {
        let config = &self.hosts[from].config;
        if config.packet_len_max - config.packet_overhead < bytes.len() {
            self.oracle.too_long(from, bytes.len(), self.now);
        }
        let Some(mut to) = self.number(to) else { return };
        let lost = self.rng.chance(self.weather.loss, 1_000);
        let blocked = self.hosts[from].packets_blocked || self.hosts[to].packets_blocked;
        if lost || blocked || !self.reachable(from, to) {
            return;
        }
        if self.weather.misrouting != 0 && self.rng.chance(self.weather.misrouting, 1_000) {
            to = self.rng.below(self.hosts.len() as u64) as usize;
        }
        let source = self.hosts[from].identity.addr;
        if self.weather.duplication != 0 && self.rng.chance(self.weather.duplication, 1_000) {
            let at = self.now + self.delay() + self.rng.up_to(LATE_MAX);
            self.push(at, Happening::Packet { to, from: source, bytes: bytes.clone() });
        }
        let at = self.now + self.delay();
        self.push(at, Happening::Packet { to, from: source, bytes });
    }

    fn exchange(
        &mut self,
        from: usize,
        id: ExchangeId,
        to: SocketAddr,
        request: Bytes,
        timeout: Duration,
    ) {
        let life = self.hosts[from].life;
        let target = self.number(to);
        let reached = target.filter(|it| self.reachable(from, *it) && self.reachable(*it, from));
        // The connection is made first, and then the request goes there.
        let there = self.delay() + self.delay() + self.delay();
        let (at, happening) = match reached {
            Some(to) if self.hosts[to].pool.is_some() => {
                let until = self.now + timeout;
                (there, Happening::Request { to, from, life, id, request, until })
            }
            // The host is there and nobody listens.
            Some(_) => (there, Happening::Answer { to: from, life, id, answer: None }),
            None => (timeout, Happening::Answer { to: from, life, id, answer: None }),
        };
        self.push(self.now + at, happening);
    }

    fn reachable(&self, from: usize, to: usize) -> bool {
        self.hosts[from].group == self.hosts[to].group
            && (self.blocked.is_empty() || !self.blocked.contains(&(from, to)))
    }

    fn delay(&mut self) -> Duration {
        self.weather.latency + self.rng.up_to(self.weather.jitter)
    }

    fn push(&mut self, at: Instant, happening: Happening) {
        self.heap.push(moment(at), happening);
    }

    /// Whose address this is.
    pub fn number(&self, addr: SocketAddr) -> Option<usize> {
        let SocketAddr::V4(addr) = addr else { return None };
        let number = u32::from(*addr.ip()).checked_sub(u32::from(FIRST_ADDR))? as usize;
        (number < self.hosts.len()).then_some(number)
    }
}

/// The member of this number.
pub fn identity(number: usize) -> Identity {
    let ip = Ipv4Addr::from(u32::from(FIRST_ADDR) + number as u32);
    let id = NodeId(Uuid::from_entropy(number as u128 + 1));
    let tags: Tags = [("role", "node"), ("dc", "dc1"), ("build", "0.1.0")]
        .into_iter()
        .map(|(key, value)| (Arc::from(key), Arc::from(value)))
        .collect();
    Identity::new(format!("node-{number:05}"), id, SocketAddr::new(ip.into(), 8301), tags)
}

fn moment(at: Instant) -> Moment {
    Moment(u64::try_from(at.since_start().as_nanos()).unwrap_or(u64::MAX))
}

const FIRST_ADDR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// A second copy comes this late, at most.
const LATE_MAX: Duration = Duration::from_secs(10);
/// A socket's buffer holds so many packets.
const INBOX_MAX: usize = 1_024;
