//! Whether somebody speaks: for the mark on the screen and for measuring, never for what is sent.

/// Decides from levels of 20 ms against the noise floor.
#[derive(Debug)]
pub(super) struct Talking {
    /// Frames above the threshold of late, one more for each and one less for each other.
    sure: u32,
    /// Frames for which the mark still stays.
    hold: u32,
}

impl Talking {
    pub(super) fn new() -> Talking {
        Talking { sure: 0, hold: 0 }
    }

    /// Takes the level of the next 20 ms and the noise floor, in dB under full scale; says whether
    /// this very frame is voice.
    pub(super) fn note(&mut self, level: f32, floor: f32) -> bool {
        let is_loud = level > (floor + ABOVE_NOISE).max(FAINTEST);
        self.sure = match is_loud {
            true => (self.sure + 1).min(SURE),
            false => self.sure.saturating_sub(1),
        };
        self.hold = match self.sure == SURE && is_loud {
            true => HOLD,
            false => self.hold.saturating_sub(1),
        };
        is_loud && self.hold > 0
    }

    /// Short pauses between words count as speaking.
    pub(super) fn is_talking(&self) -> bool {
        self.hold > 0
    }
}

/// Voice is so many dB above the noise, and not under this.
const ABOVE_NOISE: f32 = 12.0;
const FAINTEST: f32 = -58.0;

/// Frames: a click is no voice, and a pause of 300 ms no silence.
const SURE: u32 = 4;
const HOLD: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_and_clicks_and_noise_do_not() {
        let mut talking = Talking::new();
        for frame in 0..500 {
            let level = if frame % 25 == 0 { -10.0 } else { -50.0 };
            talking.note(level, -52.0);
            assert!(!talking.is_talking(), "clicks in noise, frame {frame}");
        }
        for _ in 0..10 {
            talking.note(-25.0, -52.0);
        }
        assert!(talking.is_talking());
        for _ in 0..10 {
            talking.note(-50.0, -52.0);
        }
        assert!(talking.is_talking(), "a pause between words");
        for _ in 0..10 {
            talking.note(-50.0, -52.0);
        }
        assert!(!talking.is_talking());
    }
}
