//! What goes wrong, and how it is put right again.

use tribune_base::time::Duration;
use tribune_core::Input;
use tribune_raft as raft;

use super::node::server_id;
use super::{Event, World};
use crate::oracle::{Answered, Outcome, detection, entropy};
use crate::plan::{Change, Direction, FOREVER, Fault, Target};
use crate::trace::Place;
use crate::workload::{Action, KEYS, Key, Mode, Op};

/// How a fault ends. What it concerned is known since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// The links that were cut are whole again.
    Rejoin { links: u128 },
    /// A server that crashed in this life starts.
    Start { server: usize, life: u32 },
    /// A server goes on.
    Resume { server: usize, life: u32 },
    /// A disk has room.
    Space { server: usize },
}

impl World {
    /// A fault of the plan begins.
    pub(super) fn begin_fault(&mut self, item: usize) {
        if !self.core.is_empty() {
            return;
        }
        let what = self.plan.items[item].what;
        self.note(Place::World, "fault", item as u64, || format!("#{item} {what:?}"));
        match what {
            Fault::Split { side, length } => {
                self.cut(item, length, |from, to| side >> from & 1 != side >> to & 1);
            }
            Fault::Isolate { target, direction, length } => {
                let one = self.aim(target);
                self.cut(item, length, |from, to| match direction {
                    Direction::Both => from == one || to == one,
                    Direction::From => from == one,
                    Direction::To => to == one,
                });
            }
            Fault::Bridge { middle, length } => {
                let (half, count) = (self.servers.len() / 2, self.servers.len());
                let side = |it: usize| if it < count { it < half } else { it.is_multiple_of(2) };
                self.cut(item, length, |from, to| {
                    from != middle && to != middle && side(from) != side(to)
                });
            }
            Fault::Clog { from, to, length } => self.net.clog(from, to, self.now + length),
            Fault::Crash { target, down } => self.bring_down(item, target, down),
            Fault::Pause { target, length } => self.pause(item, target, length),
            Fault::Rate { server, rate } => self.set_rate(server, rate),
            Fault::Stall { target, length } => {
                let server = self.aim(target);
                self.disks[server].stalled_until = self.now + length;
            }
            Fault::Full { target, length } => self.fill(item, target, length),
            Fault::Transfer { to } => self.transfer(to),
            Fault::Change { change, server } => self.change(change, server),
        }
    }

    /// A fault ends.
    pub(super) fn end_fault(&mut self, item: usize, what: Ending) {
        if !self.core.is_empty() {
            return;
        }
        self.note(Place::World, "end", item as u64, || format!("#{item}"));
        match what {
            Ending::Rejoin { links } => self.each_link(links, false),
            Ending::Start { server, life } if self.agent_at(server).is_some() => {
                self.restart_agent(server, life);
            }
            Ending::Resume { server, life } if self.agent_at(server).is_some() => {
                if self.agent_at(server).is_some_and(|it| it.life == life) {
                    self.resume_agent(server);
                }
            }
            Ending::Start { server, life } => {
                if self.servers[server].life == life && self.servers[server].node.is_none() {
                    self.start(server);
                }
            }
            Ending::Resume { server, life } => {
                if self.servers[server].life == life {
                    self.resume(server);
                }
            }
            Ending::Space { server } => self.make_room(server),
        }
    }

    fn aim(&self, target: Target) -> usize {
        match target {
            Target::Server(server) => server,
            Target::Leader(server) => self.leader().unwrap_or(server),
        }
    }

    /// Whoever leads, as far as somebody knows who sees everything.
    pub(super) fn leader(&self) -> Option<usize> {
        let leaders = self.servers.iter().enumerate().filter_map(|(n, it)| {
            // Once some are put right, the others are out of reach.
            let reachable = self.core.is_empty() || self.core.contains(&n);
            let node = it.node.as_ref().filter(|_| !it.paused && reachable)?;
            node.raft().is_leader().then(|| (node.raft().term(), n))
        });
        leaders.max().map(|(_, n)| n)
    }

