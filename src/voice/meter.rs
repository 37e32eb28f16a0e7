//! What the jitter buffer counts and measures.

use std::time::Duration;

/// How the received voice is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Frames that came in time to be played, late ones not counted.
    pub received: u64,
    /// Frames that came after their place had been passed.
    pub late: u64,
    pub duplicate: u64,
    /// Frames longer than allowed.
    pub refused: u64,
    /// Frames that were missing when they were due, and bridged.
    pub concealed: u64,
    /// Frames skipped to bring the delay down.
    pub skipped: u64,
    /// Mean wait of the frames played in the last second.
    pub depth: Duration,
    /// Share (0..1) of the last second's frames that were not there when they were due.
    pub loss: f32,
    /// Interarrival jitter, RFC 3550 section 6.4.1.
    pub jitter: Duration,
}

/// Counters, and sums over the last second in ten parts.
#[derive(Debug)]
pub(super) struct Meter {
    frame: Duration,
    counted: Stats,
    parts: [Part; PARTS],
    /// Number of the part that is being filled, in tenths of a second since the origin of time.
    filling: u64,
    last_pull: Option<Duration>,
    /// Number and moment of the last arrival.
    last_arrival: Option<(u64, Duration)>,
    /// In seconds.
    jitter: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    played: Duration,
    missed: Duration,
    waited: Duration,
    frames: u32,
}

impl Meter {
    pub(super) fn new(frame: Duration) -> Meter {
        Meter {
            frame,
            counted: Stats::default(),
            parts: [Part::default(); PARTS],
            filling: 0,
            last_pull: None,
            last_arrival: None,
            jitter: 0.0,
        }
    }

    /// Arrival times of the stream before are nothing to compare with any more.
    pub(super) fn begin(&mut self) {
        self.last_arrival = None;
    }

    pub(super) fn arrived(&mut self, number: u64, now: Duration) {
        self.counted.received += 1;
        let Some((before, then)) = self.last_arrival.replace((number, now)) else {
            return;
        };
        let sent_apart = (number as i64 - before as i64) as f64 * self.frame.as_secs_f64();
        let came_apart = now.saturating_sub(then).as_secs_f64();
        self.jitter += ((came_apart - sent_apart).abs() - self.jitter) / 16.0;
    }

    pub(super) fn late(&mut self) {
        self.counted.late += 1;
    }

    pub(super) fn duplicate(&mut self) {
        self.counted.duplicate += 1;
    }

    pub(super) fn refused(&mut self) {
        self.counted.refused += 1;
    }

    pub(super) fn skipped(&mut self) {
        self.counted.skipped += 1;
    }

    pub(super) fn play(&mut self, wait: Duration, now: Duration) {
        let frame = self.frame;
        let part = self.part(now);
        part.played += frame;
        part.waited += wait;
        part.frames += 1;
        self.last_pull = Some(now);
    }

    pub(super) fn conceal(&mut self, now: Duration) {
        self.counted.concealed += 1;
        let frame = self.frame;
        self.part(now).missed += frame;
        self.last_pull = Some(now);
    }

    /// `missing`: there should have been something to hear.
    pub(super) fn silence(&mut self, missing: bool, now: Duration) {
        let before = self.last_pull.replace(now).unwrap_or(now);
        if missing {
            let passed = now.saturating_sub(before).min(self.frame);
            self.part(now).missed += passed;
        }
    }

    pub(super) fn stats(&self, now: Duration) -> Stats {
        let oldest = number_of(now).saturating_sub(PARTS as u64 - 1);
        let mut sum = Part::default();
        for (index, part) in self.parts.iter().enumerate() {
            if self.number_at(index) < oldest {
                continue;
            }
            sum.played += part.played;
            sum.missed += part.missed;
            sum.waited += part.waited;
            sum.frames += part.frames;
        }
        let due = sum.played + sum.missed;
        Stats {
            depth: sum.waited.checked_div(sum.frames).unwrap_or_default(),
            loss: if due.is_zero() {
                0.0
            } else {
                sum.missed.as_secs_f32() / due.as_secs_f32()
            },
            jitter: Duration::from_secs_f64(self.jitter),
            ..self.counted
        }
    }

    fn part(&mut self, now: Duration) -> &mut Part {
        let number = number_of(now);
        if number > self.filling {
            let emptied = (number - self.filling).min(PARTS as u64);
            for step in 0..emptied {
                self.parts[((number - step) % PARTS as u64) as usize] = Part::default();
            }
            self.filling = number;
        }
        &mut self.parts[(self.filling % PARTS as u64) as usize]
    }

    /// The number of the tenth of a second whose sums stand at `index`.
    fn number_at(&self, index: usize) -> u64 {
        let parts = PARTS as u64;
        let back = (self.filling + parts - index as u64) % parts;
        self.filling.saturating_sub(back)
    }
}

fn number_of(now: Duration) -> u64 {
    now.as_millis() as u64 / 100
}

const PARTS: usize = 10;
