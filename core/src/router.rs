//! Which server of another datacenter is asked.
//!
//! The nearest that is there, by the coordinates of the pool where all datacenters meet. Who is as
//! near is chosen by lot, once, so that different servers ask different ones, and each sticks to the
//! one it has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tribune_base::bug;
use tribune_base::id::ServerId;
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};

/// The servers of all other datacenters.
#[derive(Debug, Default)]
pub(crate) struct Router {
    /// Invariant: no datacenter without a server.
    datacenters: BTreeMap<Arc<str>, BTreeMap<ServerId, Remote>>,
}

/// A server of another datacenter.
#[derive(Clone, Debug)]
struct Remote {
    /// What it is called in the pool.
    name: Arc<str>,
    /// Where it listens for other servers.
    address: Arc<str>,
    /// Whether the pool believes that it is there.
    alive: bool,
    /// Until when it is asked after the others: it could not be reached.
    shunned_until: Instant,
    /// How far it is, if that is known.
    distance: Option<Duration>,
    /// Decides between those that are as near.
    lot: u64,
}

impl Router {
    /// There is a server, or it is somewhere else now.
    pub(crate) fn found(
        &mut self,
        datacenter: &str,
        (id, name): (ServerId, &Arc<str>),
        address: String,
        rng: &mut Rng,
    ) {
        // It may have been another datacenter's, before it was wiped.
        self.datacenters.retain(|dc, servers| {
            if **dc != *datacenter {
                servers.remove(&id);
            }
            !servers.is_empty()
        });
        let servers = self.datacenters.entry(datacenter.into()).or_default();
        let server = servers.entry(id).or_insert_with(|| Remote {
            name: Arc::clone(name),
            address: Arc::from(""),
            alive: true,
            shunned_until: Instant::START,
            distance: None,
            lot: rng.draw(),
        });
        server.name = Arc::clone(name);
        server.address = address.into();
        server.alive = true;
        server.shunned_until = Instant::START;
    }

    /// The pool believes that it is there no more. It may be back.
    pub(crate) fn failed(&mut self, id: ServerId) {
        if let Some(server) = self.get_mut(id) {
            server.alive = false;
        }
    }

    /// It has gone for good.
    pub(crate) fn remove(&mut self, id: ServerId) {
        self.datacenters.retain(|_, servers| {
            servers.remove(&id);
            !servers.is_empty()
        });
    }

    /// It could not be reached: the others are asked first, for a while.
    pub(crate) fn shun(&mut self, now: Instant, id: ServerId) {
        if let Some(server) = self.get_mut(id) {
            server.shunned_until = now + SHUN;
        }
    }

    /// It was reached.
    pub(crate) fn trust(&mut self, id: ServerId) {
        if let Some(server) = self.get_mut(id) {
            server.shunned_until = Instant::START;
        }
    }

    /// Note how far everybody is.
    pub(crate) fn measure(&mut self, distance: impl Fn(&str) -> Option<Duration>) {
        for server in self.datacenters.values_mut().flat_map(BTreeMap::values_mut) {
            server.distance = distance(&server.name);
        }
    }

    /// Whether anything is known of a datacenter.
    pub(crate) fn knows(&self, datacenter: &str) -> bool {
        self.datacenters.contains_key(datacenter)
    }

    /// The server of a datacenter to ask, and where it is, unless all were `tried`.
    pub(crate) fn next(
        &self,
        now: Instant,
        datacenter: &str,
        tried: &BTreeSet<ServerId>,
    ) -> Option<(ServerId, &Arc<str>)> {
        let servers = self.datacenters.get(datacenter)?;
        let shunned = |it: &Remote| now < it.shunned_until;
        if bug!(D03) && self.datacenters.values().any(|it| it.values().all(shunned)) {
            return None;
        }
        let untried = servers.iter().filter(|(id, _)| !tried.contains(id));
        let rank = |(_, it): &(&ServerId, &Remote)| {
            let near = it.distance.map_or(u32::MAX, nearness);
            (!it.alive && !bug!(D05), shunned(it) && !bug!(D05), near, it.lot)
        };
        untried.min_by_key(rank).map(|(id, it)| (*id, &it.address))
    }

    /// Where a server is.
    pub(crate) fn address(&self, id: ServerId) -> Option<&Arc<str>> {
        self.datacenters.values().find_map(|it| it.get(&id)).map(|it| &it.address)
    }

    /// Who is there.
    pub(crate) fn at(&self, address: &str) -> Option<ServerId> {
        let mut all = self.datacenters.values().flatten();
        all.find(|(_, it)| *it.address == *address).map(|(id, _)| *id)
    }

    /// The other datacenters, nearest first: by the median of their servers. Those of which it is
    /// not known come last, by name.
    pub(crate) fn nearest_first(&self) -> Vec<Arc<str>> {
        let mut all: Vec<_> = self.datacenters.iter().collect();
        all.sort_by_cached_key(|(name, servers)| (median(servers), Arc::clone(name)));
        all.into_iter().map(|(name, _)| Arc::clone(name)).collect()
    }

