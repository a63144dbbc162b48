//! `tribune agent`: the flags that are configuration.
//!
//! A flag is a row of a table: its name and the key it sets. What it holds follows from the key.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum, value_parser};
use serde_json::{Map, Value};
use tribune_base::hcl::Format;

use super::terminal::{Failure, Terminal};
use crate::config::{BuildError, Config, Host, Kind, Sources, kind_of};

/// Run an agent
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    dev: bool,
    format: Option<Language>,
    /// Files and directories, in the order they were named.
    paths: Vec<PathBuf>,
    fragments: Vec<String>,
    /// What the other flags set, as a configuration file would.
    flags: Value,
    args: Vec<String>,
}

/// A configuration language.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Language {
    Hcl,
    Json,
}

impl From<Language> for Format {
    fn from(language: Language) -> Self {
        match language {
            Language::Hcl => Self::Hcl,
            Language::Json => Self::Json,
        }
    }
}

impl Agent {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<ExitCode, Failure> {
        if !self.args.is_empty() {
            return Err(format!("==> Unexpected extra arguments: {:?}", self.args).into());
        }
        let config = self.read().map_err(|error| format!("==> {error}"))?;
        _ = terminal.out.flush();
        let command = self.clone();
        Ok(crate::agent::run(config, Box::new(move || command.read())))
    }

    /// Everything that this command line names, as it is now.
    fn read(&self) -> Result<Config, BuildError> {
        let mut sources = Sources::new(self.format.map(Into::into));
        if self.dev {
            sources.dev();
        }
        self.paths.iter().for_each(|it| sources.path(it));
        self.fragments.iter().for_each(|it| sources.fragment(it));
        sources.flags(&self.flags);
        sources.build(&Host::probe())
    }
}

impl Args for Agent {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name);
        let own = [
            flag("dev").action(ArgAction::SetTrue).help("Development mode: a server in memory."),
            flag("config-file")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("A configuration file. May be given several times."),
            flag("config-dir")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("A directory of configuration files. May be given several times."),
            flag("config-format")
                .value_parser(value_parser!(Language))
                .help("The language of files whose names do not end in .hcl or .json."),
            flag("hcl")
                .action(ArgAction::Append)
                .help("A fragment of configuration. May be given several times."),
        ];
        let keys = FLAGS.iter().map(|(name, path)| {
            let arg = flag(name).help(format!("Sets {path}."));
            match kind_of(path) {
                Kind::Bool => arg
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
                    .value_parser(value_parser!(bool)),
                Kind::Int | Kind::Uint => arg.value_parser(value_parser!(i64)),
                Kind::Texts => arg.action(ArgAction::Append),
                Kind::TextMap => arg.action(ArgAction::Append).value_parser(pair),
                Kind::Float
                | Kind::Text
                | Kind::Duration
                | Kind::DurationMap
                | Kind::Blocks
                | Kind::Raw => arg,
            }
        });
        let rest = Arg::new("args").num_args(0..).hide(true);
        command.args(own).args(keys).arg(rest).about("Run an agent")
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Agent {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let many = |name: &str| {
            let values = matches.get_many::<PathBuf>(name).unwrap_or_default().cloned();
            matches.indices_of(name).unwrap_or_default().zip(values).collect::<Vec<_>>()
        };
        let mut paths = [many("config-file"), many("config-dir")].concat();
        paths.sort_by_key(|it| it.0);
        let texts = |name: &str| {
            matches.get_many::<String>(name).unwrap_or_default().cloned().collect::<Vec<_>>()
        };
        Ok(Self {
            dev: matches.get_flag("dev"),
            format: matches.get_one("config-format").copied(),
            paths: paths.into_iter().map(|it| it.1).collect(),
            fragments: texts("hcl"),
            flags: flags(matches),
            args: texts("args"),
        })
    }

    fn update_from_arg_matches(&mut self, _: &ArgMatches) -> Result<(), clap::Error> {
        Err(clap::Error::new(ErrorKind::InvalidSubcommand))
    }
}

/// What the flags of the table set, nested as their paths are.
fn flags(matches: &ArgMatches) -> Value {
    let mut all = Map::new();
    for (name, path) in FLAGS {
        if !matches.contains_id(name) {
            continue;
        }
        let texts = || matches.get_many::<String>(name).unwrap_or_default();
        let value = match kind_of(path) {
            Kind::Bool => matches.get_one::<bool>(name).copied().into(),
            Kind::Int | Kind::Uint => matches.get_one::<i64>(name).copied().into(),
            Kind::Texts => texts().map(String::as_str).collect(),
            Kind::TextMap => {
                let pairs = matches.get_many::<(String, Value)>(name).unwrap_or_default();
                pairs.cloned().collect::<Map<_, _>>().into()
            }
            Kind::Float
            | Kind::Text
            | Kind::Duration
            | Kind::DurationMap
            | Kind::Blocks
            | Kind::Raw => texts().next().map(String::as_str).into(),
        };
        let (group, leaf) = path.split_once('.').map_or((None, *path), |it| (Some(it.0), it.1));
        let fields = match group {
            None => &mut all,
            Some(group) => all
                .entry(group)
                .or_insert_with(|| Map::new().into())
                .as_object_mut()
                .expect("no path is both key and group"),
        };
        fields.insert(leaf.to_owned(), value);
    }
    Value::Object(all)
}

