//! Clients of one datacenter: they write, read, wait and look services up, at home and elsewhere, by
//! way of the agents of their own datacenter, and judge what they are told.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use tokio::task::spawn_local;
use tokio::time::sleep;
use tribune_base::rng::Rng;
use tribune_base::time::Duration;

use super::at_home::AtHome;
use super::journal::Journal;
use super::ledger::Ledger;
use super::verdict::Verdicts;
use super::weather::{Dc, Weather};
use super::{DATACENTERS, Size, agent_name, dc_name, port, server_name};
use crate::turmoil::client::{self, Answer};
use crate::turmoil::zone;

/// What the clients of a datacenter have in common.
#[derive(Clone, Debug)]
pub(super) struct Citizens {
    /// Where they live.
    pub(super) dc: Dc,
    pub(super) size: Size,
    pub(super) seed: u64,
    pub(super) weather: Weather,
    pub(super) verdicts: Verdicts,
    pub(super) ledger: Ledger,
    pub(super) journal: Journal,
    /// How many datacenters have found everything as it must be at the start.
    pub(super) ready: Rc<Cell<usize>>,
    /// How long requests took that stayed at home.
    pub(super) at_home: Rc<RefCell<AtHome>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Citizen {
    pub(super) all: Citizens,
    pub(super) rng: Rng,
}

/// A request, and what came of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) begin: Duration,
    took: Duration,
    host: String,
    what: String,
    /// Nothing, if its client had enough of waiting.
    pub(super) answer: Option<Answer>,
}

/// What is expected of a request.
#[derive(Clone, Copy, Debug)]
struct Expected {
    target: Dc,
    changes: bool,
    wait: Duration,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Done,
    Outrun,
    Unknown,
}

impl Citizens {
    /// Live until everything is well, and find it so.
    ///
    /// # Errors
    ///
    /// None: what does not hold is in the verdicts.
    pub(super) async fn run(self) -> turmoil::Result {
        self.citizen("start").start().await;
        self.ready.set(self.ready.get() + 1);
        for target in 0..DATACENTERS {
            let name = dc_name(target);
            self.settle(&format!("writer {name}"), |it| it.write_for(target));
            self.settle(&format!("waiter {name}"), |it| it.wait_for(target));
        }
        self.settle("reader", Citizen::read_around);
        self.settle("seeker", Citizen::look_up);
        self.settle("inspector", Citizen::inspect);
        self.settle("lister", Citizen::list);
        let mut stormed = false;
        while self.weather.healed().is_none() {
            sleep(Duration::from_millis(100)).await;
            if !stormed && self.weather.storm().is_some_and(|it| it <= now()) {
                stormed = true;
                for number in 0..CROWD {
                    self.settle(&format!("crowd {number}"), Citizen::ask_once);
                }
            }
        }
        self.citizen("end").end().await;
        Ok(())
    }

    fn settle<F: Future<Output = ()> + 'static>(
        &self,
        name: &str,
        live: impl FnOnce(Citizen) -> F,
    ) {
        spawn_local(live(self.citizen(name)));
    }

    fn citizen(&self, name: &str) -> Citizen {
        let rng = Rng::stream(self.seed, &format!("{} {name}", dc_name(self.dc)));
        Citizen { all: self.clone(), rng }
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        let servers = (0..self.size.servers).map(|it| server_name(self.dc, it));
        servers.chain((0..self.size.agents).map(|it| agent_name(self.dc, it))).collect()
    }

    fn own_name(&self) -> String {
        format!("{}-c", dc_name(self.dc))
    }

    fn is_over(&self) -> bool {
        self.weather.healed().is_some()
    }
}

impl Citizen {
    /// Write a key of `target`'s, again and again, each time unless it has changed since it was read:
    /// what was given up may still come, but not after a later write.
    async fn write_for(mut self, target: Dc) {
        let key = key(target, self.all.dc);
        let mut known = None;
        while self.pause(250, 700).await {
            let Some(host) = self.host() else { continue };
            let Some(index) = known else {
                known = self.read(&host, &key, target, "consistent").await;
                continue;
            };
            known = match self.write(&host, &key, target, index).await {
                Fate::Done | Fate::Outrun => None,
                Fate::Unknown => Some(index),
            };
        }
    }

