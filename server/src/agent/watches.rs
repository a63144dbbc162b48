//! The agent's own watches: each asks this very agent, and tells its handler.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, error};

use crate::client::{Asker, Endpoint};
use crate::config::{Config, Definition, Listen};
use crate::watch::{Configured, Handler, Step, Watcher};

/// The watches that run. They end, and their programs with them, when this is dropped.
#[derive(Debug)]
pub(super) struct Watches {
    /// Asks this agent. None can be asked if nobody listens.
    asker: Option<Asker>,
    running: Vec<(Value, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// Start every watch of the configuration.
    pub(super) fn start(config: &Config) -> Self {
        let asker = |it| Asker { endpoint: endpoint(it), headers: Vec::new(), shared: Vec::new() };
        let asker = config.http_listen.first().map(asker);
        let mut watches = Self { asker, running: Vec::new(), tasks: JoinSet::new() };
        watches.set(&config.watches);
        watches
    }

    /// From now on it is these. What runs already goes on: its handler has been told.
    pub(super) fn set(&mut self, definitions: &[Definition]) {
        let mut before = std::mem::take(&mut self.running);
        for Definition { value, .. } in definitions {
            if let Some(at) = before.iter().position(|it| it.0 == *value) {
                self.running.push(before.swap_remove(at));
                continue;
            }
            // The configuration is not made without one if there are watches.
            let Some(asker) = self.asker.clone() else { continue };
            let Configured { plan, handler } =
                Configured::parse(value).expect("a configuration makes sense");
            let task = self.tasks.spawn(run(Watcher::new(asker, plan), handler));
            self.running.push((value.clone(), task));
        }
        before.iter().for_each(|(_, task)| task.abort());
        while self.tasks.try_join_next().is_some() {}
    }
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
