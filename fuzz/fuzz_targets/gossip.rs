//! Bytes choose what comes to a member of a pool: packets and letters, right ones and broken ones,
//! answers, time and commands. Nothing of that may break it, and it never sends too much.
#![no_main]

use std::net::SocketAddr;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tribune_base::codec::Writer;
use tribune_base::id::{NodeId, Uuid};
use tribune_base::time::{Duration, Instant};
use tribune_gossip::{Config, ExchangeId, Identity, Output, Pool, Roster, Tags};

fuzz_target!(|bytes: &[u8]| {
    let identity = |number: u8| {
        let addr = SocketAddr::from(([10, 0, 0, number], 8301));
        let name = char::from(b'a' + number).to_string();
        Identity::new(name, NodeId(Uuid(u128::from(number))), addr, Tags::default())
    };
    let roster: Roster = (0..4).map(identity).collect();
    let mut now = Instant::START;
    let mut pool = Pool::with_roster(Config::lan("dc1"), identity(0), 1, now, roster);
    let mut exchanges: Vec<ExchangeId> = Vec::new();
    let mut rest = bytes;
    while let [kind, len, tail @ ..] = rest {
        let (input, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        let from = identity(kind >> 4 & 3).addr;
        match kind & 15 {
            0 => pool.handle_packet(now, from, Bytes::copy_from_slice(input)),
            1..=3 => pool.handle_packet(now, from, headed(input)),
            4 => drop(pool.handle_exchange(now, from, Bytes::copy_from_slice(input))),
            5 => drop(pool.handle_exchange(now, from, headed(input))),
            6 | 7 => {
                if let Some(id) = exchanges.pop() {
                    let answer = (kind & 1 == 0).then(|| headed(input));
                    pool.exchanged(now, id, answer);
                }
            }
            8 => pool.join(now, [from]),
            9 => pool.leave(now),
            10 => drop(pool.force_leave(now, "b", kind & 16 != 0)),
            11 => drop(pool.fire(now, "event", Bytes::copy_from_slice(input), false)),
            12 => drop(pool.query(now, "query", Bytes::new(), Default::default())),
            13 => now = now + Duration::from_millis(u64::from(*len) * 50),
            _ => {
                now = now.max(pool.poll_timeout().unwrap_or(now));
                pool.handle_timeout(now);
            }
        }
        while let Some(output) = pool.poll_output() {
            match output {
                Output::Packet { bytes, .. } => assert!(bytes.len() <= 1_352, "too long"),
                Output::Exchange { id, .. } => exchanges.push(id),
                Output::Query(query) => drop(pool.answer(now, &query, Bytes::new())),
                _ => {}
            }
        }
    }
});

/// What belongs to the pool, as far as its first two fields say.
fn headed(bytes: &[u8]) -> Bytes {
    let mut writer = Writer::new();
    writer.u64(1, 1);
    writer.str(2, "dc1");
    let header = writer.finish();
    [&header[..], bytes].concat().into()
}
