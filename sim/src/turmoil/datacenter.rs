//! A story about a whole datacenter: three servers, and five client agents with a service each. An
//! agent is killed, cut off, or has a service that fails; a leader is lost. Whoever asks, by HTTP or
//! DNS, at whichever agent, is told of the services that are well: at the latest when everybody has
//! had time to notice, and all the time until something else happens.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::client;
use super::fault::{LATENCY_MAX, name};
use super::host::{Host, RPC_PORT};
use super::scenario::{Outcome, network, step_until};
use super::trace::Trace;
use super::zone;

/// What happens to the datacenter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Blow {
    /// A client agent is killed, and starts again.
    Kill(usize),
    /// A client agent does not hear of anybody, nor anybody of it.
    Cut(usize),
    /// The service at a client agent fails.
    Fail(usize),
    /// Whoever leads loses power.
    Behead,
}

/// What everybody who asks must be told.
#[derive(Debug, Default)]
struct Truth {
    /// Counts how often that was another.
    epoch: u64,
    /// By the number of the client agent. Nothing, if nobody can tell.
    well: BTreeMap<usize, bool>,
    /// Who cannot be asked.
    away: BTreeSet<String>,
    /// Who leads, as far as clients know.
    leader: Option<usize>,
    /// How many answers there were that were held against this.
    answers: u64,
}

/// Run it.
///
/// # Panics
///
/// If somebody is told anything else.
pub fn run(seed: u64) -> Outcome {
    let mut rng = Rng::stream(seed, "datacenter");
    let (trace, truth) = (Trace::default(), Rc::new(RefCell::new(Truth::default())));
    let mut sim = network(seed, Duration::from_secs(900), LATENCY_MAX).tick_duration(TICK).build();
    let hosts: Vec<_> = (0..SERVERS + AGENTS).map(|it| host(it, seed)).collect();
    for host in &hosts {
        let running = host.clone();
        sim.host(host.name.as_str(), move || running.clone().run());
    }
    for number in 0..WATCHERS {
        let watcher = watch(number, seed, Rc::clone(&truth), trace.clone());
        sim.client(format!("c{number}"), watcher);
    }
    let registered = Rc::new(RefCell::new(0));
    sim.client("owner", register_all(Rc::clone(&registered)));
    let at = sim.elapsed() + START_MAX;
    while sim.elapsed() < at && *registered.borrow() < AGENTS {
        let until = sim.elapsed() + Duration::from_millis(100);
        step_until(&mut sim, until);
    }
    assert_eq!(*registered.borrow(), AGENTS, "seed {seed}: not everybody could register");
    let note = |sim: &turmoil::Sim<'_>, what: &str| {
        trace.note(sim.elapsed(), "all", format_args!("{what}"));
    };
    let mut crashes = 0;
    settle(&mut sim, &truth, SETTLE, &[]);
    for blow in blows(&mut rng) {
        note(&sim, &format!("{blow:?}"));
        crashes += strike(&mut sim, &hosts, &truth, blow);
        note(&sim, "over");
    }
    let answers = truth.borrow().answers;
    assert!(100 < answers, "seed {seed}: {answers} answers");
    let (hash, lines, elapsed) = (trace.hash(), trace.lines(), sim.elapsed());
    Outcome { hash, lines, acknowledged: answers, crashes, installed: 0, elapsed }
}

/// Three of four blows, in any order.
fn blows(rng: &mut Rng) -> Vec<Blow> {
    let one = |rng: &mut Rng| rng.below(AGENTS as u64) as usize;
    let mut blows =
        vec![Blow::Kill(one(rng)), Blow::Cut(one(rng)), Blow::Fail(one(rng)), Blow::Behead];
    rng.shuffle(&mut blows);
    blows.truncate(2);
    blows
}

/// Something happens; everybody has time to notice; it is over, and everybody has time again. After
/// each, all is as it must be for a while.
fn strike(
    sim: &mut turmoil::Sim<'_>,
    hosts: &[Host],
    truth: &Rc<RefCell<Truth>>,
    blow: Blow,
) -> u32 {
    match blow {
        Blow::Kill(agent) => {
            let host = &hosts[SERVERS + agent];
            away(truth, Some(&host.name));
            host.crash(sim);
            settle(sim, truth, NOTICE, &[agent]);
            sim.bounce(host.name.as_str());
            away(truth, None);
            settle(sim, truth, RETURN, &[]);
            1
        }
        Blow::Cut(agent) => {
            let host = &hosts[SERVERS + agent];
            let others = || hosts.iter().filter(|it| it.name != host.name);
            away(truth, Some(&host.name));
            others().for_each(|it| sim.partition(host.name.as_str(), it.name.as_str()));
            settle(sim, truth, NOTICE, &[agent]);
            others().for_each(|it| sim.repair(host.name.as_str(), it.name.as_str()));
            away(truth, None);
            settle(sim, truth, RETURN, &[]);
            0
        }
        Blow::Fail(agent) => {
            hosts[SERVERS + agent].checks.set_broken(true);
            settle(sim, truth, SETTLE, &[agent]);
            hosts[SERVERS + agent].checks.set_broken(false);
            settle(sim, truth, SETTLE, &[]);
            0
        }
        Blow::Behead => {
            let leader = truth.borrow().leader.unwrap_or(0);
            away(truth, Some(&hosts[leader].name));
            hosts[leader].crash(sim);
            settle(sim, truth, SETTLE, &[]);
            sim.bounce(hosts[leader].name.as_str());
            away(truth, None);
            settle(sim, truth, SETTLE, &[]);
            1
        }
    }
}

