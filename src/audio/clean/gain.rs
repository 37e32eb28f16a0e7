//! Automatic gain: for a microphone that is set far too low or too high, and for nothing else.
//!
//! A voice between -34 and -14 dB under full scale is left alone, bit for bit. One that is quieter
//! is raised by one and a half times what it lacks, so that there is no edge to sound on.

/// Gain of one call.
#[derive(Debug)]
pub(super) struct Gain {
    /// Mean power of the voice, as share of full scale, and how many frames it is made of.
    voice: f32,
    heard: u32,
    aim: f32,
    decibels: f32,
    factor: f32,
}

impl Gain {
    pub(super) fn new() -> Gain {
        Gain {
            voice: 0.0,
            heard: 0,
            aim: 0.0,
            decibels: 0.0,
            factor: 1.0,
        }
    }

    /// In dB; 0 is as recorded.
    pub(super) fn decibels(&self) -> f32 {
        self.decibels
    }

    /// Where that is on its way to.
    pub(super) fn aim(&self) -> f32 {
        self.aim
    }

    /// Takes the level of 20 ms in which the owner speaks.
    pub(super) fn note(&mut self, level: f32) {
        self.heard = (self.heard + 1).min(MEMORY);
        let power = 10f32.powf(level / 10.0);
        self.voice += (power - self.voice) / self.heard as f32;
    }

    /// Makes the next 20 ms louder or quieter. `floor` is the level of the noise in it.
    pub(super) fn turn(&mut self, frame: &mut [f32], floor: f32) {
        self.aim = self.wanted(floor);
        self.decibels += (self.aim - self.decibels).clamp(-FALL, RISE);
        let from = self.factor;
        let peak = frame.iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        let most = if self.decibels > 0.0 {
            HIGHEST_PEAK / peak.max(HIGHEST_PEAK / 100.0)
        } else {
            1.0
        };
        let to = 10f32.powf(self.decibels / 20.0).min(most.max(1.0));
        self.factor = to;
        if from == 1.0 && to == 1.0 {
            return;
        }
        let step = (to - from) / frame.len() as f32;
        let mut factor = from;
        for sample in frame {
            factor += step;
            *sample = (*sample * factor).clamp(-1.0, 1.0);
        }
    }

    fn wanted(&self, floor: f32) -> f32 {
        if self.heard < SURE {
            return self.aim;
        }
        let level = 10.0 * self.voice.max(1e-10).log10();
        if level > LOUD {
            return (LOUD - level) * 1.5;
        }
        let lacks = ((QUIET - level) * 1.5).clamp(0.0, MOST);
        // Noise that is raised with the voice is worse than a quiet voice.
        lacks.min((LOUDEST_NOISE - floor).max(0.0))
    }
}

/// In dB under full scale, of a voice: quieter is raised, louder is lowered.
const QUIET: f32 = -34.0;
const LOUD: f32 = -14.0;

/// Most that is added, in dB.
const MOST: f32 = 24.0;

/// Noise is raised no higher than this, in dB under full scale.
const LOUDEST_NOISE: f32 = -50.0;

/// A frame is not amplified beyond this peak.
const HIGHEST_PEAK: f32 = 0.9;

/// In dB per frame: 3 dB a second up, 6 dB a second down.
const RISE: f32 = 0.06;
const FALL: f32 = 0.12;

/// Frames of voice: one and a half second to begin with, four seconds are remembered.
const SURE: u32 = 75;
const MEMORY: u32 = 200;
