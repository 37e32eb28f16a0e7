//! Searches the microphone for the loudspeaker's sound, whatever else is in there.
//!
//! An echo comes back at one and the same distance in time, a voice that only resembles the far one
//! does not. So the two are correlated at every distance up to half a second, over the last seconds
//! of far speech, with their spectra flattened first: else the likeness of any two voices would
//! outweigh the echo (generalised cross-correlation; Knapp and Carter 1976). What counts is by how
//! much the best distance stands out from all others. Two people who speak all the time without an
//! echo stay under 7 standard deviations, an echo alone is over 15 within a second, and one 20 dB
//! under the near voice is over 8 in two.
//!
//! That is one spectrum of each side every 32 ms and a sum, a tenth of a canceller's work, and only
//! while the far side speaks.

use std::time::Duration;

use crate::audio::clean::level::power;
use crate::audio::clean::side::{BLOCK, Side};
use crate::audio::clean::transform::Transform;

/// So many samples as a time.
pub(super) fn duration(samples: usize) -> Duration {
    Duration::from_micros(samples as u64 * 1_000_000 / 16_000)
}

/// The sums over the last seconds.
#[derive(Debug)]
pub(super) struct Search {
    forth: Transform,
    back: Transform,
    far: Side,
    near: Side,
    /// The last far blocks, each with the one before, flattened; the newest is at `newest`.
    spectra: Vec<Bins>,
    /// The power of each, 0 where there was no speech.
    powers: [f32; PARTS],
    was_loud: bool,
    rests: bool,
    newest: usize,
    /// For each 32 ms of distance.
    sums: Vec<Sum>,
    /// Blocks since the last look.
    due: u32,
    /// Blocks since it was last seen to that neither side runs away from the other.
    watched: u32,
}

/// What stands out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// In standard deviations over all distances.
    pub(super) strength: f32,
    /// The distance: samples from the far sound to its echo.
    pub(super) lag: usize,
}

impl Search {
    pub(super) fn new() -> Search {
        Search {
            forth: Transform::new(2 * BLOCK),
            back: Transform::new(BLOCK),
            far: Side::new(),
            near: Side::new(),
            spectra: vec![[0.0; BLOCK]; PARTS],
            powers: [0.0; PARTS],
            was_loud: false,
            rests: false,
            newest: 0,
            sums: vec![Sum::NONE; PARTS],
            due: 0,
            watched: 0,
        }
    }

    /// What goes to the loudspeaker next, at 16 kHz.
    pub(super) fn far(&mut self, sound: &[f32]) {
        // What was played before anything was recorded is older than any echo.
        if self.near.has_begun() {
            self.far.push(sound);
        }
    }

    /// What was recorded next. Says now and then, while the far side speaks, what stands out. With
    /// `rests` it only keeps the two sides together, and begins anew afterwards.
    pub(super) fn near(&mut self, sound: &[f32], rests: bool) -> Option<Likeness> {
        if rests && !self.rests {
            self.forget();
        }
        self.rests = rests;
        self.near.push(sound);
        if !self.far.has_begun() {
            self.near.keep(JITTER);
            return None;
        }
        let mut found = None;
        while self.near.has_block() && self.far.has_block() {
            found = self.block().or(found);
            self.watch();
        }
        if self.near.is_full() || self.far.is_full() {
            // One side stands still: they are brought together again when both go on.
            self.restart();
        }
        found
    }

    fn restart(&mut self) {
        self.far.restart();
        self.near.restart();
        self.forget();
    }

    fn forget(&mut self) {
        self.powers = [0.0; PARTS];
        self.sums.fill(Sum::NONE);
    }

