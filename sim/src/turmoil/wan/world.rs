//! Three datacenters in turmoil, and how acts happen to them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::at_home::AtHome;
use super::citizen::Citizens;
use super::journal::{Event, Journal};
use super::ledger::Ledger;
use super::news::News;
use super::story::{Act, Step};
use super::verdict::{Verdicts, Violation};
use super::weather::{Dc, Weather};
use super::{DATACENTERS, Letter, Progress, Run, Size, agent_name, dc_name, port, server_name};
use crate::turmoil::host::{Host, RPC_PORT, WAN_PORT};
use crate::turmoil::net::TurmoilNet;
use crate::turmoil::scenario::network;
use crate::turmoil::tap::{Message, Tap};

/// A running world.
struct World<'a> {
    sim: turmoil::Sim<'a>,
    /// By datacenter; servers first.
    hosts: Vec<Vec<Host>>,
    size: Size,
    weather: Weather,
    verdicts: Verdicts,
    journal: Journal,
    rng: Rng,
    ready: Rc<Cell<usize>>,
    at_home: Rc<RefCell<AtHome>>,
    /// The latency of each link between datacenters when nothing is wrong with it.
    latencies: Vec<(Dc, Dc, Duration)>,
    expected: Duration,
    steps: u64,
    /// How many events its owner knows of.
    told: usize,
}

