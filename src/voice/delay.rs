//! How long frames have to wait, learned from when they came.
//!
//! For every frame it is noted from when on it could have been played: its own packet's arrival,
//! or that of the first copy, or of the packet after it when that can repair it. These moments go
//! into a histogram that forgets, and the wait is chosen where waiting longer costs more than it
//! saves: 1 % of the frames being there in time is worth 40 ms (WebRTC's NetEq weighs the same way in
//! `reorder_optimizer.cc`, for reordering only). So the wait covers jitter, and no more than pays.
//!
//! Copies cannot wait until the histogram has learned them, and forgets them between two losses:
//! while enough is lost that copies may bring back, the farthest of them is waited for. That is worth
//! twice as much: a frame that is brought back is sound that was sent, not only a delay that could be
//! shorter (PESQ-WB at 1 % of loss 4.15; 4.04 at the other price, as half of the copies came too late).

use std::time::Duration;

/// Moments are in microseconds, relative to when a frame was sent, on a clock whose zero is
/// anywhere.
#[derive(Debug)]
pub(super) struct Delay {
    /// Share of the frames by delay above `base`, in buckets of [`BUCKET`]; they add up to 1.
    buckets: Box<[f32; BUCKETS]>,
    /// Lower edge of the first bucket.
    base: i64,
    /// How many frames were counted.
    samples: f32,
    recent: [Part; PARTS],
    filling: u64,
    /// The least wait above the fastest frame.
    floor: i64,
    /// Copies are worth their wait.
    is_repairing: bool,
    target: i64,
}

/// What a quarter of a second had.
#[derive(Clone, Copy, Debug)]
struct Part {
    fastest: i64,
    slowest: i64,
    /// Frames by which the newest one has moved on.
    frames: i64,
    /// Those of them that did not come, as far as copies could bring them back.
    missing: i64,
    /// How long after its frame the farthest copy was sent.
    reach: i64,
}

impl Delay {
    pub(super) fn new(floor: Duration) -> Delay {
        Delay {
            buckets: Box::new([0.0; BUCKETS]),
            base: 0,
            samples: 0.0,
            recent: [NOTHING; PARTS],
            filling: 0,
            floor: floor.as_micros() as i64,
            is_repairing: false,
            target: 0,
        }
    }

    /// Forgets the line that was.
    pub(super) fn restart(&mut self) {
        *self.buckets = [0.0; BUCKETS];
        self.samples = 0.0;
        self.recent = [NOTHING; PARTS];
        self.is_repairing = false;
    }

    /// A packet has come that is `ahead` frames of `frame` microseconds after the newest one before.
    /// One that was overtaken is no longer missing.
    pub(super) fn moved_on(&mut self, ahead: i64, frame: i64, now: Duration) {
        let reach = self.reach() / frame;
        let part = self.part(now);
        part.frames += ahead.max(0);
        part.missing += match ahead {
            ..0 => -1,
            _ => (ahead - 1).clamp(0, reach),
        };
        let sum = |of: fn(&Part) -> i64| self.recent.iter().map(of).sum::<i64>();
        let (frames, missing) = (sum(|part| part.frames), sum(|part| part.missing));
        let worth = 2.0 * PRICE * missing as f32 / frames.max(FEW) as f32;
        // What is given back has to be learned again: rather not.
        let price = self.reach() as f32 * if self.is_repairing { 0.5 } else { 1.0 };
        self.is_repairing = missing > 0 && worth >= price;
    }

    /// A copy has come that was sent so many microseconds after its frame.
    pub(super) fn copied(&mut self, after: i64, now: Duration) {
        if after <= MOST {
            let part = self.part(now);
            part.reach = part.reach.max(after);
        }
    }

    /// A frame's own packet has come.
    pub(super) fn arrived(&mut self, at: i64, now: Duration) {
        let part = self.part(now);
        part.fastest = part.fastest.min(at);
    }

    /// A frame could be played from `at` on, by whatever means; it counts as `share` of one.
    pub(super) fn available(&mut self, at: i64, share: f32, now: Duration) {
        let fastest = self.extreme(|part| part.fastest).min().unwrap_or(at);
        self.rebase(fastest);
        // No wait would be long enough: the line stood still.
        if at - self.base > MOST {
            return;
        }
        let part = self.part(now);
        part.slowest = part.slowest.max(at);
        self.samples += share;
        let weight = (share / self.samples).max(share * NEW).min(1.0);
        for bucket in self.buckets.iter_mut() {
            *bucket *= 1.0 - weight;
        }
        let index = (at - self.base).div_euclid(BUCKET);
        self.buckets[index.clamp(0, BUCKETS as i64 - 1) as usize] += weight;
        self.target = self.best();
    }

    /// When frames should be played, after the moment they were sent.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// How long the fastest frames wait for that.
    pub(super) fn wait(&self) -> Duration {
        micros(self.target - self.fastest())
    }

    /// A little later than the slowest frame of late, after the moment it was sent.
    pub(super) fn slowest(&self) -> i64 {
        self.slowest_of_late()
            .map_or(self.target, |slowest| slowest + BUCKET / 2)
    }

    /// Enough frames have come to judge the line by: few if they come as evenly as they were sent.
    pub(super) fn is_known(&self) -> bool {
        let slowest = self.slowest_of_late();
        let is_even = slowest.is_some_and(|slowest| slowest - self.fastest() < EVEN);
        self.samples >= if is_even { KNOWN } else { KNOWN_UNEVEN }
    }

