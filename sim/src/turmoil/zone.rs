//! The catalog as a simulated agent shows it over DNS, and how a client asks.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tribune_api::coordinate::Places;
use tribune_api::dns::Config;
use tribune_api::prepared::Asker;
use tribune_base::rng::Rng;
use tribune_base::time::{Duration, Instant};
use tribune_core::View;
use tribune_io::dns::{Moment, Source, fresh};
use tribune_io::driver::Resolve;
use tribune_io::handle::NodeHandle;
use tribune_state::Snapshot;
use turmoil::net::UdpSocket;

/// Where simulated agents answer DNS.
pub const DNS_PORT: u16 = 8_600;

/// What one agent knows, or passes on.
#[derive(Debug)]
pub struct Zone {
    /// The agent.
    pub node: NodeHandle,
    /// Whether it is servers that know the catalog.
    pub forwards: bool,
    config: Arc<Config>,
}

impl Zone {
    /// What an agent of `datacenter` answers from; `forwards`, if it is servers that know.
    pub fn new(node: NodeHandle, forwards: bool, datacenter: &str) -> Self {
        Self { node, forwards, config: Arc::new(Config::new(datacenter)) }
    }
}

impl Source for Zone {
    fn snapshot(&self) -> Option<Snapshot> {
        fresh(&self.node.view(), self.node.now(), true)
    }

    fn places(&self) -> Arc<Places> {
        Arc::clone(&self.node.view().places)
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    fn now_unix(&self) -> u64 {
        0
    }

    fn forwards_to(&self) -> Option<&NodeHandle> {
        self.forwards.then_some(&self.node)
    }

    fn asks_across(&self) -> Option<&NodeHandle> {
        (!self.forwards).then_some(&self.node)
    }
}

/// Answers what client agents pass on.
#[derive(Debug)]
pub struct Resolver {
    rng: Mutex<Rng>,
    config: Arc<Config>,
}

impl Resolver {
    /// One for a server of `datacenter`, whose luck follows from `seed`.
    pub fn new(seed: u64, datacenter: &str) -> Self {
        let rng = Mutex::new(Rng::stream(seed, "resolver"));
        Self { rng, config: Arc::new(Config::new(datacenter)) }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, view: &View, now: Instant, _: &Asker) -> (Moment, u64) {
        let moment = Moment::new(view, (now, 0), Arc::clone(&self.config));
        (moment, self.rng.lock().unwrap_or_else(PoisonError::into_inner).draw())
    }
}

/// The ports of the instances of the service of this name, such as `web.service.consul`, as `host`
/// tells them over DNS.
///
/// # Errors
///
/// No answer came, or none that is one.
pub async fn ports(host: &str, name: &str, patience: Duration) -> io::Result<Vec<u16>> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).await?;
    socket.send_to(&question(name), (host, DNS_PORT)).await?;
    let mut answer = [0; 4_096];
    let received = tokio::time::timeout(patience, socket.recv_from(&mut answer)).await;
    let (len, _) = received.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    read(&answer[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Which hosts and ports have services of this name? With room for all of them (RFC 6891).
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, SRV, 0, 1]);
    packet.extend_from_slice(&[0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
    packet
}

/// The ports in an answer; nothing, if it says that something went wrong. That there is no such name
/// is an answer.
fn read(packet: &[u8]) -> Option<Vec<u16>> {
    let number = |at: usize| Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]));
    if !matches!(packet.get(3)? & 15, 0 | 3) {
        return None;
    }
    let mut at = name_end(packet, 12)? + 4;
    let mut ports = Vec::new();
    for _ in 0..number(6)? {
        at = name_end(packet, at)?;
        let (kind, len) = (number(at)?, number(at + 8)?);
        if kind == u16::from(SRV) {
            ports.push(number(at + 14)?);
        }
        at += 10 + usize::from(len);
    }
    Some(ports)
}

/// Where what follows a name begins (RFC 1035, section 4.1.4).
fn name_end(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            len if 0xc0 <= len => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

/// The type of a record that says where a service is (RFC 2782).
const SRV: u8 = 33;

#[test]
fn ports_are_read_from_an_answer() {
    let mut packet = question("web.service.consul");
    assert_eq!(read(&packet), Some(Vec::new()));
    packet.truncate(packet.len() - 11);
    packet[7] = 1;
    packet.extend_from_slice(&[0xc0, 12, 0, SRV, 0, 1, 0, 0, 0, 0, 0, 8, 0, 1, 0, 1, 3, 233, 0, 0]);
    assert_eq!(read(&packet), Some(vec![1_001]));
    packet[3] = 2;
    assert_eq!(read(&packet), None, "the server failed");
}
