//! Whether a device gets the sound that it needs: what it asks for, against the clock.
//!
//! No sound system tells reliably that a loudspeaker goes without. But one that waits for us asks
//! for less than the time that passes, and that shows.

use std::time::Duration;

use crate::audio::codec::RATE;

/// Looks at the counts of one open device after another.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// When the present look began, and the counts then.
    began: Option<(Duration, u64, u64)>,
    /// Since when nothing was missing.
    calm: Option<Duration>,
    /// The last look found a little missing.
    was_short: bool,
    /// It was tried once in this call.
    went_down: bool,
}

/// What to do about the buffers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    Stay,
    /// It starves: it has got this share of what the clock says.
    More(f32),
    /// Less may do as well.
    Less,
}

impl Watch {
    /// Another device, or the same with other buffers.
    pub(super) fn restart(&mut self) {
        self.began = None;
        self.calm = None;
        self.was_short = false;
    }

    /// Takes the counts of samples (of our rate) asked for and of shortages, at `now`.
    pub(super) fn look(&mut self, now: Duration, asked: u64, short: u64, step: usize) -> Verdict {
        let Some((began, before, short_before)) = self.began else {
            self.began = Some((now, asked, short));
            return Verdict::Stay;
        };
        let passed = now.saturating_sub(began);
        if passed < WINDOW {
            return Verdict::Stay;
        }
        self.began = Some((now, asked, short));
        if passed > WINDOW * 2 {
            // The computer slept, or had no time for us: that says nothing of the device.
            return Verdict::Stay;
        }
        let share = (asked - before) as f32 / (passed.as_secs_f32() * RATE as f32);
        let is_short = short - short_before >= SHORTAGES || share < ENOUGH;
        // Opening anew with longer buffers is heard as well: one bad moment is no reason.
        let is_lasting = std::mem::replace(&mut self.was_short, is_short) && is_short;
        if is_lasting || share < FAR_TOO_LITTLE {
            self.calm = Some(now);
            return Verdict::More(share);
        }
        if is_short {
            self.calm = Some(now);
        }
        let calm = *self.calm.get_or_insert(began);
        if step > 0 && !self.went_down && now.saturating_sub(calm) >= CALM {
            self.went_down = true;
            return Verdict::Less;
        }
        Verdict::Stay
    }
}

const WINDOW: Duration = Duration::from_secs(2);

/// Share of the time that a healthy device asks for at least: clocks differ by less than a
/// thousandth, but a burst may just be due.
const ENOUGH: f32 = 0.98;

/// With less than this it does not work at all.
const FAR_TOO_LITTLE: f32 = 0.9;

/// As often within one window may the loudspeaker go without by accident.
const SHORTAGES: u64 = 3;

const CALM: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs for `seconds` with this share of the samples asked for; the verdicts that are not Stay.
    fn run(watch: &mut Watch, from: u64, seconds: u64, share: f64, step: usize) -> Vec<Verdict> {
        let looks = (from * 50..(from + seconds) * 50).map(|turn| {
            let now = Duration::from_millis(turn * 20);
            let asked = (turn as f64 * 960.0 * share) as u64;
            watch.look(now, asked, 0, step)
        });
        looks.filter(|verdict| *verdict != Verdict::Stay).collect()
    }

    #[test]
    fn one_that_gets_enough_is_left_alone() {
        let mut watch = Watch::default();
        assert_eq!(run(&mut watch, 0, 600, 0.9995, 0), []);
    }

    #[test]
    fn one_that_asks_for_too_little_starves() {
        let mut watch = Watch::default();
        let verdicts = run(&mut watch, 0, 5, 0.34, 0);
        assert!(matches!(verdicts[..], [Verdict::More(share), Verdict::More(_)] if share < 0.35));
    }

    #[test]
    fn after_a_calm_minute_less_is_tried_once() {
        let mut watch = Watch::default();
        assert!(!run(&mut watch, 0, 3, 0.5, 0).is_empty());
        watch.restart();
        assert_eq!(run(&mut watch, 10, 55, 1.0, 1), []);
        assert_eq!(run(&mut watch, 65, 120, 1.0, 1), [Verdict::Less]);
        watch.restart();
        assert_eq!(run(&mut watch, 200, 300, 1.0, 1), []);
    }

    #[test]
    fn a_few_shortages_or_one_bad_moment_are_an_accident_and_many_are_not() {
        for (short, starves) in [([2, 2], false), ([9, 2], false), ([3, 3], true)] {
            let mut watch = Watch::default();
            watch.look(Duration::ZERO, 0, 10, 0);
            let first = watch.look(WINDOW, 96_000, 10 + short[0], 0);
            assert_eq!(first, Verdict::Stay, "{short:?}");
            let count = 10 + short[0] + short[1];
            let second = watch.look(WINDOW * 2, 192_000, count, 0);
            assert_eq!(second != Verdict::Stay, starves, "{short:?}: {second:?}");
        }
    }

    #[test]
    fn a_computer_that_slept_proves_nothing() {
        let mut watch = Watch::default();
        watch.look(Duration::ZERO, 0, 0, 0);
        assert_eq!(
            watch.look(Duration::from_secs(600), 960, 0, 0),
            Verdict::Stay
        );
    }
}
