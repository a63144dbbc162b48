//! Several servers, their messages a millisecond under way and their disks never late.

#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

mod world;

use tribune_api::agent::AgentCall;
use tribune_api::http::Method;
use tribune_base::id::NodeId;
use tribune_base::time::Duration;
use world::{World, key, kv_get, kv_set};

#[test]
fn three_servers_that_know_one_of_them_begin_a_cluster() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let leader = world.leader().expect("somebody leads");
    for name in ["n1", "n2", "n3"] {
        let view = world.node(name).view();
        assert_eq!(view.peers.len(), 3, "{name}");
        assert_eq!(view.leader_addr.as_deref(), Some(world.address(&leader).as_str()), "{name}");
    }
}

/// The first of them by id is the one to begin, and it was told of one other only.
#[test]
fn a_cluster_begins_at_once_whoever_it_is_that_everybody_knows() {
    for known in ["n1", "n2", "n3"] {
        let mut world = World::of(3);
        world.all_join(known);
        world.run(Duration::from_secs(3));
        assert!(world.leader().is_some(), "everybody knows {known}");
    }
}

#[test]
fn two_of_three_wait_for_the_third() {
    let mut world = World::of(3);
    world.stop("n3");
    world.run(Duration::from_secs(20));
    assert_eq!(world.leader(), None);
    let about_itself = world.agent("n1", AgentCall::Itself { pretty: false });
    assert_eq!(world.reply(about_itself).status, 200, "a server without a cluster says who it is");
    world.start("n3");
    world.run(Duration::from_secs(4));
    assert!(world.leader().is_some());
}

#[test]
fn of_four_servers_that_wait_for_three_three_begin_and_the_fourth_joins() {
    let mut world = World::with(4, 3);
    world.run(Duration::from_secs(10));
    let leader = world.leader().expect("somebody leads");
    assert_eq!(world.node(&leader).view().peers.len(), 3);
    let answer = world.write("n4", kv_set("x", "1"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.reply(answer).status, 200);
}

#[test]
fn a_write_at_a_follower_is_read_at_every_server() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let follower = world.follower();
    let answer = world.write(&follower, kv_set("x", "1"));
    world.run(Duration::from_millis(20));
    assert_eq!(&world.reply(answer).body[..], b"true");
    for name in ["n1", "n2", "n3"] {
        let read = world.read(name, kv_get("x"));
        world.run(Duration::from_millis(200));
        assert_eq!(key(&world.reply(read)), Some("1".into()), "{name}");
    }
}

#[test]
fn many_long_writes_at_a_follower_wait_their_turn_and_none_is_lost() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let follower = world.follower();
    let value = "v".repeat(500_000);
    let writes: Vec<_> =
        (0..100).map(|it| world.write(&follower, kv_set(&format!("x/{it}"), &value))).collect();
    world.run(Duration::from_secs(1));
    for write in writes {
        assert_eq!(world.reply(write).status, 200);
    }
}

#[test]
fn what_was_not_handed_to_a_leader_that_is_gone_goes_to_the_next_one() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let leader = world.leader().unwrap();
    let follower = world.follower();
    let value = "v".repeat(500_000);
    let writes: Vec<_> =
        (0..30).map(|it| world.write(&follower, kv_set(&format!("x/{it}"), &value))).collect();
    world.stop(&leader);
    world.run(Duration::from_secs(4));
    let answers: Vec<_> = writes.into_iter().map(|it| world.reply(it).status).collect();
    let lost = answers.iter().filter(|it| **it == 500).count();
    assert!((1..10).contains(&lost), "a few were under way: {answers:?}");
    assert!(answers[lost..].iter().all(|it| *it == 200), "{answers:?}");
}

#[test]
fn writes_go_on_after_the_leader_is_gone_and_nothing_is_lost() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let old = world.leader().unwrap();
    let follower = world.follower();
    let before = world.write(&follower, kv_set("x", "1"));
    world.run(Duration::from_millis(20));
    assert_eq!(world.reply(before).status, 200);

    world.stop(&old);
    let during = world.write(&follower, kv_set("y", "2"));
    world.run(Duration::from_secs(2));
    let leader = world.leader().expect("the others elect one of them");
    assert_ne!(leader, old);
    // It was under way to a server that is gone: nobody knows what became of it.
    assert_eq!(world.reply(during).status, 500);
    let after = world.write(&follower, kv_set("z", "3"));
    let read = world.read(&follower, kv_get("x"));
    world.run(Duration::from_millis(200));
    assert_eq!(world.reply(after).status, 200);
    assert_eq!(key(&world.reply(read)), Some("1".into()));

    world.start(&old);
    world.run(Duration::from_secs(3));
    let read = world.read(&old, kv_get("z"));
    world.run(Duration::from_millis(200));
    assert_eq!(key(&world.reply(read)), Some("3".into()), "the old leader follows");
}