    /// Read anybody's keys anywhere.
    async fn read_around(mut self) {
        while self.pause(100, 400).await {
            let (target, owner) = (self.dc(), self.dc());
            let Some(host) = self.host() else { continue };
            let mode = if self.rng.chance(1, 3) { "consistent" } else { "" };
            self.read(&host, &key(target, owner), target, mode).await;
        }
    }

    /// Wait for a key of `target`'s to change, again and again.
    async fn wait_for(mut self, target: Dc) {
        let mut seen = None;
        while self.pause(50, 200).await {
            let Some(host) = self.host() else { continue };
            let key = key(target, target);
            let Some(index) = seen else {
                seen = self.read(&host, &key, target, "").await;
                continue;
            };
            let wait = Duration::from_secs(1 + self.rng.below(6));
            let mode = format!("index={index}&wait={}s", wait.as_secs());
            seen = self.read_in(&host, &key, target, (&mode, wait)).await;
        }
    }

    /// Look for the services of anybody, over HTTP and DNS.
    async fn look_up(mut self) {
        while self.pause(100, 400).await {
            let (target, dns) = (self.dc(), self.rng.chance(1, 2));
            let Some(host) = self.host() else { continue };
            if dns {
                self.ask_dns(&host, target).await;
            } else {
                self.ask_health(&host, target).await;
            }
        }
    }

    /// The list of datacenters, from anybody, at any time.
    async fn list(mut self) {
        while self.pause(300, 900).await {
            let Some(host) = self.host() else { continue };
            let asked = self.get("list", &host, "/v1/catalog/datacenters", PATIENCE).await;
            if !self.all.weather.is_fine_since(self.all.dc, asked.begin) {
                continue;
            }
            let whole = asked.body().is_some_and(|body| {
                (0..DATACENTERS).all(|it| body.contains(&format!("\"{}\"", dc_name(it))))
            });
            self.check("MD-6", whole, || format!("{asked}: not all datacenters"));
            self.check("MD-6", asked.took <= AT_ONCE, || format!("{asked}: it has waited"));
        }
    }

    /// Whether everybody is where he belongs.
    async fn inspect(mut self) {
        while self.pause(500, 1_500).await {
            let Some(host) = self.host() else { continue };
            let own = format!("{}-", dc_name(self.all.dc));
            let asked = self.get("list", &host, "/v1/agent/members", PATIENCE).await;
            for name in asked.fields("Name") {
                self.check("MD-4", name.starts_with(&own), || format!("{asked}: {name} is there"));
            }
            let target = self.dc();
            let path = format!("/v1/catalog/nodes?dc={}", dc_name(target));
            let asked = self.get("list", &host, &path, PATIENCE).await;
            self.judge(&asked, Expected { target, changes: false, wait: Duration::ZERO });
            let there = format!("{}-", dc_name(target));
            for name in asked.fields("Node") {
                self.check("MD-4", name.starts_with(&there), || format!("{asked}: has {name}"));
            }
            let server = self.rng.below(self.all.size.servers as u64) as usize;
            let server = server_name(self.all.dc, server);
            if self.all.weather.is_there(&server) {
                let asked = self.get("list", &server, "/v1/agent/members?wan=1", PATIENCE).await;
                for name in asked.fields("Name") {
                    self.check("MD-5", self.is_server(&name), || format!("{asked}: has {name}"));
                }
            }
        }
    }

    /// One of a crowd.
    async fn ask_once(mut self) {
        let target = self.dc();
        let Some(host) = self.host() else { return };
        let path = format!("/v1/kv/{}?raw&dc={}", key(target, target), dc_name(target));
        let asked = self.get("storm", &host, &path, PATIENCE).await;
        let answered = asked.is_success() && asked.took <= CROWD_MAX;
        self.check("LV-3", answered, || format!("{asked}: one of a crowd"));
    }

