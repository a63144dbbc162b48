//! Pools of gossiping members: small ones in which everything goes wrong, and larger ones that must
//! be quick.

#![allow(clippy::print_stderr, clippy::unwrap_used)] // A seed that fails must be named.

use std::env;

use tribune_base::time::Duration;
use tribune_sim::pool::measure::Setting;
use tribune_sim::pool::swarm;

/// GO-3 bounds how often the living are taken for dead, and does not forbid it: where packets are lost,
/// all those of one probe may be. Of 1,500 runs none does so, and one of a thousand may.
#[test]
fn no_seed_breaks_an_invariant() {
    let seeds = env::var("SIM_SEEDS").ok().and_then(|it| it.parse().ok()).unwrap_or(200_usize);
    let (mut failed, mut false_deaths) = (Vec::new(), 0);
    for seed in 0..seeds {
        if let Some(it) = swarm::run(seed as u64).violation {
            eprintln!("seed {seed}: {} at {:?}: {}", it.id, it.at, it.text);
            if it.id == "GO-3" {
                false_deaths += 1;
            } else {
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(false_deaths <= seeds / 1_000, "{false_deaths} runs with false deaths");
}

#[test]
fn the_seed_decides() {
    for seed in 0..10 {
        let (a, b) = (swarm::run(seed), swarm::run(seed));
        assert_eq!((a.hash, a.simulated), (b.hash, b.simulated), "seed {seed}");
    }
}

/// GO-1 and GO-3 in a pool of a hundred that loses one packet in twenty: everybody knows of a crash
/// in about the time that the formulas say, and nobody is taken for dead who is not.
#[test]
fn crashes_are_noticed_and_nothing_else() {
    let setting = Setting {
        nodes: 100,
        loss: 50,
        slow: 0,
        lifeguard: true,
        quiet: Duration::from_secs(60),
        crashes: 2,
        seeds: 1,
    };
    let measured = setting.run();
    eprintln!("{:.0} simulated seconds per CPU-second", measured.speed());
    assert_eq!((measured.all.len(), measured.false_deaths), (2, 0));
    // Eight seconds at least, and half of that more for a probe and for the news to spread.
    let in_time = |it: &Duration| (8..=16).contains(&it.as_secs());
    assert!(measured.all.iter().all(in_time), "{:?}", measured.all);
    assert!(measured.packets < 4.0, "{} packets a second", measured.packets);
}

/// Each mistake of the catalogue that pools can show is found by one of these.
#[cfg(feature = "planted-bugs")]
mod planted {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use tribune_base::bug::{self, Bug, Standing};
    use tribune_base::codec::Writer;
    use tribune_base::time::Duration;
    use tribune_gossip::{Config, Roster, Status, Tags};
    use tribune_sim::pool::{Network, identity, swarm};

    /// Found where a machine is looked at from close by.
    const ELSEWHERE: &[Bug] = &[
        // `tribune-gossip`, `tests/machine.rs` and the tests of `suspicion`.
        Bug::G05,
        Bug::G07,
    ];

    #[test]
    fn planted_bugs_are_caught() {
        let ours = |it: &&Bug| it.id().starts_with('G') && it.standing() == Standing::Planted;
        let mut missed = Vec::new();
        for planted in Bug::ALL.iter().filter(ours).filter(|it| !ELSEWHERE.contains(it)) {
            match bug::with(*planted, find) {
                Some(found) => eprintln!("{:4} {found:40} {}", planted.id(), planted.title()),
                None => missed.push(planted.id()),
            }
        }
        assert!(missed.is_empty(), "nobody noticed: {missed:?}");
        assert_eq!(find_in(10), None, "and without any of them there is nothing to find");
    }

    fn find() -> Option<String> {
        find_in(150)
    }

    fn find_in(seeds: u64) -> Option<String> {
        let scenario = [
            ("detection", detection as fn() -> bool),
            ("dissemination", dissemination),
            ("conflict", conflict),
            ("accusation", accusation),
        ];
        let of = |(name, wrong): &(&str, fn() -> bool)| wrong().then(|| (*name).to_owned());
        scenario.iter().find_map(of).or_else(|| {
            (0..seeds).find_map(|seed| {
                swarm::run(seed).violation.map(|it| format!("{} at seed {seed}", it.id))
            })
        })
    }

    /// GO-1: somebody probes whoever has crashed soon, because members do not probe in step.
    fn detection() -> bool {
        let mut suspected = Vec::new();
        for seed in 0..6 {
            let mut network = Network::formed(seed, &Config::lan("dc1"), 60);
            network.run(Duration::from_millis(2_500));
            let victim = 10 + seed as usize * 8;
            network.crash(victim);
            let (at, name) = (network.now(), identity(victim).name);
            let end = at + Duration::from_secs(90);
            network.run_until(end, |it| it.up().any(|(_, it)| it.is_suspect(&name)));
            suspected.push(network.now().since(at).as_secs_f64());
        }
        6.0 < suspected.iter().sum::<f64>() / suspected.len() as f64
    }

    /// GO-2: within a few rounds of gossip all have seen an event.
    fn dissemination() -> bool {
        let mut network = Network::formed(1, &Config::lan("dc1"), 60);
        network.run(Duration::from_secs(1));
        network.with(7, |pool, now| pool.fire(now, "news", Bytes::new(), false).unwrap());
        let end = network.now() + Duration::from_secs(4);
        !network.run_until(end, |it| it.oracle.events.values().any(|it| it.len() == 60))
    }

    /// A name stays with its owner while that lives.
    fn conflict() -> bool {
        let config = Config::lan("dc1");
        let mut network = Network::formed(1, &config, 3);
        let mut second = identity(3);
        second.name = identity(1).name;
        let second = network.add(config, second, Roster::default());
        let addr = identity(0).addr;
        network.with(second, |pool, now| pool.join(now, [addr]));
        network.run(Duration::from_secs(5));
        let owner = network.hosts[0].pool.as_ref().unwrap().member(&identity(1).name).cloned();
        let owner = owner.unwrap();
        let told: BTreeMap<_, _> = network.oracle.joined.iter().cloned().collect();
        owner.addr != identity(1).addr
            || owner.status != Status::Alive
            || network.oracle.conflicts.is_empty()
            || told[&second].is_ok()
    }

    /// Whoever has said something since is not suspect because of what it said before.
    fn accusation() -> bool {
        let mut network = Network::formed(1, &Config::lan("dc1"), 3);
        network.with(1, |pool, now| pool.set_tags(now, Tags::default()));
        network.run(Duration::from_secs(2));
        let mut packet = Writer::new();
        packet.u64(1, 1);
        packet.str(2, "dc1");
        packet.nested(8, |it| {
            it.u64(1, 1);
            it.str(2, &identity(1).name);
            it.str(3, &identity(2).name);
        });
        let (packet, from) = (packet.finish(), identity(2).addr);
        let suspect = network.with(0, |pool, now| {
            pool.handle_packet(now, from, packet);
            pool.is_suspect(&identity(1).name)
        });
        suspect.unwrap()
    }
}
