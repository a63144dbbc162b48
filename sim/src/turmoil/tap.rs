//! Who told whom, and when: what goes between agents over the simulated network, for a picture of it.
//!
//! A packet is known again by what it says, a stream by how much has been written to it so far.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use tribune_base::hash::fnv1a;
use tribune_base::time::Duration;

use super::host::{GOSSIP_PORT, RPC_PORT, WAN_PORT};

/// Notes what goes over a network, or nothing. A clone notes it in the same place.
#[derive(Clone, Debug, Default)]
pub struct Tap(Option<Arc<Mutex<State>>>);

#[derive(Debug, Default)]
struct State {
    packets: BTreeMap<(IpAddr, SocketAddr, u64), VecDeque<Duration>>,
    /// What was written and not read: when, and how much there was after it.
    streams: BTreeMap<(SocketAddr, SocketAddr), VecDeque<(Duration, u64)>>,
    arrived: Vec<Message>,
}

/// A message between two agents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message {
    /// Whose.
    pub from: IpAddr,
    /// To whom, and on which port he listens.
    pub to: SocketAddr,
    /// When it was sent.
    pub sent: Duration,
    /// When it arrived. `None`: it never did.
    pub arrived: Option<Duration>,
}

impl Tap {
    /// One that notes everything.
    pub fn open() -> Self {
        Self(Some(Arc::default()))
    }

    /// All messages, in the order in which they were sent; those on streams that were never read may
    /// have been lost with their connection.
    pub fn messages(&self) -> Vec<Message> {
        let Some(state) = self.lock() else { return Vec::new() };
        let lost = |from, to, sent| Message { from, to, sent, arrived: None };
        let packets = state.packets.iter();
        let packets =
            packets.flat_map(|((from, to, _), all)| all.iter().map(|sent| lost(*from, *to, *sent)));
        let streams = state.streams.iter();
        let streams = streams
            .flat_map(|((from, to), all)| all.iter().map(|(sent, _)| lost(from.ip(), *to, *sent)));
        let mut all: Vec<_> = state.arrived.iter().copied().chain(packets).chain(streams).collect();
        all.sort_by_key(|it| (it.sent, it.arrived, it.from, it.to));
        all
    }

    /// A packet leaves.
    pub(super) fn sent(&self, from: Option<IpAddr>, to: SocketAddr, packet: &[u8]) {
        let (Some(mut state), Some(from)) = (self.lock(), from) else { return };
        if AGENTS.contains(&to.port()) {
            state.packets.entry((from, to, fnv1a(packet))).or_default().push_back(now());
        }
    }

    /// A packet has arrived where somebody listens.
    pub(super) fn received(&self, from: IpAddr, to: SocketAddr, packet: &[u8]) {
        let Some(mut state) = self.lock() else { return };
        let key = (from, to, fnv1a(packet));
        let Some(waiting) = state.packets.get_mut(&key) else { return };
        let sent = waiting.pop_front();
        if waiting.is_empty() {
            state.packets.remove(&key);
        }
        if let Some(sent) = sent {
            state.arrived.push(Message { from, to, sent, arrived: Some(now()) });
        }
    }

    /// A connection begins: what an earlier one of the same ports has left is lost.
    pub(super) fn connected(&self, from: SocketAddr, to: SocketAddr) {
        let Some(mut state) = self.lock() else { return };
        for (sent, _) in state.streams.remove(&(from, to)).unwrap_or_default() {
            state.arrived.push(Message { from: from.ip(), to, sent, arrived: None });
        }
    }

    /// So much was written in all.
    pub(super) fn wrote(&self, from: SocketAddr, to: SocketAddr, through: u64) {
        let Some(mut state) = self.lock() else { return };
        if AGENTS.contains(&to.port()) {
            state.streams.entry((from, to)).or_default().push_back((now(), through));
        }
    }

    /// So much was read in all.
    pub(super) fn read(&self, from: SocketAddr, to: SocketAddr, through: u64) {
        let Some(mut state) = self.lock() else { return };
        let State { streams, arrived, .. } = &mut *state;
        let Some(waiting) = streams.get_mut(&(from, to)) else { return };
        while let Some((sent, _)) = waiting.pop_front_if(|it| it.1 <= through) {
            arrived.push(Message { from: from.ip(), to, sent, arrived: Some(now()) });
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, State>> {
        self.0.as_ref().map(|it| it.lock().expect("a simulation has one thread"))
    }
}

fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

/// Where agents listen for each other.
const AGENTS: [u16; 3] = [RPC_PORT, GOSSIP_PORT, WAN_PORT];

#[test]
fn what_arrives_is_told_from_what_does_not() {
    let (tap, one) = (Tap::open(), IpAddr::from([10, 0, 0, 1]));
    let to = SocketAddr::from(([10, 0, 0, 2], GOSSIP_PORT));
    tap.sent(Some(one), to, b"a");
    tap.sent(Some(one), to, b"b");
    tap.received(one, to, b"a");
    let (from, rpc) = (SocketAddr::new(one, 50_000), SocketAddr::new(to.ip(), RPC_PORT));
    tap.wrote(from, rpc, 10);
    tap.wrote(from, rpc, 30);
    tap.read(from, rpc, 29);
    let arrived = |to| {
        let of = |it: &Message| it.to == to && it.arrived.is_some();
        let all = tap.messages().into_iter();
        (all.clone().filter(of).count(), all.filter(|it| it.to == to).count())
    };
    assert_eq!((arrived(to), arrived(rpc)), ((1, 2), (1, 2)));
    let closed = Tap::default();
    closed.sent(Some(one), to, b"a");
    assert!(closed.messages().is_empty());
}
