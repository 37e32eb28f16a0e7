//! Tells when this computer may have come to another place: its addresses change, or it was asleep.
//!
//! The system says so itself; only where it does not is it asked every now and then.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use if_watch::tokio::IfWatcher;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Waits for changes of this computer's place.
#[derive(Debug)]
pub struct Watch {
    changed: Arc<Notify>,
    task: AbortHandle,
}

impl Watch {
    /// Needs a running tokio runtime.
    pub fn start() -> Watch {
        let changed = Arc::new(Notify::new());
        // In a task, which runs when the system says something: to ask it at each packet costs more
        // than one would think.
        let task = tokio::spawn(look_out(changed.clone())).abort_handle();
        Watch { changed, task }
    }

    /// Something may have changed: an address, or the calendar by more than the time that has
    /// passed. Cancel safe.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_out(changed: Arc<Notify>) {
    let mut addresses = Addresses::watched();
    #[cfg(target_os = "linux")]
    let mut calendar = calendar::Calendar::open()
        .inspect_err(|error| tracing::debug!("the calendar cannot be watched: {error}"))
        .ok();
    #[cfg(target_os = "linux")]
    let mut jumped = async || match &mut calendar {
        Some(calendar) => calendar.jumped().await,
        None => std::future::pending().await,
    };
    #[cfg(not(target_os = "linux"))]
    let mut jumped = std::future::pending;
    loop {
        tokio::select! {
            () = addresses.changed() => {}
            () = jumped() => {}
        }
        changed.notify_one();
    }
}

#[derive(Debug)]
enum Addresses {
    Told(Box<IfWatcher>),
    /// The system does not tell: it is time to look every now and then.
    Asked(Interval),
}

impl Addresses {
    fn watched() -> Addresses {
        match IfWatcher::new() {
            Ok(watcher) => Addresses::Told(Box::new(watcher)),
            Err(error) => Addresses::unwatched(&error),
        }
    }

    fn unwatched(error: &io::Error) -> Addresses {
        tracing::debug!("the network interfaces are asked, for they cannot be watched: {error}");
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Addresses::Asked(every)
    }

    async fn changed(&mut self) {
        match self {
            Addresses::Told(watcher) => {
                let change = std::future::poll_fn(|context| watcher.poll_if_event(context));
                if let Err(error) = change.await {
                    *self = Addresses::unwatched(&error);
                }
            }
            Addresses::Asked(every) => {
                every.tick().await;
            }
        }
    }
}

const EVERY: Duration = Duration::from_secs(2);

/// Linux cancels a timer on the calendar when that is set, and a computer that wakes up sets it.
#[cfg(target_os = "linux")]
mod calendar {
    use std::io;

    use rustix::time::{TimerfdClockId, TimerfdTimerFlags, Timespec};

    use crate::net::timer::Timer;

    /// A timer that never runs out by itself.
    #[derive(Debug)]
    pub(super) struct Calendar(Timer);

    impl Calendar {
        pub(super) fn open() -> io::Result<Calendar> {
            let mut timer = Timer::new(TimerfdClockId::Realtime)?;
            let never = Timespec {
                tv_sec: FAR,
                tv_nsec: 0,
            };
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            timer.set(never, flags)?;
            Ok(Calendar(timer))
        }

        /// The calendar was set. Cancel safe.
        pub(super) async fn jumped(&mut self) {
            self.0.ends().await;
        }
    }

    /// The year 2100, in seconds since 1970.
    const FAR: i64 = 4_102_444_800;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quiet_computer_says_what_it_has_and_then_nothing() {
        let watch = Watch::start();
        // The addresses that are there count as new ones.
        let mut said = 0;
        while tokio::time::timeout(Duration::from_millis(300), watch.changed())
            .await
            .is_ok()
        {
            said += 1;
            assert!(said < 1000, "it does not end");
        }
    }
}
