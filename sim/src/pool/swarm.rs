//! Small pools in which everything goes wrong that a seed thinks of; then it stops, and all must
//! come to agree about the truth.

use std::sync::Arc;

use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Config, QueryOptions, Roster, Status, Tags};

use super::network::{Network, Weather, identity};
use super::oracle::Violation;

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What went wrong, if anything did.
    pub violation: Option<Violation>,
    /// How long it took after the last fault until everybody knew the truth.
    pub healed: Duration,
    /// Simulated time.
    pub simulated: Duration,
    /// What happened.
    pub events: u64,
    /// Two runs of one seed agree on this.
    pub hash: u64,
}

/// A pool, and what is wrong with it.
struct World {
    network: Network,
    /// Members of the pool of a datacenter; behind them are those of another one.
    count: usize,
    /// Nothing happens that could make anybody take the living for dead.
    calm: bool,
    serial: u64,
}

/// Play a seed.
pub fn run(seed: u64) -> Outcome {
    let mut world = World::new(seed);
    world.form();
    let end = world.network.now() + Duration::from_secs(world.below(240) + 60);
    while world.network.now() < end && world.network.oracle.violation.is_none() {
        let gap = Duration::from_millis(world.below(8_000));
        world.network.run(gap);
        world.bring_in();
        world.act();
    }
    let healed = world.heal();
    world.finish(healed)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut network = Network::new(seed);
        network.oracle.thorough = true;
        let draw = |network: &mut Network, values: &[u64]| {
            values[network.rng().below(values.len() as u64) as usize]
        };
        let calm = draw(&mut network, &[0, 1]) == 1;
        network.oracle.calm = calm;
        network.weather = Weather {
            latency: Duration::from_micros(500),
            jitter: Duration::from_millis(draw(&mut network, &[1, 20, 100])),
            loss: draw(&mut network, if calm { &[0, 20, 50] } else { &[0, 50, 200] }),
            duplication: draw(&mut network, &[0, 10, 100]),
            misrouting: 0,
        };
        let count = 3 + network.rng().below(8) as usize;
        Self { network, count, calm, serial: 0 }
    }

    /// Members of the datacenter come in one after the other, or have been there all the time; and
    /// at some hosts there are members of another pool.
    fn form(&mut self) {
        let config = Config::lan("dc1");
        let known = self.below(2) == 0;
        let roster: Roster = (0..self.count).map(identity).collect();
        for number in 0..self.count {
            let roster = if known { roster.clone() } else { Roster::default() };
            self.network.add(config.clone(), identity(number), roster);
        }
        if self.below(2) == 0 {
            let reconnect_interval = config.reconnect_interval;
            let wan = Config { reconnect_interval, servers_only: false, ..Config::wan() };
            let count = self.count;
            let identity = |number: usize| {
                let mut it = identity(number);
                it.name = format!("{}.dc1", it.name).into();
                it
            };
            let roster: Roster = (count..count + 3).map(identity).collect();
            for number in count..count + 3 {
                self.network.add(wan.clone(), identity(number), roster.clone());
            }
            self.network.weather.misrouting = 20;
        }
        self.bring_in();
    }

    /// As `retry_join` does: whoever is alone tries to come in.
    fn bring_in(&mut self) {
        for host in 0..self.count {
            let alone = self.network.hosts[host].pool.as_ref().is_some_and(|it| it.live() == 1);
            if !alone || self.network.oracle.is_leaving(host) {
                continue;
            }
            let by = self.below(self.count as u64) as usize;
            let addrs = [self.network.hosts[0].identity.addr, self.network.hosts[by].identity.addr];
            self.network.with(host, |pool, now| pool.join(now, addrs));
        }
    }

    /// Something goes wrong, or somebody does something.
    fn act(&mut self) {
        let host = self.below(self.count as u64) as usize;
        match self.below(if self.calm { 9 } else { 14 }) {
            0 | 1 => self.toggle(host),
            2 => self.leave(host),
            3 => self.force_leave(host),
            4 => self.set_tags(host),
            5 | 6 => self.fire(host),
            7 | 8 => {
                let stall = Duration::from_millis(self.below(2_500));
                self.network.stall(host, stall);
            }
            9 => {
                let stall = Duration::from_millis(self.below(30_000));
                self.network.stall(host, stall);
            }
            10 => {
                for host in 0..self.count {
                    self.network.hosts[host].group = self.below(2) as u32;
                }
            }
            11 => self.reconnect(),
            12 => {
                let to = self.below(self.count as u64) as usize;
                self.network.blocked.insert((host, to));
            }
            _ => {
                let blocked = &mut self.network.hosts[host].packets_blocked;
                *blocked = !*blocked;
            }
        }
    }

    /// Crash, or come back.
    fn toggle(&mut self, host: usize) {
        if self.network.hosts[host].pool.is_some() {
            if 2 < self.network.up().count() {
                self.network.crash(host);
            }
        } else {
            self.network.restart(host);
        }
    }

    fn leave(&mut self, host: usize) {
        if self.network.up().count() < 3 || self.network.oracle.left.contains(&host) {
            return;
        }
        if self.network.hosts[host].pool.as_ref().is_some_and(|it| 1 < it.live()) {
            self.network.oracle.leaving(host);
            self.network.with(host, |pool, now| pool.leave(now));
        }
    }

    /// Somebody declares that another one, which it takes for failed, has left.
    fn force_leave(&mut self, host: usize) {
        let prune = self.below(2) == 0;
        let Some(pool) = &self.network.hosts[host].pool else { return };
        let failed = pool.members().find(|it| it.status == Status::Failed);
        let Some(name) = failed.map(|it| it.name.clone()) else { return };
        self.network.oracle.forced(&name);
        let known = self.network.with(host, |pool, now| pool.force_leave(now, &name, prune));
        assert_eq!(known, Some(true), "it was there");
    }

    fn set_tags(&mut self, host: usize) {
        self.serial += 1;
        let serial = self.serial.to_string();
        let pairs = [("dc", "dc1"), ("serial", &*serial)];
        let tags: Tags = pairs.iter().map(|(k, v)| (Arc::from(*k), Arc::from(*v))).collect();
        self.network.with(host, |pool, now| pool.set_tags(now, tags));
    }

    fn fire(&mut self, host: usize) {
        self.serial += 1;
        let payload = bytes::Bytes::from(self.serial.to_string());
        self.network.with(host, |pool, now| {
            pool.fire(now, "event", payload.clone(), false).expect("it is short");
            let _ = pool.query(now, "query", payload, QueryOptions::default());
        });
    }

    fn reconnect(&mut self) {
        self.network.blocked.clear();
        for host in &mut self.network.hosts {
            host.group = 0;
            host.packets_blocked = false;
        }
    }

    /// Nothing goes wrong any more. How long it takes until everybody knows the truth.
    fn heal(&mut self) -> Duration {
        self.reconnect();
        self.network.weather.loss = 0;
        self.network.weather.duplication = 0;
        self.introduce();
        let start = self.network.now();
        while self.network.now() < start + HEAL_MAX && self.network.oracle.violation.is_none() {
            self.network.run(Duration::from_secs(1));
            self.bring_in();
            if self.agreed().is_ok() {
                break;
            }
        }
        if let Err(text) = self.agreed() {
            self.network.oracle.violate("GO-7", self.network.now(), text);
        }
        self.network.now().since(start)
    }

    /// Who has never heard of somebody, or was told to forget, does not look for them. An operator
    /// introduces them: nothing else brings together those who came back on two sides of a
    /// partition, or were declared gone there.
    fn introduce(&mut self) {
        for host in 0..self.count {
            let Some(pool) = &self.network.hosts[host].pool else { continue };
            let unknown = |it: &usize| {
                let identity = &self.network.hosts[*it].identity;
                pool.member(&identity.name).is_none().then_some(identity.addr)
            };
            let up = self.network.up().map(|(it, _)| it).filter(|it| *it < self.count);
            let addrs: Vec<_> = up.filter_map(|it| unknown(&it)).collect();
            if !self.network.oracle.is_leaving(host) {
                self.network.with(host, |pool, now| pool.join(now, addrs));
            }
        }
    }

    fn agreed(&self) -> Result<(), String> {
        let (oracle, hosts) = (&self.network.oracle, &self.network.hosts);
        let mut present = self.network.up().filter(|(host, _)| !oracle.left.contains(host));
        present.try_for_each(|(host, pool)| oracle.is_true(host, pool, hosts))
    }

    fn finish(self, healed: Duration) -> Outcome {
        let Self { network, .. } = self;
        let mut hash = network.events();
        for (_, pool) in network.up() {
            let text = format!("{:?}", pool.counters());
            hash = tribune_base::hash::fnv1a_from(hash, text.as_bytes());
        }
        Outcome {
            violation: network.oracle.violation.clone(),
            healed,
            simulated: network.now().since(Instant::START),
            events: network.events(),
            hash,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.network.rng().below(end)
    }
}

/// Three comparisons, and what a suspect may take.
const HEAL_MAX: Duration = Duration::from_secs(240);
