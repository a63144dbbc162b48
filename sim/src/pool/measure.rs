//! How soon a pool notices, how often it is wrong, and how loud it is.

use std::fmt::Write as _;

use tribune_base::time::Duration;
use tribune_gossip::{Change, Config, Counters};

use super::network::{Network, Slow};
use crate::swarm::thread_time;

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// How many members.
    pub nodes: usize,
    /// How many of a thousand packets are lost.
    pub loss: u64,
    /// How many members stall again and again.
    pub slow: usize,
    /// Whether members watch their own health.
    pub lifeguard: bool,
    /// For how long nothing but what is above goes wrong.
    pub quiet: Duration,
    /// How many members crash after that, one after the other.
    pub crashes: usize,
    /// How many seeds.
    pub seeds: u64,
}

/// What it came to.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From each crash until the first member knew of it.
    pub first: Vec<Duration>,
    /// Until all did.
    pub all: Vec<Duration>,
    /// Crashes that not everybody knew of in time.
    pub missed: u64,
    /// Healthy members taken for dead, counted once by each who did.
    pub false_deaths: u64,
    /// Slow ones.
    pub slow_deaths: u64,
    /// Healthy ones, by slow ones.
    pub deaths_by_slow: u64,
    /// Members, times hours.
    pub node_hours: f64,
    /// Sent by each member in a second, while nobody had crashed.
    pub packets: f64,
    /// Bytes of these.
    pub bytes: f64,
    /// Bytes over streams.
    pub stream_bytes: f64,
    /// From the firing of an event until all had seen it.
    pub spread: Vec<Duration>,
    /// Simulated time.
    pub simulated: Duration,
    /// Time on a processor.
    pub cpu: Duration,
    /// What happened.
    pub events: u64,
}

impl Setting {
    /// Measure with each seed.
    pub fn run(&self) -> Measured {
        let mut measured = self.run_seed(0);
        (1..self.seeds).for_each(|seed| measured.add(self.run_seed(seed)));
        measured
    }

    /// Measure.
    pub fn run_seed(&self, seed: u64) -> Measured {
        let start = thread_time();
        let config = Config { lifeguard: self.lifeguard, ..Config::lan("dc1") };
        let mut network = Network::formed(seed, &config, self.nodes);
        network.weather.loss = self.loss;
        for host in 0..self.slow {
            // Spread over the pool: whoever is next to whom in a list must not matter.
            network.slow_down(host * (self.nodes / self.slow.max(1)), SLOW);
        }
        network.run(WARM_UP);
        let before = total(&network);
        network.run(self.quiet);
        let after = total(&network);
        let mut measured = Measured {
            false_deaths: network.oracle.false_deaths,
            slow_deaths: network.oracle.slow_deaths,
            deaths_by_slow: network.oracle.deaths_by_slow,
            node_hours: self.nodes as f64 * (WARM_UP + self.quiet).as_secs_f64() / 3_600.0,
            ..Measured::default()
        };
        let per = 1.0 / (self.nodes as f64 * self.quiet.as_secs_f64());
        measured.packets = (after.packets_sent - before.packets_sent) as f64 * per;
        measured.bytes = (after.bytes_sent - before.bytes_sent) as f64 * per;
        let streams = after.exchange_bytes_sent - before.exchange_bytes_sent;
        measured.stream_bytes = streams as f64 * per;
        self.spread(&mut network, &mut measured);
        network.oracle.keep = true;
        for _ in 0..self.crashes {
            self.crash(&mut network, &mut measured);
        }
        measured.simulated = network.now().since_start();
        measured.cpu = thread_time().saturating_sub(start);
        measured.events = network.events();
        measured
    }

    /// How long a piece of news takes.
    fn spread(&self, network: &mut Network, measured: &mut Measured) {
        let fired = network.now();
        network.with(self.nodes - 1, |pool, now| pool.fire(now, "news", "x".into(), false));
        let end = fired + SPREAD_MAX;
        let all = self.nodes;
        let done = network.run_until(end, |it| {
            it.oracle.events.values().next().is_some_and(|it| it.len() == all)
        });
        if done {
            measured.spread.push(network.now().since(fired));
        }
    }

