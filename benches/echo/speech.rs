//! Voices: synthetic ones for everybody, real ones where there are files.

use std::f32::consts::{PI, TAU};
use std::path::Path;

use crate::scene::RATE;

/// A small generator, the same everywhere (Knuth's MMIX).
pub struct Random(pub u64);

impl Random {
    /// 0..1.
    pub fn share(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal, of variance 1.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.share()).sum::<f32>() - 6.0
    }
}

/// Eight of them.
pub fn voices() -> Vec<Vec<f32>> {
    let pitches = [190.0, 110.0, 130.0, 220.0, 95.0, 165.0, 120.0, 205.0];
    let seeds = 1..;
    seeds
        .zip(pitches)
        .map(|(seed, pitch)| voice(seed, pitch))
        .collect()
}

/// Thirty seconds of syllables of pulses and hiss through resonances, in phrases with pauses: no
/// words, but the bands, the pitch and the rhythm of speech.
fn voice(seed: u64, pitch: f32) -> Vec<f32> {
    let mut random = Random(seed);
    let mut mouth = Mouth::default();
    let mut sound = Vec::new();
    while sound.len() < 30 * RATE {
        let syllables = 4 + (random.share() * 6.0) as usize;
        for _ in 0..syllables {
            mouth.syllable(&mut random, pitch, &mut sound);
        }
        let pause = (0.3 + random.share() * 0.6) * RATE as f32;
        sound.extend(std::iter::repeat_n(0.0, pause as usize));
    }
    sound
}

/// 48 kHz mono.
pub fn read(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert!(
        spec.sample_rate as usize == RATE && spec.channels == 1,
        "{}: 48 kHz mono is needed",
        path.display()
    );
    let samples = reader.samples::<i16>();
    samples.map(|s| f32::from(s.unwrap()) / 32_768.0).collect()
}

/// Brings the loud parts (frames above a thousandth of the loudest) to this mean level.
pub fn to_level(sound: &mut [f32], decibels: f32) {
    let powers: Vec<f32> = sound
        .chunks(960)
        .map(|frame| frame.iter().map(|s| s * s).sum::<f32>() / frame.len() as f32)
        .collect();
    let loudest = powers.iter().copied().fold(0.0, f32::max);
    let is_loud = |power: &f32| *power > loudest * 0.001;
    let loud: Vec<f32> = powers.into_iter().filter(is_loud).collect();
    let mean = loud.iter().sum::<f32>() / loud.len().max(1) as f32;
    let gain = 10f32.powf(decibels / 20.0) / mean.sqrt().max(1e-9);
    sound.iter_mut().for_each(|sample| *sample *= gain);
}

/// The state of throat and mouth.
#[derive(Default)]
struct Mouth {
    phase: f32,
    resonances: [[f32; 2]; 4],
}

impl Mouth {
    fn syllable(&mut self, random: &mut Random, pitch: f32, sound: &mut Vec<f32>) {
        let formants = [
            300.0 + random.share() * 500.0,
            900.0 + random.share() * 1300.0,
            2300.0 + random.share() * 700.0,
            3500.0,
        ];
        let hiss = random.share() * 0.06;
        let pitch = pitch * (0.85 + random.share() * 0.35);
        let length = ((0.12 + random.share() * 0.16) * RATE as f32) as usize;
        let loudness = 0.5 + random.share() * 0.5;
        for at in 0..length {
            let through = at as f32 / length as f32;
            let shape = (through * PI).sin().sqrt() * loudness;
            self.phase += pitch * (1.0 - 0.1 * through) / RATE as f32;
            let pulse = if self.phase >= 1.0 { 1.0 } else { 0.0 };
            self.phase %= 1.0;
            let breath = random.normal() * (0.004 + if through < 0.3 { hiss } else { 0.0 });
            sound.push(self.speak((pulse + breath) * shape, &formants));
        }
    }

    /// Through four resonances side by side.
    fn speak(&mut self, source: f32, formants: &[f32; 4]) -> f32 {
        let branches = self.resonances.iter_mut().zip(formants).enumerate();
        branches
            .map(|(number, (past, hertz))| {
                let width = 60.0 + 40.0 * number as f32;
                let radius = (-PI * width / RATE as f32).exp();
                let angle = TAU * hertz / RATE as f32;
                let out = source + 2.0 * radius * angle.cos() * past[0] - radius * radius * past[1];
                *past = [out, past[0]];
                out * angle.sin() * 0.7f32.powi(number as i32)
            })
            .sum()
    }
}
