//! What to leave out of a frame that came a little late: its time was bridged already, so that
//! playing it whole would make the delay longer. That is right for one that was late by chance. When
//! the next ones are late as well the line has become slower, and then a longer delay is wanted:
//! leaving out a piece of every frame would be heard much worse.

/// Counts in halves of frames.
#[derive(Debug, Default)]
pub(super) struct Trim {
    /// Bridged, and may still be left out of what comes.
    bridged: u32,
    /// To be left out of the frame that was pulled last.
    due: u32,
    /// The frame that was trimmed last.
    last: u64,
}

impl Trim {
    /// So much was bridged before the frame that comes now.
    pub(super) fn bridged(&mut self, halves: u32) {
        self.bridged = if halves <= AT_MOST { halves } else { 0 };
    }

    /// Frame `number` is played with `spare` to spare. Returns how much of it is left out.
    pub(super) fn play(&mut self, number: u64, spare: u32) -> u32 {
        self.due = spare.min(self.bridged).min(WHOLE);
        if self.due > 0 && number < self.last + APART {
            *self = Trim {
                last: number,
                ..Trim::default()
            };
        }
        if self.due > 0 {
            self.last = number;
        }
        self.bridged -= self.due;
        self.due
    }

    /// How much is to be left out of the beginning of the frame; it is asked once.
    pub(super) fn take(&mut self) -> u32 {
        std::mem::take(&mut self.due)
    }
}

/// What came later than this (40 ms) is played in full: more would be missed than the wait is worth.
const AT_MOST: u32 = 4;

/// Halves of a frame.
const WHOLE: u32 = 2;

/// One of so many frames (200 ms) may be late by chance.
const APART: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bridged_is_left_out_as_far_as_there_is_time() {
        let mut trim = Trim::default();
        assert_eq!(trim.play(100, 2), 0);
        trim.bridged(1);
        assert_eq!((trim.play(101, 2), trim.take(), trim.take()), (1, 1, 0));
        trim.bridged(3);
        assert_eq!(trim.play(120, 0), 0);
        trim.bridged(AT_MOST + 1);
        assert_eq!(trim.play(140, 2), 0);
    }

    #[test]
    fn when_all_are_late_none_but_the_first_is_trimmed() {
        let mut trim = Trim::default();
        let trimmed = (100..150).map(|number| {
            trim.bridged(1);
            trim.play(number, 1)
        });
        assert_eq!(trimmed.sum::<u32>(), 1);
    }
}
