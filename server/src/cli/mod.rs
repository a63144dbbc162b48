//! The command line: one file per command, and the way to it.

mod agent;
mod catalog;
mod client;
mod event;
mod force_leave;
mod info;
mod join;
mod keygen;
mod keyring;
mod kv;
mod leave;
mod maint;
mod members;
mod operator;
mod order;
mod pattern;
mod reload;
mod rtt;
mod service;
mod shim;
mod table;
mod target;
mod terminal;
mod validate;
mod version;
mod watch;

use std::env;
use std::io;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use shim::Line;
use terminal::{Failure, Terminal};

/// A distributed key/value store with service discovery and health checks
#[derive(Debug, Parser)]
#[command(name = "tribune", disable_help_flag = true, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Agent(Box<agent::Agent>),
    /// Look at the catalog
    #[command(subcommand)]
    Catalog(catalog::Catalog),
    Event(event::Event),
    ForceLeave(force_leave::ForceLeave),
    Info(info::Info),
    Join(join::Join),
    Keygen(keygen::Keygen),
    Keyring(keyring::Keyring),
    /// Read and write keys
    #[command(subcommand)]
    Kv(kv::Kv),
    Leave(leave::Leave),
    Maint(maint::Maint),
    Members(members::Members),
    /// Look after the servers: consensus and autopilot
    #[command(subcommand)]
    Operator(operator::Operator),
    Reload(reload::Reload),
    Rtt(rtt::Rtt),
    /// Register and deregister services of the local agent
    #[command(subcommand)]
    Services(service::Services),
    Validate(validate::Validate),
    Version(version::Version),
    Watch(watch::Watch),
}

/// Run what the process's command line asks for.
pub fn run() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).map(|it| it.to_string_lossy().into_owned()).collect();
    let ours = |(name, _): &(String, String)| name.starts_with("CONSUL_");
    let all = env::vars_os();
    let texts =
        all.filter_map(|(name, it)| Some((name.into_string().ok()?, it.into_string().ok()?)));
    let mut terminal = Terminal {
        env: texts.filter(ours).collect(),
        input: &mut io::stdin(),
        out: &mut io::stdout(),
        err: &mut io::stderr(),
    };
    dispatch(&args, &mut terminal)
}

fn dispatch(args: &[String], terminal: &mut Terminal<'_>) -> ExitCode {
    let mut root = Cli::command();
    root.build();
    match shim::translate(&root, args) {
        Line::Version => {
            version::pretty(terminal);
            ExitCode::SUCCESS
        }
        Line::Help(path) => {
            terminal.line(usage(&root, &path));
            ExitCode::SUCCESS
        }
        Line::NoCommand(path) => {
            terminal.note(usage(&root, &path));
            if path.is_empty() { ExitCode::from(127) } else { ExitCode::FAILURE }
        }
        Line::BadFlag { path, message } => bad_flag(&root, &path, &message, terminal),
        Line::Run(words) => run_command(&root, &words, terminal),
    }
}

fn run_command(root: &clap::Command, words: &[String], terminal: &mut Terminal<'_>) -> ExitCode {
    let path = words[1..].iter().take_while(|it| !it.starts_with('-'));
    let path: Vec<_> = path.cloned().collect();
    let parsed = root.clone().try_get_matches_from(words);
    match parsed.and_then(|it| Cli::from_arg_matches(&it)) {
        Ok(cli) => cli
            .command
            .run(terminal)
            .unwrap_or_else(|failure| failure.report(terminal, &usage(root, &path))),
        Err(error) => bad_flag(root, &path, &explain(&error), terminal),
    }
}

impl Command {
    fn run(&self, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
        match self {
            Self::Agent(command) => return command.run(terminal),
            Self::Catalog(command) => command.run(terminal),
            Self::Event(command) => command.run(terminal),
            Self::ForceLeave(command) => command.run(terminal),
            Self::Info(command) => command.run(terminal),
            Self::Join(command) => command.run(terminal),
            Self::Keygen(command) => command.run(terminal),
            Self::Keyring(command) => command.run(terminal),
            Self::Kv(command) => command.run(terminal),
            Self::Leave(command) => command.run(terminal),
            Self::Maint(command) => command.run(terminal),
            Self::Members(command) => command.run(terminal),
            Self::Operator(command) => command.run(terminal),
            Self::Reload(command) => command.run(terminal),
            Self::Rtt(command) => command.run(terminal),
            Self::Services(command) => command.run(terminal),
            Self::Validate(command) => command.run(terminal),
            Self::Version(command) => command.run(terminal),
            Self::Watch(command) => command.run(terminal),
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn bad_flag(
    root: &clap::Command,
    path: &[String],
    message: &str,
    terminal: &mut Terminal<'_>,
) -> ExitCode {
    terminal.note(message);
    terminal.note(usage(root, path).replacen("Usage: ", "Usage:\n  ", 1));
    ExitCode::FAILURE
}

/// How to use the command of `path`.
fn usage(root: &clap::Command, path: &[String]) -> String {
    let mut command = root;
    for name in path {
        command = command.find_subcommand(name).unwrap_or(command);
    }
    let name = ["tribune"].into_iter().chain(path.iter().map(String::as_str));
    let name = name.collect::<Vec<_>>().join(" ");
    let line = match (path.is_empty(), command.has_subcommands()) {
        (true, _) => format!("{name} [--version] [--help] <command> [<args>]"),
        (false, true) => format!("{name} <subcommand> [options] [args]"),
        (false, false) => {
            let positionals = command.get_positionals().filter(|it| !it.is_hide_set());
            let names = positionals.flat_map(|it| it.get_value_names().unwrap_or_default());
            let names = names.map(|it| format!(" [{it}]")).collect::<String>();
            format!("{name} [options]{names}")
        }
    };
    let template = "Usage: {usage}\n\n  {about}\n\n{all-args}";
    let mut command = command.clone().override_usage(line).help_template(template);
    // Flags are written with one dash here, as everywhere in the documentation.
    let text = command.render_help().to_string().replace(" --", " -");
    text.trim_end().to_owned()
}

/// What clap found wrong, in the words of the original's flag library.
fn explain(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(flag), Some(value)) =
        (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue))
    else {
        return error.to_string().trim_end().to_owned();
    };
    let name = flag.split_whitespace().next().unwrap_or(flag).trim_start_matches('-');
    let reason = std::error::Error::source(error)
        .map(ToString::to_string)
        .filter(|it| ["Missing ", "strconv.", "time: "].iter().any(|word| it.starts_with(word)))
        .unwrap_or_else(|| "parse error".to_owned());
    format!("invalid value {value:?} for flag -{name}: {reason}")
}

/// `name=value`.
fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("Missing \"=\" value in argument: {text}"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
