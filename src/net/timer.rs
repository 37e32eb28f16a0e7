//! A timer of the system, which can be waited for.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::udp::watched;

/// Runs out once each time that it is set.
#[derive(Debug)]
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Needs a running tokio runtime.
    pub fn new(clock: TimerfdClockId) -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(clock, flags)?;
        watched(timer).map(Timer)
    }

    /// It runs out at `at`, or after it, as `flags` say; never at zero.
    pub fn set(&mut self, at: Timespec, flags: TimerfdTimerFlags) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: at,
        };
        timerfd_settime(&self.0, flags, &once)?;
        Ok(())
    }

    /// Waits until it has run out, or was cancelled. Cancel safe.
    pub async fn ends(&mut self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else {
                return std::future::pending().await;
            };
            let read = rustix::io::read(&self.0, &mut [0; 8]);
            // What it says next it says anew.
            ready.clear_ready();
            match read.map_err(io::Error::from) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // When it was cancelled it says so, and goes on.
                _ => return,
            }
        }
    }
}
