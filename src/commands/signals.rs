//! The signals that end a command, turned into something to wait for.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use twocan::cli::Exit;

use super::fail::Failure;

/// Listens from its making on, so that no signal ends the process half-way.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// Which of them came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ctrl-C.
    Interrupt,
    Terminate,
    /// The terminal is gone.
    Hangup,
}

impl Signals {
    /// # Errors
    /// When the system refuses.
    pub fn new() -> Result<Signals, Failure> {
        let open = || -> io::Result<Signals> {
            Ok(Signals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            })
        };
        open().map_err(|error| Failure::new(Exit::Other, format!("cannot catch signals: {error}")))
    }

    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            _ = self.interrupt.recv() => Stop::Interrupt,
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.hangup.recv() => Stop::Hangup,
        }
    }
}
