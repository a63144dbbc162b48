//! Beginning a cluster: so many servers that have nothing yet agree who they are.
//!
//! With `bootstrap_expect = 3`, the first three servers that hear of each other begin together. Two
//! groups must not begin that have a server in common: it could help each to a majority. So the first
//! of a group, by id, asks all the others, and each agrees to one group only; it begins when all have
//! agreed. Then all write the same first entry, and consensus takes over.
//!
//! ```text
//!   hello, hello ...          everybody learns who is there, and that they have nothing
//!   first ── Gather ──> all   shall we begin, exactly these?
//!   all ── Gathered ──> first yes; and to nobody else for a while
//!   first ── Found ──> all    we do
//! ```
//!
//! A server that starts with nothing takes no part in consensus before it has been told to, by
//! `Found` or by a leader's [`Wire::Welcome`]: it may have had a disk, and made promises on it that
//! it no longer knows.

use std::collections::BTreeSet;

use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};
use tribune_raft::Configuration;

use crate::event::Event;
use crate::node::Node;
use crate::roster::Roster;
use crate::wire::{Founder, Wire};

/// A server that may not take part in consensus yet.
#[derive(Debug, Default)]
pub(crate) struct Newcomer {
    /// The group it agreed to begin with, and when it last did.
    pledge: Option<(Vec<Founder>, Instant)>,
    /// The group it asked, when, and who has agreed.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    servers: Vec<Founder>,
    at: Instant,
    agreed: BTreeSet<ServerId>,
}

impl Node {
    /// Whether this server has no log, and so cannot have promised anything that it remembers.
    pub(crate) fn is_fresh(&self) -> bool {
        self.raft.last().index.0 == 0
    }

    /// Begin a cluster, if this is the server to do it and all are there.
    pub(crate) fn gather(&mut self) {
        let Some(servers) = self.founders() else { return };
        let (now, own) = (self.now, self.raft.id());
        if servers.first().is_none_or(|it| it.id != own) {
            return;
        }
        let Some(newcomer) = &mut self.newcomer else { return };
        // A pledge to another group stands, for as long as that group may count on it.
        if newcomer.is_pledged_to_others(&servers, own, &self.roster, now) {
            return;
        }
        let asked = newcomer.asked.as_ref();
        if asked.is_some_and(|it| it.servers == servers && now < it.at + ASK_INTERVAL) {
            return;
        }
        newcomer.pledge = Some((servers.clone(), now));
        newcomer.asked =
            Some(Asked { servers: servers.clone(), at: now, agreed: BTreeSet::from([own]) });
        for it in servers.iter().filter(|it| it.id != own) {
            self.say(it.id, Wire::Gather { servers: servers.clone() });
        }
    }

    /// The group to begin with: the first of those who have nothing and wait for as many. None, if
    /// there are too few, or if somebody has begun already.
    fn founders(&self) -> Option<Vec<Founder>> {
        let expect = self.config.bootstrap_expect;
        if expect < 2 || self.newcomer.is_none() {
            return None;
        }
        let own = Founder { id: self.raft.id(), address: self.own_address() };
        let mut servers = vec![own];
        for (_, known) in self.roster.servers() {
            if !known.hello.fresh {
                return None;
            }
            if known.hello.expect == expect && known.is_alive(self.now) {
                servers.push(known.hello.server.clone());
            }
        }
        servers.sort();
        let expect = usize::try_from(expect).unwrap_or(usize::MAX);
        (expect <= servers.len()).then(|| {
            servers.truncate(expect);
            servers
        })
    }

    /// The first of a group asks.
    pub(crate) fn on_gather(&mut self, from: ServerId, servers: Vec<Founder>) {
        let (now, own, expect) = (self.now, self.raft.id(), self.config.bootstrap_expect);
        let Some(newcomer) = &mut self.newcomer else { return };
        let fits = servers.first().is_some_and(|it| it.id == from)
            && servers.is_sorted()
            && servers.iter().any(|it| it.id == own)
            && servers.len() as u64 == expect;
        if !fits || newcomer.is_pledged_to_others(&servers, from, &self.roster, now) {
            return;
        }
        newcomer.pledge = Some((servers.clone(), now));
        self.say(from, Wire::Gathered { servers });
    }

