//! The agent's own watches: each asks this very agent, and tells its handler.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::task::JoinSet;
use tracing::{debug, error};

use crate::client::{Asker, Endpoint};
use crate::config::{Config, Listen};
use crate::watch::{Configured, Handler, Step, Watcher};

/// Start every watch of the configuration. They end, and their programs with them, when the result
/// is dropped.
pub(super) fn start(config: &Config) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    // The configuration is not made without one if there are watches.
    let Some(listen) = config.http_listen.first() else { return tasks };
    let asker = Asker { endpoint: endpoint(listen), headers: Vec::new(), shared: Vec::new() };
    for definition in &config.watches {
        let Configured { plan, handler } =
            Configured::parse(&definition.value).expect("a configuration makes sense");
        tasks.spawn(run(Watcher::new(asker.clone(), plan), handler));
    }
    tasks
}

async fn run(mut watcher: Watcher, handler: Handler) {
    loop {
        match watcher.step().await {
            Step::Failed { error, retry } => error!("{}", watcher.complaint(&error, retry)),
            Step::Changed(change) => {
                let (output, result) = handler.tell(&change).await;
                let name = handler.name();
                if let Err(error) = result {
                    error!(watch_handler = name, %error, "Failed to run watch handler");
                }
                debug!(watch_handler = name, output, "watch handler output");
            }
        }
    }
}

/// How to reach what listens there from this machine.
fn endpoint(listen: &Listen) -> Endpoint {
    match listen {
        Listen::Unix(path) => Endpoint::Unix(path.to_string_lossy().into_owned()),
        Listen::Tcp(addr) => {
            let ip = match addr.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
            };
            Endpoint::Tcp(SocketAddr::new(ip, addr.port()).to_string())
        }
    }
}

#[test]
fn an_agent_finds_itself() {
    let cases = [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:1", "[::1]:1"),
        ("10.0.0.1:1", "10.0.0.1:1"),
    ];
    for (addr, want) in cases {
        let listen = Listen::Tcp(addr.parse().unwrap());
        assert_eq!(endpoint(&listen), Endpoint::Tcp(want.into()), "{addr}");
    }
    let listen = Listen::Unix("/run/t.sock".into());
    assert_eq!(endpoint(&listen), Endpoint::Unix("/run/t.sock".into()));
}