    async fn ask_health(&self, host: &str, target: Dc) {
        let path = format!("/v1/health/service/web?passing&dc={}", dc_name(target));
        let asked = self.get("health", host, &path, PATIENCE).await;
        self.judge(&asked, Expected { target, changes: false, wait: Duration::ZERO });
        if !asked.is_success() {
            return;
        }
        let there = format!("{}-", dc_name(target));
        for name in asked.fields("Node") {
            self.check("MD-1", name.starts_with(&there), || format!("{asked}: has {name}"));
        }
        let ports = asked.body().unwrap_or_default();
        let ports = ports.split("\"Port\":").skip(1);
        let digits = |it: &str| it.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        self.judge_ports(target, asked.begin, &asked.to_string(), ports.filter_map(digits));
    }

    async fn ask_dns(&self, host: &str, target: Dc) {
        let begin = now();
        let name = format!("web.service.{}.consul", dc_name(target));
        let told = zone::ports(host, &name, DNS_PATIENCE).await;
        let (took, weather) = (now() - begin, &self.all.weather);
        let told_text = match &told {
            Ok(ports) => format!("{ports:?}"),
            Err(error) => error.kind().to_string(),
        };
        let what = format!("{name} at {host}: {told_text}, {} ms", took.as_millis());
        self.note("dns", begin, what.clone());
        if weather.is_linked_since(self.all.dc, target, begin) {
            let id = if target == self.all.dc { "MD-2" } else { "MD-5" };
            self.check(id, told.is_ok(), || what.clone());
        } else if weather.is_severed_since(self.all.dc, target, begin) {
            self.check("MD-2", told.is_err(), || format!("{what}: nobody can know"));
        }
        if let Ok(ports) = told {
            self.judge_ports(target, begin, &what, ports.into_iter());
        }
    }

    /// These instances were named: those that are well, and no others.
    fn judge_ports(
        &self,
        target: Dc,
        begin: Duration,
        what: &str,
        named: impl Iterator<Item = u16>,
    ) {
        let named: Vec<_> = named.filter(|it| *it != 0).collect();
        let theirs = port(target, 0)..port(target, self.all.size.agents);
        for port in &named {
            self.check("MD-1", theirs.contains(port), || format!("{what}: {port} is not theirs"));
        }
        if !self.all.weather.is_linked_since(self.all.dc, target, begin) {
            return;
        }
        for (port, well) in self.all.weather.well_since(begin) {
            if theirs.contains(&port) {
                self.check("CH-2", named.contains(&port) == well, || {
                    format!("{what}: of {port}, which is {}", if well { "well" } else { "not" })
                });
            }
        }
    }

    /// Write the next value of `key`, unless it has changed since `index`.
    async fn write(&self, host: &str, key: &str, target: Dc, index: u64) -> Fate {
        let (count, value) = self.all.ledger.attempt(key);
        let path = format!("/v1/kv/{key}?cas={index}{}", self.of(target));
        let asked = self.ask(("put", "PUT"), host, &path, value, PATIENCE).await;
        self.judge(&asked, Expected { target, changes: true, wait: Duration::ZERO });
        let Some(answer) = &asked.answer else { return Fate::Unknown };
        match (answer.status, &answer.body[..]) {
            (200, b"true") => {
                self.all.ledger.acknowledge(key, count);
                Fate::Done
            }
            (200, _) => {
                self.all.ledger.refuse(key, count);
                Fate::Outrun
            }
            (_, body) => {
                if HARMLESS.iter().any(|it| it.as_bytes() == body.trim_ascii()) {
                    self.all.ledger.refuse(key, count);
                }
                Fate::Unknown
            }
        }
    }

    /// Read `key`. Its index, if there was an answer: zero, if there is no such key.
    async fn read(&self, host: &str, key: &str, target: Dc, mode: &str) -> Option<u64> {
        self.read_in(host, key, target, (mode, Duration::ZERO)).await
    }