    /// One of the group agrees.
    pub(crate) fn on_gathered(&mut self, from: ServerId, servers: Vec<Founder>) {
        let now = self.now;
        let Some(asked) = self.newcomer.as_mut().and_then(|it| it.asked.as_mut()) else { return };
        // What was agreed to must still stand everywhere when the others hear that it is done.
        if asked.servers != servers || asked.at + ASK_INTERVAL <= now {
            return;
        }
        asked.agreed.insert(from);
        if asked.agreed.len() < servers.len() {
            return;
        }
        let own = self.raft.id();
        for it in servers.iter().filter(|it| it.id != own) {
            self.say(it.id, Wire::Found { servers: servers.clone() });
        }
        self.found(servers);
    }

    /// The group begins.
    pub(crate) fn on_found(&mut self, from: ServerId, servers: Vec<Founder>) {
        let Some(newcomer) = &self.newcomer else { return };
        let pledged = newcomer.pledge.as_ref().is_some_and(|(group, _)| *group == servers);
        if pledged || self.are_all_fresh_but(from, &servers) {
            self.found(servers);
        }
    }

    /// Whether everybody of the group has been heard lately, and only `from` has begun. Then whoever
    /// missed the news may still act on it: nothing can have been decided without it.
    fn are_all_fresh_but(&self, from: ServerId, servers: &[Founder]) -> bool {
        let own = self.raft.id();
        servers.iter().any(|it| it.id == own)
            && servers.iter().filter(|it| it.id != own).all(|it| {
                self.roster.get(it.id).is_some_and(|known| {
                    known.is_alive(self.now) && (known.hello.fresh || it.id == from)
                })
            })
    }

    fn found(&mut self, servers: Vec<Founder>) {
        if !self.is_fresh() {
            return;
        }
        let count = servers.len();
        let voters = servers.into_iter().map(|it| (it.id, it.address));
        self.raft
            .bootstrap(self.now, Configuration::of_voters(voters))
            .expect("a server without any state can be told how to begin");
        self.newcomer = None;
        self.configured();
        self.outputs.push_back(crate::Output::Event(Event::Founded { servers: count }));
    }

    /// A member that has nothing missed the beginning: tell it again, if it was only that.
    pub(crate) fn repeat_found(&mut self, to: ServerId) {
        if self.raft.last().index.0 != 1 || self.raft.commit().0 != 0 {
            return;
        }
        let voters = self.raft.configuration().voters.iter();
        let servers = voters.map(|(id, it)| Founder { id: *id, address: it.clone() }).collect();
        self.say(to, Wire::Found { servers });
    }

    /// A leader wants this server, and knows that it has nothing.
    pub(crate) fn on_welcome(&mut self) {
        if self.newcomer.take().is_some() {
            self.outputs.push_back(crate::Output::Event(Event::Welcomed));
        }
    }
}

impl Newcomer {
    /// Whether another group may have begun that counts on this server. Not if `asker` is the first
    /// of it, and so the one who would know; nor if that one still had nothing long after it asked.
    fn is_pledged_to_others(
        &self,
        servers: &[Founder],
        asker: ServerId,
        roster: &Roster,
        now: Instant,
    ) -> bool {
        let Some((group, at)) = &self.pledge else { return false };
        let first = group.first().map(|it| it.id);
        let gave_up = first.and_then(|it| roster.get(it)).is_some_and(|first| {
            first.hello.fresh && *at + PLEDGE_MIN / 2 < first.heard && *at + PLEDGE_MIN < now
        });
        group != servers && first != Some(asker) && !gave_up
    }
}

/// How long a question to the group stands, and so how often it is asked.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a pledge binds at least: longer than the question stands, by more than clocks differ in
/// that time and messages are under way.
const PLEDGE_MIN: Duration = Duration::from_secs(10);
