//! The `tribune` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    tribune_server::cli::run()
}