#[test]
fn without_a_quorum_writes_are_refused_in_time_and_stale_reads_go_on() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let leader = world.leader().unwrap();
    let write = world.write(&leader, kv_set("x", "1"));
    world.run(Duration::from_millis(100));
    assert_eq!(world.reply(write).status, 200);
    for name in world.names() {
        if name != leader {
            world.stop(&name);
        }
    }
    world.run(Duration::from_secs(5));
    assert_eq!(world.leader(), None, "a leader without a quorum steps down");
    let write = world.write(&leader, kv_set("x", "2"));
    let stale = world.read(&leader, world::stale(kv_get("x")));
    world.run(Duration::from_secs(8));
    assert_eq!(key(&world.reply(stale)), Some("1".into()));
    let refused = world.reply(write);
    assert_eq!((refused.status, &refused.body[..]), (500, &b"No cluster leader"[..]));
}

#[test]
fn a_server_that_lost_its_disk_comes_back_as_one_that_promised_nothing() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let follower = world.follower();
    let write = world.write(&follower, kv_set("x", "1"));
    world.run(Duration::from_millis(100));
    assert_eq!(world.reply(write).status, 200);

    world.stop(&follower);
    world.wipe(&follower);
    world.start(&follower);
    world.run(Duration::from_secs(5));
    let leader = world.leader().unwrap();
    let configuration = world.configuration(&leader);
    let id = world.id(&follower);
    assert!(configuration.non_voters.contains_key(&id), "{configuration:?}");
    let read = world.read(&follower, world::stale(kv_get("x")));
    world.run(Duration::from_millis(200));
    assert_eq!(key(&world.reply(read)), Some("1".into()), "it has received the log");
}

#[test]
fn a_server_with_a_new_name_takes_the_place_of_the_one_that_was_at_its_address() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let follower = world.follower();
    let before = world.id(&follower);
    world.stop(&follower);
    world.wipe(&follower);
    world.rename(&follower);
    world.start(&follower);
    world.run(Duration::from_secs(25));
    let leader = world.leader().unwrap();
    let configuration = world.configuration(&leader);
    assert!(!configuration.is_member(before), "{configuration:?}");
    assert!(configuration.is_voter(world.id(&follower)), "{configuration:?}");
}

#[test]
fn a_server_that_is_far_behind_takes_over_a_snapshot() {
    let mut world = World::of(3);
    world.snapshots_every(20);
    world.run(Duration::from_secs(4));
    let (follower, leader) = (world.follower(), world.leader().unwrap());
    let write = world.write(&leader, kv_set("k99", "old"));
    world.run(Duration::from_millis(200));
    assert_eq!(world.reply(write).status, 200);
    let index = world.index(&follower, &kv_get("k99"));
    world.stop(&follower);
    for n in 0..100 {
        let write = world.write(&leader, kv_set(&format!("k{n}"), "v"));
        world.run(Duration::from_millis(20));
        assert_eq!(world.reply(write).status, 200);
    }
    world.start(&follower);
    let watch = world.watch(&follower, kv_get("k99"), index);
    world.run(Duration::from_secs(3));
    assert_eq!(world.installed(&follower), 1, "the log it needs is gone");
    assert_eq!(key(&world.reply(watch)), Some("v".into()), "whoever waited there is told");
}

#[test]
fn the_leader_that_stops_hands_over_first() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let old = world.leader().unwrap();
    world.ask_to_stop(&old);
    world.run(Duration::from_millis(100));
    assert!(world.has_stopped(&old));
    let leader = world.leader().expect("nobody waited for an election timeout");
    assert_ne!(leader, old);
}

#[test]
fn the_catalog_shows_which_servers_are_alive() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(6));
    let follower = world.follower();
    let leader = world.leader().unwrap();
    assert_eq!(world.health(&leader, &follower), Some("passing".into()));
    world.stop(&follower);
    world.run(Duration::from_secs(8));
    assert_eq!(world.health(&leader, &follower), Some("critical".into()));
    world.start(&follower);
    world.run(Duration::from_secs(3));
    assert_eq!(world.health(&leader, &follower), Some("passing".into()));
}

#[test]
fn a_server_that_joins_gets_a_vote_when_it_has_proven_itself() {
    let mut world = World::with(4, 3);
    world.run(Duration::from_secs(8));
    let leader = world.leader().unwrap();
    assert_eq!(world.configuration(&leader).voters.len(), 3);
    world.run(Duration::from_secs(20));
    assert_eq!(world.configuration(&leader).voters.len(), 4);
}