/// Nobody can be told anything for certain, until `patience` is over; then the services at all client
/// agents but `lost` are well, and remain so for a while.
fn settle(
    sim: &mut turmoil::Sim<'_>,
    truth: &Rc<RefCell<Truth>>,
    patience: Duration,
    lost: &[usize],
) {
    let change = |well: BTreeMap<usize, bool>| {
        let mut truth = truth.borrow_mut();
        truth.epoch += 1;
        truth.well = well;
    };
    // Who is well before and after is well all the time.
    let before = truth.borrow().well.clone();
    let after: BTreeMap<_, _> = (0..AGENTS).map(|it| (it, !lost.contains(&it))).collect();
    let same = |(it, well): &(&usize, &bool)| before.get(it) == Some(well);
    change(after.iter().filter(same).map(|(it, well)| (*it, *well)).collect());
    let until = sim.elapsed() + patience;
    step_until(sim, until);
    change(after);
    let until = sim.elapsed() + STEADY;
    step_until(sim, until);
}

/// Nobody asks this agent.
fn away(truth: &Rc<RefCell<Truth>>, host: Option<&str>) {
    truth.borrow_mut().away = host.map(str::to_owned).into_iter().collect();
}

/// Register a service at every client agent.
async fn register_all(registered: Rc<RefCell<usize>>) -> turmoil::Result {
    for agent in 0..AGENTS {
        let body = format!(
            r#"{{"ID":"web-{agent}","Name":"web","Port":{},"Check":{{"CheckID":"up","Name":"up","TCP":"127.0.0.1:1","Interval":"1s","Timeout":"500ms"}}}}"#,
            PORT + agent as u16
        );
        let path = "/v1/agent/service/register";
        while !client::call(&agent_name(agent), "PUT", path, body.clone(), PATIENCE)
            .await
            .is_ok_and(|it| it.status == 200)
        {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        *registered.borrow_mut() += 1;
    }
    Ok(())
}

/// Ask around, for as long as the story lasts.
async fn watch(
    number: usize,
    seed: u64,
    truth: Rc<RefCell<Truth>>,
    trace: Trace,
) -> turmoil::Result {
    let own = format!("c{number}");
    let mut rng = Rng::stream(seed, &own);
    loop {
        tokio::time::sleep(Duration::from_millis(50) + rng.up_to(Duration::from_millis(400))).await;
        let place = rng.below((SERVERS + AGENTS) as u64) as usize;
        let host = place_name(place);
        let (epoch, away) = {
            let truth = truth.borrow();
            (truth.epoch, truth.away.contains(&host))
        };
        if away {
            continue;
        }
        let dns = rng.chance(1, 2);
        let told = if dns {
            zone::ports(&host, "web.service.consul", PATIENCE).await.ok()
        } else {
            passing(&host).await
        };
        let at = turmoil::sim_elapsed().unwrap_or_default();
        let by = if dns { "dns" } else { "http" };
        trace.note(at, &own, format_args!("{by} at {host}: {told:?}"));
        if let Some(ports) = told {
            judge(&truth, epoch, &format!("{by} at {host} after {at:?}"), &ports);
        }
        if rng.chance(1, 8) {
            find_leader(&host, &truth).await;
        }
    }
}

/// What was told must be what is true, if that has not changed since it was asked.
fn judge(truth: &Rc<RefCell<Truth>>, epoch: u64, who: &str, ports: &[u16]) {
    let mut truth = truth.borrow_mut();
    if truth.epoch != epoch {
        return;
    }
    truth.answers += 1;
    for (agent, well) in &truth.well {
        let told = ports.contains(&(PORT + *agent as u16));
        assert_eq!(told, *well, "{who}: of {agent} in {ports:?}, where {:?}", truth.well);
    }
}

/// The ports of the instances that are well, over HTTP.
async fn passing(host: &str) -> Option<Vec<u16>> {
    let path = "/v1/health/service/web?passing";
    let answer = client::call(host, "GET", path, "", PATIENCE).await.ok()?;
    if answer.status != 200 {
        return None;
    }
    let body = String::from_utf8_lossy(&answer.body);
    let ports = body.split("\"Port\":").skip(1);
    let digits = |it: &str| it.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    Some(ports.filter_map(digits).collect())
}

async fn find_leader(host: &str, truth: &Rc<RefCell<Truth>>) {
    let Ok(answer) = client::call(host, "GET", "/v1/status/leader", "", PATIENCE).await else {
        return;
    };
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    let address = |it: usize| format!("\"{}:{RPC_PORT}\"", turmoil::lookup(name(it)));
    let leader = (0..SERVERS).find(|it| address(*it) == told.trim());
    let mut truth = truth.borrow_mut();
    truth.leader = leader.or(truth.leader);
}

fn host(place: usize, seed: u64) -> Host {
    let servers = (0..SERVERS).map(name).collect();
    Host { servers, client: SERVERS <= place, ..Host::new(place_name(place), seed) }
}

fn place_name(place: usize) -> String {
    place.checked_sub(SERVERS).map_or_else(|| name(place), agent_name)
}

fn agent_name(agent: usize) -> String {
    format!("a{}", agent + 1)
}

const SERVERS: usize = 3;
const AGENTS: usize = 5;
const WATCHERS: usize = 2;

/// Where the first service says that it is.
const PORT: u16 = 1_000;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take until everybody has registered.
const START_MAX: Duration = Duration::from_secs(40);

/// How long the catalog may take to hear of what an agent knows, and a cluster to have a leader.
const SETTLE: Duration = Duration::from_secs(12);

/// How long the pool may take to notice who is gone, and who is back.
const NOTICE: Duration = Duration::from_secs(40);
const RETURN: Duration = Duration::from_secs(40);

/// For how long nothing happens.
const STEADY: Duration = Duration::from_secs(5);

/// The grain of simulated time.
const TICK: Duration = Duration::from_millis(5);