    async fn read_in(
        &self,
        host: &str,
        key: &str,
        target: Dc,
        (mode, wait): (&str, Duration),
    ) -> Option<u64> {
        let path = format!("/v1/kv/{key}?raw&{mode}{}", self.of(target));
        let floor = self.all.ledger.floor(key);
        let kind = if wait.is_zero() { "get" } else { "wait" };
        let asked = self.get(kind, host, &path, PATIENCE + wait).await;
        self.judge(&asked, Expected { target, changes: false, wait });
        let answer = asked.answer.as_ref()?;
        let index = answer.index.unwrap_or_default();
        let text = match answer.status {
            200 => Some(str::from_utf8(&answer.body).ok()?),
            404 => None,
            _ => return None,
        };
        self.all.ledger.read(key, floor, (text, index), &asked.to_string());
        Some(if text.is_some() { index } else { 0 })
    }

    async fn get(&self, kind: &'static str, host: &str, path: &str, patience: Duration) -> Asked {
        self.ask((kind, "GET"), host, path, String::new(), patience).await
    }

    async fn ask(
        &self,
        (kind, method): (&'static str, &str),
        host: &str,
        path: &str,
        body: String,
        patience: Duration,
    ) -> Asked {
        let begin = now();
        let what = if body.is_empty() { path.to_owned() } else { format!("{path} {body:?}") };
        let answer = client::call(host, method, path, body, patience).await.ok();
        let asked = Asked { begin, took: now() - begin, host: host.to_owned(), what, answer };
        self.note(kind, begin, asked.to_string());
        asked
    }

    /// What was asked of `target` must have been answered, or refused, as the weather lets expect.
    fn judge(&self, asked: &Asked, expected: Expected) {
        let Expected { target, changes, wait } = expected;
        let (dc, weather) = (self.all.dc, &self.all.weather);
        let deadline = wait + wait / 16 + if changes { WRITE_MAX } else { READ_MAX };
        if weather.is_fine_since(dc, asked.begin) {
            self.check("BQ-4", asked.answer.is_some(), || format!("{asked}: for ever"));
            self.check("MD-2", asked.took <= deadline, || format!("{asked}: too late"));
        }
        if weather.is_linked_since(dc, target, asked.begin) {
            let limit = wait + wait / 16 + if target == dc { AT_ONCE } else { ACROSS_MAX };
            let id = if target == dc { "MD-2" } else { "MD-5" };
            self.check(id, asked.is_success(), || format!("{asked}: all is well there"));
            self.check(id, asked.took <= limit, || format!("{asked}: slow"));
            if target == dc && wait.is_zero() {
                self.all.at_home.borrow_mut().took(asked.took, weather.is_foul());
            }
        } else if weather.is_severed_since(dc, target, asked.begin)
            && let Some(answer) = &asked.answer
        {
            let told = str::from_utf8(&answer.body).unwrap_or_default().trim();
            let right = told == UNREACHABLE || changes && UNKNOWN.contains(&told);
            self.check("MD-2", answer.status == 500 && right, || {
                format!("{asked}: the wrong error")
            });
        }
    }

    /// What is appended to ask for `target`: at home it is said or not.
    fn of(&self, target: Dc) -> String {
        let silent = target == self.all.dc && now().as_millis().is_multiple_of(2);
        if silent { String::new() } else { format!("&dc={}", dc_name(target)) }
    }

    fn note(&self, kind: &'static str, begin: Duration, text: String) {
        self.all.journal.note(now(), Some(begin), &self.all.own_name(), kind, text);
    }

    pub(super) fn check(&self, id: &'static str, holds: bool, text: impl FnOnce() -> String) {
        self.all.verdicts.check(id, holds, text);
    }

    fn is_server(&self, name: &str) -> bool {
        let servers = 0..self.all.size.servers;
        (0..DATACENTERS).any(|dc| {
            let known = |it| format!("{}.{}", server_name(dc, it), dc_name(dc));
            servers.clone().any(|it| known(it) == name)
        })
    }

    fn dc(&mut self) -> Dc {
        self.rng.below(DATACENTERS as u64) as Dc
    }

    /// An agent at home that may be asked.
    fn host(&mut self) -> Option<String> {
        if self.all.weather.is_dark(self.all.dc) {
            return None;
        }
        let mut hosts = self.all.hosts();
        hosts.retain(|it| self.all.weather.is_there(it));
        let at = self.rng.below(hosts.len().max(1) as u64) as usize;
        hosts.into_iter().nth(at)
    }

    /// Sleep for a while. False, if all is over.
    async fn pause(&mut self, min: u64, max: u64) -> bool {
        sleep(Duration::from_millis(min) + self.rng.up_to(Duration::from_millis(max - min))).await;
        !self.all.is_over()
    }
}

/// The beginning and the end.
impl Citizen {
    /// Register services, and wait until everybody at home reaches everybody.
    async fn start(&mut self) {
        for agent in 0..self.all.size.agents {
            let host = agent_name(self.all.dc, agent);
            let body = format!(
                r#"{{"ID":"web","Name":"web","Port":{},"Check":{{"CheckID":"up","Name":"up","TCP":"127.0.0.1:1","Interval":"1s","Timeout":"500ms"}}}}"#,
                port(self.all.dc, agent)
            );
            let path = "/v1/agent/service/register";
            self.until(|it| {
                let (host, body) = (host.clone(), body.clone());
                async move {
                    let asked = it.ask(("list", "PUT"), &host, path, body, PATIENCE).await;
                    asked.answer.is_some_and(|it| it.status == 200)
                }
            })
            .await;
        }
        for host in self.all.hosts() {
            for target in 0..DATACENTERS {
                self.until(|it| {
                    let (host, agents) = (host.clone(), it.all.size.agents);
                    async move {
                        let dc = dc_name(target);
                        let path = format!("/v1/health/service/web?passing&dc={dc}");
                        let asked = it.get("health", &host, &path, PATIENCE).await;
                        let body = asked.body().unwrap_or_default();
                        asked.is_success() && body.matches("\"Service\":{").count() == agents
                    }
                })
                .await;
            }
        }
    }

