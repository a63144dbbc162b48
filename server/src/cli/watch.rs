//! `tribune watch`: waits for changes, and tells a program about each.

use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::client::{Client, Reply, RequestError};
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage, describe};
use super::version::indented;

/// Watch for changes
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// What to watch: key, keyprefix, services, nodes, service, checks or event.
    #[arg(long = "type", value_name = "string")]
    kind: Option<String>,
    /// The key, for key.
    #[arg(long, value_name = "string")]
    key: Option<String>,
    /// How the keys begin, for keyprefix.
    #[arg(long, value_name = "string")]
    prefix: Option<String>,
    /// The service, for service and checks.
    #[arg(long, value_name = "string")]
    service: Option<String>,
    /// Only instances with this tag, for service. May be given several times.
    #[arg(long, value_name = "string")]
    tag: Vec<String>,
    /// Only healthy instances, for service.
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    passingonly: Option<bool>,
    /// The status, for checks.
    #[arg(long, value_name = "string")]
    state: Option<String>,
    /// The event's name, for event.
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Run the program by a shell.
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "true")]
    shell: bool,
    #[command(flatten)]
    target: Target,
    /// A program that is told about every change on its standard input. Without one, the present
    /// state is printed, and that is all.
    #[arg(value_name = "child")]
    args: Vec<String>,
}

/// What to ask for, again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Question {
    path: String,
    query: Vec<(&'static str, String)>,
    /// The answer is a list of which only the first counts, and it may be missing.
    single: bool,
}

impl Watch {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let question = self.question()?;
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let alive = client.get("/v1/agent/self", &[]).and_then(|it| it.ok());
        alive.map_err(|error| format!("Error querying Consul agent: {error}"))?;

        let mut seen: Option<(u64, Value)> = None;
        let mut failures = 0_u32;
        loop {
            let index = seen.as_ref().map_or(0, |it| it.0);
            match question.ask(&client, index) {
                Err(error) => {
                    failures += 1;
                    let pause = pause(failures);
                    terminal.note(format!(
                        "consul.watch: Watch errored: error={error} retry={pause:?}"
                    ));
                    thread::sleep(pause);
                }
                Ok((index, value)) => {
                    failures = 0;
                    if self.args.is_empty() {
                        terminal.line(indented(&value, b"    "));
                        return Ok(());
                    }
                    let before = seen.as_ref().map(|it| it.0);
                    // An index that went back means another history: start from its beginning. 0
                    // would not wait at all.
                    let next = if before.is_some_and(|it| index < it) { 0 } else { index.max(1) };
                    if seen.as_ref().is_none_or(|it| it.1 != value) {
                        self.tell(index, &value)?;
                    }
                    seen = Some((next, value));
                }
            }
        }
    }

    fn question(&self) -> Result<Question, Failure> {
        let kind = self.kind.as_deref().filter(|it| !it.is_empty());
        let kind = kind
            .ok_or_else(|| Failure::new("Watch type must be specified").with_usage(Usage::Err))?;
        let name = |what: &Option<String>, missing: &str| {
            let named = what.clone().filter(|it| !it.is_empty());
            named.ok_or_else(|| Failure::new(format!("Must specify a single {missing} to watch")))
        };
        let mut query = Vec::new();
        let (path, used): (_, &[_]) = match kind {
            "key" => (format!("/v1/kv/{}", name(&self.key, "key")?), &["key"]),
            "keyprefix" => {
                query.push(("recurse", String::new()));
                (format!("/v1/kv/{}", name(&self.prefix, "prefix")?), &["prefix"])
            }
            "services" => ("/v1/catalog/services".to_owned(), &[]),
            "nodes" => ("/v1/catalog/nodes".to_owned(), &[]),
            "service" => {
                let service = name(&self.service, "service")?;
                query.extend(self.tag.iter().map(|it| ("tag", it.clone())));
                if self.passingonly == Some(true) {
                    query.push(("passing", "1".to_owned()));
                }
                (format!("/v1/health/service/{service}"), &["service", "tag", "passingonly"])
            }
            "checks" => match (&self.service, &self.state) {
                (Some(_), Some(_)) => {
                    return Err(Failure::new("Cannot specify service and state"));
                }
                (Some(service), None) => (format!("/v1/health/checks/{service}"), &["service"]),
                (None, state) => {
                    let state = state.as_deref().unwrap_or("any");
                    (format!("/v1/health/state/{state}"), &["state"])
                }
            },
            "event" => {
                query.extend(self.name.iter().map(|it| ("name", it.clone())));
                ("/v1/event/list".to_owned(), &["name"])
            }
            other => return Err(Failure::new(format!("Unsupported watch type: {other}"))),
        };
        let stray: Vec<_> = self.given().into_iter().filter(|it| !used.contains(it)).collect();
        if !stray.is_empty() {
            return Err(Failure::new(format!("Invalid parameters: [{}]", stray.join(" "))));
        }
        Ok(Question { path, query, single: kind == "key" })
    }

    /// The names of the parameters that somebody gave.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("key", self.key.is_some()),
            ("prefix", self.prefix.is_some()),
            ("service", self.service.is_some()),
            ("tag", !self.tag.is_empty()),
            ("passingonly", self.passingonly.is_some()),
            ("state", self.state.is_some()),
            ("name", self.name.is_some()),
        ];
        all.into_iter().filter_map(|(name, given)| given.then_some(name)).collect()
    }

    /// Run the program with `value` on its standard input, and wait for its end.
    fn tell(&self, index: u64, value: &Value) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!("Error executing handler: {}", describe(&error)))
        };
        let mut command = if self.shell {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(self.args.join(" "));
            command
        } else {
            let mut command = Command::new(&self.args[0]);
            command.args(&self.args[1..]);
            command
        };
        command.env("CONSUL_INDEX", index.to_string()).stdin(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A program that does not care for the details may close its input.
            _ = writeln!(input, "{value}");
        }
        let status = child.wait().map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("Error executing handler: {}", ending(status))))
    }
}

