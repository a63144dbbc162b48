//! What a program of the operator's says: as much of its end as is worth keeping.

use std::collections::VecDeque;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::time;
use tribune_base::time::Duration;

/// A pipe to read from here. The other end is for the program; one for all it says, so that lines
/// stay in the order they were written in.
///
/// # Errors
///
/// The system's: no descriptors are left.
pub fn pipe() -> io::Result<(Receiver, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((Receiver::from_owned_fd(OwnedFd::from(reader))?, writer))
}

/// The end of what a program says.
#[derive(Debug)]
pub struct Tail {
    bytes: VecDeque<u8>,
    len_max: usize,
    seen: usize,
}

impl Tail {
    /// Keep at most `len_max` bytes.
    pub fn new(len_max: usize) -> Self {
        Self { bytes: VecDeque::new(), len_max, seen: 0 }
    }

    /// Read until the program has ended and everything it said is read.
    ///
    /// # Errors
    ///
    /// The system's, about the program.
    pub async fn follow(
        &mut self,
        child: &mut Child,
        mut pipe: Receiver,
    ) -> io::Result<ExitStatus> {
        tokio::select! {
            biased;
            _ = self.read(&mut pipe) => child.wait().await,
            status = child.wait() => {
                // A daemon that it left behind may hold the pipe open for ever.
                _ = time::timeout(DRAIN_MAX, self.read(&mut pipe)).await;
                status
            }
        }
    }

    /// Read to the end.
    async fn read(&mut self, pipe: &mut Receiver) -> io::Result<()> {
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

    /// What was kept, and how much was not.
    pub fn into_output(self) -> String {
        let kept = self.bytes.len();
        let text = String::from_utf8_lossy(&Vec::from(self.bytes)).into_owned();
        if kept < self.seen {
            return format!("Captured {kept} of {} bytes\n...\n{text}", self.seen);
        }
        text
    }
}

/// How long a program that has ended may still be heard through those it left behind.
const DRAIN_MAX: Duration = Duration::from_millis(250);
const READ_LEN: usize = 4096;
