//! `tribune keygen`

use clap::Args;
use tribune_base::json;
use tribune_io::entropy;

use super::terminal::{Failure, Terminal, describe};

/// Generate a key for the encryption of gossip
#[derive(Args, Debug)]
pub(crate) struct Keygen {
    #[arg(hide = true)]
    args: Vec<String>,
}

impl Keygen {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let draw = || {
            entropy::draw()
                .map_err(|error| format!("Error reading random data: {}", describe(&error)))
        };
        let key = [draw()?.to_be_bytes(), draw()?.to_be_bytes()].concat();
        terminal.line(json::base64(&key));
        Ok(())
    }
}
