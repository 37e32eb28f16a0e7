//! How loud a frame is, and where the noise lies that is always there.

/// The sum of squares.
pub(super) fn power(sound: &[f32]) -> f32 {
    sound.iter().map(|sample| sample * sample).sum()
}

/// Level of a frame in dB under full scale (0 = a square wave at full scale), without what is only
/// an offset; never under [`SILENCE`].
pub(super) fn decibels(sound: &[f32]) -> f32 {
    let count = sound.len().max(1) as f32;
    let mean = sound.iter().sum::<f32>() / count;
    let mean_square = power(sound) / count - mean * mean;
    (10.0 * mean_square.max(1e-12).log10()).max(SILENCE)
}

/// Follows the noise under speech: the lowest level of the last four to eight seconds.
#[derive(Debug)]
pub(super) struct Floor {
    smooth: f32,
    /// Lowest of the running stretch and of the one before.
    lowest: [f32; 2],
    frames: u32,
    /// Whether a whole stretch has gone by.
    settled: bool,
}

impl Floor {
    pub(super) fn new() -> Floor {
        Floor {
            smooth: 0.0,
            lowest: [0.0; 2],
            frames: 0,
            settled: false,
        }
    }

    /// Takes the level of the next 20 ms, in dB.
    pub(super) fn note(&mut self, level: f32) {
        // Zeros are no noise, but a device that has not begun, or a gate in it.
        if level <= SILENCE {
            return;
        }
        if self.smooth == 0.0 {
            self.smooth = level;
        }
        self.smooth += (level - self.smooth) * 0.25;
        self.lowest[0] = self.lowest[0].min(self.smooth);
        self.frames += 1;
        if self.frames == STRETCH {
            self.frames = 0;
            self.settled = true;
            self.lowest = [0.0, self.lowest[0]];
        }
    }

    /// In dB under full scale.
    pub(super) fn level(&self) -> f32 {
        self.lowest[0].min(self.lowest[1])
    }

    /// The same, once enough has been heard to say so.
    pub(super) fn settled(&self) -> Option<f32> {
        self.settled.then(|| self.level())
    }
}

/// Nothing is quieter than this, in dB under full scale.
pub(super) const SILENCE: f32 = -100.0;

/// Frames in four seconds: few people speak longer without a pause.
const STRETCH: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_textbook_and_an_offset_is_none() {
        let sine: Vec<f32> = (0..320).map(|i| 0.1 + (i as f32 * 0.19635).sin()).collect();
        assert!((decibels(&sine) + 3.0).abs() < 0.1, "{}", decibels(&sine));
        assert_eq!(decibels(&[0.25; 320]), SILENCE);
        assert_eq!(decibels(&[]), SILENCE);
    }

    #[test]
    fn the_floor_is_that_of_the_pauses_and_follows_when_it_rises() {
        let mut floor = Floor::new();
        for frame in 0..500 {
            floor.note(if frame % 50 < 40 { -25.0 } else { -60.0 });
        }
        assert!((-60.0..-55.0).contains(&floor.level()), "{}", floor.level());
        for _ in 0..450 {
            floor.note(-40.0);
        }
        assert!((floor.level() + 40.0).abs() < 1.0, "{}", floor.level());
    }
}
