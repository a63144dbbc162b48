//! Ports for the agents of tests, which run side by side in several processes.
//!
//! They lie below those that Linux gives to whoever connects from anywhere (32,768 and above), so
//! nobody takes one between the moment it is chosen and the moment an agent listens there.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// How many ports one agent is given.
const COUNT: u16 = 5;

/// A claim and what it claims.
const BLOCK: u16 = COUNT + 1;

const FIRST: u16 = 10_000;
const BLOCKS: u16 = (32_768 - FIRST) / BLOCK;

/// Ports that no other test uses while this lives.
#[derive(Debug)]
pub struct Ports {
    /// The port in front of the others. Whoever listens there has them all.
    claim: TcpListener,
}

impl Ports {
    /// Five that nobody listens on.
    pub fn claim() -> Self {
        // Where to begin looking is of no importance; processes that begin apart look less.
        let start = (std::process::id() % u32::from(BLOCKS)) as u16;
        let blocks = (start..BLOCKS).chain(0..start).map(|it| FIRST + it * BLOCK);
        let mut claims =
            blocks.filter_map(|it| TcpListener::bind(here(it)).ok().map(|by| Self { claim: by }));
        claims.find(|it| it.list().into_iter().all(is_free)).expect("few tests run at a time")
    }

    /// All of them, in order.
    pub fn list(&self) -> [u16; COUNT as usize] {
        let first = self.claim.local_addr().expect("it is bound").port() + 1;
        std::array::from_fn(|n| first + n as u16)
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(here(port)).is_ok() && UdpSocket::bind(here(port)).is_ok()
}

fn here(port: u16) -> (Ipv4Addr, u16) {
    (Ipv4Addr::LOCALHOST, port)
}
