//! Noise suppression by WebRTC's suppressor in its Rust port, the crate `sonora-ns`; the only file
//! that knows it. With it goes a high-pass filter: noise is at home down there.
//!
//! Both cost quality where there is nothing to suppress (PESQ of clean speech 2.6 to 4.1 behind the
//! suppressor, 4.1 behind the filter, 4.64 without), so they work only while the noise between the
//! words is loud enough to be worse than that.

use sonora_ns::config::SuppressionLevel;
use sonora_ns::noise_suppressor::NoiseSuppressor;

use crate::audio::clean::cleaner::FRAME;
use crate::audio::clean::fade::Fade;

/// Suppressor and its switch.
#[derive(Debug)]
pub(super) struct Noise {
    inner: NoiseSuppressor,
    rumble: HighPass,
    fade: Fade,
    /// Frames for which the other state would have been right.
    against: u32,
    is_noisy: bool,
}

impl Noise {
    pub(super) fn new() -> Noise {
        Noise {
            inner: NoiseSuppressor::with_level(SuppressionLevel::K12dB),
            rumble: HighPass::new(),
            fade: Fade::off(),
            against: 0,
            is_noisy: false,
        }
    }

    /// True while there is noise to suppress.
    pub(super) fn is_noisy(&self) -> bool {
        self.is_noisy
    }

    /// Works on the next 20 ms, given the noise floor in dB if it is known.
    pub(super) fn turn(&mut self, frame: &mut [f32; FRAME], floor: Option<f32>) {
        self.decide(floor);
        if floor.is_some_and(|floor| floor < FAR_FROM_NOISY) && !self.is_noisy && !self.fade.is_on()
        {
            return;
        }
        let mut quiet = *frame;
        self.rumble.turn(&mut quiet);
        for block in quiet.as_chunks_mut::<BLOCK>().0 {
            block.iter_mut().for_each(|sample| *sample *= FULL);
            // Before it is needed: what it knows of the noise then decides how good it is.
            self.inner.analyze(block);
            if self.is_noisy || self.fade.is_on() {
                self.inner.process(block);
            }
            block.iter_mut().for_each(|sample| *sample /= FULL);
        }
        self.fade.mix(frame, &quiet, self.is_noisy);
    }

    fn decide(&mut self, floor: Option<f32>) {
        let Some(floor) = floor else {
            return;
        };
        let (is_against, patience) = match self.is_noisy {
            false => (floor > NOISY, SURE_OF_NOISE),
            true => (floor < QUIET, SURE_OF_QUIET),
        };
        self.against = if is_against { self.against + 1 } else { 0 };
        if self.against >= patience {
            self.is_noisy = !self.is_noisy;
            self.against = 0;
        }
    }
}

/// A Butterworth filter of second order at 80 Hz, by the bilinear transform.
#[derive(Debug)]
struct HighPass {
    past: [f32; 2],
}

impl HighPass {
    fn new() -> HighPass {
        HighPass { past: [0.0; 2] }
    }

    fn turn(&mut self, sound: &mut [f32]) {
        let [mut p, mut q] = self.past;
        for sample in sound {
            let input = *sample;
            let output = B0 * input + p;
            p = -2.0 * B0 * input - A1 * output + q;
            q = B0 * input - A2 * output;
            *sample = output;
        }
        self.past = [p, q];
    }
}

const BLOCK: usize = FRAME / 2;

/// The suppressor counts in 16 bits.
const FULL: f32 = 32_768.0;

/// In dB under full scale: noise from here on is suppressed, and left alone again from here down.
const NOISY: f32 = -62.0;
const QUIET: f32 = -67.0;

/// Noise below this is not even looked at; that above it is known by the time it counts as noise.
const FAR_FROM_NOISY: f32 = -68.0;

/// Frames: one second, ten seconds.
const SURE_OF_NOISE: u32 = 50;
const SURE_OF_QUIET: u32 = 500;

// tan(pi 80 / 16000) = 0.015709, and from it b0 = 1 / (1 + sqrt(2) k + k^2) and so on.
const B0: f32 = 0.978_030_5;
const A1: f32 = -1.955_578_2;
const A2: f32 = 0.956_543_7;