impl Question {
    /// The state after `index`, as soon as there is one. 0 does not wait.
    fn ask(&self, client: &Client, index: u64) -> Result<(u64, Value), RequestError> {
        let index = index.to_string();
        let mut query: Vec<_> = self.query.iter().map(|(k, v)| (*k, v.as_str())).collect();
        if index != "0" {
            query.push(("index", &index));
        }
        let reply = client.get(&self.path, &query)?;
        let index = reply.index.unwrap_or(0);
        // Only keys answer 404, which says that there are none.
        if reply.status == 404 && self.path.starts_with("/v1/kv/") {
            return Ok((index, Value::Null));
        }
        Ok((index, self.value(reply)?))
    }

    fn value(&self, reply: Reply) -> Result<Value, RequestError> {
        let mut value: Value = reply.json()?;
        if !self.path.starts_with("/v1/kv/") {
            return Ok(value);
        }
        // Programs rely on every field of a key, while the API leaves out a session there is not.
        for pair in value.as_array_mut().into_iter().flatten() {
            if let Some(fields) = pair.as_object_mut() {
                *fields = PAIR_FIELDS
                    .iter()
                    .map(|name| {
                        let missing = if *name == "Session" { "".into() } else { Value::Null };
                        ((*name).to_owned(), fields.get(*name).cloned().unwrap_or(missing))
                    })
                    .collect();
            }
        }
        if self.single { Ok(value.get_mut(0).map_or(Value::Null, Value::take)) } else { Ok(value) }
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    (PAUSE * failures.saturating_mul(failures)).min(PAUSE_MAX)
}

fn ending(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"))
}

const PAIR_FIELDS: &[&str] =
    &["Key", "CreateIndex", "ModifyIndex", "LockIndex", "Flags", "Value", "Session"];
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(180);

#[test]
fn failures_are_paused_for_longer_and_longer() {
    let pauses: Vec<_> = [1, 2, 3, 6, 7, 100_000].map(|it| pause(it).as_secs()).to_vec();
    assert_eq!(pauses, [5, 20, 45, 180, 180, 180]);
}
