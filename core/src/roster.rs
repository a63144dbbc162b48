//! Who the servers of this datacenter are, and where.
//!
//! Servers say [`Hello`] to each other: to the addresses they were given until somebody answers, and
//! from then on to everybody they have heard of, so that knowing one of them is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};
use tribune_raft::Configuration;

use crate::event::Event;
use crate::leader::on_port;
use crate::node::Node;
use crate::output::Output;
use crate::wire::{Founder, Hello, Wire};

/// The servers this one has heard of, itself left out.
#[derive(Debug)]
pub(crate) struct Roster {
    servers: BTreeMap<ServerId, Known>,
    /// Where to look for servers: what this one was told, and what others have said.
    seeds: BTreeSet<Arc<str>>,
    /// Where the members of the cluster are, this server included, by its configuration.
    /// Invariant: what `servers` says is newer.
    addresses: BTreeMap<ServerId, Arc<str>>,
    /// Where those are that vote.
    voters: Arc<[String]>,
    /// Where this server itself listens.
    own: Arc<str>,
    next: Instant,
    /// Addresses that could not be believed, and were complained about.
    conflicts: BTreeSet<Arc<str>>,
    /// How many rounds of hellos there will be before one that asks the seeds, too.
    seeds_after: u64,
}

/// A server that has said hello.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) hello: Hello,
    pub(crate) address: Arc<str>,
    /// When it was last heard.
    pub(crate) heard: Instant,
    /// When to look again whether it is in the pool.
    meet_at: Instant,
}

impl Known {
    /// Whether it can be counted on at `now`.
    pub(crate) fn is_alive(&self, now: Instant) -> bool {
        now < self.heard + SILENCE_MAX
    }
}

impl Roster {
    pub(crate) fn new(join: &[String], own: String, now: Instant) -> Self {
        let own: Arc<str> = own.into();
        Self {
            servers: BTreeMap::new(),
            seeds: join.iter().map(|it| it.as_str().into()).collect(),
            addresses: BTreeMap::new(),
            voters: Arc::default(),
            own,
            next: now,
            conflicts: BTreeSet::new(),
            seeds_after: 0,
        }
    }

    /// Where `id` listens, by its own word, or else by that of the cluster's configuration.
    pub(crate) fn address(&self, id: ServerId) -> Option<&Arc<str>> {
        self.servers.get(&id).map(|it| &it.address).or_else(|| self.addresses.get(&id))
    }

    /// Everybody who has said hello, in order.
    pub(crate) fn servers(&self) -> impl Iterator<Item = (ServerId, &Known)> {
        self.servers.iter().map(|(id, it)| (*id, it))
    }

    pub(crate) fn get(&self, id: ServerId) -> Option<&Known> {
        self.servers.get(&id)
    }

    /// Where a member of the cluster is, this server included, by its configuration.
    pub(crate) fn member_address(&self, id: ServerId) -> Option<Arc<str>> {
        self.addresses.get(&id).cloned()
    }

    /// Where the voters are, by the configuration.
    pub(crate) fn voters(&self) -> Arc<[String]> {
        Arc::clone(&self.voters)
    }

    /// Where this server itself listens for others.
    pub(crate) fn own(&self) -> &Arc<str> {
        &self.own
    }

    fn configured(&mut self, configuration: &Configuration) {
        let located = configuration.members().filter_map(|id| {
            let address = configuration.address(id)?;
            Some((id, Arc::from(address)))
        });
        self.addresses = located.collect();
        let voters = configuration.members().filter(|id| configuration.is_voter(*id));
        let addresses = voters.filter_map(|id| configuration.address(id).map(str::to_owned));
        self.voters = addresses.collect();
    }

    pub(crate) fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// The next round of hellos is due at `now`.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.next = now;
    }

    /// Whom to say hello to, now that it is time.
    fn recipients(&self) -> BTreeSet<Arc<str>> {
        let mut to: BTreeSet<_> = self.servers.values().map(|it| Arc::clone(&it.address)).collect();
        to.extend(self.addresses.values().cloned());
        // Once somebody is known, seeds are asked when there are new ones, and now and then: another
        // part of the cluster may be there.
        if self.servers.is_empty() || self.seeds_after == 0 {
            to.extend(self.seeds.iter().cloned());
        }
        to
    }

    /// There may be somebody at `address`, who is to be found at once.
    pub(crate) fn seed(&mut self, address: &str, now: Instant) {
        if self.seeds.len() < SEEDS_MAX && self.seeds.insert(address.into()) {
            self.next = now.min(self.next);
            self.seeds_after = 0;
        }
    }
}

impl Node {
    /// Where this server listens for others.
    pub(crate) fn own_address(&self) -> String {
        self.roster.own().to_string()
    }

    /// Say something to another agent, if it is known where that is.
    pub(crate) fn say(&mut self, to: ServerId, message: Wire) {
        if let Some(to) = self.address(to).cloned() {
            self.outputs.push_back(Output::Send { to, message });
        }
    }