    fn block(&mut self) -> Option<Likeness> {
        self.newest = (self.newest + PARTS - 1) % PARTS;
        let far = self.far.take();
        let is_loud = power(&far[BLOCK..]) > SPEECH * BLOCK as f32;
        let mut near = self.near.take();
        // An echo may come of this block and of the one before.
        let is_worth = is_loud | std::mem::replace(&mut self.was_loud, is_loud);
        self.powers[self.newest] = 0.0;
        if is_worth && !self.rests {
            let bins = flat(self.forth.forth(&far), |power| power.sqrt().sqrt());
            self.powers[self.newest] = power(&bins);
            self.spectra[self.newest] = bins;
        }
        if self.powers.iter().all(|power| *power == 0.0) {
            return None;
        }
        near[..BLOCK].fill(0.0);
        let is_silent = power(&near) == 0.0;
        let near = flat(self.forth.forth(&near), f32::sqrt);
        for (part, sum) in self.sums.iter_mut().enumerate() {
            let at = (self.newest + part) % PARTS;
            let power = if is_silent { 0.0 } else { self.powers[at] };
            sum.add(&self.spectra[at], power, &near);
        }
        self.due += 1;
        (self.due >= LOOK_EVERY).then(|| self.look())
    }

    fn look(&mut self) -> Likeness {
        self.due = 0;
        let (mut best, mut power, mut count) = (0.0f32, 0.0f32, 0.0f32);
        let mut lag = 0;
        for (part, sum) in self.sums.iter().enumerate() {
            if sum.blocks < ENOUGH {
                continue;
            }
            let likeness = self.back.back(&sum.bins);
            // The second half is that of negative distances.
            for (at, value) in likeness[..BLOCK / 2].iter().enumerate() {
                let value = value * value / sum.expected;
                power += value;
                if value > best {
                    best = value;
                    lag = part * BLOCK + at * 2;
                }
            }
            count += (BLOCK / 2) as f32;
        }
        let strength = (best * count / power.max(f32::MIN_POSITIVE)).sqrt();
        Likeness { strength, lag }
    }

    /// Neither side may wait for the other for long, or the distance leaves what is searched.
    fn watch(&mut self) {
        self.watched += 1;
        self.far.note();
        self.near.note();
        if self.watched < WATCH_EVERY {
            return;
        }
        self.watched = 0;
        if self.far.catch_up() | self.near.catch_up() {
            self.forget();
        }
    }
}

/// Half a spectrum up to 4 kHz, real and imaginary parts in turns.
type Bins = [f32; BLOCK];

/// A spectrum up to 4 kHz, each bin divided by this of its power: the root leaves the phase alone.
fn flat(spectrum: &[f32], of: impl Fn(f32) -> f32) -> Bins {
    let mut bins = [0.0; BLOCK];
    let pairs = spectrum.as_chunks::<2>().0.iter();
    for (to, from) in bins
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(pairs)
        .skip(LOWEST)
    {
        let whole = from[0] * from[0] + from[1] * from[1] + FAINTEST;
        let scale = of(whole);
        *to = [from[0] / scale, from[1] / scale];
    }
    bins
}

/// What was seen so far at 32 ms of distances.
#[derive(Clone, Debug)]
struct Sum {
    /// The cross spectrum.
    bins: Bins,
    /// Its power if the two sides had nothing to do with each other.
    expected: f32,
    /// Blocks of far speech in it.
    blocks: f32,
}

impl Sum {
    const NONE: Sum = Sum {
        bins: [0.0; BLOCK],
        expected: 0.0,
        blocks: 0.0,
    };

    /// Takes one more block in and lets the old ones fade.
    fn add(&mut self, far: &Bins, power: f32, near: &Bins) {
        self.blocks *= KEPT;
        self.expected *= KEPT * KEPT;
        if power == 0.0 {
            self.bins.iter_mut().for_each(|value| *value *= KEPT);
            return;
        }
        self.blocks += 1.0;
        self.expected += power;
        let sounds = far.as_chunks::<2>().0.iter().zip(near.as_chunks::<2>().0);
        for (sum, (far, near)) in self.bins.as_chunks_mut::<2>().0.iter_mut().zip(sounds) {
            sum[0] = sum[0] * KEPT + far[0] * near[0] + far[1] * near[1];
            sum[1] = sum[1] * KEPT + far[0] * near[1] - far[1] * near[0];
        }
    }
}

