//! The only place in the engine that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::phone::types::Now;

/// The engine's monotonic clock, which starts at zero, and the computer's calendar.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(super) fn start() -> Clock {
        Clock {
            origin: Instant::now(),
        }
    }

    pub(super) fn now(&self) -> Now {
        let since_epoch = calendar().duration_since(UNIX_EPOCH);
        Now {
            mono: self.origin.elapsed(),
            unix: since_epoch.map_or(0, |since| since.as_secs()),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn unix_millis() -> u64 {
        let since_epoch = calendar().duration_since(UNIX_EPOCH);
        since_epoch.map_or(0, |since| since.as_millis() as u64)
    }

    /// When `instant` was, on the clock of [`Now::mono`].
    pub(super) fn mono(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    /// The moment for an event or a line of the history.
    pub(super) fn stamp(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(calendar()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
fn calendar() -> SystemTime {
    SystemTime::now()
}
