//! Between 48 kHz, at which sound travels through the program, and 16 kHz, at which it is cleaned.
//!
//! A third of the rate is a third of the work, and the codec sends no more than 8 kHz of band
//! anyway. A plain polyphase filter does this at a tenth of the cost of a resampler for any ratio.

use std::f64::consts::PI;

use sonora_simd::{SimdBackend, detect_backend};

/// From 48 to 16 kHz.
#[derive(Debug)]
pub(super) struct Down {
    vectors: SimdBackend,
    taps: [f32; TAPS],
    /// The last samples of the previous turn, then those of this one.
    line: Vec<f32>,
}

impl Down {
    /// For turns of at most `most` samples (of 48 kHz).
    pub(super) fn new(most: usize) -> Down {
        Down {
            vectors: detect_backend(),
            taps: low_pass(),
            line: vec![0.0; TAPS + most],
        }
    }

    /// Fills `slow` from three times as many samples of `fast`.
    pub(super) fn turn(&mut self, fast: &[f32], slow: &mut [f32]) {
        let held = TAPS + fast.len();
        self.line[TAPS..held].copy_from_slice(fast);
        for (sample, window) in slow.iter_mut().zip(self.line[3..].windows(TAPS).step_by(3)) {
            *sample = self.vectors.dot_product(window, &self.taps);
        }
        self.line.copy_within(held - TAPS..held, 0);
    }
}

/// From 16 to 48 kHz.
#[derive(Debug)]
pub(super) struct Up {
    vectors: SimdBackend,
    /// The filter's every third tap, from each of the first three on.
    phases: [[f32; PHASE]; 3],
    line: Vec<f32>,
}

impl Up {
    /// For turns of at most `most` samples (of 16 kHz).
    pub(super) fn new(most: usize) -> Up {
        let taps = low_pass();
        // The filter is symmetric, so it needs not be turned round.
        let phases = [2, 1, 0].map(|first| {
            let mut phase = [0.0; PHASE];
            let every_third = taps.iter().skip(first).step_by(3);
            for (tap, value) in phase.iter_mut().zip(every_third) {
                *tap = value * 3.0;
            }
            phase
        });
        Up {
            vectors: detect_backend(),
            phases,
            line: vec![0.0; PHASE + most],
        }
    }

    /// Fills `fast` from a third as many samples of `slow`.
    pub(super) fn turn(&mut self, slow: &[f32], fast: &mut [f32]) {
        let held = PHASE + slow.len();
        self.line[PHASE..held].copy_from_slice(slow);
        let windows = self.line[1..].windows(PHASE);
        for (three, window) in fast.chunks_exact_mut(3).zip(windows) {
            for (sample, phase) in three.iter_mut().zip(&self.phases) {
                *sample = self.vectors.dot_product(window, phase);
            }
        }
        self.line.copy_within(held - PHASE..held, 0);
    }
}

/// A windowed sinc (Kaiser's window) that lets pass up to 7 kHz and stops from 8.7 kHz on, at 48 kHz.
fn low_pass() -> [f32; TAPS] {
    let middle = (TAPS - 1) as f64 / 2.0;
    let cut = CUT_HZ / 48_000.0 * 2.0;
    let mut taps = [0.0f64; TAPS];
    for (at, tap) in taps.iter_mut().enumerate() {
        let x = at as f64 - middle;
        let sinc = (PI * x * cut).sin() / (PI * x * cut);
        let r = x / (middle + 1.0);
        *tap = sinc * bessel(BETA * (1.0 - r * r).sqrt());
    }
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
}

/// The modified Bessel function of the first kind and order zero.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum += term;
    }
    sum
}

/// Length of the filter in samples of 48 kHz; half of it is the delay each way (1.5 ms). A multiple
/// of 24, so that each phase is a multiple of eight, as vectors are.
const TAPS: usize = 144;

const PHASE: usize = TAPS / 3;

const CUT_HZ: f64 = 7_850.0;

/// Kaiser's parameter: 70 dB of stop band.
const BETA: f64 = 6.76;

#[cfg(test)]
mod tests {
    use super::*;

    /// Peak of a tone of amplitude 0.5 after 48 -> 16 -> 48 kHz, once the filters are filled.
    fn peak_of(hertz: f32) -> f32 {
        let (mut down, mut up) = (Down::new(960), Up::new(320));
        let mut peak = 0.0f32;
        for turn in 0..20 {
            let mut fast: [f32; 960] = std::array::from_fn(|i| {
                let t = (turn * 960 + i) as f32 / 48_000.0;
                0.5 * (t * hertz * std::f32::consts::TAU).sin()
            });
            let mut slow = [0.0; 320];
            down.turn(&fast, &mut slow);
            up.turn(&slow, &mut fast);
            if turn > 2 {
                peak = fast.iter().fold(peak, |peak, s| peak.max(s.abs()));
            }
        }
        peak
    }

    #[test]
    fn speech_passes_and_what_is_above_does_not() {
        for hertz in [100.0, 1000.0, 3000.0, 6500.0] {
            let peak = peak_of(hertz);
            assert!((0.49..0.51).contains(&peak), "{hertz} Hz: {peak}");
        }
        for hertz in [9_000.0, 12_000.0, 20_000.0] {
            let peak = peak_of(hertz);
            assert!(peak < 0.001, "{hertz} Hz: {peak}");
        }
    }

    #[test]
    fn turns_of_any_length_give_the_same_sound() {
        let fast: Vec<f32> = (0..9600).map(|i| (i as f32 * 0.07).sin()).collect();
        let whole = |step: usize| {
            let mut down = Down::new(960);
            let mut slow = vec![0.0; 3200];
            for (fast, slow) in fast.chunks(step * 3).zip(slow.chunks_mut(step)) {
                down.turn(fast, slow);
            }
            slow
        };
        assert_eq!(whole(320), whole(160));
    }
}