    fn cut(&mut self, item: usize, length: Duration, cut: impl Fn(usize, usize) -> bool) {
        let count = self.places();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        let pairs = pairs.filter(|(from, to)| from != to && cut(*from, *to));
        let links = pairs.fold(0, |links, (from, to)| links | 1 << (from * count + to));
        self.each_link(links, true);
        self.after(length, Event::End { item, what: Ending::Rejoin { links } });
    }

    fn each_link(&mut self, links: u128, cut: bool) {
        let count = self.places();
        for link in (0..count * count).filter(|it| links >> it & 1 == 1) {
            self.net.cut(link / count, link % count, cut);
        }
    }

    fn bring_down(&mut self, item: usize, target: Target, down: Duration) {
        let server = self.aim(target);
        let (runs, life) = match self.agent_at(server) {
            Some(agent) => (agent.core.is_some(), agent.life),
            None => (self.servers[server].node.is_some(), self.servers[server].life),
        };
        if !runs {
            return;
        }
        if self.agent_at(server).is_some() {
            self.crash_agent(server);
        } else {
            self.crash(server);
        }
        if down != FOREVER {
            self.after(down, Event::End { item, what: Ending::Start { server, life } });
        }
    }

    fn pause(&mut self, item: usize, target: Target, length: Duration) {
        let server = self.aim(target);
        let servers = self.servers.len();
        if let Some(agent) = self.agents.get_mut(server.wrapping_sub(servers)) {
            if agent.is_well() {
                agent.paused = true;
                let ending = Ending::Resume { server, life: agent.life };
                self.after(length, Event::End { item, what: ending });
            }
            return;
        }
        if !self.servers[server].is_well() {
            return;
        }
        self.servers[server].paused = true;
        self.oracle.on_pause(server);
        let life = self.servers[server].life;
        self.after(length, Event::End { item, what: Ending::Resume { server, life } });
    }

    /// A server goes on: its deadlines first, then everything that waits.
    fn resume(&mut self, server: usize) {
        if !std::mem::take(&mut self.servers[server].paused) {
            return;
        }
        self.oracle.on_pause(server);
        self.reset_timer(server);
        for event in std::mem::take(&mut self.servers[server].held) {
            self.heap.push(self.now, event);
        }
    }

    fn set_rate(&mut self, server: usize, rate: u64) {
        let it = &mut self.servers[server];
        it.rate = rate;
        it.clock.set_rate(self.now, rate);
        // Between a change and the timer being set anew, a promise about time cannot be kept.
        self.oracle.on_pause(server);
        if self.servers[server].is_well() {
            self.reset_timer(server);
        }
    }

    fn fill(&mut self, item: usize, target: Target, length: Duration) {
        let server = self.aim(target);
        self.disks[server].full = true;
        let advice = "the simulated disk is full".to_owned();
        self.step(server, |world, node, local| {
            let before = node.raft().transferring_to();
            node.handle(local, Input::NoSpace(advice));
            if before.is_none() {
                world.oracle.on_transfer(server);
            }
        });
        self.after(length, Event::End { item, what: Ending::Space { server } });
    }

    fn make_room(&mut self, server: usize) {
        if std::mem::take(&mut self.disks[server].full) {
            self.step(server, |_, node, local| node.handle(local, Input::Space));
            self.flush(server);
        }
    }

    fn transfer(&mut self, to: Option<usize>) {
        let Some(leader) = self.leader() else { return };
        let to = to.map(server_id);
        self.step(leader, |world, node, local| {
            // A new one may begin in the moment that ends the last one. What is refused changes
            // nothing: the one that it would interrupt is still to end in time.
            if node.transfer(local, to).is_ok() {
                world.oracle.on_transfer(leader);
            }
        });
    }

    fn change(&mut self, change: Change, server: usize) {
        let Some(leader) = self.leader() else { return };
        let id = server_id(server);
        let address = format!("10.0.0.{}:8300", server + 1);
        let change = match change {
            Change::AddVoter => raft::Change::AddVoter { id, address },
            Change::Promote => raft::Change::Promote(id),
            Change::Demote => raft::Change::Demote(id),
            Change::Remove => raft::Change::Remove(id),
        };
        // What is refused changes nothing.
        self.step(leader, |_, node, local| _ = node.change_group(local, change));
    }

