//! When to let a few more datagrams come before the next are taken.
//!
//! A system call and a wake-up cost as much as a datagram does. When many come, taking them some
//! at a time carries more of them for the same work; a voice packet waits a fraction of a
//! millisecond for that. When few come, nothing waits.

use std::time::Duration;

/// See the module.
#[derive(Debug, Default)]
pub struct Pace {
    window: u128,
    count: usize,
    before: usize,
}

impl Pace {
    /// How long to wait, after so many have come at once.
    pub fn pause(&mut self, came: usize, now: Duration) -> Option<Duration> {
        let window = now.as_millis() / WINDOW;
        if window != self.window {
            let next = window == self.window + 1;
            self.before = if next { self.count } else { 0 };
            self.count = 0;
            self.window = window;
        }
        self.count += came;
        let many = self.before.max(self.count) >= MANY;
        (many && came < ENOUGH).then_some(PAUSE)
    }
}

/// Milliseconds in which datagrams are counted, and how many are many: 10,000 a second.
const WINDOW: u128 = 10;
const MANY: usize = 100;

/// With so many at once the next have come already.
const ENOUGH: usize = 16;

/// A busy port gets ten or more in it.
const PAUSE: Duration = Duration::from_micros(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_many_are_waited_for() {
        let mut pace = Pace::default();
        let at = |ms: u64| Duration::from_millis(ms);
        for ms in 0..100 {
            assert_eq!(pace.pause(5, at(ms)), None, "5000 a second");
        }
        let paused = (100..200).filter(|&ms| pace.pause(12, at(ms)).is_some());
        assert!(paused.count() > 85, "12,000 a second");
        assert_eq!(pace.pause(64, at(200)), None, "more are there");
        assert_eq!(pace.pause(1, at(5000)), None, "it is quiet again");
    }
}