    /// The wait that 95 % of the frames would need.
    pub(super) fn quantile(&self) -> Duration {
        micros(self.within(0.95))
    }

    /// The delay above `base` that a share of the frames do not exceed.
    fn within(&self, share: f32) -> i64 {
        let mut sum = 0.0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            if sum + bucket >= share {
                let part = (share - sum) / bucket;
                return ((index as f32 + part) * BUCKET as f32) as i64;
            }
            sum += bucket;
        }
        BUCKETS as i64 * BUCKET
    }

    /// The wait that jitter in the shape of a bell needs, by its width: that is known sooner than
    /// its rare slow frames are, and changes less.
    fn bell(&self) -> i64 {
        let width = (self.within(0.84) - self.within(0.16)) / 2;
        self.within(0.5) + width * BELL / 10
    }

    /// The cheapest wait, bounded by twice that of the slowest frame of late: that is what makes the delay come
    /// down soon after a trouble, which the histogram remembers for longer.
    fn best(&self) -> i64 {
        let mut late = 0.0;
        let mut best = (f32::MAX, 0);
        for index in (0..BUCKETS).rev() {
            let wait = (index as i64 + 1) * BUCKET;
            let cost = wait as f32 + PRICE * late;
            if wait <= MOST && cost < best.0 {
                best = (cost, wait);
            }
            late += self.buckets[index];
        }
        let slowest = self.slowest_of_late();
        let wanted = self.base + best.1.max(self.bell().min(MOST));
        let fastest = self.fastest();
        let needed = slowest.map_or(wanted, |slowest| wanted.min(slowest + (slowest - fastest)));
        let least = if self.is_known() { 0 } else { START };
        let needed = needed.max(fastest + self.floor.max(least));
        match self.reach() {
            reach @ 1.. if self.is_repairing => {
                let copies = self.within(0.5) + BUCKET + reach;
                needed.max(self.base + copies.min(MOST))
            }
            _ => needed,
        }
    }

    /// How long after its frame the farthest copy of late was sent, in microseconds.
    fn reach(&self) -> i64 {
        let reaches = self.recent.iter().map(|part| part.reach);
        reaches.max().unwrap_or(0)
    }

    fn slowest_of_late(&self) -> Option<i64> {
        self.extreme(|part| part.slowest).max()
    }

    fn fastest(&self) -> i64 {
        self.extreme(|part| part.fastest).min().unwrap_or(self.base)
    }

    /// Moves the buckets so that they begin with the fastest frame and stay where they are in time.
    fn rebase(&mut self, fastest: i64) {
        let base = fastest.div_euclid(BUCKET) * BUCKET;
        let shift = (base - self.base) / BUCKET;
        self.base = base;
        if self.samples == 0.0 || shift == 0 {
            return;
        }
        let steps = shift.unsigned_abs().min(BUCKETS as u64) as usize;
        let last = BUCKETS - 1;
        if shift > 0 {
            let faster: f32 = self.buckets[..steps].iter().sum();
            self.buckets.copy_within(steps.., 0);
            self.buckets[BUCKETS - steps..].fill(0.0);
            self.buckets[0] += faster;
        } else {
            let slower: f32 = self.buckets[BUCKETS - steps..].iter().sum();
            self.buckets.copy_within(..BUCKETS - steps, steps);
            self.buckets[..steps].fill(0.0);
            self.buckets[last] += slower;
        }
    }

    /// What the parts of the last seconds know.
    fn extreme(&self, of: impl Fn(&Part) -> i64) -> impl Iterator<Item = i64> {
        let known = |value: &i64| *value != i64::MAX && *value != i64::MIN;
        self.recent.iter().map(of).filter(known)
    }

    fn part(&mut self, now: Duration) -> &mut Part {
        let number = (now.as_micros() / PART.as_micros()) as u64;
        if number > self.filling {
            let passed = (number - self.filling).min(PARTS as u64);
            for step in 0..passed {
                self.recent[((number - step) % PARTS as u64) as usize] = NOTHING;
            }
            self.filling = number;
        }
        &mut self.recent[(self.filling % PARTS as u64) as usize]
    }
}

fn micros(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or(0))
}

/// Width of a bucket, in microseconds.
const BUCKET: i64 = 2_500;

/// They reach 320 ms far; the last one holds all that is slower.
const BUCKETS: usize = 128;

/// No wait is longer than this, in microseconds.
const MOST: i64 = 300_000;

/// What a frame that is not there is worth, in microseconds of waiting.
const PRICE: f32 = 4_000_000.0;

/// What frames wait before the line is known, in microseconds ...
const START: i64 = 10_000;

/// ... which is after so many of them if they come within so many microseconds, ...
const KNOWN: f32 = 10.0;
const EVEN: i64 = 5_000;

/// ... and after two seconds of them otherwise.
const KNOWN_UNEVEN: f32 = 100.0;

/// How many tenths of a bell's width above its middle frames are played: 0.2 % come later.
const BELL: i64 = 29;

/// Weight of the newest frame: half of what is known is older than 3.5 s.
const NEW: f32 = 0.004;

const NOTHING: Part = Part {
    fastest: i64::MAX,
    slowest: i64::MIN,
    frames: 0,
    missing: 0,
    reach: 0,
};

/// So few frames say too little about how many are lost: two seconds of them.
const FEW: i64 = 100;

/// "Of late" are 12 quarters of a second.
const PARTS: usize = 12;
const PART: Duration = Duration::from_millis(250);