    /// All is well: every agent at home has a leader, takes writes for everybody, and shows them; and
    /// every server knows that all servers are there.
    async fn end(&mut self) {
        let (servers, deadline) = (self.all.size.servers, now() + END_MAX);
        for target in 0..DATACENTERS {
            let key = key(target, self.all.dc);
            for host in self.all.hosts() {
                let served =
                    self.until_or(deadline, |it| it.write_through(&host, &key, target)).await;
                self.check("LV-2", served, || format!("{host} does not serve {}", dc_name(target)));
            }
        }
        let mut leaders = Vec::new();
        for host in self.all.hosts() {
            let asked = self.get("list", &host, "/v1/status/leader", PATIENCE).await;
            leaders.extend(asked.body().map(|it| it.trim().to_owned()));
            let known =
                leaders.last().is_some_and(|it| it.len() > 2 && Some(it) == leaders.first());
            self.check("LV-1", known, || format!("{asked}: where others say {leaders:?}"));
        }
        let deadline = now() + WHOLE_MAX;
        for server in (0..servers).map(|it| server_name(self.all.dc, it)) {
            let whole = self.until_or(deadline, |it| it.sees_all(&server)).await;
            self.check("MD-5", whole, || format!("{server} does not see all servers there are"));
        }
    }

    async fn write_through(&self, host: &str, key: &str, target: Dc) -> bool {
        let Some(index) = self.read(host, key, target, "consistent").await else { return false };
        self.write(host, key, target, index).await == Fate::Done
            && self.read(host, key, target, "").await.is_some()
    }

    /// Whether `server` has all servers in the pool of all, and believes that they are there.
    async fn sees_all(&self, server: &str) -> bool {
        let asked = self.get("list", server, "/v1/agent/members?wan=1", PATIENCE).await;
        let alive = asked.body().unwrap_or_default().matches("\"Status\":1,").count();
        alive == DATACENTERS * self.all.size.servers
    }