    /// How many other datacenters there are.
    pub(crate) fn len(&self) -> usize {
        self.datacenters.len()
    }

    fn get_mut(&mut self, id: ServerId) -> Option<&mut Remote> {
        self.datacenters.values_mut().find_map(|it| it.get_mut(&id))
    }
}

/// How far a datacenter is.
fn median(servers: &BTreeMap<ServerId, Remote>) -> Duration {
    let mut distances: Vec<_> = servers.values().filter_map(|it| it.distance).collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(Duration::MAX)
}

/// Distances with the same number are as near: coordinates are estimates, and move all the time.
fn nearness(distance: Duration) -> u32 {
    // Steps of a fifth or so, beyond a millisecond or two.
    ((1.0 + distance.as_secs_f64() * 1_000.0).log2() * 4.0).round() as u32
}

/// How long a server is asked last that could not be reached.
const SHUN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers 1 to 3 of `dc2`, at 5, 50 and 51 milliseconds, and server 4 of `dc3`, at 20.
    fn router(seed: u64) -> Router {
        let (mut router, mut rng) = (Router::default(), Rng::new(seed));
        for (id, datacenter) in [(1, "dc2"), (2, "dc2"), (3, "dc2"), (4, "dc3")] {
            let name = format!("n{id}.{datacenter}").into();
            let address = format!("10.0.0.{id}:8300");
            router.found(datacenter, (ServerId(id), &name), address, &mut rng);
        }
        router.measure(|name| {
            let ms = [("n1", 5), ("n2", 50), ("n3", 51), ("n4", 20)];
            let (_, ms) = ms.into_iter().find(|(it, _)| name.starts_with(it))?;
            Some(Duration::from_millis(ms))
        });
        router
    }

    fn order(router: &Router, now: Instant) -> Vec<u128> {
        let mut tried = BTreeSet::new();
        let next = |_| {
            let (id, _) = router.next(now, "dc2", &tried)?;
            tried.insert(id);
            Some(id.0)
        };
        (0..3).filter_map(next).collect()
    }

    #[test]
    fn the_nearest_is_asked_and_lots_decide_between_equals() {
        let orders: BTreeSet<_> =
            (0..20).map(|seed| order(&router(seed), Instant::START)).collect();
        assert_eq!(orders, BTreeSet::from([vec![1, 2, 3], vec![1, 3, 2]]));
    }

    #[test]
    fn whoever_cannot_be_reached_is_asked_last() {
        let (mut router, now) = (router(1), Instant::START);
        router.shun(now, ServerId(1));
        assert_eq!(order(&router, now)[2], 1);
        assert_eq!(order(&router, now + SHUN)[0], 1, "not for ever");
        router.shun(now, ServerId(1));
        router.trust(ServerId(1));
        assert_eq!(order(&router, now)[0], 1, "it was reached");
        // Who has failed comes after who could not be reached just now.
        router.failed(ServerId(1));
        router.shun(now, ServerId(2));
        assert_eq!(order(&router, now), [3, 2, 1]);
        router.remove(ServerId(3));
        assert_eq!(order(&router, now), [2, 1]);
    }

    /// Those who are asked instead answer as soon, so nobody else would notice.
    #[cfg(feature = "planted-bugs")]
    #[test]
    fn a_dead_server_that_is_asked_first_is_noticed() {
        bug::with(bug::Bug::D05, || {
            let (mut router, now) = (router(1), Instant::START);
            router.shun(now, ServerId(1));
            router.failed(ServerId(1));
            assert_eq!(order(&router, now)[0], 1);
        });
    }

    #[test]
    fn datacenters_are_ordered_by_their_middle_server() {
        let mut router = router(1);
        let names = |router: &Router| -> Vec<String> {
            router.nearest_first().iter().map(ToString::to_string).collect()
        };
        assert_eq!(names(&router), ["dc3", "dc2"], "not by the nearest one");
        router.measure(|name| name.ends_with("dc2").then_some(Duration::from_secs(1)));
        assert_eq!(names(&router), ["dc2", "dc3"], "of dc3 nothing is known");
        router.remove(ServerId(4));
        assert!(!router.knows("dc3"));
        assert_eq!(names(&router), ["dc2"]);
    }

    #[test]
    fn a_server_is_of_one_datacenter() {
        let (mut router, mut rng) = (router(1), Rng::new(1));
        let name: Arc<str> = "n4.dc2".into();
        router.found("dc2", (ServerId(4), &name), "10.0.0.9:8300".into(), &mut rng);
        assert!(!router.knows("dc3"));
        assert_eq!(router.at("10.0.0.9:8300"), Some(ServerId(4)));
        assert_eq!(router.at("10.0.0.4:8300"), None);
    }
}
