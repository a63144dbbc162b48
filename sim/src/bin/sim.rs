//! Runs simulations: `sim run --seed 17` tells what happened, `sim swarm --seeds 100` looks for
//! trouble, `sim meta --seeds 10` runs seeds in two processes and compares them.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to people.
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let first: u64 = a[1].parse().unwrap();
    let count: u64 = a[2].parse().unwrap();
    let n: usize = a.get(3).map_or(0, |it| it.parse().unwrap());
    let start = std::time::Instant::now();
    let (mut sim, mut events, mut acks, mut bad) = (0.0, 0, 0, 0);
    for seed in first..first + count {
        let plan = if n == 0 { tribune_sim::plan::Plan::new(seed) } else { tribune_sim::plan::Plan::with_servers(seed, n) };
        let it = tribune_sim::world::run(&plan, count == 1);
        for line in &it.lines { println!("{line}"); }
        if let Some(v) = it.violation { println!("{seed} ({}): {v:?}", plan.servers); bad += 1; if bad > 20 { break; } }
        sim += it.simulated.as_secs_f64(); events += it.events; acks += it.acknowledged;
    }
    let _ = start;
    let real = std::fs::read_to_string("/proc/self/schedstat").unwrap().split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    println!("{bad} bad; {sim:.0} s in {real:.1}: {:.0}/s, {:.1} cluster-hours per minute, {:.0} events/s, {acks} acks", sim / real, sim / real / 60.0, events as f64 / real);
}
