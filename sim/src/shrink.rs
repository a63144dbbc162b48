//! The smallest plan that still breaks the same invariant.
//!
//! A failing plan is full of faults that had nothing to do with it. They are left out in ever
//! smaller groups (delta debugging: Zeller and Hildebrandt, 2002), and a step counts only if the
//! *same* invariant breaks: another one is another story.

use std::collections::BTreeSet;
use std::fmt;
use std::mem::discriminant;
use std::str::FromStr;

use tribune_base::time::Duration;

use crate::moment::Moment;
use crate::oracle::Violation;
use crate::plan::Plan;
use crate::world;

/// What is left of a plan. As text, it is a file that anybody with the same revision can replay.
///
/// ```text
///   seed 17
///   servers 5
///   agents 2
///   breaks RI-5
///   heal 3500000000
///   without loss
///   item 4
///   op 0 17
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cutting {
    /// Of the plan of which seed.
    pub seed: u64,
    /// For how many servers.
    pub servers: usize,
    /// And how many client agents.
    pub agents: usize,
    /// Which invariant it breaks.
    pub breaks: String,
    /// When everything is put right, in nanoseconds.
    pub heal_at: u64,
    /// Which knobs are left as they usually are.
    pub without: BTreeSet<String>,
    /// Which faults are left, by their number in the whole plan.
    pub items: BTreeSet<usize>,
    /// Which requests are left, by client and number.
    pub ops: BTreeSet<(usize, usize)>,
}

/// The knobs that can be left as they usually are.
pub const KNOBS: [&str; 11] = [
    "loss",
    "duplicate",
    "latency",
    "tail",
    "reorder",
    "clog",
    "quantum",
    "disk",
    "rates",
    "bytes",
    "raft",
];

impl Cutting {
    /// All of a plan.
    pub fn whole(plan: &Plan) -> Self {
        let ops = plan.scripts.iter().enumerate();
        let ops = ops.flat_map(|(client, it)| (0..it.ops.len()).map(move |n| (client, n)));
        Self {
            seed: plan.seed,
            servers: plan.servers,
            agents: plan.agents,
            breaks: String::new(),
            heal_at: plan.heal_at.0,
            without: BTreeSet::new(),
            items: (0..plan.items.len()).collect(),
            ops: ops.collect(),
        }
    }

    /// The plan that is left.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::with(self.seed, self.servers, self.agents);
        let calm = Plan::calm(self.seed, self.servers, Duration::ZERO).knobs;
        let knobs = &mut plan.knobs;
        for knob in &self.without {
            match knob.as_str() {
                "loss" => knobs.loss = 0,
                "duplicate" => knobs.duplicate = 0,
                "latency" => knobs.latency_max = calm.latency_max,
                "tail" => knobs.tail = 0,
                "reorder" => knobs.fifo = true,
                "clog" => knobs.in_flight_max = calm.in_flight_max,
                "quantum" => knobs.quantum = calm.quantum,
                "disk" => (knobs.disk_max, knobs.disk_tail) = (calm.disk_max, 0),
                "rates" => knobs.rates.clone_from(&calm.rates),
                "bytes" => knobs.through_bytes = false,
                "raft" => knobs.raft = calm.raft.clone(),
                _ => {}
            }
        }
        plan.heal_at = Moment(self.heal_at);
        let items = std::mem::take(&mut plan.items).into_iter().enumerate();
        plan.items = items.filter(|(n, _)| self.items.contains(n)).map(|(_, it)| it).collect();
        for (client, script) in plan.scripts.iter_mut().enumerate() {
            // What is left keeps its time: the gaps of what is left out are waited for.
            let mut gap = Duration::ZERO;
            let mut ops = Vec::new();
            for (n, op) in script.ops.iter().enumerate() {
                gap += op.gap;
                if self.ops.contains(&(client, n)) {
                    ops.push(crate::workload::Op { gap, ..*op });
                    gap = Duration::ZERO;
                }
            }
            script.ops = ops;
        }
        plan
    }
}

/// Make a failing plan smaller, for at most so many runs. `step` is told of each success.
pub fn shrink(plan: &Plan, runs_max: u32, step: impl FnMut(&Cutting)) -> Option<Cutting> {
    shrink_with(plan, runs_max, step, |it| world::run(it, false).violation)
}

/// The same, where `play` says what a plan breaks.
pub fn shrink_with(
    plan: &Plan,
    runs_max: u32,
    mut step: impl FnMut(&Cutting),
    play: impl Fn(&Plan) -> Option<Violation>,
) -> Option<Cutting> {
    let mut best = Cutting::whole(plan);
    let violation = play(plan)?;
    best.breaks.clone_from(&violation.id);
    let mut shrinking = Shrinking { best, runs: 0, runs_max, step: &mut step, play: &play };
    shrinking.end_early(&violation);
    shrinking.drop_classes();
    shrinking.drop_clients();
    shrinking.drop_items();
    shrinking.drop_ops();
    shrinking.calm_knobs();
    shrinking.drop_items();
    Some(shrinking.best)
}

struct Shrinking<'a> {
    best: Cutting,
    runs: u32,
    runs_max: u32,
    step: &'a mut dyn FnMut(&Cutting),
    play: &'a dyn Fn(&Plan) -> Option<Violation>,
}

