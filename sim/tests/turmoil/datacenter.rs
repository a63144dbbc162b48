//! Servers and client agents, and what whoever asks is told of their services.

use tribune_sim::turmoil::datacenter;

use crate::for_each_seed;

#[test]
fn whoever_asks_is_told_of_the_services_that_are_well() {
    for_each_seed(10, |seed| {
        datacenter::run(seed);
    });
}

#[test]
fn equal_seeds_are_equal_stories() {
    let (first, second) = (datacenter::run(3), datacenter::run(3));
    let differs = first.lines.iter().zip(&second.lines).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(first.hash, second.hash);
}
