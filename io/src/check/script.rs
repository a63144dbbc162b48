//! Checks that are programs of the operator's.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time;
use tribune_agent::CheckOutcome;
use tribune_base::duration;
use tribune_base::time::Duration;
use tribune_state::Status;

use super::{connect, critical};

/// Run a program to its end, or to the end of our patience.
pub(super) async fn run(args: &[String], output_max: usize, timeout: Duration) -> CheckOutcome {
    let Some(program) = args.first() else { return critical("no program to run".into()) };
    let (mut child, pipe) = match start(args) {
        Ok(started) => started,
        Err(error) => return critical(explain(program, &error)),
    };
    let group = Group(child.id());
    let mut tail = Tail { bytes: VecDeque::new(), len_max: output_max, seen: 0 };
    let result = time::timeout(timeout, finish(&mut child, pipe, &mut tail)).await;
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
    let (reader, writer) = io::pipe()?;
    let reader = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let mut command = Command::new(&args[0]);
    command.args(&args[1..]).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command.stdout(writer.try_clone()?).stderr(writer);
    // Our own ends of the pipe are closed with the command: the reader would wait for them.
    Ok((command.spawn()?, reader))
}

/// Read until the program has ended and everything it said is read.
async fn finish(
    child: &mut Child,
    mut pipe: pipe::Receiver,
    tail: &mut Tail,
) -> io::Result<ExitStatus> {
    let status = tokio::select! {
        biased;
        _ = tail.read(&mut pipe) => child.wait().await,
        status = child.wait() => {
            // A daemon that it left behind may hold the pipe open for ever.
            _ = time::timeout(DRAIN_MAX, tail.read(&mut pipe)).await;
            status
        }
    };
    status
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

/// The end of what a program says.
struct Tail {
    bytes: VecDeque<u8>,
    len_max: usize,
    seen: usize,
}

impl Tail {
    /// Read to the end.
    async fn read(&mut self, pipe: &mut pipe::Receiver) -> io::Result<()> {
        let mut buf = vec![0; READ_LEN];
        loop {
            let len = pipe.read(&mut buf).await?;
            if len == 0 {
                return Ok(());
            }
            self.seen += len;
            self.bytes.extend(&buf[..len]);
            self.bytes.drain(..self.bytes.len().saturating_sub(self.len_max));
        }
    }

    fn into_output(self) -> String {
        let kept = self.bytes.len();
        let text = String::from_utf8_lossy(&Vec::from(self.bytes)).into_owned();
        if kept < self.seen {
            return format!("Captured {kept} of {} bytes\n...\n{text}", self.seen);
        }
        text
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

/// How long a program that has ended may still be heard through those it left behind.
const DRAIN_MAX: Duration = Duration::from_millis(250);
/// How long a killed program may take to be gone.
const REAP_MAX: Duration = Duration::from_secs(1);
const READ_LEN: usize = 4096;