impl Shrinking<'_> {
    /// Whether `cutting` still breaks the same invariant. If so, it is the best so far.
    fn accept(&mut self, cutting: Cutting) -> bool {
        if self.runs_max <= self.runs || cutting == self.best {
            return false;
        }
        self.runs += 1;
        let violation = (self.play)(&cutting.plan());
        let same = violation.is_some_and(|it| it.id == self.best.breaks);
        if same {
            self.best = cutting;
            (self.step)(&self.best);
        }
        same
    }

    /// What comes after the violation had no part in it.
    fn end_early(&mut self, violation: &Violation) {
        let items = Plan::with(self.best.seed, self.best.servers, self.best.agents).items;
        let mut cutting = self.best.clone();
        cutting.items.retain(|it| items[*it].at <= violation.at);
        self.accept(cutting);
        while 1_000_000_000 < self.best.heal_at {
            let heal_at = self.best.heal_at / 2;
            let mut cutting = Cutting { heal_at, ..self.best.clone() };
            cutting.items.retain(|it| items[*it].at.0 <= heal_at);
            if !self.accept(cutting) {
                return;
            }
        }
    }

    fn drop_classes(&mut self) {
        let items = Plan::with(self.best.seed, self.best.servers, self.best.agents).items;
        let mut seen = Vec::new();
        for item in &items {
            let class = discriminant(&item.what);
            if seen.contains(&class) {
                continue;
            }
            seen.push(class);
            let mut cutting = self.best.clone();
            cutting.items.retain(|it| discriminant(&items[*it].what) != class);
            self.accept(cutting);
        }
    }

    fn drop_clients(&mut self) {
        let clients: BTreeSet<usize> = self.best.ops.iter().map(|(client, _)| *client).collect();
        for client in clients {
            let mut cutting = self.best.clone();
            cutting.ops.retain(|(it, _)| *it != client);
            self.accept(cutting);
        }
    }

    fn drop_items(&mut self) {
        let items: Vec<_> = self.best.items.iter().copied().collect();
        self.minimise(&items, |cutting, dropped| {
            dropped.iter().for_each(|it| _ = cutting.items.remove(it));
        });
    }

    fn drop_ops(&mut self) {
        let ops: Vec<_> = self.best.ops.iter().copied().collect();
        self.minimise(&ops, |cutting, dropped| {
            dropped.iter().for_each(|it| _ = cutting.ops.remove(it));
        });
    }

    /// Leave out ever smaller groups of `parts`.
    fn minimise<T>(&mut self, parts: &[T], leave_out: impl Fn(&mut Cutting, &[T])) {
        let mut size = parts.len();
        while 0 < size {
            for group in parts.chunks(size) {
                let mut cutting = self.best.clone();
                leave_out(&mut cutting, group);
                self.accept(cutting);
            }
            size /= 2;
        }
    }

    fn calm_knobs(&mut self) {
        for knob in KNOBS {
            let mut cutting = self.best.clone();
            cutting.without.insert(knob.to_owned());
            self.accept(cutting);
        }
    }
}

impl fmt::Display for Cutting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}\nservers {}\nagents {}", self.seed, self.servers, self.agents)?;
        writeln!(f, "breaks {}", self.breaks)?;
        writeln!(f, "heal {}", self.heal_at)?;
        for knob in &self.without {
            writeln!(f, "without {knob}")?;
        }
        for item in &self.items {
            writeln!(f, "item {item}")?;
        }
        for (client, op) in &self.ops {
            writeln!(f, "op {client} {op}")?;
        }
        Ok(())
    }
}

/// Why a text is no [`Cutting`]: this line of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CuttingError(pub String);

impl FromStr for Cutting {
    type Err = CuttingError;

    fn from_str(text: &str) -> Result<Self, CuttingError> {
        let mut this = Self::default();
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|it| !it.is_empty() && !it.starts_with('#')) {
            let wrong = || CuttingError(line.to_owned());
            let (word, rest) = line.split_once(' ').ok_or_else(wrong)?;
            let number = |it: &str| it.parse::<u64>().map_err(|_| wrong());
            match word {
                "seed" => this.seed = number(rest)?,
                "servers" => this.servers = number(rest)? as usize,
                "agents" => this.agents = number(rest)? as usize,
                "breaks" => rest.clone_into(&mut this.breaks),
                "heal" => this.heal_at = number(rest)?,
                "without" => _ = this.without.insert(rest.to_owned()),
                "item" => _ = this.items.insert(number(rest)? as usize),
                "op" => {
                    let (client, op) = rest.split_once(' ').ok_or_else(wrong)?;
                    this.ops.insert((number(client)? as usize, number(op)? as usize));
                }
                _ => return Err(wrong()),
            }
        }
        Ok(this)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let mut cutting = Cutting::whole(&Plan::new(5));
        cutting.breaks = "RI-5".into();
        cutting.without.insert("loss".into());
        assert_eq!(cutting.to_string().parse(), Ok(cutting));
        assert_eq!("item x".parse::<Cutting>(), Err(CuttingError("item x".into())));
    }

    #[test]
    fn the_whole_is_the_plan() {
        for seed in 0..20 {
            let plan = Plan::new(seed);
            let whole = Cutting::whole(&plan).plan();
            assert_eq!(format!("{plan:?}"), format!("{whole:?}"), "seed {seed}");
        }
    }

    #[test]
    fn what_is_left_keeps_its_time() {
        let plan = Plan::new(1);
        let end = |it: &Plan| it.scripts[0].ops.iter().map(|it| it.gap).sum::<Duration>();
        let mut cutting = Cutting::whole(&plan);
        let last = plan.scripts[0].ops.len() - 1;
        cutting.ops = BTreeSet::from([(0, last)]);
        assert_eq!(end(&cutting.plan()), end(&plan));
    }
}
