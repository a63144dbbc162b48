//! Who is told about a change: a program or a web server.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, ErrorKind};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tribune_agent::{CheckOutcome, CheckSpec};
use tribune_io::{check, tail};
use tribune_state::Status;

use super::form::write;
use super::progress::Change;
use crate::client::describe;

/// Who is told about the changes of one watch, each after the other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Handler {
    /// A program, run for each change.
    Program(Program),
    /// A web server.
    Http(Http),
}

/// A program and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Program {
    /// As they are. There is at least the program.
    Words(Vec<String>),
    /// For the shell to understand.
    Shell(String),
}

/// A request to a web server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Http {
    /// Where to; `http`.
    pub(crate) url: String,
    /// `POST` unless told otherwise.
    pub(crate) method: String,
    /// More fields, each with its values.
    pub(crate) headers: BTreeMap<String, Vec<String>>,
    pub(crate) timeout: Duration,
    /// Accept any certificate.
    pub(crate) tls_skip_verify: bool,
}

/// Why a change was not told. The next change is told all the same.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    /// The program could not be started.
    #[error("{0}")]
    Start(String),
    /// The program says that it failed, or did not end by itself.
    #[error("{}", ending(*.0))]
    Ended(ExitStatus),
    /// The web server could not be asked, or does not like what it is told.
    #[error("{0}")]
    Http(String),
}

impl Handler {
    /// Tell, and wait until whoever is told is done; what they say, and how it went. Dropping the
    /// future ends the program.
    pub(crate) async fn tell(&self, change: &Change) -> (String, Result<(), HandlerError>) {
        match self {
            Self::Program(program) => program.tell(change).await,
            Self::Http(http) => http.tell(change).await,
        }
    }

    /// What logs call it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Program(Program::Words(words)) => format!("{words:?}"),
            Self::Program(Program::Shell(line)) => line.clone(),
            Self::Http(http) => http.url.clone(),
        }
    }
}

impl Program {
    async fn tell(&self, change: &Change) -> (String, Result<(), HandlerError>) {
        let mut tail = tail::Tail::new(OUTPUT_MAX);
        let started = tail::pipe().and_then(|(reader, writer)| {
            let mut command = self.command(change.index);
            command.stdout(writer.try_clone()?).stderr(writer).kill_on_drop(true);
            // Our own end of the pipe is closed with the command: the reader would wait for it.
            Ok((reader, command.spawn()?))
        });
        let (reader, mut child) = match started {
            Ok(started) => started,
            Err(error) => return (String::new(), Err(HandlerError::Start(self.explain(&error)))),
        };
        let input = feed(&mut child, change);
        let (status, ()) = tokio::join!(tail.follow(&mut child, reader), input);
        let result = match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(HandlerError::Ended(status)),
            Err(error) => Err(HandlerError::Start(self.explain(&error))),
        };
        (tail.into_output(), result)
    }

    /// The program, ready to be told on its standard input about a change with this index.
    pub(crate) fn command(&self, index: u64) -> Command {
        let mut command = match self {
            Self::Words(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]);
                command
            }
            Self::Shell(line) => {
                let own = env::var_os("SHELL").filter(|it| !it.is_empty());
                let mut command = Command::new(own.unwrap_or_else(|| "/bin/sh".into()));
                command.arg("-c").arg(line);
                command
            }
        };
        command.env("CONSUL_INDEX", index.to_string()).stdin(Stdio::piped());
        command
    }

    /// Why it did not start, in words that people search for.
    fn explain(&self, error: &io::Error) -> String {
        let program = match self {
            Self::Words(words) => words[0].as_str(),
            Self::Shell(_) => "the shell",
        };
        if error.kind() == ErrorKind::NotFound && !program.contains('/') {
            return format!("exec: {program:?}: executable file not found in $PATH");
        }
        format!("fork/exec {program}: {}", describe(error))
    }
}

/// Run `program` with our own output, and tell it about `change`.
pub(crate) async fn run(program: &Program, change: &Change) -> Result<(), HandlerError> {
    let failed = |error: io::Error| HandlerError::Start(program.explain(&error));
    let mut child = program.command(change.index).spawn().map_err(failed)?;
    let input = feed(&mut child, change);
    let (status, ()) = tokio::join!(child.wait(), input);
    let status = status.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(HandlerError::Ended(status)) }
}