    fn crash(&self, network: &mut Network, measured: &mut Measured) {
        let up: Vec<_> = network.up().map(|(n, _)| n).collect();
        let well: Vec<_> =
            up.iter().copied().filter(|it| network.hosts[*it].slow.is_none()).collect();
        let victim = well[network.rng().below(well.len() as u64) as usize];
        let name = network.hosts[victim].identity.name.clone();
        let at = network.now();
        network.crash(victim);
        network.oracle.sightings.clear();
        let others = well.len() - 1;
        let (mut known, mut seen, mut first) = (0, 0, None);
        let end = at + DETECT_MAX;
        let done = network.run_until(end, |it| {
            for sighting in &it.oracle.sightings[seen..] {
                let slow = it.hosts[sighting.by].slow.is_some();
                if sighting.of == name && sighting.change == Change::Failed && !slow {
                    first.get_or_insert(sighting.at);
                    known += 1;
                }
            }
            seen = it.oracle.sightings.len();
            known == others
        });
        measured.first.extend(first.map(|it| it.since(at)));
        if done {
            measured.all.push(network.now().since(at));
        } else {
            measured.missed += 1;
        }
    }
}

impl Measured {
    /// Take in what another seed came to.
    pub fn add(&mut self, mut other: Self) {
        self.first.append(&mut other.first);
        self.all.append(&mut other.all);
        self.spread.append(&mut other.spread);
        self.missed += other.missed;
        self.false_deaths += other.false_deaths;
        self.slow_deaths += other.slow_deaths;
        self.deaths_by_slow += other.deaths_by_slow;
        let (a, b) = (self.node_hours, other.node_hours);
        let weigh = |x: f64, y: f64| (x * a + y * b) / (a + b);
        self.packets = weigh(self.packets, other.packets);
        self.bytes = weigh(self.bytes, other.bytes);
        self.stream_bytes = weigh(self.stream_bytes, other.stream_bytes);
        self.node_hours += b;
        self.simulated += other.simulated;
        self.cpu += other.cpu;
        self.events += other.events;
    }

    /// How much faster than the clock on the wall this was.
    pub fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.cpu.as_secs_f64().max(1e-9)
    }
}

/// The middle one, in seconds.
pub fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

/// The last one, in seconds.
pub fn worst(times: &[Duration]) -> f64 {
    times.iter().max().map_or(f64::NAN, Duration::as_secs_f64)
}

/// What the formulas of the original say: the shortest and the longest time of a suspect, and when
/// all should know of a crash, in seconds.
pub fn formulas(nodes: usize) -> (f64, f64, f64) {
    let config = Config::lan("dc1");
    let min = config.suspicion_min(nodes).as_secs_f64();
    let max = min * f64::from(config.suspicion_max_mult);
    // Somebody probes it within e/(e-1) intervals (SWIM, section 3.2), and waits for one; two
    // others agree; and then it takes its time and a few rounds of gossip.
    let e = std::f64::consts::E;
    let probe = e / (e - 1.0) * config.probe_interval.as_secs_f64();
    let gossip = config.gossip_interval.as_secs_f64() * (nodes as f64).log2();
    (min, max, probe + config.probe_interval.as_secs_f64() + min + gossip)
}

/// What the project's page shows.
pub fn settings() -> Vec<Setting> {
    let quiet = Duration::from_secs(60);
    let usual =
        Setting { nodes: 0, loss: 0, slow: 0, lifeguard: true, quiet, crashes: 5, seeds: 4 };
    let large = Setting { nodes: 10_000, crashes: 2, seeds: 1, ..usual };
    let quiet = Duration::from_secs(300);
    let slow = Setting { nodes: 1_000, slow: 10, quiet, crashes: 3, seeds: 2, ..usual };
    let mut settings: Vec<_> = [10, 100, 1_000].map(|nodes| Setting { nodes, ..usual }).into();
    settings.push(large);
    settings.extend([10, 100, 1_000].map(|nodes| Setting { nodes, loss: 50, ..usual }));
    settings.push(Setting { loss: 50, ..large });
    settings.extend([slow, Setting { lifeguard: false, ..slow }]);
    settings
}

/// The project's page.
pub fn page(rows: &[(Setting, Measured)]) -> String {
    let mut text = "# Gossip, measured\n\n".to_owned();
    text.push_str(
        "Written by `sim gossip --write sim/gossip.md`. Members are the real state machine with \
         the preset for a datacenter; the network between them is simulated: half a millisecond \
         to one each way, and what is lost is lost without a word. Times are those of the middle \
         run unless it says otherwise. The formulas are memberlist's: how long a suspect has at \
         least and at most, and the sum of the usual time until somebody probes, its patience, the \
         shorter time of a suspect, and a few rounds of gossip. False deaths are counted once by \
         each member that believes in them: healthy members by healthy ones, then members that \
         stall again and again, then healthy ones by those. Packets and bytes are those that a member sends while \
         nobody crashes; the last column is simulated time over time on one processor.\n\n",
    );
    text.push_str(&table(rows));
    text.push_str("\n![Time until all know of a crash](gossip.svg)\n");
    text
}

