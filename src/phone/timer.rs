//! A table of named timers with one next deadline.
//!
//! Each timer has a name that says why we would wake up; the table is an array, so it costs
//! nothing to set one again. After quinn's design.

use std::time::Duration;

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Timer {
    /// When to repeat what was not acknowledged.
    Repeat,
    /// When to send the next packet of the constant stream.
    Tick,
    /// When to offer fresh keys.
    Rekey,
    /// When keys are too old to go on with.
    KeyAge,
    /// When to erase the keys of the epoch before.
    Forget,
    /// When to look whether the peer is still heard.
    Silence,
    /// When to ask for a sign of life, and measure the round trip.
    Ping,
    /// When to ask again whether the peer is heard on another path, or to move there.
    Probe,
    /// When what was said should have been heard.
    Answer,
    /// When to repeat the farewell.
    Bye,
    /// When the session has nothing left to do.
    Idle,
    /// When to drop the session's memory.
    Gone,
}

const COUNT: usize = Timer::Gone as usize + 1;

const ALL: [Timer; COUNT] = [
    Timer::Repeat,
    Timer::Tick,
    Timer::Rekey,
    Timer::KeyAge,
    Timer::Forget,
    Timer::Silence,
    Timer::Ping,
    Timer::Probe,
    Timer::Answer,
    Timer::Bye,
    Timer::Idle,
    Timer::Gone,
];

#[derive(Clone, Debug, Default)]
pub struct Timers([Option<Duration>; COUNT]);

impl Timers {
    pub fn set(&mut self, timer: Timer, at: Duration) {
        self.0[timer as usize] = Some(at);
    }

    pub fn set_or_stop(&mut self, timer: Timer, at: Option<Duration>) {
        self.0[timer as usize] = at;
    }

    /// Leaves it alone if it runs.
    pub fn start(&mut self, timer: Timer, at: Duration) {
        self.0[timer as usize].get_or_insert(at);
    }

    pub fn stop(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub fn stop_all(&mut self) {
        self.0 = [None; COUNT];
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Duration> {
        self.0.iter().flatten().min().copied()
    }

    /// A timer whose time has come; it is stopped by this.
    pub fn expired(&mut self, now: Duration) -> Option<Timer> {
        let timer = ALL
            .into_iter()
            .find(|&timer| self.0[timer as usize].is_some_and(|at| now >= at))?;
        self.stop(timer);
        Some(timer)
    }
}
