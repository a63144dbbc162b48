#![allow(missing_docs)]
#[test]
fn dbg() {
    let seed = std::env::var("SEED").unwrap().parse().unwrap();
    println!("{:?}", tribune_sim::pool::swarm::run(seed));
}