#[test]
fn a_server_that_is_gone_for_good_is_let_go_and_may_come_back() {
    let mut world = World::with(4, 3);
    world.run(Duration::from_secs(28));
    let follower = world.follower();
    world.stop(&follower);
    world.run(Duration::from_secs(25));
    let leader = world.leader().unwrap();
    assert_eq!(world.configuration(&leader).voters.len(), 3);
    world.start(&follower);
    world.run(Duration::from_secs(25));
    assert_eq!(world.configuration(&leader).voters.len(), 4);
}

#[test]
fn a_server_that_leaves_is_let_go_at_once_and_the_others_hardly_notice() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(6));
    for leaving in [world.follower(), world.leader().unwrap()] {
        let answer = world.agent(&leaving, AgentCall::Leave);
        world.run(Duration::from_millis(400));
        let leader = world.leader().expect("somebody leads all the time");
        assert!(!world.configuration(&leader).is_member(world.id(&leaving)));
        // The pool hears of it, too, and tells everybody, before the server stops.
        world.run(Duration::from_secs(9));
        assert!(world.has_stopped(&leaving));
        assert_eq!(world.reply(answer).status, 200);
        world.stop(&leaving);
        assert_eq!(world.health(&leader, &leaving), None, "nor is it in the catalog");
    }
    let last = world.leader().unwrap();
    let write = world.write(&last, kv_set("x", "1"));
    world.run(Duration::from_millis(100));
    assert_eq!(world.reply(write).status, 200, "one server is left, and decides alone");
}

#[test]
fn what_is_registered_at_a_follower_is_in_the_catalog_before_its_agent_says_so() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(6));
    let follower = world.follower();
    let registered = world.register(&follower, "web");
    world.run(Duration::from_millis(200));
    assert_eq!(world.reply(registered).status, 200);
    for name in ["n1", "n2", "n3"] {
        let read = world.read(name, world::health("web"));
        world.run(Duration::from_millis(10));
        assert!(String::from_utf8_lossy(&world.reply(read).body).contains("web"), "{name}");
    }
}

#[test]
fn leadership_is_handed_over_wherever_an_operator_says_so() {
    const TRANSFER: &str = "/v1/operator/raft/transfer-leader";
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    // At the leader; at a follower that does not get it; at the one that does.
    for (at, to) in [(0, None), (1, Some(2)), (1, Some(1))] {
        let leader = world.leader().unwrap();
        let names = world.names();
        let others = names.iter().filter(|it| **it != leader);
        let servers: Vec<_> = std::iter::once(&leader).chain(others).collect();
        let target = match to {
            Some(to) => format!("{TRANSFER}?id={}", NodeId::from(world.id(servers[to]))),
            None => TRANSFER.to_owned(),
        };
        let answer = world.operate(servers[at], Method::Put, &target);
        world.run(Duration::from_millis(500));
        let answer = world.reply(answer);
        assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"Success":true}"#[..]));
        let now = world.leader().unwrap();
        assert_ne!(now, leader);
        assert!(to.is_none_or(|it| *servers[it] == now), "{to:?}");
    }
    let own = NodeId::from(world.id(&world.leader().unwrap()));
    let answer = world.operate("n1", Method::Put, &format!("{TRANSFER}?id={own}"));
    world.run(Duration::from_millis(500));
    let answer = world.reply(answer);
    let text = "there is no such other voter to transfer leadership to";
    assert_eq!((answer.status, &answer.body[..]), (500, text.as_bytes()));
}

#[test]
fn a_question_about_the_servers_finds_the_next_leader() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let follower = world.follower();
    world.stop(&world.leader().unwrap());
    // The leader it is handed to is gone, and nobody knows yet.
    let answer = world.operate(&follower, Method::Get, "/v1/operator/raft/configuration");
    world.run(Duration::from_secs(4));
    let answer = world.reply(answer);
    assert_eq!(answer.status, 200);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(text.matches("\"Voter\":true").count(), 3, "{text}");
    assert_eq!(text.matches("\"Leader\":true").count(), 1, "{text}");
}

#[test]
fn a_copy_of_a_server_is_not_believed_while_the_original_is_there() {
    let mut world = World::of(3);
    world.run(Duration::from_secs(4));
    let (leader, follower) = (world.leader().unwrap(), world.follower());
    let address = world.address(&follower);
    world.hear_a_copy_of(&leader, &follower, "10.0.0.9:8300");
    world.run(Duration::from_secs(1));
    assert_eq!(world.conflicts(&leader), 1);
    let id = world.id(&follower);
    assert_eq!(world.configuration(&leader).address(id), Some(address.as_str()));
}
