//! `tribune validate`

use std::path::PathBuf;

use clap::Args;

use super::agent::Language;
use super::terminal::{Failure, Terminal};
use crate::config::{Host, Sources};

/// Check configuration files
#[derive(Args, Debug)]
pub(crate) struct Validate {
    /// The language of files whose names do not end in .hcl or .json.
    #[arg(long, value_name = "format")]
    config_format: Option<Language>,
    /// Say nothing unless something is wrong.
    #[arg(long)]
    quiet: bool,
    /// Files, or directories of files.
    #[arg(value_name = "FILE_OR_DIRECTORY")]
    args: Vec<PathBuf>,
}

impl Validate {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        if self.args.is_empty() {
            return Err(Failure::new("Must specify at least one config file or directory"));
        }
        let mut sources = Sources::new(self.config_format.map(Into::into));
        self.args.iter().for_each(|it| sources.path(it));
        let config = sources.build(&Host::probe());
        let config = config.map_err(|error| format!("Config validation failed: {error}"))?;
        if !self.quiet {
            config.warnings.iter().for_each(|it| terminal.note(it));
            config.unsupported.iter().for_each(|it| terminal.note(it.to_string()));
            terminal.line("Configuration is valid!");
        }
        Ok(())
    }
}
