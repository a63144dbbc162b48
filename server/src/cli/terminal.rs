//! What a command sees of the world besides the agent, and how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::ExitCode;

pub(crate) use crate::client::describe;

/// Where a command reads and writes. Plain streams, so that tests can look.
pub(crate) struct Terminal<'a> {
    /// The environment variables that concern us.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) input: &'a mut dyn Read,
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
}

impl Terminal<'_> {
    /// Write one line of what was asked for. Nobody listening is nobody's fault.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        _ = writeln!(self.out, "{}", text.as_ref());
    }

    /// Write one line about what was asked for.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        _ = writeln!(self.err, "{}", text.as_ref());
    }

    /// A variable's value, if it has one.
    pub(crate) fn env(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|it| !it.is_empty())
    }

    /// What an argument stands for: `@file`, `-` for the input, or itself.
    pub(crate) fn data(&mut self, argument: &str) -> Result<Vec<u8>, String> {
        if let Some(path) = argument.strip_prefix('@') {
            return fs::read(path).map_err(|error| {
                format!("Failed to read file: open {path}: {}", describe(&error))
            });
        }
        if argument != "-" {
            return Ok(argument.as_bytes().to_vec());
        }
        let mut data = Vec::new();
        match self.input.read_to_end(&mut data) {
            Ok(_) => Ok(data),
            Err(error) => Err(format!("Failed to read stdin: {}", describe(&error))),
        }
    }
}

/// How a command fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// What to tell, if anything.
    pub(crate) message: Option<String>,
    pub(crate) code: u8,
    /// Where to say how to use the command, if anywhere.
    pub(crate) usage: Option<Usage>,
}

/// Where to say how to use a command after a mistake. Scripts know the places.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Usage {
    /// On the standard output.
    Out,
    /// On the standard error, after the message and an empty line.
    Err,
}

impl Failure {
    /// Tell `message` and exit with 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: Some(message.into()), code: 1, usage: None }
    }

    /// Exit without a word.
    pub(crate) const fn silent(code: u8) -> Self {
        Self { message: None, code, usage: None }
    }

    /// Say how to use the command: nothing was asked for.
    pub(crate) const fn usage() -> Self {
        Self { message: None, code: 1, usage: Some(Usage::Err) }
    }

    /// Tell, and say how to use the command.
    pub(crate) fn with_usage(self, usage: Usage) -> Self {
        Self { usage: Some(usage), ..self }
    }

    pub(crate) fn report(self, terminal: &mut Terminal<'_>, usage: &str) -> ExitCode {
        let told = self.message.is_some();
        if let Some(message) = self.message {
            terminal.note(message);
        }
        match self.usage {
            None => {}
            Some(Usage::Out) => terminal.line(usage),
            Some(Usage::Err) if told => terminal.note(format!("\n{usage}")),
            Some(Usage::Err) => terminal.note(usage),
        }
        self.code.into()
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::new(message)
    }
}
