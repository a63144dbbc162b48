//! Health checks whose outcome the scenario decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tribune_agent::{CheckOutcome, CheckSpec};
use tribune_base::time::Duration;
use tribune_io::driver::Checks;
use tribune_state::Status;

/// Everything that is checked passes, until told otherwise. A clone is told with it.
#[derive(Clone, Debug, Default)]
pub struct SimChecks {
    broken: Arc<AtomicBool>,
}

impl SimChecks {
    /// From now on everything that is checked fails, or passes again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Whether everything fails that is checked.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Checks for SimChecks {
    async fn run(&self, _: CheckSpec, timeout: Duration) -> CheckOutcome {
        tokio::time::sleep(timeout / 10).await;
        if self.broken.load(Ordering::Relaxed) {
            CheckOutcome { status: Status::Critical, output: "simulated failure".into() }
        } else {
            CheckOutcome { status: Status::Passing, output: "simulated success".into() }
        }
    }
}
