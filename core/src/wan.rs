//! The pool where the servers of all datacenters meet → who is asked for what belongs elsewhere.
//!
//! Nothing of a datacenter's own pool goes there, except who its servers are: every server brings in
//! those of its own datacenter that are not there yet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tribune_api::coordinate::DatacenterPlaces;
use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Change, Member, MemberEvent, Status};

use crate::area::Area;
use crate::event::Event;
use crate::gossip::{self, Gossip, News};
use crate::node::Node;
use crate::output::Output;

impl Node {
    /// The pool has news.
    pub(crate) fn on_wan_news(&mut self, news: News) {
        match news {
            News::Member(event) => self.on_wan_member(&event),
            News::Joined(id, response) => self.reply(id, response),
            // Nobody fires any there.
            News::Fired(_) => {}
            News::Keys(outcome) => self.keys_done(outcome),
            News::KeysWanted(query, order) => self.order_keys_for(query, order),
            News::Left => self.left_pool(Area::Wan),
        }
    }

    fn on_wan_member(&mut self, event: &MemberEvent) {
        self.outputs.push_back(Output::Event(Event::member(Area::Wan, event)));
        let member = &event.member;
        let id = ServerId::from(member.id);
        if let Some((datacenter, address)) = self.stands_for(member) {
            match event.change {
                Change::Join | Change::Update => {
                    let who = (id, &member.name);
                    self.router.found(&datacenter, who, address, &mut self.rng);
                }
                Change::Failed => {
                    self.router.failed(id);
                    self.doubt_guests(id);
                    self.doubt_across(id);
                }
                Change::Leave | Change::Reap => {
                    self.router.remove(id);
                    self.forget_guests(id);
                    self.ask_others_across(id);
                }
            }
        }
        self.chart();
    }

    /// The datacenter of a member, if it is another one, and where the server listens.
    fn stands_for(&self, member: &Member) -> Option<(String, String)> {
        let datacenter = member.tags.get("dc").filter(|it| ***it != *self.config.datacenter)?;
        Some((datacenter.to_string(), gossip::server(member)?.address))
    }

    /// Look where everybody is, if it is time.
    pub(crate) fn look_around(&mut self) {
        if self.gossip.place_at() <= self.now {
            self.chart();
        }
    }

    /// Look where everybody is.
    pub(crate) fn chart(&mut self) {
        let mut datacenters = Vec::new();
        if let Some(wan) = &self.wan {
            self.router.measure(|name| wan.distance(name));
            let own: Arc<str> = self.config.datacenter.as_str().into();
            let names = std::iter::once(own).chain(self.datacenters_nearest_first());
            let mut places = places(wan);
            let place = |name: Arc<str>| {
                let servers = places.remove(&name).unwrap_or_default();
                DatacenterPlaces { name, servers }
            };
            datacenters = names.map(place).collect();
        }
        self.gossip.place(self.now, datacenters);
    }

    /// Bring those servers of this datacenter into the pool of all that are not there.
    pub(crate) fn flood(&mut self) {
        let now = self.now;
        if now < self.flood_at {
            return;
        }
        let Some(wan) = &mut self.wan else { return self.flood_at = Instant::NEVER };
        self.flood_at = now + FLOOD_EVERY;
        let config = &self.config;
        let own = wan.own();
        let servers = self.gossip.members().filter(|it| gossip::server(it).is_some());
        let missing = servers.filter(|it| {
            let there = wan.member(&config.wan_name(&it.name));
            it.status == Status::Alive && there.is_none_or(|it| it.status != Status::Alive)
        });
        let addrs: Vec<_> = missing.flat_map(wan_addresses).filter(|it| *it != own).collect();
        wan.bring_in(now, addrs);
    }

    /// The servers of this datacenter are others: look at once who of them is missing elsewhere.
    pub(crate) fn flood_soon(&mut self) {
        if self.wan.is_some() {
            self.flood_at = self.now;
        }
    }
}

/// The servers in the pool of all, by datacenter, and where they are.
fn places(wan: &Gossip) -> BTreeMap<Arc<str>, BTreeMap<Arc<str>, tribune_gossip::Coordinate>> {
    let mut places: BTreeMap<Arc<str>, BTreeMap<_, _>> = BTreeMap::new();
    for member in wan.members().filter(|it| it.status != Status::Left) {
        let (Some(dc), Some(coordinate)) = (member.tags.get("dc"), wan.coordinate_of(&member.name))
        else {
            continue;
        };
        let node = member.name.strip_suffix(&**dc).and_then(|it| it.strip_suffix('.'));
        if let Some(node) = node {
            places.entry(Arc::clone(dc)).or_default().insert(node.into(), coordinate);
        }
    }
    places
}

/// Where a server of this datacenter may be reached in the pool of all. Some networks have no way
/// back to the address that others use.
fn wan_addresses(member: &Member) -> Vec<SocketAddr> {
    let tag = |name: &str| member.tags.get(name);
    let Some(port) = tag("wan_join_port").and_then(|it| it.parse().ok()) else { return Vec::new() };
    let told = tag("wan_join_addr").and_then(|it| it.parse::<IpAddr>().ok());
    let ips = told.into_iter().chain([member.addr.ip()]);
    ips.map(|ip| SocketAddr::new(ip, port)).collect()
}

/// How often it is looked who is missing.
const FLOOD_EVERY: Duration = Duration::from_secs(10);
