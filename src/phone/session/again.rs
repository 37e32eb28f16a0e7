//! When a call that runs over others looks for a direct path again: a router may have another
//! address now, or let through what it did not before.

use std::time::Duration;

/// Each look costs the line some dozen datagrams, so the pauses grow.
#[derive(Debug)]
pub(super) struct Again {
    pause: Duration,
    at: Option<Duration>,
    direct_since: Option<Duration>,
}

impl Default for Again {
    fn default() -> Again {
        Again {
            pause: FIRST_PAUSE,
            at: None,
            direct_since: None,
        }
    }
}

impl Again {
    /// Whether to look now. To be asked often.
    pub(super) fn is_due(&mut self, is_direct: bool, now: Duration) -> bool {
        if is_direct {
            self.at = None;
            let since = *self.direct_since.get_or_insert(now);
            if now >= since + SETTLED {
                self.pause = FIRST_PAUSE;
            }
            return false;
        }
        self.direct_since = None;
        let at = *self.at.get_or_insert(now + self.pause);
        if now < at {
            return false;
        }
        self.pause = LONGEST_PAUSE.min(self.pause * 2);
        self.at = Some(now + self.pause);
        true
    }
}

/// From the loss of the direct path; the first search may take as long.
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A direct path that holds so long is no passing one.
const SETTLED: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_ever_more_seldom_until_a_direct_path_has_held() {
        let second = Duration::from_secs(1);
        let mut again = Again::default();
        let mut looks = |from: u32, is_direct: bool| {
            let seconds = from..from + 200;
            let due = seconds.filter(|n| again.is_due(is_direct, second * *n));
            due.map(|n| n - from).collect::<Vec<_>>()
        };
        assert_eq!(looks(0, false), [3, 9, 21, 45, 93, 153]);
        assert!(looks(200, true).is_empty());
        assert_eq!(looks(400, false), [3, 9, 21, 45, 93, 153]);
    }
}
