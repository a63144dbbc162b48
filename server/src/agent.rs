//! Puts an agent together and runs it.

use std::process::ExitCode;

use crate::config::Config;

/// Run an agent until it is told to stop.
pub fn run(config: Config) -> ExitCode {
    drop(config);
    ExitCode::SUCCESS
}
