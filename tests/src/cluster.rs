//! A datacenter of real servers: processes that find each other over loopback.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use crate::agent::{Agent, PATIENCE, POLL, Place, eventually};

/// Servers of one datacenter. They are called `n1`, `n2`, ...
#[derive(Debug)]
pub struct Cluster {
    /// The servers, in order, whether they run or not.
    pub servers: Vec<Agent>,
}

impl Cluster {
    /// `count` servers that wait for each other, each given the first one's address; ready to answer.
    pub fn start(count: usize) -> Self {
        Self::start_at(&vec![Place::here(); count])
    }

    /// The same, each where it is told to run.
    pub fn start_at(places: &[Place]) -> Self {
        let expect = format!("-bootstrap-expect={}", places.len());
        let mut cluster = Self { servers: Vec::new() };
        for place in places {
            cluster.prepare_at(place.clone(), &[&expect]);
        }
        for server in &mut cluster.servers {
            server.spawn();
        }
        cluster.wait_until_ready();
        cluster
    }

    /// One more server, given the first one's address. It is not started.
    pub fn prepare(&mut self, arguments: &[&str]) -> usize {
        self.prepare_at(Place::here(), arguments)
    }

    fn prepare_at(&mut self, place: Place, arguments: &[&str]) -> usize {
        let quick = "performance { raft_multiplier = 1 }";
        let bind = format!("-bind={}", place.ip);
        let mut all = vec!["-server", &bind, "-hcl", quick];
        all.extend(arguments);
        let name = format!("n{}", self.servers.len() + 1);
        let mut server = Agent::prepare_at(place, &name, &all);
        let first = self.servers.first().map_or(server.lan, |it| it.lan);
        server.add_argument(format!("-retry-join={first}"));
        self.servers.push(server);
        self.servers.len() - 1
    }

    /// Wait until every server that runs takes writes.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.servers.iter_mut().for_each(Agent::assert_runs);
            if self.servers.iter_mut().filter(|it| it.is_running()).all(Agent::is_ready) {
                return;
            }
            thread::sleep(POLL);
        }
        let logs: String = self.servers.iter().map(Agent::log).collect();
        panic!("the servers are not ready:\n{logs}");
    }

    /// The server that leads, as the others say; waits until they agree on one that runs.
    pub fn leader(&self) -> usize {
        let mut leader = None;
        eventually("a leader that everybody knows", || {
            let running: Vec<_> = self.servers.iter().filter(|it| it.is_running()).collect();
            let said: Vec<_> = running.iter().map(|it| it.get("/v1/status/leader").body).collect();
            let same = said.iter().all(|it| *it == said[0]);
            leader = self.servers.iter().position(|it| {
                it.is_running() && said[0] == format!("\"{}\"", it.server).into_bytes()
            });
            same && leader.is_some()
        });
        leader.expect("there is one")
    }

    /// A server that runs and does not lead.
    pub fn follower(&self) -> usize {
        let leader = self.leader();
        let follower = |it: &usize| *it != leader && self.servers[*it].is_running();
        (0..self.servers.len()).find(follower).expect("a cluster has followers")
    }

    /// Where all of them answer HTTP.
    pub fn https(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|it| it.http).collect()
    }

    /// Remove everything a server has on its disk. It is stopped.
    pub fn wipe(&mut self, server: usize) {
        let data = self.servers[server].data();
        fs::remove_dir_all(data).expect("the scratch directory is ours");
    }

    /// How many servers vote, as `server` knows.
    pub fn voters(&self, server: usize) -> usize {
        let peers = self.servers[server].get("/v1/status/peers");
        // A list of addresses, each in two quotes.
        peers.text().matches('"').count() / 2
    }
}