/// Measurements as a picture: when all know of a crash, by the size of the pool.
pub fn plot(rows: &[(Setting, Measured)]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    let x = |nodes: usize| 60.0 + (nodes as f64).log10() / 4.5 * (WIDTH - 80.0);
    let y = |seconds: f64| HEIGHT - 40.0 - seconds / 30.0 * (HEIGHT - 80.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"60\" y=\"20\">Seconds from a crash until all know, by members</text>\n"
    );
    for seconds in [0, 5, 10, 15, 20, 25, 30] {
        let at = y(f64::from(seconds));
        let right = WIDTH - 20.0;
        let _ = writeln!(
            svg,
            "<path d=\"M60 {at:.0}H{right}\" stroke=\"#ddd\"/><text x=\"30\" y=\"{at:.0}\">{seconds}</text>"
        );
    }
    let quiet = |loss| {
        let of = move |(it, _): &&(Setting, Measured)| it.loss == loss && it.slow == 0;
        rows.iter().filter(of)
    };
    let series = [
        (
            "#888",
            "formula",
            quiet(0).map(|(it, _)| (it.nodes, formulas(it.nodes).2)).collect::<Vec<_>>(),
        ),
        ("#06c", "no loss", quiet(0).map(|(it, m)| (it.nodes, median(&m.all))).collect()),
        ("#c30", "5 % loss", quiet(50).map(|(it, m)| (it.nodes, median(&m.all))).collect()),
    ];
    for (n, (colour, name, points)) in series.iter().enumerate() {
        let line: Vec<_> =
            points.iter().map(|(nodes, it)| format!("{:.0},{:.0}", x(*nodes), y(*it))).collect();
        let legend = 40 + 16 * n;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"70\" y=\"{legend}\" fill=\"{colour}\">{name}</text>",
            line.join(" ")
        );
        for (nodes, it) in points {
            let (x, y) = (x(*nodes), y(*it));
            let _ =
                writeln!(svg, "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
    for (nodes, _) in quiet(0).map(|(it, m)| (it.nodes, m)) {
        let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{}\">{nodes}</text>", x(nodes), HEIGHT - 20.0);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Measurements as a table for people.
pub fn table(rows: &[(Setting, Measured)]) -> String {
    let mut text =
        "| members | loss | slow | Lifeguard | suspicion, formula | all know, formula | \
        first knows | all know | worst | false deaths | of slow ones | by slow ones | node-hours | \
        packets | bytes | stream bytes | event to all | speed |\n"
            .to_owned();
    text.push_str("| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: ");
    text.push_str("| ---: | ---: ");
    text.push_str("| ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for (setting, it) in rows {
        let (min, max, all) = formulas(setting.nodes);
        let lifeguard = if setting.lifeguard { "on" } else { "off" };
        let _ = writeln!(
            text,
            "| {} | {} % | {} | {lifeguard} | {min:.0}–{max:.0} s | {all:.1} s | {:.1} s | {:.1} s \
             | {:.1} s | {} | {} | {} | {:.1} | {:.2}/s | {:.0}/s | {:.0}/s | {:.2} s | {:.1}× |",
            setting.nodes,
            setting.loss as f64 / 10.0,
            setting.slow,
            median(&it.first),
            median(&it.all),
            worst(&it.all),
            it.false_deaths,
            it.slow_deaths,
            it.deaths_by_slow,
            it.node_hours,
            it.packets,
            it.bytes,
            it.stream_bytes,
            median(&it.spread),
            it.speed(),
        );
    }
    text
}

fn total(network: &Network) -> Counters {
    let mut total = Counters::default();
    for (_, pool) in network.up() {
        let it = pool.counters();
        total.packets_sent += it.packets_sent;
        total.bytes_sent += it.bytes_sent;
        total.exchange_bytes_sent += it.exchange_bytes_sent;
    }
    total
}

/// A machine that is starved: it stalls for up to twelve seconds, and works for up to four.
const SLOW: Slow = Slow { stall_max: Duration::from_secs(12), gap_max: Duration::from_secs(4) };
const WARM_UP: Duration = Duration::from_secs(10);
const SPREAD_MAX: Duration = Duration::from_secs(60);
const DETECT_MAX: Duration = Duration::from_secs(300);
