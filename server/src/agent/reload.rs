//! The configuration, read again while the agent runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};
use tribune_agent::Reload;
use tribune_api::dns;
use tribune_core::Call;
use tribune_io::dns::Settings;
use tribune_io::handle::NodeHandle;

use super::watches::Watches;
use super::{restore, settings};
use crate::config::{BuildError, Config, Leave};
use crate::log;

/// Reads the configuration from where it came from at the start.
pub(crate) type Again = Box<dyn Fn() -> Result<Config, BuildError>>;

/// Settings that may change while the agent runs, with those who go by them. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) dns: Settings,
    pub(super) http_connections_max: Arc<AtomicUsize>,
}

impl Live {
    pub(super) fn new(config: &Config) -> Self {
        let connections = config.limits.http_max_conns_per_client;
        Self {
            dns: Settings::new(settings::dns(config)),
            http_connections_max: Arc::new(AtomicUsize::new(connections)),
        }
    }

    fn set(&self, config: &Config) {
        let before = self.dns.get();
        self.dns.set(dns::Config {
            // The zones and whose they are stay, whatever the file says about them now.
            datacenter: before.datacenter.clone(),
            node: before.node.clone(),
            domain: before.domain.clone(),
            alt_domain: before.alt_domain.clone(),
            translate_wan_addrs: before.translate_wan_addrs,
            ..settings::dns(config)
        });
        let connections = config.limits.http_max_conns_per_client;
        self.http_connections_max.store(connections, Ordering::Relaxed);
    }
}

/// Whoever waits for the configuration to be read again.
pub(super) type Waiting = oneshot::Sender<Result<(), String>>;

/// Brings a running agent up to what its configuration says.
pub(super) struct Reloader {
    again: Again,
    /// What the agent was started with: what it keeps until it is started again.
    started: Config,
    /// What was read last.
    newest: Config,
    node: NodeHandle,
    live: Live,
    watches: Watches,
    requests: mpsc::Receiver<Waiting>,
}

impl Reloader {
    pub(super) fn new(
        again: Again,
        config: &Config,
        node: NodeHandle,
        live: Live,
        requests: mpsc::Receiver<Waiting>,
    ) -> Self {
        let watches = Watches::start(config);
        let (started, newest) = (config.clone(), config.clone());
        Self { again, started, newest, node, live, watches, requests }
    }

    /// The next client who asks for it. May be dropped and called again.
    pub(super) async fn asked(&mut self) -> Waiting {
        match self.requests.recv().await {
            Some(waiting) => waiting,
            // Nobody listens.
            None => std::future::pending().await,
        }
    }

    /// What a signal means.
    pub(super) const fn leave(&self) -> Leave {
        self.started.leave
    }

    /// Read the configuration and take over what can be taken over; say what cannot.
    ///
    /// # Errors
    ///
    /// There is something wrong with it, and everything is as it was.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        info!("Reloading configuration...");
        let reloaded = self.read_and_apply().await;
        match &reloaded {
            Ok(()) => info!("Configuration reloaded"),
            Err(reason) => error!("Configuration not reloaded, all stays as it was: {reason}"),
        }
        reloaded
    }

    async fn read_and_apply(&mut self) -> Result<(), String> {
        let config = (self.again)().map_err(|it| it.to_string())?;
        let (services, checks) = restore::definitions(&config).map_err(|it| it.to_string())?;
        let reload = Reload {
            services,
            checks,
            meta: settings::meta(&config),
            discard_check_output: config.check.discard_output,
        };
        // Everything has been looked at, so that from here on nothing fails but the agent itself.
        let done = self.node.call(Call::Reload(Box::new(reload))).await;
        done.map_err(|it| it.to_string())?;
        self.live.set(&config);
        self.watches.set(&config.watches);
        log::set_level(config.log.level);
        self.warn(&config);
        self.newest = config;
        Ok(())
    }

    /// Say what has no effect, and what is new to complain about.
    fn warn(&self, config: &Config) {
        for key in self.started.needing_restart(config) {
            warn!("{key} has changed, which has no effect before the agent is started again");
        }
        for warning in config.warnings.iter().filter(|it| !self.newest.warnings.contains(it)) {
            warn!("{warning}");
        }
        for key in config.unsupported.iter().filter(|it| !self.newest.unsupported.contains(it)) {
            warn!("{key}");
        }
    }
}
