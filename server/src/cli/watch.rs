//! `tribune watch`: waits for changes, and tells a program about each.

use clap::Args;
use serde_json::{Map, Value};

use super::client::Client;
use super::target::Target;
use super::terminal::{Failure, Terminal, Usage};
use crate::log;
use crate::watch::{self, HandlerError, Plan, PlanError, Program, Step, Watcher};

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
    /// Only healthy instances, for service: true or false.
    #[arg(long, value_name = "bool")]
    passingonly: Option<String>,
    /// The status, for checks.
    #[arg(long, value_name = "string")]
    state: Option<String>,
    /// The event's name, for event.
    #[arg(long, value_name = "string")]
    name: Option<String>,
    /// Run the program by a shell: the one that SHELL names, or else /bin/sh.
    #[arg(long, value_name = "bool", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = clap::ArgAction::Set)]
    shell: Option<bool>,
    #[command(flatten)]
    target: Target,
    /// A program that is told about every change on its standard input. Without one, the present
    /// state is printed, and that is all.
    #[arg(value_name = "child")]
    args: Vec<String>,
}

impl Watch {
    pub(crate) fn run(&self, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
        let plan = self.plan()?;
        let client = Client::new(&self.target, terminal)
            .map_err(|error| format!("Error connecting to Consul agent: {error}"))?;
        let alive = client.get("/v1/agent/self", &[]).and_then(|it| it.ok());
        alive.map_err(|error| format!("Error querying Consul agent: {error}"))?;

        let program = self.program();
        let mut watcher = Watcher::new(client.asker.clone(), plan);
        client.runtime.block_on(async {
            loop {
                let change = match watcher.step().await {
                    Step::Changed(change) => change,
                    Step::Failed { error, retry } => {
                        let complaint = watcher.complaint(&error, retry);
                        terminal.note(format!("{} [ERROR] watch.watch: {complaint}", log::now()));
                        continue;
                    }
                };
                let Some(program) = &program else {
                    terminal.line(watch::write(&change.value, Some("    ")));
                    return Ok(());
                };
                watch::run(program, &change).await.map_err(|error| {
                    let what = match &error {
                        HandlerError::Start(_) => "starting",
                        HandlerError::Ended(_) | HandlerError::Http(_) => "executing",
                    };
                    Failure::new(format!("Error {what} handler: {error}"))
                })?;
            }
        })
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let texts = [
            ("type", &self.kind),
            ("key", &self.key),
            ("prefix", &self.prefix),
            ("service", &self.service),
            ("state", &self.state),
            ("name", &self.name),
        ];
        let mut params = Map::new();
        for (name, text) in texts {
            if let Some(text) = text.as_ref().filter(|it| !it.is_empty()) {
                params.insert(name.to_owned(), text.clone().into());
            }
        }
        if !self.tag.is_empty() {
            params.insert("tag".to_owned(), self.tag.clone().into());
        }
        if let Some(text) = self.passingonly.as_ref().filter(|it| !it.is_empty()) {
            let flag = super::shim::boolean(text).ok_or_else(|| {
                format!(
                    "Failed to parse passingonly flag: strconv.ParseBool: parsing {text:?}: \
                     invalid syntax"
                )
            })?;
            params.insert("passingonly".to_owned(), Value::Bool(flag));
        }
        Plan::parse(params).map_err(|error| match error {
            PlanError::NoType => Failure::new(error.to_string()).with_usage(Usage::Err),
            PlanError::Type(..)
            | PlanError::UnknownType(_)
            | PlanError::Mesh(_)
            | PlanError::Missing(_)
            | PlanError::ServiceAndState
            | PlanError::Stray(_) => Failure::new(error.to_string()),
        })
    }

    fn program(&self) -> Option<Program> {
        if self.args.is_empty() {
            None
        } else if self.shell == Some(false) {
            Some(Program::Words(self.args.clone()))
        } else {
            Some(Program::Shell(self.args.join(" ")))
        }
    }
}