    /// Everything is put right: at all servers, or at a quorum, while the others stay cut off.
    pub(super) fn heal(&mut self) {
        let core = self.choose_core();
        self.core = core.iter().copied().chain(self.servers.len()..self.places()).collect();
        self.note(Place::World, "heal", core.len() as u64, || {
            format!("servers {:?}", core.iter().map(|it| it + 1).collect::<Vec<_>>())
        });
        self.net.heal(self.now, |it| self.core.contains(&it));
        for place in self.servers.len()..self.places() {
            self.resume_agent(place);
            if self.agent_at(place).is_some_and(|it| it.core.is_none()) {
                self.start_agent(place);
            }
        }
        for server in core {
            self.disks[server].stalled_until = self.now;
            self.hurry(server);
            self.set_rate(server, 1_000);
            self.resume(server);
            if self.servers[server].node.is_none() {
                self.start(server);
            }
            self.make_room(server);
        }
        self.clients.iter_mut().for_each(crate::client::Client::stop);
        self.oracle.liveness.healed = Some(self.now);
        self.heap.push(self.now, Event::Look);
    }

    /// Who is put right: everybody, or a quorum. What a quorum is depends on who is asked: the group
    /// may be changing, and the leader removes who is gone.
    fn choose_core(&self) -> Vec<usize> {
        let everybody: Vec<_> = (0..self.servers.len()).collect();
        if !self.plan.core_only {
            return everybody;
        }
        let mut core = everybody.clone();
        tribune_base::rng::Rng::stream(self.plan.seed, "core").shuffle(&mut core);
        core.truncate(self.servers.len() / 2 + 1);
        core.sort_unstable();
        let decides = |group: &raft::Configuration| {
            group.agreed(|id| u8::from(core.iter().any(|it| server_id(*it) == id))) == 1
        };
        let agree = everybody.iter().all(|it| self.disks[*it].configurations().all(decides));
        let agree = agree
            && self
                .servers
                .iter()
                .all(|it| it.node.as_ref().is_none_or(|node| decides(node.raft().configuration())));
        if agree { core } else { everybody }
    }

    /// Has the cluster recovered?
    pub(super) fn look(&mut self) {
        let mut liveness = self.oracle.liveness;
        let leads = self.leader().is_some_and(|it| self.core.contains(&it));
        if leads && !liveness.probed {
            liveness.probed = true;
            self.probe(WARM_UP);
        }
        // Whoever led when everything was put right may have had no quorum for some time.
        liveness.led =
            liveness.led.or(Some(self.now)).filter(|_| leads || liveness.served.is_some());
        if liveness.served.is_some() && liveness.agreed.is_none() && self.agrees() {
            liveness.agreed = Some(self.now);
        }
        if liveness.agreed.is_some() && liveness.mended.is_none() {
            let problem = self.problem();
            if problem.is_none() {
                liveness.mended = Some(self.now);
            } else if liveness.is_late(self.now, self.plan.knobs.sync) {
                let (id, text) = problem.unwrap_or_default();
                self.oracle.report.require(false, id, || text);
            }
        }
        self.oracle.liveness = liveness;
        let patience = self.plan.knobs.raft.election_timeout * 2;
        if let Some((id, text)) = liveness.overdue(self.now, patience) {
            let states = self.states();
            self.oracle.report.require(false, id, || format!("{text}: {states}"));
        }
        self.after(LOOK, Event::Look);
    }

    /// The last client writes, and then reads everything.
    fn probe(&mut self, gap: Duration) {
        let client = self.clients.len() - 1;
        let writes = (0..).map(|n| Action::Set((n % KEYS.len()) as Key));
        let reads = (0..KEYS.len()).map(|n| Action::Get(n as Key, Mode::Consistent));
        let script = &mut self.clients[client].script.ops;
        let wanted = crate::oracle::WRITES as usize + 4;
        for (serial, action) in writes.take(wanted).chain(reads).enumerate() {
            script.push(Op { serial: serial as u32, gap, server: None, action });
        }
        self.schedule_next(client);
    }

