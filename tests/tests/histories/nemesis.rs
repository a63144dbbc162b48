//! What happens to a cluster.

use std::fmt;
use std::thread;
use std::time::Duration;

use tribune_base::rng::Rng;
use tribune_tests::client::Client;
use tribune_tests::cluster::Cluster;
use tribune_tests::network::Network;

/// What happens in one history, in order.
#[derive(Debug)]
pub(crate) struct Plan(Vec<Step>);

/// Some quiet, and then one thing or two at once, for a while.
#[derive(Debug)]
struct Step {
    quiet: Duration,
    faults: Vec<(Fault, Who)>,
    lasts: Duration,
}

/// What can happen to a server.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// `kill -9`, and started again.
    Kill,
    /// `SIGSTOP`, and `SIGCONT`.
    Stop,
    /// It and the others do not hear each other.
    Part,
    /// It hears nobody.
    Deafen,
    /// Nobody hears it.
    Mute,
    /// The others do not hear each other.
    Bridge,
    /// Everything is killed at once.
    KillAll,
}

/// To whom it happens.
#[derive(Clone, Copy, Debug)]
enum Who {
    Leader,
    /// The one so many places after it.
    After(usize),
}

impl Plan {
    /// What `seed` says; only what can be done to processes, if there is no network to cut.
    pub(crate) fn new(seed: u64, network: bool) -> Self {
        let mut rng = Rng::stream(seed, "nemesis");
        let (mut steps, mut time) = (Vec::new(), Duration::ZERO);
        while time < ENOUGH {
            let quiet = Duration::from_millis(100) + rng.up_to(Duration::from_millis(900));
            let lasts = Duration::from_millis(50) + rng.up_to(Duration::from_millis(2_500));
            let count = 1 + u64::from(rng.chance(1, 4));
            let faults = (0..count).map(|_| draw(&mut rng, network)).collect();
            time += quiet + lasts;
            steps.push(Step { quiet, faults, lasts });
        }
        Self(steps)
    }

    /// Let it happen. In the end everything runs, and everybody hears everybody.
    pub(crate) fn play(&self, cluster: &mut Cluster, network: Option<&Network>) {
        for Step { quiet, faults, lasts } in &self.0 {
            thread::sleep(*quiet);
            let leader = leader(cluster);
            for (fault, who) in faults {
                let victim = match who {
                    Who::Leader => leader,
                    Who::After(places) => (leader + places) % cluster.servers.len(),
                };
                fault.inflict(victim, cluster, network);
            }
            thread::sleep(*lasts);
            end_all(cluster, network);
        }
    }
}

impl Fault {
    fn inflict(self, victim: usize, cluster: &mut Cluster, network: Option<&Network>) {
        let others: Vec<_> = (0..cluster.servers.len()).filter(|it| *it != victim).collect();
        match (self, network) {
            (Self::Stop, _) if cluster.servers[victim].is_running() => {
                cluster.servers[victim].signal("STOP");
            }
            (Self::Kill, _) => cluster.servers[victim].kill(),
            (Self::KillAll, _) => cluster.servers.iter_mut().for_each(|it| it.kill()),
            (Self::Part, Some(network)) => {
                others.iter().for_each(|it| network.part(*it, victim));
            }
            (Self::Deafen, Some(network)) => others.iter().for_each(|it| network.cut(*it, victim)),
            (Self::Mute, Some(network)) => others.iter().for_each(|it| network.cut(victim, *it)),
            (Self::Bridge, Some(network)) => network.part(others[0], others[1]),
            (Self::Stop | Self::Part | Self::Deafen | Self::Mute | Self::Bridge, _) => {}
        }
    }
}

fn draw(rng: &mut Rng, network: bool) -> (Fault, Who) {
    let who = if rng.chance(1, 2) { Who::Leader } else { Who::After(1 + rng.below(2) as usize) };
    let kinds: &[Fault] = if network { &ALL[..] } else { &ALL[..OF_PROCESSES] };
    let fault = kinds[rng.below(kinds.len() as u64) as usize];
    (fault, who)
}

/// Everything runs, and everybody hears everybody.
fn end_all(cluster: &mut Cluster, network: Option<&Network>) {
    if let Some(network) = network {
        network.heal();
    }
    for server in &mut cluster.servers {
        if server.ended().is_some() {
            // It stopped by itself, which will be noticed.
        } else if server.is_running() {
            server.signal("CONT");
        } else {
            server.spawn();
        }
    }
}

/// Who leads, as far as anybody says; otherwise anybody.
fn leader(cluster: &Cluster) -> usize {
    for server in cluster.servers.iter().filter(|it| it.is_running()) {
        let mut client = Client::new(server.http, Duration::from_millis(200));
        let Ok(said) = client.call("GET", "/v1/status/leader", b"") else { continue };
        let led_by = |addr: String| said.body == format!("\"{addr}\"").into_bytes();
        if let Some(leader) = cluster.servers.iter().position(|it| led_by(it.server.to_string())) {
            return leader;
        }
    }
    0
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, Step { quiet, faults, lasts }) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{quiet:.1?}+{lasts:.1?}")?;
            for (fault, who) in faults {
                write!(f, " {fault:?} {who:?}")?;
            }
        }
        Ok(())
    }
}

/// What can be done to processes comes first.
const ALL: [Fault; 7] = [
    Fault::Kill,
    Fault::Stop,
    Fault::KillAll,
    Fault::Part,
    Fault::Deafen,
    Fault::Mute,
    Fault::Bridge,
];
const OF_PROCESSES: usize = 3;

/// How long things happen: with starting and settling, a history takes ten seconds or so.
const ENOUGH: Duration = Duration::from_secs(6);
