//! Checks that are programs of the operator's.

use std::io::{self, ErrorKind};
use std::process::{ExitStatus, Stdio};

use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time;
use tribune_agent::CheckOutcome;
use tribune_base::duration;
use tribune_base::time::Duration;
use tribune_state::Status;

use super::{connect, critical};
use crate::tail::Tail;

/// Run a program to its end, or to the end of our patience.
pub(super) async fn run(args: &[String], output_max: usize, timeout: Duration) -> CheckOutcome {
    let Some(program) = args.first() else { return critical("no program to run".into()) };
    let (mut child, pipe) = match start(args) {
        Ok(started) => started,
        Err(error) => return critical(explain(program, &error)),
    };
    let group = Group(child.id());
    let mut tail = Tail::new(output_max);
    let result = time::timeout(timeout, tail.follow(&mut child, pipe)).await;
    match result {
        Ok(Ok(status)) => {
            group.disarm();
            CheckOutcome { status: judge(status), output: tail.into_output() }
        }
        Ok(Err(error)) => critical(explain(program, &error)),
        Err(_) => {
            drop(group);
            // The killed program is no zombie, and says no more.
            _ = time::timeout(REAP_MAX, child.wait()).await;
            let after = duration::format(timeout);
            critical(format!("Timed out ({after}) running check\n\n{}", tail.into_output()))
        }
    }
}

/// Start a program in a process group of its own, so that what it starts can be ended with it.
fn start(args: &[String]) -> io::Result<(Child, pipe::Receiver)> {
    // One pipe for both, so that lines stay in the order they were written in.
    let (reader, writer) = crate::tail::pipe()?;
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command.stdout(writer.try_clone()?).stderr(writer);
    // Our own ends of the pipe are closed with the command: the reader would wait for them.
    Ok((command.spawn()?, reader))
}

/// A process group. Dropping it kills everyone in it.
struct Group(Option<u32>);

impl Group {
    /// Leave it alone: its leader is gone, and its number may soon be another's.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(id) = self.0 else { return };
        // The runtime picks up what is left of `kill`. Nobody needs its answer: the leader itself
        // is killed once more when the child is dropped.
        let mut kill = Command::new("kill");
        kill.args(["-KILL", "--", &format!("-{id}")]);
        kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(kill.spawn());
    }
}

fn judge(status: ExitStatus) -> Status {
    match status.code() {
        Some(0) => Status::Passing,
        Some(1) => Status::Warning,
        // A signal has no code.
        Some(_) | None => Status::Critical,
    }
}

fn explain(program: &str, error: &io::Error) -> String {
    if error.kind() == ErrorKind::NotFound && !program.contains('/') {
        return format!("exec: {program:?}: executable file not found in $PATH");
    }
    format!("fork/exec {program}: {}", connect::reason(error))
}

/// How long a killed program may take to be gone.
const REAP_MAX: Duration = Duration::from_secs(1);
