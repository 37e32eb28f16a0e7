//! When a call that has lost a room asks for another: soon the first time, ever more seldom while
//! none is to be had.

use std::time::Duration;

/// See the [module](self).
#[derive(Debug)]
pub struct Spares {
    look_at: Duration,
    pause: Duration,
}

impl Default for Spares {
    fn default() -> Spares {
        Spares {
            look_at: Duration::ZERO,
            pause: FIRST_PAUSE,
        }
    }
}

impl Spares {
    /// Whether it is time to look how many there are.
    pub fn look(&mut self, now: Duration) -> bool {
        let is_time = now >= self.look_at;
        if is_time {
            self.look_at = now + BETWEEN_LOOKS;
        }
        is_time
    }

    /// When to look next.
    pub fn deadline(&self) -> Duration {
        self.look_at
    }

    /// So many rooms are missing, and some were asked for at `asked_at`: whether to ask again.
    pub fn is_due(&mut self, missing: usize, asked_at: Duration, now: Duration) -> bool {
        if missing == 0 {
            self.pause = FIRST_PAUSE;
        }
        let is_due = missing > 0 && now >= asked_at + self.pause;
        if is_due {
            self.pause = LONGEST_PAUSE.min(self.pause * 2);
        }
        is_due
    }

    /// Rooms are asked for: they need their time.
    pub fn asked(&mut self, now: Duration) {
        self.look_at = now + BETWEEN_LOOKS;
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_secs(2);
/// From one question to the next; whoever gets no room looks for one for 20 s.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_ever_more_seldom_until_there_are_enough() {
        let second = Duration::from_secs(1);
        let mut spares = Spares::default();
        let mut asked_at = Duration::ZERO;
        let mut asked = |from: u32, until: u32, missing: usize| {
            let mut asked = Vec::new();
            for now in from..until {
                let now = second * now;
                if spares.look(now) && spares.is_due(missing, asked_at, now) {
                    spares.asked(now);
                    asked_at = now;
                    asked.push(now.as_secs());
                }
            }
            asked
        };
        assert_eq!(asked(0, 2000, 1), [30, 90, 210, 450, 930, 1530]);
        assert!(asked(2000, 2010, 0).is_empty());
        assert_eq!(asked(2010, 2100, 1), [2010, 2070]);
    }
}
