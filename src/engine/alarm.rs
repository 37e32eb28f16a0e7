//! Wakes the engine at the next moment at which it has something to do.
//!
//! It is set anew for every packet that leaves. On Linux it is a timer of the system, because
//! tokio's is exact to the millisecond only, and wakes itself by a system call each time that it is
//! set to an earlier moment than all the timers of the network.

use std::io;
use std::time::Duration;

#[cfg(target_os = "linux")]
use system::Timer;
#[cfg(not(target_os = "linux"))]
use tokios::Timer;

#[derive(Debug)]
pub(super) struct Alarm {
    timer: Timer,
    /// On the clock of [`crate::phone::types::Now::mono`].
    at: Option<Duration>,
}

impl Alarm {
    /// Needs a running tokio runtime.
    pub(super) fn new() -> io::Result<Alarm> {
        let timer = Timer::new()?;
        Ok(Alarm { timer, at: None })
    }

    /// It is `now`. Never rings without `at`, and at once if that is over.
    pub(super) fn set(&mut self, at: Option<Duration>, now: Duration) {
        if self.at == at {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            // Nothing at all would turn it off.
            let left = at.saturating_sub(now).max(Duration::from_nanos(1));
            self.timer.set(left.min(FAR));
        }
    }

    /// Waits until it rings, once each time that it is set. Cancel safe.
    pub(super) async fn rings(&mut self) {
        if self.at.is_none() {
            return std::future::pending().await;
        }
        self.timer.rings().await;
        // Who sets it to the same moment again wants to hear it again.
        self.at = None;
    }
}

/// Further than any timer is set.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::time::Duration;

    use rustix::time::{TimerfdClockId, TimerfdTimerFlags, Timespec};

    use crate::net::timer;

    #[derive(Debug)]
    pub(super) struct Timer(timer::Timer);

    impl Timer {
        pub(super) fn new() -> io::Result<Timer> {
            timer::Timer::new(TimerfdClockId::Monotonic).map(Timer)
        }

        pub(super) fn set(&mut self, left: Duration) {
            let left = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            // It fails for what is no time only.
            let _ = self.0.set(left, TimerfdTimerFlags::empty());
        }

        pub(super) async fn rings(&mut self) {
            self.0.ends().await;
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod tokios {
    use std::io;
    use std::pin::Pin;
    use std::time::Duration;

    use tokio::time::{Instant, Sleep, sleep};

    #[derive(Debug)]
    pub(super) struct Timer(Pin<Box<Sleep>>);

    impl Timer {
        #[expect(
            clippy::unnecessary_wraps,
            reason = "where the system has one, that can fail"
        )]
        pub(super) fn new() -> io::Result<Timer> {
            Ok(Timer(Box::pin(sleep(Duration::ZERO))))
        }

        #[expect(clippy::disallowed_methods, reason = "a timer runs in real time")]
        pub(super) fn set(&mut self, left: Duration) {
            self.0.as_mut().reset(Instant::now() + left);
        }

        pub(super) async fn rings(&mut self) {
            self.0.as_mut().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it rings within this many milliseconds.
    async fn rings(alarm: &mut Alarm, millis: u64) -> bool {
        let limit = Duration::from_millis(millis);
        tokio::time::timeout(limit, alarm.rings()).await.is_ok()
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[tokio::test]
    async fn it_rings_once_each_time_that_it_is_set() {
        let mut alarm = Alarm::new().expect("a timer");
        assert!(!rings(&mut alarm, 20).await, "nobody has set it");
        for _ in 0..3 {
            alarm.set(Some(ms(110)), ms(100));
            assert!(rings(&mut alarm, 5000).await);
            assert!(!rings(&mut alarm, 30).await, "it rings twice");
        }
        alarm.set(Some(ms(50)), ms(100));
        assert!(rings(&mut alarm, 5000).await, "what is over rings at once");
    }

    #[tokio::test]
    async fn what_it_was_set_to_before_is_forgotten() {
        let mut alarm = Alarm::new().expect("a timer");
        alarm.set(Some(ms(20)), ms(0));
        alarm.set(Some(ms(100_000)), ms(0));
        assert!(!rings(&mut alarm, 60).await);
        alarm.set(Some(ms(20)), ms(0));
        alarm.set(None, ms(0));
        assert!(!rings(&mut alarm, 60).await);
    }
}
