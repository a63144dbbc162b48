//! What carries messages and packets, within a datacenter and between two.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tribune_base::id::ServerId;
use tribune_base::time::{Duration, Instant};
use tribune_core::{Area, Wire};

/// What a server's messages and packets are carried by.
pub struct Net<'a> {
    pub dark: &'a BTreeSet<u8>,
    pub datacenter: u8,
    pub messages: &'a mut VecDeque<(Instant, String, ServerId, Wire)>,
    pub packets: &'a mut VecDeque<(Instant, SocketAddr, SocketAddr, Bytes)>,
}

impl Net<'_> {
    pub fn send(&mut self, now: Instant, from: ServerId, to: &str, message: Wire) {
        if is_crowded(self.messages, to, &message) {
            return;
        }
        let Some(delay) = delay(self.dark, self.datacenter, to) else { return };
        let at = now + delay;
        let place = self.messages.partition_point(|it| it.0 <= at);
        self.messages.insert(place, (at, to.to_owned(), from, message));
    }

    pub fn send_packet(
        &mut self,
        now: Instant,
        (area, ip): (Area, IpAddr),
        to: SocketAddr,
        bytes: Bytes,
    ) {
        let Some(delay) = delay(self.dark, self.datacenter, &to.to_string()) else { return };
        let (at, port) = (now + delay, if area == Area::Wan { 8_302 } else { 8_301 });
        let place = self.packets.partition_point(|it| it.0 <= at);
        self.packets.insert(place, (at, to, SocketAddr::new(ip, port), bytes));
    }
}

/// How long it takes from a datacenter to an address, if it is not cut off: ten milliseconds from each
/// datacenter to the next.
fn delay(dark: &BTreeSet<u8>, from: u8, to: &str) -> Option<Duration> {
    let there: u8 = to.split('.').nth(2).and_then(|it| it.parse().ok()).unwrap_or(0) + 1;
    if from == there {
        return Some(Duration::from_millis(1));
    }
    let cut = dark.contains(&from) || dark.contains(&there);
    (!cut).then(|| Duration::from_millis(u64::from(from.abs_diff(there)) * 10))
}

/// Whether so many proposals are under way to a server that a connection would lose another one.
fn is_crowded(
    messages: &VecDeque<(Instant, String, ServerId, Wire)>,
    to: &str,
    message: &Wire,
) -> bool {
    let len = |it: &Wire| {
        let Wire::Propose(proposals) = it else { return 0 };
        proposals.iter().map(|it| it.command.len()).sum::<usize>()
    };
    let waiting: usize = messages.iter().filter(|it| it.1 == to).map(|it| len(&it.3)).sum();
    waiting != 0 && len(message) != 0 && 32 << 20 < waiting + len(message)
}
