//! Joining the pools: the addresses of the configuration, until somebody is there.

use tokio::time::sleep;
use tracing::{info, warn};
use tribune_base::time::Duration;
use tribune_core::{Area, Call};
use tribune_io::handle::NodeHandle;
use tribune_io::join::resolve;

use super::rejoin::Known;
use super::{Failed, settings};
use crate::config::Config;

/// A pool, and whom to join in it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    area: Area,
    /// Who was there before this agent was started again, if that is remembered.
    pub(super) known: Option<Known>,
    /// The port of addresses without one.
    port: u16,
    /// Those that must be there.
    start: Vec<String>,
    /// Those that are tried until somebody is there.
    retry: Vec<String>,
    interval: Duration,
    /// Zero is no limit.
    tries_max: u32,
}

impl Pool {
    /// Those that an agent with this configuration is in, that of its datacenter first.
    pub(super) fn all(config: &Config) -> Vec<Self> {
        let join = &config.join;
        let lan = Self {
            area: Area::Lan,
            known: Known::new(config, Area::Lan),
            port: config.ports.serf_lan,
            start: join.start_join.clone(),
            retry: join.retry_join.clone(),
            interval: join.retry_interval,
            tries_max: join.retry_max,
        };
        let wan = settings::gossip_listen_wan(config).map(|listen| Self {
            area: Area::Wan,
            known: Known::new(config, Area::Wan),
            port: listen.port(),
            start: join.start_join_wan.clone(),
            retry: join.retry_join_wan.clone(),
            interval: join.retry_interval_wan,
            tries_max: join.retry_max_wan,
        });
        std::iter::once(lan).chain(wan).collect()
    }

    /// Join whoever has to be there, or say why the agent must not run.
    pub(super) async fn at_start(&self, node: &NodeHandle) -> Result<(), Failed> {
        if self.start.is_empty() {
            return Ok(());
        }
        let joined = self.join(&self.start, node).await;
        joined.map_err(|why| Failed::new(self.key("start_join"), why))
    }

    /// Join whoever may be there, as often as it takes. Ends with the reason, if that is too often.
    async fn until_joined(&self, node: &NodeHandle) -> Result<(), Failed> {
        let pool = self.area.name();
        let mut tries = 0;
        loop {
            match self.join(&self.retry, node).await {
                Ok(()) => {
                    info!(pool, "joined the pool");
                    return Ok(());
                }
                Err(why) => {
                    tries += 1;
                    if self.tries_max != 0 && self.tries_max < tries {
                        let what = format!("{}: max join retry exhausted", self.key("retry_join"));
                        return Err(Failed::new(what, why));
                    }
                    // The first servers of a cluster find nobody at first.
                    let pause = if tries < QUICK { Duration::from_secs(1) } else { self.interval };
                    let pause = pause.min(self.interval);
                    warn!(pool, retry_in = ?pause, "nobody could be joined: {why}");
                    sleep(pause).await;
                }
            }
        }
    }

    /// Whoever was joined may all be gone: dead for good, or somewhere else. Nobody would ever find an
    /// agent that knew nobody else.
    async fn stay_joined(&self, node: &NodeHandle) -> Result<(), Failed> {
        loop {
            sleep(self.interval).await;
            if !self.is_alone(node).await {
                continue;
            }
            warn!(pool = self.area.name(), "everybody is gone: joining again");
            if let Some(known) = &self.known {
                known.rejoin(node).await;
            }
            if self.is_alone(node).await
                && let Err(why) = self.join(&self.retry, node).await
            {
                let pool = self.area.name();
                warn!(pool, retry_in = ?self.interval, "nobody could be joined: {why}");
            }
        }
    }

    async fn is_alone(&self, node: &NodeHandle) -> bool {
        let alone = node.call(Call::Alone { area: self.area }).await;
        alone.is_ok_and(|it| it.status == 200 && &it.body[..] == b"true")
    }

    async fn join(&self, addresses: &[String], node: &NodeHandle) -> Result<(), String> {
        let (mut addrs, mut errors) = (Vec::new(), Vec::new());
        for address in addresses {
            match resolve(address, self.port).await {
                Ok(found) => addrs.extend(found),
                Err(error) => errors.push(error.to_string()),
            }
        }
        if addrs.is_empty() {
            return Err(errors.join("; "));
        }
        match node.call(Call::Join { area: self.area, addrs }).await {
            Ok(response) if response.status == 200 => Ok(()),
            Ok(response) => Err(String::from_utf8_lossy(&response.body).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a key of the configuration is called for this pool.
    fn key(&self, key: &str) -> String {
        match self.area {
            Area::Lan => key.to_owned(),
            Area::Wan => format!("{key}_wan"),
        }
    }
}

/// Join whoever may be there in each of the pools, and again whenever everybody is gone. None waits for
/// another. Ends with the reason, if nobody can be joined at first.
pub(super) async fn all_joined(pools: &[Pool], node: &NodeHandle) -> Result<(), Failed> {
    let one = |pool: Option<&Pool>| {
        let pool = pool.cloned();
        async move {
            let Some(pool) = pool else { return Ok(()) };
            if let Some(known) = &pool.known {
                known.rejoin(node).await;
            }
            if pool.retry.is_empty() {
                return Ok(());
            }
            pool.until_joined(node).await?;
            pool.stay_joined(node).await
        }
    };
    let (lan, wan) = (pools.first(), pools.get(1));
    tokio::try_join!(one(lan), one(wan)).map(|_| ())
}

/// So many tries follow each other quickly.
const QUICK: u32 = 5;