    /// Try until it works.
    async fn until<F: Future<Output = bool>>(&self, attempt: impl Fn(Self) -> F) {
        while !attempt(self.all.citizen("again")).await {
            sleep(AGAIN).await;
        }
    }

    /// Try until it works, or it is too late.
    async fn until_or<'a, F: Future<Output = bool>>(
        &'a self,
        deadline: Duration,
        attempt: impl Fn(&'a Self) -> F,
    ) -> bool {
        loop {
            if attempt(self).await {
                return true;
            }
            if deadline <= now() {
                return false;
            }
            sleep(AGAIN).await;
        }
    }
}

impl Asked {
    fn is_success(&self) -> bool {
        self.answer.as_ref().is_some_and(|it| matches!(it.status, 200 | 404))
    }

    fn body(&self) -> Option<&str> {
        let answer = self.answer.as_ref().filter(|it| it.status == 200)?;
        str::from_utf8(&answer.body).ok()
    }

    /// What the fields of this name say, in a list of objects.
    fn fields(&self, name: &str) -> Vec<String> {
        let (body, start) = (self.body().unwrap_or_default(), format!("\"{name}\":\""));
        let values = body.split(&start).skip(1).filter_map(|it| it.split('"').next());
        values.map(str::to_owned).collect()
    }
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, what, took, answer, .. } = self;
        write!(f, "{} at {host}: ", what.trim_start_matches("/v1/"))?;
        match answer {
            None => f.write_str("no answer")?,
            Some(answer) => {
                let (index, status) = (answer.index.unwrap_or_default(), answer.status);
                let said = String::from_utf8_lossy(&answer.body);
                match said.trim() {
                    rows if rows.starts_with("[{") || rows.starts_with("{\n") => {
                        write!(f, "{status} {} bytes index {index}", rows.len())?;
                    }
                    said => {
                        let said: String = said.chars().take(SAID_MAX).collect();
                        write!(f, "{status} {said:?} index {index}")?;
                    }
                }
            }
        }
        write!(f, ", {} ms", took.as_millis())
    }
}

/// The key of `target`'s that clients of `owner` write.
fn key(target: Dc, owner: Dc) -> String {
    format!("{}/{}", dc_name(target), dc_name(owner))
}

/// The time of the world.
pub(super) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// What is said of a datacenter that is known and cannot be reached.
const UNREACHABLE: &str = "Remote DC has no server currently reachable";

/// What is said of writes of which nobody knows what became of them.
const UNKNOWN: &[&str] = &[
    "rpc error: deadline exceeded; a write may still take effect, read back before repeating it",
    "leadership lost while committing log; the write may still take effect, read back before \
     repeating it",
    "rpc error making call: EOF",
];

/// What is said of writes that have not happened, and will not.
const HARMLESS: &[&str] =
    &[UNREACHABLE, "No path to datacenter", "No cluster leader", "No known Consul servers"];

/// How long requests may take: what servers and client agents allow for them, and a little.
const READ_MAX: Duration = Duration::from_secs(13);
const WRITE_MAX: Duration = Duration::from_secs(14);

/// How long a client waits for an answer: longer than any may take.
const PATIENCE: Duration = Duration::from_secs(20);
const DNS_PATIENCE: Duration = Duration::from_secs(4);

/// How long an answer from home may take, and one from elsewhere, when all is well.
const AT_ONCE: Duration = Duration::from_millis(500);
const ACROSS_MAX: Duration = Duration::from_secs(4);

/// How many come at once in each datacenter, and how long they may wait.
const CROWD: u64 = 60;
const CROWD_MAX: Duration = Duration::from_secs(6);

/// How long it may take to serve, once all is well, and to believe that all servers are there: one
/// that was taken for dead is looked for twice a minute.
const END_MAX: Duration = Duration::from_secs(20);
const WHOLE_MAX: Duration = Duration::from_secs(90);

const AGAIN: Duration = Duration::from_millis(300);

/// How much of an answer is told.
const SAID_MAX: usize = 72;
