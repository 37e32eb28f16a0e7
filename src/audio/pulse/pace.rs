//! When a sound server will have something for us, so that not each of its messages wakes us up.
//!
//! A server on this computer sends some four hundred messages a second, of which a hundred matter:
//! those that complete a frame of the microphone, and those by which the loudspeaker asks for more
//! than it was given. Both come at the server's own even pace, so they can be slept for; what else
//! has come meanwhile is read with them.

use std::time::{Duration, Instant};

/// The pace of both streams.
#[derive(Debug)]
pub(super) struct Pace {
    /// Each whole frame of the microphone, if it is open.
    mic: Option<Beat>,
    /// Each request that what the server has does not answer.
    speaker: Beat,
}

impl Pace {
    pub(super) fn new(records: bool) -> Pace {
        Pace {
            mic: records.then(Beat::default),
            speaker: Beat::default(),
        }
    }

    /// Until when nothing is worth waking up for; nothing if what comes next must be awaited.
    pub(super) fn due(&self) -> Option<Instant> {
        let speaker = self.speaker.due()?;
        match &self.mic {
            None => Some(speaker),
            Some(mic) => Some(mic.due()?.min(speaker)),
        }
    }

    /// What the server had sent was read at `now`. Of what came with it: how long it is to the next
    /// frame of the microphone, and to the next sound that it needs.
    pub(super) fn read(&mut self, now: Instant, frame: Option<Duration>, need: Option<Duration>) {
        self.speaker.look(now, need);
        if let Some(mic) = &mut self.mic {
            mic.look(now, frame);
        }
    }
}

/// Something that comes again and again after times that are known but for the pace of a clock.
#[derive(Debug, Default)]
struct Beat {
    due: Option<Instant>,
    /// We were there before it.
    is_awaited: bool,
    /// How often in a row it was there before us.
    found: u32,
}

impl Beat {
    /// When to look for it; nothing if it was not there when it was due, so that it must be awaited.
    fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_awaited)
    }

    /// It was looked for at `now`. If it was there, it comes again after `next`.
    ///
    /// Of what is found on waking up it is not known when it came, so the next look is a little
    /// earlier, and each further one by more, until we are there before it.
    fn look(&mut self, now: Instant, next: Option<Duration>) {
        let Some(next) = next else {
            self.is_awaited |= self.due.is_none_or(|due| now >= due);
            return;
        };
        self.due = match self.due() {
            None => {
                self.found = 0;
                Some(now + next + MARGIN)
            }
            Some(due) => {
                self.found += 1;
                (due.min(now) + next).checked_sub(STEP * self.found)
            }
        };
        self.is_awaited = false;
    }
}

/// As late we are on purpose, for neither server nor clocks are exact to the microsecond.
const MARGIN: Duration = Duration::from_micros(300);

const STEP: Duration = Duration::from_micros(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows something that comes each 20 ms of a clock that is off by `ppm`, once it was late by
    /// `late` milliseconds; returns how often it was awaited, and the waits of the last second.
    fn follow(ppm: i64, late: u64) -> (usize, Vec<Duration>) {
        let began = crate::audio::now();
        let comes = |number: u64| {
            let micros = number as i64 * (20_000 + ppm * 20_000 / 1_000_000);
            let late = if number == 100 { late } else { 0 };
            began + Duration::from_micros(micros as u64 + late * 1000)
        };
        let mut beat = Beat::default();
        let mut awaited = 0;
        let mut waits = Vec::new();
        for number in 1..500 {
            let at = comes(number);
            let seen = match beat.due() {
                Some(due) if due >= at => due,
                due => {
                    if let Some(due) = due {
                        beat.look(due, None);
                    }
                    awaited += 1;
                    at
                }
            };
            beat.look(seen, Some(FRAME));
            if number >= 450 {
                waits.push(seen - at);
            }
        }
        (awaited, waits)
    }

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn what_comes_evenly_is_found_soon_and_seldom_awaited() {
        for (ppm, late) in [(0, 0), (300, 0), (-300, 0), (0, 5), (0, 15)] {
            let (awaited, waits) = follow(ppm, late);
            assert!(awaited < 100, "{ppm} ppm, {late} ms late: {awaited} of 500");
            let longest = waits.into_iter().max().expect("there are some");
            assert!(
                longest <= MARGIN + STEP,
                "{ppm} ppm, {late} ms late: {longest:?}"
            );
        }
    }

    #[test]
    fn what_has_never_come_is_awaited() {
        let mut beat = Beat::default();
        assert_eq!(beat.due(), None);
        let now = crate::audio::now();
        beat.look(now, Some(FRAME));
        let due = beat.due().expect("a moment");
        beat.look(now, None);
        assert_eq!(beat.due(), Some(due), "it was not due yet");
        beat.look(due, None);
        assert_eq!(beat.due(), None);
    }
}