    /// Where another agent of this datacenter is, if it is believed to be there.
    pub(crate) fn address(&self, of: ServerId) -> Option<&Arc<str>> {
        self.roster.address(of).or_else(|| self.gossip.address(of))
    }

    /// Say hello, if it is time.
    pub(crate) fn greet(&mut self) {
        if self.now < self.roster.next {
            return;
        }
        let settled = self.raft.leader().is_some();
        let interval = if settled { HELLO_INTERVAL } else { HELLO_INTERVAL_SEARCHING };
        self.roster.next = self.now + interval;
        let own = Arc::clone(self.roster.own());
        let recipients = self.roster.recipients();
        self.roster.seeds_after = self.roster.seeds_after.checked_sub(1).unwrap_or(SEED_ROUNDS);
        for to in recipients {
            if to != own {
                let message = Wire::Hello(Box::new(self.hello(true)));
                self.outputs.push_back(Output::Send { to, message });
            }
        }
    }

    /// What this server says of itself.
    fn hello(&self, wants_answer: bool) -> Hello {
        let config = &self.config;
        Hello {
            server: Founder { id: self.raft.id(), address: self.own_address() },
            name: config.name.clone(),
            datacenter: config.datacenter.clone(),
            version: config.version.clone(),
            protocol: PROTOCOL,
            expect: config.bootstrap_expect,
            fresh: self.is_fresh(),
            leaving: self.is_leaving(),
            wants_answer,
            lan_port: config.serf_lan_port,
            known: self.roster.servers.values().map(|it| it.hello.server.address.clone()).collect(),
        }
    }

    /// Another server says who it is.
    pub(crate) fn on_hello(&mut self, from: ServerId, hello: Hello) {
        // Itself, by another of its addresses; or nobody who means this cluster.
        if from == self.raft.id() || hello.datacenter != self.config.datacenter {
            return;
        }
        let address: Arc<str> = hello.server.address.as_str().into();
        // An address is one server, and a server is at one address. As long as there is another one
        // that says so, this is a mistake.
        let (now, servers) = (self.now, &self.roster.servers);
        let differs = |(id, it): &(&ServerId, &Known)| (**id == from) != (it.address == address);
        if let Some((id, it)) = servers.iter().find(|it| differs(it) && it.1.is_alive(now)) {
            let event = Event::Conflict {
                known: (*id, it.address.to_string()),
                claimed: (from, address.to_string()),
            };
            if self.roster.conflicts.len() < SEEDS_MAX && self.roster.conflicts.insert(address) {
                self.outputs.push_back(Output::Event(event));
            }
            return;
        }
        if hello.wants_answer {
            let message = Wire::Hello(Box::new(self.hello(false)));
            self.outputs.push_back(Output::Send { to: Arc::clone(&address), message });
        }
        for known in &hello.known {
            if **known != **self.roster.own() {
                self.roster.seed(known, self.now);
            }
        }
        // Whoever was there before is gone.
        self.roster.servers.retain(|id, it| *id == from || it.address != address);
        // Not only the first time: that it was met then may have been lost, and two who have each
        // met somebody else do not look for each other.
        let before = self.roster.servers.get(&from).map_or(Instant::START, |it| it.meet_at);
        let meets = before <= now;
        let meet_at = if meets { now + MEET_INTERVAL } else { before };
        let gossips_at = on_port(&hello.server.address, hello.lan_port).filter(|_| meets);
        if let Some(addr) = gossips_at {
            self.gossip.meet(now, addr, from);
        }
        let known = Known { hello, address, heard: now, meet_at };
        if self.roster.servers.insert(from, known).is_none() {
            // Somebody new hears at once of all the others, and they of it.
            self.roster.next = self.now.min(self.roster.next);
        }
        self.gather();
        self.meet(from);
    }

    /// Forget who is neither heard of any more nor a member.
    pub(crate) fn forget_silent(&mut self) {
        let (now, members) = (self.now, self.raft.configuration());
        self.roster
            .servers
            .retain(|id, it| members.is_member(*id) || now < it.heard + FORGET_AFTER);
    }

    /// The cluster's configuration may be another.
    pub(crate) fn configured(&mut self) {
        self.roster.configured(self.raft.configuration());
    }
}

/// An address with a port: `10.0.0.1:8300`, `[::1]:8300`.
pub(crate) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The versions of [`Wire`] that this release speaks.
pub(crate) const PROTOCOL: (u64, u64) = (1, 1);

/// How often a server that is heard of, and is not in the pool, is asked to be.
const MEET_INTERVAL: Duration = Duration::from_secs(10);

/// How often everybody known is greeted.
const HELLO_INTERVAL: Duration = Duration::from_secs(1);

/// How often, while no leader is known: whoever starts a cluster watches.
const HELLO_INTERVAL_SEARCHING: Duration = Duration::from_millis(250);

/// How many rounds of hellos leave out the addresses that were configured, once somebody is known.
const SEED_ROUNDS: u64 = 30;

/// Addresses to look for servers at. More than any datacenter has servers.
const SEEDS_MAX: usize = 64;

/// Who has not been heard for so long is not counted on.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Who is no member and has not been heard for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60);