/// Blocks of distance: half a second.
const PARTS: usize = 16;

/// What the sums keep of themselves from block to block: two seconds.
const KEPT: f32 = 0.984;

/// Blocks of far speech before a distance says anything: 0.4 seconds.
const ENOUGH: f32 = 12.0;

/// Blocks between two looks: 160 ms.
const LOOK_EVERY: u32 = 5;

/// A mean square from which on a block of the far side counts as speech: -50 dB, and 10 less behind
/// the pre-emphasis.
const SPEECH: f32 = 1e-6;

/// Bins that are left out below, where hum is at home: 100 Hz.
const LOWEST: usize = 6;

/// Power of a bin that is nothing: that of the last bit of 16.
const FAINTEST: f32 = 1e-7;

/// Samples recorded before the first of the far side that are kept: one frame, for its echo may be in
/// the next.
const JITTER: usize = 320;

/// Blocks between two looks at what waits: one second.
const WATCH_EVERY: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise from a small generator (Numerical Recipes).
    struct Noise(u32);

    impl Noise {
        fn frame(&mut self, peak: f32) -> [f32; 320] {
            std::array::from_fn(|_| {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0) * peak
            })
        }
    }

    /// Three seconds of noise for the loudspeaker, its echo this many samples (a multiple of the
    /// frame) later and this strong, and other noise; what was found last.
    fn search(late: usize, echo: f32, own: f32) -> Likeness {
        let mut search = Search::new();
        let (mut there, mut here) = (Noise(1), Noise(2));
        let mut on_the_way = vec![[0.0; 320]; late / 320];
        let mut found = None;
        for _ in 0..150 {
            let far = there.frame(0.1);
            on_the_way.push(far);
            search.far(&far);
            let heard = on_the_way.remove(0);
            let own = here.frame(own);
            let near: [f32; 320] = std::array::from_fn(|i| heard[i] * echo + own[i]);
            found = search.near(&near, false).or(found);
        }
        found.expect("it looks every 160 ms")
    }

    #[test]
    fn an_echo_far_under_the_near_sound_is_found_where_it_is() {
        for late in [0, 640, 1600, 3200, 7040] {
            let found = search(late, 1.0, 1.0);
            // Before the first frame was recorded, one of the far side was not taken.
            let lag = late.abs_diff(found.lag);
            assert!(found.strength > 9.0 && lag <= 322, "{late}: {found:?}");
        }
    }

    #[test]
    fn without_one_nothing_stands_out() {
        for late in [0, 1600] {
            let found = search(late, 0.0, 0.3);
            assert!(found.strength < 6.0, "{found:?}");
        }
    }

    #[test]
    fn a_side_that_stood_still_is_brought_back_to_the_other() {
        let mut search = Search::new();
        let mut noise = Noise(1);
        let mut found = None;
        for frame in 0..500 {
            let sound = noise.frame(0.1);
            search.far(&sound);
            // The microphone is away for a second, and later the loudspeaker for a fifth of one.
            if !(100..150).contains(&frame) {
                found = search.near(&sound, false).or(found.take());
            }
            if (250..260).contains(&frame) {
                search.near(&sound, false);
            }
        }
        let found = found.expect("it looks every 160 ms");
        assert!(found.strength > 10.0, "{found:?}");
    }

    #[test]
    fn silence_and_rest_say_nothing() {
        let mut search = Search::new();
        let mut noise = Noise(1);
        for _ in 0..100 {
            search.far(&[0.0; 320]);
            assert_eq!(search.near(&noise.frame(0.1), false), None);
        }
        for _ in 0..100 {
            let sound = noise.frame(0.1);
            search.far(&sound);
            assert_eq!(search.near(&sound, true), None);
        }
    }
}