/// Run `plan`. Whatever does not hold is in the verdicts, panics included.
pub(super) fn run(
    seed: u64,
    size: Size,
    (plan, rng): (&[Step], Rng),
    tap: &Tap,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Run {
    let (verdicts, journal) = (Verdicts::default(), Journal::default());
    let ledger = Ledger::new(verdicts.clone());
    let (elapsed, addresses) = (Cell::new(Duration::ZERO), RefCell::default());
    let news = tracing::Dispatch::new(News::new(journal.clone()));
    let live = AssertUnwindSafe(|| {
        tracing::dispatcher::with_default(&news, || {
            let mut world = World::build(seed, size, rng, (&verdicts, &journal, &ledger, tap));
            *addresses.borrow_mut() = world.addresses();
            world.expected = START_MAX / 4 + END / 2;
            world.expected += plan.iter().map(|it| it.lasts + AFTER).sum::<Duration>();
            let ended = world.live(plan, progress, &elapsed);
            if let Err(error) = ended {
                verdicts.check("panic", false, || error.text);
            }
        });
    });
    if let Err(panicked) = panic::catch_unwind(live) {
        let text = panicked.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panicked.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        verdicts.check("panic", false, || text.unwrap_or_default());
    }
    verdicts.check("panic", true, String::new);
    let place = |dc| {
        let servers = (0..size.servers).map(|it| server_name(dc, it));
        let agents = (0..size.agents).map(|it| agent_name(dc, it));
        let clients = [format!("{}-c", dc_name(dc))];
        (dc_name(dc), servers.chain(agents).chain(clients).collect())
    };
    let places = (0..DATACENTERS).map(place).collect();
    let letters = letters(&tap.messages(), &addresses.into_inner(), size);
    let acknowledged = ledger.acknowledged();
    Run { verdicts, journal, places, letters, elapsed: elapsed.get(), acknowledged }
}

/// The same messages, by the numbers of places.
fn letters(messages: &[Message], addresses: &BTreeMap<IpAddr, usize>, size: Size) -> Vec<Letter> {
    let dc = |place: usize| place / (size.servers + size.agents + 1);
    let letter = |it: &Message| {
        let (from, to) = (*addresses.get(&it.from)?, *addresses.get(&it.to.ip())?);
        let lane = match it.to.port() {
            WAN_PORT => 3,
            _ if dc(from) != dc(to) => 1,
            RPC_PORT => 0,
            _ => 2,
        };
        Some(Letter { from, to, sent: it.sent, arrived: it.arrived, lane })
    };
    messages.iter().filter_map(letter).collect()
}

impl World<'_> {
    fn build(
        seed: u64,
        size: Size,
        mut rng: Rng,
        (verdicts, journal, ledger, tap): (&Verdicts, &Journal, &Ledger, &Tap),
    ) -> Self {
        let mut sim = network(seed, LONGEST, LAN_LATENCY_MAX).tick_duration(TICK).build();
        let hosts: Vec<Vec<_>> = (0..DATACENTERS).map(|dc| hosts(dc, size, (seed, tap))).collect();
        for host in hosts.iter().flatten() {
            let running = host.clone();
            sim.host(host.name.as_str(), move || running.clone().run());
        }
        let (weather, ready, at_home) = (Weather::default(), Rc::default(), Rc::default());
        for dc in 0..DATACENTERS {
            let citizens = Citizens {
                dc,
                size,
                seed,
                weather: weather.clone(),
                verdicts: verdicts.clone(),
                ledger: ledger.clone(),
                journal: journal.clone(),
                ready: Rc::clone(&ready),
                at_home: Rc::clone(&at_home),
            };
            sim.client(format!("{}-c", dc_name(dc)), citizens.run());
        }
        let pairs =
            (0..DATACENTERS).flat_map(|one| (one + 1..DATACENTERS).map(move |it| (one, it)));
        let latency = |(one, other)| (one, other, Duration::from_millis(5 + rng.below(60)));
        let latencies: Vec<_> = pairs.map(latency).collect();
        let world = Self {
            sim,
            hosts,
            size,
            weather,
            verdicts: verdicts.clone(),
            journal: journal.clone(),
            rng,
            ready,
            at_home,
            latencies,
            expected: Duration::ZERO,
            steps: 0,
            told: 0,
        };
        world.restore_latencies();
        world
    }

    /// Where everybody is, by the number of the place.
    fn addresses(&self) -> BTreeMap<IpAddr, usize> {
        let places = |dc: Dc| self.hosts[dc].iter().map(Some).chain([None]);
        let all = (0..DATACENTERS).flat_map(places).enumerate();
        let at = |(place, host): (usize, Option<&Host>)| {
            host.map(|it| (self.sim.lookup(it.name.as_str()), place))
        };
        all.filter_map(at).collect()
    }

    /// Start, let `plan` happen, and end.
    fn live(
        &mut self,
        plan: &[Step],
        progress: &mut dyn FnMut(Progress<'_>),
        elapsed: &Cell<Duration>,
    ) -> Result<(), Violation> {
        let mut until = |world: &mut Self, at: Duration| -> Result<bool, Violation> {
            while world.sim.elapsed() < at {
                let over = world.step(progress)?;
                elapsed.set(world.sim.elapsed());
                if over || world.verdicts.are_broken() {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        while self.ready.get() < DATACENTERS && self.sim.elapsed() < START_MAX {
            let at = self.sim.elapsed() + Duration::from_millis(100);
            until(self, at)?;
        }
        let ready = self.ready.get();
        self.verdicts.check("LV-2", ready == DATACENTERS, || {
            format!("{ready} datacenters are ready after {START_MAX:?}")
        });
        self.all_is_well(Duration::ZERO);
        for dc in 0..DATACENTERS {
            for agent in 0..self.size.agents {
                self.weather.set_well(port(dc, agent), true, self.sim.elapsed());
            }
        }
        self.note("ready", "everybody reaches everybody".into());
        let at = self.sim.elapsed() + BEFORE;
        let mut alive = until(self, at)?;
        for step in plan {
            if !alive {
                break;
            }
            alive = self.play(step, &mut until)?;
        }
        if alive {
            self.at_home.borrow_mut().judge(&self.verdicts);
            self.note("healed", "for good".into());
            self.weather.set_healed(self.sim.elapsed());
            let end = self.sim.elapsed() + END;
            if until(self, end)? {
                self.verdicts.check("BQ-4", false, || "the end is never reached".into());
            }
        }
        for Violation { id, at, text } in self.verdicts.violations() {
            self.journal.note(at, None, WORLD, "violated", format!("{id}: {text}"));
        }
        Ok(())
    }

    /// Whether all clients are content.
    fn step(&mut self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<bool, Violation> {
        let over = self.sim.step().map_err(|error| Violation {
            id: "panic",
            at: self.sim.elapsed(),
            text: error.to_string(),
        })?;
        self.verdicts.at(self.sim.elapsed());
        self.steps += 1;
        if self.steps.is_multiple_of(TELL_EVERY) || over {
            let events: Vec<Event> = self.journal.events(self.told);
            self.told += events.len();
            let (elapsed, expected) = (self.sim.elapsed(), self.expected);
            progress(Progress { elapsed, expected, events: &events });
        }
        Ok(over)
    }

    /// Let one thing happen and be over, and leave everybody time to notice. False, if all is over.
    fn play(
        &mut self,
        step: &Step,
        until: &mut impl FnMut(&mut Self, Duration) -> Result<bool, Violation>,
    ) -> Result<bool, Violation> {
        let Step { act, lasts } = step;
        let end = self.sim.elapsed() + *lasts;
        self.note("strike", act.to_string());
        self.weather.set_foul(!matches!(act, Act::Calm | Act::Storm));
        let struck = self.strike(act);
        if let Act::Flap(one, other) = act {
            let mut up = true;
            while self.sim.elapsed() < end {
                up = !up;
                self.note("flap", (if up { "up" } else { "down" }).to_owned());
                self.link(*one, *other, up);
                let at = self.sim.elapsed() + self.rng.up_to(Duration::from_secs(5));
                if !until(self, at.min(end))? {
                    return Ok(false);
                }
            }
        } else if matches!(act, Act::Restart(_)) {
            let at = self.sim.elapsed() + self.rng.up_to(Duration::from_secs(2));
            if !until(self, at)? {
                return Ok(false);
            }
        } else {
            let half = self.sim.elapsed() + self.rng.up_to(*lasts / 2);
            if !until(self, half)? {
                return Ok(false);
            }
            self.turn_a_check();
        }
        if !matches!(act, Act::Restart(_)) && !until(self, end)? {
            return Ok(false);
        }
        self.note("heal", act.to_string());
        self.heal(act, &struck);
        if matches!(act, Act::Restart(_)) {
            return until(self, end);
        }
        self.turn_a_check();
        let at = self.sim.elapsed() + AFTER;
        let alive = until(self, at)?;
        self.weather.set_foul(false);
        Ok(alive)
    }

    /// Let it happen. Returns the hosts it happens to, where chance or circumstances decide.
    fn strike(&mut self, act: &Act) -> Vec<Host> {
        let now = self.sim.elapsed();
        match act {
            Act::Calm => {}
            Act::Flap(one, other) => {
                self.weather.set_doubtful(*one, *other);
                self.weather.set_doubtful(*other, *one);
            }
            Act::Storm => self.weather.set_storm(now),
            Act::Cut(dc) => {
                others(*dc).for_each(|it| {
                    self.link(*dc, it, false);
                    self.sever(*dc, it);
                });
            }
            Act::OneWay { dc, mute } => {
                for it in others(*dc) {
                    let (from, to) = if *mute { (*dc, it) } else { (it, *dc) };
                    for (from, to) in self.servers(from, to) {
                        self.sim.partition_oneway(from, to);
                    }
                    self.sever(*dc, it);
                }
            }
            Act::Dark(dc) => {
                self.weather.set_dark(*dc, true);
                self.weather.set_troubled(*dc);
                others(*dc).for_each(|it| self.sever(*dc, it));
                for host in self.hosts[*dc].clone() {
                    self.note_at(&host, "off");
                    host.crash(&mut self.sim);
                }
            }
            Act::Behead => {
                let leaders = self.hosts.iter().flatten().filter(|it| it.shown.leads());
                let leaders: Vec<Host> = leaders.cloned().collect();
                self.all_is_in_doubt();
                for leader in &leaders {
                    self.note_at(leader, "isolated");
                    self.weather.set_away(&leader.name, true);
                    self.isolate(leader, true);
                }
                return leaders;
            }
            Act::Slow(latency) => {
                for (one, other, _) in self.latencies.clone() {
                    self.set_latency(one, other, *latency);
                }
            }
            Act::Split(dc) => return self.split(*dc),
            Act::Restart(server) => {
                self.all_is_in_doubt();
                let struck: Vec<_> = self.hosts.iter().map(|it| it[*server].clone()).collect();
                for host in &struck {
                    self.weather.set_away(&host.name, true);
                    self.note_at(host, "off");
                    host.crash(&mut self.sim);
                }
                return struck;
            }
        }
        Vec::new()
    }

    /// A minority of the servers of `dc` and everybody else there do not hear of each other.
    fn split(&mut self, dc: Dc) -> Vec<Host> {
        let mut servers: Vec<_> = self.hosts[dc][..self.size.servers].to_vec();
        self.rng.shuffle(&mut servers);
        servers.truncate((self.size.servers - 1) / 2);
        self.doubt(dc);
        for host in &servers {
            self.note_at(host, "isolated");
            self.set_split(dc, host, &servers, false);
        }
        servers
    }

    fn set_split(&self, dc: Dc, host: &Host, minority: &[Host], heard: bool) {
        let with_us = |it: &&Host| minority.iter().any(|own| own.name == it.name);
        for other in self.hosts[dc].iter().filter(|it| !with_us(it)) {
            self.set_heard(&host.name, &other.name, heard);
        }
    }

    /// Let it be over.
    fn heal(&mut self, act: &Act, struck: &[Host]) {
        let now = self.sim.elapsed();
        match act {
            Act::Calm | Act::Storm => {}
            Act::Slow(_) => self.restore_latencies(),
            Act::Cut(dc) => {
                others(*dc).for_each(|it| self.link(*dc, it, true));
                self.rejoin(*dc, now + LINK_BACK);
            }
            Act::OneWay { dc, mute } => {
                for it in others(*dc) {
                    let (from, to) = if *mute { (*dc, it) } else { (it, *dc) };
                    for (from, to) in self.servers(from, to) {
                        self.sim.repair_oneway(from, to);
                    }
                }
                self.rejoin(*dc, now + LINK_BACK);
            }
            Act::Flap(one, other) => {
                self.link(*one, *other, true);
                self.weather.set_linked(*one, *other, now + LINK_BACK);
                self.weather.set_linked(*other, *one, now + LINK_BACK);
            }
            Act::Dark(dc) => {
                for host in &self.hosts[*dc] {
                    self.note_at(host, "on");
                    self.sim.bounce(host.name.as_str());
                }
                self.weather.set_dark(*dc, false);
                self.weather.set_fine(*dc, now + START_AGAIN);
                self.rejoin(*dc, now + START_AGAIN);
                for agent in 0..self.size.agents {
                    let well = !self.hosts[*dc][self.size.servers + agent].checks.is_broken();
                    self.weather.set_well(port(*dc, agent), well, now + KNOWN_AGAIN);
                }
            }
            Act::Behead => {
                for leader in struck {
                    self.note_at(leader, "heard");
                    self.isolate(leader, false);
                    self.weather.set_away(&leader.name, false);
                }
                self.all_is_well(LINK_BACK);
            }
            Act::Split(dc) => {
                for host in struck {
                    self.note_at(host, "heard");
                    self.set_split(*dc, host, struck, true);
                }
                self.weather.set_fine(*dc, now + LINK_BACK);
                self.rejoin(*dc, now + LINK_BACK);
            }
            Act::Restart(_) => {
                for host in struck {
                    self.note_at(host, "on");
                    self.sim.bounce(host.name.as_str());
                    self.weather.set_away(&host.name, false);
                }
                self.all_is_well(START_AGAIN);
            }
        }
    }

    /// A service fails, or is well again.
    fn turn_a_check(&mut self) {
        let (dc, count) = (self.rng.below(DATACENTERS as u64) as Dc, self.size.agents);
        if count == 0 || self.weather.is_dark(dc) {
            return;
        }
        let agent = self.rng.below(count as u64) as usize;
        let host = &self.hosts[dc][self.size.servers + agent];
        let well = host.checks.is_broken();
        host.checks.set_broken(!well);
        let since = self.weather.well_from(port(dc, agent)).max(self.sim.elapsed() + NOTICED);
        self.weather.set_well(port(dc, agent), well, since);
        let text =
            format!("{}'s service is {}", host.name, if well { "well again" } else { "ill" });
        self.note("check", text);
    }

    /// Whether servers of the two hear of each other.
    fn link(&self, one: Dc, other: Dc, heard: bool) {
        for (one, other) in self.servers(one, other) {
            self.set_heard(one, other, heard);
        }
    }

    fn isolate(&self, host: &Host, isolated: bool) {
        for other in self.hosts.iter().flatten().filter(|it| it.name != host.name) {
            self.set_heard(&host.name, &other.name, !isolated);
        }
    }

    fn set_heard(&self, one: &str, other: &str, heard: bool) {
        if heard {
            self.sim.repair(one, other);
        } else {
            self.sim.partition(one, other);
        }
    }

    /// All pairs of servers of two datacenters: only they speak to each other.
    fn servers(&self, one: Dc, other: Dc) -> Vec<(&str, &str)> {
        let servers = |dc: Dc| self.hosts[dc][..self.size.servers].iter();
        let pairs = servers(one).flat_map(|it| servers(other).map(move |other| (it, other)));
        pairs.map(|(one, other)| (one.name.as_str(), other.name.as_str())).collect()
    }

    fn restore_latencies(&self) {
        for (one, other, latency) in &self.latencies {
            self.set_latency(*one, *other, *latency);
        }
    }

    fn set_latency(&self, one: Dc, other: Dc, latency: Duration) {
        for (one, other) in self.servers(one, other) {
            self.sim.set_link_latency(one, other, latency);
        }
    }

    /// These two get no answer of each other.
    fn sever(&self, one: Dc, other: Dc) {
        let now = self.sim.elapsed();
        self.weather.set_severed(one, other, now);
        self.weather.set_severed(other, one, now);
    }

    fn rejoin(&self, dc: Dc, since: Duration) {
        for it in others(dc) {
            self.weather.set_linked(dc, it, since);
            self.weather.set_linked(it, dc, since);
        }
    }

    fn doubt(&self, dc: Dc) {
        self.weather.set_troubled(dc);
        for it in others(dc) {
            self.weather.set_doubtful(dc, it);
            self.weather.set_doubtful(it, dc);
        }
    }

    fn all_is_in_doubt(&self) {
        (0..DATACENTERS).for_each(|it| self.doubt(it));
    }

    /// Everybody is well, and reaches everybody, after so long.
    fn all_is_well(&self, after: Duration) {
        let since = self.sim.elapsed() + after;
        for dc in 0..DATACENTERS {
            self.weather.set_fine(dc, since);
            self.rejoin(dc, since);
        }
    }

    fn note_at(&self, host: &Host, kind: &'static str) {
        self.journal.note(self.sim.elapsed(), None, &host.name, kind, String::new());
    }

    fn note(&self, kind: &'static str, text: String) {
        self.journal.note(self.sim.elapsed(), None, WORLD, kind, text);
    }
}

fn hosts(dc: Dc, size: Size, (seed, tap): (u64, &Tap)) -> Vec<Host> {
    let servers = |dc: Dc| (0..size.servers).map(move |it| server_name(dc, it));
    let agents = (0..size.agents).map(|it| (agent_name(dc, it), true));
    let all = servers(dc).map(|it| (it, false)).chain(agents);
    let host = |(name, client): (String, bool)| Host {
        datacenter: dc_name(dc),
        servers: servers(dc).collect(),
        elsewhere: if client { Vec::new() } else { others(dc).flat_map(servers).collect() },
        client,
        write_max: WRITE_MAX,
        net: TurmoilNet::tapped(tap.clone()),
        ..Host::new(name, seed)
    };
    all.map(host).collect()
}

fn others(dc: Dc) -> impl Iterator<Item = Dc> {
    (0..DATACENTERS).filter(move |it| *it != dc)
}

/// Where what happens to everybody is noted.
pub(super) const WORLD: &str = "world";

/// The grain of simulated time. Most of what a run costs is a price per grain and host.
const TICK: Duration = Duration::from_millis(5);

/// How long links within a datacenter take.
const LAN_LATENCY_MAX: Duration = Duration::from_millis(4);

/// How long a write may wait for a quorum.
const WRITE_MAX: Duration = Duration::from_secs(8);

/// How long it may take until everybody reaches everybody for the first time.
const START_MAX: Duration = Duration::from_secs(60);

/// How long nothing happens at first, and after each act.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(14);

/// How soon routes are back after a heal: connections that got lost are noticed in two seconds and
/// dialed again every second, and whoever is believed dead is asked last and not never.
const LINK_BACK: Duration = Duration::from_secs(10);

/// How long a datacenter takes to come back, and until its catalog tells the truth.
const START_AGAIN: Duration = Duration::from_secs(12);
const KNOWN_AGAIN: Duration = Duration::from_secs(40);

/// How soon everybody knows that a service fails, or is well.
const NOTICED: Duration = Duration::from_secs(5);

/// How long the end may take.
const END: Duration = Duration::from_secs(130);

/// What no run takes.
const LONGEST: Duration = Duration::from_secs(1_200);

/// Steps between two reports.
const TELL_EVERY: u64 = 20;

#[test]
fn everybody_knows_the_servers_of_the_others() {
    let hosts = hosts(1, Size { servers: 2, agents: 1 }, (7, &Tap::default()));
    let names: Vec<_> = hosts.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["dc2-n1", "dc2-n2", "dc2-a1"]);
    assert_eq!(hosts[0].elsewhere, ["dc1-n1", "dc1-n2", "dc3-n1", "dc3-n2"]);
    assert!(hosts[2].client && hosts[2].elsewhere.is_empty());
}
