//! Joining the pool: the addresses of the configuration, until somebody is there.

use tokio::time::sleep;
use tracing::{info, warn};
use tribune_base::time::Duration;
use tribune_core::{Area, Call};
use tribune_io::handle::NodeHandle;
use tribune_io::join::resolve;

use super::Failed;
use crate::config::Config;

/// Join whoever `start_join` names, or say why the agent must not run.
pub(super) async fn at_start(config: &Config, node: &NodeHandle) -> Result<(), Failed> {
    let addresses = &config.join.start_join;
    if addresses.is_empty() {
        return Ok(());
    }
    let joined = join(addresses, config.ports.serf_lan, node).await;
    joined.map_err(|why| Failed::new("start_join", why))
}

/// Join whoever `retry_join` names, as often as it takes. Ends with the reason, if that is too
/// often.
pub(super) async fn until_joined(config: &Config, node: &NodeHandle) -> Result<(), Failed> {
    let settings = &config.join;
    if settings.retry_join.is_empty() {
        return Ok(());
    }
    let mut tries = 0;
    loop {
        match join(&settings.retry_join, config.ports.serf_lan, node).await {
            Ok(()) => {
                info!("joined the pool");
                return Ok(());
            }
            Err(why) => {
                tries += 1;
                if settings.retry_max != 0 && settings.retry_max < tries {
                    return Err(Failed::new("retry_join: max join retry exhausted", why));
                }
                // The first servers of a cluster find nobody at first.
                let pause =
                    if tries < QUICK { Duration::from_secs(1) } else { settings.retry_interval };
                let pause = pause.min(settings.retry_interval);
                warn!(retry_in = ?pause, "nobody could be joined: {why}");
                sleep(pause).await;
            }
        }
    }
}

async fn join(addresses: &[String], port: u16, node: &NodeHandle) -> Result<(), String> {
    let (mut addrs, mut errors) = (Vec::new(), Vec::new());
    for address in addresses {
        match resolve(address, port).await {
            Ok(found) => addrs.extend(found),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if addrs.is_empty() {
        return Err(errors.join("; "));
    }
    match node.call(Call::Join { area: Area::Lan, addrs }).await {
        Ok(response) if response.status == 200 => Ok(()),
        Ok(response) => Err(String::from_utf8_lossy(&response.body).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// So many tries follow each other quickly.
const QUICK: u32 = 5;
