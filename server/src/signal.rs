//! Signals, as a stream of typed events.

use std::io;

use tokio::signal::unix::{Signal as Listener, SignalKind, signal};

/// What somebody asks of the process from outside.
///
/// The rule about the second one: whoever is leaving after an [`Interrupt`](Self::Interrupt) or a
/// [`Terminate`](Self::Terminate) exits at once, with failure, when another of the two comes in.
/// People press Ctrl-C twice because the first did not help. A [`Hangup`](Self::Hangup) while
/// leaving is ignored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// SIGINT: leave, unless `skip_leave_on_interrupt`.
    Interrupt,
    /// SIGTERM: stop; leave first if `leave_on_terminate`.
    Terminate,
    /// SIGHUP: read the configuration again.
    Hangup,
}

/// The process's signals, from the moment this is made. None is lost, but several of one kind that
/// nobody has looked at count as one.
#[derive(Debug)]
pub struct Signals {
    interrupt: Listener,
    terminate: Listener,
    hangup: Listener,
}

impl Signals {
    /// Take over from the default behaviour, which is to die. Call inside a runtime.
    ///
    /// # Errors
    ///
    /// What the system says. There is nothing to do but to give up.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one. May be dropped and called again.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.hangup.recv() => Signal::Hangup,
        }
    }
}

impl Signal {
    /// What logs call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "interrupt",
            Self::Terminate => "terminated",
            Self::Hangup => "hangup",
        }
    }
}