/// `name:value`.
fn pair(text: &str) -> Result<(String, Value), std::convert::Infallible> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    Ok((name.to_owned(), value.into()))
}

/// The flags, and the keys they set.
const FLAGS: &[(&str, &str)] = &[
    ("advertise", "advertise_addr"),
    ("advertise-wan", "advertise_addr_wan"),
    ("allow-write-http-from", "http_config.allow_write_http_from"),
    ("alt-domain", "alt_domain"),
    ("auto-reload-config", "auto_reload_config"),
    ("bind", "bind_addr"),
    ("bootstrap", "bootstrap"),
    ("bootstrap-expect", "bootstrap_expect"),
    ("check_output_max_size", "check_output_max_size"),
    ("client", "client_addr"),
    ("data-dir", "data_dir"),
    ("datacenter", "datacenter"),
    ("default-query-time", "default_query_time"),
    ("disable-host-node-id", "disable_host_node_id"),
    ("disable-keyring-file", "disable_keyring_file"),
    ("dns-port", "ports.dns"),
    ("domain", "domain"),
    ("enable-local-script-checks", "enable_local_script_checks"),
    ("enable-script-checks", "enable_script_checks"),
    ("encrypt", "encrypt"),
    ("grpc-port", "ports.grpc"),
    ("grpc-tls-port", "ports.grpc_tls"),
    ("http-port", "ports.http"),
    ("https-port", "ports.https"),
    ("join", "start_join"),
    ("join-wan", "start_join_wan"),
    ("log-file", "log_file"),
    ("log-json", "log_json"),
    ("log-level", "log_level"),
    ("log-rotate-bytes", "log_rotate_bytes"),
    ("log-rotate-duration", "log_rotate_duration"),
    ("log-rotate-max-files", "log_rotate_max_files"),
    ("max-query-time", "max_query_time"),
    ("node", "node_name"),
    ("node-id", "node_id"),
    ("node-meta", "node_meta"),
    ("non-voting-server", "non_voting_server"),
    ("pid-file", "pid_file"),
    ("primary-gateway", "primary_gateways"),
    ("protocol", "protocol"),
    ("raft-protocol", "raft_protocol"),
    ("read-replica", "read_replica"),
    ("recursor", "recursors"),
    ("rejoin", "rejoin_after_leave"),
    ("retry-interval", "retry_interval"),
    ("retry-interval-wan", "retry_interval_wan"),
    ("retry-join", "retry_join"),
    ("retry-join-wan", "retry_join_wan"),
    ("retry-max", "retry_max"),
    ("retry-max-wan", "retry_max_wan"),
    ("segment", "segment"),
    ("serf-lan-allowed-cidrs", "serf_lan_allowed_cidrs"),
    ("serf-lan-bind", "serf_lan"),
    ("serf-lan-port", "ports.serf_lan"),
    ("serf-wan-allowed-cidrs", "serf_wan_allowed_cidrs"),
    ("serf-wan-bind", "serf_wan"),
    ("serf-wan-port", "ports.serf_wan"),
    ("server", "server"),
    ("server-port", "ports.server"),
    ("syslog", "enable_syslog"),
    ("ui", "ui"),
    ("ui-content-path", "ui_content_path"),
    ("ui-dir", "ui_dir"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::shim::{Line, translate};

    fn parsed(line: &str) -> Agent {
        let root = Command::new("t").subcommand(Agent::augment_args(Command::new("agent")));
        let args: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let Line::Run(words) = translate(&root, &args) else { panic!("{line}") };
        let matches = root.try_get_matches_from(words).unwrap();
        Agent::from_arg_matches(matches.subcommand().unwrap().1).unwrap()
    }

    #[test]
    fn flags_become_configuration() {
        let agent = parsed(
            "agent -dev -server=false -bootstrap -http-port 8501 -dns-port=-1 -retry-join a \
             -retry-join b -node-meta rack:1 -node-meta row:2 -retry-interval 5s -hcl a=1 -hcl b=2",
        );
        let want = serde_json::json!({
            "server": false, "bootstrap": true, "ports": { "http": 8501, "dns": -1 },
            "retry_join": ["a", "b"], "node_meta": { "rack": "1", "row": "2" },
            "retry_interval": "5s",
        });
        assert_eq!(agent.flags, want);
        assert!(agent.dev);
        assert_eq!(agent.fragments, ["a=1", "b=2"]);
    }

    #[test]
    fn files_and_directories_stay_in_order() {
        let agent = parsed("agent -config-file 1 -config-dir=2 -config-file 3 -config-format hcl");
        assert_eq!(agent.paths, ["1", "2", "3"].map(PathBuf::from));
        assert!(matches!(agent.format, Some(Language::Hcl)));
    }
}