    /// The last client was told something.
    pub(super) fn probed(&mut self, answered: Answered) {
        let liveness = &mut self.oracle.liveness;
        if matches!(answered.outcome, Outcome::Done(_)) {
            liveness.acknowledged += 1;
        } else if answered.outcome != Outcome::Read {
            // It was refused, or nobody knows: once more.
            let client = self.clients.len() - 1;
            let script = &mut self.clients[client].script.ops;
            let serial = script.len() as u32;
            script.push(Op { serial, gap: LOOK, server: None, action: Action::Set(0) });
        }
        if liveness.served.is_none() && crate::oracle::WRITES <= liveness.acknowledged {
            liveness.served = Some(self.now);
        }
    }

    /// Whether all servers have applied the same, nobody waits for anything, and nothing is left of
    /// those who did.
    fn agrees(&self) -> bool {
        let last = self.oracle.truth.last();
        let node = |n: &usize| self.servers.get(*n).and_then(|it| it.node.as_ref());
        let members = self.core.iter().filter_map(node).find(|it| it.raft().is_leader());
        let Some(leader) = members else { return false };
        let configuration = leader.raft().configuration();
        let caught_up = |n: &usize| {
            let outside = !configuration.is_member(server_id(*n));
            outside || node(n).is_some_and(|it| it.shown().applied == last.id.index)
        };
        let count = self.servers.len();
        let idle = |n: &usize| node(n).is_some_and(|it| it.waiting() == 0);
        self.clients.iter().all(|it| it.pending.is_none() && it.next().is_none())
            && leader.raft().is_configuration_settled()
            && self.core.iter().filter(|it| **it < count).all(caught_up)
            && self.core.iter().filter(|it| **it < count).all(idle)
            && self
                .core
                .iter()
                .filter_map(node)
                .all(|it| it.shown().applied != last.id.index || *it.store().view() == last.state)
    }

    /// What the catalog says of agents that is not so, if there are any but servers: of what makes it
    /// true, a cluster of servers alone has nothing to see.
    fn problem(&self) -> Option<(&'static str, String)> {
        if self.agents.is_empty() {
            return None;
        }
        let state = &self.oracle.truth.last().state;
        for (n, server) in self.servers.iter().enumerate() {
            let name = format!("n{}", n + 1);
            let lives = self.core.contains(&n);
            if let Some(problem) = detection::problem(state, &name, lives) {
                return Some(("CH-5", problem));
            }
            let local = server.node.as_ref().filter(|_| lives).map(|it| it.local());
            if let Some(problem) = local.and_then(|it| entropy::problem(state, it)) {
                return Some(("CH-4", problem));
            }
        }
        for agent in &self.agents {
            // Of two of one name, the catalog knows one.
            let twins = self.agents.iter().filter(|it| it.name == agent.name).count();
            let owner = state.node(&agent.name).1.and_then(|it| it.id);
            if 1 < twins && owner != Some(agent.id) {
                continue;
            }
            if let Some(problem) = detection::problem(state, &agent.name, true) {
                return Some(("CH-5", problem));
            }
            let Some(core) = &agent.core else { return Some(("CH-4", "it is down".to_owned())) };
            if let Some(problem) = entropy::problem(state, core.local()) {
                return Some(("CH-4", problem));
            }
        }
        None
    }

    /// How everybody is, in a line.
    fn states(&self) -> String {
        let state = |(n, it): (usize, &super::Server)| {
            let Some(node) = &it.node else { return format!("n{} is down", n + 1) };
            let (raft, waiting) = (node.raft(), node.waiting());
            let applied = node.shown().applied;
            format!(
                "n{} {:?} term {} last {} commit {} applied {applied} waiting {waiting}",
                n + 1,
                raft.role(),
                raft.term(),
                raft.last(),
                raft.commit(),
            )
        };
        let states: Vec<_> = self.servers.iter().enumerate().map(state).collect();
        let waiting = self.clients.iter().filter(|it| it.pending.is_some()).count();
        let last = self.oracle.truth.last().id;
        format!("{}; {waiting} clients wait, {last} is committed", states.join("; "))
    }
}

/// How often to look whether the cluster has recovered.
const LOOK: Duration = Duration::from_millis(50);

/// How long the last client waits between two requests.
const WARM_UP: Duration = Duration::from_millis(20);