/// Write the change to the program's standard input, and close it. Who does not read it does not
/// want it.
fn feed(child: &mut Child, change: &Change) -> impl Future<Output = ()> + Send + use<> {
    let input = child.stdin.take();
    let text = write(&change.value, None) + "\n";
    async move {
        if let Some(mut input) = input {
            _ = input.write_all(text.as_bytes()).await;
        }
    }
}

impl Http {
    async fn tell(&self, change: &Change) -> (String, Result<(), HandlerError>) {
        let own = [
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-Consul-Index".to_owned(), change.index.to_string()),
        ];
        let more = self
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())));
        let spec = CheckSpec::Http {
            url: self.url.clone(),
            method: self.method.clone(),
            headers: own.into_iter().chain(more).collect(),
            body: write(&change.value, None) + "\n",
            follow_redirects: true,
            tls_skip_verify: self.tls_skip_verify,
            tls_server_name: String::new(),
            output_max: OUTPUT_MAX,
        };
        let CheckOutcome { status, output } = check::run(&spec, self.timeout).await;
        match status {
            Status::Passing => (output, Ok(())),
            Status::Warning | Status::Critical | Status::Maintenance => {
                (String::new(), Err(HandlerError::Http(output)))
            }
        }
    }
}

/// How a program ended, as the original says it.
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    if let Some(code) = status.code() {
        return format!("exit status {code}");
    }
    let signal = status.signal().unwrap_or_default();
    let name = SIGNALS.iter().find(|it| it.0 == signal).map(|it| it.1);
    name.map_or_else(|| format!("signal: {signal}"), |name| format!("signal: {name}"))
}

/// The signals that end programs, by their numbers and in the words of the original.
const SIGNALS: &[(i32, &str)] = &[
    (1, "hangup"),
    (2, "interrupt"),
    (3, "quit"),
    (6, "aborted"),
    (9, "killed"),
    (11, "segmentation fault"),
    (13, "broken pipe"),
    (15, "terminated"),
];

/// Bytes of output that are worth logging.
const OUTPUT_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change() -> Change {
        Change { index: 7, value: json!({ "a": "<" }) }
    }

    async fn tell(program: Program) -> (String, Option<String>) {
        let (output, result) = Handler::Program(program).tell(&change()).await;
        (output, result.err().map(|it| it.to_string()))
    }

    fn shell(line: &str) -> Program {
        Program::Words(["sh", "-c", line].map(str::to_owned).to_vec())
    }

    #[tokio::test]
    async fn a_program_reads_the_change_and_is_heard() {
        let line = "echo $CONSUL_INDEX; echo out >&2; cat";
        assert_eq!(tell(shell(line)).await, ("7\nout\n{\"a\":\"\\u003c\"}\n".into(), None));
        let (output, error) = tell(Program::Shell("cat; exit 3".into())).await;
        assert_eq!(output, "{\"a\":\"\\u003c\"}\n");
        assert_eq!(error.as_deref(), Some("exit status 3"));
    }

    #[tokio::test]
    async fn programs_fail_in_the_words_of_the_original() {
        let nowhere = Program::Words(vec!["/nope".into()]);
        let want = "fork/exec /nope: no such file or directory";
        assert_eq!(tell(nowhere).await, (String::new(), Some(want.into())));
        let unknown = Program::Words(vec!["nope-nope".into()]);
        let want = "exec: \"nope-nope\": executable file not found in $PATH";
        assert_eq!(tell(unknown).await, (String::new(), Some(want.into())));
        let killed = tell(shell("kill -9 $$")).await;
        assert_eq!(killed, (String::new(), Some("signal: killed".into())));
    }

    #[tokio::test]
    async fn a_program_need_not_listen_and_may_say_much() {
        let change = Change { index: 7, value: "x".repeat(1 << 20).into() };
        let handler = Handler::Program(shell("yes | head -c 9000"));
        let (output, result) = handler.tell(&change).await;
        assert!(output.starts_with("Captured 4096 of 9000 bytes\n...\n"), "{output:.40}");
        assert!(result.is_ok(), "{result:?}");
    }
}
