//! Flags as the original's users write them: one dash or two, `-x=v` or `-x v`, and all of them
//! before the first positional argument.
//!
//! What comes out is what clap reads the same way whatever the values look like: `--x=v` for each
//! flag, `--`, and the positionals. The declarations of the commands decide which flags there are
//! and which of them take a value.

use clap::builder::ValueRange;
use clap::{Arg, ArgAction, Command};

/// What a command line turned out to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    /// A command, for clap.
    Run(Vec<String>),
    /// Somebody wants to know how to use the command of this path.
    Help(Vec<String>),
    /// Somebody wants to know the version.
    Version,
    /// There is no such command below the one of this path; or none was named.
    NoCommand(Vec<String>),
    /// A flag of the command of this path is wrong.
    BadFlag {
        /// The command.
        path: Vec<String>,
        /// What is wrong, in the words of the original's flag library.
        message: String,
    },
}

/// Understand `args`, the program's name excluded.
pub(crate) fn translate(root: &Command, args: &[String]) -> Line {
    let mut command = root;
    let mut path = Vec::new();
    let mut rest = args;
    while let Some((name, tail)) = rest.split_first()
        && let Some(found) = command.find_subcommand(name)
    {
        path.push(name.clone());
        (command, rest) = (found, tail);
    }
    if command.has_subcommands() {
        return match rest.first().map(|it| it.trim_start_matches('-')) {
            Some("v" | "version") if path.is_empty() => Line::Version,
            Some("h" | "help") => Line::Help(path),
            _ => Line::NoCommand(path),
        };
    }
    match flags(command, rest) {
        Ok(Some(words)) => Line::Run([vec![root.get_name().to_owned()], path, words].concat()),
        Ok(None) => Line::Help(path),
        Err(message) => Line::BadFlag { path, message },
    }
}

/// The arguments of one command; `None` if one of them asks for help.
fn flags(command: &Command, args: &[String]) -> Result<Option<Vec<String>>, String> {
    let mut words: Vec<(String, String)> = Vec::new();
    let mut rest = args;
    while let Some((word, tail)) = rest.split_first() {
        if word == "--" {
            rest = tail;
            break;
        }
        let Some(name) = word.strip_prefix('-').filter(|it| !it.is_empty()) else { break };
        rest = tail;
        let name = name.strip_prefix('-').unwrap_or(name);
        if name.is_empty() || name.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: {word}"));
        }
        let (name, value) = name.split_once('=').map_or((name, None), |it| (it.0, Some(it.1)));
        let Some(arg) = command.get_arguments().find(|it| it.get_long() == Some(name)) else {
            if name == "h" || name == "help" {
                return Ok(None);
            }
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (value, is_switch(arg)) {
            (Some(value), true) => switch(arg, name, value)?.to_string(),
            (None, true) => true.to_string(),
            (Some(value), false) => value.to_owned(),
            (None, false) => {
                let (value, tail) =
                    rest.split_first().ok_or_else(|| format!("flag needs an argument: -{name}"))?;
                rest = tail;
                value.clone()
            }
        };
        // The last word counts, except where every one does.
        if !matches!(arg.get_action(), ArgAction::Append) {
            words.retain(|it| it.0 != name);
        }
        words.push((name.to_owned(), value));
    }
    let bare = |name: &str| {
        let arg = command.get_arguments().find(|it| it.get_long() == Some(name));
        arg.is_some_and(|it| matches!(it.get_action(), ArgAction::SetTrue))
    };
    let mut out: Vec<_> = words
        .into_iter()
        .filter_map(|(name, value)| match (bare(&name), value.as_str()) {
            (true, "true") => Some(format!("--{name}")),
            (true, _) => None,
            (false, value) => Some(format!("--{name}={value}")),
        })
        .collect();
    if !rest.is_empty() {
        out.push("--".to_owned());
        out.extend_from_slice(rest);
    }
    Ok(Some(out))
}

/// Whether a flag is true by being there.
fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
        || arg.get_num_args().is_some_and(|it: ValueRange| it.min_values() == 0)
}

