//! Something like speech, and how much of it arrived.

use std::f32::consts::TAU;
use std::path::Path;

/// Samples a second, everywhere.
pub const RATE: usize = 48_000;

/// A voiced sound with a wandering pitch, in syllables with pauses between them. Different `seed`s
/// say different things.
pub fn speech(seconds: f32, seed: u32) -> Vec<i16> {
    let mut noise = Noise(seed);
    let mut phase = 0.0_f32;
    let mut samples = Vec::new();
    while samples.len() < (seconds * RATE as f32) as usize {
        let length = noise.between(0.08, 0.25);
        let pitch = noise.between(95.0, 210.0);
        let bright = noise.between(0.2, 0.9);
        let loud = noise.between(0.3, 1.0);
        let count = (length * RATE as f32) as usize;
        for index in 0..count {
            let at = index as f32 / count as f32;
            let envelope = (std::f32::consts::PI * at).sin().powi(2) * loud;
            phase = (phase + (pitch * (1.0 + 0.15 * at)) / RATE as f32).fract();
            samples.push((envelope * voiced(phase, bright) * 9000.0) as i16);
        }
        let pause = noise.between(0.02, 0.15);
        samples.extend(std::iter::repeat_n(0, (pause * RATE as f32) as usize));
    }
    samples.truncate((seconds * RATE as f32) as usize);
    samples
}

fn voiced(phase: f32, bright: f32) -> f32 {
    let harmonics = (1_u8..=12).map(|number| {
        let number = f32::from(number);
        (TAU * phase * number).sin() * bright.powf(number - 1.0)
    });
    harmonics.sum()
}

pub fn write(path: &Path, samples: &[i16]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(path, spec).expect("a file");
    for &sample in samples {
        file.write_sample(sample).expect("written");
    }
    file.finalize().expect("written");
}

pub fn read(path: &Path) -> Vec<i16> {
    let mut file = hound::WavReader::open(path).expect("a sound file");
    assert_eq!(file.spec().sample_rate as usize, RATE);
    file.samples()
        .map(|sample| sample.expect("a sample"))
        .collect()
}

/// How well `heard` holds what was said, and how late.
#[derive(Clone, Copy, Debug)]
pub struct Match {
    /// 1 is the same wave, 0 has nothing to do with it.
    pub likeness: f32,
    pub delay_ms: f32,
}

/// Compares a stretch of `said`, from `from` seconds for `length` seconds, with `heard` at every
/// delay up to half a second (either way): normalised cross-correlation, first at a sixth of the
/// rate, then to the sample.
pub fn compare(said: &[i16], heard: &[i16], from: f32, length: f32) -> Match {
    let (said_low, heard_low) = (lower(said), lower(heard));
    let seconds = |seconds: f32, rate: usize| (seconds * rate as f32) as isize;
    let low = RATE / STEP;
    let (start, count) = (seconds(from, low), seconds(length, low));
    let reach = seconds(0.5, low);
    let rough = best(&said_low, &heard_low, start, count, -reach..=reach);
    let (start, count) = (seconds(from, RATE), seconds(length, RATE));
    let middle = rough.0 * STEP as isize;
    let near = 2 * STEP as isize;
    let (said, heard) = (floats(said), floats(heard));
    let (lag, likeness) = best(&said, &heard, start, count, middle - near..=middle + near);
    Match {
        likeness,
        delay_ms: lag as f32 * 1000.0 / RATE as f32,
    }
}

/// The middle likeness and delay of stretches of 0.6 s all over what was said. A delay that changes
/// on the way, as it does on a busy computer, spoils only the stretch in which it does.
pub fn compare_in_parts(said: &[i16], heard: &[i16]) -> Match {
    let parts = (1..7_u8).map(|part| compare(said, heard, f32::from(part) * 0.6, 0.6));
    let mut parts: Vec<Match> = parts.collect();
    parts.sort_by(|one, two| one.likeness.total_cmp(&two.likeness));
    parts[parts.len() / 2]
}

/// The index of the first sample that is louder than silence and codec noise.
pub fn onset(samples: &[i16]) -> Option<usize> {
    samples
        .iter()
        .position(|sample| sample.unsigned_abs() > 300)
}

const STEP: usize = 6;

fn lower(samples: &[i16]) -> Vec<f32> {
    let mean = |chunk: &[i16]| chunk.iter().map(|&s| f32::from(s)).sum::<f32>() / STEP as f32;
    samples.chunks(STEP).map(mean).collect()
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|&sample| f32::from(sample)).collect()
}

fn best(
    said: &[f32],
    heard: &[f32],
    start: isize,
    count: isize,
    lags: std::ops::RangeInclusive<isize>,
) -> (isize, f32) {
    let likeness = |lag| (lag, likeness(said, heard, start, count, lag));
    lags.map(likeness)
        .max_by(|one, two| one.1.total_cmp(&two.1))
        .expect("there are lags to try")
}

fn likeness(said: &[f32], heard: &[f32], start: isize, count: isize, lag: isize) -> f32 {
    let sample = |samples: &[f32], at: isize| {
        let index = usize::try_from(at).ok();
        index.and_then(|at| samples.get(at)).copied().unwrap_or(0.0)
    };
    let (mut cross, mut one, mut two) = (0.0_f64, 0.0_f64, 0.0_f64);
    for at in start..start + count {
        let a = f64::from(sample(said, at));
        let b = f64::from(sample(heard, at + lag));
        cross += a * b;
        one += a * a;
        two += b * b;
    }
    if one == 0.0 || two == 0.0 {
        return 0.0;
    }
    (cross / (one * two).sqrt()) as f32
}

/// A small generator (Numerical Recipes' constants), so that a seed says the same everywhere.
struct Noise(u32);

impl Noise {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low + (high - low) * (self.0 >> 8) as f32 / (1 << 24) as f32
    }
}
