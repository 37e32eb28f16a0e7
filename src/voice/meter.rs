//! What the jitter buffer counts and measures.

use std::time::Duration;

/// How the received voice is doing: counts since the start, and measures of the last second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Frames whose own packet came before their place had been passed.
    pub received: u64,
    /// Frames whose own packet came after that.
    pub late: u64,
    pub duplicate: u64,
    /// Frames longer than allowed.
    pub refused: u64,
    /// Frames that were missing when they were due, and bridged, in whole or half: time counts.
    pub concealed: u64,
    /// Frames played from a copy in a later packet.
    pub copied: u64,
    /// Frames decoded from the repair that the next packet carries in-band.
    pub recovered: u64,
    /// Frames skipped to bring the delay down at once.
    pub skipped: u64,
    /// Sound that was added or taken out to change the delay.
    pub stretched: Duration,
    /// How often that was done where it may be heard.
    pub rough: u64,
    /// Mean wait of the frames played in the last second.
    pub depth: Duration,
    /// How long the fastest frames should wait.
    pub target: Duration,
    /// The wait by which 95 % of the frames of the last seconds were there, by whatever means.
    pub quantile: Duration,
    /// Share (0..1) of the last second's frames that were not there when they were due.
    pub loss: f32,
    /// The same before any repair: their own packet was not there.
    pub lost: f32,
    /// Mean length of the runs of such frames, over the last dozen runs; 0 before the first.
    pub burst: f32,
    /// How many frames the farthest copy of the last second came after its frame.
    pub reach: u8,
    /// Interarrival jitter, RFC 3550 section 6.4.1.
    pub jitter: Duration,
}

/// How a frame's place was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Own,
    Copied,
    Recovered,
    Concealed,
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
    /// Frames without a packet of their own in a row, so far.
    run: u32,
    burst: f32,
    /// Halves of frames.
    bridged: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    played: Duration,
    missed: Duration,
    waited: Duration,
    frames: u32,
    without_own: u32,
    with_own: u32,
    reach: u8,
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
            run: 0,
            burst: 0.0,
            bridged: 0,
        }
    }

    /// Arrival times of the stream before are nothing to compare with any more.
    pub(super) fn begin(&mut self) {
        self.last_arrival = None;
        self.run = 0;
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

    pub(super) fn copy(&mut self, back: u8, now: Duration) {
        let part = self.part(now);
        part.reach = part.reach.max(back);
    }

    pub(super) fn stretched(&mut self, by: Duration, is_rough: bool) {
        self.counted.stretched += by;
        self.counted.rough += u64::from(is_rough);
    }

    /// A frame's place has been filled (bridges are counted apart); `wait` is how long it had waited, if it was here.
    pub(super) fn fill(&mut self, how: Filled, wait: Option<Duration>, now: Duration) {
        match how {
            Filled::Own | Filled::Concealed => {}
            Filled::Copied => self.counted.copied += 1,
            Filled::Recovered => self.counted.recovered += 1,
        }
        self.count_run(how == Filled::Own);
        let frame = self.frame;
        let part = self.part(now);
        if how == Filled::Own {
            part.with_own += 1;
        } else {
            part.without_own += 1;
        }
        if how != Filled::Concealed {
            part.played += frame;
        }
        if let Some(wait) = wait {
            part.waited += wait;
            part.frames += 1;
        }
        self.last_pull = Some(now);
    }

    /// Half a frame was bridged.
    pub(super) fn bridge(&mut self, now: Duration) {
        self.bridged += 1;
        self.counted.concealed = self.bridged.div_ceil(2);
        let half = self.frame / 2;
        self.part(now).missed += half;
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
            sum.with_own += part.with_own;
            sum.without_own += part.without_own;
            sum.reach = sum.reach.max(part.reach);
        }
        let due = sum.played + sum.missed;
        Stats {
            depth: sum.waited.checked_div(sum.frames).unwrap_or_default(),
            loss: share(sum.missed.as_secs_f32(), due.as_secs_f32()),
            lost: share(
                sum.without_own as f32,
                (sum.with_own + sum.without_own) as f32,
            ),
            burst: self.burst,
            reach: sum.reach,
            jitter: Duration::from_secs_f64(self.jitter),
            ..self.counted
        }
    }

    fn count_run(&mut self, ends: bool) {
        if !ends {
            self.run += 1;
            return;
        }
        let run = std::mem::take(&mut self.run) as f32;
        match run {
            0.0 => {}
            _ if self.burst == 0.0 => self.burst = run,
            _ => self.burst += (run - self.burst) / RUNS,
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

fn share(part: f32, whole: f32) -> f32 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn number_of(now: Duration) -> u64 {
    now.as_millis() as u64 / 100
}

const PARTS: usize = 10;

/// Runs of lost frames that [`Stats::burst`] remembers.
const RUNS: f32 = 12.0;