/// Yes or no. What is said about anything else depends on whether the flag has a default of its own.
fn switch(arg: &Arg, name: &str, value: &str) -> Result<bool, String> {
    boolean(value).ok_or_else(|| {
        let reason = if matches!(arg.get_action(), ArgAction::SetTrue) {
            "parse error".to_owned()
        } else {
            format!("strconv.ParseBool: parsing {value:?}: invalid syntax")
        };
        format!("invalid boolean value {value:?} for -{name}: {reason}")
    })
}

/// Yes or no in any of the ways that the original takes.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program() -> Command {
        let switch = |it| Arg::new(it).long(it).num_args(0..=1).require_equals(true);
        let get = Command::new("get")
            .arg(Arg::new("recurse").long("recurse").action(ArgAction::SetTrue))
            .arg(Arg::new("separator").long("separator"))
            .arg(Arg::new("tag").long("tag").action(ArgAction::Append))
            .arg(switch("shell"))
            .arg(Arg::new("args").num_args(0..));
        Command::new("t").subcommand(Command::new("kv").subcommand(get))
    }

    fn translated(line: &str) -> Line {
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        translate(&program(), &args)
    }

    #[test]
    fn flags_of_every_shape() {
        let cases = [
            ("a", "-- a"),
            ("-recurse a", "--recurse -- a"),
            ("--recurse a", "--recurse -- a"),
            ("-recurse=true a", "--recurse -- a"),
            ("-recurse=0 a", "-- a"),
            ("-recurse -recurse=false a", "-- a"),
            ("-separator / a", "--separator=/ -- a"),
            ("-separator=/ a", "--separator=/ -- a"),
            ("-separator= a", "--separator= -- a"),
            ("-separator=a=b", "--separator=a=b"),
            // A value is a value, whatever it looks like.
            ("-separator -recurse a", "--separator=-recurse -- a"),
            ("-separator 1 -separator 2", "--separator=2"),
            ("-tag 1 --tag=2", "--tag=1 --tag=2"),
            ("-shell a", "--shell=true -- a"),
            ("-shell=false a", "--shell=false -- a"),
            // Flags end where positionals begin.
            ("a -recurse", "-- a -recurse"),
            ("-recurse -- -x", "--recurse -- -x"),
            ("- -x", "-- - -x"),
            ("", ""),
        ];
        for (line, want) in cases {
            let want = format!("t kv get {want}").split_whitespace().map(str::to_owned).collect();
            assert_eq!(translated(&format!("kv get {line}")), Line::Run(want), "{line}");
        }
    }

    #[test]
    fn flags_that_are_wrong() {
        let cases = [
            ("-bogus", "flag provided but not defined: -bogus"),
            ("--bogus=1", "flag provided but not defined: -bogus"),
            ("-separator", "flag needs an argument: -separator"),
            ("---x", "bad flag syntax: ---x"),
            ("-=x", "bad flag syntax: -=x"),
            ("-recurse=zz", "invalid boolean value \"zz\" for -recurse: parse error"),
        ];
        let path = vec!["kv".to_owned(), "get".to_owned()];
        for (line, message) in cases {
            let want = Line::BadFlag { path: path.clone(), message: message.to_owned() };
            assert_eq!(translated(&format!("kv get {line}")), want, "{line}");
        }
    }

    #[test]
    fn what_is_no_command() {
        let kv = || vec!["kv".to_owned()];
        let cases = [
            ("", Line::NoCommand(vec![])),
            ("nosuch", Line::NoCommand(vec![])),
            ("-bogus kv", Line::NoCommand(vec![])),
            ("kv", Line::NoCommand(kv())),
            ("kv nosuch", Line::NoCommand(kv())),
            ("--version", Line::Version),
            ("-v", Line::Version),
            ("--help", Line::Help(vec![])),
            ("kv -h", Line::Help(kv())),
            ("kv get -help", Line::Help(vec!["kv".to_owned(), "get".to_owned()])),
        ];
        for (line, want) in cases {
            assert_eq!(translated(line), want, "{line}");
        }
    }
}
